package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/health"
)

// The documents of a watch, one a line.
const watchSchema = "lvskit.probe-watch/v1"

type watchStart struct {
	Schema string        `json:"schema"`
	Type   string        `json:"type"` // "start"
	Kind   string        `json:"kind"`
	Target health.Target `json:"target"`
	Check  string        `json:"check"`
	Policy health.Policy `json:"policy"`
	// WorstDetection is the longest time from a death to the state down.
	WorstDetection time.Duration `json:"worst_detection_ns"`
}

type watchResult struct {
	Schema string `json:"schema"`
	Type   string `json:"type"` // "result"
	seenResult
}

type watchChange struct {
	Schema string `json:"schema"`
	Type   string `json:"type"` // "state"
	health.Event
	// Result was told already.
	Result *health.Result `json:"result,omitempty"`
}

type watchSummary struct {
	Schema   string       `json:"schema"`
	Type     string       `json:"type"` // "summary"
	State    health.State `json:"state"`
	OK       int          `json:"ok"`
	Fail     int          `json:"fail"`
	NoResult int          `json:"no_result"`
	// Min, Median and Max are those of the good answers.
	Min    time.Duration `json:"min_ns"`
	Median time.Duration `json:"median_ns"`
	Max    time.Duration `json:"max_ns"`
}

// watcher prints what a monitor of one target sees.
type watcher struct {
	out    io.Writer
	asJSON bool
	most   int // results; 0 is no bound
	end    context.CancelFunc

	mu    sync.Mutex
	seen  int
	sum   watchSummary
	took  []time.Duration
	since time.Time
	err   error
}

// mostTimes bounds the memory of a watch of weeks: the median is that of the
// newest.
const mostTimes = 1 << 16

func watchTarget(c *cli.Context, kind string, checker health.Checker, target health.Target, policy health.Policy, asJSON bool) error {
	ctx, end := context.WithCancel(c.Context)
	defer end()
	w := &watcher{out: c.App.Writer, asJSON: asJSON, most: c.Int("count"), end: end, sum: watchSummary{Schema: watchSchema, Type: "summary"}}
	const id = "target"
	m := health.NewMonitor(&health.Config{OnEvent: w.event, StartBudget: time.Millisecond, History: -1})
	if err := m.Set([]health.Watch{{ID: id, Target: target, Checker: listen(checker, w.result), Policy: policy}}); err != nil {
		return usagef("%v", err)
	}
	s, _ := m.State(id)
	w.start(watchStart{watchSchema, "start", kind, target, checker.Identity(), policy, s.WorstDetection})
	ran := make(chan error, 1)
	go func() { ran <- m.Run(ctx) }()
	if w.most > 0 {
		w.await(ctx, m, id)
	}
	err := <-ran
	s, _ = m.State(id)
	return errors.Join(err, w.finish(s.State))
}

// await ends the watch when the monitor has judged the last answer.
func (w *watcher) await(ctx context.Context, m *health.Monitor, id string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s, _ := m.State(id)
		if n := s.Counters; n.OK+n.Fail+n.NoResult >= uint64(w.most) {
			w.end()
			return
		}
	}
}

// print writes a document, or the line that stands for it. The watch ends
// when nobody reads any more.
func (w *watcher) print(doc any, format string, args ...any) {
	if w.err != nil {
		return
	}
	if w.asJSON {
		enc := json.NewEncoder(w.out)
		enc.SetEscapeHTML(false)
		w.err = enc.Encode(doc)
	} else {
		_, w.err = fmt.Fprintf(w.out, format+"\n", args...)
	}
	if w.err != nil {
		w.end()
	}
}

func (w *watcher) start(s watchStart) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fast := ""
	if s.Policy.FastInterval != 0 {
		fast = fmt.Sprintf(", every %v while answers contradict the state", s.Policy.FastInterval)
	}
	w.print(s, "%s %s every %v%s; up after %d, down after %d; a death is noticed within %v", s.Kind, targetText(s.Target), s.Policy.Interval, fast, s.Policy.Rise, s.Policy.Fall, s.WorstDetection)
}

// result is told each answer before the monitor judges it.
func (w *watcher) result(r health.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.most > 0 && w.seen == w.most {
		return // one more began before the end
	}
	w.seen++
	switch r.Verdict {
	case health.OK:
		w.sum.OK++
		if len(w.took) < mostTimes {
			w.took = append(w.took, r.Duration)
		} else {
			w.took[w.sum.OK%mostTimes] = r.Duration
		}
		if w.sum.OK == 1 || r.Duration < w.sum.Min {
			w.sum.Min = r.Duration
		}
		w.sum.Max = max(w.sum.Max, r.Duration)
	case health.Fail:
		w.sum.Fail++
	default:
		w.sum.NoResult++
	}
	w.print(watchResult{watchSchema, "result", readable(r)}, "%s  %-9v %10s  %s", clock(r.Start), r.Verdict, millis(r.Duration), r.Reason)
}

func (w *watcher) event(e health.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := ""
	if !w.since.IsZero() {
		was = fmt.Sprintf(", was %v for %v", e.Old, e.At.Sub(w.since).Round(time.Millisecond))
	}
	w.since = e.At
	w.print(watchChange{watchSchema, "state", e, nil}, "%s  %v%s: %s", clock(e.At), e.New, was, e.Reason)
}

// finish prints the summary and is the exit code of the state.
func (w *watcher) finish(state health.State) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sum.State = state
	if n := len(w.took); n > 0 {
		slices.Sort(w.took)
		w.sum.Median = w.took[n/2]
	}
	times := ""
	if s := w.sum; s.OK > 0 {
		times = fmt.Sprintf("; good answers took %s at least, %s in the middle, %s at most", millis(s.Min), millis(s.Median), millis(s.Max))
	}
	w.print(w.sum, "%v: %d ok, %d fail, %d no result%s", state, w.sum.OK, w.sum.Fail, w.sum.NoResult, times)
	if w.err != nil {
		return w.err
	}
	switch state {
	case health.Up:
		return nil
	case health.Down:
		return &verdictError{exitFailed}
	}
	return &verdictError{exitNoResult}
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// listener is a check whose results are told to somebody.
type listener struct {
	health.Checker
	tell func(health.Result)
}

// listen returns a check that tells each of its results. One that can be left
// open can still be.
func listen(c health.Checker, tell func(health.Result)) health.Checker {
	l := listener{c, tell}
	if open, ok := c.(health.Standing); ok {
		return standingListener{l, open}
	}
	return l
}

func (l listener) Check(ctx context.Context, t health.Target) health.Result {
	r := l.Checker.Check(ctx, t)
	if !errors.Is(ctx.Err(), context.Canceled) { // by the end of the watch
		l.tell(r)
	}
	return r
}

type standingListener struct {
	listener
	open health.Standing
}

func (l standingListener) Stand(ctx context.Context, t health.Target, report func(health.Result)) error {
	return l.open.Stand(ctx, t, func(r health.Result) {
		l.tell(r)
		report(r)
	})
}
