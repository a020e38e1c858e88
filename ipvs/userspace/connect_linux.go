package userspace

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/sched"
)

// maxTries is how many destinations a client is tried on.
const maxTries = 2

// connect picks a destination and begins to connect to it; when that fails,
// to one other. The connection counts as active from here on, as it does in
// the kernel from the first packet. The state of p is pairFree.
func (l *loop) connect(p *pair, avoid *sched.Server) {
	svc := p.front.svc
	for p.tries < maxTries {
		picked, err := svc.pick(p.from, p.at, avoid)
		if err != nil {
			if p.tries == 0 {
				l.b.count.noServer.Add(1)
			}
			break
		}
		if p.tries++; p.tries > 1 {
			l.b.count.retries.Add(1)
		}
		picked.server.Opened()
		picked.server.Activated()
		p.link, p.active = picked, true
		errno := l.dial(p)
		if errno == 0 {
			p.state, p.last = pairConnecting, l.now
			if l.waiting.empty() {
				l.nextCheck = l.now + connectCheck
			}
			l.waiting.add(p)
			return
		}
		avoid = picked.server
		if l.failed(p, errno) {
			break
		}
	}
	// Nothing listens for this client: let it see just that.
	l.abort(p, endReset)
}

// failed gives up the attempt to connect to a destination and reports
// whether the error is our own.
func (l *loop) failed(p *pair, err error) (ours bool) {
	if p.fd[fromServer] >= 0 {
		rawReset(p.fd[fromServer])
		p.fd[fromServer] = -1
		p.generation[fromServer]++
		p.half[fromServer] = half{}
	}
	p.link.release(true)
	p.active = false
	p.state = pairFree
	ours = p.front.svc.connectFailed(p.link.dest, err)
	p.link = link{}
	return ours
}

// dial begins to connect.
func (l *loop) dial(p *pair) syscall.Errno {
	to := p.link.target(p.at)
	fd, errno := rawSocket(family(to.Addr()))
	if errno != 0 {
		return errno
	}
	p.fd[fromServer] = fd
	if own := p.front.svc.options().sourceFor(to.Addr()); own.IsValid() {
		if errno := l.bindTo(fd, own); errno != 0 {
			return errno
		}
	}
	l.addr.set(to)
	if errno := rawConnect(fd, &l.addr); errno != 0 && errno != unix.EINPROGRESS {
		return errno
	}
	// After the connect: before, the socket would seem to have ended.
	return l.watch(p, fromServer)
}

// answered is called when a connect has come to an end.
func (l *loop) answered(p *pair) {
	h := &p.half[fromServer]
	if !h.failed && !h.writable {
		return
	}
	if h.failed || h.ending {
		if err := rawError(p.fd[fromServer]); err != 0 {
			l.retry(p, err)
			return
		}
	}
	switch {
	case !h.writable:
	case l.toItself(p):
		l.retry(p, unix.ECONNREFUSED)
	default: // It may have sent its end already.
		p.unlink()
		l.opened(p)
	}
}

// toItself reports whether a connect has met its own socket: where nothing
// listens on a port of this machine that the system gives to connects as well,
// sooner or later one gets that very port, and then TCP opens from both sides
// (RFC 9293, section 3.5).
func (l *loop) toItself(p *pair) bool {
	return rawGetsockname(p.fd[fromServer], &l.addr) == 0 && l.addr.get() == p.link.target(p.at)
}

// retry gives up a connect and tries another destination.
func (l *loop) retry(p *pair, err error) {
	p.unlink()
	avoid := p.link.server
	if l.failed(p, err) {
		p.tries = maxTries
	}
	l.connect(p, avoid)
}

// errConnectTimeout ends a connect that takes too long.
var errConnectTimeout = errors.New("no answer within the connect time-out")

// expireConnects looks for connects that take too long.
func (l *loop) expireConnects() {
	for p := l.waiting.root.next; p != &l.waiting.root; {
		next := p.next
		if l.now-p.last >= int64(p.front.svc.options().connectTimeout) {
			l.retry(p, errConnectTimeout)
		}
		p = next
	}
}
