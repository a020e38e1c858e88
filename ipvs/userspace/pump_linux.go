package userspace

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// turn is how much one direction of a pair moves before it is the turn
	// of others.
	turn = 2 << 20
	// pipeSize is the size of a pipe: with 64 KiB a transfer takes twice the
	// processor time.
	pipeSize = 1 << 20
	// spliceAfter is the number of large reads in a row that make a bulk
	// transfer. A splice costs a pipe and more system calls than a small
	// exchange is worth.
	spliceAfter = 3
	// spliceWait is how long a silent stream may hold its pipe.
	spliceWait = time.Second
	// leaveSplice is the number of small splices in a row after which a
	// stream is no bulk any more, smallSplice what is small.
	leaveSplice = 16
	smallSplice = 8 << 10
	// maxSpareHeld bounds the spare buffers of a loop.
	maxSpareHeld = 16
)

// held is what one end has sent and the other does not take yet.
type held struct {
	buf        [heldSize]byte
	start, end int
}

// heldSize lets a held fit into 64 KiB.
const heldSize = bigBuffer - 16

// pump moves what can be moved from one end to the other. It reports false
// when the pair is no more. It reads only while the other end takes all, so a
// slow reader costs no more than one buffer or one pipe, and then the kernel
// stops the sender.
func (l *loop) pump(p *pair, from side) bool {
	h, to := &p.half[from], &p.half[1-from]
	for left := turn; ; {
		switch {
		case !to.writable:
			return l.blocked(p, from)
		case h.held != nil:
			if !l.pumpHeld(p, from) {
				return false
			}
			continue
		case h.ended:
			return h.done || l.passEnd(p, from)
		case !h.readable && (h.pipe == nil || h.pipe.n == 0):
			return true
		case left <= 0:
			l.queue(p)
			return true
		}
		var n int
		var ok bool
		if h.pipe != nil {
			n, ok = l.pumpPipe(p, from)
		} else {
			n, ok = l.pumpBuffer(p, from)
		}
		if !ok {
			return false
		}
		left -= max(n, 1)
	}
}

// blocked looks at a direction whose other end takes nothing now. A client
// that has reset is passed on at once: a server that hangs would keep it for
// ever. An end behind what is not read yet begins the time of a closing
// connection.
func (l *loop) blocked(p *pair, from side) bool {
	h := &p.half[from]
	if h.failed && from == fromClient {
		l.abort(p, endReset)
		return false
	}
	if h.failed || h.ending {
		l.firstEnd(p)
	}
	return true
}

// passEnd tells the other end that nothing more comes.
func (l *loop) passEnd(p *pair, from side) bool {
	p.half[from].done = true
	if p.half[1-from].done {
		l.finish(p)
		return false
	}
	if errno := rawShutdownWrite(p.fd[1-from]); errno != 0 {
		l.abort(p, endReset)
		return false
	}
	return true
}

// readEnd notes the end of what one side sends.
func (l *loop) readEnd(p *pair, from side) {
	p.half[from].ended = true
	l.dropPipe(&p.half[from])
	l.firstEnd(p)
}

// pumpBuffer passes on what one read brings.
func (l *loop) pumpBuffer(p *pair, from side) (moved int, ok bool) {
	h, to := &p.half[from], &p.half[1-from]
	n, errno := rawRead(p.fd[from], l.buf[:])
	switch errno {
	case 0:
	case unix.EAGAIN:
		h.readable = false
		return 0, true
	case unix.EINTR:
		return 0, true
	default:
		l.abort(p, endReset)
		return 0, false
	}
	if n == 0 {
		l.readEnd(p, from)
		return 0, true
	}
	if n < len(l.buf) && !h.urgent && !h.failed {
		// All was read that had come before the event; what came since
		// makes another one.
		h.readable = false
		if h.ending {
			l.readEnd(p, from)
		}
	}
	l.judge(h, n)
	w, ok := l.send(p, from, l.buf[:n])
	if !ok {
		return 0, false
	}
	if w < n {
		to.writable = false
		b := l.takeHeld()
		b.start, b.end = 0, copy(b.buf[:], l.buf[w:n])
		h.held = b
	}
	return n, true
}

// judge takes a pipe for a stream that has become bulk.
func (l *loop) judge(h *half, n int) {
	switch {
	case n >= bigBuffer/2:
		h.large++
	case n < bigBuffer/8:
		h.large = 0
	}
	if h.large < spliceAfter || h.ended || h.urgent {
		return
	}
	h.large, h.small = 0, 0
	h.pipe = l.pipes.get()
}

// send writes to the other end. It returns 0 when that takes nothing now.
func (l *loop) send(p *pair, from side, data []byte) (int, bool) {
	fd := p.fd[1-from]
	if from == fromClient && p.prompt < 2 {
		// Not for the first piece, which goes at once anyway: a connection
		// with one request does without.
		if p.prompt++; p.prompt == 2 {
			rawSetInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		}
	}
	n, errno := rawSend(fd, data)
	switch errno {
	case 0:
		l.noteMoved(p, from, n)
		return n, true
	case unix.EAGAIN, unix.EINTR:
		return 0, true
	}
	l.abort(p, endReset)
	return 0, false
}

// pumpHeld writes what is held.
func (l *loop) pumpHeld(p *pair, from side) bool {
	h := &p.half[from]
	b := h.held
	n, ok := l.send(p, from, b.buf[b.start:b.end])
	if !ok {
		return false
	}
	if b.start += n; b.start == b.end {
		l.dropHeld(h)
	} else {
		p.half[1-from].writable = false
	}
	return true
}

func (l *loop) takeHeld() *held {
	if n := len(l.held); n > 0 {
		b := l.held[n-1]
		l.held[n-1] = nil
		l.held = l.held[:n-1]
		return b
	}
	return new(held)
}

func (l *loop) dropHeld(h *half) {
	if h.held != nil && len(l.held) < maxSpareHeld {
		l.held = append(l.held, h.held)
	}
	h.held = nil
}

// pumpPipe moves bytes inside the kernel, into the pipe and out of it.
func (l *loop) pumpPipe(p *pair, from side) (moved int, ok bool) {
	h, to := &p.half[from], &p.half[1-from]
	pipe := h.pipe
	if h.urgent && pipe.n == 0 {
		// No splice gets past the mark of urgent data.
		l.dropPipe(h)
		return 0, true
	}
	if h.readable && pipe.n < pipe.size {
		n, errno := rawSplice(p.fd[from], pipe.w, pipe.size-pipe.n)
		switch errno {
		case 0:
			pipe.n += n
			if n == 0 && pipe.n == 0 {
				// The end, or a mark of urgent data before it: a read tells.
				l.dropPipe(h)
				return 0, true
			}
			if n < smallSplice {
				h.small++
			} else {
				h.small = 0
			}
		case unix.EAGAIN:
			// The source is empty, or the pipe is full of small pieces.
			if pipe.n == 0 {
				h.readable = false
				return 0, true
			}
		case unix.EINTR:
		case unix.EINVAL, unix.ENOSYS, unix.EPERM:
			// Not on this system.
			l.pipes.refused = true
			if pipe.n == 0 {
				l.dropPipe(h)
				return 0, true
			}
		default:
			l.abort(p, endReset)
			return 0, false
		}
	}
	for pipe.n > 0 {
		n, errno := rawSplice(pipe.r, p.fd[1-from], pipe.n)
		switch errno {
		case 0:
			pipe.n -= n
			moved += n
			l.noteMoved(p, from, n)
		case unix.EAGAIN:
			to.writable = false
			return moved, true
		case unix.EINTR:
		default:
			l.abort(p, endReset)
			return 0, false
		}
	}
	if h.small >= leaveSplice {
		l.dropPipe(h)
	}
	return moved, true
}
