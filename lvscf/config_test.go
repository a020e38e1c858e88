package lvscf

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func loadFixture(t *testing.T, name string) *Config {
	t.Helper()
	src, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	cfg, ds := strict.Load(name, src)
	if cfg == nil {
		t.Fatal(ds)
	}
	return cfg
}

func TestValuesReachTheirFields(t *testing.T) {
	ip := func(s string) Host { return Host{Addr: netip.MustParseAddr(s)} }
	want := &Config{
		Path: "all-directives.cf", Serial: 17,
		Primary: ip("192.0.2.1"), PrimaryPrivate: ip("10.9.0.1"), PrimaryShared: "/dev/sdb",
		Backup: Host{Name: "lb2.example.net"}, BackupPrivate: ip("10.9.0.2"), BackupShared: "/dev/sdc",
		ReservationConflict: ReservationPreempt,
		BackupActive:        true, Heartbeat: true, HeartbeatPort: 1539,
		Keepalive: 3 * time.Second, Deadtime: 9 * time.Second,
		Service: LVS, RshCommand: "ssh", Network: NAT,
		NATRouter: Router{Address: ip("10.1.0.254"), Device: "eth1:1"}, NATNetmask: 16,
		DebugLevel: "ALL", MonitorLinks: true, SyncDaemon: true, SyncdIface: "eth2", SyncdID: 7,
		TCPTimeout: 600 * time.Second, TCPFinTimeout: time.Minute, UDPTimeout: 2 * time.Minute,
		HardShutdown: false, ActiveCmd: "/opt/lb/hook up --now", InactiveCmd: "/opt/lb/down",
		Ipvsadm: "/usr/sbin/ipvsadm", FileSync: true,
		Virtuals: []Virtual{{
			Name: "shop", Active: true, Address: ip("192.0.2.10"), Device: "eth0:1", Netmask: 24,
			SorryServer: netip.MustParseAddr("192.0.2.99"), FWMark: 12, Port: 8443, Protocol: TCP,
			Scheduler: LocalityLeastConnectionReplication, Persistent: 5 * time.Minute, PMask: 26,
			Send: `HEAD /up HTTP/1.0\r\n\r\n`, Expect: "HTTP/1.[01] 200", UseRegex: true,
			SendProgram: "/opt/lb/probe %h %p", LoadMonitor: "ruptime",
			Timeout: 4 * time.Second, Reentry: 20 * time.Second, QuiesceServer: true, ClientMonitor: "/opt/lb/watch",
			Master: ip("192.0.2.21"), Dirs: []string{"/var/www", "/etc/httpd"},
			StartCmd: "/opt/lb/rc start", StopCmd: "/opt/lb/rc stop",
			Pos: Pos{34, 1},
			Servers: []Server{
				{Name: "one", Address: ip("10.1.0.21"), Active: true, Port: 9443, Weight: 3, Pos: Pos{59, 2}},
				{Name: "two", Address: Host{Name: "app2.example.net"}, Port: 8443, Weight: 0, Pos: Pos{65, 2}},
			},
		}},
	}
	got := loadFixture(t, "all-directives.cf")
	opts := []cmp.Option{cmpopts.IgnoreTypes(Origins{}), cmpopts.EquateComparable(netip.Addr{})}
	if diff := cmp.Diff(want, got, opts...); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if pos := got.Virtuals[0].Servers[0].Origins.Pos("weight"); pos != (Pos{63, 3}) {
		t.Errorf("weight stands at %v, want 63:3", pos)
	}

	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	back := &Config{Path: got.Path}
	if err := json.Unmarshal(text, back); err != nil {
		t.Fatal(err)
	}
	opts = append(opts, cmpopts.IgnoreTypes(Pos{}))
	if diff := cmp.Diff(got, back, opts...); diff != "" {
		t.Errorf("after JSON (-want +got):\n%s", diff)
	}
}

func TestTheSecondHeartbeatPathNeedsPrimaryPrivate(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		ok         bool
	}{
		{"both", "primary_private = 10.0.0.1\nbackup_private = 10.0.0.2\n", true},
		{"only the backup's", "backup_private = 10.0.0.2\n", false},
		{"only the primary's", "primary_private = 10.0.0.1\n", false},
		{"none", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, _ := strict.Parse("p.cf", []byte("primary = 192.0.2.1\nbackup = 192.0.2.2\nbackup_active = 1\n"+tt.text))
			cfg, _ := f.Config()
			p, b, ok := cfg.PrivatePath()
			if ok != tt.ok || ok && (p.String() != "10.0.0.1" || b.String() != "10.0.0.2") {
				t.Errorf("path %v %v %v, want %v", p, b, ok, tt.ok)
			}
		})
	}
}

func TestABackupWithoutAddressIsNone(t *testing.T) {
	cfg, ds := strict.Load("b.cf", []byte("backup_active = 1\nbackup = 0.0.0.0\nnetwork = direct\n"))
	if cfg == nil || cfg.BackupActive || !cfg.Backup.IsZero() {
		t.Fatalf("configuration %+v, %v", cfg, ds)
	}
	if !strings.Contains(ds[0].Message, "without a backup router") || ds[0].Line != 1 {
		t.Errorf("%v", ds)
	}
}

func TestABuiltConfigurationIsChecked(t *testing.T) {
	cfg := NewConfig()
	cfg.Network = Direct
	v := NewVirtual("built")
	v.Active = true
	s := NewServer("s", v.Port)
	s.Active = true
	v.Servers = []Server{s}
	cfg.Virtuals = []Virtual{v}
	var got []string
	for _, d := range cfg.Check() {
		got = append(got, d.Severity.String()+" "+d.Message)
	}
	want := []string{`error active service "built" has no address`, `error active server "s" has no address`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
}

func TestResolve(t *testing.T) {
	const text = `network = direct
primary = lb1
virtual a {
	active = 1
	address = vip eth0:1
	server s {
		address = app
		active = 1
	}
	server t {
		address = app
		active = 1
	}
	server u {
		address = gone
		active = 1
	}
	server v {
		address = six
	}
}
virtual b {
	active = 1
	address = 192.0.2.10 eth0:1
	server s {
		address = 192.0.2.22
		active = 1
	}
}
`
	cfg, ds := strict.Load("r.cf", []byte(text))
	if cfg == nil {
		t.Fatal(ds)
	}
	table := map[string]string{"lb1": "192.0.2.1", "vip": "::ffff:192.0.2.10", "app": "192.0.2.21", "six": "2001:db8::1"}
	asked := map[string]int{}
	ds = cfg.Resolve(func(name string) (netip.Addr, error) {
		asked[name]++
		if a, ok := table[name]; ok {
			return netip.ParseAddr(a)
		}
		return netip.Addr{}, errors.New("no such host")
	})
	if diff := cmp.Diff(map[string]int{"lb1": 1, "vip": 1, "app": 1, "gone": 1, "six": 1}, asked); diff != "" {
		t.Errorf("look-ups (-want +got):\n%s", diff)
	}
	var got []string
	for _, d := range ds {
		got = append(got, d.Pos.String()+" "+d.Message)
	}
	want := []string{
		`15:3 invalid argument: looking up host "gone": no such host`,
		`19:3 invalid argument: looking up host "six": 2001:db8::1 is no IPv4 address`,
		`24:2 address 192.0.2.10, port 80 and protocol tcp of service "b" belong to service "a" of line 3 already`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
	if h := cfg.Virtuals[0].Address; h.Name != "vip" || h.Addr.String() != "192.0.2.10" {
		t.Errorf("address %+v", h)
	}
	if h := cfg.Virtuals[0].Servers[2].Address; h.Name != "gone" || h.Addr.IsValid() || h.String() != "gone" {
		t.Errorf("address that is not found: %+v", h)
	}
}

func bigConfig(services, servers int) string {
	var b strings.Builder
	b.WriteString("network = direct\n")
	for i := range services {
		fmt.Fprintf(&b, "virtual v%d {\n\tactive = 1\n\taddress = 10.0.%d.%d eth0:1\n\tport = 80\n", i, i/250, 1+i%250)
		for j := range servers {
			fmt.Fprintf(&b, "\tserver s%d {\n\t\taddress = 10.1.%d.%d\n\t\tactive = 1\n\t\tweight = %d\n\t}\n", j, i%250, 1+j, 1+j)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func BenchmarkLoad1000x10(b *testing.B) {
	src := []byte(bigConfig(1000, 10))
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if cfg, ds := strict.Load("big.cf", src); cfg == nil || len(cfg.Virtuals) != 1000 {
			b.Fatal(ds)
		}
	}
}
