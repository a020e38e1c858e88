package director

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
	"github.com/lvskit/lvskit/lvscf"
)

const throughText = "service = lvs\nnetwork = direct\nprimary = 192.0.2.1\n"

func TestThroughVirtual(t *testing.T) {
	for name, tt := range map[string]struct {
		virtual, server, check string
		// kind and way begin and end the identity.
		kind, way, note string
	}{
		"direct": {
			virtual: "port = 80", check: "kind = http\npath = /up",
			kind: "http", way: "at 192.0.2.10:80 by direct routing to 192.0.2.21",
		},
		"the virtual port, whatever the server's": {
			virtual: "port = 443", check: "kind = tcp",
			kind: "tcp", way: "at 192.0.2.10:443 by direct routing to 192.0.2.21",
		},
		"a port of its own": {
			virtual: "port = 443", check: "kind = tcp\nport = 9000",
			kind: "tcp", way: "at 192.0.2.10:9000 by direct routing to 192.0.2.21",
		},
		"a firewall mark has the server's port": {
			virtual: "fwmark = 7\nport = 0", check: "kind = tcp",
			kind: "tcp", way: "at 192.0.2.10:80 by direct routing to 192.0.2.21",
		},
		"tunnel, from a source": {
			virtual: "port = 80", server: "forward = tunnel", check: "kind = tcp\nsource = 192.0.2.2",
			kind: "tcp source=192.0.2.2", way: "at 192.0.2.10:80 by ipip tunnel to 192.0.2.21",
		},
		"a mark of the file gives way": {
			virtual: "port = 80", check: "kind = tcp\nmark = 9",
			kind: "tcp", way: "at 192.0.2.10:80 by direct routing to 192.0.2.21", note: "mark has no effect with through = virtual",
		},
		"nat": {
			virtual: "port = 80\nforward = nat", check: "kind = tcp",
			kind: "tcp", note: "through = virtual has no effect with nat",
		},
		"ping": {
			virtual: "port = 80", check: "kind = ping",
			kind: "icmp size=56", note: "through = virtual has no effect with kind = ping",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := setupOf(t, throughText+virtual("web", tt.virtual+"\n"+
				realServer("one", "address = 192.0.2.21\nport = 80\n"+tt.server)+
				"check page {\n"+tt.check+"\nthrough = virtual\n}\n"))
			got := s.Services[0].Servers[0].Checker.Identity()
			if !strings.HasPrefix(got, tt.kind) || !strings.HasSuffix(got, tt.way) || tt.way == "" && strings.Contains(got, " at ") {
				t.Errorf("identity %q, want %q ... %q", got, tt.kind, tt.way)
			}
			noted := tt.note == "" || slices.ContainsFunc(s.Notes, func(n string) bool { return strings.Contains(n, tt.note) })
			if through := slices.ContainsFunc(s.Notes, func(n string) bool { return strings.Contains(n, "has no effect") }); through != (tt.note != "") || !noted {
				t.Errorf("notes %q, want one with %q", s.Notes, tt.note)
			}
		})
	}
}

// A mark of the range that the checks take would be removed from the table.
func TestReservedMarks(t *testing.T) {
	for mark, ok := range map[string]bool{"1280704511": true, "1280704512": false, "1280708607": false, "1280708608": true} {
		conf, _ := lvscf.Load("lvs.cf", []byte(throughText+virtual("web", "port = 80\nfwmark = "+mark+"\n")))
		if _, err := FromLVSCF(conf); (err == nil) != ok {
			t.Errorf("fwmark = %s: %v", mark, err)
		}
	}
}

// Without the kernel's table the servers are asked at their own addresses, and
// it is said.
func TestThroughVirtualNeedsTheKernel(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	at := netip.MustParseAddrPort(ln.Addr().String())
	s := setupOf(t, throughText+virtual("web", "port = 80\n"+
		realServer("one", "address = 127.0.0.1\nport = "+ln.Addr().String()[len("127.0.0.1:"):])+
		"check page {\nkind = tcp\nthrough = virtual\n}\n"))
	one := s.Services[0].Servers[0]
	if r := one.Checker.Check(t.Context(), health.Target{Addr: at}); r.Verdict != health.OK || r.Reason != "connect: accepted" {
		t.Errorf("%v, %q", r.Verdict, r.Reason)
	}
	for kind, want := range map[string]bool{KindUserspace: true, KindKernel: false} {
		cfg := Config{Dataplane: ipvstest.New(), DataplaneKind: kind}
		m, err := managePaths(&cfg)
		if err != nil {
			t.Fatal(err)
		}
		d := &Director{cfg: cfg, setup: s, paths: m}
		if d.closedPaths() != want {
			t.Errorf("data plane %s: the note is %v, want %v", kind, !want, want)
		}
		d.openPaths(s)
		if open := s.paths.manager.Load() != nil; open == want {
			t.Errorf("data plane %s: the checks have a manager: %v", kind, open)
		}
	}
}
