package failover_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
)

func TestEffects(t *testing.T) {
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"hook before addresses before announcements, and back", func(t *testing.T) {
			p := both(t)
			if diff := cmp.Diff([]string{"hook active", "acquire"}, p.primary.Effects()[:2]); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			time.Sleep(6 * time.Second)
			p.primary.Effects()
			p.primary.node.SetFault("test")
			synctest.Wait()
			if diff := cmp.Diff([]string{"release", "hook fault"}, p.primary.Effects()); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			p.primary.stop(t)
			if got := p.primary.Effects(); len(got) != 0 {
				t.Errorf("effects of stopping without addresses: %v", got)
			}
		}},
		{"a node that never decided releases what an earlier one left", func(t *testing.T) {
			p := newPair(t)
			p.primary.start(t)
			time.Sleep(interval)
			if got := p.primary.Effects(); len(got) != 0 {
				t.Errorf("effects before a decision: %v", got)
			}
			p.primary.stop(t)
			if diff := cmp.Diff([]string{"release", "hook leaving"}, p.primary.Effects()); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
		}},
		{"announcements come at once, soon, and slowly for ever", func(t *testing.T) {
			p := both(t)
			time.Sleep(10 * time.Second)
			if got := count(p.primary.Effects(), "announce"); got != 6 {
				t.Errorf("%d announcements in the first seconds, want 6", got)
			}
			time.Sleep(10 * time.Minute)
			got := p.primary.Effects()
			if a, k := count(got, "announce"), count(got, "acquire"); a != 10 || k != 10 {
				t.Errorf("%d announcements and %d repairs in ten minutes, want 10 each", a, k)
			}
			p.primary.node.Announce()
			time.Sleep(10 * time.Second)
			if got := count(p.primary.Effects(), "announce"); got != 6 {
				t.Errorf("%d announcements after the order, want 6", got)
			}
		}},
		{"a hook that hangs does not stop the heartbeats", func(t *testing.T) {
			p := newPair(t)
			release := make(chan struct{})
			p.primary.HoldUp(release)
			p.primary.start(t)
			p.backup.start(t)
			time.Sleep(time.Minute)
			if a, b := p.primary.role(), p.backup.role(); a != failover.RoleActive || b != failover.RoleBackup {
				t.Errorf("roles %v and %v", a, b)
			}
			if p.primary.node.Status().Serving {
				t.Error("it says that it serves")
			}
			close(release)
			time.Sleep(time.Second)
			p.want(failover.RoleActive, failover.RoleBackup)
		}},
		{"a lost role ends the hook in progress and nothing is acquired", func(t *testing.T) {
			p := newPair(t)
			p.primary.HoldUp(make(chan struct{}))
			p.primary.start(t)
			p.backup.start(t)
			time.Sleep(time.Second)
			p.primary.HoldUp(nil) // for later calls; the one in progress hangs on
			p.primary.node.SetFault("one")
			time.Sleep(time.Second)
			if diff := cmp.Diff([]string{"hook active", "release", "hook fault"}, p.primary.Effects()); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			p.want(failover.RoleFault, failover.RoleActive)
		}},
		{"roles that pile up collapse to the latest", func(t *testing.T) {
			p := both(t)
			time.Sleep(10 * time.Second)
			p.primary.Effects()
			gate := make(chan struct{})
			p.primary.HoldUp(gate)
			p.primary.node.SetFault("one") // begins to release, and hangs
			synctest.Wait()
			for range 5 {
				p.primary.node.SetFault("")
				p.primary.node.SetFault("again")
			}
			close(gate)
			time.Sleep(time.Second)
			if diff := cmp.Diff([]string{"release", "hook fault"}, p.primary.Effects()); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
		}},
		{"a fault that is over at once leaves no addresses on a node that listens", func(t *testing.T) {
			p := newPair(t)
			p.primary.start(t)
			time.Sleep(decided)
			if p.primary.role() != failover.RoleActive || !p.primary.Held() {
				t.Fatalf("role %v, addresses held: %t", p.primary.role(), p.primary.Held())
			}
			p.primary.Effects()
			p.primary.node.SetFault("a moment")
			p.primary.node.SetFault("")
			synctest.Wait()
			if r := p.primary.role(); r != failover.RoleInit {
				t.Fatalf("role %v", r)
			}
			if p.primary.Held() || p.primary.node.Status().Serving {
				t.Error("it listens and serves")
			}
			if got := p.primary.Effects(); len(got) != 2 || got[0] != "release" {
				t.Errorf("effects %v", got)
			}
			time.Sleep(decided)
			if r := p.primary.role(); r != failover.RoleActive || !p.primary.Held() {
				t.Errorf("role %v, addresses held: %t", r, p.primary.Held())
			}
		}},
		{"trouble is told once, tried again, and its end is told", func(t *testing.T) {
			p := newPair(t)
			p.primary.FailWith(errors.New("no such device"))
			p.primary.start(t)
			p.backup.start(t)
			time.Sleep(20 * time.Second)
			if n := p.primary.Count(failover.EventAddressTrouble); n != 1 {
				t.Errorf("told %d times", n)
			}
			st := p.primary.node.Status()
			if st.Serving || st.AddressError == "" {
				t.Errorf("serving %v, error %q", st.Serving, st.AddressError)
			}
			if n := count(p.primary.Effects(), "hook active"); n < 4 || n > 12 {
				t.Errorf("tried %d times in 20 s", n)
			}
			p.primary.FailWith(nil)
			time.Sleep(6 * time.Second)
			p.want(failover.RoleActive, failover.RoleBackup)
			if n := p.primary.Count(failover.EventAddressMended); n != 1 {
				t.Errorf("mended %d times", n)
			}
		}},
		{"a release that hangs ends with the limit", func(t *testing.T) {
			p := both(t)
			p.primary.HoldUp(make(chan struct{}))
			p.primary.node.SetFault("one")
			time.Sleep(time.Second)
			begin := time.Now()
			p.primary.stop(t)
			if took := time.Since(begin); took < 9*time.Second || took > 30*time.Second {
				t.Errorf("stopping took %v", took)
			}
		}},
		{"a release that fails ends with the limit", func(t *testing.T) {
			p := both(t)
			p.primary.FailWith(errors.New("stuck"))
			begin := time.Now()
			p.primary.stop(t)
			if took := time.Since(begin); took < 9*time.Second || took > 20*time.Second {
				t.Errorf("stopping took %v", took)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, inBubble(tt.run))
	}
}

func count(list []string, what string) (n int) {
	for _, s := range list {
		if s == what {
			n++
		}
	}
	return n
}

func TestSlowListenerLosesTheOldestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var got []string
		n, err := failover.New(&failover.Config{OnEvent: func(e failover.Event) {
			<-gate
			got = append(got, e.Role.String())
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- n.Run(ctx) }()
		synctest.Wait()
		for range 300 {
			n.SetFault("x")
			n.SetFault("")
		}
		if n.Status().EventsLost == 0 {
			t.Error("nothing was lost: the queue has no bound")
		}
		close(gate)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if last := got[len(got)-1]; last != "leaving" || len(got) > 300 {
			t.Errorf("%d events, the last is %q", len(got), last)
		}
		if !slices.Contains(got, "fault") {
			t.Error("no fault was told")
		}
	})
}

// slowOwner takes a second to let go.
type slowOwner struct{ failover.NoAddresses }

func (slowOwner) Release(context.Context) error { time.Sleep(time.Second); return nil }

// A node serves until its addresses are gone, whatever its role is.
func TestServingLastsUntilTheRelease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, err := failover.New(&failover.Config{Owner: slowOwner{}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		synctest.Wait()
		n.SetFault("a cable")
		time.Sleep(500 * time.Millisecond)
		if s := n.Status(); s.Role != failover.RoleFault || !s.Serving {
			t.Errorf("it is %v, serving: %v, while it releases", s.Role, s.Serving)
		}
		time.Sleep(time.Second)
		if n.Status().Serving {
			t.Error("it serves after the release")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
