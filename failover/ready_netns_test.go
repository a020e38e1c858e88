//go:build linux && netns

package failover

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/internal/rtnl"
	"github.com/lvskit/lvskit/internal/lab"
)

// What was prepared is used where it fits, and else found out anew: the
// addresses are there, and the announcement has the present hardware address.
func TestNetnsPreparedTakeOver(t *testing.T) {
	other := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	vip := VirtualAddress{Prefix: netip.MustParsePrefix("192.0.2.100/32"), Device: "eth0"}
	for _, tt := range []struct {
		name          string
		before        func(t *testing.T, l *lab.Lab, host, peer *lab.Namespace) // prepared
		between       func(t *testing.T, l *lab.Lab, host, peer *lab.Namespace)
		ready, unused bool
	}{
		{name: "nothing happens", ready: true},
		{name: "an address is there already", before: func(_ *testing.T, _ *lab.Lab, host, _ *lab.Namespace) {
			host.Addr("eth0", netip.MustParsePrefix("192.0.2.100/24"))
		}},
		{name: "the device is another one", ready: true, between: func(t *testing.T, l *lab.Lab, host, peer *lab.Namespace) {
			link, err := host.Handle().LinkByName("eth0")
			if err == nil {
				err = host.Handle().LinkDel(link)
			}
			if err != nil {
				t.Fatal(err)
			}
			l.Veth(host, "eth0", peer, "eth0")
		}},
		{name: "its hardware address is another one", ready: true, between: func(t *testing.T, _ *lab.Lab, host, _ *lab.Namespace) {
			link, err := host.Handle().LinkByName("eth0")
			if err == nil {
				err = host.Handle().LinkSetHardwareAddr(link, other)
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
		{name: "it is not used", ready: true, unused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := lab.New(t)
			host, peer := l.Namespace("host"), l.Namespace("peer")
			l.Veth(host, "eth0", peer, "eth0")
			if tt.before != nil {
				tt.before(t, l, host, peer)
			}
			o, err := NewAddresses(&AddressesConfig{Addresses: []VirtualAddress{vip}, Namespace: host.Path()})
			if err != nil {
				t.Fatal(err)
			}
			opened := descriptors(t)
			for range 3 { // the last one counts, and the others are given back
				o.prepare()
			}
			if ready := o.ready != nil; ready != tt.ready {
				t.Fatalf("ready: %v, want %v", ready, tt.ready)
			}
			if tt.unused {
				o.rest()
				givenBack(t, opened)
				return
			}
			if tt.between != nil {
				tt.between(t, l, host, peer)
			}
			hears := listen(t, peer)
			if err := o.Acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := o.Announce(t.Context()); err != nil {
				t.Fatal(err)
			}
			link, err := host.Handle().LinkByName("eth0")
			if err != nil {
				t.Fatal(err)
			}
			list, err := host.Handle().AddrList(link, netlink.FAMILY_V4)
			if err != nil || len(list) != 1 || rtnl.Prefix(list[0].IPNet) != vip.Prefix {
				t.Errorf("addresses %v, error %v; want %v alone", list, err, vip.Prefix)
			}
			if got, want := hears(), link.Attrs().HardwareAddr.String(); got != want {
				t.Errorf("announced from %s, the device has %s", got, want)
			}
			if err := o.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			givenBack(t, opened+1) // that of listen
		})
	}
}

// listen returns a function that returns who announces an address.
func listen(t *testing.T, ns *lab.Namespace) func() string {
	t.Helper()
	var conn *packet.Conn
	err := ns.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		conn, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ARP, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func() string {
		t.Helper()
		b := make([]byte, 64)
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, _, err := conn.ReadFrom(b)
		if err != nil || n < 28 {
			t.Fatalf("%d octets, error %v; want an announcement", n, err)
		}
		return net.HardwareAddr(b[6:12]).String()
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// givenBack waits until no more descriptors are open than there were.
func givenBack(t *testing.T, were int) {
	t.Helper()
	for range 1000 {
		if descriptors(t) <= were {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d descriptors are open, %d were", descriptors(t), were)
}
