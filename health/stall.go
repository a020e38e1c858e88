package health

import (
	"context"
	"fmt"
	"time"
)

const (
	// stallMin is the shortest stillness of our own that is called a stall
	// rather than a busy moment.
	stallMin = 250 * time.Millisecond
	// beatEvery is how often the monitor makes sure that it is running.
	beatEvery = 100 * time.Millisecond
	// doubtAfter is for how long after a stall a session that tells of a
	// failure is doubted: it may have missed what the stall kept from it.
	doubtAfter = 2 * time.Second
)

// heartbeat notices that the whole process stood still (stopped by a signal,
// a paused guest, memory on a slow disk): everything in it did, so did this.
// A caller's slow OnEvent is no stall, as checks go on meanwhile.
func (m *Monitor) heartbeat(ctx context.Context) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		m.mu.Lock()
		m.beat(m.now())
		m.mu.Unlock()
	}
}

// beat tells that we run. The scheduler beats before it looks at results, so
// that none made during a stall is judged before the stall is known.
func (m *Monitor) beat(now time.Duration) {
	still := now - m.lastBeat - beatEvery
	m.lastBeat = now
	if still <= stallMin {
		return
	}
	m.stats.Stalls++
	m.stats.Stalled += still
	m.stallEnd = now
	m.logger.Warn("this process stood still; failures of checks under way do not count", "stalled", still)
	if still > time.Second {
		m.respread(now)
	}
}

// respread skips the turns that a stall has made late, each to the next turn
// of its own grid. All at once they would make us too slow to be fair to any
// target. Fast turns are taken now, and so are those that have been put off
// already: a machine that is always too slow must not keep a target waiting
// for ever.
func (m *Monitor) respread(now time.Duration) {
	var late []*probe
	for _, p := range m.queue {
		if p.due <= now && !p.putOff {
			p.putOff = true
			late = append(late, p)
		}
	}
	for _, p := range late {
		for _, w := range p.watches {
			policy := w.policy()
			d, fast := w.interval(policy)
			if w.next > now || fast || !w.asked() {
				continue
			}
			w.counters.Overruns += uint64((now - w.turn) / d)
			m.slowTurn(w, now)
		}
		m.requeue(p)
	}
}

// excuse tells whether a failure of a check is put down to our own stall. One
// that took half the time-out explains that it passed. One of more than a
// second explains any other failure: the server may have tired of waiting.
func (m *Monitor) excuse(f *finished) bool {
	stall := m.stats.Stalled - f.probe.stalled
	enough := time.Second
	if f.timedOut {
		enough = f.probe.key.timeout / 2
	}
	if f.result.Verdict != Fail || stall <= enough {
		return false
	}
	f.result.Verdict = NoResult
	f.result.Reason = oneLine(fmt.Sprintf("we stood still ourselves for %v meanwhile: %s", stall.Round(time.Millisecond), f.result.Reason), MaxReason)
	m.stats.Excused++
	return true
}
