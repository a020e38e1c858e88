package health

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// stallMin is by how much the scheduler must wake too late to call it a
	// stall of our own rather than a busy moment.
	stallMin = time.Second
	// watchdog is how often the scheduler wakes while checks run, so that a
	// stall is noticed even if nothing was due during it.
	watchdog = 500 * time.Millisecond
)

// finished is a check that has ended.
type finished struct {
	probe    *probe
	result   Result
	timedOut bool
}

// Run asks until ctx is done; then it cancels the checks that are running,
// waits for them to end and returns nil. States are kept, so that Run may be
// called again, but not twice at the same time.
//
// One goroutine keeps the schedule; each check runs in a goroutine of its own
// that ends with the check.
func (m *Monitor) Run(ctx context.Context) error {
	m.mu.Lock()
	if m.active {
		m.mu.Unlock()
		return errors.New("health monitor: Run is already running")
	}
	m.active = true
	m.armAll(time.Now())
	m.mu.Unlock()

	var workers sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	m.loop(ctx, &workers)
	cancel()
	workers.Wait()

	m.mu.Lock()
	defer m.mu.Unlock()
	// Cancelled checks have told nothing.
	for _, f := range m.done {
		m.release(f.probe)
	}
	m.done = nil
	m.queue = nil
	for _, p := range m.probes {
		p.index = -1
	}
	m.active = false
	return nil
}

// armAll spreads every question anew, in the order of the watches.
func (m *Monitor) armAll(now time.Time) {
	probes := make([]*probe, 0, len(m.probes))
	seen := make(map[*probe]bool, len(m.probes))
	for _, w := range m.order {
		if !seen[w.probe] {
			seen[w.probe] = true
			probes = append(probes, w.probe)
		}
	}
	m.arm(probes, now)
}

// loop is the scheduler.
func (m *Monitor) loop(ctx context.Context, workers *sync.WaitGroup) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var planned time.Time // when we wanted to wake; zero: never
	for {
		m.mu.Lock()
		now := time.Now()
		if !planned.IsZero() {
			m.noticeStall(now.Sub(planned))
		}
		for _, f := range m.done {
			m.settle(f, now)
		}
		clear(m.done)
		m.done = m.done[:0]
		m.start(ctx, workers, now)
		planned = m.nextWake(now)
		m.mu.Unlock()

		if m.deliver(ctx) {
			continue // time has passed
		}
		if planned.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(planned))
		}
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-timer.C:
		}
	}
}

// nextWake is when the scheduler has to look again; zero means that only a
// signal can bring work.
func (m *Monitor) nextWake(now time.Time) time.Time {
	var at time.Time
	if len(m.queue) > 0 && m.stats.Running < m.max {
		at = m.queue[0].due
	}
	if dog := now.Add(watchdog); m.stats.Running > 0 && (at.IsZero() || dog.Before(at)) {
		at = dog
	}
	return at
}

// noticeStall takes by how much the scheduler was late.
func (m *Monitor) noticeStall(late time.Duration) {
	if late <= stallMin {
		return
	}
	m.stats.Stalls++
	m.stats.Stalled += late
	m.logger.Warn("this process stood still; checks that timed out meanwhile do not count", "stalled", late)
}

// start runs what is due, as far as there is room.
func (m *Monitor) start(ctx context.Context, workers *sync.WaitGroup, now time.Time) {
	for len(m.queue) > 0 && m.stats.Running < m.max && !m.queue[0].due.After(now) {
		p := heap.Pop(&m.queue).(*probe)
		p.running, p.dropped = true, false
		p.forAll, p.triggered = !p.triggered.IsZero(), time.Time{}
		p.stalled = m.stats.Stalled
		m.stats.Running++
		m.stats.Checks++
		checkCtx, cancel := context.WithTimeout(ctx, p.key.timeout)
		p.cancel = cancel
		workers.Go(func() { m.work(checkCtx, p) })
	}
}

// work runs one check. It reads only those fields of p that never change.
func (m *Monitor) work(ctx context.Context, p *probe) {
	start := time.Now()
	r := p.checker.Check(ctx, p.target).tidy(start, time.Since(start))
	f := finished{p, r, errors.Is(ctx.Err(), context.DeadlineExceeded)}
	if errors.Is(ctx.Err(), context.Canceled) && f.result.Verdict == Fail {
		f.result.Verdict = NoResult
	}
	m.mu.Lock()
	m.done = append(m.done, f)
	m.mu.Unlock()
	m.signal()
}

// release frees what a running check held.
func (m *Monitor) release(p *probe) {
	p.cancel()
	p.running = false
	m.stats.Running--
	if len(p.watches) == 0 {
		delete(m.probes, p.key)
	}
}

// settle gives a result to the watches whose turn it was, and plans on.
func (m *Monitor) settle(f finished, now time.Time) {
	p := f.probe
	m.release(p)
	if len(p.watches) == 0 {
		return
	}
	if p.dropped {
		// Everybody who had asked left, and somebody new came: ask afresh.
		p.dropped = false
		m.requeue(p)
		return
	}
	r := &f.result
	stall := m.stats.Stalled - p.stalled
	if r.Verdict == Fail && f.timedOut && stall > stallMin && stall > p.key.timeout/2 {
		r.Verdict = NoResult
		r.Reason = oneLine(fmt.Sprintf("we stood still ourselves for %v meanwhile: %s", stall.Round(time.Millisecond), r.Reason), MaxReason)
		m.stats.Excused++
	}
	for _, w := range p.watches {
		mine := !w.next.After(now)
		if !mine && !p.forAll {
			continue
		}
		first := w.last == nil
		old, changed := w.take(r, m.keep)
		if changed {
			m.emit(w, old, r, now)
		}
		d, fast := w.interval(w.policy)
		if !mine {
			// An answer out of turn may call for a fast turn before the next.
			if soon := now.Add(d); fast && soon.Before(w.next) {
				w.next = soon
			}
			continue
		}
		next, skipped := nextTurn(p.phase, w.next, now, d, fast)
		w.next = next
		if !first { // the turn after the first may follow close behind it
			w.counters.Overruns += skipped
		}
	}
	m.requeue(p)
}

// deliver hands out the events of watches that still exist, and tells whether
// there were any.
func (m *Monitor) deliver(ctx context.Context) bool {
	delivered := false
	for ctx.Err() == nil {
		m.mu.Lock()
		if len(m.events) == 0 {
			m.mu.Unlock()
			break
		}
		next := m.events[0]
		m.events[0] = pending{}
		m.events = m.events[1:]
		if next.watch.removed {
			m.mu.Unlock()
			continue
		}
		m.stats.Events++
		next.event.Seq = m.stats.Events
		m.mu.Unlock()
		delivered = true
		e := next.event
		m.logger.Info("state changed", "check", e.ID, "target", e.Target.String(), "old", e.Old, "new", e.New, "reason", e.Reason)
		m.onEvent(e)
	}
	return delivered
}
