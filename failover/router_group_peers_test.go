//go:build linux && peers

package failover_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
)

// sides are the two networks of a balancer that translates addresses.
var sides = []struct {
	device, bridge string
	vrid           uint8
	vips           []netip.Prefix
}{
	{eth0, bridge, 51, prefixes("192.0.2.100/32")},
	{"eth1", "br1", 52, prefixes("198.51.100.100/32")},
}

// startGroup runs a group of ours with a router on each side.
func startGroup(t *testing.T, host *peer, priority uint8) (stop func()) {
	t.Helper()
	var routers []*failover.Router
	for _, s := range sides {
		c := failover.RouterConfig{
			VRID: s.vrid, Device: s.device, Interval: 100 * time.Millisecond, Priority: priority, Transport: failover.RawIP{Namespace: host.Path()},
		}
		var own []failover.VirtualAddress
		for _, p := range s.vips {
			c.Addresses = append(c.Addresses, p.Addr())
			own = append(own, failover.VirtualAddress{Prefix: p, Device: s.device})
		}
		var err error
		c.Owner, err = failover.NewAddresses(&failover.AddressesConfig{Addresses: own, Namespace: host.Path()})
		must(t, err)
		r, err := failover.NewRouter(&c)
		must(t, err)
		routers = append(routers, r)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%v: %+v", r, r.Status())
			}
		})
	}
	_, err := failover.NewGroup("both", routers...)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, r := range routers {
		all.Go(func() {
			if err := r.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); all.Wait() })
	t.Cleanup(stop)
	return stop
}

// A group of ours beside a sync group of keepalived: what befalls one side
// moves both, on either host.
func TestPeersKeepalivedSyncGroup(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.sw.Bridge(sides[1].bridge)
	theirs, mine := w.host("theirs", "192.0.2.1/24"), w.host("mine", "192.0.2.2/24")
	for i, p := range []*peer{theirs, mine} {
		port := "b-" + p.Name()
		w.Veth(p.Namespace, sides[1].device, w.sw, port)
		w.sw.Attach(port, sides[1].bridge)
		p.Addr(sides[1].device, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}), 24))
	}
	text := "vrrp_sync_group both {\n group {\n front\n back\n }\n}\n"
	for i, name := range []string{"front", "back"} {
		text += keepalivedInstance(name, sides[i].device, int(sides[i].vrid), "version 3\n advert_int 0.1", sides[i].vips)
	}
	k := keepalivedOf(t, theirs, text)
	vips := append(sides[0].vips[:1:1], sides[1].vips...)
	// Each is with one host alone, and all with the same.
	all := func(what string, at, other *peer) {
		t.Helper()
		took := within(t, patience, what, func() bool {
			return at.holds(vips) && !other.holds(vips[:1]) && !other.holds(vips[1:])
		})
		t.Logf("%s: %v", what, took.Round(time.Millisecond))
	}
	k.start()
	all("keepalived alone", theirs, mine)
	stop := startGroup(t, mine, 50)
	time.Sleep(time.Second)
	all("ours is backup", theirs, mine)
	w.sw.Down("b-theirs")
	all("the back of keepalived breaks", mine, theirs)
	w.sw.Up("b-theirs")
	all("it is mended", theirs, mine)
	stop()

	stop = startGroup(t, mine, 150)
	all("ours preempts", mine, theirs)
	w.sw.Down("b-mine")
	all("the back of ours breaks", theirs, mine)
	w.sw.Up("b-mine")
	all("it is mended", mine, theirs)
	stop()
	all("ours stops", theirs, mine)
}
