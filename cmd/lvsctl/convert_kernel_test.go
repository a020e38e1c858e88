//go:build linux && kernel

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/internal/lab"
)

// loud runs lvsctl in a namespace, where it may have something to say on
// standard error.
func loud(t *testing.T, at *lab.Namespace, args ...string) string {
	t.Helper()
	h := hostIn(at)
	h.stdin = strings.NewReader("")
	var out, errs strings.Builder
	if code := h.run(t.Context(), append([]string{"lvsctl"}, args...), &out, &errs); code != exitDone {
		t.Fatalf("lvsctl %s: exit code %d: %s", strings.Join(args, " "), code, errs.String())
	}
	return out.String()
}

const everythingForRules = `network = direct
tcp_timeout = 700
udp_timeout = 70
virtual web {
	active = 1
	address = 192.0.2.1 eth0:1
	scheduler = wlc
	sorry_server = 10.0.0.99
	server a {
		active = 1
		address = 10.0.0.1
		weight = 3
		upper_threshold = 100
		lower_threshold = 50
	}
	server b {
		active = 1
		address = 10.0.0.2
		port = 8080
		weight = 0
	}
	server c {
		active = 1
		address = 10.0.0.3
		forward = tunnel
		tunnel_type = gue
		tunnel_port = 6080
		tunnel_checksum = full
	}
	server d {
		active = 1
		address = 10.0.0.4
		port = 8081
		forward = nat
		maintenance = 1
	}
	server e {
		address = 10.0.0.5
	}
}
virtual shop {
	active = 1
	address = 192.0.2.1 eth0:1
	port = 443
	scheduler = mh
	scheduler_flags = port,fallback
	persistent = 600
	pmask = 255.255.255.0
	forward = nat
	server a {
		active = 1
		address = 10.0.0.1
		port = 8443
	}
}
virtual dns {
	active = 1
	address = 192.0.2.1 eth0:1
	port = 53
	protocol = udp
	scheduler = rr
	one_packet = 1
	send = "x"
	server a {
		active = 1
		address = 10.0.0.1
	}
}
virtual idle {
	active = 1
	address = 192.0.2.1 eth0:1
	port = 81
	sorry_server = 10.0.0.98
	server a {
		active = 1
		address = 10.0.0.1
		weight = 0
	}
	server last {
		active = 1
		address = 10.0.0.97
		sorry = 1
	}
}
virtual marked {
	active = 1
	fwmark = 7
	port = 0
	scheduler = sed
	check = none
	server a {
		active = 1
		address = 10.0.0.1
		port = 0
	}
	server b {
		active = 1
		address = 10.0.0.2
		port = 8080
		forward = nat
	}
}
virtual six {
	active = 1
	address = 2001:db8::1 eth0
	persistent = 60
	pmask = 64
	server a {
		active = 1
		address = 2001:db8:1::1
	}
}
virtual off {
	address = 192.0.2.9 eth0:2
}
`

// giveSecrets makes the files of secrets that an imported file names.
func giveSecrets(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^(\s*password_file = ).*$`).ReplaceAll(text, []byte("${1}"+secret))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The rules that convert writes are read by the real program, and make the
// same table as apply does of the file, order of the servers included.
func TestKernelConvertedRulesMakeTheTableOfApply(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"everything": filepath.Join(dir, "everything.cf")}
	if err := os.WriteFile(files["everything"], []byte(everythingForRules), 0o600); err != nil {
		t.Fatal(err)
	}
	world := lab.New(t)
	for _, from := range []string{"defaults.cf", "globals.cf", "services.cf", "forks.cf", "everything.rules"} {
		to := filepath.Join(dir, from+".out")
		source := filepath.Join("testdata", "convert", from)
		loud(t, world.Namespace("import"), "convert", "--device", "eth0", "--accept-loss", "--out", to, source)
		giveSecrets(t, to)
		files[from] = to
	}
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			world := lab.New(t)
			applied, restored := world.Namespace("applied"), world.Namespace("restored")
			loud(t, applied, "apply", file)
			path := filepath.Join(t.TempDir(), "rules")
			loud(t, restored, "convert", "--to", "ipvsadm", "--accept-loss", "--out", path, file)
			rules, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer rules.Close()
			if out, err := runIn(restored, rules, "ipvsadm", "-R"); err != nil || out != "" {
				t.Fatalf("ipvsadm -R: %v: %s", err, out)
			}
			if want, got := loud(t, applied, "save"), loud(t, restored, "save"); want == "" || want != got {
				t.Errorf("table (-apply +ipvsadm -R):\n%s", cmp.Diff(want, got))
			}
			if want, got := applied.Run("ipvsadm", "-L", "--timeout"), restored.Run("ipvsadm", "-L", "--timeout"); want != got {
				t.Errorf("timeouts (-apply +ipvsadm -R):\n%s", cmp.Diff(want, got))
			}
		})
	}
}
