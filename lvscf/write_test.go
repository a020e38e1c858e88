package lvscf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every directive has its place in the canonical order, and nothing else has.
func TestCanonicalOrderIsComplete(t *testing.T) {
	for where := range allPlaces.each() {
		want := slices.Sorted(slices.Values(directiveNames(where)))
		got := slices.Sorted(slices.Values(directiveOrder[where]))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s directives (-table +order):\n%s", where, diff)
		}
	}
}

// checkWritten checks that a configuration comes out of its file again, and
// that the file is canonical.
func checkWritten(t *testing.T, cfg *Config) *File {
	t.Helper()
	f, err := cfg.File()
	if err != nil {
		t.Fatal(err)
	}
	back, ds := f.Config()
	want, err := json.MarshalIndent(cfg, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(back, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Fatalf("configuration (-want +got):\n%s\nin\n%s\n%v", diff, f.Bytes(), ds)
	}
	formatted, err := f.Format()
	if err != nil {
		// Errors of the configuration itself are none of the writer's.
		var invalid *InvalidFileError
		if _, ds := f.Config(); !errors.As(err, &invalid) || !ds.HasErrors() {
			t.Fatal(err)
		}
		return f
	}
	if diff := cmp.Diff(string(f.Bytes()), string(formatted.Bytes())); diff != "" {
		t.Fatalf("a new file is not in canonical form (-written +formatted):\n%s", diff)
	}
	return f
}

func TestWriteFixtures(t *testing.T) {
	files, err := filepath.Glob("testdata/*.cf")
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if cfg, _ := Load(path, src); cfg != nil {
			t.Run(filepath.Base(path), func(t *testing.T) { checkWritten(t, cfg) })
			written++
		}
	}
	if written < 10 {
		t.Errorf("only %d fixtures could be read", written)
	}
}

func TestWriteGenerated(t *testing.T) {
	n := uint64(200)
	if testing.Short() {
		n = 50
	}
	for seed := range n {
		src := generate(seed)
		cfg, ds := Load("lvs.cf", src)
		if cfg == nil && ds.HasErrors() {
			f, bad := Parse("lvs.cf", src)
			if bad.HasErrors() {
				t.Fatalf("seed %d: %v in\n%s", seed, bad, src)
			}
			// Wrong as a whole, for instance two equal services: it is
			// written all the same.
			cfg, _ = f.Config()
		}
		checkWritten(t, cfg)
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, src)
		}
	}
}

func TestWriteCanonical(t *testing.T) {
	cfg := NewConfig()
	cfg.Serial = 4
	cfg.Primary = Host{Addr: netip.MustParseAddr("192.0.2.1")}
	cfg.Backup = Host{Name: "lb2.example.net", Addr: netip.MustParseAddr("192.0.2.2")}
	cfg.BackupActive = true
	cfg.Network = Direct
	v := NewVirtual("web")
	v.Active = true
	v.Address, v.Device = Host{Addr: netip.MustParseAddr("192.0.2.10")}, "eth0:1"
	v.Send, v.Expect = `GET / HTTP/1.0\r\n\r\n`, "HTTP"
	v.LoadMonitor = "a program"
	v.Interval = 1500 * time.Millisecond
	s := NewServer("one", v.Port)
	s.Address, s.Active = Host{Addr: netip.MustParseAddr("192.0.2.21")}, true
	other := NewServer("two words", v.Port)
	other.Port, other.Weight = 8080, 0
	k := NewCheck("page")
	k.Kind, k.Path, k.Header = CheckHTTP, "/health", []string{"X-Probe: a", "X-Probe: b"}
	v.Checks = []Check{k}
	v.Servers = []Server{s, other}
	cfg.Virtuals = []Virtual{v}
	f, err := cfg.File()
	if err != nil {
		t.Fatal(err)
	}
	const want = `serial_no = 4
primary = 192.0.2.1
backup_active = 1
backup = lb2.example.net
network = direct

virtual web {
    active = 1
    address = 192.0.2.10 eth0:1
    send = "GET / HTTP/1.0\r\n\r\n"
    expect = "HTTP"
    load_monitor = "a program"
    interval = 1.5s

    check page {
        kind = http
        path = /health
        header = "X-Probe: a"
        header = "X-Probe: b"
    }

    server one {
        address = 192.0.2.21
        active = 1
    }

    server "two words" {
        port = 8080
        weight = 0
    }
}
`
	if diff := cmp.Diff(want, string(f.Bytes())); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	if f, err := NewConfig().File(); err != nil || string(f.Bytes()) != "serial_no = 0\n" {
		t.Errorf("nothing but defaults: %v, error %v", f, err)
	}
}

// Defaults that were written are written again.
func TestWriteKeepsWrittenDefaults(t *testing.T) {
	const src = "serial_no = 1\nkeepalive = 2\nnetwork = nat\n\nvirtual web {\n    active = 1\n    address = 192.0.2.10 eth0:1\n    send = \"\"\n}\n"
	cfg, ds := Load("lvs.cf", []byte(src))
	if cfg == nil {
		t.Fatal(ds)
	}
	f, err := cfg.File()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(src, string(f.Bytes())); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
}

func TestWriteErrors(t *testing.T) {
	tests := []struct {
		name string
		with func(*Config, *Virtual)
		want []string
	}{
		{"quotes of both kinds", func(_ *Config, v *Virtual) { v.Expect = `it's "ok"` }, []string{"virtual web/expect: ", "quotes of both kinds"}},
		{"a line end", func(_ *Config, v *Virtual) { v.Send = "a\nb" }, []string{"virtual web/send: ", "line end"}},
		{"no UTF-8", func(c *Config, _ *Virtual) { c.ActiveCmd = "\xff" }, []string{"active_cmd: ", "UTF-8"}},
		{"a fraction of a second", func(c *Config, _ *Virtual) { c.Keepalive = 1500 * time.Millisecond }, []string{"keepalive: ", "1.5s"}},
		{"a value out of range", func(_ *Config, v *Virtual) { v.Timeout = 0 }, []string{"virtual web/timeout: ", "out of range"}},
		{"a value that means another", func(_ *Config, v *Virtual) { v.Reentry = 0 }, []string{"virtual web/reentry: ", "something else"}},
		{"an address without device", func(_ *Config, v *Virtual) { v.Device = "" }, []string{"virtual web/address: ", "device"}},
		{"an empty name", func(_ *Config, v *Virtual) { v.Name = "" }, []string{"no way to write the name"}},
		{"a name of two lines", func(_ *Config, v *Virtual) { v.Name = "a\nb" }, []string{"name"}},
		{"a server's port", func(_ *Config, v *Virtual) { v.Servers = []Server{{Name: "a", Weight: 1}} }, []string{"virtual web/server a/port: "}},
		{"a negative weight", func(_ *Config, v *Virtual) { v.Servers = []Server{{Name: "a", Port: 80, Weight: -1}} }, []string{"server a/weight: "}},
		{"an unknown scheduler", func(_ *Config, v *Virtual) { v.Scheduler = "best" }, []string{"virtual web/scheduler: "}},
		{"an unknown word", func(c *Config, _ *Virtual) { c.Network = 9 }, []string{"network: "}},
		{"an empty word in a list", func(_ *Config, v *Virtual) { v.Dirs = []string{"a b", "/x", ""} }, []string{"virtual web/dirs: ", "no way"}},
		{"blanks in a list", func(_ *Config, v *Virtual) { v.Dirs = []string{"a b", "/x", "c 'd' e"} }, nil},
		{"too long a list", func(_ *Config, v *Virtual) { v.Dirs = slices.Repeat([]string{"x"}, 100) }, []string{"virtual web/dirs: ", "99 words"}},
		{"a backup that is not there", func(c *Config, _ *Virtual) { c.BackupActive = true }, []string{"read as another", "backup_active"}},
		{"two at once", func(c *Config, v *Virtual) { c.Network = 9; v.Timeout = 0 }, []string{"network: ", "virtual web/timeout: "}},
		{"the largest serial number", func(c *Config, _ *Virtual) { c.Serial = math.MaxInt64 }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, v := NewConfig(), NewVirtual("web")
			v.Address, v.Device = Host{Addr: netip.MustParseAddr("192.0.2.10")}, "eth0:1"
			tt.with(c, &v)
			c.Virtuals = []Virtual{v}
			f, err := c.File()
			if tt.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				checkWritten(t, c)
				return
			}
			if err == nil {
				t.Fatalf("written as\n%s", f.Bytes())
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want something of %q", err, want)
				}
			}
		})
	}
}

// Piranha's own words are written so that Piranha reads them.
func TestWriteStrict(t *testing.T) {
	src, err := os.ReadFile("testdata/all-directives.cf")
	if err != nil {
		t.Fatal(err)
	}
	cfg, ds := Options{Dialect: Strict}.Load("lvs.cf", src)
	if cfg == nil {
		t.Fatal(ds)
	}
	f := checkWritten(t, cfg)
	again, ds := Options{Dialect: Strict}.Load("lvs.cf", f.Bytes())
	if again == nil {
		t.Fatal(ds)
	}
	if !bytes.Equal(mustJSON(t, cfg), mustJSON(t, again)) {
		t.Error("the strict dialect reads another configuration")
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestFileThatWouldBeTooLong(t *testing.T) {
	c := NewConfig()
	v := NewVirtual("web")
	v.Servers = make([]Server, MaxLines/3+1)
	for i := range v.Servers {
		v.Servers[i] = NewServer(fmt.Sprint("s", i), 80)
		v.Servers[i].Address = Host{Addr: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}
	}
	c.Virtuals = []Virtual{v}
	if _, err := c.File(); !errors.Is(err, ErrTooLong) || !strings.Contains(err.Error(), "lines") || strings.Contains(err.Error(), ":1:") {
		t.Errorf("error %.300v", err)
	}
}

// A port line below the servers moves those that had every port, and no others:
// every port is what a server has that has none of its own.
func TestLatePortAfterEveryPort(t *testing.T) {
	cfg, _ := Load("lvs.cf", []byte("virtual web {\n port = 81\n server a {\n }\n port = 0\n server b {\n }\n server c {\n port = 0\n }\n port = 80\n}\n"))
	if cfg == nil {
		t.Fatal("the file was not read")
	}
	var ports []uint16
	for _, s := range cfg.Virtuals[0].Servers {
		ports = append(ports, s.Port)
	}
	if diff := cmp.Diff([]uint16{81, 80, 80}, ports); diff != "" {
		t.Errorf("ports of the servers (-want +got):\n%s", diff)
	}
	checkWritten(t, cfg)
}
