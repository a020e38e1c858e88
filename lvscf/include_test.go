package lvscf

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// filesOf reads from a map.
func filesOf(files map[string]string) Options {
	return Options{Include: func(path string) ([]byte, error) {
		text, ok := files[path]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}}
}

func serviceText(name, address string) string {
	device := " eth0:" + address[len(address)-2:]
	return "virtual " + name + " {\n\tactive = 1\n\taddress = " + address + device + "\n\tserver a {\n\t\tactive = 1\n\t\taddress = 10.0.0.1\n\t}\n}\n"
}

func TestInclude(t *testing.T) {
	files := map[string]string{
		"/etc/lvs.d/mail.cf":     "include = deep/dns.cf\n" + serviceText("mail", "192.0.2.12"),
		"/etc/lvs.d/deep/dns.cf": "keepalive = 3\n" + serviceText("dns", "192.0.2.13"),
		"/srv/global.cf":         "network = direct\ndeadtime = 9\n",
	}
	main := "include = lvs.d/mail.cf\n" + serviceText("web", "192.0.2.11") + "include = /srv/global.cf\n"
	cfg, ds := filesOf(files).Load("/etc/lvs.cf", []byte(main))
	if cfg == nil || len(atLeast(ds, Warning)) > 0 {
		t.Fatal(ds)
	}
	var names []string
	for _, v := range cfg.Virtuals {
		names = append(names, v.Name)
	}
	if diff := cmp.Diff([]string{"dns", "mail", "web"}, names); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if cfg.Network != Direct || cfg.Keepalive.Seconds() != 3 || cfg.Deadtime.Seconds() != 9 || len(cfg.Includes) != 0 {
		t.Errorf("network %v, keepalive %v, deadtime %v, includes %v", cfg.Network, cfg.Keepalive, cfg.Deadtime, cfg.Includes)
	}
	// What came in stands where it was asked for.
	if pos := cfg.Virtuals[0].Pos; pos != (Pos{1, 1}) || cfg.Origins.Pos("network") != (Pos{10, 1}) {
		t.Errorf("dns stands at %v, network at %v", pos, cfg.Origins.Pos("network"))
	}
	// One file says the same as several.
	one, _ := Load("one.cf", []byte("network = direct\nkeepalive = 3\ndeadtime = 9\n"+serviceText("dns", "192.0.2.13")+serviceText("mail", "192.0.2.12")+serviceText("web", "192.0.2.11")))
	if one.Digest() != cfg.Digest() {
		t.Errorf("the digest differs: %v", Diff(one, cfg))
	}
}

func atLeast(ds Diagnostics, worst Severity) (out []string) {
	for _, d := range ds {
		if d.Severity <= worst {
			out = append(out, fmt.Sprintf("%s:%d: %v %s", d.File, d.Line, d.Severity, d.Message))
		}
	}
	return out
}

func TestIncludeFaults(t *testing.T) {
	web := "network = direct\n" + serviceText("web", "192.0.2.11")
	chain := map[string]string{}
	for i := range 20 {
		chain[fmt.Sprintf("c%d", i)] = fmt.Sprintf("include = c%d\n", i+1)
	}
	many := strings.Repeat("include = none\n", MaxIncludes+1)
	for _, tt := range []struct {
		name, main string
		files      map[string]string
		want       []string
	}{
		{"a pattern", "include = lvs.d/*.cf\n" + web, nil, []string{`lvs.cf:1: error the included file "lvs.d/*.cf" is a pattern, which an include cannot be`}},
		{"missing", "include = gone.cf\n" + web, nil, []string{`lvs.cf:1: error the included file "gone.cf" cannot be read: file does not exist`}},
		{"itself", "include = ./lvs.cf\n" + web, nil, []string{`lvs.cf:1: error the included file "lvs.cf" includes itself: lvs.cf`}},
		{
			"in a circle", "include = a\n" + web,
			map[string]string{"a": "include = b\n", "b": "include = a\n"},
			[]string{`b:1: error the included file "a" includes itself: lvs.cf includes a includes b`},
		},
		{"too deep", "include = c0\n" + web, chain, []string{`c7:1: error files are included more than 8 deep`}},
		{"too many", web + many, map[string]string{"none": "# nothing\n"}, []string{fmt.Sprintf("lvs.cf:%d: error more than 1000 files are included", 10+MaxIncludes)}},
		{
			"too large", "include = big\ninclude = big\n" + web,
			map[string]string{"big": "#" + strings.Repeat("x", MaxSize/2+1) + "\n"},
			[]string{`lvs.cf:2: error the included files are too large: more than 16777216 bytes in all`},
		},
		{"faults in both", "include = a\nkeepalive = x\n" + web, map[string]string{"a": "# one\ndeadtime = y\nvirtual v {\n"}, []string{
			`lvs.cf:2: error integer expected: "x" is not a whole number`,
			`a:2: error integer expected: "y" is not a whole number`,
			`a:3: error unexpected end of file: still open: "virtual v", opened on line 3`,
		}},
		{"what shows only as a whole", "include = a\n" + web, map[string]string{"a": "# one\n" + serviceText("twin", "192.0.2.11")}, []string{
			`lvs.cf:5: error address 192.0.2.11, port 80 and protocol tcp of service "web" belong to service "twin" of line 1 already`,
		}},
		{"in a block", "network = direct\nvirtual v {\n\tinclude = a\n}\n", map[string]string{"a": ""}, []string{
			`lvs.cf:3: error unknown command: "include": it belongs in the global section`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, ds := filesOf(tt.files).Load("lvs.cf", []byte(tt.main))
			if cfg != nil {
				t.Error("it is accepted")
			}
			if diff := cmp.Diff(tt.want, atLeast(ds, Error)); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}
