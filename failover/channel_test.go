package failover

import (
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// A flood leaves the processor to others now and then, and ordinary traffic
// waits for nothing.
func TestFloodOnAChannel(t *testing.T) {
	for name, tt := range map[string]struct{ every, want time.Duration }{
		"flood":    {0, 10 * time.Millisecond},
		"ordinary": {time.Millisecond, 10 * drainLimit * time.Millisecond},
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
				if _, err := n.read(n.chans[0], &strangers{left: 10 * drainLimit, every: tt.every}); err != io.EOF {
					t.Error(err)
				}
				if took := time.Since(begun); took != tt.want {
					t.Errorf("it stood still for %v, want %v", took, tt.want)
				}
			})
		})
	}
}

// strangers send packets that are none of the partner's.
type strangers struct {
	PacketConn
	left  int
	every time.Duration
}

func (s *strangers) ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error) {
	if s.left--; s.left < 0 {
		return 0, netip.AddrPort{}, io.EOF
	}
	time.Sleep(s.every)
	return 0, netip.MustParseAddrPort("192.0.2.3:539"), nil
}
