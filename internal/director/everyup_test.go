package director

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
)

func TestTableOfASetupWithEveryServerUp(t *testing.T) {
	const text = `service = lvs
network = nat
virtual web {
	active = 1
	address = 192.0.2.10 eth0:1
	port = 80
	sorry_server = 10.0.0.9
	server a {
		address = 10.0.0.1
		active = 1
		weight = 2
	}
	server off {
		address = 10.0.0.2
	}
}
virtual idle {
	active = 0
	address = 192.0.2.11 eth0:2
	server a {
		address = 10.0.0.1
		active = 1
	}
}
virtual away {
	active = 1
	address = 192.0.2.12 eth0:3
	port = 81
	sorry_server = 10.0.0.9
	server a {
		address = 10.0.0.1
		active = 1
		weight = 0
	}
}
`
	s, err := Load(t.Context(), "lvs.cf", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort
	want := ipvs.Table{
		{
			Service:      ipvs.Service{Key: ipvs.TCPService(addr("192.0.2.10:80")), Scheduler: "wlc"},
			Destinations: []ipvs.Destination{{Key: addr("10.0.0.1:80"), Weight: 2}},
		},
		{
			Service: ipvs.Service{Key: ipvs.TCPService(addr("192.0.2.12:81")), Scheduler: "wlc"},
			// Nobody here takes clients, so the sorry server does.
			Destinations: []ipvs.Destination{{Key: addr("10.0.0.1:81")}, {Key: addr("10.0.0.9:81"), Weight: 1}},
		},
	}
	if diff := cmp.Diff(want, s.Table(), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadRefusesAWrongText(t *testing.T) {
	if s, err := Load(t.Context(), "name.cf", []byte("service = lvs\ncolour = blue\n")); err == nil || s != nil {
		t.Errorf("setup %v, error %v", s, err)
	} else if want := "name.cf:2:1: "; err.Error()[:len(want)] != want {
		t.Errorf("error %q, want it to begin with %q", err, want)
	}
}
