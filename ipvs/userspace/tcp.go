package userspace

import (
	"log/slog"
	"net/netip"
	"time"
)

// Limits of the wait after a failed accept.
const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

// connSet are the open TCP connections of a balancer, with the engine that
// relays them: loops of our own where the system has what they need, else the
// net package.
type connSet struct {
	loops  loopSet
	relays relaySet
}

func (s *connSet) init() { s.relays.init() }

func (s *connSet) closeAll() {
	s.loops.close()
	s.relays.closeAll()
}

// flush brings the counters up to date.
func (s *connSet) flush() { s.loops.flush() }

func (s *connSet) resetIdle(b *Balancer, now int64) {
	s.loops.sweep()
	s.relays.resetIdle(b, now)
}

func network(proto string, addr netip.AddrPort) string {
	if addr.Addr().Is4() {
		return proto + "4"
	}
	return proto + "6"
}

// backoff waits longer after each failure in a row.
type backoff struct{ delay time.Duration }

func (w *backoff) reset() { w.delay = 0 }

// sleep waits, or returns early when done is closed. Of a row of failures
// only the first is worth a line.
func (w *backoff) sleep(done <-chan struct{}, log *slog.Logger, s *service, err error) {
	if w.delay == 0 {
		log.Warn("service cannot take clients for now", "service", s.key, "error", err)
	}
	w.delay = min(max(2*w.delay, minBackoff), maxBackoff)
	t := time.NewTimer(w.delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-done:
	}
}

// shortageInterval is how long a shortage is not logged again: under load it
// meets thousands of clients.
const shortageInterval = time.Minute

// connectFailed counts and logs an error of connecting. It reports whether
// the error is our own: then the destination is not to blame, and another
// attempt would need the same that is lacking.
func (s *service) connectFailed(d *destination, err error) (ours bool) {
	b := s.b
	lack := shortage(err)
	if lack == "" {
		b.count.connectErrors.Add(1)
		b.cfg.Logger.Debug("destination refused a connection", "service", s.key, "destination", d.addr, "error", err)
		return false
	}
	b.count.local.Add(1)
	b.warnOf("cannot connect to destinations for now: "+lack, "service", s.key, "destination", d.addr, "error", err)
	return true
}

// plain returns an address as package ipvs has it: no mapped IPv4, no zone.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
