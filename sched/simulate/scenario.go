package simulate

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/lvskit/lvskit/sched"
	"github.com/lvskit/lvskit/sched/feedback"
)

// The bounds of a scenario.
const (
	// MaxServers is the greatest number of servers.
	MaxServers = 1024
	// MaxClients is the greatest number of clients.
	MaxClients = 1 << 20
	// MaxEvents is the greatest number of events.
	MaxEvents = 10_000
	// MaxRuns is the greatest number of runs that one scenario compares:
	// schedulers times kinds of feedback.
	MaxRuns = 24
	// MaxConnections is the greatest number of connections of one run.
	MaxConnections = 200_000_000
	// MaxOpen is the greatest number of connections that are in the table
	// at one time, open or closing.
	MaxOpen = 1 << 23
	// maxWindows bounds the points of a series, maxQueue a server's queue,
	// maxWorkers its workers, maxName and maxTitle the length of words.
	maxWindows = 5000
	maxQueue   = 1 << 20
	maxWorkers = 1 << 20
	maxName    = 32
	maxTitle   = 120
)

// Scenario is what is simulated. Fields that are left zero have the meaning
// that is said with them; Servers, Duration and Arrivals are needed.
type Scenario struct {
	// Title heads tables and pictures.
	Title string
	// Schedulers are names of [sched.Names], each run under the same
	// connections; none means wlc.
	Schedulers []string
	// Feedback are the kinds of feedback that each scheduler is run with;
	// none means NoFeedback.
	Feedback []Feedback
	// SlowStart is the length of Gradual's slow start; 0 means a minute.
	SlowStart time.Duration
	// Flags and Rules are those of the schedulers.
	Flags sched.Flags
	Rules sched.Rules
	// UDP makes the connections datagrams of one question and one answer.
	// The table has them as inactive ones, so sed and nq see no load.
	UDP bool
	// Seed is the beginning of all chance: the same seed, the same result.
	Seed uint64
	// Settle is simulated first and not shown, so that what is shown does
	// not begin with empty servers. Duration is what is shown.
	Settle, Duration time.Duration
	// Window is the distance between two points of a series; 0 means a
	// three-hundredth of Duration, at least a millisecond.
	Window time.Duration

	Arrivals Arrivals
	Clients  Clients
	// Hold is how long a connection stays open after it was answered, such
	// as a kept-alive one. It costs the server no worker.
	Hold Distribution
	// Closing is how long a closed connection stays in the table as an
	// inactive one; 0 means the kernel's: 2 minutes, 5 for UDP. Below 0 it
	// leaves at once.
	Closing time.Duration
	// Persistence keeps a client on its server, as a service's does; 0 is
	// off. PersistencePrefix is the prefix by which clients are grouped; 0
	// means single clients.
	Persistence       time.Duration
	PersistencePrefix int

	// DownAfter and UpAfter are how long the health checks need to find out
	// that a server failed, and that it is back.
	DownAfter, UpAfter time.Duration

	Servers []Server
	Events  []Event
}

// Arrivals are when connections come.
type Arrivals struct {
	Process Process
	// Rate is the mean number of connections a second. Closed has none.
	Rate float64
	// Burst and Pause are the mean lengths of Bursty's two states, both
	// exponential; 0 means 1 s each. Within a burst connections come faster,
	// so that Rate is the mean over both.
	Burst, Pause time.Duration
	// Think is how long a client of Closed waits between two connections.
	Think Distribution
}

// Clients are who sends the connections.
type Clients struct {
	// Count is the number of clients; 0 means 10,000, or 100 with Closed.
	Count int
	// Skew makes a few clients send most: the k-th sends in proportion to
	// k^-Skew (Zipf). 0 makes all equal; otherwise above 1, at most 10. Closed has none.
	Skew float64
	// Prefix is where their addresses are from; the zero value means
	// 100.64.0.0/10.
	Prefix netip.Prefix
}

// Server is a real server: a queue in order of arrival before a number of
// workers, each of which serves one connection at a time.
type Server struct {
	// Name is a word, unlike all others; "" means A, B and so on.
	Name string
	// Addr is what hashes see; the zero value means 10.0.0.1:80 for the
	// first one, and so on.
	Addr netip.AddrPort
	// Weight is the configured weight, 0 being a drained server. ("1" is not
	// the meaning of zero here: say so.)
	Weight int
	// Upper and Lower are the thresholds of the table.
	Upper, Lower uint32
	// Workers is how many connections are served at a time; 0 is no bound,
	// a server that is never slow. Queue is how many more may wait before it refuses; 0 means 1024.
	Workers, Queue int
	// Cores is the number of processors that the feedback is told; 0 means
	// the number of workers.
	Cores int
	// Service is how long a worker takes for a connection.
	Service Distribution
	// ColdFactor is how much longer it takes right after the server came
	// into the table, by cold caches; it falls to 1 within ColdFor. 0 means 1.
	ColdFactor float64
	ColdFor    time.Duration
	// Down makes the server fail before the beginning.
	Down bool
}

// withDefaults returns the scenario with every meaning of zero written out.
func (s Scenario) withDefaults() Scenario {
	if len(s.Schedulers) == 0 {
		s.Schedulers = []string{"wlc"}
	}
	if len(s.Feedback) == 0 {
		s.Feedback = []Feedback{NoFeedback}
	}
	if s.Window == 0 {
		s.Window = max(s.Duration/300, time.Millisecond)
	}
	if s.Closing == 0 {
		s.Closing = 2 * time.Minute
		if s.UDP {
			s.Closing = 5 * time.Minute
		}
	}
	s.Closing = max(s.Closing, 0)
	if s.Arrivals.Burst == 0 {
		s.Arrivals.Burst = time.Second
	}
	if s.Arrivals.Pause == 0 {
		s.Arrivals.Pause = time.Second
	}
	if s.Clients.Count == 0 {
		s.Clients.Count = 10_000
		if s.Arrivals.Process == Closed {
			s.Clients.Count = 100
		}
	}
	if !s.Clients.Prefix.IsValid() {
		s.Clients.Prefix = netip.MustParsePrefix("100.64.0.0/10")
	}
	s.Servers = slices.Clone(s.Servers)
	for i := range s.Servers {
		r := &s.Servers[i]
		if r.Name == "" {
			r.Name = letters(i)
		}
		if !r.Addr.IsValid() {
			r.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte((i + 1) >> 8), byte(i + 1)}), 80)
		}
		if r.Queue == 0 {
			r.Queue = 1024
		}
		if r.Cores == 0 {
			r.Cores = max(r.Workers, 1)
		}
		if r.ColdFactor == 0 {
			r.ColdFactor = 1
		}
	}
	s.Events = slices.Clone(s.Events)
	slices.SortStableFunc(s.Events, func(a, b Event) int { return int(min(max(a.At-b.At, -1), 1)) })
	return s
}

// letters counts A to Z, AA to AZ and so on.
func letters(i int) string {
	if i < 26 {
		return string(rune('A' + i))
	}
	return letters(i/26-1) + string(rune('A'+i%26))
}

// Validate tells all that is wrong with a scenario, each with its place.
func (s Scenario) Validate() error {
	s = s.withDefaults()
	return s.check()
}

// problems collects what is wrong.
type problems []error

func (p *problems) add(place, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s: "+format, append([]any{place}, args...)...))
}

func (p *problems) time(place string, t time.Duration) {
	if err := inTime(t); err != nil {
		p.add(place, "%w", err)
	}
}

func (p *problems) distribution(place string, d Distribution) {
	if err := d.validate(); err != nil {
		p.add(place, "%w", err)
	}
}

// check validates a scenario that has its defaults.
func (s *Scenario) check() error {
	var p problems
	word(&p, "title", s.Title, maxTitle, true)
	for i, name := range s.Schedulers {
		place := fmt.Sprintf("schedulers[%d]", i)
		if _, err := sched.New(name, &sched.Options{Flags: s.Flags, Rules: s.Rules}); err != nil {
			p.add(place, "%w", err)
		}
		if slices.Contains(s.Schedulers[:i], name) {
			p.add(place, "%s stands twice: name each scheduler once", name)
		}
	}
	for i, f := range s.Feedback {
		if _, err := f.MarshalText(); err != nil {
			p.add(fmt.Sprintf("feedback[%d]", i), "%w", err)
		}
		if slices.Contains(s.Feedback[:i], f) {
			p.add(fmt.Sprintf("feedback[%d]", i), "%v stands twice: name each kind once", f)
		}
	}
	if n := len(s.Schedulers) * len(s.Feedback); n > MaxRuns {
		p.add("schedulers", "%d with %d kinds of feedback make %d runs: want at most %d", len(s.Schedulers), len(s.Feedback), n, MaxRuns)
	}
	p.time("slow_start", s.SlowStart)
	if err := (feedback.Gradual{SlowStart: s.SlowStart}).Validate(); err != nil && s.SlowStart >= 0 {
		p.add("slow_start", "%w", err)
	}
	p.time("settle", s.Settle)
	p.time("closing", s.Closing)
	p.time("down_after", s.DownAfter)
	p.time("up_after", s.UpAfter)
	p.time("persistence", s.Persistence)
	switch {
	case s.Duration <= 0 || s.Duration > maxTime:
		p.add("duration", "%v: want more than 0 and at most %dh", s.Duration, maxTime/time.Hour)
	case s.Window <= 0 || s.Window > s.Duration:
		p.add("window", "%v: want more than 0 and at most the duration of %v", s.Window, s.Duration)
	case s.Duration/s.Window > maxWindows:
		p.add("window", "%v makes %d points of %v: want at most %d, so at least %v", s.Window, s.Duration/s.Window, s.Duration, maxWindows, s.Duration/maxWindows)
	}
	p.distribution("hold", s.Hold)
	s.checkArrivals(&p)
	s.checkClients(&p)
	s.checkServers(&p)
	s.checkEvents(&p)
	return errors.Join(p...)
}

func (s *Scenario) checkArrivals(p *problems) {
	a := &s.Arrivals
	if _, err := a.Process.MarshalText(); err != nil {
		p.add("arrivals.process", "%w", err)
	}
	p.distribution("arrivals.think", a.Think)
	if a.Process == Closed {
		if a.Rate != 0 {
			p.add("arrivals.rate", "closed clients come when they have thought: set think and the number of clients")
		}
		return
	}
	if !(a.Rate > 0) || math.IsInf(a.Rate, 1) {
		p.add("arrivals.rate", "%v: want connections a second, more than 0", a.Rate)
	} else if all := a.Rate * (s.Duration + s.Settle).Seconds(); all > MaxConnections {
		p.add("arrivals.rate", "%v a second makes %.3g connections: want at most %d, so a lower rate or less time", a.Rate, all, MaxConnections)
	}
	if a.Process == Bursty {
		for name, t := range map[string]time.Duration{"burst": a.Burst, "pause": a.Pause} {
			if t < time.Millisecond || t > maxTime {
				p.add("arrivals."+name, "%v: want 1ms to %dh", t, maxTime/time.Hour)
			}
		}
	}
}

func (s *Scenario) checkClients(p *problems) {
	c := &s.Clients
	bits := c.Prefix.Addr().BitLen() - c.Prefix.Bits()
	switch {
	case c.Count < 1 || c.Count > MaxClients:
		p.add("clients.count", "%d: want 1 to %d", c.Count, MaxClients)
	case bits < 20 && c.Count > 1<<bits:
		p.add("clients.count", "%v has only %d addresses for %d clients: take a shorter prefix", c.Prefix, 1<<bits, c.Count)
	}
	if c.Skew != 0 && !(c.Skew > 1 && c.Skew <= 10) {
		p.add("clients.skew", "%v: want 0, or above 1 and at most 10", c.Skew)
	}
	if most := c.Prefix.Addr().BitLen(); s.PersistencePrefix < 0 || s.PersistencePrefix > most {
		p.add("persistence_prefix", "%d: want 0 to %d", s.PersistencePrefix, most)
	} else if s.PersistencePrefix > 0 && s.Persistence == 0 {
		p.add("persistence_prefix", "it groups nobody without persistence: set that too")
	}
}

func (s *Scenario) checkServers(p *problems) {
	if n := len(s.Servers); n < 1 || n > MaxServers {
		p.add("servers", "%d of them: want 1 to %d", n, MaxServers)
		return
	}
	names, addrs := map[string]int{}, map[netip.AddrPort]int{}
	for i, r := range s.Servers {
		place := fmt.Sprintf("servers[%d] (%s)", i, r.Name)
		word(p, place+".name", r.Name, maxName, false)
		if j, dup := names[r.Name]; dup {
			p.add(place, "it has the name of servers[%d]: give it another", j)
		}
		if j, dup := addrs[r.Addr]; dup {
			p.add(place, "it has the address %v of servers[%d]: give it another", r.Addr, j)
		}
		names[r.Name], addrs[r.Addr] = i, i
		if r.Addr.Addr().Zone() != "" {
			p.add(place, "address %v: IPVS knows no zones, leave it out", r.Addr)
		}
		for _, n := range []struct {
			name      string
			got, most int
		}{
			{"weight", r.Weight, sched.MaxWeight},
			{"workers", r.Workers, maxWorkers},
			{"queue", r.Queue, maxQueue},
			{"cores", r.Cores, maxWorkers},
		} {
			if n.got < 0 || n.got > n.most {
				p.add(place, "%s %d: want 0 to %d", n.name, n.got, n.most)
			}
		}
		if r.Lower > r.Upper {
			p.add(place, "lower threshold %d is above the upper threshold %d: lower it", r.Lower, r.Upper)
		}
		p.distribution(place+".service", r.Service)
		if !(r.ColdFactor >= 1 && r.ColdFactor <= 1000) {
			p.add(place, "cold_factor %v: want 1 to 1000", r.ColdFactor)
		}
		p.time(place+".cold_for", r.ColdFor)
	}
}

func (s *Scenario) checkEvents(p *problems) {
	if len(s.Events) > MaxEvents {
		p.add("events", "%d of them: want at most %d", len(s.Events), MaxEvents)
		return
	}
	for i, e := range s.Events {
		place := fmt.Sprintf("events[%d] (%v)", i, e)
		if _, err := e.Kind.MarshalText(); err != nil {
			p.add(place, "%w", err)
		}
		if !slices.ContainsFunc(s.Servers, func(r Server) bool { return r.Name == e.Server }) {
			p.add(place, "there is no server %q: the servers are %s", e.Server, s.names(8))
		}
		if e.At < 0 || e.At > s.Duration {
			p.add(place, "it is not within the duration of %v", s.Duration)
		}
		if e.Weight < 0 || e.Weight > sched.MaxWeight {
			p.add(place, "weight %d: want 0 to %d", e.Weight, sched.MaxWeight)
		}
	}
}

// names lists the first servers.
func (s *Scenario) names(most int) string {
	var names []string
	for _, r := range s.Servers {
		if len(names) == most {
			return strings.Join(names, ", ") + " and more"
		}
		names = append(names, r.Name)
	}
	return strings.Join(names, ", ")
}

// word checks what is printed in tables and pictures.
func word(p *problems, place, text string, most int, blanks bool) {
	switch {
	case len(text) > most:
		p.add(place, "%d bytes: want at most %d", len(text), most)
	case strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsPrint(r) || r == unicode.ReplacementChar || (r == ' ' || r == ',') && !blanks
	}):
		p.add(place, "%q: want letters, digits and signs%s", text, map[bool]string{true: "", false: ", no blanks and no commas"}[blanks])
	}
}
