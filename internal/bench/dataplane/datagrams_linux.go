package dataplane

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// A client of datagrams has so many on their way, and takes those for lost
// that are not answered for so long.
const (
	datagramWindow = 8
	datagramLost   = 50 * time.Millisecond
)

// datagrams asks from n sockets with a window each. It counts answers, and as
// failed what was lost.
func datagrams(to netip.AddrPort, n int, s span) (d done, err error) {
	c, err := newCrowd(to)
	if err != nil {
		return d, err
	}
	defer c.close()
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return d, err
		}
		c.fds = append(c.fds, fd)
		c.by = grow(c.by, fd)
		c.by[fd] = client{}
		if err := unix.Connect(fd, sockaddr(to)); err != nil {
			return d, fmt.Errorf("connect to %v: %w", to, err)
		}
		if err := c.poll.add(fd, unix.EPOLLIN); err != nil {
			return d, err
		}
	}
	t := s.timer()
	window := func(fd int, now time.Time) {
		c.by[fd].due = now
		for c.by[fd].got < datagramWindow && c.send(fd) == nil {
			c.by[fd].got++
		}
	}
	for _, fd := range c.fds {
		window(fd, time.Now())
	}
	checked := time.Now()
	moved := checked
	for {
		events, err := c.poll.wait(10)
		if err != nil {
			return d, err
		}
		now := time.Now()
		if goesOn, err := t.tick(now); err != nil || !goesOn {
			d.took = t.took
			return d, err
		}
		for _, e := range events {
			moved = now
			fd := int(e.Fd)
			for c.by[fd].got > 0 {
				n, err := unix.Read(fd, c.buf[:messageSize])
				if err != nil {
					break
				}
				if n != messageSize {
					return d, fmt.Errorf("datagram of %d bytes instead of %d", n, messageSize)
				}
				c.by[fd].got--
				if t.inside {
					d.count++
				}
			}
			window(fd, now)
		}
		if now.Sub(checked) < datagramLost/2 {
			continue
		}
		checked = now
		if now.Sub(moved) > stuck {
			return d, errStuck
		}
		for _, fd := range c.fds {
			if now.Sub(c.by[fd].due) > datagramLost {
				if t.inside {
					d.failed += int64(c.by[fd].got)
				}
				c.by[fd].got = 0
				window(fd, now)
			}
		}
	}
}

// send sends one datagram.
func (c *crowd) send(fd int) error {
	c.next++
	message(c.buf[:messageSize], c.next)
	_, err := unix.Write(fd, c.buf[:messageSize])
	return err
}
