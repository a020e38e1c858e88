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
	index   int
	changed chan struct{} // for who waits to open the socket again

	// What reading takes. Whoever has it and has drained the socket has seen
	// all that there is.
	reading  sync.Mutex
	arrivals arrivals
	in       []byte
	open     *pulse.Codec
	keys     *[]pulse.Key // that it has
	beat     pulse.Beat
	piece    pulse.Piece

	sent, received atomic.Uint64
	drops          [pulse.DropCount]atomic.Uint64
	dropped        [pulse.DropCount]atomic.Int64 // the time of the last one

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
	c.reading.Lock()
	c.arrivals.emptyAt = n.clock()
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	c.reading.Unlock()
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
		if !awaitRetry(ctx, pause, c.changed) {
			return
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

// retry lets channels that are closed be opened at once.
func (n *Node) retry() {
	for _, c := range n.chans {
		nudge(c.changed)
	}
}

// read takes packets in until the socket fails.
func (n *Node) read(c *channel, conn PacketConn) (got bool, err error) {
	arrivals, tells := conn.(ArrivalConn)
	pace := pace{begun: n.clock()}
	for {
		count := 1
		if tells {
			if err = arrivals.Wait(); err == nil {
				count, err = n.drain(c, arrivals)
			}
		} else {
			err = n.readOne(c, conn)
		}
		if err != nil {
			return got, err
		}
		got = true
		if pace.floods(count, n.clock()) {
			// A process of real-time priority would have the machine.
			time.Sleep(time.Millisecond)
		}
	}
}

// pace tells when many packets come in a short time.
type pace struct {
	begun time.Duration
	many  int
}

func (p *pace) floods(more int, now time.Duration) bool {
	if p.many += more; p.many < drainLimit {
		return false
	}
	begun := p.begun
	p.begun, p.many = now, 0
	return now-begun < floodTime
}

// readOne waits for the next packet and takes it in.
func (n *Node) readOne(c *channel, conn PacketConn) error {
	size, from, err := conn.ReadFromUDPAddrPort(c.in)
	if err != nil {
		return err
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	n.take(c, c.in[:size], from, n.clock())
	return nil
}

// drain takes in what has arrived, at most drainLimit packets, and returns how
// many these are.
func (n *Node) drain(c *channel, conn ArrivalConn) (count int, err error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	for ; count < drainLimit; count++ {
		before := n.clock()
		p, ok, err := conn.Receive(c.in)
		if err != nil {
			return count, err
		}
		if !ok {
			c.arrivals.emptyAt = before
			break
		}
		n.take(c, p.Payload, p.From, c.arrivals.at(p.At, n.clock()))
	}
	return count, nil
}

// drainAll takes in what has arrived on all channels that can tell.
func (n *Node) drainAll() {
	for _, c := range n.chans {
		if conn, ok := c.current().(ArrivalConn); ok {
			_, _ = n.drain(c, conn) // who waits for it finds that it is broken
		}
	}
}

// take judges a packet that came at a moment. The caller holds reading.
func (n *Node) take(c *channel, packet []byte, from netip.AddrPort, at time.Duration) {
	c.received.Add(1)
	// Without a zone, which is a name or a number: the socket is on the device.
	ofPeer := from.Addr().Unmap().WithZone("") == c.Peer.Addr().Unmap().WithZone("")
	if n.cfg.Legacy && ofPeer {
		n.readLegacy(c, packet, at)
		return
	}
	if n.cfg.Legacy || !ofPeer || from.Port() != c.Peer.Port() {
		n.refuse(c, pulse.DropSource)
		return
	}
	n.renewCodec(c)
	if pulse.IsPiece(packet) {
		if err := c.open.OpenPiece(packet, &c.piece); err != nil {
			n.refuse(c, err.(pulse.Drop))
		} else {
			n.heardPiece(c, &c.piece)
		}
		return
	}
	if err := c.open.Open(packet, &c.beat); err != nil {
		n.refuse(c, err.(pulse.Drop))
		return
	}
	n.heard(c, &c.beat, at)
}

// drop counts a packet that is refused.
func (c *channel) drop(d pulse.Drop, now time.Duration) {
	c.dropped[d].Store(int64(now))
	c.drops[d].Add(1)
}

// refuse counts a packet under its reason and tells the unusual ones.
func (n *Node) refuse(c *channel, d pulse.Drop) {
	at := n.clock()
	c.drop(d, at)
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
