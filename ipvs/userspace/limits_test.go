package userspace

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/lvskit/lvskit/ipvs"
)

func TestReserveOfDescriptors(t *testing.T) {
	for _, tt := range []struct{ open, want int64 }{
		{0, 0}, {1, 1}, {64, 1}, {256, 192}, {1024, 896}, {65536, 64512}, {1 << 40, 1<<40 - 1024},
	} {
		var l limits
		l.watch(tt.open)
		if got := l.maxDescriptors.Load(); got != tt.want {
			t.Errorf("of %d descriptors %d may be used, want %d", tt.open, got, tt.want)
		}
	}
}

// Close to the limit of the process clients are refused, before anything
// fails for want of a descriptor.
func TestClientsAreRefusedBeforeDescriptorsRunOut(t *testing.T) {
	a, u := named(t, "a"), echoUDP(t, "u")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(a.addr, 1))
	us := udpService(t, b, "rr", dest(addrOf(u), 1))
	room := func(n int64) { b.limits.maxDescriptors.Store(b.limits.descriptors.Load() + n) }
	// housekeep looks at the process's own limit every two seconds, so what
	// is set here is set again until it was seen.
	eventually(t, "the client is reset", func() bool {
		room(descriptorsEach - 1)
		return isReset(fate(s))
	})
	eventually(t, "the datagram is dropped", func() bool {
		room(0)
		before := b.Counters().OutOfDescriptors
		dialUDP(t, us).Write([]byte("x"))
		eventually(t, "it has come", func() bool { return b.Counters() != Counters{} })
		return b.Counters().OutOfDescriptors > before
	})
	eventually(t, "no service is added", func() bool {
		room(0)
		err := b.Apply(t.Context(), []ipvs.Change{addService(ipvs.Service{Key: ipvs.TCPService(freePort(t, "tcp"))})})
		return errors.Is(err, syscall.EMFILE) && strings.Contains(err.Error(), "RLIMIT_NOFILE")
	})
	k := b.Counters()
	if k.OutOfDescriptors < 3 || k.AcceptErrors+k.ConnectErrors+k.LocalErrors != 0 {
		t.Errorf("counters %+v, want three refusals and no errors", k)
	}
	b.limits.watch(openFiles())
	if got := asks(t, s, 1) + exchange(t, dialUDP(t, us), ""); got != "au" {
		t.Errorf("with room again asked %q, want au", got)
	}
	for _, s := range []ipvs.Service{s, us} {
		apply(t, b, change(ipvs.OpDelService, s, ipvs.Destination{}))
	}
	eventually(t, "all is given back", func() bool {
		return b.limits.descriptors.Load() == 0 && b.limits.connections.Load() == 0
	})
}

// The bound of one service does not take from another.
func TestBoundsOfServices(t *testing.T) {
	b, err := New(&Config{MaxConnections: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	add := func(port uint16, most int) *service {
		s, err := newService(b, ipvs.Service{Key: ipvs.TCPService(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)), Scheduler: "rr"})
		if err != nil {
			t.Fatal(err)
		}
		s.opts.Store(b.cfg.options(ServiceConfig{MaxConnections: most}))
		return s
	}
	x, y := add(1, 2), add(2, 0)
	var got string
	for _, s := range []*service{x, x, x, y, y} {
		got += map[bool]string{true: "+", false: "-"}[b.admit(s)]
	}
	if got != "++-+-" {
		t.Errorf("admitted %s, want ++-+-: two of the first service, three in all", got)
	}
	if k := b.Counters(); k.ServiceFull != 1 || k.Saturated != 1 {
		t.Errorf("counters %+v, want one refusal of each", k)
	}
	b.leave(x)
	if !b.admit(y) || b.admit(y) {
		t.Error("one that left makes room for one")
	}
}
