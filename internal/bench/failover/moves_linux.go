package failover

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// move is something that happens to the host that serves.
type move struct {
	name string
	do   func(p *pair, host int) error
	// mend brings the host back, which may take its time.
	mend func(p *pair, host int) error
	// apart: only where the process that speaks is not the one that was started.
	apart bool
	// silence: the host is cut off, so that its last advert counts for the other
	// one, whatever the moment of the cut.
	silence bool
	// one: how long it takes until the other host alone has the address, and how
	// long both have it, is of interest, too.
	one bool
}

// The rows of a move in the table.
func (m *move) gap(t tempo) string { return fmt.Sprintf("%v: %s, gap in ms", t, m.name) }

func (m *move) lost(t tempo) string {
	return fmt.Sprintf("%v: %s, packets lost, one each 0.25 ms", t, m.name)
}

func (m *move) effect(t tempo) string {
	return fmt.Sprintf("%v: %s, ms from the first advert to the announcement", t, m.name)
}

func (m *move) silent(t tempo) string {
	return fmt.Sprintf("%v: %s, ms from its last advert to the next answer", t, m.name)
}

func (m *move) alone(t tempo) string {
	return fmt.Sprintf("%v: %s, ms until the other host alone has the address", t, m.name)
}

func (m *move) both(t tempo) string {
	return fmt.Sprintf("%v: %s, ms that both hosts have the address", t, m.name)
}

var (
	dies = move{
		name:    "node dies",
		silence: true,
		do: func(p *pair, host int) error {
			err := p.cut(host)
			_, p.lastWord = p.beats[host].count() // later ones reach nobody
			return errors.Join(err, p.nodes[host].perish())
		},
		mend: func(p *pair, host int) error {
			return errors.Join(p.join(host), p.nodes[host].start())
		},
	}
	yields = move{
		name: "planned move",
		do:   func(p *pair, host int) error { return p.nodes[host].yield() },
		mend: func(p *pair, host int) error { return p.nodes[host].reclaim() },
		one:  true,
	}
	stops = move{
		name: "daemon stops",
		do:   func(p *pair, host int) error { return p.nodes[host].terminate() },
		mend: func(p *pair, host int) error {
			return errors.Join(p.nodes[host].stop(), p.nodes[host].start())
		},
		one: true,
	}
	killed = move{
		name: "kill -9 of the daemon",
		do: func(p *pair, host int) error {
			pid, err := p.nodes[host].daemon()
			return errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
		},
		mend: revive,
		one:  true,
	}
	silenced = move{
		name: "kill -9 of its process that speaks",
		do: func(p *pair, host int) error {
			pid, err := p.nodes[host].speaker()
			return errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
		},
		mend:  revive,
		apart: true,
		one:   true,
	}
	stopped = move{
		name: "SIGSTOP of its process that speaks",
		do: func(p *pair, host int) error {
			pid, err := p.nodes[host].speaker()
			return errors.Join(err, syscall.Kill(pid, syscall.SIGSTOP))
		},
		mend:  revive,
		apart: true,
		one:   true,
	}
)

func revive(p *pair, host int) error {
	return errors.Join(p.nodes[host].perish(), p.forget(host), p.nodes[host].start())
}

// window keeps the measurements of all pairs apart; what is mended meanwhile
// is not in the way.
type window struct {
	turn sync.Mutex
	mu   sync.Mutex // of the rest
	res  results
	// pauses are the windows in which the client itself paused for too long.
	pauses, windows int
	// kept are the moves that came to nothing.
	kept int
}

// together is the interval from which on the pairs are measured side by side:
// what they do to each other is little against seconds.
const together = time.Second

// askedLate is a pause of the client that is too long for a figure to go by.
const askedLate = 2 * time.Millisecond

// play plays one move of one pair, at a phase from 0 to 1 between two beats, and
// mends what it did. Where the client paused it is played again.
func (w *window) play(who string, p *pair, m *move, phase float64) error {
	const tries = 3
	for try := range tries {
		host, err := p.settle()
		if err != nil {
			return fmt.Errorf("before: %w", err)
		}
		if m.apart && !p.apart(host) {
			return nil
		}
		noted, err := w.measure(who, p, m, host, phase, try == tries-1)
		if err != nil {
			return err
		}
		if err := m.mend(p, host); err != nil {
			return fmt.Errorf("mend: %w", err)
		}
		if noted {
			break
		}
	}
	return nil
}

// measure plays the move and notes what came of it, unless the client paused and
// it may be played again.
func (w *window) measure(who string, p *pair, m *move, host int, phase float64, final bool) (noted bool, err error) {
	if p.t.interval < together {
		w.turn.Lock()
		defer w.turn.Unlock()
	}
	if err := p.client.begin(); err != nil {
		return false, err
	}
	// The phase is the same for all contestants of a round, and another one in
	// each, so that it does not decide who is faster.
	n, last := p.beats[host].count()
	if n == 0 {
		return false, errors.New("who has the address sends no beats")
	}
	ahead := max(2*p.t.interval, 20*time.Millisecond)
	time.Sleep(time.Until(last.Add(ahead)) - p.t.interval)
	_, last = p.beats[host].count()
	if wait := time.Until(last.Add(p.t.interval + time.Duration(phase*float64(p.t.interval)))); wait > 0 {
		precise(wait)
	}
	p.beats[1-host].arm()
	at := time.Now()
	if err := m.do(p, host); err != nil {
		return false, err
	}
	long := p.t.dead()
	if m.one {
		long += 150 * time.Millisecond // who has the address may be decided later than who serves
	}
	time.Sleep(long)
	s, err := p.client.end()
	if err != nil {
		return false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.windows++
	if s.Pause > askedLate {
		w.pauses++
		if !final {
			return false, nil
		}
	}
	p.mu.Lock()
	moved := slices.ContainsFunc(p.changes, func(c change) bool { return c.at.After(at) && c.holds[1-host] })
	p.mu.Unlock()
	if !moved {
		// As may be on a busy machine after a yield: the first host serves on.
		w.kept++
		return true, nil
	}
	w.res.note(m.gap(p.t), who, milliseconds(s.Gap))
	w.res.note(m.lost(p.t), who, float64(s.Lost))
	if m.silence {
		w.res.note(m.silent(p.t), who, milliseconds(s.GapEnd.Sub(p.lastWord)))
	}
	// Our nodes beat all the time.
	if d, ok := p.beats[1-host].effect(); ok && p.nodes[host].router() {
		w.res.note(m.effect(p.t), who, milliseconds(d))
	}
	if m.one {
		took, both, ok := p.handedOver(host, at)
		if !ok {
			w.res.note(m.alone(p.t), who, never)
		} else {
			w.res.note(m.alone(p.t), who, milliseconds(took))
		}
		w.res.note(m.both(p.t), who, milliseconds(both))
	}
	return true, nil
}

// apart reports whether the process of a host that speaks is not the one that was
// started.
func (p *pair) apart(host int) bool {
	daemon, err := p.nodes[host].daemon()
	speaker, err2 := p.nodes[host].speaker()
	return err != nil || err2 != nil || daemon != speaker
}

// precise sleeps; a timer of the runtime might ring a millisecond late.
func precise(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	for unix.Nanosleep(&t, &t) == unix.EINTR {
	}
}
