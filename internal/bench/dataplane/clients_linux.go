package dataplane

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// span is the time of a measurement. Work begins before it, to warm up;
// begin and end are called when it begins and when it is over.
type span struct {
	warm, length time.Duration
	begin, end   func() error
}

// timer tells a loop where in its span it is.
type timer struct {
	span
	start  time.Time
	inside bool
	took   time.Duration
}

func (s span) timer() *timer { return &timer{span: s, start: time.Now().Add(s.warm)} }

// tick reports whether the span goes on, and whether it counts already.
func (t *timer) tick(now time.Time) (goesOn bool, err error) {
	since := now.Sub(t.start)
	if !t.inside && since >= 0 {
		t.inside, t.start = true, now
		return true, t.begin()
	}
	if t.inside && since >= t.length {
		t.took = since
		return false, t.end()
	}
	return true, nil
}

// done is what clients got done within their span.
type done struct {
	count  int64 // of whatever they do
	failed int64
	took   time.Duration
}

// perSecond is the rate.
func (d done) perSecond() float64 { return float64(d.count) / d.took.Seconds() }

// errStuck is of a contestant that leaves clients waiting.
var errStuck = errors.New("nothing moved for five seconds")

const stuck = 5 * time.Second

// message is what is sent, told from others by its number.
func message(buf []byte, number uint64) {
	for i := range buf {
		buf[i] = byte(number >> (8 * (i % 8)))
	}
}

// isMessage reports whether an answer is the message of a number.
func isMessage(buf []byte, number uint64) bool {
	for i, b := range buf {
		if b != byte(number>>(8*(i%8))) {
			return false
		}
	}
	return len(buf) == messageSize
}

// dial opens a connection, already made; reads and writes will not block.
func dial(to netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err = unix.Connect(fd, sockaddr(to)); err == nil {
		if err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err == nil {
			err = unix.SetNonblock(fd, true)
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect to %v: %w", to, err)
	}
	return fd, nil
}

// crowd is a number of clients in one loop, with what a descriptor needs.
type crowd struct {
	poll *poller
	to   netip.AddrPort
	by   []client // by descriptor
	fds  []int
	buf  []byte
	next uint64
}

type client struct {
	number uint64
	got    int
	sent   bool
	due    time.Time
}

func newCrowd(to netip.AddrPort) (*crowd, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	return &crowd{poll: p, to: to, buf: make([]byte, bulkPiece)}, nil
}

// open adds kept connections.
func (c *crowd) open(n int, events uint32) error {
	for range n {
		fd, err := dial(c.to)
		if err != nil {
			return err
		}
		c.fds = append(c.fds, fd)
		c.by = grow(c.by, fd)
		c.by[fd] = client{}
		if err := c.poll.add(fd, events); err != nil {
			return err
		}
	}
	return nil
}

func (c *crowd) close() {
	for _, fd := range c.fds {
		unix.Close(fd)
	}
	c.poll.close()
}

// ask sends the next message.
func (c *crowd) ask(fd int) error {
	c.next++
	cl := &c.by[fd]
	cl.number, cl.got = c.next, 0
	message(c.buf[:messageSize], cl.number)
	if _, err := unix.Write(fd, c.buf[:messageSize]); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// hear reads of an answer what is there and reports whether it is whole.
func (c *crowd) hear(fd int) (whole bool, err error) {
	cl := &c.by[fd]
	n, err := unix.Read(fd, c.buf[:messageSize])
	switch {
	case err != nil && again(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read: %w", err)
	case n == 0:
		return false, fmt.Errorf("connection %d ended", fd)
	}
	// Answers come in one piece here; if not, the last piece is looked at.
	cl.got += n
	if cl.got == n && n == messageSize && !isMessage(c.buf[:n], cl.number) {
		return false, fmt.Errorf("connection %d: not the answer to what was asked", fd)
	}
	return cl.got == messageSize, nil
}

// each calls handle with what is ready, until the time is over.
func (c *crowd) each(t *timer, handle func(fd int, events uint32) error) error {
	moved := time.Now()
	for {
		events, err := c.poll.wait(100)
		if err != nil {
			return err
		}
		now := time.Now()
		if len(events) > 0 {
			moved = now
		} else if now.Sub(moved) > stuck {
			return errStuck
		}
		if goesOn, err := t.tick(now); err != nil || !goesOn {
			return err
		}
		for _, e := range events {
			if err := handle(int(e.Fd), e.Events); err != nil {
				return err
			}
		}
	}
}

// keptRequests asks on n connections, on each again as soon as the answer is
// there. It counts answers.
func keptRequests(to netip.AddrPort, n int, s span) (d done, err error) {
	c, err := newCrowd(to)
	if err != nil {
		return d, err
	}
	defer c.close()
	if err := c.open(n, unix.EPOLLIN); err != nil {
		return d, err
	}
	for _, fd := range c.fds {
		if err := c.ask(fd); err != nil {
			return d, err
		}
	}
	t := s.timer()
	err = c.each(t, func(fd int, _ uint32) error {
		whole, err := c.hear(fd)
		if err != nil || !whole {
			return err
		}
		if t.inside {
			d.count++
		}
		return c.ask(fd)
	})
	d.took = t.took
	return d, err
}

// newConnections has n connections under way all the time: each is made, asks,
// gets its answer, sees the server close, and closes. It counts those that
// ended in order.
func newConnections(to netip.AddrPort, n int, s span) (d done, err error) {
	c, err := newCrowd(to)
	if err != nil {
		return d, err
	}
	defer c.close()
	for range n {
		if err := c.begin(); err != nil {
			return d, err
		}
	}
	t := s.timer()
	err = c.each(t, func(fd int, events uint32) error {
		over, ok := c.advance(fd, events)
		if !over {
			return nil
		}
		if t.inside && ok {
			d.count++
		}
		if !ok {
			d.failed++
		}
		unix.Close(fd)
		return c.begin()
	})
	// Those under way.
	for fd, cl := range c.by {
		if cl.number != 0 {
			unix.Close(fd)
		}
	}
	d.took = t.took
	return d, err
}

// begin starts a connection of newConnections.
func (c *crowd) begin() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, sockaddr(c.to)); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return fmt.Errorf("connect to %v: %w", c.to, err)
	}
	c.next++
	c.by = grow(c.by, fd)
	c.by[fd] = client{number: c.next}
	return c.poll.add(fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET)
}

// advance does the next step of a connection of newConnections, and reports
// whether it is over and whether all went well.
func (c *crowd) advance(fd int, events uint32) (over, ok bool) {
	cl := &c.by[fd]
	defer func() {
		if over {
			cl.number = 0
		}
	}()
	if events&unix.EPOLLOUT != 0 && !cl.sent {
		cl.sent = true
		message(c.buf[:messageSize], cl.number)
		if _, err := unix.Write(fd, c.buf[:messageSize]); err != nil {
			return true, false
		}
		return false, false
	}
	for {
		n, err := unix.Read(fd, c.buf[:2*messageSize])
		switch {
		case err != nil && again(err):
			return false, false
		case err != nil:
			return true, false
		case n == 0:
			return true, cl.got == messageSize
		}
		if cl.got == 0 && n == messageSize && !isMessage(c.buf[:n], cl.number) {
			return true, false
		}
		cl.got += n
		if events&(unix.EPOLLRDHUP|unix.EPOLLHUP) == 0 && n < 2*messageSize {
			// The end is not there yet, else it would be told; wait for it.
			return false, false
		}
	}
}

// bulk takes from, or gives to, the servers on n connections. It counts bytes.
func bulk(to netip.AddrPort, n int, up bool, s span) (d done, err error) {
	c, err := newCrowd(to)
	if err != nil {
		return d, err
	}
	defer c.close()
	events := uint32(unix.EPOLLIN)
	if up {
		events = unix.EPOLLOUT
	}
	if err := c.open(n, events); err != nil {
		return d, err
	}
	file, err := unix.MemfdCreate("bulk", unix.MFD_CLOEXEC)
	if err != nil {
		return d, err
	}
	defer unix.Close(file)
	if _, err := unix.Write(file, c.buf); err != nil {
		return d, err
	}
	if !up {
		for _, fd := range c.fds {
			if _, err := unix.Write(fd, []byte{1}); err != nil {
				return d, err
			}
		}
	}
	t := s.timer()
	err = c.each(t, func(fd int, _ uint32) error {
		var n int
		var err error
		if up {
			var at int64
			n, err = unix.Sendfile(fd, file, &at, bulkPiece)
		} else {
			n, _, err = unix.Recvfrom(fd, c.buf, unix.MSG_TRUNC)
		}
		if err != nil && !again(err) {
			return fmt.Errorf("bulk: %w", err)
		}
		if n == 0 && err == nil {
			return fmt.Errorf("bulk: connection %d ended", fd)
		}
		if t.inside && n > 0 {
			d.count += int64(n)
		}
		return nil
	})
	d.took = t.took
	return d, err
}

// idle opens n connections, asks once on each so that a server is chosen, and
// leaves them open until release is called.
func idle(to netip.AddrPort, n int) (release func(), err error) {
	c, err := newCrowd(to)
	if err != nil {
		return nil, err
	}
	for len(c.fds) < n {
		if err = c.open(1, unix.EPOLLIN); err != nil {
			break
		}
		fd := c.fds[len(c.fds)-1]
		if err = c.ask(fd); err != nil {
			break
		}
		asked := time.Now()
		for whole := false; err == nil && !whole; {
			// A signal may end the wait early.
			if _, err = c.poll.wait(100); err == nil {
				whole, err = c.hear(fd)
			}
			if err == nil && !whole && time.Since(asked) > stuck {
				err = errStuck
			}
		}
		if err != nil {
			break
		}
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("idle connection %d: %w", len(c.fds), err)
	}
	return c.close, nil
}
