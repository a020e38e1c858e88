package userspace

import "sync/atomic"

// descriptorsEach is what a connection or a session is counted with: a TCP
// connection has one to each side. What a front end needs beyond that, such
// as pipes, it takes from the balancer's reserve with takeDescriptors.
const descriptorsEach = 2

// limits bound what clients can make grow.
type limits struct {
	// connections are those of all services, descriptors those that are
	// counted against maxDescriptors, which leaves a reserve below the limit
	// of the process; 0 is no limit.
	connections    atomic.Int64
	descriptors    atomic.Int64
	maxConnections int64
	maxDescriptors atomic.Int64
}

// The reserve of descriptors is for the rest of the process: health checks,
// files, the sockets that accept. Within these bounds it is an eighth.
const (
	minReserve = 64
	maxReserve = 1024
)

// watch takes over what the process may open, which others can change while
// it runs (prlimit(1)).
func (l *limits) watch(open int64) {
	if open > 0 {
		open -= min(max(open/8, minReserve), maxReserve)
		open = max(open, 1) // 0 is no limit.
	}
	l.maxDescriptors.Store(open)
}

// admit takes a TCP connection into account before anything is done for it.
// It reports false, and has counted the refusal, when a bound is reached:
// then the client is to be reset at once. Each true needs one leave.
func (b *Balancer) admit(s *service) bool {
	l := &b.limits
	if own := s.options().maxConnections; s.open.Add(1) > own && own > 0 {
		s.open.Add(-1)
		b.count.full.Add(1)
		return false
	}
	if l.connections.Add(1) > l.maxConnections {
		l.connections.Add(-1)
		s.open.Add(-1)
		b.count.saturated.Add(1)
		return false
	}
	if !b.takeDescriptors(descriptorsEach) {
		l.connections.Add(-1)
		s.open.Add(-1)
		return false
	}
	return true
}

// leave gives back what admit took.
func (b *Balancer) leave(s *service) {
	b.giveDescriptors(descriptorsEach)
	b.limits.connections.Add(-1)
	s.open.Add(-1)
}

// takeDescriptors reports whether n more descriptors may be opened, and
// counts the refusal when not.
func (b *Balancer) takeDescriptors(n int64) bool {
	l := &b.limits
	if limit := l.maxDescriptors.Load(); l.descriptors.Add(n) > limit && limit > 0 {
		l.descriptors.Add(-n)
		b.count.descriptors.Add(1)
		b.warnOf("the process is close to its limit of descriptors (RLIMIT_NOFILE): clients are refused; raise it", "limit", limit)
		return false
	}
	return true
}

// warnOf logs a shortage, and for a while no other: under load it meets
// thousands of clients.
func (b *Balancer) warnOf(what string, args ...any) {
	now, quiet := b.now(), b.quiet.Load()
	if now >= quiet && b.quiet.CompareAndSwap(quiet, now+int64(shortageInterval)) {
		b.cfg.Logger.Warn(what, args...)
	}
}

// giveDescriptors tells that n descriptors of takeDescriptors are closed.
func (b *Balancer) giveDescriptors(n int64) { b.limits.descriptors.Add(-n) }
