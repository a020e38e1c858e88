package failover_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/failover/track"
)

// What elects is what trackers feed.
var (
	_ track.PriorityTarget = (*failover.Router)(nil)
	_ track.PriorityTarget = (*failover.Group)(nil)
	_ track.Target         = (*failover.Node)(nil)
)

func newTracker(t *testing.T, cfg *track.Config) *track.Tracker {
	t.Helper()
	tr, err := track.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// runTracker runs a tracker until the test ends, or until stop is called.
func runTracker(t *testing.T, tr *track.Tracker) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func reported(t *testing.T, tr *track.Tracker, name string, result error) {
	t.Helper()
	if err := tr.Tell(name, result); err != nil {
		t.Fatal(err)
	}
}

func TestTrackersMoveTheService(t *testing.T) {
	broken := errors.New("no carrier")
	for name, run := range map[string]func(*testing.T){
		"another base is fed also where it changes nothing": func(t *testing.T) {
			g := new(failovertest.Segment)
			s := newSpeaker(t, g, 1)
			s.cfg.Priority = 20
			s.start()
			tr := newTracker(t, &track.Config{Priority: 20, Targets: []track.Target{s.router}, Tracks: []track.Track{{Name: "x", Weight: -50}}})
			runTracker(t, tr)
			reported(t, tr, "x", broken)
			time.Sleep(time.Second)
			for _, priority := range []uint8{20, 30, 49} {
				s.cfg.Priority = priority
				if err := s.router.Reconfigure(t.Context(), &s.cfg); err != nil {
					t.Fatal(err)
				}
				tr.SetBase(priority)
				if st := s.is(failover.RoleActive); st.Priority != 1 {
					t.Errorf("%d less 50 is %d", priority, st.Priority)
				}
			}
		},
		"a router that is held serves when all is known, and one that runs does not move": func(t *testing.T) {
			g := new(failovertest.Segment)
			s := newSpeaker(t, g, 1)
			s.make()
			slow := track.Func(func(context.Context) error { time.Sleep(2 * time.Second); return nil })
			cfg := &track.Config{
				Priority: 200, Targets: []track.Target{s.router}, Tracks: []track.Track{{Name: "slow", Source: slow, Timeout: time.Minute}},
			}
			tr := newTracker(t, cfg)
			tr.Hold()
			s.run()
			time.Sleep(time.Second)
			s.is(failover.RoleFault)
			s.says("tracks were not looked at yet")
			stop := runTracker(t, tr)
			time.Sleep(3 * time.Second)
			s.is(failover.RoleActive)
			stop()
			s.Events()
			runTracker(t, newTracker(t, cfg)) // as after a reload
			time.Sleep(10 * time.Second)
			s.is(failover.RoleActive)
			if n := s.Count(failover.EventRole); n != 0 {
				t.Errorf("events %v", s.Events())
			}
		},
		"the priority of a group moves the service": func(t *testing.T) {
			_, high, low := pairOfTeams(t, nil)
			tr := newTracker(t, &track.Config{Priority: 200, Targets: []track.Target{high.group}, Tracks: []track.Track{{Name: "uplink", Weight: -150}}})
			runTracker(t, tr)
			reported(t, tr, "uplink", nil)
			time.Sleep(time.Second)
			high.is(failover.RoleActive)
			reported(t, tr, "uplink", broken)
			time.Sleep(3 * time.Second)
			low.is(failover.RoleActive)
			high.is(failover.RoleBackup)
			reported(t, tr, "uplink", nil)
			time.Sleep(3 * time.Second)
			high.is(failover.RoleActive)
		},
	} {
		t.Run(name, inBubble(run))
	}
}
