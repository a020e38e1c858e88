package failover

import (
	"cmp"
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// A flood leaves the processor to others now and then, and ordinary traffic
// waits for nothing.
func TestFloodOnAChannel(t *testing.T) {
	for name, tt := range map[string]struct {
		every, want time.Duration
		tells       bool
	}{
		"flood":                                  {0, 10 * time.Millisecond, false},
		"ordinary":                               {time.Millisecond, 10 * drainLimit * time.Millisecond, false},
		"flood, of a socket that tells arrivals": {0, 10 * time.Millisecond, true},
		"ordinary, of a socket that tells arrivals": {time.Millisecond, 10 * drainLimit * time.Millisecond, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, err := New(&Config{Key: []byte("fedcba9876543210"), Channels: []Channel{{
					Name: "only", Local: netip.MustParseAddrPort("192.0.2.1:539"), Peer: netip.MustParseAddrPort("192.0.2.2:539"),
				}}})
				if err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				s := &strangers{left: 10 * drainLimit, every: tt.every}
				conn := PacketConn(s)
				if tt.tells {
					conn = &telling{strangers: s}
				}
				if _, err := n.read(n.chans[0], conn); err != io.EOF {
					t.Error(err)
				}
				if took := time.Since(begun); took != tt.want {
					t.Errorf("it stood still for %v, want %v", took, tt.want)
				}
			})
		})
	}
}

// A socket may tell a device by its name or by its number.
func TestPartnerByAnyNameOfTheDevice(t *testing.T) {
	for from, stranger := range map[string]bool{"[fe80::2%eth0]:539": false, "[fe80::2%7]:539": false, "[fe80::3%eth0]:539": true, "[fe80::2%eth0]:540": true} {
		n, err := New(&Config{Key: []byte("fedcba9876543210"), Channels: []Channel{{
			Name: "only", Local: netip.MustParseAddrPort("[fe80::1%eth0]:539"), Peer: netip.MustParseAddrPort("[fe80::2%eth0]:539"),
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.read(n.chans[0], &strangers{left: 1, from: netip.MustParseAddrPort(from)}); err != io.EOF {
			t.Error(err)
		}
		if drops := n.Status().Channels[0].Drops; (drops["wrong-source"] > 0) != stranger {
			t.Errorf("from %s: %v", from, drops)
		}
	}
}

// strangers send packets that are none of the partner's.
type strangers struct {
	PacketConn
	from  netip.AddrPort // zero: 192.0.2.3
	left  int
	every time.Duration
}

func (s *strangers) ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error) {
	if s.left--; s.left < 0 {
		return 0, netip.AddrPort{}, io.EOF
	}
	time.Sleep(s.every)
	return 0, cmp.Or(s.from, netip.MustParseAddrPort("192.0.2.3:539")), nil
}

// telling is a socket of strangers that tells when packets arrive.
type telling struct {
	*strangers
	waited bool
}

func (s *telling) Wait() error {
	if s.left <= 0 {
		return io.EOF
	}
	time.Sleep(s.every)
	s.waited = true
	return nil
}

func (s *telling) Receive([]byte) (p Packet, ok bool, err error) {
	if s.left <= 0 || s.every > 0 && !s.waited {
		return p, false, nil
	}
	s.left--
	s.waited = false
	return Packet{From: netip.MustParseAddrPort("192.0.2.3:539"), At: time.Now()}, true, nil
}
