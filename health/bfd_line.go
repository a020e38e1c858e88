package health

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// bfdRecovery is how long a session has to come up again after this process
// stood still: it begins at the slow pace of one packet a second.
const bfdRecovery = 5 * time.Second

// bfdLine carries one session over its sockets.
type bfdLine struct {
	peer    netip.Addr
	dial    *Dial
	sockets *bfdSockets
	session *bfdSession
	users   int // guarded by that of the check
	cancel  context.CancelFunc
	done    chan struct{}
	err     error // why it ended, after done

	// Of the goroutine that runs it.
	sendErr  error // of the last packet, until one comes
	far, bad int   // packets that were not taken
	badErr   error

	mu   sync.Mutex
	now  bfdStatus
	news chan struct{} // closed when now changes
}

// bfdStatus is what a session says of its server.
type bfdStatus struct {
	// verdict counts if it is decided: in the beginning, and after we stood
	// still, it is not known for a while.
	verdict Verdict
	decided bool
	since   time.Time
	// text says what is the case, and blame whether that is the server's
	// fault.
	text  string
	blame Verdict
}

// status returns what is the case and a channel that is closed when that
// changes.
func (l *bfdLine) status() (bfdStatus, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now, l.news
}

// set changes the status, and wakes those who wait for another verdict.
func (l *bfdLine) set(s bfdStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := s.verdict != l.now.verdict || s.decided != l.now.decided
	l.now = s
	if changed {
		close(l.news)
		l.news = make(chan struct{})
	}
}

// run sends and receives until ctx is done, and then takes leave.
func (l *bfdLine) run(ctx context.Context) error {
	defer l.sockets.close()
	defer context.AfterFunc(ctx, func() { _ = l.sockets.in.SetReadDeadline(time.Unix(1, 0)) })()
	s := l.session
	begin := time.Now()
	decide := begin.Add(DefaultTimeout) // when a session that is not Up fails; zero is decided
	var stalled time.Time               // until when a fall may be our own fault
	sent := begin                       // the next packet is due a pace after that
	l.send(s.packet(false))
	random := rand.Float64()
	buf := make([]byte, 256)
	status := bfdStatus{since: begin}
	excuse := ""
	for {
		status.text, status.blame = l.describe()
		status.text = excuse + status.text
		l.set(status)
		next := time.Time{}
		if pace := s.pace(random); pace > 0 {
			next = sent.Add(pace)
		}
		deadline := earliest(next, s.expiry(), decide)
		n, ttl, err := l.read(ctx, buf, deadline)
		now := time.Now()
		if end := s.expiry(); errors.Is(err, os.ErrDeadlineExceeded) && !end.IsZero() && !now.Before(end) {
			// Packets that came while we slept wait in the socket.
			n, ttl, err = l.read(ctx, buf, now.Add(time.Millisecond))
		}
		if ctx.Err() != nil {
			s.admin()
			l.send(s.packet(false))
			return nil
		}
		if late := now.Sub(deadline); !deadline.IsZero() && late > time.Duration(s.multiplier)*s.interval/2 {
			stalled = now.Add(bfdRecovery)
		}
		was, polled, polling := s.state, false, s.polling
		switch {
		case err == nil:
			polled = l.take(buf[:n], ttl, now)
		case errors.Is(err, os.ErrDeadlineExceeded):
		default:
			return err
		}
		s.expire(now)
		if polled {
			l.send(s.packet(true))
		}
		// A change is told at once (RFC 5880, section 6.8.7).
		if due := !next.IsZero() && !now.Before(next); due || s.state != was || s.polling && !polling {
			l.send(s.packet(false))
			sent, random = now, rand.Float64()
		}
		fell := s.state != bfdUp && was == bfdUp
		switch {
		case s.state == bfdUp && was != bfdUp:
			status, excuse = bfdStatus{verdict: OK, decided: true, since: begin}, ""
			decide = time.Time{}
		case fell && now.Before(stalled):
			status, excuse = bfdStatus{verdict: NoResult, decided: true, since: now}, "this process stood still; "
			decide = now.Add(bfdRecovery)
		case fell, !decide.IsZero() && !now.Before(decide):
			_, blame := l.describe()
			status, excuse = bfdStatus{verdict: blame, decided: true, since: now}, ""
			decide = time.Time{}
			if blame != Fail { // our own fault now, but not for ever
				decide = now.Add(bfdRecovery)
			}
		}
		if fell {
			begin = now
		}
	}
}

// earliest is the first of some times, of which zero ones are never.
func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// read waits for a packet until a time.
func (l *bfdLine) read(ctx context.Context, buf []byte, until time.Time) (n, ttl int, err error) {
	_ = l.sockets.in.SetReadDeadline(until)
	if ctx.Err() != nil { // it may have come before that
		_ = l.sockets.in.SetReadDeadline(time.Unix(1, 0))
	}
	return l.sockets.read(buf)
}

// take reads a packet and tells whether it wants an answer.
func (l *bfdLine) take(b []byte, ttl int, now time.Time) (polled bool) {
	if ttl != bfdTTL {
		l.far++
		return false
	}
	p, err := parseBFD(b)
	if err == nil && p.mine == l.session.mine {
		// To itself a session would come up, as every rule is kept.
		err = errors.New("they are our own: is the target this machine?")
	}
	if err == nil {
		err = l.session.receive(p, now)
	}
	if err != nil {
		l.bad++
		l.badErr = err
		return false
	}
	l.sendErr = nil
	return p.poll
}

// send sends a packet. What a socket says is about the packet before.
func (l *bfdLine) send(p bfdPacket) {
	b := p.append(make([]byte, 0, bfdSize))
	_, err := l.sockets.out.Write(b)
	l.sendErr = err
	if errors.Is(err, syscall.ECONNREFUSED) {
		if _, err := l.sockets.out.Write(b); err != nil {
			l.sendErr = err
		}
	}
}

// describe says what is the case, and whose fault it is.
func (l *bfdLine) describe() (string, Verdict) {
	s := l.session
	if s.state == bfdUp {
		// The pace of the server is not known to change often, that of the
		// first packets is; so neither is in the text.
		return "Up", OK
	}
	text, blame := "", Fail
	switch {
	case s.diag == bfdExpired && s.heard.IsZero():
		text = fmt.Sprintf("no packet within %v, the session is lost", s.detection())
	case s.heard.IsZero():
		text = "no packet from the server"
	case s.remote == bfdAdminDown:
		text = "the server has taken the session down (AdminDown)"
	default:
		text = fmt.Sprintf("the session is %v, the server says %v", s.state, s.remote)
		if s.remoteDiag != bfdNoDiag {
			text += fmt.Sprintf(" (%v)", s.remoteDiag)
		}
	}
	if l.sendErr != nil {
		a := &attempt{ctx: context.Background(), target: Target{Addr: netip.AddrPortFrom(l.peer, bfdPort)}, dial: l.dial}
		var why string
		blame, why = classify(a.ctx, a.noRoute, l.sendErr, 0)
		text += "; " + why
	}
	if l.far > 0 {
		text += fmt.Sprintf("; %d packets came from farther than one hop and were not taken", l.far)
	}
	if l.bad > 0 {
		text += fmt.Sprintf("; %d packets were not taken: %v", l.bad, l.badErr)
	}
	return text, blame
}
