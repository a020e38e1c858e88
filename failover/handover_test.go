package failover_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
)

// watched lets f run and demands that somebody holds the addresses all the
// time; it returns how long both did.
func (p *pair) watched(f func()) (both time.Duration) {
	p.t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	const step = 100 * time.Microsecond
	for {
		synctest.Wait()
		switch a, b := p.primary.Held(), p.backup.Held(); {
		case !a && !b:
			p.t.Errorf("nobody holds the addresses\nprimary %+v\nbackup %+v", p.primary.node.Status(), p.backup.node.Status())
			<-done
			return both
		case a && b:
			both += step
		}
		select {
		case <-done:
			return both
		case <-time.After(step):
		}
	}
}

// handOvers returns what the events so far say of hand-overs.
func handOvers(s *side) (out []string) {
	for _, e := range s.Events() {
		switch e.Kind {
		case failover.EventHandOver, failover.EventHandedOver, failover.EventHandOverFailed, failover.EventRivalSeen:
			out = append(out, e.String())
		}
	}
	return out
}

// slow lets the hook of a side take a moment, so that a beat tells that it takes
// over before one tells that it serves. Without it the two may be one.
func (s *side) slow() {
	done := make(chan struct{})
	s.HoldUp(done)
	time.AfterFunc(time.Millisecond, func() { close(done) })
}

const (
	asked    = "hand-over: asked the partner to take over"
	begun    = "hand-over: the partner takes over and does not serve yet"
	moved    = "handed-over: the partner serves"
	oneLimit = 10 * time.Second // of the package pulse
)

func TestHandOver(t *testing.T) {
	yield := func(t *testing.T, s *side) {
		t.Helper()
		if err := s.node.Yield(); err != nil {
			t.Fatal(err)
		}
	}
	told := func(t *testing.T, s *side, want ...string) {
		t.Helper()
		synctest.Wait()
		if diff := cmp.Diff(want, handOvers(s)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	}
	tests := []struct {
		name string
		run  func(*testing.T)
	}{
		{"the addresses are here until they are there", func(t *testing.T) {
			p := both(t)
			p.backup.Effects()
			double := p.watched(func() {
				p.backup.slow()
				yield(t, p.primary)
				time.Sleep(5 * time.Millisecond)
				if diff := cmp.Diff([]string{"hook active", "acquire", "announce"}, p.backup.Effects()); diff != "" || !p.primary.Held() {
					t.Errorf("effects of the backup (-want +got), while the primary holds %v:\n%s", p.primary.Held(), diff)
				}
				time.Sleep(time.Second)
			})
			if double > 20*time.Millisecond {
				t.Errorf("both held them for %v", double)
			}
			p.want(failover.RoleBackup, failover.RoleActive)
			told(t, p.primary, asked, begun, moved)
			told(t, p.backup)
			// And back, to the same end.
			p.watched(func() { yield(t, p.backup); time.Sleep(time.Second) })
			p.want(failover.RoleActive, failover.RoleBackup)
		}},
		{"a hook that takes its time is waited for", func(t *testing.T) {
			p := both(t)
			release := make(chan struct{})
			p.backup.HoldUp(release)
			p.watched(func() {
				yield(t, p.primary)
				time.Sleep(oneLimit - time.Second)
				st := p.primary.node.Status()
				if st.Role != failover.RoleActive || !st.Serving || st.HandOver != "the partner takes over and does not serve yet" || st.Partner.Serving {
					t.Errorf("%+v", st)
				}
				p.backup.HoldUp(nil)
				close(release)
				time.Sleep(time.Second)
			})
			p.want(failover.RoleBackup, failover.RoleActive)
			if st := p.primary.node.Status(); st.HandOver != "" || !st.Partner.Serving {
				t.Errorf("%+v", st)
			}
			told(t, p.primary, asked, begun, moved)
			told(t, p.backup)
		}},
		{"a partner that cannot come to serve gives it back", func(t *testing.T) {
			p := both(t)
			p.backup.FailWith(errors.New("no such device"))
			p.watched(func() {
				yield(t, p.primary)
				time.Sleep(oneLimit + time.Second)
				p.backup.FailWith(nil)
				time.Sleep(10 * time.Second) // its tries to release come with pauses
			})
			p.want(failover.RoleActive, failover.RoleBackup)
			told(t, p.primary, asked, begun, "hand-over-failed: the partner is active and did not come to serve; this node stays active", "rival-seen: both nodes are active")
			told(t, p.backup)
		}},
		{"a partner with a fault refuses", func(t *testing.T) {
			p := both(t)
			p.backup.node.SetFault("maintenance")
			yield(t, p.primary) // its partner's fault is not known here yet
			p.watched(func() { time.Sleep(time.Second) })
			p.want(failover.RoleActive, failover.RoleFault)
			told(t, p.primary, asked, "hand-over-failed: the partner reports a fault; this node stays active")
			if err := p.primary.node.Yield(); !errors.Is(err, failover.ErrNoPartner) {
				t.Errorf("yield to a fault: %v", err)
			}
		}},
		{"a partner that dies in the middle", func(t *testing.T) {
			p := both(t)
			release := make(chan struct{})
			p.backup.HoldUp(release)
			p.watched(func() {
				yield(t, p.primary)
				time.Sleep(interval)
				p.backup.host.Isolate(true)
				time.Sleep(time.Second)
			})
			if r := p.primary.role(); r != failover.RoleActive {
				t.Errorf("the primary is %v", r)
			}
			told(t, p.primary, asked, begun, "hand-over-failed: the partner fell silent; this node stays active")
			close(release)
		}},
		{"who stops serves until the partner does", func(t *testing.T) {
			p := both(t)
			double := p.watched(func() {
				p.backup.slow()
				begin := time.Now()
				p.primary.stop(t)
				if took := time.Since(begin); took > interval {
					t.Errorf("it took %v", took)
				}
			})
			t.Logf("both held the addresses for %v", double)
			if p.primary.Held() || p.backup.role() != failover.RoleActive {
				t.Errorf("held %v, the backup is %v", p.primary.Held(), p.backup.role())
			}
			told(t, p.primary, asked, begun, moved)
		}},
		{"who stops waits for no partner that cannot come to serve", func(t *testing.T) {
			p := both(t)
			p.backup.FailWith(errors.New("no such device"))
			begin := time.Now()
			p.primary.stop(t)
			if took := time.Since(begin); took < oneLimit || took > oneLimit+time.Second {
				t.Errorf("it took %v", took)
			}
			p.backup.FailWith(nil)
			told(t, p.primary, asked, begun, "hand-over-failed: the partner is active and did not come to serve; this node stops without a successor")
		}},
		{"who stops and gets a fault releases at once", func(t *testing.T) {
			p := both(t)
			release := make(chan struct{})
			p.backup.HoldUp(release)
			p.primary.cancel()
			time.Sleep(interval)
			if !p.primary.Held() {
				t.Error("the addresses are gone already")
			}
			p.primary.node.SetFault("the kernel has no IPVS")
			synctest.Wait()
			if p.primary.Held() {
				t.Error("the addresses stayed")
			}
			p.primary.stop(t)
			close(release)
		}},
		{"who stops and has heard nobody for the dead time waits for nobody", func(t *testing.T) {
			p := both(t)
			p.backup.kill(t)
			time.Sleep(decided)
			begin := time.Now()
			p.primary.stop(t)
			if took := time.Since(begin); took > interval/2 {
				t.Errorf("it took %v", took)
			}
			told(t, p.primary)
		}},
		{"who stops just after its partner died waits for the dead time at most", func(t *testing.T) {
			p := both(t)
			p.backup.host.Isolate(true)
			begin := time.Now()
			p.primary.stop(t)
			if took := time.Since(begin); took > decided {
				t.Errorf("it took %v", took)
			}
			told(t, p.primary, asked, "hand-over-failed: the partner fell silent; this node stops without a successor")
		}},
		{"both stop at once", func(t *testing.T) {
			p := both(t)
			begin := time.Now()
			p.primary.cancel()
			p.backup.stop(t)
			p.primary.stop(t)
			if took := time.Since(begin); took > interval {
				t.Errorf("it took %v", took)
			}
		}},
		{"a fault releases at once", func(t *testing.T) {
			p := both(t)
			release := make(chan struct{})
			p.backup.HoldUp(release)
			p.primary.node.SetFault("the kernel has no IPVS")
			synctest.Wait()
			if p.primary.Held() {
				t.Error("the addresses stayed")
			}
			close(release)
		}},
		{"take", func(t *testing.T) {
			p := both(t)
			if err := p.primary.node.Take(); !errors.Is(err, failover.ErrActive) {
				t.Errorf("take of the active one: %v", err)
			}
			p.watched(func() {
				p.backup.slow()
				if err := p.backup.node.Take(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(20 * time.Millisecond)
				if r := p.backup.role(); r != failover.RoleActive {
					t.Errorf("the backup is %v", r)
				}
				time.Sleep(time.Second)
			})
			p.want(failover.RoleBackup, failover.RoleActive)
			told(t, p.primary, asked, begun, moved)
			told(t, p.backup, "hand-over: asked the partner to hand over")
			p.primary.node.SetFault("maintenance")
			if err := p.primary.node.Take(); !errors.Is(err, failover.ErrFault) {
				t.Errorf("take with a fault: %v", err)
			}
			p.primary.node.SetFault("")
			time.Sleep(decided)
			p.backup.kill(t)
			time.Sleep(decided)
			p.primary.node.SetFault("again")
			p.primary.node.SetFault("")
			if err := p.primary.node.Take(); !errors.Is(err, failover.ErrNoPartner) {
				t.Errorf("take from nobody: %v", err)
			}
		}},
		{"a request to take that is not heard is told", func(t *testing.T) {
			p := both(t)
			p.net.Cut(p.backup.host, p.primary.host, true)
			if err := p.backup.node.Take(); err != nil {
				t.Fatal(err)
			}
			if st := p.backup.node.Status(); st.HandOver != "asked the partner to hand over" {
				t.Errorf("hand-over %q", st.HandOver)
			}
			time.Sleep(time.Second)
			p.want(failover.RoleActive, failover.RoleBackup)
			got := handOvers(p.backup)
			if len(got) != 2 || !strings.HasPrefix(got[1], "hand-over-failed: the partner does not hand over") {
				t.Errorf("events %q", got)
			}
		}},
		{"through loss, delay and slow hooks somebody serves all the time", func(t *testing.T) {
			p := both(t, func(a, b *failover.Config) { a.DeadAfter, b.DeadAfter = 20*interval, 20*interval })
			p.net.SetLoss(0.3)
			p.net.SetDelay(0, interval)
			p.watched(func() {
				for i := range 40 {
					for _, s := range []*side{p.primary, p.backup} {
						if i%2 == 0 {
							_ = s.node.Yield() // one of them is not active
						} else {
							_ = s.node.Take()
						}
					}
					time.Sleep(time.Duration(i) * interval / 2)
				}
			})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, inBubble(tt.run))
	}
}
