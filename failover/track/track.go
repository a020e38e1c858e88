package track

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	// DefaultInterval is the time between two looks that an Interval of 0
	// stands for in [Track]; where the source tells of changes by itself it is
	// ten times as long.
	DefaultInterval = time.Second
	// maxTracks bounds the tracks of a Tracker.
	maxTracks = 256
	// maxInARow bounds Track.Rise and Track.Fall.
	maxInARow = 100
	// maxWeight bounds Track.Weight.
	maxWeight = 253
)

// Track is one thing that a [Tracker] watches.
type Track struct {
	// Name is what reasons call it, as "uplink"; each track has its own.
	Name string
	// Source is what is looked at: a [Device], [Route], [File], [Program],
	// [Func], or one of your own. nil is a track that is told, see
	// [Tracker.Tell].
	Source Source
	// Weight says what follows. 0: a fault while the source fails. Above 0: so
	// much is added to the priority while it does not fail. Below 0: so much is
	// taken off while it fails. Where the source is a [Number], it is added
	// Weight times, whatever the signs; a number that cannot be had counts as 0,
	// and with a weight of 0 one that is negative is a failure, too. -253 to 253.
	Weight int
	// Interval is the time from the end of one look to the next one, 10 ms to
	// an hour; 0 means DefaultInterval.
	Interval time.Duration
	// Timeout is how long one look may take, up to an hour; one that takes
	// longer has failed. 0 means the Interval, at least a second.
	Timeout time.Duration
	// Fall is how many looks in a row have to fail, and Rise how many have to
	// succeed, before it counts, 1 to 100; 0 means 1. The first look counts at
	// once.
	Rise, Fall int
}

// Source is what a track looks at.
type Source interface {
	// Look returns nil if all is well, or why not, in a few words. It returns
	// soon after ctx ends. It is not called twice at a time.
	Look(ctx context.Context) error
}

// Watcher is a source that knows by itself when to look.
type Watcher interface {
	Source
	// Watch calls changed, which never waits, when a look may find another
	// result. It returns when ctx ends, or sooner with an error: then it is
	// called again after a pause.
	Watch(ctx context.Context, changed func()) error
}

// Number is a source that is a number.
type Number interface {
	Source
	// Number returns it, or why there is none. It is called in place of Look.
	Number(ctx context.Context) (int, error)
}

// Func is a source that is a function, as a check of another program's health,
// or a ping of a gateway.
type Func func(ctx context.Context) error

// Look calls f.
func (f Func) Look(ctx context.Context) error { return f(ctx) }

// fill returns a checked copy with the defaults filled in.
func (t Track) fill() (Track, error) {
	var errs []error
	complain := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("track %q: "+format, append([]any{t.Name}, a...)...))
	}
	if t.Interval == 0 {
		t.Interval = DefaultInterval
		if _, ok := t.Source.(Watcher); ok {
			t.Interval *= 10
		}
	}
	t.Timeout = cmp.Or(t.Timeout, max(t.Interval, time.Second))
	t.Rise, t.Fall = cmp.Or(t.Rise, 1), cmp.Or(t.Fall, 1)
	if t.Name == "" {
		complain("give it a name")
	}
	if t.Weight < -maxWeight || t.Weight > maxWeight {
		complain("weight %d is out of range; use %d to %d", t.Weight, -maxWeight, maxWeight)
	}
	if t.Interval < 10*time.Millisecond || t.Interval > time.Hour {
		complain("interval %v is out of range; use 10ms to an hour", t.Interval)
	}
	if t.Timeout < 0 || t.Timeout > time.Hour {
		complain("time-out %v is out of range; use up to an hour", t.Timeout)
	}
	for _, n := range []int{t.Rise, t.Fall} {
		if n < 1 || n > maxInARow {
			complain("%d looks in a row are out of range; use 1 to %d", n, maxInARow)
		}
	}
	if c, ok := t.Source.(interface{ check() error }); ok {
		if err := c.check(); err != nil {
			complain("%w", err)
		}
	}
	return t, errors.Join(errs...)
}

// State is one track at one moment.
type State struct {
	Name   string `json:"name"`
	Weight int    `json:"weight"`
	// Known: there is a result. Before the first one it counts as nothing.
	Known bool `json:"known"`
	// OK is the result that counts, since then. Error is that of the last look,
	// which need not count yet; empty if it succeeded.
	OK    bool      `json:"ok"`
	Since time.Time `json:"since"`
	Error string    `json:"error,omitempty"`
	// Number is that of a source that is a number.
	Number int `json:"number,omitempty"`
	// Adds is what it adds to the priority at the moment; below 0 is taken off.
	Adds int `json:"adds"`
	// Looks counts the looks, and what was told.
	Looks uint64 `json:"looks"`
}

// entry is what is known of one track.
type entry struct {
	Track
	number bool // the source is one
	told   bool // there is no source

	known, ok bool
	since     time.Time
	err       error // of the last look
	why       error // of the failure that counts
	value     int
	row       int // looks in a row that contradict ok
	looks     uint64
}

// take takes the result of one look.
func (s *entry) take(value int, err error, now time.Time) {
	s.looks++
	s.err = err
	good := err == nil
	if s.value = value; !good {
		s.value = 0
	}
	if s.number && s.Weight == 0 && good && value < 0 {
		good, s.err = false, fmt.Errorf("the number is %d", value)
	}
	if !good {
		s.why = s.err
	}
	if s.known && good == s.ok {
		s.row = 0
		return
	}
	need := s.Fall
	if good {
		need = s.Rise
	}
	if s.row++; s.known && s.row < need {
		return
	}
	s.known, s.ok, s.since, s.row = true, good, now, 0
}

// adds is the part of the track in the priority.
func (s *entry) adds() int {
	switch {
	case !s.known:
		return 0
	case s.number:
		// Far beyond what a priority can be, the rest is no news.
		v := min(max(s.value, math.MinInt16), math.MaxInt16)
		return v * s.Weight
	case s.ok && s.Weight > 0, !s.ok && s.Weight < 0:
		return s.Weight
	}
	return 0
}

// says is the track in a reason.
func (s *entry) says() string {
	switch {
	case s.number && s.ok:
		return fmt.Sprintf("track %s: %d", s.Name, s.value)
	case s.ok:
		return fmt.Sprintf("track %s: good", s.Name)
	}
	return fmt.Sprintf("track %s: %v", s.Name, s.why)
}

func (s *entry) status() State {
	st := State{
		Name: s.Name, Weight: s.Weight, Known: s.known, OK: s.ok, Since: s.since, Number: s.value, Adds: s.adds(), Looks: s.looks,
	}
	if s.err != nil {
		st.Error = s.err.Error()
	}
	return st
}
