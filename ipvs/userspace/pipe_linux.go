package userspace

import (
	"golang.org/x/sys/unix"
)

const (
	// maxPipes bounds the pipes of a loop: up to 1 MiB of the kernel's
	// memory each. Further transfers are copied.
	maxPipes = 64
	// minPipe is the size below which a pipe is not worth its calls: what
	// users get who have more than pipe-user-pages-soft (pipe(7)).
	minPipe = 64 << 10
)

// pipe is a pipe(2) and the bytes in it.
type pipe struct {
	r, w    int32
	size, n int
}

// pipePool lends pipes that are empty.
type pipePool struct {
	b       *Balancer
	spare   []*pipe
	open    int
	used    bool // since the last trim
	failed  bool // no pipe could be made since the last trim
	refused bool // splice(2) does not work here
}

// get returns nil when there is none to be had.
func (p *pipePool) get() *pipe {
	if p.refused {
		return nil
	}
	p.used = true
	if n := len(p.spare); n > 0 {
		x := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return x
	}
	if p.open >= maxPipes || p.failed {
		return nil
	}
	if p.failed = !p.b.takeDescriptors(2); p.failed {
		return nil
	}
	x := newPipe()
	if x == nil {
		p.b.giveDescriptors(2)
		p.failed = true
		return nil
	}
	p.open++
	return x
}

func newPipe() *pipe {
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC) != nil {
		return nil
	}
	x := &pipe{r: int32(fds[0]), w: int32(fds[1])}
	for _, size := range []int{pipeSize, pipeSize / 4} {
		if n, err := unix.FcntlInt(uintptr(x.w), unix.F_SETPIPE_SZ, size); err == nil {
			x.size = n
			return x
		}
	}
	if n, err := unix.FcntlInt(uintptr(x.w), unix.F_GETPIPE_SZ, 0); err == nil && n >= minPipe {
		x.size = n
		return x
	}
	x.close()
	return nil
}

func (x *pipe) close() {
	rawClose(x.r)
	rawClose(x.w)
}

// put takes a pipe back; one that is not empty is of no use to others.
func (p *pipePool) put(x *pipe) {
	if x.n == 0 {
		p.spare = append(p.spare, x)
		return
	}
	p.discard(x)
}

func (p *pipePool) discard(x *pipe) {
	x.close()
	p.open--
	p.b.giveDescriptors(2)
}

// trim closes the spare pipes when none was asked for lately.
func (p *pipePool) trim() {
	if !p.used {
		p.close()
	}
	p.used, p.failed = false, false
}

// close closes the spare pipes.
func (p *pipePool) close() {
	for _, x := range p.spare {
		p.discard(x)
	}
	p.spare = nil
}

// dropPipe ends the splicing of a stream.
func (l *loop) dropPipe(h *half) {
	if h.pipe != nil {
		l.pipes.put(h.pipe)
		h.pipe = nil
	}
}
