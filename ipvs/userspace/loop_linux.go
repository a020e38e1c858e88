package userspace

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxLoops bounds the loops of a balancer, and so the listening sockets
	// of a service.
	maxLoops = 64
	// maxEvents bounds the events taken at a time.
	maxEvents = 256
	// flushInterval is how long what moved may be missing in the counters
	// unless they are asked for, connectCheck how often connects that take long are looked at.
	flushInterval = int64(20 * time.Millisecond)
	connectCheck  = int64(20 * time.Millisecond)
	// shortWait is the longest wait, in milliseconds, that the runtime is not
	// told of.
	shortWait = 2
	// sweepStep is the number of pairs looked at between two waits of a
	// sweep, so that many idle connections delay no busy one.
	sweepStep = 1024
)

// loopSet are the loops of a balancer. They begin with its first TCP service.
type loopSet struct {
	mu     sync.Mutex
	all    []*loop
	closed bool
	// listening counts the listening sockets.
	listening int
}

// maxListening is the number of listening sockets of a balancer from which on
// a front end gets one instead of one in each loop: a service may be declared
// for a thousand ports. Loops share clients out among themselves as well.
const maxListening = 1024

// listeners returns the loops that a new front end shall listen in.
func (s *loopSet) listeners() []*loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.all
	if s.listening+len(in) > maxListening {
		i := s.listening % len(in)
		in = in[i : i+1]
	}
	s.listening += len(in)
	return in
}

// unlistened tells that n sockets are closed.
func (s *loopSet) unlistened(n int) {
	s.mu.Lock()
	s.listening -= n
	s.mu.Unlock()
}

// start returns the loops.
func (s *loopSet) start(b *Balancer) ([]*loop, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.all != nil {
		return s.all, nil
	}
	var all []*loop
	for i := range min(b.processors, maxLoops) {
		l, err := newLoop(b, i)
		if err != nil {
			for _, l := range all {
				l.release()
			}
			return nil, fmt.Errorf("event loop %d: %w", i, err)
		}
		all = append(all, l)
	}
	for _, l := range all {
		l.others, l.ample = all, runtime.GOMAXPROCS(0) > len(all)
		b.wg.Go(l.run)
	}
	s.all = all
	return all, nil
}

// close ends the loops and resets their connections, without waiting.
func (s *loopSet) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, l := range s.all {
		l.post(func() { l.closing = true })
	}
}

// sweep has the loops look for what is idle, without waiting.
func (s *loopSet) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.all {
		l.post(l.beginSweep)
	}
}

// flush has the loops count what they have moved, and waits.
func (s *loopSet) flush() {
	s.mu.Lock()
	all := s.all
	s.mu.Unlock()
	callAll(all, func(_ int, l *loop) { l.flush() })
}

// loop serves the sockets of its connections on one thread, by edge-triggered
// events. All without a mutex or an atomic type is the thread's own.
//
// It is not made on the net package, which takes two goroutines and twice the
// system calls for a connection, nor on a library of event loops: gnet, the
// best kept, closes both directions at the end of one, reads on while the
// other end takes nothing, connects by a goroutine and the net package, cannot
// splice, and listens on the addresses it was started with alone.
//
// TCP Fast Open to the servers would save a tenth of a new connection, but a
// server may get the first data twice, and one that speaks first would wait
// for ever: it is not used.
type loop struct {
	b      *Balancer
	index  int
	ep     int32
	wake   int32   // eventfd(2)
	others []*loop // all of them
	turn   int     // of the others, to be compared with
	ample  bool    // the runtime has more processors than there are loops

	now    int64 // of Balancer.now, when the loop last woke
	round  int   // of waits
	events [maxEvents]unix.EpollEvent
	buf    [heldSize]byte // for what is passed on at once
	addr   sockaddr
	header []byte // of the PROXY protocol

	pairs     pairTable
	listeners map[int32]*acceptor
	suspended []*acceptor // for want of something
	lastID    int32
	ready     []*pair  // have more to do than one turn allowed
	spare     []*pair  // the other slice of that kind
	moved     []*pair  // have something to count
	held      []*held  // spare ones
	waiting   pairList // connects
	pipes     pipePool
	nextFlush int64
	nextCheck int64
	sweepAt   int // slot to be looked at next, -1 when there is no sweep
	closing   bool

	// open counts the pairs, and what is on the way here from other loops.
	open atomic.Int32

	mu      sync.Mutex
	woken   bool
	ended   bool
	posted  []func()
	adopted []client
}

func newLoop(b *Balancer, index int) (*loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(ep)
		return nil, os.NewSyscallError("eventfd2", err)
	}
	l := &loop{b: b, index: index, ep: int32(ep), wake: int32(wake), sweepAt: -1, listeners: map[int32]*acceptor{}}
	l.waiting.init()
	l.pipes.b = b
	if errno := rawEpollAdd(l.ep, l.wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeID}); errno != 0 {
		l.release()
		return nil, os.NewSyscallError("epoll_ctl", errno)
	}
	return l, nil
}

func (l *loop) release() {
	rawClose(l.wake)
	rawClose(l.ep)
}

// An event names what it is for by two numbers: for a pair its slot and side,
// and the generation, by which an event for a predecessor in the slot is
// known; for the rest one below zero.
const wakeID = -1

// post has the loop call f soon. It reports false when the loop has ended.
func (l *loop) post(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.posted = append(l.posted, f)
	l.wakeUp()
	return true
}

// adopt gives the loop a client that another loop has accepted.
func (l *loop) adopt(c client) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.adopted = append(l.adopted, c)
	l.wakeUp()
	return true
}

// wakeUp ends the wait of the loop; mu is held.
func (l *loop) wakeUp() {
	if !l.woken {
		l.woken = true
		rawSignal(l.wake)
	}
}

// call has the loop call f and waits. What it has to do when the loop has
// ended, f does here.
func (l *loop) call(f func()) {
	done := make(chan struct{})
	if !l.post(func() { f(); close(done) }) {
		f()
		return
	}
	<-done
}

// callAll has each of the loops call f and waits for all.
func callAll(all []*loop, f func(i int, l *loop)) {
	var wg sync.WaitGroup
	for i, l := range all {
		wg.Add(1)
		if !l.post(func() { defer wg.Done(); f(i, l) }) {
			f(i, l)
			wg.Done()
		}
	}
	wg.Wait()
}

// run serves until the balancer closes.
func (l *loop) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for !l.closing {
		n := l.wait()
		l.round++
		l.now = l.b.now()
		for i := range n {
			l.handle(&l.events[i])
		}
		l.again()
		l.tick()
	}
	l.end()
}

// wait returns the number of events. A short wait is made without the
// runtime's knowledge where it has processors left for other goroutines (a
// garbage collection ends the wait with a signal): its monitor takes away
// those of threads that wait, and wakes all the time to do so. That took a
// tenth of the processor time.
func (l *loop) wait() int {
	timeout := l.timeout()
	if l.ample || timeout == 0 {
		short := timeout
		if short < 0 || short > shortWait {
			short = shortWait
		}
		n, errno := epollShort(l.ep, l.events[:], short)
		if errno != 0 {
			return 0 // A signal.
		}
		if n > 0 || short == timeout {
			return n
		}
	}
	n, errno := epollWait(l.ep, l.events[:], timeout)
	if errno != 0 {
		return 0
	}
	return n
}

// timeout returns for how many milliseconds there is nothing to do.
func (l *loop) timeout() int {
	if len(l.ready) > 0 || l.sweepAt >= 0 {
		return 0
	}
	next := int64(-1)
	if len(l.moved) > 0 {
		next = l.nextFlush
	}
	if !l.waiting.empty() && (next < 0 || l.nextCheck < next) {
		next = l.nextCheck
	}
	for _, a := range l.suspended {
		if next < 0 || a.resume < next {
			next = a.resume
		}
	}
	if next < 0 {
		return -1
	}
	return int(max(0, next-l.now+int64(time.Millisecond)-1) / int64(time.Millisecond))
}

func (l *loop) handle(ev *unix.EpollEvent) {
	switch {
	case ev.Fd >= 0:
		if p := l.pairs.at(ev.Fd >> 1); p.generation[ev.Fd&1] == ev.Pad {
			l.event(p, side(ev.Fd&1), ev.Events)
		}
	case ev.Fd == wakeID:
		l.obey()
	default:
		if a := l.listeners[ev.Fd]; a != nil {
			l.accept(a)
		}
	}
}

// obey does what others have asked for.
func (l *loop) obey() {
	rawDrain(l.wake)
	l.mu.Lock()
	l.woken = false
	posted, adopted := l.posted, l.adopted
	l.posted, l.adopted = nil, nil
	l.mu.Unlock()
	for _, c := range adopted {
		l.take(c)
	}
	for _, f := range posted {
		f()
	}
}

// again serves the pairs whose turn was over before their data.
func (l *loop) again() {
	if len(l.ready) == 0 {
		return
	}
	todo := l.ready
	l.ready, l.spare = l.spare[:0], nil
	for i, p := range todo {
		todo[i] = nil
		if p.queued {
			p.queued = false
			if l.pump(p, fromClient) {
				l.pump(p, fromServer)
			}
		}
	}
	l.spare = todo[:0]
}

// queue gives the pair another turn.
func (l *loop) queue(p *pair) {
	if !p.queued {
		p.queued = true
		l.ready = append(l.ready, p)
	}
}

// tick does what is due.
func (l *loop) tick() {
	if len(l.moved) > 0 && l.now >= l.nextFlush {
		l.flush()
	}
	if !l.waiting.empty() && l.now >= l.nextCheck {
		l.nextCheck = l.now + connectCheck
		l.expireConnects()
	}
	if len(l.suspended) > 0 {
		l.resume()
	}
	if l.sweepAt >= 0 {
		l.sweep()
	}
}

// flush brings the counters up to date.
func (l *loop) flush() {
	if len(l.moved) == 0 {
		return
	}
	for i, p := range l.moved {
		l.moved[i] = nil
		p.count()
	}
	l.moved = l.moved[:0]
}

// noteMoved counts what moved from one side to the other, soon.
func (l *loop) noteMoved(p *pair, from side, n int) {
	p.last = l.now
	h := &p.half[from]
	h.bytes += uint64(n)
	h.pieces += uint64(n+maxPiece-1) / maxPiece
	if p.uncounted {
		return
	}
	p.uncounted = true
	if len(l.moved) == 0 {
		l.nextFlush = l.now + flushInterval
	}
	l.moved = append(l.moved, p)
}

// beginSweep looks for what is idle, unless that is still being done.
func (l *loop) beginSweep() {
	if l.sweepAt < 0 {
		l.sweepAt = 0
		l.pipes.trim()
		l.held = slices.Delete(l.held, len(l.held)/2, len(l.held))
	}
}

// sweep looks at a few pairs.
func (l *loop) sweep() {
	end := min(l.sweepAt+sweepStep, l.pairs.slots())
	for ; l.sweepAt < end; l.sweepAt++ {
		if p := l.pairs.at(int32(l.sweepAt)); p.state == pairOpen {
			l.checkIdle(p)
		}
	}
	if l.sweepAt >= l.pairs.slots() {
		l.sweepAt = -1
	}
}

// end resets all connections and gives back what the loop has. What is asked
// of it later those do who ask, at any time: they find nothing, and change
// nothing.
func (l *loop) end() {
	for _, a := range l.listeners {
		l.unlisten(a)
	}
	for i := range l.pairs.slots() {
		if p := l.pairs.at(int32(i)); p.state != pairFree {
			l.abort(p, endReset)
		}
	}
	l.flush()
	l.pipes.close()
	l.mu.Lock()
	l.ended = true
	posted, adopted := l.posted, l.adopted
	l.posted, l.adopted = nil, nil
	l.mu.Unlock()
	for _, f := range posted {
		f()
	}
	for _, c := range adopted {
		l.refuse(c)
	}
	l.release()
}
