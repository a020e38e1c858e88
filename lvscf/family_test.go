package lvscf

import (
	"strings"
	"testing"
)

func TestFamilyOfAMark(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       bool
	}{
		{"nothing tells", "", false},
		{"the address", "address = 2001:db8::1 eth0\nserver a {\naddress = 10.0.0.1\n}", true},
		{"an IPv4 address", "address = 192.0.2.1 eth0:1\nserver a {\naddress = 2001:db8::1\n}", false},
		{"the first server that has one", "server a {\naddress = six.example.net\n}\nserver b {\naddress = 2001:db8::1\n}", true},
		{"the sorry server", "sorry_server = 2001:db8::9", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, ds := Parse("x.cf", []byte("virtual v {\nfwmark = 7\n"+c.body+"\n}\n"))
			if err := ds.Err(); err != nil {
				t.Fatal(err)
			}
			cfg, _ := f.Config()
			if got := cfg.Virtuals[0].Is6(); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestAMarkOfEachFamilyIsNoDuplicate(t *testing.T) {
	marked := func(name, server string) string {
		return "virtual " + name + " {\nactive = 1\nfwmark = 7\nport = 0\nserver s {\nactive = 1\nport = 0\naddress = " + server + "\n}\n}\n"
	}
	for _, c := range []struct {
		second string
		want   bool
	}{{"10.0.0.2", true}, {"2001:db8::2", false}} {
		_, ds := Load("x.cf", []byte("network = direct\n"+marked("a", "10.0.0.1")+marked("b", c.second)))
		var text []string
		for _, d := range ds {
			text = append(text, d.String())
		}
		if got := strings.Contains(strings.Join(text, "\n"), string(codeSameService)); got != c.want {
			t.Errorf("%s: %v", c.second, ds)
		}
	}
}
