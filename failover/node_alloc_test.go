package failover

import (
	"bytes"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// flood is a socket from which one packet comes many times.
type flood struct {
	from   netip.AddrPort
	packet []byte
	left   int
}

func (f *flood) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	if f.left--; f.left < 0 {
		return 0, netip.AddrPort{}, io.EOF
	}
	return copy(b, f.packet), f.from, nil
}

func (*flood) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) { return len(b), nil }
func (*flood) Close() error                                               { return nil }

// What anyone can send makes no work for the garbage collector, however much of
// it comes.
func TestRefusedPacketsAllocateNothing(t *testing.T) {
	local, peer := netip.MustParseAddrPort("192.0.2.1:539"), netip.MustParseAddrPort("192.0.2.2:539")
	secret := []byte("a shared key of enough bytes")
	codec, err := pulse.NewCodec(pulse.Key{Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	old := codec.Append(nil, &pulse.Beat{State: pulse.StateActive, Boot: 1, Challenge: 2, Echo: 3, Seq: 4, Interval: time.Second, DeadAfter: 3 * time.Second})
	piece := codec.AppendPiece(nil, &pulse.Piece{Boot: 1, Seq: 1, Total: pulse.PieceData, Data: make([]byte, pulse.PieceData)})
	forged := func(p []byte) []byte {
		p = bytes.Clone(p)
		p[len(p)-1] ^= 1
		return p
	}
	for _, tt := range []struct {
		name   string
		from   netip.AddrPort
		packet []byte
		want   pulse.Drop
	}{
		{"from a stranger", netip.MustParseAddrPort("203.0.113.9:539"), old, pulse.DropSource},
		{"of any content", peer, make([]byte, 1200), pulse.DropMagic},
		{"a forged beat", peer, forged(old), pulse.DropKey},
		{"a forged piece", peer, forged(piece), pulse.DropKey},
		{"a beat of an older run", peer, old, pulse.DropUnproven},
		{"a piece of an older run", peer, piece, pulse.DropUnproven},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := New(&Config{Key: secret, Channels: []Channel{{Name: "public", Local: local, Peer: peer}}})
			if err != nil {
				t.Fatal(err)
			}
			c := n.chans[0]
			read := func() {
				if _, err := n.read(c, &flood{from: tt.from, packet: tt.packet, left: 1000}); err != io.EOF {
					t.Fatal(err)
				}
			}
			read() // tells of the first one, and makes its codec
			got := testing.AllocsPerRun(1, read)
			if drops := c.drops[tt.want].Load(); drops != 3000 {
				t.Errorf("%d refused as %v", drops, tt.want)
			}
			if got > 10 { // the buffer
				t.Errorf("%v allocations for 1000 packets", got)
			}
		})
	}
}
