package simulate

import (
	"testing"
	"time"
)

// three equal servers that are never slow.
func three(scheduler string, events ...Event) Scenario {
	s := Scenario{
		Schedulers: []string{scheduler}, Seed: 5, Settle: 8 * time.Second, Duration: 30 * time.Second, Window: time.Second,
		Arrivals: Arrivals{Rate: 300}, Hold: Distribution{Mean: 2 * time.Second}, Events: events,
	}
	for range 3 {
		s.Servers = append(s.Servers, Server{Weight: 1, Service: Distribution{Mean: 5 * time.Millisecond}})
	}
	return s
}

func at(seconds int, kind Kind, server string) Event {
	return Event{At: time.Duration(seconds) * time.Second, Kind: kind, Server: server}
}

// part sums a series over seconds.
func part(series []int, from, to int) (n int) {
	for _, v := range series[from:to] {
		n += v
	}
	return n
}

func TestADrainedServerGetsNothingNew(t *testing.T) {
	for _, name := range []string{"rr", "wlc"} {
		r := simulate(t, three(name, at(5, Drain, "B"))).Runs[0]
		b := r.Series.Servers[1]
		if n := part(b.New, 5, 30); n != 0 || part(b.New, 0, 5) == 0 {
			t.Errorf("%s: B got %d connections after its drain, %d before", name, n, part(b.New, 0, 5))
		}
		if b.Open[5] == 0 || b.Open[29] != 0 || r.Broken != 0 {
			t.Errorf("%s: B has %d open connections after a second, %d at the end, and %d broke: want some, none, none", name, b.Open[5], b.Open[29], r.Broken)
		}
	}
}

func TestARemovedServerBreaksWhatIsOpen(t *testing.T) {
	r := simulate(t, three("rr", at(5, Remove, "B"))).Runs[0]
	if b := r.Series.Servers[1]; part(b.New, 5, 30) != 0 || b.Open[5] != 0 || r.Broken < 100 || r.Servers[1].Broken != r.Broken || r.Refused != 0 {
		t.Errorf("B: %v new, %v open; %d broken, %d refused: want about 200 broken at once", b.New, b.Open, r.Broken, r.Refused)
	}
}

func TestTheChecksAreLate(t *testing.T) {
	s := three("rr", at(5, Fail, "B"), at(15, Return, "B"))
	s.DownAfter, s.UpAfter = 2*time.Second, 4*time.Second
	r := simulate(t, s).Runs[0]
	b := r.Series.Servers[1]
	for _, span := range []struct {
		from, to int
		some     bool
	}{{0, 5, true}, {5, 7, true}, {7, 19, false}, {19, 30, true}} {
		if n := part(b.New, span.from, span.to); (n > 0) != span.some {
			t.Errorf("seconds %d to %d: %d connections to B, want some: %v", span.from, span.to, n, span.some)
		}
	}
	// Two seconds of a third of 300.
	near(t, "the number of refused connections", float64(r.Refused), 200, 0.2)
	if r.Servers[1].Refused != r.Refused {
		t.Errorf("B refused %d of %d", r.Servers[1].Refused, r.Refused)
	}
}

// A server that refuses quickly looks idle to wlc, one that hangs looks busy.
func TestAFailedServerDrawsConnectionsUnderLeastConnections(t *testing.T) {
	refused := func(scheduler string, kind Kind) float64 {
		s := three(scheduler, at(5, kind, "B"))
		s.DownAfter = 4 * time.Second
		return float64(simulate(t, s).Runs[0].Refused)
	}
	near(t, "what wlc sends to a server that refuses", refused("wlc", Fail), 1200, 0.1)
	near(t, "what rr sends to a server that refuses", refused("rr", Fail), 400, 0.1)
	if n := refused("wlc", Hang); n > 200 {
		t.Errorf("wlc sends %v connections to a server that hangs, want far less than rr's 400", n)
	}
}

func TestAReturningServerIsFloodedUnderLeastConnections(t *testing.T) {
	s := three("wlc", at(2, Fail, "C"), at(20, Return, "C"))
	s.Window, s.Hold.Mean = 100*time.Millisecond, 10*time.Second
	s.Feedback = []Feedback{NoFeedback, Piranha, PiranhaLoad, Gradual}
	for _, run := range simulate(t, s).Runs {
		flooded := run.Excess.Server == "C" && run.Excess.Share > 0.9
		// A weight of 1 has no steps for Piranha's slow start.
		if want := run.Feedback != Gradual; flooded != want {
			t.Errorf("%v: %v; want a flood: %v", run.Feedback, run.Excess, want)
		}
	}
}

func TestPersistenceKeepsClients(t *testing.T) {
	s := three("rr")
	s.Clients.Count, s.Settle = 1000, 20*time.Second
	without := simulate(t, s).Runs[0]
	s.Persistence = 5 * time.Minute
	with := simulate(t, s).Runs[0]
	if without.Moved < without.Returning/2 || with.Moved != 0 || with.Returning < 8000 {
		t.Errorf("moved: %d of %d without persistence, %d of %d with it; want most and none", without.Moved, without.Returning, with.Moved, with.Returning)
	}

	// A failure moves those that were there, once.
	s.Events = []Event{at(10, Fail, "B")}
	if r := simulate(t, s).Runs[0]; r.Moved < 250 || r.Moved > 450 {
		t.Errorf("%d connections moved by the failure of a server with a third of 1000 clients", r.Moved)
	}

	// Clients of one network stay together: 4,000 in 64 networks of /16.
	s = three("rr")
	s.Clients.Count, s.Persistence, s.PersistencePrefix = 4000, 5*time.Minute, 10
	r := simulate(t, s).Runs[0]
	for _, v := range r.Servers {
		if v.Connections != 0 && v.Connections != r.Connections {
			t.Errorf("%s has %d of the %d connections of a single group", v.Name, v.Connections, r.Connections)
		}
	}
}

func TestPersistenceEnds(t *testing.T) {
	s := three("rr")
	s.Clients.Count, s.Hold, s.Closing = 1000, Distribution{}, -1
	s.Settle = 15 * time.Second
	// A client comes every three seconds.
	s.Persistence = 10 * time.Millisecond
	if r := simulate(t, s).Runs[0]; r.Moved < r.Returning/2 {
		t.Errorf("%d of %d moved when templates last for 10ms", r.Moved, r.Returning)
	}
	// But not while the table has connections of it.
	s.Closing = 2 * time.Minute
	if r := simulate(t, s).Runs[0]; r.Moved != 0 {
		t.Errorf("%d of %d moved though their connections are still in the table", r.Moved, r.Returning)
	}
}

func TestAFullQueueRefuses(t *testing.T) {
	s := Scenario{
		Duration: 20 * time.Second, Seed: 1, Arrivals: Arrivals{Process: Constant, Rate: 200}, Schedulers: []string{"rr"},
		Servers: []Server{{Weight: 1, Workers: 1, Queue: 10, Service: Distribution{Shape: Fixed, Mean: 10 * time.Millisecond}}},
	}
	r := simulate(t, s).Runs[0]
	near(t, "what a server answers at its limit", float64(r.Answered), 2000, 0.01)
	near(t, "what it refuses", float64(r.Refused), 2000, 0.02)
	near(t, "the time of what waits for ten others", r.Latency.P50.Seconds(), 0.11, 0.1)
}

func TestThresholdsAreKept(t *testing.T) {
	s := three("wlc")
	s.Closing = -1
	s.Servers[0].Upper = 50
	r := simulate(t, s).Runs[0]
	if r.Servers[0].PeakOpen > 50 || r.Servers[1].PeakOpen < 200 {
		t.Errorf("A with an upper threshold of 50 has %d, B without %d", r.Servers[0].PeakOpen, r.Servers[1].PeakOpen)
	}
}

func TestWeightsAreChanged(t *testing.T) {
	s := three("wlc", Event{At: 10 * time.Second, Kind: SetWeight, Server: "A", Weight: 4})
	r := simulate(t, s).Runs[0]
	a, b := r.Series.Servers[0], r.Series.Servers[1]
	near(t, "A's part of B's connections with equal weights", float64(a.Open[9])/float64(b.Open[9]), 1, 0.1)
	near(t, "A's part of B's connections with four times the weight", float64(a.Open[29])/float64(b.Open[29]), 4, 0.1)
	if a.Weight[9] != 1 || a.Weight[10] != 4 {
		t.Errorf("the table has weights %v", a.Weight)
	}
	near(t, "the imbalance of shares per weight", r.Share.MaxMean, 1, 0.12)
}

func TestNobodyServes(t *testing.T) {
	s := three("rr")
	for i := range s.Servers {
		s.Servers[i].Weight = 0
	}
	r := simulate(t, s).Runs[0]
	if r.Refused != r.Connections || r.Answered != 0 || r.Load != (Imbalance{}) {
		t.Errorf("%d of %d refused, %d answered, load %+v by drained servers", r.Refused, r.Connections, r.Answered, r.Load)
	}
}

func TestUDPCountsAsInactive(t *testing.T) {
	s := three("wlc")
	s.UDP, s.Closing = true, time.Second
	r := simulate(t, s).Runs[0]
	near(t, "the imbalance", r.Load.MaxMean, 1, 0.1)
}

func TestClientsComeBackAfterAFailure(t *testing.T) {
	s := three("rr", at(5, Fail, "A"))
	s.Arrivals = Arrivals{Process: Closed, Think: Distribution{Mean: 100 * time.Millisecond}}
	s.Hold = Distribution{Mean: 500 * time.Millisecond}
	s.Clients.Count = 60
	r := simulate(t, s).Runs[0]
	open := r.Series.Servers[1].Open[29] + r.Series.Servers[2].Open[29]
	if r.Broken == 0 || open < 35 {
		t.Errorf("%d connections broke, %d of 60 clients have one at the end: want about 50", r.Broken, open)
	}
}
