package failover

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// idleConn has packets that nobody reads before he is told to.
type idleConn struct {
	source  netip.Addr
	packets []AdvertPacket
}

func (c *idleConn) Source() netip.Addr            { return c.source }
func (c *idleConn) Wait() error                   { return nil }
func (c *idleConn) Send([]byte, netip.Addr) error { return nil }
func (c *idleConn) Check() error                  { return nil }
func (c *idleConn) Close() error                  { return nil }

func (c *idleConn) Receive([]byte) (p AdvertPacket, ok bool, err error) {
	if len(c.packets) == 0 {
		return p, false, nil
	}
	p, c.packets = c.packets[0], c.packets[1:]
	return p, true, nil
}

// A group that is about to become active has read what came for any of its
// members, also for those that are ready.
func TestGroupReadsWhatCameForAReadyMember(t *testing.T) {
	for _, unread := range []bool{false, true} {
		t.Run(fmt.Sprintf("unread %v", unread), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { readsForReady(t, unread) }) })
	}
}

func readsForReady(t *testing.T, unread bool) {
	better := netip.MustParseAddr("192.0.2.9")
	var routers []*Router
	var conns []*idleConn
	for i := range 2 {
		r, err := NewRouter(&RouterConfig{
			VRID: 1, Device: fmt.Sprintf("eth%d", i), Priority: 100, Interval: time.Second,
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.100")},
		})
		if err != nil {
			t.Fatal(err)
		}
		c := &idleConn{source: netip.MustParseAddr("192.0.2.1")}
		r.conn = c
		routers, conns = append(routers, r), append(conns, c)
	}
	if _, err := NewGroup("vips", routers...); err != nil {
		t.Fatal(err)
	}
	ready, other := routers[0], routers[1]
	heard := func(priority uint8) vrrp.Event {
		return vrrp.Event{Kind: vrrp.EventHeard, Source: better, Priority: priority, Interval: time.Second, At: other.clock()}
	}
	ready.mu.Lock()
	defer ready.mu.Unlock()
	for _, r := range routers {
		r.step(vrrp.Event{Kind: vrrp.EventStart}, r.clock())
	}
	time.Sleep(3900 * time.Millisecond)
	other.step(heard(200), other.clock())
	ready.step(vrrp.Event{Kind: vrrp.EventTick}, ready.clock())
	if !ready.machine.Ready() || ready.role == RoleActive {
		t.Fatalf("ready %v, %v", ready.machine.Ready(), ready.role)
	}
	if unread {
		path := vrrp.Path{Source: better, Destination: vrrp.Group(false)}
		payload, err := vrrp.Append(nil, &vrrp.Advert{
			Version: 3, VRID: 1, Priority: 200, Interval: time.Second, Addrs: ready.cfg.Addresses,
		}, path, vrrp.WithPseudoHeader)
		if err != nil {
			t.Fatal(err)
		}
		conns[0].packets = []AdvertPacket{{Payload: payload, Source: path.Source, Destination: path.Destination, TTL: vrrp.TTL}}
	}
	other.step(heard(vrrp.PriorityStop), other.clock())
	time.Sleep(other.machine.Skew())
	other.step(vrrp.Event{Kind: vrrp.EventTick}, other.clock())
	for _, r := range routers {
		if active := r.role == RoleActive; active == unread {
			t.Errorf("%s is %v", r, r.role)
		}
	}
}
