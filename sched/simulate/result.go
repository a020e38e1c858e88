package simulate

import (
	"context"
	"math"
	"time"
)

// Result is what came out of a scenario.
type Result struct {
	// Scenario is what was simulated, with its defaults.
	Scenario Scenario
	// Runs are the schedulers in their order, each with the kinds of
	// feedback in theirs.
	Runs []Run
}

// Run is what one scheduler made of the connections.
type Run struct {
	Scheduler string
	Feedback  Feedback
	// Connections are those that came, Answered those that were answered.
	// Both count what is shown, as all numbers do: a connection may have
	// come before it, or be answered after it.
	Connections, Answered int
	// Refused are connections that were not taken: no server was eligible,
	// or the one picked was dead or had a full queue. Broken are those that
	// were open on a server that failed or was removed.
	Refused, Broken int
	// Returning are connections of clients that had one before, Moved those
	// of them that came to another server than the one before.
	Returning, Moved int
	// Latency is from a connection's coming to its answer.
	Latency Latency
	// Load is how unequal the open connections per weight were, over the
	// time; Share how unequal the new ones per weight, over all.
	Load, Share Imbalance
	// Excess is the longest time in which a server got far more than its
	// share.
	Excess Excess
	// Servers are in the order of the scenario.
	Servers []Tally
	Series  Series
	// Notes say what the numbers do not.
	Notes []string
}

// Latency sums up lengths of time, with an error of at most 1.6 %.
type Latency struct {
	Mean, P50, P90, P99, P999, Max time.Duration
}

// Imbalance says how unequal servers are, in something that would be equal in
// a balance. Zero where there was nothing to compare.
type Imbalance struct {
	// MaxMean is the most loaded server's part of the mean: 1 is a balance.
	// CV is the coefficient of variation, the standard deviation in parts of
	// the mean: 0 is a balance. Over time both are means.
	MaxMean, CV float64
	// Worst is the greatest MaxMean at any time, and WorstAt when that was.
	Worst   float64
	WorstAt time.Duration
}

// Excess is a time in which one server got at least one and a half times the
// new connections that its weight entitles it to: the configured one, or that
// of the table while others are still in their slow start. Zero if there was none.
type Excess struct {
	// Server is its name.
	Server string
	// From and For are when it began and how long it lasted.
	From, For time.Duration
	// Share is the part of all new connections that it got meanwhile, Fair
	// what it should have had.
	Share, Fair float64
}

// Tally is a server's part.
type Tally struct {
	Name string
	// Connections came to it, Refused ones among them; Broken were open when
	// it failed.
	Connections, Refused, Broken int
	// Edits are changes of its weight in the table.
	Edits int
	// MeanOpen and PeakOpen are its open connections.
	MeanOpen float64
	PeakOpen int
	// PeakRate is the most new connections a second in one window.
	PeakRate float64
	Latency  Latency
}

// Series are the numbers of a run over time. Point i ends at (i+1)*Window.
type Series struct {
	Window  time.Duration
	Servers []ServerSeries
	// P50 and P99 are the latencies of what was answered in a window; 0 when
	// nothing was. Lost are connections refused and broken.
	P50, P99 []time.Duration
	Lost     []int
}

// ServerSeries are one server's numbers over time.
type ServerSeries struct {
	Name string
	// New are the connections that came in a window, Open and Waiting those
	// at its end; Weight is that of the table then, 0 out of it.
	New, Open, Waiting, Weight []int
}

// Simulate runs a scenario: each of its schedulers with each of its kinds of
// feedback, under the same connections. The same scenario gives the same
// result. A scenario that is not valid is an error that says all of it, as
// [Scenario.Validate] does; otherwise only the end of the context, or of the
// bounds, is one.
func Simulate(ctx context.Context, s Scenario) (*Result, error) {
	s = s.withDefaults()
	if err := s.check(); err != nil {
		return nil, err
	}
	w := newWorld(s)
	res := &Result{Scenario: s}
	for _, name := range s.Schedulers {
		for _, f := range s.Feedback {
			e, err := newEngine(w, name, f, uint64(len(res.Runs)))
			if err != nil {
				return nil, err
			}
			if err := e.run(ctx); err != nil {
				return nil, err
			}
			res.Runs = append(res.Runs, e.result(name, f))
		}
	}
	return res, nil
}

func (h *histogram) latency() Latency {
	return Latency{h.mean(), h.quantile(0.5), h.quantile(0.9), h.quantile(0.99), h.quantile(0.999), time.Duration(h.most)}
}

func (e *engine) result(name string, f Feedback) Run {
	r := Run{
		Scheduler: name, Feedback: f,
		Connections: e.arrived, Answered: int(e.times.n), Refused: e.refused, Broken: e.broken,
		Returning: e.revisit, Moved: e.moved, Latency: e.times.latency(),
		Series: e.series.Series, Load: e.series.loadImbalance(), Excess: e.series.excess(),
		Notes: e.w.notes(name, f),
	}
	var shares []float64
	for i, s := range e.servers {
		t := s.tally
		t.Name, t.Latency = s.Name, s.times.latency()
		row := &e.series.Servers[i]
		for k, open := range row.Open {
			t.MeanOpen += float64(open) / float64(len(row.Open))
			t.PeakOpen = max(t.PeakOpen, open)
			t.PeakRate = max(t.PeakRate, float64(row.New[k])/e.w.Window.Seconds())
		}
		r.Servers = append(r.Servers, t)
		if s.weighted > 0 {
			shares = append(shares, float64(t.Connections)/s.weighted)
		}
	}
	r.Share.MaxMean, r.Share.CV = spread(shares)
	r.Share.Worst = r.Share.MaxMean
	return r
}

// spread returns the greatest in parts of the mean, and the coefficient of
// variation; zeros of nothing.
func spread(x []float64) (maxMean, cv float64) {
	var sum, most float64
	for _, v := range x {
		sum += v
		most = max(most, v)
	}
	if sum == 0 {
		return 0, 0
	}
	mean := sum / float64(len(x))
	var squares float64
	for _, v := range x {
		squares += float64((v - mean) * (v - mean))
	}
	return most / mean, math.Sqrt(squares/float64(len(x))) / mean
}

func (r *recorder) loadImbalance() Imbalance {
	var im Imbalance
	var x []float64
	n := 0
	for k := range r.Lost {
		x = x[:0]
		for i := range r.Servers {
			if r.fair[i][k] > 0 {
				x = append(x, float64(r.Servers[i].Open[k])/r.fair[i][k])
			}
		}
		maxMean, cv := spread(x)
		if maxMean == 0 {
			continue
		}
		n++
		im.MaxMean += maxMean
		im.CV += cv
		if maxMean > im.Worst {
			im.Worst, im.WorstAt = maxMean, time.Duration(k+1)*r.Window
		}
	}
	if n > 0 {
		im.MaxMean /= float64(n)
		im.CV /= float64(n)
	}
	return im
}

// The least that counts as an excess: this many times the fair share, of this
// many connections, beyond what chance does, and for so many windows in a row.
const (
	excessWindows = 3
	excessTimes   = 1.5
	excessCount   = 20
	excessSigma   = 3
)

func (r *recorder) excess() Excess {
	var longest Excess
	for i := range r.Servers {
		from, got, all, fair := -1, 0, 0, 0.0
		end := func(k int) {
			if d := time.Duration(k-from) * r.Window; from >= 0 && k-from >= excessWindows && d > longest.For {
				longest = Excess{
					Server: r.Servers[i].Name, From: time.Duration(from) * r.Window, For: d,
					Share: float64(got) / float64(all), Fair: fair / float64(k-from),
				}
			}
			from, got, all, fair = -1, 0, 0, 0
		}
		for k := range r.Lost {
			n := 0
			for j := range r.Servers {
				n += r.Servers[j].New[k]
			}
			f, mine := r.due[i][k], float64(r.Servers[i].New[k])
			expect := f * float64(n)
			if n < excessCount || f == 0 || f == 1 || mine < excessTimes*expect || mine-expect < excessSigma*math.Sqrt(expect*(1-f)) {
				end(k)
				continue
			}
			if from < 0 {
				from = k
			}
			got, all, fair = got+r.Servers[i].New[k], all+n, fair+f
		}
		end(len(r.Lost))
	}
	return longest
}

// notes say what the numbers of a run do not.
func (w *world) notes(scheduler string, f Feedback) []string {
	var notes []string
	if f != NoFeedback {
		switch scheduler {
		case "rr", "lc", "dh":
			notes = append(notes, scheduler+" does not look at weights, so feedback changes nothing")
		case "sh", "mh":
			notes = append(notes, "with "+scheduler+" every change of a weight moves clients")
		}
	}
	if scheduler == "dh" || scheduler == "lblc" || scheduler == "lblcr" {
		notes = append(notes, scheduler+" looks at the address that clients ask for, and here there is only one: it is meant for caches")
	}
	if scheduler == "ovf" {
		notes = append(notes, "ovf fills a server up to as many active connections as its weight says, and the last ones are refused")
	}
	if w.UDP && (scheduler == "sed" || scheduler == "nq" || scheduler == "ovf") {
		notes = append(notes, scheduler+" counts active connections, and UDP has none")
	}
	return notes
}
