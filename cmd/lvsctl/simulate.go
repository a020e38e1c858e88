package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/sched"
	"github.com/lvskit/lvskit/sched/simulate"
)

func simulateCommand() *cli.Command {
	return &cli.Command{
		Name:  "simulate",
		Usage: "try schedulers and weights before traffic does",
		Description: `Plays a service with made-up traffic and shows what each scheduler makes of
it: load of the servers, how unequal it is, how long answers take, and what is
moved or lost. Nothing of this host is read or changed, and the same --seed
gives the same result.

Each --server is its name, and what it is, if it is not like the others:

  NAME[,weight=N][,workers=N][,queue=N][,cores=N][,service=TIME]
      [,cold=FACTOR/TIME][,upper=N][,lower=N][,address=ADDR:PORT][,down]

Workers serve one connection at a time, the others wait in order; without
workers a server is never slow. TIME is a mean: "20ms" and "exponential 20ms"
vary widely, "constant 20ms" does not, "lognormal 20ms" has a long tail. cold
makes a server that enters so much slower at first. Each --event is TIME WHAT
SERVER, WHAT being fail, hang, return, drain, weight or remove.

A server that returns under wlc with thousands of connections open elsewhere
gets all the new ones; with gradual feedback it does not:

  lvsctl simulate --rate 700 --hold 10s --settle 1m --duration 2m \
      --server A,workers=8,service=20ms,cold=2/20s \
      --server B,workers=8,service=20ms,cold=2/20s \
      --server C,weight=2,workers=16,service=20ms,cold=2/20s \
      --event "10s fail C" --event "40s return C" \
      --scheduler wlc --feedback none,gradual --svg story.svg

Which of three schedulers keeps servers even, and what a failure moves:

  lvsctl simulate --server A --server B --server C --rate 200 --service 50ms \
      --hold 2s --scheduler wlc,sh,mh --event "30s fail B" --down-after 6s

SCENARIO is a file with all of it as JSON; --print-scenario makes one of the
flags, and flags change what the file says.`,
		ArgsUsage: "[SCENARIO]",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "scheduler", Aliases: []string{"s"}, Usage: "`NAMES` to compare, with commas: wlc,wrr,mh"},
			&cli.StringSliceFlag{Name: "feedback", Usage: "`KINDS` to compare: none, piranha (slow start), piranha-load (and its load formula), gradual"},
			&cli.DurationFlag{Name: "slow-start", Usage: "`TIME` of gradual's slow start, a minute by default"},
			&cli.StringFlag{Name: "flags", Usage: "`FLAGS` of the scheduler: fallback, port"},
			&cli.StringFlag{Name: "rules", Usage: "`GENERATION` of kernels to follow: older or newer"},
			&cli.BoolFlag{Name: "udp", Usage: "datagrams, which the table never counts as active"},
			&cli.StringSliceFlag{Name: "server", Usage: "a real server, `NAME[,weight=N][,workers=N]...`"},
			&cli.StringFlag{Name: "service", Usage: "`TIME` a worker takes for a connection, where the server does not say"},
			&cli.StringSliceFlag{Name: "event", Usage: "what happens, `\"TIME WHAT SERVER\"`: \"30s fail C\""},
			&cli.Float64Flag{Name: "rate", Usage: "new connections a second, the mean `NUMBER`"},
			&cli.StringFlag{Name: "arrivals", Usage: "`PROCESS`: poisson, constant, bursty or closed"},
			&cli.StringFlag{Name: "burst", Usage: "`ON/OFF`, the mean lengths of bursts and of what lies between: 1s/3s"},
			&cli.StringFlag{Name: "think", Usage: "`TIME` that a closed client waits between two connections"},
			&cli.IntFlag{Name: "clients", Usage: "`NUMBER` of clients, 10000 by default, 100 with closed"},
			&cli.Float64Flag{Name: "skew", Usage: "let a few clients send most: Zipf's `EXPONENT` above 1"},
			&cli.StringFlag{Name: "client-network", Usage: "`PREFIX` of the clients' addresses, 100.64.0.0/10 by default"},
			&cli.StringFlag{Name: "hold", Usage: "`TIME` a connection stays open after its answer"},
			&cli.DurationFlag{Name: "closing", Usage: "`TIME` a closed connection stays in the table, 2m by default"},
			&cli.DurationFlag{Name: "persistence", Usage: "keep clients on their server for this `TIME`"},
			&cli.IntFlag{Name: "persistence-prefix", Usage: "group clients by the first `BITS` of their address"},
			&cli.DurationFlag{Name: "down-after", Usage: "`TIME` until the checks find a failed server"},
			&cli.DurationFlag{Name: "up-after", Usage: "`TIME` until the checks let a returning one in"},
			&cli.DurationFlag{Name: "settle", Usage: "`TIME` simulated first and not shown"},
			&cli.DurationFlag{Name: "duration", Usage: "`TIME` shown, a minute by default"},
			&cli.DurationFlag{Name: "window", Usage: "`TIME` between two points of a series"},
			&cli.Uint64Flag{Name: "seed", Usage: "`NUMBER` that all chance begins with"},
			&cli.StringFlag{Name: "title", Usage: "`TEXT` over table and picture"},
			&cli.StringFlag{Name: "svg", Usage: "draw a picture into this `FILE` too"},
			&cli.BoolFlag{Name: "print-scenario", Usage: "print the scenario as JSON and simulate nothing"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "`FORMAT` of what is printed: table for people, csv with the series, json with all, svg the picture"},
		},
		Action: runSimulate,
	}
}

func runSimulate(c *cli.Context) error {
	var write func(*simulate.Result) error
	out := c.App.Writer
	switch f := c.String("output"); f {
	case "table":
		write = func(r *simulate.Result) error { return r.WriteTable(out) }
	case "csv":
		write = func(r *simulate.Result) error { return r.WriteCSV(out) }
	case "json":
		write = func(r *simulate.Result) error { return r.WriteJSON(out) }
	case "svg":
		write = func(r *simulate.Result) error { return r.WriteSVG(out) }
	default:
		return usagef("output format %q: want table, csv, json or svg", f)
	}
	s, err := scenarioOf(c)
	if err != nil {
		return err
	}
	if c.Bool("print-scenario") {
		return writeJSON(out, s)
	}
	res, err := simulate.Simulate(c.Context, s)
	if err != nil {
		return err
	}
	if path := c.String("svg"); path != "" {
		if err := writePicture(path, res); err != nil {
			return err
		}
	}
	return write(res)
}

func writePicture(path string, res *simulate.Result) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("%s: %w: name a file that can be written", path, reasonOf(err))
	}
	if err := errors.Join(res.WriteSVG(f), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, reasonOf(err))
	}
	return nil
}

// scenarioOf reads the file and then the flags, which win.
func scenarioOf(c *cli.Context) (simulate.Scenario, error) {
	s := simulate.Scenario{Duration: time.Minute}
	switch {
	case c.Args().Len() > 1:
		return s, usagef("simulate takes one SCENARIO, and not %q too (see %q)", c.Args().Get(1), "lvsctl simulate --help")
	case c.Args().Present():
		path := c.Args().First()
		text, err := readText(c.App.Reader, path)
		if err != nil {
			return s, err
		}
		if s, err = simulate.Decode(nameOf(path), text); err != nil {
			return s, err
		}
	case !c.IsSet("server"):
		return s, usagef("simulate needs servers: --server NAME for each, or a SCENARIO (see %q)", "lvsctl simulate --help")
	}
	f := &scenarioFlags{c: c, s: &s}
	f.read()
	if len(f.errs) > 0 {
		return s, &usageError{errors.Join(f.errs...).Error()}
	}
	if err := s.Validate(); err != nil {
		return s, &usageError{err.Error()}
	}
	return s, nil
}

// nameOf is a file as messages have it.
func nameOf(path string) string {
	if path == "-" {
		return "<stdin>"
	}
	return path
}

// scenarioFlags puts what flags say into a scenario.
type scenarioFlags struct {
	c    *cli.Context
	s    *simulate.Scenario
	errs []error
}

func (f *scenarioFlags) fail(flag, value string, err error) {
	f.errs = append(f.errs, fmt.Errorf("--%s %s: %w", flag, value, err))
}

func (f *scenarioFlags) read() {
	c, s := f.c, f.s
	if c.IsSet("scheduler") {
		s.Schedulers = list(c.StringSlice("scheduler"))
	}
	if c.IsSet("feedback") {
		s.Feedback = nil
		for _, name := range list(c.StringSlice("feedback")) {
			kind, err := textOf[simulate.Feedback](name)
			if err != nil {
				f.fail("feedback", name, err)
			}
			s.Feedback = append(s.Feedback, kind)
		}
	}
	if c.IsSet("flags") {
		into(f, "flags", &s.Flags, textOf[sched.Flags])
	}
	into(f, "rules", &s.Rules, textOf[sched.Rules])
	into(f, "arrivals", &s.Arrivals.Process, textOf[simulate.Process])
	into(f, "think", &s.Arrivals.Think, simulate.ParseDistribution)
	into(f, "hold", &s.Hold, simulate.ParseDistribution)
	into(f, "client-network", &s.Clients.Prefix, func(text string) (netip.Prefix, error) {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			err = errors.New("want a network such as 198.51.100.0/24")
		}
		return p, err
	})
	for name, to := range map[string]*time.Duration{
		"slow-start": &s.SlowStart, "closing": &s.Closing, "persistence": &s.Persistence, "down-after": &s.DownAfter, "up-after": &s.UpAfter,
		"settle": &s.Settle, "duration": &s.Duration, "window": &s.Window,
	} {
		if c.IsSet(name) {
			*to = c.Duration(name)
		}
	}
	if c.IsSet("closing") && s.Closing == 0 {
		s.Closing = -1
	}
	if c.IsSet("rate") {
		s.Arrivals.Rate = c.Float64("rate")
	}
	if c.IsSet("clients") {
		s.Clients.Count = c.Int("clients")
	}
	if c.IsSet("skew") {
		s.Clients.Skew = c.Float64("skew")
	}
	if c.IsSet("persistence-prefix") {
		s.PersistencePrefix = c.Int("persistence-prefix")
	}
	if c.IsSet("seed") {
		s.Seed = c.Uint64("seed")
	}
	if c.IsSet("title") {
		s.Title = c.String("title")
	}
	s.UDP = s.UDP || c.Bool("udp")
	if burst := c.String("burst"); burst != "" {
		on, off, ok := strings.Cut(burst, "/")
		var err, err2 error
		s.Arrivals.Burst, err = time.ParseDuration(on)
		if s.Arrivals.Pause, err2 = time.ParseDuration(off); !ok || err != nil || err2 != nil {
			f.fail("burst", burst, errors.New("want two times such as 1s/3s"))
		}
	}
	f.servers()
	if c.IsSet("event") {
		s.Events = nil
	}
	for _, text := range c.StringSlice("event") {
		e, err := simulate.ParseEvent(text)
		if err != nil {
			f.errs = append(f.errs, fmt.Errorf("--event: %w", err))
		}
		s.Events = append(s.Events, e)
	}
}

// servers reads the servers; their common service time stands in the flag.
func (f *scenarioFlags) servers() {
	if f.c.IsSet("server") {
		f.s.Servers = nil
	}
	for _, text := range f.c.StringSlice("server") {
		r, err := parseSimulated(text)
		if err != nil {
			f.errs = append(f.errs, fmt.Errorf("--server: %w", err))
		}
		f.s.Servers = append(f.s.Servers, r)
	}
	if !f.c.IsSet("service") {
		return
	}
	d, err := simulate.ParseDistribution(f.c.String("service"))
	if err != nil {
		f.errs = append(f.errs, fmt.Errorf("--service: %w", err))
	}
	for i := range f.s.Servers {
		if r := &f.s.Servers[i]; r.Service == (simulate.Distribution{}) {
			r.Service = d
		}
	}
}

// into reads a flag that was given.
func into[T any](f *scenarioFlags, flag string, to *T, parse func(string) (T, error)) {
	if !f.c.IsSet(flag) {
		return
	}
	got, err := parse(f.c.String(flag))
	if err != nil {
		f.fail(flag, strconv.Quote(f.c.String(flag)), err)
		return
	}
	*to = got
}

// list takes words with commas between, in one flag or in several.
func list(values []string) []string {
	var out []string
	for _, v := range values {
		for w := range strings.SplitSeq(v, ",") {
			out = append(out, strings.TrimSpace(w))
		}
	}
	return out
}

// parseSimulated reads a server of the command line: a name and then what it
// has, with commas between.
func parseSimulated(text string) (simulate.Server, error) {
	words := strings.Split(text, ",")
	r := simulate.Server{Name: words[0], Weight: 1}
	if r.Name == "" || strings.Contains(r.Name, "=") {
		return r, fmt.Errorf("%q: the name comes first: A,weight=2", text)
	}
	for _, w := range words[1:] {
		key, value, has := strings.Cut(w, "=")
		var err error
		switch key {
		case "weight":
			r.Weight, err = whole(value)
		case "workers":
			r.Workers, err = whole(value)
		case "queue":
			r.Queue, err = whole(value)
		case "cores":
			r.Cores, err = whole(value)
		case "upper":
			r.Upper, err = number[uint32](1<<32 - 1)(value)
		case "lower":
			r.Lower, err = number[uint32](1<<32 - 1)(value)
		case "service":
			r.Service, err = simulate.ParseDistribution(value)
		case "address":
			if r.Addr, err = netip.ParseAddrPort(value); err != nil {
				err = fmt.Errorf("%q: want an address with a port: 10.0.0.1:80", value)
			}
		case "cold":
			factor, lasts, _ := strings.Cut(value, "/")
			var err2 error
			r.ColdFactor, err = strconv.ParseFloat(factor, 64)
			if r.ColdFor, err2 = time.ParseDuration(lasts); err != nil || err2 != nil {
				err = fmt.Errorf("%q: want a factor and a time: 2/20s", value)
			}
		case "down":
			if r.Down = true; has {
				err = errors.New("it takes no value")
			}
		default:
			return r, fmt.Errorf("%q: %q is none of weight, workers, queue, cores, service, cold, upper, lower, address, down", text, key)
		}
		if err != nil {
			return r, fmt.Errorf("%q: %s: %w", text, key, err)
		}
	}
	return r, nil
}

func whole(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%q: want a whole number", s)
	}
	return n, nil
}
