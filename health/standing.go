package health

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrNoSession is wrapped by the error of [Standing.Stand] when the target can
// only be asked by turns, and there is no use in trying again.
var ErrNoSession = errors.New("the target can only be asked by turns")

// Standing is a [Checker] whose question can be left open: a session that
// tells of a change at once, where a check by turns would need an interval to
// notice it.
//
// A [Monitor] keeps one such session for each question, beside its turns: a
// report is an answer like any other and counts at once, and while a session
// stands the turns take its newest report for the answer instead of asking
// again. While there is none, the turns call Check. A session that breaks
// after it has told something has the question asked at once.
//
// A Monitor looks only at the checker of a watch itself. One that wraps
// another, as [Composite] does, is asked by turns unless it implements
// Standing too.
type Standing interface {
	Checker
	// Stand leaves the question open until ctx is done. It calls report, from
	// one goroutine at a time, for the first answer and for each change, and
	// never after it has returned. It returns nil when ctx is done; an error
	// means that the session has ended, or cannot be had, and is tried again
	// later, unless it is [ErrNoSession]. report may block for a moment, so
	// that no target can tell more than the caller takes.
	Stand(ctx context.Context, t Target, report func(Result)) error
}

const (
	// A session is tried again at a turn, after retryMin and then after twice
	// as long each time. One that stood for retryMax starts afresh.
	retryMin = time.Second
	retryMax = time.Minute
	// reportGap is the shortest time between two reports of a session.
	reportGap = 10 * time.Millisecond
)

// standing is the open question of one probe, or the plan to open it. Guarded
// by the monitor's lock.
type standing struct {
	checker Standing
	never   bool // ErrNoSession
	retry   time.Duration
	wait    time.Duration // what it was put off by the last time

	open   bool // Stand runs
	ended  bool // and has been told to return: what it reports is for nobody
	cancel context.CancelFunc
	since  time.Duration
	newest *Result // nil: it has told nothing that holds
	at     time.Duration
}

// end tells an open session to return.
func (s *standing) end() {
	if s.open {
		s.ended, s.newest = true, nil
		s.cancel()
	}
}

// stand opens the session of a question if it has one and there is room.
func (m *Monitor) stand(ctx context.Context, workers *sync.WaitGroup, p *probe, now time.Duration) {
	s := p.stand
	if s == nil || s.never || s.open || now < s.retry || m.stats.Sessions >= m.maxSessions {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	s.open, s.ended, s.newest, s.since, s.cancel = true, false, nil, now, cancel
	m.stats.Sessions++
	workers.Go(func() {
		err := m.hold(ctx, p)
		cancel()
		m.push(finished{probe: p, kind: sessionEnd, err: err})
	})
}

// hold runs a session and passes its reports on, one at a time.
func (m *Monitor) hold(ctx context.Context, p *probe) (err error) {
	taken := make(chan struct{}, 1)
	gap := time.NewTimer(0)
	defer gap.Stop()
	defer func() {
		if reason := recover(); reason != nil {
			err = m.panicked(p, reason)
		}
	}()
	return p.stand.checker.Stand(ctx, p.target(), func(r Result) {
		select {
		case <-gap.C:
		case <-ctx.Done():
			return
		}
		m.push(finished{probe: p, kind: report, result: r.tidy(time.Now(), 0), taken: taken})
		select {
		case <-taken:
		case <-ctx.Done():
		}
		gap.Reset(reportGap)
	})
}

// settleReport counts what a session told.
func (m *Monitor) settleReport(f *finished, now time.Duration) {
	f.taken <- struct{}{} // it has room: nobody else sends before it is read
	p := f.probe
	s := p.stand
	if s.ended {
		return
	}
	m.stats.Reports++
	if f.result.Verdict == Fail && m.stallEnd != never && now-m.stallEnd < doubtAfter {
		// It may be that we were too still for the session: ask.
		m.stats.Excused++
		s.newest = nil
		p.triggered = now
		m.requeue(p)
		return
	}
	s.newest, s.at = new(f.result), now
	m.answer(p, s.newest, now, true)
}

// settleEnd plans the next session after one that has ended.
func (m *Monitor) settleEnd(f *finished, now time.Duration) {
	p := f.probe
	s := p.stand
	told := s.newest != nil
	if now-s.since >= retryMax {
		s.wait = 0
	}
	s.wait = min(max(2*s.wait, retryMin), retryMax)
	s.open, s.newest, s.cancel = false, nil, nil
	m.stats.Sessions--
	if s.ended {
		s.ended, s.wait, s.retry = false, 0, 0
		m.bury(p)
		return
	}
	s.retry = now + s.wait
	if errors.Is(f.err, ErrNoSession) {
		s.never = true
	}
	m.logger.Debug("session ended", "check", p.key.check.Value(), "target", p.target().String(), "error", fmt.Sprint(f.err))
	if told && p.triggered == never {
		p.triggered = now
		m.requeue(p)
	}
}

// told is the newest report as the answer of a turn; nil if there is none.
func (p *probe) told() *Result {
	if p.stand == nil || p.stand.newest == nil {
		return nil
	}
	r := *p.stand.newest
	r.Start, r.Duration, r.Phases = time.Now(), 0, nil
	return &r
}
