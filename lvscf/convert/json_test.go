package convert

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lvskit/lvskit/lvscf"
)

func TestJSONCarriesEverything(t *testing.T) {
	for seed := range uint64(300) {
		before := generator{rand.New(rand.NewPCG(seed, 9))}.config()
		text, err := ToJSON(before)
		if err != nil {
			t.Fatal(err)
		}
		after, err := FromJSON("x.cf", text)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		again, err := ToJSON(after)
		if err != nil || string(again) != string(text) {
			t.Fatalf("seed %d: error %v (-first +again):\n%s", seed, err, cmp.Diff(string(text), string(again)))
		}
	}
}

func TestJSONFillsInDefaults(t *testing.T) {
	c, err := FromJSON("x.json", []byte(`{"virtuals":[{"name":"web","port":8080,"servers":[{"name":"a"}],"checks":[{"name":"c","kind":"https"}]}],"failovers":[{"name":"f"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := lvscf.NewConfig()
	v := lvscf.NewVirtual("web")
	v.Port = 8080
	k := lvscf.NewCheck("c")
	k.Kind = lvscf.CheckHTTPS
	v.Checks = []lvscf.Check{k}
	v.Servers = []lvscf.Server{lvscf.NewServer("a", 8080)}
	want.Path, want.Virtuals, want.Failovers = "x.json", []lvscf.Virtual{v}, []lvscf.Virtual{lvscf.NewVirtual("f")}
	if diff := cmp.Diff(want, c, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestBadJSON(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", "x.json:1:1: no JSON: unexpected end"},
		{"no object", "null", "x.json:1:1: no object of JSON"},
		{"a list", "[]", "x.json:1:1: json: cannot unmarshal array"},
		{"a comma", "{\n \"network\": \"nat\",\n}", "x.json:3:1: no JSON: invalid character '}'"},
		{"a field", `{"netwrok":"nat"}`, `x.json:1:1: unknown field "netwrok"`},
		{"a field of a block", `{"virtuals":[{"colour":1}]}`, `virtual 1: unknown field "colour"`},
		{"a field of a server", `{"virtuals":[{"servers":[{},{"colour":1}]}]}`, `virtual 1, server 2: unknown field "colour"`},
		{"a field of a check", `{"virtuals":[{"checks":[{"colour":1}]}]}`, `virtual 1, check 1: unknown field "colour"`},
		{"a field of a vrrp block", `{"vrrps":[{"colour":1}]}`, `vrrp: unknown field "colour"`},
		{"a value", `{"network":"bridge"}`, `network "bridge"`},
		{"a value of a block", `{"virtuals":[{"port":99999}]}`, "virtual 1: json: cannot unmarshal number 99999"},
		{"blocks that are none", `{"virtuals":{}}`, "virtuals: json: cannot unmarshal object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := FromJSON("x.json", []byte(c.in))
			var bad *lvscf.InvalidFileError
			if got != nil || !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// FuzzFromJSON checks that what is read can be written, and is the same again.
func FuzzFromJSON(f *testing.F) {
	f.Add(`{"network":"direct","virtuals":[{"name":"web","timeout":0.5,"servers":[{"name":"a","forward":"nat"}],"checks":[{"kind":"dns"}]}],"vrrps":[{"name":"x"}]}`)
	f.Add(`{"virtuals":[null],"failovers":[{}],"$schema":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := FromJSON("x", []byte(text))
		if err != nil {
			return
		}
		first, err := ToJSON(c)
		if err != nil {
			t.Fatal(err)
		}
		back, err := FromJSON("x", first)
		if err != nil {
			t.Fatalf("%v\n%s", err, first)
		}
		if again, err := ToJSON(back); err != nil || string(again) != string(first) {
			t.Errorf("error %v (-first +again):\n%s", err, cmp.Diff(string(first), string(again)))
		}
	})
}
