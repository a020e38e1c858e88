package director

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/vrrp"
	"github.com/lvskit/lvskit/lvscf"
)

// vrrpBlock is a vrrp block of vrid 51 and so on.
func vrrpBlock(name, lines string) string {
	return "vrrp " + name + " {\n" + lines + "\n}\n"
}

// twoSides is a file with a router for each side of the director.
const twoSides = "failover_mode = vrrp\nprimary = 192.0.2.1\nbackup = 192.0.2.2\nbackup_active = 1\nnetwork = nat\nnat_router = 10.0.0.254 eth1:1\nnat_nmask = 255.255.255.0\n"

func TestSetupOfRouters(t *testing.T) {
	s := setupOf(t, twoSides+"floating_address = 198.51.100.1/32 eth7\n"+
		vrrpBlock("outside", "interface = eth0\nvrid = 51\npriority = 150\nbackup_priority = 100\nadvert_interval = 100ms\ndown_adverts = 2\npreempt = 0\naddress = 192.0.2.11/24 eth0\naddress = 2001:db8::11/64 eth0\nchecksum = message")+
		vrrpBlock("inside", "interface = eth1\nvrid = 52\nunicast_peer = 10.0.0.1\nunicast_peer = 10.0.0.2")+
		virtual("web", realServer("a", "address = 10.0.0.3"))+
		"virtual dns {\nactive = 1\naddress = 10.0.0.53 eth1\nport = 53\nprotocol = udp\n"+realServer("a", "address = 10.0.0.3")+"}\n"+
		"virtual other {\nactive = 1\nvrrp = inside\naddress = 192.0.2.99 eth9\nport = 80\n"+realServer("a", "address = 10.0.0.3")+"}\n")
	var moves []string
	for _, v := range s.Services {
		moves = append(moves, v.Name+" with "+v.Router)
	}
	if diff := cmp.Diff([]string{"web with outside", "dns with inside", "other with inside"}, moves); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	a := func(prefix, device, label string) failover.VirtualAddress {
		return failover.VirtualAddress{Prefix: netip.MustParsePrefix(prefix), Device: device, Label: label}
	}
	outside, inside := s.Routers[0], s.Routers[1]
	for _, tt := range []struct {
		name      string
		want, got []failover.VirtualAddress
	}{
		{"those of the block, of its services, and what belongs nowhere else", []failover.VirtualAddress{
			a("192.0.2.11/24", "eth0", ""), a("2001:db8::11/64", "eth0", ""), a("192.0.2.10/32", "eth0", "eth0:1"), a("198.51.100.1/32", "eth7", ""),
		}, outside.Addresses},
		{"of its services, and the gateway of the servers", []failover.VirtualAddress{
			a("10.0.0.53/32", "eth1", ""), a("192.0.2.99/32", "eth9", ""), a("10.0.0.254/24", "eth1", "eth1:1"),
		}, inside.Addresses},
		{"with heartbeats", nil, s.Addresses},
	} {
		if diff := cmp.Diff(tt.want, tt.got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("addresses, %s (-want +got):\n%s", tt.name, diff)
		}
	}
	ip := netip.MustParseAddr
	want := failover.RouterConfig{
		VRID: 51, Device: "eth0", Version: 3, Priority: 150, Interval: 100 * time.Millisecond, DownAdverts: 2, NoPreempt: true, Checksum: vrrp.MessageOnly,
		Addresses: []netip.Addr{ip("192.0.2.11"), ip("192.0.2.10"), ip("198.51.100.1")},
	}
	if diff := cmp.Diff(want, outside.Config, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("the router outside (-want +got):\n%s", diff)
	}

	// The same file makes two different routers of a pair.
	local := func(as ...string) func() ([]netip.Addr, error) {
		return func() (out []netip.Addr, err error) {
			for _, a := range as {
				out = append(out, ip(a))
			}
			return out, nil
		}
	}
	for _, tt := range []struct {
		here     []string
		identity string
		priority uint8
		peer     string
	}{
		{[]string{"192.0.2.1", "10.0.0.1"}, IdentityPrimary, 150, "10.0.0.2"},
		{[]string{"192.0.2.2", "10.0.0.2"}, IdentityBackup, 100, "10.0.0.1"},
	} {
		routers, identity, err := s.Elect(PairOptions{Local: local(tt.here...)})
		if err != nil {
			t.Fatal(err)
		}
		in := routers[1]
		if identity != tt.identity || routers[0].Priority != tt.priority || in.Priority != 100 || len(in.Peers) != 1 || in.Peers[0] != ip(tt.peer) || in.Source.String() != tt.here[1] {
			t.Errorf("on %v: %s, priority %d, inside priority %d from %v to %v", tt.here, identity, routers[0].Priority, in.Priority, in.Source, in.Peers)
		}
	}
	if _, _, err := s.Elect(PairOptions{Local: local("192.0.2.77")}); err == nil || !strings.Contains(err.Error(), "--role") {
		t.Errorf("a machine with neither address, and priorities that differ by it: %v", err)
	}
	if _, _, err := s.Elect(PairOptions{Role: IdentityBackup, Local: local("10.0.0.1", "10.0.0.2")}); err == nil || !strings.Contains(err.Error(), "lvs.cf:") || !strings.Contains(err.Error(), "unicast_peer") {
		t.Errorf("no peer but itself: %v", err)
	}
}

func TestSetupOfRoutersIPv6(t *testing.T) {
	s := setupOf(t, "failover_mode = vrrp\nnetwork = direct\n"+
		vrrpBlock("six", "interface = eth0\nvrid = 6\naddress = 2001:db8::11/64 eth0\naddress = fe80::11/64 eth0")+
		"virtual web {\nactive = 1\naddress = 2001:db8::10 eth0\nport = 80\n"+realServer("a", "address = 2001:db8::21")+"}\n")
	if got := s.Routers[0].Config.Addresses; len(got) != 3 || got[0].String() != "fe80::11" {
		t.Errorf("adverts tell %v, want the link-local address first", got)
	}
}

// What the director refuses in a file for VRRP names the place and the cure.
func TestSetupOfRoutersRefuses(t *testing.T) {
	web := virtual("web", realServer("a", "address = 10.0.0.3"))
	one := "interface = eth0\nvrid = 51\n"
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"no block", web, []string{"lvs.cf:1:1", "write one with interface and vrid"}},
		{"half a block", vrrpBlock("r", "interface = eth0") + web, []string{"lvs.cf:3:1: vrrp r", "write both"}},
		{"two blocks of one name", vrrpBlock("r", one) + vrrpBlock("r", "interface = eth1\nvrid = 7") + web, []string{"lvs.cf:8:1: vrrp r", "another name"}},
		{"a service with two", vrrpBlock("a", one+"address = 192.0.2.1/24 eth0") + vrrpBlock("b", "interface = eth0\nvrid = 7\naddress = 192.0.2.2/24 eth0") + web, []string{"lvs.cf:13:1: virtual web", "2 vrrp blocks", "vrrp = NAME"}},
		{"a service with one that is not there", vrrpBlock("a", one) + "virtual web {\nactive = 1\nvrrp = nope\naddress = 192.0.2.10 eth0\nport = 80\n" + realServer("a", "address = 10.0.0.3") + "}\n", []string{"lvs.cf:10:1: virtual web", `no vrrp block "nope"`, "name one of a"}},
		{"a block without an address", vrrpBlock("a", one) + vrrpBlock("b", "interface = eth1\nvrid = 7") + web, []string{"lvs.cf:8:1: vrrp b", "no address", "vrrp = b"}},
		{"one address in two blocks", vrrpBlock("a", one) + vrrpBlock("b", "interface = eth1\nvrid = 7\naddress = 192.0.2.10/32 eth0") + web, []string{"lvs.cf:8:1: vrrp b", "192.0.2.10 moves with vrrp a", "the same vrrp block"}},
		{"IPv6 without a link-local address", vrrpBlock("a", one+"address = 2001:db8::1/64 eth0\nunicast_source = fe80::1") + web, []string{"lvs.cf:3:1: vrrp a", "link-local"}},
		{"version 2 in fractions", vrrpBlock("a", one+"version = 2\nadvert_interval = 500ms") + web, []string{"lvs.cf:3:1: vrrp a", "multiples of 1s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conf, diags := lvscf.Load("lvs.cf", []byte("failover_mode = vrrp\nnetwork = direct\n"+tt.text))
			err := diags.Err()
			if err == nil {
				_, err = FromLVSCF(conf)
			}
			if err == nil {
				t.Fatal("it is taken")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestSecretsOfRouters(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	long := strings.Repeat("k", 40)
	for _, tt := range []struct {
		name, lines, path string
		want              string
	}{
		{"a password", "version = 2\nauth = password", file("password", "s3cret\nnot this\n", 0o600), ""},
		{"a key", "auth = hmac", file("key", long+"\n", 0o600), ""},
		{"a password with version 3", "auth = password", file("p3", "s3cret\n", 0o600), "version"},
		{"a password that is too long", "version = 2\nauth = password", file("long", long, 0o600), "at most 8"},
		{"a key that is too short", "auth = hmac", file("short", "abc\n", 0o600), "too few, at least 32: make one"},
		{"a key for everybody", "auth = hmac", file("open", long, 0o644), "chmod 600"},
		{"no file", "auth = hmac", filepath.Join(dir, "none"), "no such file or directory: make one"},
		{"no name of a file", "version = 2\nauth = password", "", "no file of the password is named: write"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.path != "" {
				tt.lines += "\nkey_file = " + tt.path
			}
			s := setupOf(t, "failover_mode = vrrp\nnetwork = direct\n"+vrrpBlock("r", "interface = eth0\nvrid = 51\n"+tt.lines)+virtual("web", realServer("a", "address = 10.0.0.3")))
			routers, _, err := s.Elect(PairOptions{Local: func() ([]netip.Addr, error) { return nil, nil }})
			if err == nil {
				_, err = failover.NewRouter(&routers[0])
			}
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// A router that does not accept is one of gateways.
func TestSetupOfRoutersThatDoNotAccept(t *testing.T) {
	s := setupOf(t, "failover_mode = vrrp\nnetwork = nat\n"+
		vrrpBlock("front", "interface = eth0\nvrid = 1\naddress = 192.0.2.11/24 eth0")+
		vrrpBlock("back", "interface = eth1\nvrid = 2\naddress = 10.0.0.254/24 eth1\naccept = 0"))
	if s.Routers[0].Config.NoAccept || !s.Routers[1].Config.NoAccept {
		t.Errorf("front %v, back %v", s.Routers[0].Config.NoAccept, s.Routers[1].Config.NoAccept)
	}
	if notes := strings.Join(s.Notes, "\n"); strings.Count(notes, "accept = 0 drops what comes for its addresses") != 1 {
		t.Errorf("notes:\n%s", notes)
	}
}
