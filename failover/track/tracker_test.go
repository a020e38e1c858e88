package track_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover/track"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// fed remembers what a tracker feeds, one line a call.
type fed struct {
	mu    sync.Mutex
	lines []string
}

func (f *fed) say(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, fmt.Sprintf(format, args...))
}

func (f *fed) SetFault(reason string)     { f.say("fault %q", reason) }
func (f *fed) SetPriority(priority uint8) { f.say("priority %d", priority) }

func (f *fed) took() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.lines
	f.lines = nil
	return l
}

// faultOnly is a target without a priority.
type faultOnly struct{}

func (faultOnly) SetFault(string) {}

// thing is a source that a test breaks and mends.
type thing struct {
	mu      sync.Mutex
	err     error
	looks   int
	changed func()
}

func (s *thing) Look(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	return s.err
}

func (s *thing) is(err error) {
	s.mu.Lock()
	s.err = err
	changed := s.changed
	s.mu.Unlock()
	if changed != nil {
		changed()
	}
}

// watchedThing is a thing that tells when it changes.
type watchedThing struct{ thing }

func (s *watchedThing) Watch(ctx context.Context, changed func()) error {
	s.mu.Lock()
	s.changed = changed
	s.mu.Unlock()
	<-ctx.Done()
	return nil
}

// runTracker runs a tracker until the test ends.
func runTracker(t *testing.T, cfg *track.Config) *track.Tracker {
	t.Helper()
	tr, err := track.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return tr
}

var errBroken = errors.New("no carrier")

func TestTracker(t *testing.T) {
	expect := func(t *testing.T, f *fed, want ...string) {
		t.Helper()
		synctest.Wait()
		if diff := cmp.Diff(want, f.took()); diff != "" {
			t.Errorf("fed (-want +got):\n%s", diff)
		}
	}
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"weights below 0 count while it fails, above 0 while it does not", func(t *testing.T) {
			f, down, up := new(fed), new(thing), new(thing)
			var told []string
			tr := runTracker(t, &track.Config{
				Targets: []track.Target{f}, OnChange: func(s track.Status) { told = append(told, s.Reason) },
				Tracks: []track.Track{{Name: "eth1", Source: down, Weight: -20}, {Name: "peer", Source: up, Weight: 5}},
			})
			expect(t, f, "priority 105", `fault ""`)
			down.is(errBroken)
			time.Sleep(time.Second)
			expect(t, f, "priority 85")
			up.is(errors.New("silent"))
			time.Sleep(time.Second)
			expect(t, f, "priority 80")
			down.is(nil)
			time.Sleep(time.Second)
			expect(t, f, "priority 100")
			if diff := cmp.Diff([]string{
				"track peer: good, priority 100 + 5 = 105",
				"track eth1: no carrier; track peer: good, priority 100 - 20 + 5 = 85",
				"track eth1: no carrier, priority 100 - 20 = 80",
				"",
			}, told); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			if st := tr.Status(); !st.Known || st.Tracks[1].OK || st.Tracks[1].Error != "silent" || st.Tracks[0].Looks != 4 {
				t.Errorf("status %+v", st)
			}
		}},
		{"a weight of 0 is a fault, with all reasons", func(t *testing.T) {
			f, one, two := new(fed), new(thing), new(thing)
			runTracker(t, &track.Config{
				Targets: []track.Target{f},
				Tracks:  []track.Track{{Name: "eth1", Source: one}, {Name: "disk", Source: two}},
			})
			expect(t, f, "priority 100", `fault ""`)
			one.is(errBroken)
			time.Sleep(time.Second)
			expect(t, f, `fault "track eth1: no carrier"`)
			two.is(errors.New("full"))
			time.Sleep(time.Second)
			expect(t, f, `fault "track eth1: no carrier; track disk: full"`)
			one.is(nil)
			two.is(nil)
			time.Sleep(2 * time.Second)
			if got := f.took(); got[len(got)-1] != `fault ""` {
				t.Errorf("in the end %v", got)
			}
		}},
		{"the sum is kept within 1 and 254, and an owner's priority stays", func(t *testing.T) {
			for base, want := range map[uint8][2]uint8{10: {1, 210}, 200: {100, 254}, vrrp.PriorityOwner: {255, 255}} {
				minus, plus := &thing{err: errBroken}, new(thing)
				tr := runTracker(t, &track.Config{Priority: base, Tracks: []track.Track{
					{Name: "minus", Source: minus, Weight: -100}, {Name: "plus", Source: plus, Weight: 200},
				}})
				plus.is(errBroken)
				time.Sleep(time.Second)
				synctest.Wait()
				if st := tr.Status(); st.Priority != want[0] {
					t.Errorf("%d: %s", base, st.Reason)
				}
				minus.is(nil)
				plus.is(nil)
				time.Sleep(time.Second)
				synctest.Wait()
				st := tr.Status()
				if st.Priority != want[1] {
					t.Errorf("%d: %s", base, st.Reason)
				}
				if base == 200 && !strings.HasSuffix(st.Reason, "priority 200 + 200 = 400, kept at 254") {
					t.Errorf("reason %q", st.Reason)
				}
			}
		}},
		{"rise and fall count looks in a row, but for the first", func(t *testing.T) {
			f, s := new(fed), &thing{err: errBroken}
			runTracker(t, &track.Config{
				Targets: []track.Target{f}, Tracks: []track.Track{{Name: "x", Source: s, Rise: 3, Fall: 2, Interval: time.Second}},
			})
			expect(t, f, "priority 100", `fault "track x: no carrier"`)
			time.Sleep(500 * time.Millisecond) // between two looks
			s.is(nil)
			time.Sleep(2 * time.Second)
			s.is(errBroken)
			time.Sleep(time.Second)
			s.is(nil)
			time.Sleep(2 * time.Second)
			expect(t, f)
			time.Sleep(time.Second)
			expect(t, f, `fault ""`)
			s.is(errBroken)
			time.Sleep(time.Second)
			expect(t, f)
			time.Sleep(time.Second)
			expect(t, f, `fault "track x: no carrier"`)
		}},
		{"what a source tells is looked at at once, and not all the time", func(t *testing.T) {
			f, s := new(fed), new(watchedThing)
			runTracker(t, &track.Config{Targets: []track.Target{f}, Tracks: []track.Track{{Name: "x", Source: s}}})
			expect(t, f, "priority 100", `fault ""`)
			time.Sleep(time.Second)
			s.is(errBroken)
			expect(t, f, `fault "track x: no carrier"`)
			s.is(nil)
			time.Sleep(20 * time.Millisecond)
			expect(t, f, `fault ""`)
			s.mu.Lock()
			before := s.looks
			s.mu.Unlock()
			for range 10_000 {
				s.is(nil)
				time.Sleep(100 * time.Microsecond)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if n := s.looks - before; n > 52 {
				t.Errorf("%d looks in a second", n)
			}
		}},
		{"a look that takes too long has failed, and does not hold up others", func(t *testing.T) {
			f, s := new(fed), new(thing)
			runTracker(t, &track.Config{Targets: []track.Target{f}, Tracks: []track.Track{
				{Name: "slow", Timeout: 3 * time.Second, Weight: -1, Source: track.Func(func(ctx context.Context) error { <-ctx.Done(); return nil })},
				{Name: "x", Source: s},
			}})
			time.Sleep(4 * time.Second)
			synctest.Wait()
			if got := f.took(); got[0] != "priority 99" {
				t.Errorf("fed %v", got)
			}
			s.is(errBroken)
			time.Sleep(time.Second)
			expect(t, f, `fault "track x: no carrier"`)
		}},
		{"a track that is told", func(t *testing.T) {
			f := new(fed)
			tr := runTracker(t, &track.Config{Targets: []track.Target{f}, Tracks: []track.Track{
				{Name: "told", Weight: -50}, {Name: "looked at", Source: new(thing)},
			}})
			time.Sleep(time.Minute)
			expect(t, f) // not known yet
			if err := tr.Tell("told", nil); err != nil {
				t.Fatal(err)
			}
			expect(t, f, "priority 100", `fault ""`)
			if err := tr.Tell("told", errBroken); err != nil {
				t.Fatal(err)
			}
			expect(t, f, "priority 50")
			tr.SetBase(120)
			expect(t, f, "priority 70", `fault ""`)
			for _, name := range []string{"looked at", "unknown"} {
				if err := tr.Tell(name, nil); !errors.Is(err, track.ErrNoTrack) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}},
		{"a number counts by its weight", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "number")
			write := func(s string) {
				if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
			f := new(fed)
			tr := runTracker(t, &track.Config{Targets: []track.Target{f}, Tracks: []track.Track{
				{Name: "load", Source: track.File{Path: path}, Weight: -2},
			}})
			expect(t, f, "priority 100", `fault ""`)
			write(" 30\n")
			expect(t, f, "priority 40")
			if st := tr.Status(); st.Reason != "track load: 30, priority 100 - 60 = 40" {
				t.Errorf("reason %q", st.Reason)
			}
			write("-5")
			expect(t, f, "priority 110")
			write("2147483647")
			expect(t, f, "priority 1")
			write("thirty")
			expect(t, f, "priority 100")
			if st := tr.Status(); !strings.Contains(st.Tracks[0].Error, `holds "thirty", which is no number`) {
				t.Errorf("status %+v", st.Tracks[0])
			}
		}},
		{"a number without a weight is a fault below 0", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "number")
			f := new(fed)
			runTracker(t, &track.Config{Targets: []track.Target{f}, Tracks: []track.Track{{Name: "on", Source: track.File{Path: path}}}})
			synctest.Wait()
			if got := f.took(); len(got) != 2 || !strings.Contains(got[1], "no such file") {
				t.Errorf("fed %v", got)
			}
			for _, c := range [][2]string{{"0", `fault ""`}, {"-1", `fault "track on: the number is -1"`}, {"7", `fault ""`}} {
				if err := os.WriteFile(path, []byte(c[0]), 0o600); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				expect(t, f, c[1])
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { synctest.Test(t, tt.run) })
	}
}

func TestTrackerRunsOnce(t *testing.T) {
	tr, err := track.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tr.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := tr.Run(ctx); err == nil {
		t.Error("it runs twice")
	}
}

func TestConfigIsChecked(t *testing.T) {
	_, err := track.New(&track.Config{
		Targets: []track.Target{new(faultOnly), nil},
		Tracks: []track.Track{
			{Weight: 254, Interval: 1, Timeout: 2 * time.Hour, Rise: 101, Fall: -1},
			{Name: "twice"},
			{Name: "twice", Source: track.Device{Device: "eth0:1"}},
			{Name: "route", Source: track.Route{Table: -1}},
			{Name: "file", Source: track.File{Path: "number"}},
			{Name: "program", Source: track.Program{}},
			{Name: "weight", Weight: -1},
		},
	})
	for _, want := range []string{
		"give it a name", "weight 254", "interval 1ns", "time-out 2h", "101 looks", "-1 looks", `"twice" is given twice`, `device "eth0:1"`,
		"prefix invalid", "table -1", `file "number"`, `program ""`, "a *track_test.faultOnly has no priority", "target 2 of the list is nil",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if _, err := track.New(&track.Config{Tracks: make([]track.Track, 257)}); err == nil {
		t.Error("257 tracks are taken")
	}
	if _, err := track.New(nil); err != nil {
		t.Error(err)
	}
}

// A tracker logs what is the matter, and priorities only where it makes them.
func TestTrackerLogs(t *testing.T) {
	for weight, want := range map[int][]string{
		0:   {`level=WARN msg="track: another result" fault="track t: broken" reason=""`, `level=INFO msg="track: another result" fault="" reason=""`},
		-30: {`level=INFO msg="track: another result" fault="" reason="track t: broken, priority 100 - 30 = 70" priority=70`, `level=INFO msg="track: another result" fault="" reason="" priority=100`},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out strings.Builder
			log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}}))
			s := new(thing)
			runTracker(t, &track.Config{Logger: log, Targets: []track.Target{new(fed)}, Tracks: []track.Track{{Name: "t", Source: s, Weight: weight}}})
			for _, err := range []error{nil, errors.New("broken"), nil} {
				s.is(err)
				time.Sleep(10 * time.Second)
				synctest.Wait()
			}
			if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(out.String()), "\n")); diff != "" {
				t.Errorf("weight %d (-want +got):\n%s", weight, diff)
			}
		})
	}
}
