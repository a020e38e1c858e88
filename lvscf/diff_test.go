package lvscf

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func configOf(t testing.TB, text string) *Config {
	t.Helper()
	f, ds := Parse("lvs.cf", []byte(text))
	if ds.HasErrors() {
		t.Fatal(ds)
	}
	c, ds := f.Config()
	for _, d := range ds {
		if d.Severity == Error {
			t.Fatal(ds)
		}
	}
	return c
}

const diffBase = `serial_no = 1
network = direct
keepalive = 6
floating_address = 192.0.2.11/24 eth0:2
virtual web {
	address = 192.0.2.10 eth0:1
	port = 80
	send = "GET / HTTP/1.0\r\n\r\n"
	server a {
		address = 10.0.0.1
		weight = 1
	}
	server b {
		address = app.example.net
	}
	check page {
		kind = http
		path = /up
	}
}
virtual old {
	address = 192.0.2.12 eth0:3
}
`

func TestDiff(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", diffBase, nil},
		{"comments, order and serial number", `# changed
virtual old {
	address = 192.0.2.12 eth0:3
}
serial_no = 2
keepalive = 6
network = direct
virtual web {
	check page {
		path = /up
		kind = http
	}
	port = 80
	server b {
		address = app.example.net
	}
	server a {
		weight = 1
		address = 10.0.0.1
	}
	send = "GET / HTTP/1.0\r\n\r\n"
	address = 192.0.2.10 eth0:1
}
floating_address = 192.0.2.11/24 eth0:2
`, nil},
		{"values everywhere", `serial_no = 2
keepalive = 3
drain_time = 1.5
network = tunnel
floating_address = 192.0.2.11/24 eth0:2
floating_address = 192.0.2.15/24 eth0:5
virtual web {
	address = 192.0.2.10 eth0:9
	vip_nmask = 255.255.255.0
	port = 80
	server a {
		address = 10.0.0.1
		weight = 5
		forward = nat
	}
	server b {
		address = 10.0.0.2
		maintenance = 1
	}
	check page {
		kind = https
		path = /up
		status = 200,204
	}
	check extra {
		kind = ping
	}
}
virtual mail {
	address = 192.0.2.13 eth0:4
}
vrrp one {
	vrid = 1
}
`, []string{
			"keepalive 6 -> 3",
			"network direct -> tunnel",
			"floating_address [ 192.0.2.11/24 eth0:2 ] -> [ 192.0.2.11/24 eth0:2, 192.0.2.15/24 eth0:5 ]",
			"drain_time = 1500ms added",
			`vrrp "one" added`,
			`virtual "web": device eth0:1 -> eth0:9`,
			`virtual "web": vip_nmask = 255.255.255.0 added`,
			`virtual "web": send = "GET / HTTP/1.0\r\n\r\n" removed`,
			`virtual "web": check "page": kind http -> https`,
			`virtual "web": check "page": status = 200,204 added`,
			`virtual "web": check "extra" added`,
			`virtual "web": server "a": weight 1 -> 5`,
			`virtual "web": server "a": forward = nat added`,
			`virtual "web": server "b": address app.example.net -> 10.0.0.2`,
			`virtual "web": server "b": maintenance = 1 added`,
			`virtual "mail" added`,
			`virtual "old" removed`,
		}},
		{
			"a new name", diffBase[:len(diffBase)-len("virtual old {\n\taddress = 192.0.2.12 eth0:3\n}\n")] + "virtual new {\n\taddress = 192.0.2.12 eth0:3\n}\n",
			[]string{`virtual "old" renamed to "new"`},
		},
		{"two of one name", diffBase + "virtual old {\n\tport = 81\n}\n", []string{`virtual "old" added`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := configOf(t, diffBase), configOf(t, tt.text)
			var got []string
			for _, d := range Diff(a, b) {
				got = append(got, d.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("differences (-want +got):\n%s", diff)
			}
			if same := a.Digest() == b.Digest(); same != (len(tt.want) == 0) {
				t.Errorf("the same digest: %v", same)
			}
			if back := Diff(b, a); len(back) != len(got) {
				t.Errorf("there are %d differences one way and %d the other: %v", len(got), len(back), back)
			}
		})
	}
}

// TestEveryChangeIsADifference changes one value at a time: it must be seen by
// Diff, and two configurations without differences must have one digest.
func TestEveryChangeIsADifference(t *testing.T) {
	seen := map[string]bool{}
	a := newFiller(1).config()
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	digest := a.Digest()
	for seed := range uint64(250) {
		b := &Config{Path: "b.cf"}
		if err := json.Unmarshal(text, b); err != nil {
			t.Fatal(err)
		}
		if ds := Diff(a, b); seed == 0 && (len(ds) > 0 || digest != b.Digest()) {
			t.Fatalf("a copy differs: %v", ds)
		}
		f := newFiller(seed + 1e6)
		f.n = 5000
		name := f.change(b)
		seen[name] = true
		same, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		ds := Diff(a, b)
		if string(same) != string(text) && len(ds) == 0 {
			t.Errorf("changing %s is no difference", name)
		}
		if len(ds) == 0 && digest != b.Digest() {
			t.Errorf("changing %s changes the digest but is no difference", name)
		}
	}
	if len(seen) < 100 {
		t.Errorf("only %d fields were changed", len(seen))
	}
}

func TestDigest(t *testing.T) {
	base := configOf(t, diffBase)
	for _, tt := range []struct {
		name, text string
		same       bool
	}{
		{"defaults that are written", "backup_active = 0\nvirtual v {\n\tscheduler = wlc\n\tfall = 1\n\tquorum = 1\n\tserver s {\n\t\tport = 80\n\t}\n}\n", true},
		{"the check as a block of another name", "virtual v {\n\tserver s {\n\t\tcheck x {\n\t\t}\n\t}\n\tcheck = none\n}\n", false},
		{"forward of its own that is the network's", "virtual v {\n\tserver s {\n\t\tforward = nat\n\t}\n}\n", true},
		{"another forward", "virtual v {\n\tserver s {\n\t\tforward = direct\n\t}\n}\n", false},
		{"another name", "virtual w {\n\tserver s {\n\t}\n}\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plain := configOf(t, "virtual v {\n\tserver s {\n\t}\n}\n")
			if same := plain.Digest() == configOf(t, tt.text).Digest(); same != tt.same {
				t.Errorf("the same digest: %v, want %v", same, tt.same)
			}
		})
	}
	a := configOf(t, "virtual v {\n\tcheck = http\n\tserver s {\n\t}\n}\n")
	b := configOf(t, "virtual v {\n\tserver s {\n\t\tcheck page {\n\t\t\tkind = http\n\t\t}\n\t}\n}\n")
	if a.Digest() != b.Digest() {
		t.Error("the place of a check changes the digest")
	}
	before := base.Digest()
	base.Virtuals[0].Servers[1].Address.Addr = netip.MustParseAddr("10.0.0.2")
	if base.Digest() != before {
		t.Error("looking up a name changes the digest")
	}
	if base.Virtuals[0].Servers[0].Name != "a" || base.Virtuals[0].Checks[0].Name != "page" || base.Virtuals[0].Servers[0].Forward != nil {
		t.Error("the digest changes its configuration")
	}
	// Routers of different versions compare digests: it may change only
	// together with digestForm.
	const want = "1f58dab5b5cd6e69acb40ee057d1ee2c55bc76c1087f772114d30dba18388d89"
	if got := hex.EncodeToString(before[:]); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

func ExampleDiff() {
	a, _ := Load("a.cf", []byte("network = direct\nvirtual web {\nserver a {\nweight = 1\n}\n}\n"))
	b, _ := Load("b.cf", []byte("network = direct\nvirtual web {\nserver a {\nweight = 5\n}\n}\nvirtual mail {\n}\n"))
	for _, d := range Diff(a, b) {
		fmt.Println(d)
	}
	// Output:
	// virtual "web": server "a": weight 1 -> 5
	// virtual "mail" added
}
