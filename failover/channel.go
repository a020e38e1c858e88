package failover

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// refusedEvery limits EventRefused of one channel and reason.
const refusedEvery = time.Minute

// floodTime is how soon drainLimit packets on a channel are a flood: partners
// of eight channels send a hundred in it.
const floodTime = 100 * time.Millisecond

// channel is one way to the partner at run time: its socket, which is opened
// again when it breaks, and its counters.
type channel struct {
	Channel
	index int
	// Of the receiving goroutine: the codec, and the keys that it has.
	open *pulse.Codec
	keys *[]pulse.Key

	sent, received atomic.Uint64
	drops          [pulse.DropCount]atomic.Uint64

	mu      sync.Mutex
	conn    PacketConn // nil while it is closed
	err     error      // why it is closed, or why sending fails
	refused [pulse.DropCount]time.Time
}

func (n *Node) listen(ctx context.Context, c *channel) error {
	conn, err := n.cfg.Transport.Listen(ctx, c.Local)
	if err != nil {
		n.trouble(c, err)
		return err
	}
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	n.mended(c)
	return nil
}

// receive reads one channel until ctx ends, opening it again when it breaks.
func (n *Node) receive(ctx context.Context, c *channel) {
	stop := context.AfterFunc(ctx, c.close)
	defer stop()
	defer c.close()
	pause := firstRetry
	for ctx.Err() == nil {
		if conn := c.current(); conn != nil {
			got, err := n.read(c, conn)
			if ctx.Err() != nil {
				return
			}
			c.close()
			n.trouble(c, err)
			n.countOpen()
			if got {
				pause = firstRetry
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, lastRetry)
		if n.listen(ctx, c) == nil {
			if ctx.Err() != nil {
				return // AfterFunc may have run before the new socket was there
			}
			n.countOpen()
		}
	}
}

// read takes packets in until the socket fails.
func (n *Node) read(c *channel, conn PacketConn) (got bool, err error) {
	// One byte more than a packet, so that longer ones show.
	buf := make([]byte, max(pulse.Size, pulse.MaxPieceSize)+1)
	var b pulse.Beat
	var piece pulse.Piece
	for begun, many := n.clock(), 1; ; many++ {
		size, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return got, err
		}
		at := n.clock()
		if many%drainLimit == 0 {
			if at-begun < floodTime {
				// A process of real-time priority would have the machine.
				time.Sleep(time.Millisecond)
			}
			begun = at
		}
		got = true
		c.received.Add(1)
		if n.cfg.Legacy && from.Addr().Unmap() == c.Peer.Addr().Unmap() {
			n.readLegacy(c, buf[:size], at)
			continue
		}
		if n.cfg.Legacy || netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) != netip.AddrPortFrom(c.Peer.Addr().Unmap(), c.Peer.Port()) {
			n.refuse(c, pulse.DropSource)
			continue
		}
		n.renewCodec(c)
		if pulse.IsPiece(buf[:size]) {
			if err := c.open.OpenPiece(buf[:size], &piece); err != nil {
				n.refuse(c, err.(pulse.Drop))
			} else {
				n.heardPiece(c, &piece)
			}
			continue
		}
		if err := c.open.Open(buf[:size], &b); err != nil {
			n.refuse(c, err.(pulse.Drop))
			continue
		}
		n.heard(c, &b, at)
	}
}

// refuse counts a packet under its reason and tells the unusual ones.
func (n *Node) refuse(c *channel, d pulse.Drop) {
	c.drops[d].Add(1)
	at := n.clock()
	n.mu.Lock()
	n.refusals.note(d, at, n.cfg.DeadAfter)
	why := n.refused(at)
	n.mu.Unlock()
	if d == pulse.DropReplay || d == pulse.DropUnproven && why != d {
		return // part of a network that doubles packets, and of every contact
	}
	now := time.Now()
	c.mu.Lock()
	last := c.refused[d]
	tell := last.IsZero() || now.Sub(last) >= refusedEvery
	if tell {
		c.refused[d] = now
	}
	c.mu.Unlock()
	if !tell {
		return
	}
	reason := d.String()
	if why == d {
		reason = n.complaint(d)
	}
	n.events.emit(Event{Kind: EventRefused, Channel: c.Name, Reason: reason})
}

func (n *Node) trouble(c *channel, err error) {
	c.mu.Lock()
	was := c.err
	c.err = err
	c.mu.Unlock()
	if was == nil || was.Error() != err.Error() {
		n.events.emit(Event{Kind: EventChannelTrouble, Channel: c.Name, Err: err})
	}
}

func (n *Node) mended(c *channel) {
	c.mu.Lock()
	was := c.err
	c.err = nil
	c.mu.Unlock()
	if was != nil {
		n.events.emit(Event{Kind: EventChannelMended, Channel: c.Name})
	}
}

// write sends one packet. Only the beat loop calls it.
func (n *Node) write(c *channel, p []byte) {
	conn := c.current()
	if conn == nil {
		return
	}
	if _, err := conn.WriteToUDPAddrPort(p, c.Peer); err != nil {
		if c.current() == conn { // not closed meanwhile
			n.trouble(c, err)
		}
		return
	}
	c.sent.Add(1)
	n.mended(c)
}

func (c *channel) current() PacketConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn
}

func (c *channel) close() {
	c.mu.Lock()
	conn := c.conn
	c.conn = nil
	c.mu.Unlock()
	if conn != nil {
		_ = conn.Close() // nothing is buffered in it
	}
}
