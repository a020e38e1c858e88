package track

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// Target is what a [Tracker] feeds: a failover.Router, Group or Node.
type Target interface {
	// SetFault keeps it from being active for the reason given; the empty
	// reason ends that.
	SetFault(reason string)
}

// PriorityTarget is what a [Tracker] feeds with a priority, too: a
// failover.Router or Group.
type PriorityTarget interface {
	Target
	// SetPriority gives it another priority, 1 to 254, or that of an owner.
	SetPriority(priority uint8)
}

// Config configures a [Tracker].
type Config struct {
	// Priority is what the weights add to and take from; 0 means
	// vrrp.DefaultPriority. The result is kept within 1 to 254. That of an owner
	// (vrrp.PriorityOwner) does not change.
	Priority uint8
	// Tracks is what is watched, at most 256.
	Tracks []Track
	// Targets are fed with the result. Weights need a [PriorityTarget]. A
	// Tracker is the only one to call their SetFault: faults of other origin
	// are tracks that are told.
	Targets []Target
	// OnChange is told each other result, one after another; nil is nobody.
	OnChange func(Status)
	// Logger is told the same; nil discards.
	Logger *slog.Logger
}

// Status is what a [Tracker] knows at one moment.
type Status struct {
	// Known: there is a result of each track.
	Known bool `json:"known"`
	// Priority is the result of the weights.
	Priority uint8 `json:"priority"`
	// Fault says which tracks are a fault, and why; empty if none is.
	Fault string `json:"fault,omitempty"`
	// Reason says which tracks change the priority, and why, with the sum;
	// empty if none does.
	Reason string  `json:"reason,omitempty"`
	Tracks []State `json:"tracks"`
}

// Tracker watches what the service needs, as an uplink, a route or a program,
// and feeds routers with it: as a fault, or as a priority. It runs in the
// ordinary process, so a slow look delays no advert. Its methods are safe for
// concurrent use.
//
// Nothing is fed before there is a result of each track. So a tracker that
// takes another one's place, as after a reload, moves nothing by itself; at the
// first start [Tracker.Hold] keeps routers from serving meanwhile. What was fed
// last stays when Run ends.
type Tracker struct {
	cfg  Config
	wake chan struct{}

	mu      sync.Mutex
	started bool
	base    uint8
	rebased bool // the targets may have another priority than they were fed
	tracks  []*entry
}

// New returns a tracker, which looks at nothing before Run. The error
// lists all that is wrong with cfg.
func New(cfg *Config) (*Tracker, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	t := &Tracker{cfg: *cfg, wake: make(chan struct{}, 1), base: cmp.Or(cfg.Priority, vrrp.DefaultPriority)}
	t.cfg.Targets = slices.Clone(cfg.Targets)
	if t.cfg.Logger == nil {
		t.cfg.Logger = slog.New(slog.DiscardHandler)
	}
	var errs []error
	if len(cfg.Tracks) > maxTracks {
		return nil, fmt.Errorf("track: %d tracks; at most %d are possible", len(cfg.Tracks), maxTracks)
	}
	for i, target := range cfg.Targets {
		if target == nil {
			errs = append(errs, fmt.Errorf("track: target %d of the list is nil: give a router, a group or a node", i+1))
		}
	}
	seen := make(map[string]bool)
	for _, track := range cfg.Tracks {
		f, err := track.fill()
		errs = append(errs, err)
		if seen[f.Name] {
			errs = append(errs, fmt.Errorf("track %q is given twice", f.Name))
		}
		seen[f.Name] = true
		if f.Weight != 0 {
			for _, target := range cfg.Targets {
				if _, ok := target.(PriorityTarget); !ok {
					errs = append(errs, fmt.Errorf("track %q has a weight, and a %T has no priority; give it the weight 0", f.Name, target))
				}
			}
		}
		s := &entry{Track: f, told: f.Source == nil}
		_, s.number = f.Source.(Number)
		t.tracks = append(t.tracks, s)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// Hold keeps the targets from being active until there is a result of each
// track. Call it before they run, and not when this tracker takes the place of
// another one.
func (t *Tracker) Hold() {
	for _, target := range t.cfg.Targets {
		target.SetFault("tracks were not looked at yet")
	}
}

// SetBase changes the priority that the weights add to and take from; 0 means
// vrrp.DefaultPriority. It comes after a target was reconfigured with another
// priority, as by failover.Router.Reconfigure: the result is fed again, also
// where it is the same.
func (t *Tracker) SetBase(priority uint8) {
	t.mu.Lock()
	t.base, t.rebased = cmp.Or(priority, vrrp.DefaultPriority), true
	t.mu.Unlock()
	t.poke()
}

// Tell gives the result of a track without a source: nil is good. Rise and Fall
// count what was told. The error is [ErrNoTrack].
func (t *Tracker) Tell(name string, result error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.tracks {
		if s.Name == name && s.told {
			s.take(0, result, time.Now())
			t.poke()
			return nil
		}
	}
	return fmt.Errorf("track %q: %w", name, ErrNoTrack)
}

// ErrNoTrack is returned for a track that a [Tracker] does not have, or that
// has a source of its own.
var ErrNoTrack = errors.New("no such track that is told")

// Status returns the present state.
func (t *Tracker) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status()
}

// status is Status; the caller holds mu.
func (t *Tracker) status() Status {
	st := Status{Known: true}
	sum := int(t.base)
	var faults, why []string
	var terms strings.Builder
	for _, s := range t.tracks {
		st.Tracks = append(st.Tracks, s.status())
		st.Known = st.Known && s.known
		add := s.adds()
		switch {
		case s.known && !s.ok && s.Weight == 0:
			faults = append(faults, s.says())
		case add < 0:
			why = append(why, s.says())
			fmt.Fprintf(&terms, " - %d", -add)
		case add > 0:
			why = append(why, s.says())
			fmt.Fprintf(&terms, " + %d", add)
		}
		sum += add
	}
	kept := min(max(sum, 1), vrrp.PriorityOwner-1)
	if t.base == vrrp.PriorityOwner {
		kept = vrrp.PriorityOwner
	}
	st.Priority = uint8(kept)
	st.Fault = strings.Join(faults, "; ")
	if len(why) > 0 {
		st.Reason = fmt.Sprintf("%s, priority %d%s = %d", strings.Join(why, "; "), t.base, terms.String(), sum)
		if kept != sum {
			st.Reason += fmt.Sprintf(", kept at %d", kept)
		}
	}
	return st
}

func (t *Tracker) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Run looks at the tracks and feeds the targets until ctx ends, and returns
// nil. It runs once.
func (t *Tracker) Run(ctx context.Context) error {
	t.mu.Lock()
	if t.started {
		t.mu.Unlock()
		return errors.New("track: the tracker has run already; make a new one with New")
	}
	t.started = true
	t.mu.Unlock()

	var work sync.WaitGroup
	defer work.Wait()
	for _, s := range t.tracks {
		if !s.told {
			work.Go(func() { t.follow(ctx, s) })
		}
	}
	var last *Status
	for {
		t.mu.Lock()
		st, again := t.status(), t.rebased
		t.rebased = again && !st.Known
		t.mu.Unlock()
		if again && st.Known {
			last = nil
		}
		if st.Known && (last == nil || st.Priority != last.Priority || st.Fault != last.Fault || st.Reason != last.Reason) {
			t.feed(&st, last)
			last = &st
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.wake:
		}
	}
}

// feed tells the targets another result.
func (t *Tracker) feed(st, last *Status) {
	attrs := []slog.Attr{slog.String("fault", st.Fault), slog.String("reason", st.Reason)}
	for _, target := range t.cfg.Targets {
		// The priority first, so that who comes back comes with the right one.
		if p, ok := target.(PriorityTarget); ok && (last == nil || st.Priority != last.Priority) {
			p.SetPriority(st.Priority)
		}
		if last == nil || st.Fault != last.Fault {
			target.SetFault(st.Fault)
		}
	}
	level := slog.LevelInfo
	switch {
	case st.Fault != "":
		level = slog.LevelWarn
	case last == nil && st.Reason == "":
		level = slog.LevelDebug // nothing is the matter, and nothing was
	}
	// Without weights the priority is the target's own affair.
	if slices.ContainsFunc(t.tracks, func(s *entry) bool { return s.Weight != 0 }) {
		attrs = append(attrs, slog.Int("priority", int(st.Priority)))
	}
	t.cfg.Logger.LogAttrs(context.Background(), level, "track: another result", attrs...)
	if t.cfg.OnChange != nil {
		t.cfg.OnChange(*st)
	}
}

const (
	// lookPause is the least time between two looks that a watcher causes, so
	// that what changes all the time is not looked at all the time.
	lookPause = 20 * time.Millisecond
	// A watcher that failed is called again after firstPause, then twice that,
	// and so on.
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// follow looks at one track until ctx ends.
func (t *Tracker) follow(ctx context.Context, s *entry) {
	changed := make(chan struct{}, 1)
	if w, ok := s.Source.(Watcher); ok {
		var watching sync.WaitGroup
		defer watching.Wait()
		watching.Go(func() {
			poke := func() {
				select {
				case changed <- struct{}{}:
				default:
				}
			}
			for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
				began := time.Now()
				if err := w.Watch(ctx, poke); ctx.Err() == nil {
					t.cfg.Logger.Warn("track: changes are not told, only found at the interval; trying again",
						slog.String("track", s.Name), slog.Any("error", err))
				}
				poke() // something may have been missed
				if time.Since(began) > lastPause {
					pause = firstPause
				}
				sleep(ctx, pause)
			}
		})
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-changed:
		}
		value, err := look(ctx, s)
		if ctx.Err() != nil {
			return
		}
		t.mu.Lock()
		s.take(value, err, time.Now())
		t.mu.Unlock()
		t.poke()
		timer.Reset(s.Interval)
		sleep(ctx, min(lookPause, s.Interval))
	}
}

// look looks once.
func look(ctx context.Context, s *entry) (value int, err error) {
	one, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	if n, ok := s.Source.(Number); ok {
		value, err = n.Number(one)
	} else {
		err = s.Source.Look(one)
	}
	if err == nil && one.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no result within %v", s.Timeout)
	}
	return value, err
}

// sleep waits for a while, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
