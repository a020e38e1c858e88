package health

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"runtime/debug"
	"sync"
	"time"
)

// finished is something that the scheduler has to look at: a check that has
// ended, what a session told, or the end of a session.
type finished struct {
	probe    *probe
	kind     kind
	result   Result
	timedOut bool          // of a check
	taken    chan struct{} // of a report: told when it has been counted
	err      error         // of the end of a session
}

type kind uint8

const (
	check kind = iota
	report
	sessionEnd
)

// Run asks until ctx is done; then it cancels the checks that are running,
// waits for them to end and returns nil. States are kept, so that Run may be
// called again, but not twice at the same time.
//
// One goroutine keeps the schedule and one more looks after it; each check
// runs in a goroutine of its own that ends with the check, and so does each
// session. A checker that panics does not take the process along, which has
// other servers to look after: the check is NoResult, the panic is logged
// with its stack and counted.
func (m *Monitor) Run(ctx context.Context) error {
	m.mu.Lock()
	if m.active {
		m.mu.Unlock()
		return errors.New("health monitor: Run is already running")
	}
	m.active = true
	now := m.now()
	m.lastBeat = now
	m.armAll(now)
	m.mu.Unlock()

	var workers sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	workers.Go(func() { m.heartbeat(ctx) })
	m.loop(ctx, &workers)
	cancel()
	workers.Wait()

	m.mu.Lock()
	defer m.mu.Unlock()
	// What was cancelled has told nothing.
	for i := range m.done {
		switch f := &m.done[i]; f.kind {
		case check:
			m.release(f.probe)
		case sessionEnd:
			f.probe.stand.ended = true
			m.settleEnd(f, now)
		}
	}
	m.done = nil
	m.queue = nil
	for _, p := range m.probes {
		p.index, p.dropped = -1, false
	}
	m.active = false
	return nil
}

// armAll spreads every question anew, in the order of the watches.
func (m *Monitor) armAll(now time.Duration) {
	m.batches, m.paced = 0, 0
	probes := make([]*probe, 0, len(m.probes))
	seen := make(map[*probe]bool, len(m.probes))
	for w := m.order.first; w != nil; w = w.after {
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
	var done []finished // swapped with m.done, so that both stay
	for {
		m.mu.Lock()
		now := m.now()
		m.beat(now)
		done, m.done = m.done, done[:0]
		for i := range done {
			m.settle(&done[i], now)
		}
		clear(done)
		m.start(ctx, workers, now)
		planned := never
		if len(m.queue) > 0 && m.stats.Running < m.max {
			planned = m.queue[0].due
		}
		m.mu.Unlock()

		if m.deliver(ctx) {
			continue // time has passed
		}
		if planned == never {
			timer.Stop() // only a signal can bring work
		} else {
			timer.Reset(planned - m.now())
		}
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-timer.C:
		}
	}
}

// start runs what is due, as far as there is room.
func (m *Monitor) start(ctx context.Context, workers *sync.WaitGroup, now time.Duration) {
	for len(m.queue) > 0 && m.queue[0].due <= now {
		p := m.queue[0]
		if p.triggered == never || p.triggered > now {
			if r := p.told(); r != nil {
				p.putOff = false
				m.answer(p, r, now, false)
				continue
			}
		}
		if m.stats.Running >= m.max {
			return
		}
		heap.Pop(&m.queue)
		m.stand(ctx, workers, p, now)
		late := uint64(now-p.due) / uint64(time.Millisecond)
		m.stats.Late[min(bits.Len64(late), len(m.stats.Late)-1)]++
		p.running, p.dropped, p.putOff, p.began = true, false, false, now
		p.forAll, p.triggered = p.triggered != never && p.triggered <= now, never
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
	f := finished{probe: p, result: Result{Reason: "the checker ended its goroutine"}}
	defer func() { // even if the checker calls runtime.Goexit
		if reason := recover(); reason != nil {
			f.result.Reason = m.panicked(p, reason).Error()
		}
		f.result = f.result.tidy(start, time.Since(start))
		// By the clock: after a stall a socket's deadline may have fired and
		// the context's not yet.
		end, _ := ctx.Deadline()
		f.timedOut = !time.Now().Before(end)
		if errors.Is(ctx.Err(), context.Canceled) && f.result.Verdict == Fail {
			f.result.Verdict = NoResult
		}
		m.push(f)
	}()
	f.result = p.checker.Check(ctx, p.target())
}

// panicked tells of a checker's panic; it must be called where it was
// recovered.
func (m *Monitor) panicked(p *probe, reason any) error {
	err := fmt.Errorf("the checker panicked: %v", reason)
	m.logger.Error(err.Error(), "check", p.key.check.Value(), "target", p.target().String(), "stack", string(debug.Stack()))
	m.mu.Lock()
	m.stats.Panics++
	m.mu.Unlock()
	return err
}

// push hands something to the scheduler.
func (m *Monitor) push(f finished) {
	m.mu.Lock()
	m.done = append(m.done, f)
	m.mu.Unlock()
	m.signal()
}

// release frees what a running check held.
func (m *Monitor) release(p *probe) {
	p.cancel()
	p.cancel, p.running = nil, false
	m.stats.Running--
	m.bury(p)
}

func (m *Monitor) settle(f *finished, now time.Duration) {
	switch f.kind {
	case check:
		m.settleCheck(f, now)
	case report:
		m.settleReport(f, now)
	case sessionEnd:
		m.settleEnd(f, now)
	}
}

// settleCheck gives a result to the watches whose turn it was, and plans on.
func (m *Monitor) settleCheck(f *finished, now time.Duration) {
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
	if m.excuse(f) && p.triggered == never {
		p.triggered = now + jitter(m.seed, now+p.phase, time.Second, 1)/2 + time.Second/2
	}
	r := &f.result
	if r.Verdict == NoResult {
		m.stats.NoResult++
	}
	all := p.forAll
	if told := p.told(); told != nil {
		switch {
		case p.stand.at >= p.began:
			r, all = told, false // the session knows better by now, and has told all
		case r.Verdict != NoResult && r.Verdict != told.Verdict:
			p.stand.newest = nil // and here it does not
		}
	}
	m.answer(p, r, now, all)
}

// answer gives a result to the watches of p whose turn it is, or to all of
// them, and plans on. It does not keep r.
func (m *Monitor) answer(p *probe, r *Result, now time.Duration, all bool) {
	var kept *Result
	for _, w := range p.watches {
		mine := w.next <= now
		if !mine && !all {
			continue
		}
		first := !w.asked()
		old, changed := w.take(&m.texts, r, m.keep)
		if changed {
			if kept == nil {
				kept = new(*r)
			}
			m.emit(w, old, kept)
		}
		policy := w.policy()
		d, fast := w.interval(policy)
		switch {
		case mine:
			var skipped uint64
			taken := w.turn
			if fast {
				taken = w.next
			}
			w.turn, skipped = nextTurn(p.phase, taken, now, d, fast)
			if !first { // the turn after the first may follow close behind it
				w.counters.Overruns += skipped
			}
			w.next = w.turn
			if !fast {
				w.next += jitter(m.seed, w.turn, d, policy.Jitter)
			}
		case fast && now+d < w.next:
			// An answer out of turn may call for a fast turn before the next.
			w.turn, w.next = now+d, now+d
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
		if m.events = m.events[1:]; len(m.events) == 0 {
			m.events = nil
		}
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
