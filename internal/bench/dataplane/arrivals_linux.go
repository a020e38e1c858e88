package dataplane

import (
	"math/rand/v2"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// arrivals asks on n kept connections as often a second as rate says, at
// moments of chance that do not depend on the answers (an open loop): a
// request that finds no connection free waits, and that counts. It returns
// how long each took from the moment it was due.
func arrivals(to netip.AddrPort, n int, rate float64, s span) (took []time.Duration, err error) {
	c, err := newCrowd(to)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.open(n, unix.EPOLLIN); err != nil {
		return nil, err
	}
	// The same moments for everybody.
	chance := rand.New(rand.NewPCG(1, 2))
	gap := func() time.Duration { return time.Duration(chance.ExpFloat64() / rate * 1e9) }
	free := append([]int(nil), c.fds...)
	var waiting []time.Time
	ask := func(fd int, due time.Time) error {
		c.by[fd].due = due
		return c.ask(fd)
	}
	t := s.timer()
	took = make([]time.Duration, 0, int(rate*s.length.Seconds()*1.1)+16)
	next := time.Now().Add(gap())
	moved := time.Now()
	for {
		events, err := c.poll.waitUntil(next)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		if goesOn, err := t.tick(now); err != nil || !goesOn {
			return took, err
		}
		for _, e := range events {
			moved = now
			fd := int(e.Fd)
			whole, err := c.hear(fd)
			if err != nil {
				return nil, err
			}
			if !whole {
				continue
			}
			if due := c.by[fd].due; t.inside && due.After(t.start) {
				took = append(took, now.Sub(due))
			}
			if len(waiting) > 0 {
				if err := ask(fd, waiting[0]); err != nil {
					return nil, err
				}
				waiting = waiting[1:]
				continue
			}
			free = append(free, fd)
		}
		if now.Sub(moved) > stuck {
			return nil, errStuck
		}
		for ; !next.After(now); next = next.Add(gap()) {
			if len(free) == 0 {
				waiting = append(waiting, next)
				continue
			}
			// The one idle for longest, so that all are used.
			fd := free[0]
			free = free[1:]
			if err := ask(fd, next); err != nil {
				return nil, err
			}
		}
	}
}

// waitUntil is wait to a moment, more exactly than milliseconds.
func (p *poller) waitUntil(at time.Time) ([]unix.EpollEvent, error) {
	left := unix.NsecToTimespec(max(0, int64(time.Until(at))))
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events)),
		uintptr(len(p.events)), uintptr(unsafe.Pointer(&left)), 0, 0)
	if errno != 0 {
		if again(errno) {
			return nil, nil
		}
		return nil, errno
	}
	return p.events[:n], nil
}
