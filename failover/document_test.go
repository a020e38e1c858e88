package failover_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/pulse"
)

// document is one of n pieces, and unlike those of other seeds.
func document(seed byte, pieces int) []byte {
	data := []byte{seed}
	for i := 0; len(data) < pieces*pulse.PieceData; i++ {
		data = binary.BigEndian.AppendUint32(data, uint32(i))
	}
	return data[:pieces*pulse.PieceData]
}

func tell(t *testing.T, s *side, digest byte, data []byte) {
	t.Helper()
	if err := s.node.SetDocument([32]byte{digest}, data); err != nil {
		t.Fatal(err)
	}
}

// differing is a pair whose digests are 1 and 2.
func differing(t *testing.T) *pair {
	t.Helper()
	return both(t, func(a, b *failover.Config) { a.Digest[0], b.Digest[0] = 1, 2 })
}

func told(s *side, data []byte) func() bool {
	return func() bool { return bytes.Equal(s.node.PartnerDocument(), data) }
}

// pieces counts the packets that carry some, on all ways.
func (p *pair) pieces() func() int {
	var n atomic.Int64
	p.net.Tap(func(_, _ netip.AddrPort, b []byte) {
		if pulse.IsPiece(b) {
			n.Add(1)
		}
	})
	return func() int { synctest.Wait(); return int(n.Swap(0)) }
}

// jammed is a transport with an address from which nothing can be sent, as
// when a network card has stopped; it counts the pieces that try.
type jammed struct {
	failover.Transport
	local netip.AddrPort
	tries *atomic.Int64
}

type jammedConn struct {
	failover.PacketConn
	tries *atomic.Int64
}

func (j jammed) Listen(ctx context.Context, local netip.AddrPort) (failover.PacketConn, error) {
	c, err := j.Transport.Listen(ctx, local)
	if err != nil || local != j.local {
		return c, err
	}
	return jammedConn{c, j.tries}, nil
}

func (c jammedConn) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	if pulse.IsPiece(b) {
		c.tries.Add(1)
	}
	time.Sleep(10 * time.Millisecond)
	return 0, os.ErrDeadlineExceeded
}

func TestDocuments(t *testing.T) {
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"two that differ tell each other, once", func(t *testing.T) {
			p := differing(t)
			sent := p.pieces()
			mine, theirs := document('a', 5), document('b', 3)
			time.Sleep(10 * interval)
			if n := sent(); n != 0 {
				t.Errorf("%d pieces before there is a document", n)
			}
			tell(t, p.primary, 1, mine)
			time.Sleep(10 * interval)
			if n := sent(); n != 0 || p.backup.node.PartnerDocument() != nil {
				t.Errorf("%d pieces to a node that has none and so does not ask", n)
			}
			tell(t, p.backup, 2, theirs)
			within(t, 10*interval, "the backup knows", told(p.backup, mine))
			within(t, 10*interval, "the primary knows", told(p.primary, theirs))
			time.Sleep(3 * interval)
			sent()
			time.Sleep(time.Minute)
			if n := sent(); n != 0 {
				t.Errorf("%d pieces after all is told", n)
			}
			for _, s := range []*side{p.primary, p.backup} {
				if n := s.Count(failover.EventDocument); n != 1 {
					t.Errorf("told %d times", n)
				}
				for _, c := range s.node.Status().Channels {
					for drop, n := range c.Drops {
						if drop != "unproven" {
							t.Errorf("%d packets refused as %s", n, drop)
						}
					}
				}
			}
			p.want(failover.RoleActive, failover.RoleBackup)
		}},
		{"the same digest: nothing is told, and what was is forgotten", func(t *testing.T) {
			p := differing(t)
			tell(t, p.primary, 1, document('a', 1))
			tell(t, p.backup, 2, document('b', 1))
			within(t, 10*interval, "the backup knows", told(p.backup, document('a', 1)))
			p.backup.node.SetDigest([32]byte{1})
			tell(t, p.backup, 1, document('c', 1))
			time.Sleep(3 * interval)
			sent := p.pieces()
			time.Sleep(10 * interval)
			if n := sent(); n != 0 || p.backup.node.PartnerDocument() != nil || p.primary.node.PartnerDocument() != nil {
				t.Errorf("%d pieces, %d and %d bytes", n, len(p.backup.node.PartnerDocument()), len(p.primary.node.PartnerDocument()))
			}
		}},
		{"half of the packets lost, the others late and out of order", func(t *testing.T) {
			p := differing(t)
			mine := document('a', 20)
			tell(t, p.primary, 1, mine)
			tell(t, p.backup, 2, document('b', 1))
			p.net.SetDelay(0, 2*interval)
			p.net.SetLoss(0.5)
			within(t, time.Hour, "the backup knows", told(p.backup, mine))
		}},
		{"one channel is dead", func(t *testing.T) {
			p := differing(t)
			p.backup.host.Unplug(addrs[1][0].Addr(), true)
			tell(t, p.primary, 1, document('a', 4))
			tell(t, p.backup, 2, document('b', 1))
			within(t, 10*interval, "the backup knows", told(p.backup, document('a', 4)))
		}},
		{"another digest and document in the middle", func(t *testing.T) {
			p := differing(t)
			tell(t, p.primary, 1, document('a', 50))
			tell(t, p.backup, 2, document('b', 1))
			time.Sleep(10 * interval)
			p.primary.node.SetDigest([32]byte{3})
			time.Sleep(3 * interval) // now what it has belongs to no digest of its
			sent := p.pieces()
			time.Sleep(10 * interval)
			if n := sent(); n != 0 {
				t.Errorf("%d pieces of a document that is out of date", n)
			}
			next := document('c', 5)
			tell(t, p.primary, 3, next)
			within(t, 10*interval, "the backup knows", told(p.backup, next))
			if n := p.backup.Count(failover.EventDigestMismatch); n != 2 {
				t.Errorf("%d events of a mismatch, want one for each digest", n)
			}
			within(t, 10*interval, "and the primary", told(p.primary, document('b', 1)))
		}},
		{"another document under the same digest in the middle", func(t *testing.T) {
			p := differing(t)
			tell(t, p.primary, 1, document('a', 40))
			tell(t, p.backup, 2, document('b', 1))
			time.Sleep(10 * interval)
			tell(t, p.primary, 1, document('c', 40))
			within(t, 25*interval, "the backup knows", told(p.backup, document('c', 40)))
		}},
		{"the partner starts again in the middle", func(t *testing.T) {
			p := differing(t)
			mine := document('a', 40)
			tell(t, p.primary, 1, mine)
			tell(t, p.backup, 2, document('b', 1))
			time.Sleep(10 * interval)
			p.primary.kill(t)
			p.primary.host.Isolate(false)
			p.primary.start(t)
			time.Sleep(decided)
			tell(t, p.primary, 1, mine)
			within(t, 60*interval, "the backup knows", told(p.backup, mine))
		}},
		{"the longest document", func(t *testing.T) {
			p := differing(t)
			longest := bytes.Repeat([]byte{1, 2, 3, 4}, pulse.MaxDocument/4)
			if err := p.primary.node.SetDocument([32]byte{1}, append(longest, 0)); err == nil {
				t.Error("one byte more was taken")
			}
			tell(t, p.primary, 1, longest)
			tell(t, p.backup, 2, document('b', 1))
			time.Sleep((pulse.MaxDocument/pulse.PieceData + 10) * interval)
			within(t, interval, "the backup knows", told(p.backup, longest))
		}},
		{"heartbeats keep their time", func(t *testing.T) {
			p := newPair(t, func(a, b *failover.Config) { a.Digest[0], b.Digest[0] = 1, 2 })
			var beats atomic.Int64
			p.net.Tap(func(from, _ netip.AddrPort, b []byte) {
				if from == addrs[0][0] && !pulse.IsPiece(b) {
					beats.Add(1)
				}
			})
			p.primary.start(t)
			p.backup.start(t)
			time.Sleep(decided)
			synctest.Wait()
			count := func() int64 { beats.Store(0); time.Sleep(100 * interval); synctest.Wait(); return beats.Load() }
			quiet := count()
			tell(t, p.primary, 1, document('a', 290))
			tell(t, p.backup, 2, document('b', 290))
			if busy := count(); busy != quiet {
				t.Errorf("%d beats while documents are told, %d before", busy, quiet)
			}
			if p.backup.node.PartnerDocument() != nil {
				t.Error("all was told already: the test tests nothing")
			}
		}},
		{"a way on which nothing gets out is not tried with pieces", func(t *testing.T) {
			var tries atomic.Int64
			p := both(t, func(a, b *failover.Config) {
				a.Digest[0], b.Digest[0] = 1, 2
				a.Transport = jammed{a.Transport, addrs[0][1], &tries}
			})
			tell(t, p.primary, 1, document('a', 20))
			tell(t, p.backup, 2, document('b', 1))
			within(t, 20*interval, "the backup knows", told(p.backup, document('a', 20)))
			if n := tries.Load(); n != 0 {
				t.Errorf("%d pieces held up the beats", n)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, inBubble(tt.run))
	}
}

// puppet is a partner of the primary that holds the key and does what a test
// says, over the public channel.
type puppet struct {
	t     *testing.T
	conn  failover.PacketConn
	codec *pulse.Codec
	guard pulse.Guard
	seq   uint64
}

func newPuppet(t *testing.T, p *pair) *puppet {
	t.Helper()
	codec, err := pulse.NewCodec(pulse.Key{Secret: key})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := p.backup.host.Listen(context.Background(), addrs[1][0])
	if err != nil {
		t.Fatal(err)
	}
	u := &puppet{t: t, conn: conn, codec: codec, guard: pulse.NewGuard(7, 8)}
	t.Cleanup(func() { _ = conn.Close() }) // never fails
	return u
}

// round reads one packet of the primary, hands it to see and answers with a
// beat and what say returns.
func (u *puppet) round(asks bool, see func([]byte), say func() []byte) {
	u.t.Helper()
	buf := make([]byte, 2000)
	n, _, err := u.conn.ReadFromUDPAddrPort(buf)
	if err != nil {
		u.t.Fatal(err)
	}
	see(buf[:n])
	var b pulse.Beat
	if u.codec.Open(buf[:n], &b) == nil {
		u.guard.Accept(0, &b, 8)
	}
	u.seq++
	answer := pulse.Beat{
		Asks: asks, Hears: true, State: pulse.StateBackup, Boot: 7, Challenge: 8, Echo: u.guard.Echo(), Seq: u.seq,
		Interval: interval, DeadAfter: deadAfter, Digest: [32]byte{2},
	}
	for _, packet := range [][]byte{u.codec.Append(nil, &answer), say()} {
		if _, err := u.conn.WriteToUDPAddrPort(packet, addrs[0][0]); err != nil {
			u.t.Fatal(err)
		}
	}
}

func TestDocumentsWithAPartnerThatTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, func(a, _ *failover.Config) { a.Digest[0] = 1 })
		u := newPuppet(t, p)
		p.primary.start(t)
		tell(t, p.primary, 1, document('a', 3))
		asked := 0
		for range 100 {
			u.round(false, func(packet []byte) {
				if len(packet) != pulse.Size {
					t.Fatalf("a packet of %d bytes", len(packet))
				}
				if packet[7]&8 != 0 {
					asked++
				}
			}, func() []byte { return nil })
		}
		st := p.primary.node.Status()
		if asked == 0 || !st.DigestMismatch || !st.Partner.Alive || p.primary.node.PartnerDocument() != nil || p.primary.Count(failover.EventDocument) != 0 {
			t.Errorf("asked %d times, %+v", asked, st)
		}
	})
}

func TestDocumentsOfAHostilePartner(t *testing.T) {
	lie := document('x', 3)
	piece := func(seq uint64, i int, change func(*pulse.Piece)) *pulse.Piece {
		p := &pulse.Piece{
			Boot: 7, Seq: seq, Digest: [32]byte{2}, Sum: sha256.Sum256(lie), Total: uint32(len(lie)),
			Offset: uint32(i%3) * pulse.PieceData, Data: bytes.Clone(lie[i%3*pulse.PieceData:][:pulse.PieceData]),
		}
		change(p)
		return p
	}
	tests := []struct {
		name   string
		change func(seq uint64, p *pulse.Piece)
		broken int // events of a broken document
		whole  bool
	}{
		{"an honest one", func(uint64, *pulse.Piece) {}, 0, true},
		{"a sum that is another", func(_ uint64, p *pulse.Piece) { p.Sum[0]++ }, 1, false},
		{"pieces that contradict each other", func(seq uint64, p *pulse.Piece) { p.Offset, p.Data[5] = 0, byte(seq) }, 1, false},
		{"another document with each piece", func(seq uint64, p *pulse.Piece) { p.Sum[0] = byte(seq) }, 0, false},
		{"of another digest", func(_ uint64, p *pulse.Piece) { p.Digest[0] = 9 }, 0, false},
		{"of another run", func(_ uint64, p *pulse.Piece) { p.Boot = 6 }, 0, false},
		{"never a new sequence", func(_ uint64, p *pulse.Piece) { p.Seq = 5 }, 0, false},
		{"on another channel", func(_ uint64, p *pulse.Piece) { p.Channel = 1 }, 0, false},
		{"a length that cannot be", func(_ uint64, p *pulse.Piece) { p.Total = pulse.MaxDocument + 1 }, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, inBubble(func(t *testing.T) {
			p := newPair(t, func(a, _ *failover.Config) { a.Digest[0] = 1 })
			u := newPuppet(t, p)
			p.primary.start(t)
			tell(t, p.primary, 1, document('a', 1))
			for i := range 60 {
				u.round(true, func([]byte) {}, func() []byte {
					return u.codec.AppendPiece(nil, piece(u.seq, i, func(p *pulse.Piece) { tt.change(u.seq, p) }))
				})
			}
			synctest.Wait()
			broken := 0
			for _, e := range p.primary.Events() {
				if e.Kind == failover.EventDocument && e.Err != nil {
					broken++
					if !errors.Is(e.Err, pulse.ErrBrokenDocument) {
						t.Errorf("the event says %v", e.Err)
					}
				}
			}
			got := p.primary.node.PartnerDocument()
			if broken != tt.broken || tt.whole != bytes.Equal(got, lie) || !tt.whole && got != nil {
				t.Errorf("%d times broken, want %d; %d bytes", broken, tt.broken, len(got))
			}
			if st := p.primary.node.Status(); !st.Partner.Alive || st.Role != failover.RoleActive {
				t.Errorf("%+v", st)
			}
		}))
	}
}
