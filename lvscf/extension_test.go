package lvscf

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestGoldenExtensions compares what is said of the files of
// testdata/extensions, which only the lenient dialect can accept.
func TestGoldenExtensions(t *testing.T) {
	files, err := filepath.Glob("testdata/extensions/*.cf")
	if err != nil || len(files) < 2 {
		t.Fatalf("found %d fixtures, error %v", len(files), err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			checkIdentity(t, src)
			if cfg, _ := strict.Load(name, src); cfg != nil {
				t.Error("the strict dialect accepts extensions")
			}
			cfg, ds := Load(name, src)
			var out bytes.Buffer
			for _, d := range ds {
				out.WriteString(d.String() + "\n")
			}
			if cfg != nil {
				text, err := json.MarshalIndent(cfg, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				out.Write(append(text, '\n'))
			}
			generated(t, strings.TrimSuffix(path, ".cf")+".want", out.Bytes())
		})
	}
}

func TestDurationsOfAFile(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "5": 5 * time.Second, "010": 10 * time.Second, "0.5": 500 * time.Millisecond, "500ms": 500 * time.Millisecond,
		"2m": 2 * time.Minute, "1m30s": 90 * time.Second, "1h": time.Hour, "2147483647": 2147483647 * time.Second,
	} {
		got, ok := parseDuration(text)
		if !ok || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, ok, want)
		}
		// What is written for it is read as the same.
		if back, ok := parseDuration(durationText(got)); !ok || back != got {
			t.Errorf("%v is written %q and read as %v", got, durationText(got), back)
		}
	}
	for _, text := range []string{"", "s", "5 s", "5us", "5µs", "5ns", "1d", "five", "0x10", "1e3", strings.Repeat("1", 40)} {
		if d, ok := parseDuration(text); ok {
			t.Errorf("%q is read as %v", text, d)
		}
	}
}

// TestStrictValuesAreNoExtensions gives directives of Piranha's values that
// its daemons do not know.
func TestStrictValuesAreNoExtensions(t *testing.T) {
	for _, tt := range []struct {
		place blockMask
		line  string
	}{
		{inGlobal, "primary = 2001:db8::1"},
		{inGlobal, "nat_nmask = 24"},
		{inVirtual, "address = 2001:db8::1 eth0"},
		{inVirtual, "sorry_server = 2001:db8::1"},
		{inVirtual, "vip_nmask = /64"},
		{inVirtual, "pmask = 24"},
		{inVirtual, "protocol = sctp"},
		{inVirtual, "scheduler = mh"},
		{inVirtual, "port = 0"},
		{inServer, "address = ::1"},
	} {
		for _, strict := range []bool{false, true} {
			c := &collector{}
			if strict {
				c.dialect = Strict
			}
			l := &Line{Number: 1, Text: tt.line}
			new(lexer).split(l)
			vs := NewVirtual("")
			srv := NewServer("", 80)
			s := &scope{where: tt.place, c: NewConfig(), v: &vs, s: &srv, origins: &Origins{}}
			v := &values{c: c, line: l, dir: findDirective(l.Tokens[0].Text, tt.place), args: l.Tokens[2:]}
			v.dir.set.read(s, v)
			if v.failed != strict || len(c.diags) != c.count[Error] {
				t.Errorf("%q, strict %v: %v", tt.line, strict, c.diags)
			}
		}
	}
}

func TestChecksOfAServer(t *testing.T) {
	const text = `virtual v {
	timeout = 6
	reentry = 13
	send = "hello"
	expect = "world"
	%s
	server s {
		%s
	}
}
`
	type check struct {
		Name       string
		Kind       CheckKind
		Send       string
		Timeout    time.Duration
		Interval   time.Duration
		Rise, Fall int
	}
	for _, tt := range []struct {
		name, virtual, server string
		want                  []check
	}{
		{"none written", "", "", []check{{"", CheckPiranha, "hello", 6 * time.Second, 6 * time.Second, 2, 1}}},
		{"a kind for all", "check = http\ninterval = 2\nfall = 3\nrise = 4", "", []check{{"http", CheckHTTP, "", 6 * time.Second, 2 * time.Second, 4, 3}}},
		{"the text of the virtual block", "check = text", "", []check{{"text", CheckText, "hello", 6 * time.Second, 6 * time.Second, 2, 1}}},
		{"a block for all", "check a {\nkind = ping\ntimeout = 1\n}\ncheck b {\nfall = 2\n}", "", []check{
			{"a", CheckPing, "", time.Second, 6 * time.Second, 2, 1}, {"b", CheckTCP, "", 6 * time.Second, 6 * time.Second, 2, 2},
		}},
		{"the server's own", "check = http", "check = none", []check{{"none", CheckNone, "", 6 * time.Second, 6 * time.Second, 2, 1}}},
		{"the server's own blocks", "check a {\n}", "check = ping\ncheck b {\nkind = udp\ninterval = 1\n}", []check{
			{"ping", CheckPing, "", 6 * time.Second, 6 * time.Second, 2, 1}, {"b", CheckUDP, "", 6 * time.Second, time.Second, 13, 1},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := configOf(t, strings.Replace(strings.Replace(text, "%s", tt.virtual, 1), "%s", tt.server, 1))
			v := &c.Virtuals[0]
			var got []check
			for _, k := range v.ChecksOf(&v.Servers[0]) {
				got = append(got, check{k.Name, k.Kind, k.Send, k.Timeout, k.Interval, k.Rise, k.Fall})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("checks (-want +got):\n%s", diff)
			}
			if v.Checks != nil && (v.Checks[0].Fall != 0 || v.Checks[0].Interval != 0) {
				t.Error("the block itself was changed")
			}
		})
	}
}

func TestForwardAndTunnelOfAServer(t *testing.T) {
	c := configOf(t, `network = direct
virtual v {
	forward = tunnel
	tunnel_type = gue
	tunnel_port = 6080
	quiesce_server = 1
	server own {
		forward = nat
		tunnel_type = gre
		quiesce_server = 0
	}
	server plain {
	}
}
virtual w {
	server s {
	}
}
`)
	v, w := &c.Virtuals[0], &c.Virtuals[1]
	own, plain := &v.Servers[0], &v.Servers[1]
	if c.ForwardOf(v, own) != NAT || c.ForwardOf(v, plain) != Tunnel || c.ForwardOf(v, nil) != Tunnel || c.ForwardOf(w, &w.Servers[0]) != Direct {
		t.Error("forward is not the innermost one")
	}
	if v.TunnelOf(own) != (Tunneling{TunnelType: GRE}) || v.TunnelOf(plain) != (Tunneling{TunnelType: GUE, TunnelPort: 6080}) {
		t.Error("the tunnel is not the innermost one")
	}
	if v.QuiescesServer(own) || !v.QuiescesServer(plain) {
		t.Error("quiesce_server is not the innermost one")
	}
}

func TestStatusCodes(t *testing.T) {
	for text, want := range map[string]string{
		"200": "200", "300-399,200,201": "200-201,300-399", "200-300,250,299-310": "200-310", "100-999": "100-999",
	} {
		var s StatusCodes
		if err := s.UnmarshalText([]byte(text)); err != nil || s.String() != want {
			t.Errorf("%q is read as %q, error %v; want %q", text, s, err, want)
		}
	}
	for _, text := range []string{"", "99", "1000", "200-", "-200", "300-200", "200,,300", "2xx", strings.Repeat("200,", 100) + "200"} {
		var s StatusCodes
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %v", text, s)
		}
	}
}

func TestWordsOfExtensions(t *testing.T) {
	for _, d := range Directives() {
		if d.Words != nil && d.Since != "" && slices.Contains(d.Words, "") {
			t.Errorf("%s: words %q", d.Name, d.Words)
		}
		if d.Since == "" && (d.Repeats || d.Kinds != nil || d.Block == "check" || d.Block == "vrrp") {
			t.Errorf("%s in %s is no directive of Piranha's", d.Name, d.Block)
		}
	}
	var f SchedulerFlags
	if err := f.UnmarshalText([]byte("sh-port,mh-fallback,flag-3")); err != nil || f != FlagPort|FlagFallback|FlagThird || f.String() != "fallback,port,flag-3" {
		t.Errorf("flags %q, error %v", f, err)
	}
	for want, e := range map[string]interface {
		MarshalText() ([]byte, error)
	}{
		"vrrp": VRRPMode, "gue": GUE, "remote": TunnelRemoteChecksum, "down": StartDown, "hmac": VRRPHMAC, "message": VRRPMessageOnly, "77": VRRPChecksum(77), "ping": CheckPing,
	} {
		if text, err := e.MarshalText(); err != nil || string(text) != want {
			t.Errorf("%T writes %q, error %v; want %q", e, text, err, want)
		}
	}
}
