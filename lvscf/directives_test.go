package lvscf

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// inBlock puts a line into the block where it belongs; the server's block has
// the virtual block of another.
func inBlock(block, line string) string {
	switch block {
	case "global":
		return line + "\nvirtual v {\n}\n"
	case "virtual":
		return "virtual v {\n" + line + "\n}\n"
	case "check":
		return "virtual v {\ncheck k {\n" + line + "\n}\n}\n"
	case "vrrp":
		return "vrrp r {\n" + line + "\n}\n"
	}
	return "virtual v {\nserver s {\n" + line + "\n}\n}\n"
}

func TestEveryDirective(t *testing.T) {
	parsed := func(t *testing.T, block, line string) *Config {
		t.Helper()
		f, ds := Parse("d.cf", []byte(inBlock(block, line)))
		if len(ds) > 0 {
			t.Fatalf("%q: %v", line, ds)
		}
		cfg, ds := f.Config()
		for _, d := range ds {
			if d.Severity == Error && d.Message != `active service "v" has no address` {
				t.Errorf("%q: %v", line, d)
			}
		}
		return cfg
	}
	text := func(cfg *Config) string {
		out, err := json.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	seen := map[string]bool{}
	for _, d := range Directives() {
		t.Run(d.Block+"/"+d.Name, func(t *testing.T) {
			if key := d.Block + d.Name; seen[key] {
				t.Fatal("stands twice in the table")
			} else {
				seen[key] = true
			}
			if d.Type == "" || d.Doc == "" || d.Example == "" {
				t.Fatalf("row with a gap: %+v", d)
			}
			without := parsed(t, d.Block, "# "+d.Name)
			if d.Default != "" {
				with := parsed(t, d.Block, d.Name+" = "+d.Default)
				if diff := cmp.Diff(text(without), text(with)); diff != "" {
					t.Errorf("the default %q is not what a missing line gives (-missing +written):\n%s", d.Default, diff)
				}
			}
			with := parsed(t, d.Block, d.Name+" = "+d.Example)
			if with.Origins.Has(d.Name) != (d.Block == "global") {
				t.Errorf("origin in the global section: %v", with.Origins)
			}
			switch d.Block {
			case "virtual":
				if got := with.Virtuals[0].Origins.Pos(d.Name); got != (Pos{2, 1}) {
					t.Errorf("origin %v, want 2:1", got)
				}
			case "server":
				if got := with.Virtuals[0].Servers[0].Origins.Pos(d.Name); got != (Pos{3, 1}) {
					t.Errorf("origin %v, want 3:1", got)
				}
			case "check":
				if got := with.Virtuals[0].Checks[0].Origins.Pos(d.Name); got != (Pos{3, 1}) {
					t.Errorf("origin %v, want 3:1", got)
				}
			case "vrrp":
				if got := with.VRRPs[0].Origins.Pos(d.Name); got != (Pos{2, 1}) {
					t.Errorf("origin %v, want 2:1", got)
				}
			}
			// A value that differs from the default must reach the configuration.
			if d.Example != d.Default && text(with) == text(without) && d.Name != "backup_active" && d.Name != "load_monitor" {
				t.Errorf("%s = %s changes nothing", d.Name, d.Example)
			}
		})
	}
}

// TestEveryDirectiveRefusesBadForm gives every directive the faults of form
// that Piranha's parser has words for.
func TestEveryDirectiveRefusesBadForm(t *testing.T) {
	for _, d := range Directives() {
		if d.Since != "" {
			continue
		}
		for _, tt := range []struct{ line, want string }{
			{d.Name, "equal (=) expected after command"},
			{d.Name + " " + d.Example, "equal (=) expected after command"},
			{d.Name + " =" + d.Example, "equal (=) expected after command"},
			{d.Name + "= " + d.Example, "unknown command"},
			{d.Name + "=" + d.Example, "unknown command"},
			{d.Name + " =", "missing arguments"},
			{d.Name + ` = "x`, "quotation mismatch"},
			{d.Name + " = " + d.Example + " too much", "unexpected arguments"},
			{strings.ToUpper(d.Name) + " = " + d.Example, "unknown command"},
		} {
			if d.Type == "list" {
				switch tt.want {
				case "missing arguments":
					tt.want = "list expected"
				case "unexpected arguments":
					continue // what follows the bracket is not read, as in Piranha
				}
			}
			if strings.HasSuffix(d.Example, `"`) && tt.want == "unexpected arguments" && !strings.Contains(d.Example, " ") {
				tt.want = "quotation mismatch" // of the quoted word without blanks
			}
			t.Run(fmt.Sprintf("%s/%s", d.Block, tt.line), func(t *testing.T) {
				cfg, ds := strict.Load("d.cf", []byte(inBlock(d.Block, tt.line)))
				var errs Diagnostics
				for _, e := range ds {
					if e.Severity == Error {
						errs = append(errs, e)
					}
				}
				if cfg != nil || len(errs) != 1 || !strings.HasPrefix(errs[0].Message, tt.want) {
					t.Errorf("errors %v, want one that starts with %q", errs, tt.want)
				}
			})
		}
	}
}

func TestTheStrictDialectRefusesExtensions(t *testing.T) {
	for _, d := range Directives() {
		if d.Since == "" {
			continue
		}
		t.Run(d.Block+"/"+d.Name, func(t *testing.T) {
			src := []byte(inBlock(d.Block, d.Name+" = "+d.Example))
			cfg, ds := strict.Load("d.cf", src)
			if cfg != nil || len(ds) != 1 || ds[0].Code != codeExtension {
				t.Errorf("strict: %v, want one error of code %s", ds, codeExtension)
			}
			for _, line := range []string{d.Name, d.Name + " " + d.Example, d.Name + " ="} {
				if _, ds := Load("d.cf", []byte(inBlock(d.Block, line))); !ds.HasErrors() {
					t.Errorf("%q: no error", line)
				}
			}
		})
	}
}

func TestDefaultsAreThoseOfTheDaemons(t *testing.T) {
	// The whole JSON, so that a changed default cannot pass unseen.
	cfg := NewConfig()
	v := NewVirtual("v")
	v.Servers = append(v.Servers, NewServer("s", v.Port))
	cfg.Virtuals = append(cfg.Virtuals, v)
	got, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var have map[string]any
	if err := json.Unmarshal(got, &have); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"serial_no": 0., "backup_active": false, "heartbeat": false, "heartbeat_port": 539., "keepalive": 2., "deadtime": 5.,
		"service": "lvs", "rsh_command": "rsh", "network": "nat", "debug_level": "NONE", "monitor_links": false,
		"syncdaemon": false, "syncd_iface": "eth0", "syncd_id": 0., "tcp_timeout": 0., "tcpfin_timeout": 0., "udp_timeout": 0.,
		"hard_shutdown": true, "ipvsadm": "/sbin/ipvsadm", "sync": false,
		"virtuals": []any{map[string]any{
			"name": "v", "active": false, "port": 80., "protocol": "tcp", "scheduler": "wlc", "persistent": 0., "use_regex": false,
			"timeout": 10., "reentry": 180., "quiesce_server": false, "client_monitor": "/usr/sbin/nanny",
			"servers": []any{map[string]any{"name": "s", "active": false, "port": 80., "weight": 1.}},
		}},
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}
