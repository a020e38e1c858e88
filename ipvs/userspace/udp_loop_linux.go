package userspace

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// maxUDPLoops bounds the loops; each holds a batch of buffers.
const maxUDPLoops = 8

// udpLoops are the loops of a balancer, one for each processor. Balancer.mu
// guards them.
type udpLoops struct {
	all  []*udpLoop
	want int // how many; 0 is one for each processor
}

// start returns the loops, running.
func (u *udpLoops) start(b *Balancer) ([]*udpLoop, error) {
	n := u.want
	if n == 0 {
		n = min(b.processors, maxUDPLoops)
	}
	for len(u.all) < n {
		l, err := newUDPLoop()
		if err != nil {
			return nil, err
		}
		u.all = append(u.all, l)
		b.wg.Go(l.run)
	}
	return u.all, nil
}

// close ends the loops; their sockets are closed already.
func (u *udpLoops) close() {
	for _, l := range u.all {
		l.poll.Close()
	}
	u.all = nil
}

// endpoint is a socket in a loop: that of a service, or with a session that
// of the session.
type endpoint struct {
	fd   int
	slot int32
	of   *udpSocket
	sess *fdSocket
}

// udpLoop waits for many sockets and serves those that are ready.
type udpLoop struct {
	// poll is an epoll descriptor that the runtime's own poller waits for: a
	// loop without work holds no thread.
	poll *os.File
	epfd int

	// mu is held while ready sockets are served, and by those who change what
	// is served.
	mu    sync.Mutex
	slots []*endpoint
	free  []int32

	batch *batch
	// chain links the datagrams of one session in the batch; order are the
	// sessions in it.
	chain [batchSize]int
	order [batchSize]*fdSocket
	// replies is the socket whose sessions' replies wait in the first filled
	// buffers of the batch.
	replies *udpSocket
	filled  int
}

func newUDPLoop() (*udpLoop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open a poller: %w", err)
	}
	// os.NewFile hands what does not block to the runtime's poller.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("poller: %w", err)
	}
	return &udpLoop{poll: os.NewFile(uintptr(fd), "epoll"), epfd: fd, batch: newBatch()}, nil
}

// add watches a socket, which is the loop's from here on; mu is held.
func (l *udpLoop) add(fd int, of *udpSocket, sess *fdSocket) (*endpoint, error) {
	e := &endpoint{fd: fd, of: of, sess: sess}
	if n := len(l.free); n > 0 {
		e.slot = l.free[n-1]
		l.free = l.free[:n-1]
		l.slots[e.slot] = e
	} else {
		e.slot = int32(len(l.slots))
		l.slots = append(l.slots, e)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: e.slot, Pad: int32(fd)}
	if err := unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		l.remove(e)
		return nil, fmt.Errorf("watch a socket: %w", err)
	}
	return e, nil
}

// remove closes a socket, and with that ends the watch; mu is held.
func (l *udpLoop) remove(e *endpoint) {
	if l.slots[e.slot] != e {
		return
	}
	if e.sess == nil && l.replies == e.of {
		l.flush()
	}
	l.slots[e.slot] = nil
	l.free = append(l.free, e.slot)
	unix.Close(e.fd)
}

// run serves until the poller is closed.
func (l *udpLoop) run() {
	raw, err := l.poll.SyscallConn()
	if err != nil {
		return // Closed already.
	}
	events := make([]unix.EpollEvent, 256)
	var n int
	ready := func(fd uintptr) bool {
		for {
			var err error
			n, err = unix.EpollWait(int(fd), events, 0)
			if err != unix.EINTR {
				return err != nil || n > 0
			}
		}
	}
	for {
		if err := raw.Read(ready); err != nil || n < 0 {
			return
		}
		l.serve(events[:n])
	}
}

func (l *udpLoop) serve(events []unix.EpollEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Replies first: they share the batch with what clients sent.
	for i := range events {
		if e := l.at(&events[i]); e != nil && e.sess != nil {
			e.of.fromServer(e.sess)
		}
	}
	l.flush()
	for i := range events {
		if e := l.at(&events[i]); e != nil && e.sess == nil {
			e.of.fromClients()
		}
	}
}

// at returns the socket of an event, nil when it has been closed since. A
// socket that has taken its place since is not ready, and says so.
func (l *udpLoop) at(ev *unix.EpollEvent) *endpoint {
	e := l.slots[ev.Fd]
	if e == nil || int32(e.fd) != ev.Pad {
		return nil
	}
	return e
}

// flush sends the replies in the batch.
func (l *udpLoop) flush() {
	s := l.replies
	l.replies, l.filled = nil, 0
	for done := 0; s != nil && done < l.batch.queued; {
		sent, err := l.batch.send(s.end.fd, done)
		if done += sent; err == nil {
			continue
		}
		m := &l.batch.about[done]
		went := 0
		if m.segments > 1 && cannotSegment(err) {
			went, _ = l.batch.sendSingly(s.end.fd, done)
		}
		s.svc.b.count.dropped.Add(uint64(m.segments - went))
		done++
	}
	l.batch.reset()
}
