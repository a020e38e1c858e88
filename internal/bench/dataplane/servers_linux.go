package dataplane

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/lab"
)

// kind is what a real server does on one of its ports.
type kind uint8

// The kinds, each at port firstPort + kind of every server.
const (
	unused   kind = iota
	echo          // answers each message with itself, for ever
	once          // answers one message with itself and closes, as HTTP without keep-alive
	source        // after one byte sends without end
	drain         // takes without end
	datagram      // answers each datagram with itself
	kinds
)

const (
	firstPort   = 9000
	messageSize = 128
	serverCount = 3
	bulkPiece   = 1 << 20
	backlog     = 4096
)

// serverAddr is where a real server does what a kind says.
func serverAddr(i int, k kind) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + i)}), firstPort+uint16(k))
}

// role is what a descriptor of the servers is.
type role struct {
	kind      kind
	listening bool
	asked     bool // of a source
}

// servers are all real servers: one loop, so that what they take of the
// processors is the same for everybody.
type servers struct {
	poll  *poller
	roles []role // by descriptor
	file  int    // what sources send
	wake  int    // ends the loop
	buf   []byte
	wg    sync.WaitGroup
	err   error // of the loop, to be read after wg
}

func startServers(ns *lab.Namespace) (*servers, error) {
	s := &servers{buf: make([]byte, bulkPiece)}
	var err error
	if s.poll, err = newPoller(); err != nil {
		return nil, err
	}
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	if err := s.poll.add(s.wake, unix.EPOLLIN); err != nil {
		return nil, err
	}
	if s.file, err = unix.MemfdCreate("bulk", unix.MFD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	if _, err := unix.Write(s.file, s.buf); err != nil {
		return nil, err
	}
	err = ns.Do(func() error {
		for i := range serverCount {
			for k := echo; k < kinds; k++ {
				if err := s.listen(i, k); err != nil {
					return fmt.Errorf("real server %v: %w", serverAddr(i, k), err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.wg.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		s.err = s.run()
	})
	return s, nil
}

// stop ends the servers and returns what went wrong with them.
func (s *servers) stop() error {
	if _, err := unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		return err
	}
	s.wg.Wait()
	for fd, r := range s.roles {
		if r.kind != unused {
			unix.Close(fd)
		}
	}
	unix.Close(s.wake)
	unix.Close(s.file)
	s.poll.close()
	return s.err
}

func (s *servers) listen(i int, k kind) error {
	typ := unix.SOCK_STREAM
	if k == datagram {
		typ = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(unix.AF_INET, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	s.roles = grow(s.roles, fd)
	s.roles[fd] = role{kind: k, listening: true}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, sockaddr(serverAddr(i, k))); err != nil {
		return err
	}
	if k != datagram {
		if err := unix.Listen(fd, backlog); err != nil {
			return err
		}
	}
	return s.poll.add(fd, unix.EPOLLIN)
}

func (s *servers) run() error {
	for {
		events, err := s.poll.wait(-1)
		if err != nil {
			return err
		}
		for _, e := range events {
			fd := int(e.Fd)
			if fd == s.wake {
				return nil
			}
			switch r := &s.roles[fd]; {
			case r.kind == datagram:
				s.answer(fd)
			case r.listening:
				s.accept(fd, r.kind)
			default:
				s.serve(fd, r)
			}
		}
	}
}

func (s *servers) accept(ln int, k kind) {
	for range 64 {
		fd, _, err := unix.Accept4(ln, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			return
		}
		s.roles = grow(s.roles, fd)
		s.roles[fd] = role{kind: k}
		if s.poll.add(fd, unix.EPOLLIN) != nil {
			s.close(fd)
		}
	}
}

func (s *servers) close(fd int) {
	s.roles[fd] = role{}
	unix.Close(fd)
}

// serve does what is to be done for a connection that is ready.
func (s *servers) serve(fd int, r *role) {
	if r.kind == source && r.asked {
		var at int64
		if _, err := unix.Sendfile(fd, s.file, &at, bulkPiece); err != nil && !again(err) {
			s.close(fd)
		}
		return
	}
	flags, size := 0, 4*messageSize
	if r.kind == drain {
		flags, size = unix.MSG_TRUNC, bulkPiece // thrown away without being copied
	}
	n, _, err := unix.Recvfrom(fd, s.buf[:size], flags)
	switch {
	case err != nil && again(err):
		return
	case err != nil || n == 0:
		s.close(fd)
		return
	}
	switch r.kind {
	case source:
		r.asked = true
		err = s.poll.set(fd, unix.EPOLLOUT)
	case echo:
		_, err = unix.Write(fd, s.buf[:n])
	case once:
		unix.Write(fd, s.buf[:n])
		s.close(fd)
	}
	if err != nil {
		s.close(fd)
	}
}

func (s *servers) answer(fd int) {
	for range 64 {
		n, from, err := unix.Recvfrom(fd, s.buf[:4*messageSize], 0)
		if err != nil {
			return
		}
		_ = unix.Sendto(fd, s.buf[:n], 0, from) // who loses it asks again
	}
}
