package simulate

import (
	"math"
	"time"

	"github.com/lvskit/lvskit/sched"
	"github.com/lvskit/lvskit/sched/feedback"
)

// server is a real server during a run.
type server struct {
	Server
	index int
	// alive: it answers. hung: it failed without a word.
	alive, hung bool
	// entry is its place in the scheduler, nil while it is not in the table.
	entry *sched.Server
	// life counts what broke its connections, stay its stays in the table,
	// entered is when the last one began.
	life    uint32
	stay    uint32
	entered int64
	state   feedback.State

	busy    int
	waiting ring[waiting]
	// open are the connections of this life, closing those in the table that
	// are closed.
	open, closing int

	// load is the one-minute load average.
	load float64
	// weighted is the configured weight times the time that it had it in the
	// table, from shownFrom on. since is when the weight of the account
	// began, below 0 when there is none.
	weighted         float64
	since, shownFrom int64
	account          int

	tally Tally
	times histogram
	// fresh are the connections of the current window.
	fresh int
}

// waiting is a connection that waits for a worker.
type waiting struct {
	arrived int64
	conn    uint32
	client  uint32
}

// law is what a law of package feedback does.
type law interface {
	Start(weight int) feedback.State
	Steady(weight int) feedback.State
	Next(feedback.State, feedback.Sample) feedback.State
	Interval() time.Duration
}

// plain is no feedback.
type plain struct{}

func (p plain) Start(w int) feedback.State { return p.Steady(w) }

func (plain) Steady(w int) feedback.State {
	return feedback.State{Configured: w, Weight: w, Climb: 1, Share: 1}
}

func (plain) Next(s feedback.State, _ feedback.Sample) feedback.State { return s }
func (plain) Interval() time.Duration                                 { return 0 }

// lawOf returns the law of a run.
func (s *Scenario) lawOf(scheduler string, f Feedback) law {
	switch f {
	case Piranha:
		return feedback.Piranha{}
	case PiranhaLoad:
		return feedback.Piranha{Load: true}
	case Gradual:
		g := feedback.Gradual{SlowStart: s.SlowStart}
		switch scheduler {
		case "sh", "ovf", "lblc", "lblcr":
			// Their weights mean more than a ratio.
			g.Unit = 1
		}
		return g
	}
	return plain{}
}

// config is the server as the table has it.
func (r *server) config() sched.ServerConfig {
	return sched.ServerConfig{Weight: r.state.Weight, Upper: r.Upper, Lower: r.Lower}
}

// serviceTime is how long a worker takes for a connection that it begins now.
func (r *server) serviceTime(w *world, conn uint32, now int64) int64 {
	t := w.serve[r.index].draw(w.chance(streamService, conn))
	if r.ColdFactor > 1 {
		if age := now - r.entered; age < int64(r.ColdFor) {
			warm := float64(age) / float64(r.ColdFor)
			t = int64(min(float64(t)*(r.ColdFactor-float64((r.ColdFactor-1)*warm)), float64(maxTime)))
		}
	}
	return t
}

// reweigh closes the account of the weight so far and opens the next.
func (r *server) reweigh(now int64) {
	if from := max(r.since, r.shownFrom); r.since >= 0 && now > from {
		r.weighted += float64(now-from) * float64(r.account)
	}
	r.since, r.account = -1, r.state.Configured
	if r.entry != nil && r.account > 0 {
		r.since = now
	}
}

// loadDecay is what is left of a one-minute load average after five seconds,
// as Linux has it (kernel/sched/loadavg.c).
var loadDecay = math.Exp(-5.0 / 60)

// sample takes part in the load average, every five seconds.
func (r *server) sample() {
	n := 0
	if r.alive {
		n = r.busy + r.waiting.held
	}
	r.load = float64(r.load*loadDecay) + float64(float64(n)*(1-loadDecay))
}
