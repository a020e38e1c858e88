//go:build linux && netns

package failover

import (
	"net"
	"net/netip"
	"testing"

	"github.com/lvskit/lvskit/internal/lab"
)

// A sender of one link is named with its device, as a Peer is.
func TestNetnsUDPNamesTheDeviceOfALink(t *testing.T) {
	l := lab.New(t)
	host, peer := l.Namespace("host"), l.Namespace("peer")
	l.Veth(host, "pulse0", peer, "pulse1")
	host.Addr("pulse0", netip.MustParsePrefix("fe80::1:1/64"))
	peer.Addr("pulse1", netip.MustParsePrefix("fe80::1:2/64"))
	open := func(ns *lab.Namespace, at string) (c *stampedConn) {
		t.Helper()
		err := ns.Do(func() error {
			conn, err := UDP{}.Listen(t.Context(), netip.MustParseAddrPort(at))
			if err == nil {
				c = conn.(*stampedConn)
				t.Cleanup(func() { _ = c.Close() })
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	hears, says := open(host, "[fe80::1:1%pulse0]:539"), open(peer, "[fe80::1:2%pulse1]:539")
	for range 2 { // the second one finds the name where the first one left it
		err := peer.Do(func() error {
			_, err := says.UDPConn.WriteToUDP([]byte("x"), &net.UDPAddr{IP: net.ParseIP("fe80::1:1"), Port: 539, Zone: "pulse1"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := hears.Wait(); err != nil {
			t.Fatal(err)
		}
		p, ok, err := hears.Receive(make([]byte, 10))
		if want := netip.MustParseAddrPort("[fe80::1:2%pulse0]:539"); !ok || err != nil || p.From != want {
			t.Errorf("from %v, %v, error %v; want %v", p.From, ok, err, want)
		}
	}
}
