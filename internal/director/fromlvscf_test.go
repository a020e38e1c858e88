package director

import (
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/lvscf"
)

func setupOf(t *testing.T, text string) *Setup {
	t.Helper()
	conf, diags := lvscf.Load("lvs.cf", []byte(text))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	s, err := FromLVSCF(conf)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// virtual is an active virtual block with an address.
func virtual(name, lines string) string {
	return "virtual " + name + " {\nactive = 1\naddress = 192.0.2.10 eth0:1\n" + lines + "\n}\n"
}

func realServer(name, lines string) string {
	return "server " + name + " {\nactive = 1\n" + lines + "\n}\n"
}

func TestSetupServices(t *testing.T) {
	type want struct {
		service ipvs.Service
		dests   []ipvs.Destination
		targets []string
		sorry   []ipvs.Destination
		notes   string
	}
	d := func(a string, w int, f ipvs.ForwardMethod) ipvs.Destination {
		return ipvs.Destination{Key: addr(a), Weight: w, Forward: f}
	}
	sorry := d("10.0.0.9:80", 1, ipvs.DirectRoute)
	tests := []struct {
		name, text string
		want       want
	}{
		{
			"NAT rewrites the port",
			"network = nat\nnat_router = 10.0.0.254 eth1:1\n" + virtual("web", "port = 80\nscheduler = rr\n"+realServer("a", "address = 10.0.0.1\nport = 8080\nweight = 5")),
			want{
				service: ipvs.Service{Key: ipvs.TCPService(addr("192.0.2.10:80")), Scheduler: "rr"},
				dests:   []ipvs.Destination{d("10.0.0.1:8080", 5, ipvs.Masquerade)}, targets: []string{"10.0.0.1:8080"},
			},
		},
		{
			"direct routing cannot rewrite it",
			"network = direct\n" + virtual("web", "port = 80\n"+realServer("a", "address = 10.0.0.1\nport = 8080")),
			want{
				service: ipvs.Service{Key: ipvs.TCPService(addr("192.0.2.10:80")), Scheduler: "wlc"},
				dests:   []ipvs.Destination{d("10.0.0.1:80", 1, ipvs.DirectRoute)}, targets: []string{"10.0.0.1:8080"},
				notes: "port 8080 of server a: without NAT its packets arrive at port 80: the port is only checked",
			},
		},
		{
			"UDP, persistence and its mask",
			"network = tunnel\n" + virtual("dns", "port = 53\nprotocol = udp\npersistent = 60\npmask = 255.255.255.0\n"+realServer("a", "address = 10.0.0.1")),
			want{
				service: ipvs.Service{Key: ipvs.UDPService(addr("192.0.2.10:53")), Scheduler: "wlc", Persistence: time.Minute, PersistencePrefix: 24},
				dests:   []ipvs.Destination{d("10.0.0.1:53", 1, ipvs.Tunnel)}, targets: []string{"10.0.0.1:53"},
			},
		},
		{
			"a mask without persistence means nothing",
			"network = direct\n" + virtual("web", "pmask = 255.255.255.0\n"+realServer("a", "address = 10.0.0.1")),
			want{
				service: ipvs.Service{Key: ipvs.TCPService(addr("192.0.2.10:80")), Scheduler: "wlc"},
				dests:   []ipvs.Destination{d("10.0.0.1:80", 1, ipvs.DirectRoute)}, targets: []string{"10.0.0.1:80"},
			},
		},
		{
			"a firewall mark keeps the ports of its connections",
			"network = direct\n" + virtual("all", "fwmark = 7\nport = 443\n"+realServer("a", "address = 10.0.0.1")),
			want{
				service: ipvs.Service{Key: ipvs.MarkService(7), Scheduler: "wlc"},
				dests:   []ipvs.Destination{d("10.0.0.1:0", 1, ipvs.DirectRoute)}, targets: []string{"10.0.0.1:443"},
			},
		},
		{
			"a sorry server",
			"network = direct\n" + virtual("web", "sorry_server = 10.0.0.9\n"+realServer("a", "address = 10.0.0.1")),
			want{
				service: ipvs.Service{Key: ipvs.TCPService(addr("192.0.2.10:80")), Scheduler: "wlc"},
				dests:   []ipvs.Destination{d("10.0.0.1:80", 1, ipvs.DirectRoute)}, targets: []string{"10.0.0.1:80"}, sorry: []ipvs.Destination{sorry},
			},
		},
		{
			"a sorry server that is a server already",
			"network = direct\n" + virtual("web", "sorry_server = 10.0.0.1\n"+realServer("a", "address = 10.0.0.1")),
			want{
				service: ipvs.Service{Key: ipvs.TCPService(addr("192.0.2.10:80")), Scheduler: "wlc"},
				dests:   []ipvs.Destination{d("10.0.0.1:80", 1, ipvs.DirectRoute)}, targets: []string{"10.0.0.1:80"},
				notes: "the sorry server: it is the same destination as server a",
			},
		},
		{
			"servers of one name and servers of one address",
			"network = direct\n" + virtual("web", realServer("a", "address = 10.0.0.1")+realServer("a", "address = 10.0.0.2")+realServer("c", "address = 10.0.0.1")),
			want{
				service: ipvs.Service{Key: ipvs.TCPService(addr("192.0.2.10:80")), Scheduler: "wlc"},
				dests:   []ipvs.Destination{d("10.0.0.1:80", 1, ipvs.DirectRoute), d("10.0.0.2:80", 1, ipvs.DirectRoute)},
				targets: []string{"10.0.0.1:80", "10.0.0.2:80"}, notes: "server c: it is the same destination as server a, and the table has each once: it is left out",
			},
		},
		{
			"inactive servers are left out",
			"network = direct\n" + virtual("web", realServer("a", "address = 10.0.0.1")+"server b {\naddress = 10.0.0.2\n}\n"),
			want{
				service: ipvs.Service{Key: ipvs.TCPService(addr("192.0.2.10:80")), Scheduler: "wlc"},
				dests:   []ipvs.Destination{d("10.0.0.1:80", 1, ipvs.DirectRoute)}, targets: []string{"10.0.0.1:80"},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := setupOf(t, tt.text)
			if len(s.Services) != 1 {
				t.Fatalf("%d services, want 1", len(s.Services))
			}
			v := s.Services[0]
			got := want{service: v.Service, notes: tt.want.notes}
			for _, r := range v.Sorry {
				got.sorry = append(got.sorry, r.Destination)
			}
			for _, r := range v.Servers {
				got.dests = append(got.dests, r.Destination)
				got.targets = append(got.targets, r.Target.Addr.String())
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(want{}), cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("setup (-want +got):\n%s", diff)
			}
			if notes := strings.Join(s.Notes, "\n"); !strings.Contains(notes, tt.want.notes) || tt.want.notes == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, tt.want.notes)
			}
		})
	}
}

func TestSetupPolicyIsNannys(t *testing.T) {
	s := setupOf(t, "network = direct\n"+virtual("web", "timeout = 6\nreentry = 15\n"+realServer("a", "address = 10.0.0.1")))
	p := s.Services[0].Servers[0].Policy
	if p.Interval != 6*time.Second || p.Timeout != 6*time.Second || p.Fall != 1 || p.Rise != 2 {
		t.Errorf("policy %+v, want every 6 s, one failure down, 15/6 = 2 good answers up", p)
	}
	s = setupOf(t, "network = direct\n"+virtual("web", "timeout = 20\nreentry = 15\n"+realServer("a", "address = 10.0.0.1")))
	if p := s.Services[0].Servers[0].Policy; p.Rise != 1 {
		t.Errorf("rise %d, want at least one good answer", p.Rise)
	}
}

func TestSetupAddresses(t *testing.T) {
	s := setupOf(t, `primary = 192.0.2.1
network = nat
nat_router = 10.0.0.254 eth1:1
nat_nmask = 255.255.255.0
`+virtual("web", realServer("a", "address = 10.0.0.1"))+
		"virtual tls {\nactive = 1\naddress = 192.0.2.10 eth9:9\nport = 443\n"+realServer("a", "address = 10.0.0.1")+"}\n"+
		"virtual own {\nactive = 1\naddress = 192.0.2.1 eth0\nport = 25\n"+realServer("a", "address = 10.0.0.1")+"}\n"+
		"virtual bare {\nactive = 1\naddress = 192.0.2.11 eth0\nvip_nmask = 255.255.255.0\nport = 25\n"+realServer("a", "address = 10.0.0.1")+"}\n")
	want := []failover.VirtualAddress{
		{Prefix: netip.MustParsePrefix("192.0.2.10/32"), Device: "eth0", Label: "eth0:1"},
		{Prefix: netip.MustParsePrefix("192.0.2.11/24"), Device: "eth0"},
		{Prefix: netip.MustParsePrefix("10.0.0.254/24"), Device: "eth1", Label: "eth1:1"},
	}
	if diff := cmp.Diff(want, s.Addresses, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if !strings.Contains(strings.Join(s.Notes, "\n"), "192.0.2.1 is a router's own address") {
		t.Errorf("no note about the router's own address in %q", s.Notes)
	}
}

func TestSetupSaysWhatHasNoEffect(t *testing.T) {
	s := setupOf(t, "network = direct\nmonitor_links = 1\nprimary = 192.0.2.1\nbackup = 192.0.2.2\nbackup_active = 1\nkeepalive = 30\ndeadtime = 18\n"+
		virtual("web", realServer("a", "address = 10.0.0.1")))
	notes := strings.Join(s.Notes, "\n")
	for _, want := range []string{"deadtime 18s"} {
		if !strings.Contains(notes, want) {
			t.Errorf("nothing is said about %s in:\n%s", want, notes)
		}
	}
	if s.Heartbeat.Interval != 6*time.Second || s.Heartbeat.DeadAfter != 18*time.Second {
		t.Errorf("heartbeat every %v, dead after %v; want 6 s and 18 s", s.Heartbeat.Interval, s.Heartbeat.DeadAfter)
	}
}

func TestDigestIsOfTheMeaning(t *testing.T) {
	base := "serial_no = 1\nnetwork = direct\n" + virtual("web", realServer("a", "address = 10.0.0.1"))
	same := "# a comment\nserial_no = 9\n\nnetwork  =  direct\n" + virtual("web", realServer("a", "weight = 1\naddress = 10.0.0.1"))
	other := "serial_no = 1\nnetwork = direct\n" + virtual("web", realServer("a", "address = 10.0.0.1\nweight = 2"))
	a, b, c := setupOf(t, base).Digest, setupOf(t, same).Digest, setupOf(t, other).Digest
	if a != b {
		t.Error("a comment, the order or the serial number changes the digest")
	}
	if a == c {
		t.Error("a weight does not change the digest")
	}
}

func pairText(private string) string {
	return "primary = 192.0.2.1\nbackup = 192.0.2.2\nbackup_active = 1\nheartbeat_port = 1539\nkeepalive = 2\ndeadtime = 6\nnetwork = direct\n" + private +
		virtual("web", realServer("a", "address = 10.0.0.1"))
}

func TestPair(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte("0123456789abcdef0123\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	private := "primary_private = 10.9.0.1\nbackup_private = 10.9.0.2\n"
	local := func(as ...string) func() ([]netip.Addr, error) {
		return func() ([]netip.Addr, error) {
			var out []netip.Addr
			for _, a := range as {
				out = append(out, netip.MustParseAddr(a))
			}
			return out, nil
		}
	}
	channels := func(c failover.Config) (s []string) {
		for _, ch := range c.Channels {
			s = append(s, ch.Name+" "+ch.Local.String()+" "+ch.Peer.String())
		}
		return s
	}

	c, id, err := setupOf(t, pairText(private)).Pair(PairOptions{Role: "auto", KeyFile: key, Local: local("127.0.0.1", "10.9.0.2", "192.0.2.2")})
	if err != nil || id != IdentityBackup || c.Primary {
		t.Fatalf("by address: %q, primary %v, %v; want the backup", id, c.Primary, err)
	}
	want := []string{"public 192.0.2.2:1539 192.0.2.1:1539", "private 10.9.0.2:1539 10.9.0.1:1539"}
	if diff := cmp.Diff(want, channels(c)); diff != "" {
		t.Errorf("channels (-want +got):\n%s", diff)
	}
	if string(c.Keys[0].Secret) != "0123456789abcdef0123" || c.Interval != 2*time.Second || c.DeadAfter != 6*time.Second {
		t.Errorf("key %q, every %v, dead after %v", c.Keys[0].Secret, c.Interval, c.DeadAfter)
	}

	c, id, err = setupOf(t, pairText("")).Pair(PairOptions{Role: "primary", KeyFile: key})
	if err != nil || id != IdentityPrimary || !c.Primary || len(c.Channels) != 1 {
		t.Errorf("by word: %q with %d channels, %v", id, len(c.Channels), err)
	}
	lone := setupOf(t, "network = direct\n"+virtual("web", realServer("a", "address = 10.0.0.1")))
	c, id, err = lone.Pair(PairOptions{Role: "auto", KeyFile: "/nowhere", Local: local()})
	if err != nil || id != IdentityAlone || len(c.Channels) != 0 {
		t.Errorf("alone: %q with %d channels, %v; it needs no key", id, len(c.Channels), err)
	}

	open := filepath.Join(dir, "open")
	short := filepath.Join(dir, "short")
	if err := os.WriteFile(short, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(open, []byte("0123456789abcdef0123\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		o      PairOptions
		setup  *Setup
		reason string
	}{
		{"neither address", PairOptions{KeyFile: key, Local: local("10.1.1.1")}, nil, "neither the primary's address"},
		{"both addresses", PairOptions{KeyFile: key, Local: local("192.0.2.1", "192.0.2.2")}, nil, "addresses of both routers"},
		{"an unknown role", PairOptions{Role: "boss", KeyFile: key, Local: local()}, nil, "want auto, primary or backup"},
		{"no key", PairOptions{Role: "primary", KeyFile: filepath.Join(dir, "none")}, nil, "make one with"},
		{"a short key", PairOptions{Role: "primary", KeyFile: short}, nil, "at least 16"},
		{"a key for all to read", PairOptions{Role: "primary", KeyFile: open}, nil, "chmod 600"},
		{"a folder for a key", PairOptions{Role: "primary", KeyFile: dir}, nil, "not a regular file"},
		{"a backup without a pair", PairOptions{Role: "backup", KeyFile: key}, lone, "backup_active is 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.o.KeyFile == open && runtime.GOOS == "windows" {
				t.Skip("Windows has no modes of files")
			}
			s := tt.setup
			if s == nil {
				s = setupOf(t, pairText(private))
			}
			if _, _, err := s.Pair(tt.o); err == nil || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("error %v, want one with %q", err, tt.reason)
			}
		})
	}
}

func TestMissingIncludeHasOneCure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lvs.cf")
	if err := os.WriteFile(path, []byte("include = gone.cf\ninclude = .\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := LoadFile(t.Context(), path)
	if err == nil {
		t.Fatal("the file is taken")
	}
	for _, want := range []string{"cannot be read: no such file or directory: mend the name, or let the file be read [", "cannot be read: is a directory: mend the name, or let the file be read ["} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
}
