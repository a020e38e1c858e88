//go:build linux && netns

package health

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/lvskit/lvskit/internal/lab"
)

// Packets are heard that are sent to one host, to all of a network, and to the
// group.
func TestNetnsRWhoHears(t *testing.T) {
	l := lab.New(t)
	here, there := l.Namespace("here"), l.Namespace("there")
	l.Veth(here, "eth0", there, "eth0")
	here.Addr("eth0", netip.MustParsePrefix("192.0.2.1/24"))
	there.Addr("eth0", netip.MustParsePrefix("192.0.2.2/24"))
	w, err := NewRWho(&RWhoConfig{Namespace: here.Path()})
	if err != nil {
		t.Fatal(err)
	}
	defer running(t, w)()
	server := netip.MustParseAddr("192.0.2.2")
	if err := w.tell(server, time.Now()); err != nil {
		t.Fatal(err)
	}
	sender, err := there.ListenPacket("udp4", "192.0.2.2:513")
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	if err := there.Do(func() error {
		i, err := net.InterfaceByName("eth0")
		if err == nil {
			err = ipv4.NewPacketConn(sender).SetMulticastInterface(i)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for n, to := range []string{"192.0.2.1", "192.0.2.255", "224.0.1.3"} {
		load := uint32(n+1) * 100
		packet := rwhoDatagram(binary.BigEndian, "web", 0, 0, load, 0, 0)
		heard := false
		for range 1000 {
			if _, err := sender.WriteTo(packet, &net.UDPAddr{IP: net.ParseIP(to), Port: 513}); err != nil && n > 0 {
				t.Fatal(err)
			}
			if heard = w.about(server, time.Now()).packet.load.One == float64(n+1); heard {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if !heard {
			t.Errorf("a packet to %s is not heard: %+v", to, w.Stats())
		}
	}
}
