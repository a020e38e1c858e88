package health

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Defaults of a [BFD] check.
const (
	// DefaultBFDInterval is how often packets are wanted while a session is Up.
	DefaultBFDInterval = 300 * time.Millisecond
	// DefaultBFDMultiplier is how many of them may be lost in a row.
	DefaultBFDMultiplier = 3
)

// BFDConfig sets up a [BFD] check.
type BFDConfig struct {
	// Interval is the least time between packets that we want to send and can
	// receive while a session is Up, 10 ms to 10 s; 0 means
	// DefaultBFDInterval. The server's own wishes may make it longer.
	Interval time.Duration
	// Multiplier is how many of our packets the server may miss in a row,
	// 1..255; 0 means DefaultBFDMultiplier. Its own multiplier and pace say
	// when we take it for dead.
	Multiplier int
	// Dial says where the packets leave; its time-outs are of no use here.
	Dial
}

// BFD keeps asynchronous sessions of Bidirectional Forwarding Detection over
// one hop (RFC 5880, RFC 5881) with servers that speak it, such as BIRD or FRR:
// a server is OK while the session is Up. The port of a target is of no
// meaning, as BFD has its own: UDP 3784. Packets are not authenticated; those
// whose TTL says that they come from farther away than one hop are not taken
// (RFC 5082).
//
// It is made to be left open ([BFD.Stand]); Check joins the session that is
// open, or brings one up and takes it down again, which lasts a second or two.
// Between two addresses there can be one session, so only one check, and no
// other program of this machine, may speak BFD with a server. It works on
// Linux, and is safe for concurrent use.
type BFD struct {
	cfg  BFDConfig
	name string

	mu    sync.Mutex
	lines map[netip.Addr]*bfdLine
}

var _ Standing = (*BFD)(nil)

// NewBFD returns a BFD check, or an error that names every field that cannot
// be used. A nil cfg means the defaults.
func NewBFD(cfg *BFDConfig) (*BFD, error) {
	c := &BFD{lines: map[netip.Addr]*bfdLine{}}
	if cfg != nil {
		c.cfg = *cfg
	}
	if c.cfg.Interval == 0 {
		c.cfg.Interval = DefaultBFDInterval
	}
	if c.cfg.Multiplier == 0 {
		c.cfg.Multiplier = DefaultBFDMultiplier
	}
	err := c.cfg.Dial.validate()
	if c.cfg.Interval < 10*time.Millisecond || c.cfg.Interval > 10*time.Second || c.cfg.Interval%time.Microsecond != 0 {
		err = errors.Join(err, fmt.Errorf("interval %v: want whole microseconds of 10ms..10s", c.cfg.Interval))
	}
	if c.cfg.Multiplier < 1 || c.cfg.Multiplier > 255 {
		err = errors.Join(err, fmt.Errorf("multiplier %d: want 1..255", c.cfg.Multiplier))
	}
	if err != nil {
		return nil, fmt.Errorf("bfd check: %w", err)
	}
	c.name = fmt.Sprintf("bfd interval=%v multiplier=%d%s", c.cfg.Interval, c.cfg.Multiplier, c.cfg.Dial.identity())
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *BFD) Identity() string { return c.name }

// Check waits until a session is Up. A session that falls meanwhile may come
// up again: it fails when the time is over.
func (c *BFD) Check(ctx context.Context, t Target) Result {
	a, cancel := begin(ctx, t)
	defer cancel()
	l, err := c.join(a.ctx, t)
	if err != nil {
		return a.failed("open", err)
	}
	defer c.leave(l)
	a.done("open")
	for {
		now, news := l.status()
		if now.verdict == OK {
			return a.ok("session", now.text)
		}
		select {
		case <-news:
			continue
		case <-l.done:
			return a.failed("session", l.err)
		case <-a.ctx.Done():
		}
		if errors.Is(a.ctx.Err(), context.Canceled) {
			return a.failed("session", a.ctx.Err())
		}
		now, _ = l.status() // the words change without news
		a.done("session")
		return a.result(now.blame, fmt.Sprintf("session: not Up within %v: %s", time.Since(a.start).Round(time.Millisecond), now.text))
	}
}

// Stand keeps a session. It reports OK when the session comes up and Fail when
// it falls, or when it has not come up within DefaultTimeout. That is no result
// for as long as we cannot send, and, after this process stood still for longer
// than the server waits for packets, until the session has had 5 s to come up
// again.
func (c *BFD) Stand(ctx context.Context, t Target, report func(Result)) error {
	l, err := c.join(ctx, t)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("bfd session with %v: %w", t.Addr.Addr(), err)
	}
	defer c.leave(l)
	var last bfdStatus
	for {
		now, news := l.status()
		if ctx.Err() != nil {
			return nil
		}
		if now.decided && (!last.decided || now.verdict != last.verdict) {
			last = now
			a := &attempt{ctx: ctx, target: t, start: now.since, mark: now.since}
			a.done("session")
			report(a.result(now.verdict, "session: "+now.text))
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil
		case <-l.done:
			return fmt.Errorf("bfd session with %v: %w", t.Addr.Addr(), l.err)
		}
	}
}

// join gives the session with a target, and begins it if there is none.
func (c *BFD) join(ctx context.Context, t Target) (*bfdLine, error) {
	peer := t.Addr.Addr().Unmap()
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.lines[peer]; l != nil {
		select {
		case <-l.done: // it ended with an error
		default:
			l.users++
			return l, nil
		}
	}
	sockets, err := openBFD(ctx, peer, &c.cfg.Dial)
	if err != nil {
		return nil, err
	}
	mine := rand.Uint32()
	for mine == 0 {
		mine = rand.Uint32()
	}
	run, cancel := context.WithCancel(context.Background())
	l := &bfdLine{
		peer: peer, dial: &c.cfg.Dial, sockets: sockets, session: newBFDSession(c.cfg.Interval, uint8(c.cfg.Multiplier), mine),
		users: 1, cancel: cancel, done: make(chan struct{}), news: make(chan struct{}),
	}
	c.lines[peer] = l
	go func() {
		defer close(l.done)
		l.err = l.run(run)
	}()
	return l, nil
}

// leave ends the session after its last user.
func (c *BFD) leave(l *bfdLine) {
	c.mu.Lock()
	l.users--
	last := l.users == 0
	if last && c.lines[l.peer] == l {
		delete(c.lines, l.peer)
	}
	c.mu.Unlock()
	if last {
		l.cancel()
		<-l.done
	}
}
