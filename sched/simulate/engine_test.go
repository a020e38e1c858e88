package simulate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/sched"
)

// story is the classic: C returns while A and B have thousands of open
// connections. There are a quarter of the connections and workers of
// fullStory.
func story() Scenario { return storyOf(1) }

// fullStory is the story as large as the example has it.
func fullStory() Scenario { return storyOf(4) }

func storyOf(size int) Scenario {
	server := func(name string, weight, workers int) Server {
		return Server{
			Name: name, Weight: weight, Workers: workers * size, Queue: 100_000,
			Service: Distribution{Mean: 20 * time.Millisecond}, ColdFactor: 2, ColdFor: 20 * time.Second,
		}
	}
	return Scenario{
		Schedulers: []string{"wlc"}, Feedback: []Feedback{NoFeedback, Gradual}, Seed: 1,
		Settle: time.Minute, Duration: 2 * time.Minute,
		Arrivals: Arrivals{Rate: 175 * float64(size)}, Hold: Distribution{Mean: 10 * time.Second},
		Servers: []Server{server("A", 1, 2), server("B", 1, 2), server("C", 2, 4)},
		Events:  []Event{{At: 0, Kind: Fail, Server: "C"}, {At: 30 * time.Second, Kind: Return, Server: "C"}},
	}
}

func simulate(t testing.TB, s Scenario) *Result {
	t.Helper()
	r, err := Simulate(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// near fails unless got is within a part of want.
func near(t *testing.T, what string, got, want, part float64) {
	t.Helper()
	if math.Abs(got-want) > part*want {
		t.Errorf("%s is %v, want %v within %v %%", what, got, want, 100*part)
	}
}

// What queueing theory knows exactly.
func TestQueuesAreAsTheoryHasThem(t *testing.T) {
	ms := time.Millisecond
	tests := map[string]struct {
		rate    float64
		workers int
		service Distribution
		// want is the mean time from coming to answer.
		want time.Duration
	}{
		// 1/(mu-lambda)
		"M/M/1 at 0.8": {80, 1, Distribution{Mean: 10 * ms}, 50 * ms},
		// s + rho*s/(2(1-rho)), Pollaczek and Khinchine
		"M/D/1 at 0.8": {80, 1, Distribution{Shape: Fixed, Mean: 10 * ms}, 30 * ms},
		// s + rho*s*(1+cv^2)/(2(1-rho)) with cv^2 = exp(sigma^2)-1
		"M/G/1 lognormal at 0.5": {50, 1, Distribution{Shape: LogNormal, Mean: 10 * ms, Sigma: 0.5}, 10*ms + time.Duration(float64(5*ms)*math.Exp(0.25))},
		// Erlang's C of 4 workers at 3.2 is 0.5964: s + C*s/(c-a)
		"M/M/4 at 0.8":       {320, 4, Distribution{Mean: 10 * ms}, 10*ms + time.Duration(0.5964*10/0.8*float64(ms))},
		"no bound, no queue": {1000, 0, Distribution{Mean: 10 * ms}, 10 * ms},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := Scenario{
				Schedulers: []string{"rr"}, Seed: 7, Settle: 10 * time.Second, Duration: time.Duration(20_000/tt.rate) * time.Second, Closing: -1,
				Arrivals: Arrivals{Rate: tt.rate}, Servers: []Server{{Weight: 1, Workers: tt.workers, Queue: 100_000, Service: tt.service}},
			}
			r := simulate(t, s).Runs[0]
			near(t, "the mean time to answer", r.Latency.Mean.Seconds(), tt.want.Seconds(), 0.12)
			// Little's law: what is open is rate times time.
			near(t, "the number of open connections", r.Servers[0].MeanOpen, tt.rate*r.Latency.Mean.Seconds(), 0.12)
		})
	}
}

func TestArrivalsHaveTheirRate(t *testing.T) {
	tests := map[string]struct {
		arrivals Arrivals
		want     float64
		within   float64
	}{
		"poisson":                 {Arrivals{Rate: 1000}, 20_000, 0.02},
		"constant":                {Arrivals{Process: Constant, Rate: 1000}, 20_000, 1e-4},
		"constant of a third":     {Arrivals{Process: Constant, Rate: 1000.0 / 3}, 6666, 2e-4},
		"bursty":                  {Arrivals{Process: Bursty, Rate: 1000, Burst: 20 * time.Millisecond, Pause: 60 * time.Millisecond}, 20_000, 0.15},
		"closed, by Little's law": {Arrivals{Process: Closed, Think: Distribution{Mean: 90 * time.Millisecond}}, 20_000, 0.02},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := Scenario{Duration: 20 * time.Second, Seed: 3, Arrivals: tt.arrivals, Servers: []Server{{Weight: 1, Service: Distribution{Mean: 10 * time.Millisecond}}}}
			near(t, "the number of connections", float64(simulate(t, s).Runs[0].Connections), tt.want, tt.within)
		})
	}
}

// The next connection is further away than 64 bits of nanoseconds reach.
func TestNobodyComesAtTheLowestRates(t *testing.T) {
	for _, p := range []Process{Poisson, Constant, Bursty} {
		for _, rate := range []float64{1e-12, 1e-300} {
			s := Scenario{Duration: time.Minute, Arrivals: Arrivals{Process: p, Rate: rate}, Servers: []Server{{Weight: 1}}}
			if r := simulate(t, s).Runs[0]; r.Connections != 0 {
				t.Errorf("%v: %d connections at a rate of %v", p, r.Connections, rate)
			}
		}
	}
}

func TestBurstsAreBursts(t *testing.T) {
	s := Scenario{Duration: 20 * time.Second, Window: 10 * time.Millisecond, Seed: 3, Servers: []Server{{Weight: 1}}}
	spreadOf := func(a Arrivals) float64 {
		s.Arrivals = a
		s.Window = 100 * time.Millisecond
		_, cv := spread(floats(simulate(t, s).Runs[0].Series.Servers[0].New))
		return cv
	}
	even, burst := spreadOf(Arrivals{Rate: 1000}), spreadOf(Arrivals{Process: Bursty, Rate: 1000})
	near(t, "the variation of Poisson's counts of 100", even, 0.1, 0.1)
	if burst < 5*even {
		t.Errorf("counts of bursts vary by %v, no more than Poisson's %v", burst, even)
	}
}

func TestTheSameSeedTheSameResult(t *testing.T) {
	text := func(seed uint64) string {
		s := story()
		s.Seed, s.Settle, s.Duration, s.Arrivals.Rate, s.Schedulers = seed, 5*time.Second, 40*time.Second, 50, []string{"wlc", "wrr"}
		var b bytes.Buffer
		if err := simulate(t, s).WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	one := text(1)
	if diff := cmp.Diff(one, text(1)); diff != "" {
		t.Errorf("twice the same scenario (-first +second):\n%s", diff)
	}
	if one == text(2) {
		t.Error("another seed gives the same result")
	}
}

func TestAllRunsHaveTheSameConnections(t *testing.T) {
	s := story()
	s.Schedulers, s.Settle, s.Duration, s.Arrivals.Rate = sched.Names(), 5*time.Second, 40*time.Second, 50
	s.Feedback = nil
	r := simulate(t, s)
	totals := func(run Run) []int {
		var out []int
		for k := range run.Series.Lost {
			n := 0
			for _, v := range run.Series.Servers {
				n += v.New[k]
			}
			out = append(out, n)
		}
		return out
	}
	for _, run := range r.Runs {
		if run.Scheduler == "none" || run.Refused > 0 {
			continue // what no server gets is in no server's series
		}
		if diff := cmp.Diff(totals(r.Runs[0]), totals(run)); diff != "" {
			t.Errorf("%s has other arrivals than %s (-want +got):\n%s", run.Scheduler, r.Runs[0].Scheduler, diff)
		}
	}
}

// randomScenario plays with everything.
func randomScenario(r *rand.Rand) Scenario {
	d := func(most time.Duration) time.Duration { return time.Duration(r.Int64N(int64(most))) }
	names := sched.Names()
	s := Scenario{
		Schedulers: []string{names[r.IntN(len(names))]}, Feedback: []Feedback{Feedback(r.IntN(4))}, SlowStart: d(10 * time.Second), Seed: r.Uint64(), UDP: r.IntN(4) == 0,
		Duration: 10 * time.Second, Hold: Distribution{Mean: d(3*time.Second) * time.Duration(r.IntN(2))}, Closing: d(5*time.Second) - time.Second,
		Clients: Clients{Count: 1 + r.IntN(500)}, DownAfter: d(3 * time.Second), UpAfter: d(3 * time.Second),
	}
	if s.Arrivals.Process = Process(r.IntN(4)); s.Arrivals.Process == Closed {
		s.Arrivals.Think = Distribution{Mean: d(time.Second)}
	} else {
		s.Arrivals.Rate = 1 + 300*r.Float64()
	}
	if r.IntN(2) == 0 {
		s.Persistence, s.PersistencePrefix = 1+d(10*time.Second), r.IntN(33)
	}
	if r.IntN(3) == 0 {
		s.Clients.Skew = 1.1
	}
	for i := range 1 + r.IntN(5) {
		upper := uint32(r.IntN(3) * 40)
		s.Servers = append(s.Servers, Server{
			Weight: r.IntN(4), Upper: upper, Lower: upper / 2, Workers: r.IntN(5), Queue: 1 + r.IntN(50), Down: r.IntN(8) == 0,
			Service: Distribution{Shape: Shape(r.IntN(3)), Mean: d(100 * time.Millisecond)}, ColdFactor: 1 + 3*r.Float64(), ColdFor: d(4 * time.Second),
		})
		for range r.IntN(5) {
			s.Events = append(s.Events, Event{At: d(10 * time.Second), Kind: Kind(1 + r.IntN(6)), Server: letters(i), Weight: r.IntN(5)})
		}
	}
	return s
}

// Nothing is lost but what is counted, and the table has what is open.
func TestEveryConnectionIsAccountedFor(t *testing.T) {
	seed := uint64(20260)
	for i := range 100 {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		s := randomScenario(r)
		text, _ := s.MarshalJSON()
		s = s.withDefaults()
		if err := s.check(); err != nil {
			t.Fatalf("case %d: %v\n%s", i, err, text)
		}
		e, err := newEngine(newWorld(s), s.Schedulers[0], s.Feedback[0], 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.run(context.Background()); err != nil {
			t.Fatal(err)
		}
		open, tallied, refusedByServers := 0, 0, 0
		hung := map[string]bool{}
		for _, ev := range s.Events {
			hung[ev.Server] = hung[ev.Server] || ev.Kind == Hang
		}
		for _, v := range e.servers {
			open += v.open
			tallied += v.tally.Connections
			refusedByServers += v.tally.Refused
			active, inactive := v.open, v.closing
			if s.UDP {
				active, inactive = 0, v.open+v.closing
			}
			if v.entry != nil && !hung[v.Name] && (v.entry.Active() != active || v.entry.Inactive() != inactive) {
				t.Errorf("case %d: the table has %d active and %d inactive connections of %s, there are %d and %d\n%s", i, v.entry.Active(), v.entry.Inactive(), v.Name, active, inactive, text)
			}
			if v.Workers > 0 && (v.busy > v.Workers || v.waiting.held > v.Queue || v.waiting.held > 0 && v.busy < v.Workers) {
				t.Errorf("case %d: %s has %d of %d workers busy and %d waiting\n%s", i, v.Name, v.busy, v.Workers, v.waiting.held, text)
			}
		}
		held := 0
		for _, ev := range e.heap {
			if ev.what == closes && ev.life == e.servers[ev.server].life {
				held++
			}
		}
		res := e.result(s.Schedulers[0], s.Feedback[0])
		// The held ones were answered; a held one that broke was, too.
		if low, high := res.Answered+res.Refused+open-held, res.Answered+res.Refused+res.Broken+open-held; res.Connections < low || res.Connections > high {
			t.Errorf("case %d: %d connections, but %d answered, %d refused, %d broken, %d open (%d held)\n%s", i, res.Connections, res.Answered, res.Refused, res.Broken, open, held, text)
		}
		if tallied+res.Refused-refusedByServers != res.Connections {
			t.Errorf("case %d: the servers have %d connections, all are %d\n%s", i, tallied, res.Connections, text)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
}

func TestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Simulate(ctx, story()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestBoundsOfARun(t *testing.T) {
	s := Scenario{
		Duration: time.Hour, Arrivals: Arrivals{Rate: 50_000}, Hold: Distribution{Shape: Fixed, Mean: time.Hour},
		Servers: []Server{{Weight: 1}}, Schedulers: []string{"rr"},
	}
	e, err := newEngine(newWorld(s.withDefaults()), "rr", NoFeedback, 0)
	if err != nil {
		t.Fatal(err)
	}
	e.mostOpen = 1000
	if err := e.run(t.Context()); err == nil || !strings.Contains(err.Error(), "more than 1000 connections are open or closing at once: lower the rate") {
		t.Errorf("got %v, want the bound of open connections", err)
	}
}

// A connection costs no memory of its own.
func TestEventsAllocateNothing(t *testing.T) {
	s := story()
	s.Feedback, s.Closing, s.Window, s.Arrivals.Rate, s.Settle = nil, time.Second, 12*time.Second, 150, 30*time.Second
	cost := func(d time.Duration) float64 {
		s.Duration = d
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		simulate(t, s)
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs - before.Mallocs)
	}
	cost(30 * time.Second)
	short, long := cost(30*time.Second), cost(3*time.Minute)
	if more := (long - short) / (150 * 150); more > 0.002 {
		t.Errorf("%.4f allocations for each connection more (%v and %v)", more, short, long)
	}
}

func BenchmarkSimulate(b *testing.B) {
	for _, name := range []string{"rr", "wrr", "wlc"} {
		b.Run(name, func(b *testing.B) {
			s := fullStory()
			s.Schedulers, s.Feedback = []string{name}, nil
			benchmark(b, s)
		})
	}
	b.Run("hundred servers, short connections", func(b *testing.B) {
		s := Scenario{Duration: 10 * time.Second, Arrivals: Arrivals{Rate: 20_000}, Schedulers: []string{"wrr"}}
		for i := range 100 {
			s.Servers = append(s.Servers, Server{Weight: 1 + i%3, Workers: 4, Service: Distribution{Mean: 10 * time.Millisecond}})
		}
		benchmark(b, s)
	})
}

func benchmark(b *testing.B, s Scenario) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Simulate(context.Background(), s); err != nil {
			b.Fatal(err)
		}
	}
	n := s.Arrivals.Rate * (s.Settle + s.Duration).Seconds() * float64(b.N)
	b.ReportMetric(n/(float64(b.Elapsed())/1e6), "conns/ms")
}

func TestHeapAndRing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h events
	var q ring[int]
	in, out := 0, 0
	for range 4000 {
		if len(h) == 0 || r.IntN(5) < 3 {
			h.push(event{at: r.Int64N(1000)})
		} else {
			at := h.pop().at
			for _, e := range h {
				if e.at < at {
					t.Fatalf("popped %d before %d", at, e.at)
				}
			}
		}
		if q.held == 0 || r.IntN(5) < 3 {
			q.push(in)
			in++
		} else if got := q.pop(); got != out {
			t.Fatalf("popped %d of the ring, want %d", got, out)
		} else {
			out++
		}
		if len(h) > 300 {
			h = h[:0]
		}
	}
}

func TestHistogram(t *testing.T) {
	for _, ns := range []int64{0, 1, 63, 64, 65, 1000, 123_456, 1_000_000, 987_654_321, int64(maxTime), math.MaxInt64} {
		if got := middleOf(bucketOf(ns)); math.Abs(float64(got-ns)) > 0.016*float64(ns) {
			t.Errorf("%d ns are counted as %d", ns, got)
		}
	}
	var h histogram
	if h.quantile(0.5) != 0 || h.mean() != 0 {
		t.Error("an empty histogram has times")
	}
	for i := range 1000 {
		h.add(int64(i+1) * 1e6)
	}
	for q, want := range map[float64]float64{0: 1e6, 0.5: 500e6, 0.99: 990e6, 0.999: 999e6, 1: 1000e6} {
		near(t, fmt.Sprintf("quantile %v", q), float64(h.quantile(q)), want, 0.016)
	}
}

func TestDistributions(t *testing.T) {
	for _, d := range []Distribution{{Mean: time.Second}, {Shape: Fixed, Mean: time.Second}, {Shape: LogNormal, Mean: time.Second}, {Shape: LogNormal, Mean: time.Second, Sigma: 0.3}} {
		t.Run(d.String(), func(t *testing.T) {
			s := d.source()
			var sum, squares float64
			const n = 60_000
			for i := range n {
				x := float64(s.draw(mix(uint64(i)))) / 1e9
				sum += x
				squares += x * x
			}
			near(t, "the mean", sum/n, 1, 0.03)
			want := map[Shape]float64{Exponential: 1, Fixed: 0, LogNormal: math.Expm1(s.sigma * s.sigma)}[d.Shape]
			if got := squares/n - 1; math.Abs(got-want) > 0.2*want+1e-9 {
				t.Errorf("the variance is %v, want %v", got, want)
			}
		})
	}
}
