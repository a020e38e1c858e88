package director

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/lvscf"
)

const (
	// loadEvery is how often a load is asked for, as nanny did.
	loadEvery = 20 * time.Second
	// loadWithin limits one question; a program that logs in elsewhere takes
	// a while.
	loadWithin = 10 * time.Second
	// loadFalls is how many failures in a row make a load unknown.
	loadFalls = 3
	// loadsAtOnce bounds the questions, and so the programs, at one time.
	loadsAtOnce = 64
)

// LoadSource is how the load of a server is found out. The zero value is not
// at all.
type LoadSource struct {
	// Checker asks for it.
	Checker health.Checker
	// RWho takes it from what the server's rwhod sends, in place of a Checker:
	// there is one listener, which is the director's.
	RWho bool
}

// loads has the loads of servers found out, and told to whom it concerns. A
// load that cannot be found out leads back to the configured weight; nothing
// of it makes a server down.
type loads struct {
	log     *slog.Logger
	monitor *health.Monitor
	who     *health.RWho
	ruptime health.Checker
	// tell passes a load on by the watch of a server; nil is one that is not
	// known any more. It never blocks.
	tell func(id string, l *health.Load)

	mu sync.Mutex
	// followers are the watches of the servers whose weights follow the answer
	// to a question, by its watch.
	followers map[string][]string
	// hears is closed when rwhod is to be listened for: from then on it is.
	hears chan struct{}
}

// newLoads readies it; a nil who is one with the defaults.
func newLoads(log *slog.Logger, who *health.RWho, tell func(id string, l *health.Load)) (*loads, error) {
	l := &loads{log: log, who: who, tell: tell, hears: make(chan struct{})}
	var err error
	if l.who == nil {
		if l.who, err = health.NewRWho(&health.RWhoConfig{Logger: log}); err != nil {
			return nil, err
		}
	}
	if l.ruptime, err = health.NewRuptime(&health.RuptimeConfig{RWho: l.who}); err != nil {
		return nil, err
	}
	l.monitor = health.NewMonitor(&health.Config{OnEvent: l.onEvent, MaxConcurrent: loadsAtOnce, History: 1})
	return l, nil
}

// run asks until ctx ends.
func (l *loads) run(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() {
		select {
		case <-ctx.Done():
		case <-l.hears:
			_ = l.who.Run(ctx) // it ends with ctx alone
		}
	})
	return l.monitor.Run(ctx)
}

// question is what is asked about a server; ok is false if nothing is.
func (l *loads) question(r *RealServer) (t health.Target, c health.Checker, ok bool) {
	if !r.FollowLoad {
		return t, nil, false
	}
	// A load is of a machine: the port is the checker's affair, and servers
	// of several services share one question.
	t.Addr = netip.AddrPortFrom(r.Target.Addr.Addr(), 0)
	if c = r.Load.Checker; r.Load.RWho {
		c = l.ruptime
	}
	return t, c, c != nil
}

// set takes a new configuration.
func (l *loads) set(s *Setup) error {
	followers := make(map[string][]string)
	var watches []health.Watch
	hears := false
	for i := range s.Services {
		v := &s.Services[i]
		for r := range v.each() {
			t, c, ok := l.question(r)
			if !ok {
				continue
			}
			hears = hears || r.Load.RWho
			id := loadID(t, c)
			if followers[id] == nil {
				watches = append(watches, health.Watch{
					ID: id, Target: t, Checker: teller{c, l},
					Policy: health.Policy{Interval: loadEvery, Timeout: loadWithin, Rise: 1, Fall: loadFalls},
				})
			}
			followers[id] = append(followers[id], WatchID(v.Name, r.Name))
		}
	}
	if err := l.monitor.Set(watches); err != nil {
		return fmt.Errorf("load monitors: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.followers = followers
	select {
	case <-l.hears:
	default:
		if hears {
			close(l.hears)
		}
	}
	return nil
}

// loadID names the watch of a question.
func loadID(t health.Target, c health.Checker) string {
	q := inquiryOf(t, c.Identity())
	return q.addr + " " + q.check
}

// pass tells the followers of a question of a load.
func (l *loads) pass(id string, load *health.Load) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, server := range l.followers[id] {
		l.tell(server, load)
	}
}

// teller passes on the load in each answer. A state says only whether there is
// one.
type teller struct {
	health.Checker
	loads *loads
}

func (t teller) Check(ctx context.Context, target health.Target) health.Result {
	r := t.Checker.Check(ctx, target)
	if r.Verdict == health.OK && r.Load != nil {
		t.loads.pass(loadID(target, t), r.Load)
	}
	return r
}

// onEvent is told when a load can be found out, and when not any more.
func (l *loads) onEvent(e health.Event) {
	switch {
	case e.New == health.Down:
		l.log.Warn("the load of a server cannot be found out, its weight goes back to the configured one", "server", e.Target.Addr.Addr(), "why", e.Reason)
		l.pass(e.ID, nil)
	case e.Old == health.Down:
		l.log.Info("the load of a server can be found out again", "server", e.Target.Addr.Addr(), "load", e.Reason)
	}
}

// tellLoad is how loads reach the loop.
func (d *Director) tellLoad(id string, l *health.Load) {
	if l == nil {
		d.dropLoad(id)
		return
	}
	d.setLoad(id, *l)
}

// describe adds to the servers of a service what is known of their loads.
func (l *loads) describe(v *VirtualService, out []control.Server) {
	for i := range v.Servers {
		t, c, ok := l.question(&v.Servers[i])
		if !ok {
			continue
		}
		w, _ := l.monitor.State(loadID(t, c))
		switch last := w.Last; {
		case last == nil:
			out[i].LoadReason = "not asked for yet"
		case last.Load == nil:
			out[i].LoadReason = "unknown: " + last.Reason
		default:
			out[i].Load, out[i].LoadReason = last.Load, last.Reason
		}
	}
}

// loadSource is how lvs.cf wants the loads of a service's servers found out.
func (s *Setup) loadSource(c *lvscf.Config, v *lvscf.Virtual) (src LoadSource, err error) {
	switch word := v.LoadMonitor; {
	case word == "", word == "none":
	case word == "rup":
		src.Checker, err = health.NewRup(nil)
	case word == "ruptime":
		src.RWho = true
	case word == "uptime":
		src.Checker, err = s.loadCommand(cmp.Or(c.RshCommand, "rsh") + " %h uptime")
	case strings.HasPrefix(word, "http://"), strings.HasPrefix(word, "https://"):
		src.Checker, err = loadURL(word)
	default:
		if !slices.Contains(strings.Fields(word), "%h") {
			word += " %h"
		}
		src.Checker, err = s.loadCommand(word)
	}
	if err != nil {
		err = fmt.Errorf("%s:%v: virtual %s: load_monitor: %w", c.Path, v.Origins.Pos("load_monitor"), v.Name, err)
	}
	return src, err
}

func (s *Setup) loadCommand(command string) (health.Checker, error) {
	return health.NewLoadCommand(health.LoadCommandConfig{Command: command, Programs: s.programs})
}

// loadURL asks what a URL stands for: node_exporter, or with a fragment the
// value of that path in an answer of JSON.
func loadURL(text string) (health.Checker, error) {
	// Not a word of the text in an error: who put a password there has it in
	// the file only.
	scheme, rest, _ := strings.Cut(text, "://")
	after, ok := strings.CutPrefix(rest, "%h")
	if !ok || after != "" && !strings.ContainsAny(after[:1], ":/?#") {
		return nil, errors.New("write %h for the server's address and nothing else before the port, as in http://%h:9100/metrics")
	}
	u, err := url.Parse(scheme + "://server" + after)
	if err != nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return nil, fmt.Errorf("%w: want a URL as in http://%%h:9100/metrics", err)
	}
	cfg := &health.LoadHTTPConfig{Value: u.Fragment}
	if u.Path != "" || u.RawQuery != "" {
		cfg.Path = u.RequestURI()
	}
	port := uint64(80)
	if u.Scheme == "https" {
		cfg.TLS, port = &health.TLSConfig{}, 443
	}
	if u.Port() != "" {
		if port, err = strconv.ParseUint(u.Port(), 10, 16); err != nil {
			return nil, fmt.Errorf("port %s: want 1..65535", u.Port())
		}
	}
	c, err := health.NewLoadHTTP(cfg)
	if err != nil {
		return nil, err
	}
	return health.NewOnPort(c, uint16(port))
}
