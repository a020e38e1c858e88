//go:build linux && netns

package failover_test

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
)

// virtualRouter starts a router of ours with a virtual MAC.
func virtualRouter(t *testing.T, host *peer, priority uint8, vips ...string) (*failover.Router, *failovertest.Recorder, func()) {
	t.Helper()
	return runRouter(t, host, func(c *failover.RouterConfig) { c.Priority, c.VirtualMAC = priority, true }, vips...)
}

// port returns the port of the switch behind which it has learnt a MAC.
func (w *wire) portOf(mac string) string {
	w.t.Helper()
	h := w.sw.Handle()
	for _, n := range dump(w.t, func() ([]netlink.Neigh, error) { return h.NeighList(0, unix.AF_BRIDGE) }) {
		if n.HardwareAddr.String() == mac {
			link, err := h.LinkByIndex(n.LinkIndex)
			must(w.t, err)
			return link.Attrs().Name
		}
	}
	return ""
}

// read returns a setting of the host.
func (p *peer) read(setting string) (value string) {
	p.w.t.Helper()
	must(p.w.t, p.Do(func() error {
		b, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(setting, ".", "/"))
		value = strings.TrimSpace(string(b))
		return err
	}))
	return value
}

// up reports whether a device of the host is up, and whether there is one.
func (p *peer) up(device string) (up, exists bool) {
	link, err := p.Handle().LinkByName(device)
	return err == nil && link.Attrs().RawFlags&unix.IFF_UP != 0, err == nil
}

// The address has one MAC for ever: the neighbour learns it once, and only the
// switch follows the service.
func TestNetnsVirtualMACMovesThePortAlone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		vips []string
		six  bool
	}{
		{"IPv4", []string{"192.0.2.100/32"}, false},
		{"IPv6", []string{"fe80::100/64", "2001:db8::100/128"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			b1, b2 := w.host("d1", "192.0.2.1/24", "2001:db8::1/64"), w.host("d2", "192.0.2.2/24", "2001:db8::2/64")
			client := w.host("cl", "192.0.2.9/24", "2001:db8::9/64")
			b1.serve()
			b2.serve()
			// A machine that looks where packets come from, as many do.
			b1.Sysctl("net.ipv4.conf.all.rp_filter", "1")
			vip := netip.MustParsePrefix(tt.vips[len(tt.vips)-1]).Addr()
			mac, device := failover.VirtualMAC(7, tt.six).String(), failover.VirtualDevice(eth0, 7, tt.six)

			r1, _, stop1 := virtualRouter(t, b1, 200, tt.vips...)
			within(t, patience, "start", func() bool { return r1.Status().Serving })
			client.answeredBy(b1, vip)
			r2, rec, _ := virtualRouter(t, b2, 100, tt.vips...)
			within(t, patience, "the other one is backup", func() bool { return r2.Status().Role == failover.RoleBackup })
			if st := r1.Status(); st.VirtualDevice != device {
				t.Errorf("status %+v", st)
			}
			if up, exists := b2.up(device); up || !exists {
				t.Errorf("the device of the backup: up %v, exists %v", up, exists)
			}

			// Who asked for it anew and who is asked: each ARP packet from a
			// router is a chance to teach the wrong MAC.
			ends := make(chan map[string]bool)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				seen := make(map[string]bool)
				for ctx.Err() == nil {
					seen[client.neighbour(vip)] = true
					time.Sleep(5 * time.Millisecond)
				}
				ends <- seen
			}()
			serves := func(what string, r *failover.Router, at, other *peer) {
				t.Helper()
				took := within(t, patience, what, func() bool { return r.Status().Serving })
				client.answeredBy(at, vip)
				// The router itself asks for the client, in the name of the address.
				link, err := at.Handle().LinkByName(eth0)
				must(t, err)
				for _, n := range dump(t, func() ([]netlink.Neigh, error) {
					return at.Handle().NeighList(link.Attrs().Index, netlink.FAMILY_ALL)
				}) {
					_ = at.Handle().NeighDel(&n) // it may be gone
				}
				client.answeredBy(at, vip)
				if got := w.portOf(mac); got != at.port {
					t.Errorf("%s: the switch has the MAC at %q, want %q", what, got, at.port)
				}
				within(t, patience, what+": the other one is down", func() bool { up, _ := other.up(device); return !up })
				t.Logf("%s: %v", what, took)
			}
			serves("start", r1, b1, b2)
			handOver(t, r1, r2)
			serves("hand-over", r2, b2, b1)
			r1.Reclaim()
			serves("preemption", r1, b1, b2)
			b1.plug(false)
			serves("cut off", r2, b2, b1)
			b1.plug(true)
			serves("plugged in", r1, b1, b2)
			stop1()
			serves("stop", r2, b2, b1)
			cancel()
			if seen := <-ends; len(seen) != 1 || !seen[mac] {
				t.Errorf("the neighbour had %v, want %s alone", seen, mac)
			}
			if _, exists := b1.up(device); exists {
				t.Error("the stopped router left its device")
			}
			for _, name := range []string{"arp_ignore", "arp_announce"} {
				if got := b1.read("net.ipv4.conf.eth0." + name); got != "0" {
					t.Errorf("the stopped router left %s = %s", name, got)
				}
			}
			for _, e := range rec.Events() {
				switch e.Kind {
				case failover.EventRefused, failover.EventMismatch, failover.EventAddressTrouble, failover.EventClaimed, failover.EventRemoved, failover.EventDuplicate:
					t.Errorf("event %v", e)
				}
			}
		})
	}
}

// Two routers with virtual MACs on one device, a device that somebody removes,
// and one that is there from a run that was killed.
func TestNetnsVirtualDeviceComesAndGoes(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	host := w.host("d1", "192.0.2.1/24", "2001:db8::1/64")
	host.Sysctl("net.ipv4.conf.eth0.arp_announce", "1")
	four, six := failover.VirtualDevice(eth0, 7, false), failover.VirtualDevice(eth0, 7, true)
	r4, _, stop4 := virtualRouter(t, host, 200, "192.0.2.100/32")
	r6, _, stop6 := virtualRouter(t, host, 200, "fe80::100/64")
	within(t, patience, "both serve", func() bool { return r4.Status().Serving && r6.Status().Serving })
	index := func() int {
		link, err := host.Handle().LinkByName(four)
		if err != nil {
			return 0
		}
		return link.Attrs().Index
	}
	was := index()
	link, err := host.Handle().LinkByName(four)
	must(t, err)
	must(t, host.Handle().LinkDel(link))
	within(t, patience, "it is made again and serves", func() bool {
		return index() != 0 && index() != was && r4.Status().Serving && r4.Status().Role == failover.RoleActive
	})
	stop4()
	if got := host.read("net.ipv4.conf.eth0.arp_announce"); got != "2" {
		t.Errorf("arp_announce %s while another device needs it", got)
	}
	stop6()
	if _, exists := host.up(six); exists {
		t.Error("the device stayed")
	}
	if a, b := host.read("net.ipv4.conf.eth0.arp_announce"), host.read("net.ipv4.conf.eth0.arp_ignore"); a != "1" || b != "0" {
		t.Errorf("arp_announce %s, arp_ignore %s, want 1 and 0 as before", a, b)
	}

	// As a killed process leaves it: it serves on, and the next run takes it.
	eth, err := host.Handle().LinkByName(eth0)
	must(t, err)
	must(t, host.Handle().LinkAdd(&netlink.Macvlan{Mode: netlink.MACVLAN_MODE_BRIDGE, LinkAttrs: netlink.LinkAttrs{
		Name: four, ParentIndex: eth.Attrs().Index, HardwareAddr: failover.VirtualMAC(7, false),
	}}))
	link, err = host.Handle().LinkByName(four)
	must(t, err)
	must(t, host.Handle().LinkSetAlias(link, "lvskit VRRP, before: arp_ignore=0 arp_announce=0"))
	host.Up(four)
	host.Addr(four, netip.MustParsePrefix("192.0.2.100/32"))
	was = index()
	r4, _, stop4 = virtualRouter(t, host, 200, "192.0.2.100/32")
	within(t, patience, "it serves", func() bool { return r4.Status().Serving })
	if index() != was {
		t.Error("the device of the killed run was made anew")
	}
	stop4()
	if index() != 0 {
		t.Error("the device stayed")
	}

	// A part of a bridge bears no macvlan.
	w.sw.Addr(bridge, netip.MustParsePrefix("192.0.2.3/24"))
	w.sw.Addr(host.port, netip.MustParsePrefix("192.0.2.4/24"))
	port := &peer{box: box{w.sw}, w: w}
	r4, _, _ = runRouter(t, port, func(c *failover.RouterConfig) { c.Device, c.VirtualMAC = host.port, true }, "192.0.2.100/32")
	within(t, patience, "the bridge is named", func() bool {
		return strings.Contains(r4.Status().Error, "it is part of a bridge or a bond: use that")
	})
}

// A device of the right name that a killed run had no time to mark is taken, and
// what anything tells from that is somebody else's: it is left alone, and named.
func TestNetnsVirtualDeviceThatIsThereAlready(t *testing.T) {
	t.Parallel()
	device := failover.VirtualDevice(eth0, 7, false)
	for name, tt := range map[string]struct {
		mode  netlink.MacvlanMode
		also  func(host *peer, link netlink.Link)
		taken bool
	}{
		"not marked yet": {mode: netlink.MACVLAN_MODE_BRIDGE, taken: true},
		"up":             {mode: netlink.MACVLAN_MODE_BRIDGE, also: func(host *peer, _ netlink.Link) { host.Up(device) }},
		"with an address": {mode: netlink.MACVLAN_MODE_BRIDGE, also: func(host *peer, _ netlink.Link) {
			host.Addr(device, netip.MustParsePrefix("198.51.100.7/32"))
		}},
		"with a mark of somebody else": {mode: netlink.MACVLAN_MODE_BRIDGE, also: func(host *peer, link netlink.Link) {
			must(t, host.Handle().LinkSetAlias(link, "mine"))
		}},
		"of another mode": {mode: netlink.MACVLAN_MODE_PRIVATE},
		"of another device": {mode: netlink.MACVLAN_MODE_BRIDGE, also: func(host *peer, link netlink.Link) {
			h := host.Handle()
			must(t, h.LinkDel(link))
			host.Bridge("other")
			other, err := h.LinkByName("other")
			must(t, err)
			must(t, h.LinkAdd(&netlink.Macvlan{Mode: netlink.MACVLAN_MODE_BRIDGE, LinkAttrs: netlink.LinkAttrs{
				Name: device, ParentIndex: other.Attrs().Index, HardwareAddr: failover.VirtualMAC(7, false),
			}}))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := newWire(t).host("d1", "192.0.2.1/24")
			h := host.Handle()
			eth, err := h.LinkByName(eth0)
			must(t, err)
			must(t, h.LinkAdd(&netlink.Macvlan{Mode: tt.mode, LinkAttrs: netlink.LinkAttrs{
				Name: device, ParentIndex: eth.Attrs().Index, HardwareAddr: failover.VirtualMAC(7, false),
			}}))
			link, err := h.LinkByName(device)
			must(t, err)
			if tt.also != nil {
				tt.also(host, link)
			}
			r, _, stop := virtualRouter(t, host, 200, "192.0.2.100/32")
			within(t, patience, "it serves, or names the device in the way", func() bool {
				if tt.taken {
					return r.Status().Serving
				}
				return strings.Contains(r.Status().Error, `device "`+device+`" (macvlan, 00:00:5e:00:01:07): file already exists and is not ours; rename it or remove it`)
			})
			if now, err := h.LinkByName(device); err != nil || tt.taken && now.Attrs().Index != link.Attrs().Index {
				t.Errorf("the device was not left as it was: %v", err)
			}
			stop()
			if _, exists := host.up(device); exists == tt.taken {
				t.Errorf("the device is there in the end: %v", exists)
			}
			if got := host.read("net.ipv4.conf.eth0.arp_ignore"); got != "0" {
				t.Errorf("arp_ignore %s in the end", got)
			}
		})
	}
}

// The device is what knows the settings that its parent had, so it does not go
// before they are back: whoever is killed in between leaves it to the next run.
func TestNetnsVirtualDeviceRemembersTheSettings(t *testing.T) {
	t.Parallel()
	host := newWire(t).host("d1", "192.0.2.1/24")
	device := failover.VirtualDevice(eth0, 7, false)
	remember := func(settings string) {
		t.Helper()
		link, err := host.Handle().LinkByName(device)
		must(t, err)
		must(t, host.Handle().LinkSetAlias(link, "lvskit VRRP, before: "+settings))
	}
	r, _, stop := virtualRouter(t, host, 200, "192.0.2.100/32")
	within(t, patience, "start", func() bool { return r.Status().Serving })
	remember("arp_ignore=-99999999999 arp_announce=0") // the kernel does not take it back
	stop()
	if _, exists := host.up(device); !exists {
		t.Fatal("the device went before the settings were back")
	}
	remember("arp_ignore=0 arp_announce=0")
	r, _, stop = virtualRouter(t, host, 200, "192.0.2.100/32")
	within(t, patience, "start", func() bool { return r.Status().Serving })
	stop()
	if _, exists := host.up(device); exists || host.read("net.ipv4.conf.eth0.arp_ignore") != "0" || host.read("net.ipv4.conf.eth0.arp_announce") != "0" {
		t.Errorf("the device is there: %v, arp_ignore %s", exists, host.read("net.ipv4.conf.eth0.arp_ignore"))
	}
}

// With a beat process the device and the addresses on it are its own, and the
// daemon removes the addresses if it is killed.
func TestNetnsVirtualMACInABeatProcess(t *testing.T) {
	t.Parallel()
	d1, d2 := routerPair(t, func(_ bool, c *daemonConfig) { c.Router.VirtualMAC = true })
	device := failover.VirtualDevice(eth0, 7, false)
	on := func(d *daemonProcess) bool {
		link, err := d.host.Handle().LinkByName(device)
		if err != nil {
			return false
		}
		list, err := d.host.Handle().AddrList(link, netlink.FAMILY_V4)
		return err == nil && len(list) == 1
	}
	if !on(d1) {
		t.Error("the address is not on the virtual device")
	}
	d1.kill(d1.beat(), syscall.SIGKILL)
	onlyAt(t, "the beat process is killed", d2, d1)
	if !on(d2) {
		t.Error("the address of the other one is not on its virtual device")
	}
	d2.kill(d2.cmd.Process.Pid, syscall.SIGTERM)
	<-d2.done
	if _, exists := d2.host.up(device); exists {
		t.Error("the device stayed")
	}
}

// A port that lets no second MAC through, as many of clouds and hypervisors, is
// found by asking the gateway.
func TestNetnsVirtualMACThatIsLetThroughOrNot(t *testing.T) {
	t.Parallel()
	for name, lets := range map[string]bool{"let through": true, "dropped": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			b1 := w.host("d1", "192.0.2.1/24")
			w.host("gw", "192.0.2.254/24")
			b1.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("192.0.2.254"))
			if !lets {
				w.sw.Run("nft", "add table netdev f; add chain netdev f in { type filter hook ingress device "+b1.port+
					" priority 0; }; add rule netdev f in ether saddr "+failover.VirtualMAC(7, false).String()+" drop")
			}
			r, rec, _ := virtualRouter(t, b1, 100, "192.0.2.100/32")
			want := failover.BeliefVerified
			if !lets {
				want = failover.BeliefDoubted
			}
			within(t, patience, want.String(), func() bool { s := r.Status().Addresses; return len(s) == 1 && s[0].Belief == want })
			if !lets {
				within(t, patience, "it is told", func() bool { return rec.Count(failover.EventUnbelieved) > 0 })
			} else if rec.Count(failover.EventUnbelieved) > 0 {
				t.Errorf("events %v", rec.Events())
			}
		})
	}
}
