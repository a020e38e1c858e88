package failover_test

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
)

// deafening is UDP that can be silenced, as by a power cut.
type deafening struct{ off atomic.Bool }

type deafConn struct {
	failover.PacketConn
	d *deafening
}

func (d *deafening) Listen(ctx context.Context, local netip.AddrPort) (failover.PacketConn, error) {
	c, err := failover.UDP{}.Listen(ctx, local)
	if err != nil {
		return nil, err
	}
	return deafConn{c, d}, nil
}

func (c deafConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if c.d.off.Load() {
		return len(b), nil
	}
	return c.PacketConn.WriteToUDPAddrPort(b, to)
}

// freePorts returns loopback addresses that were free a moment ago.
func freePorts(t *testing.T, n int) (out []netip.AddrPort) {
	t.Helper()
	for range n {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		out = append(out, c.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	return out
}

func TestPairOverRealUDP(t *testing.T) {
	ports := freePorts(t, 4)
	make1 := func(i int) (*side, *deafening) {
		d := &deafening{}
		s := &side{Recorder: new(failovertest.Recorder)}
		s.cfg = failover.Config{
			Primary: i == 0, Key: key, Interval: 50 * time.Millisecond, DeadAfter: 300 * time.Millisecond,
			Digest: [32]byte{byte(1 + i)},
			Channels: []failover.Channel{
				{Name: "public", Local: ports[i], Peer: ports[1-i]},
				{Name: "private", Local: ports[2+i], Peer: ports[3-i]},
			},
			Owner: s.Recorder, OnRole: s.OnRole, OnEvent: s.OnEvent, Transport: d,
		}
		s.start(t)
		t.Cleanup(func() { s.stop(t) })
		return s, d
	}
	const patience = 10 * time.Second
	a, cutA := make1(0)
	b, _ := make1(1)
	within(t, patience, "one active", func() bool {
		return a.role() == failover.RoleActive && b.role() == failover.RoleBackup && b.node.Status().Partner.Hears
	})

	tell(t, a, 1, document('a', 3))
	tell(t, b, 2, document('b', 2))
	within(t, patience, "each knows the other's document", func() bool {
		return told(a, document('b', 2))() && told(b, document('a', 3))()
	})

	cutA.off.Store(true)
	a.stop(t)
	took := within(t, patience, "the backup takes over", func() bool { return b.node.Status().Serving })
	t.Logf("killed: taken over after %v", took)

	cutA.off.Store(false)
	a.start(t)
	within(t, patience, "the primary is back as backup", func() bool {
		return a.role() == failover.RoleBackup && b.node.Status().Partner.Alive
	})
	if b.role() != failover.RoleActive {
		t.Errorf("failed back: %v", b.role())
	}

	if err := b.node.Yield(); err != nil {
		t.Fatal(err)
	}
	took = within(t, patience, "the primary takes what was yielded", func() bool {
		return a.node.Status().Serving && b.role() == failover.RoleBackup
	})
	t.Logf("yielded: taken over after %v", took)

	begin := time.Now()
	a.stop(t)
	within(t, patience, "the backup takes over", func() bool { // it may serve still, for a moment after the yield
		st := b.node.Status()
		return st.Role == failover.RoleActive && st.Serving
	})
	t.Logf("left: taken over after %v", time.Since(begin))
	if r := b.node.Status().Reason; r != "the partner is stopping" {
		t.Errorf("reason %q", r)
	}
}

// An address that is not there yet is waited for, not an error.
func TestAnAddressThatIsNotThereIsReportedAndRetried(t *testing.T) {
	s := &side{Recorder: new(failovertest.Recorder)}
	s.cfg = failover.Config{
		Key: key, Interval: 20 * time.Millisecond, OnEvent: s.OnEvent,
		Channels: []failover.Channel{{Name: "public", Local: netip.MustParseAddrPort("192.0.2.77:53900"), Peer: netip.MustParseAddrPort("192.0.2.78:53900")}},
	}
	s.start(t)
	defer s.stop(t)
	within(t, 10*time.Second, "trouble is told", func() bool { return s.Count(failover.EventChannelTrouble) > 0 })
	time.Sleep(200 * time.Millisecond)
	if st := s.node.Status(); st.Role != failover.RoleInit || st.Channels[0].Error == "" {
		t.Errorf("status %+v; a blind node must not take over", st)
	}
}
