package failover_test

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
)

// oracle is a witness and a fence that answer as a test says.
type oracle struct {
	reached atomic.Bool
	fenced  atomic.Bool
	hang    atomic.Bool // until the context ends
	asked   atomic.Int64
	fences  atomic.Int64
}

func (o *oracle) wait(ctx context.Context) {
	if o.hang.Load() {
		<-ctx.Done()
	}
}

func (o *oracle) witness(ctx context.Context) (bool, string) {
	o.asked.Add(1)
	o.wait(ctx)
	return o.reached.Load(), "no answer"
}

func (o *oracle) fence(ctx context.Context, reason string) error {
	o.fences.Add(1)
	o.wait(ctx)
	if reason == "" {
		return errors.New("no reason was given")
	}
	if !o.fenced.Load() {
		return errors.New("the socket strip does not answer")
	}
	return nil
}

// held returns what the events so far say of a take-over that waits.
func held(s *side) (out []string) {
	synctest.Wait()
	for _, e := range s.Events() {
		switch e.Kind {
		case failover.EventTakeOverHeld, failover.EventTakeOverFree, failover.EventRivalSeen:
			out = append(out, e.String())
		}
	}
	return out
}

const (
	cutOff    = "the witness is not reached (no answer), so this node may be the one that is cut off"
	unfenced  = "the partner cannot be fenced: the socket strip does not answer"
	uncleared = "the partner is silent on all channels, and the take-over is not cleared yet: "
)

func TestClearance(t *testing.T) {
	tests := []struct {
		name           string
		witness, fence bool
		run            func(*testing.T, *pair, *oracle) // o is the backup's
	}{
		{"who reaches nobody does not take over, says so and goes on asking", true, false, func(t *testing.T, p *pair, o *oracle) {
			p.net.Partition(p.primary.host, p.backup.host)
			time.Sleep(decided)
			o.asked.Store(0)
			time.Sleep(10*time.Second - interval/2)
			p.want(failover.RoleActive, failover.RoleBackup)
			if n := o.asked.Load(); n < 90 || n > 101 {
				t.Errorf("asked %d times in ten seconds", n)
			}
			st := p.backup.node.Status()
			if st.Reason != uncleared+cutOff || st.Clearance != cutOff {
				t.Errorf("reason %q, clearance %q", st.Reason, st.Clearance)
			}
			p.net.Heal()
			time.Sleep(time.Second)
			p.want(failover.RoleActive, failover.RoleBackup)
			if st := p.backup.node.Status(); st.Clearance != "" || st.Reason != "the partner is active" {
				t.Errorf("reason %q, clearance %q", st.Reason, st.Clearance)
			}
			if diff := cmp.Diff([]string{"take-over-held: " + cutOff}, held(p.backup)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if r := held(p.primary); len(r) != 0 {
				t.Errorf("events of the primary: %q", r)
			}
		}},
		{"who reaches the witness again listens first, then takes over", true, false, func(t *testing.T, p *pair, o *oracle) {
			p.primary.kill(t)
			time.Sleep(time.Second)
			o.reached.Store(true)
			time.Sleep(2 * interval)
			if st := p.backup.node.Status(); st.Role != failover.RoleBackup || st.Clearance != "the witness is reached again, listening for the partner" {
				t.Errorf("%v, clearance %q", st.Role, st.Clearance)
			}
			within(t, deadAfter, "backup active", func() bool { return p.backup.role() == failover.RoleActive })
			if diff := cmp.Diff([]string{"take-over-held: " + cutOff, "take-over-free"}, held(p.backup)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		}},
		{"who is back on the network and reaches the witness first hears the partner before it takes over or fences", true, true, func(t *testing.T, p *pair, o *oracle) {
			o.fenced.Store(true)
			p.net.Partition(p.primary.host, p.backup.host)
			time.Sleep(time.Second)
			o.reached.Store(true)
			time.Sleep(interval + interval/2) // asked, and no beat has come since
			p.net.Heal()
			time.Sleep(10 * time.Second)
			p.want(failover.RoleActive, failover.RoleBackup)
			if n := o.fences.Load(); n != 0 {
				t.Errorf("fenced %d times", n)
			}
			if diff := cmp.Diff([]string{"take-over-held: " + cutOff}, held(p.backup)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		}},
		{"a witness that answers costs no time", true, true, func(t *testing.T, p *pair, o *oracle) {
			o.reached.Store(true)
			o.fenced.Store(true)
			begin := time.Now()
			p.primary.kill(t)
			within(t, decided, "backup active", func() bool { return p.backup.role() == failover.RoleActive })
			if took := time.Since(begin); took > deadAfter+interval || o.asked.Load() != 1 || o.fences.Load() != 1 {
				t.Errorf("after %v, asked %d times, fenced %d times", took, o.asked.Load(), o.fences.Load())
			}
		}},
		{"while the fence fails nobody serves, and it is tried again", true, true, func(t *testing.T, p *pair, o *oracle) {
			o.reached.Store(true)
			p.primary.kill(t)
			time.Sleep(10 * time.Second)
			if r := p.backup.role(); r != failover.RoleBackup {
				t.Errorf("the backup is %v", r)
			}
			if n := o.fences.Load(); n < 3 || n > 10 || o.asked.Load() != n {
				t.Errorf("fenced %d times, asked %d times", n, o.asked.Load())
			}
			if st := p.backup.node.Status(); st.Clearance != unfenced || st.Reason != uncleared+unfenced {
				t.Errorf("reason %q, clearance %q", st.Reason, st.Clearance)
			}
			o.fenced.Store(true)
			within(t, 6*time.Second, "backup active", func() bool { return p.backup.role() == failover.RoleActive })
			if diff := cmp.Diff([]string{"take-over-held: " + unfenced, "take-over-free"}, held(p.backup)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		}},
		{"a witness that is lost while the fence fails is lost for the fence, too", true, true, func(t *testing.T, p *pair, o *oracle) {
			o.reached.Store(true)
			p.net.Partition(p.primary.host, p.backup.host)
			time.Sleep(10 * time.Second)
			o.reached.Store(false) // what is cut off is this node
			o.fenced.Store(true)
			n := o.fences.Load()
			time.Sleep(10 * time.Second)
			o.reached.Store(true)
			time.Sleep(interval + interval/2) // asked, and no beat has come since
			p.net.Heal()
			time.Sleep(time.Second)
			p.want(failover.RoleActive, failover.RoleBackup)
			if o.fences.Load() != n {
				t.Errorf("fenced %d times", o.fences.Load()-n)
			}
			if diff := cmp.Diff([]string{"take-over-held: " + unfenced, "take-over-held: " + cutOff}, held(p.backup)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		}},
		{"a fence that takes long is told", true, true, func(t *testing.T, p *pair, o *oracle) {
			o.reached.Store(true)
			o.hang.Store(true)
			p.primary.kill(t)
			time.Sleep(2 * time.Minute)
			const slow = "fencing the partner has not ended for 1m0s"
			if st := p.backup.node.Status(); st.Clearance != slow || st.Role != failover.RoleBackup {
				t.Errorf("%v, clearance %q", st.Role, st.Clearance)
			}
			if diff := cmp.Diff([]string{"take-over-held: " + slow}, held(p.backup)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		}},
		{"beats do not wait for either, and a partner that returns ends both", true, true, func(t *testing.T, p *pair, o *oracle) {
			o.hang.Store(true)
			o.reached.Store(true)
			o.fenced.Store(true) // it would succeed, too late
			p.net.Partition(p.primary.host, p.backup.host)
			time.Sleep(decided)
			sent := p.backup.node.Status().Channels[0].Sent
			time.Sleep(10 * time.Second)
			if n := p.backup.node.Status().Channels[0].Sent - sent; n < 99 || n > 102 {
				t.Errorf("%d beats in ten seconds", n)
			}
			if o.asked.Load() != 1 || o.fences.Load() != 1 {
				t.Errorf("asked %d times, fenced %d times", o.asked.Load(), o.fences.Load())
			}
			p.net.Heal()
			time.Sleep(time.Second)
			p.want(failover.RoleActive, failover.RoleBackup)
			// The next silence asks anew.
			o.hang.Store(false)
			p.primary.kill(t)
			time.Sleep(decided)
			if r := p.backup.role(); r != failover.RoleActive || o.asked.Load() != 2 || o.fences.Load() != 2 {
				t.Errorf("the backup is %v, asked %d times, fenced %d times", r, o.asked.Load(), o.fences.Load())
			}
		}},
		{"a node that stops does not wait for an answer", true, true, func(t *testing.T, p *pair, o *oracle) {
			o.hang.Store(true)
			p.primary.kill(t)
			time.Sleep(decided)
			begin := time.Now()
			p.backup.stop(t)
			if took := time.Since(begin); took > interval {
				t.Errorf("after %v", took)
			}
		}},
		{"a partner that speaks needs neither", true, true, func(t *testing.T, p *pair, o *oracle) {
			p.primary.node.SetFault("test")
			time.Sleep(interval)
			p.want(failover.RoleFault, failover.RoleActive)
			p.primary.node.SetFault("")
			time.Sleep(decided)
			if err := p.backup.node.Yield(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(interval)
			p.want(failover.RoleActive, failover.RoleBackup)
			p.primary.stop(t)
			time.Sleep(interval)
			if r := p.backup.role(); r != failover.RoleActive || o.asked.Load() != 0 || o.fences.Load() != 0 {
				t.Errorf("the backup is %v, asked %d times, fenced %d times", r, o.asked.Load(), o.fences.Load())
			}
		}},
		{"an active node that loses partner and witness stays active", true, true, func(t *testing.T, p *pair, o *oracle) {
			if err := p.primary.node.Yield(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(interval)
			p.primary.kill(t)
			time.Sleep(10 * time.Second)
			if r := p.backup.role(); r != failover.RoleActive || o.asked.Load() != 0 {
				t.Errorf("the backup is %v, asked %d times", r, o.asked.Load())
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, inBubble(func(t *testing.T) {
			o := new(oracle)
			tt.run(t, both(t, func(_, b *failover.Config) {
				if tt.witness {
					b.Witness = o.witness
				}
				if tt.fence {
					b.Fence = o.fence
				}
			}), o)
		}))
	}
}

// A partner that beats slowly is listened for as long as it takes.
func TestClearanceBesideASlowPartner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(oracle)
		p := newPair(t, func(a, b *failover.Config) {
			a.Interval, a.DeadAfter = 10*interval, 10*deadAfter
			b.Witness, b.Fence = o.witness, o.fence
		})
		p.primary.start(t)
		p.backup.start(t)
		time.Sleep(10 * deadAfter)
		p.want(failover.RoleActive, failover.RoleBackup)
		p.net.Partition(p.primary.host, p.backup.host)
		time.Sleep(20 * deadAfter)
		p.net.Heal()
		o.reached.Store(true)
		time.Sleep(10 * interval)
		p.want(failover.RoleActive, failover.RoleBackup)
		if n := o.fences.Load(); n != 0 {
			t.Errorf("fenced %d times", n)
		}
	})
}

// callback is a witness or a fence of which a call may not end, or panic.
type callback struct {
	how   atomic.Pointer[func()]
	calls atomic.Int64
}

func (c *callback) set(how func()) { c.how.Store(&how) }

func (c *callback) call() {
	c.calls.Add(1)
	(*c.how.Load())()
}

// Neither a witness nor a fence that is at fault takes the node along.
func TestWitnessAndFenceAtFault(t *testing.T) {
	for _, tt := range []struct {
		name string
		how  func(release <-chan struct{})
		// What status says of it, and of the call after it.
		want, then string
	}{
		{"one that does not end", func(release <-chan struct{}) { <-release }, "the call has not ended, although its context has: context deadline exceeded", "an earlier call has not ended, although its context has"},
		{"one that panics", func(<-chan struct{}) { panic("no gateway") }, "the call panicked: no gateway", "the call panicked: no gateway"},
		{"one that ends its goroutine", func(<-chan struct{}) { runtime.Goexit() }, "the call ended its goroutine", "the call ended its goroutine"},
	} {
		// A fence has all the time that it needs, until the partner is back.
		for _, what := range []string{"witness", "fence"} {
			t.Run(tt.name+", a "+what, inBubble(func(t *testing.T) {
				release := make(chan struct{})
				faulty := new(callback)
				faulty.set(func() { tt.how(release) })
				p := both(t, func(_, b *failover.Config) {
					if what == "witness" {
						b.Witness = func(context.Context) (bool, string) { faulty.call(); return true, "" }
					} else {
						b.Fence = func(context.Context, string) error { faulty.call(); return nil }
					}
				})
				p.net.Partition(p.primary.host, p.backup.host)
				time.Sleep(decided + interval)
				check := func(want string) {
					t.Helper()
					p.want(failover.RoleActive, failover.RoleBackup)
					if st := p.backup.node.Status(); !strings.Contains(st.Clearance, want) {
						t.Errorf("clearance %q, want %q in it", st.Clearance, want)
					}
				}
				if what == "fence" && tt.want != tt.then { // it is not known to hang yet
					check("fencing the partner")
					p.net.Heal()
					time.Sleep(time.Second)
					p.net.Partition(p.primary.host, p.backup.host)
				} else if e := held(p.backup); len(e) != 1 || !strings.Contains(e[0], tt.want) {
					t.Errorf("events %q, want %q in one", e, tt.want)
				}
				time.Sleep(time.Second)
				check(tt.then)
				if n := faulty.calls.Load(); tt.want != tt.then && n != 1 {
					t.Errorf("%d calls at once", n)
				}
				p.backup.stop(t) // which does not wait for it
				p.net.Heal()
				p.backup.start(t) // another node, which asks anew
				time.Sleep(decided)
				faulty.set(func() {})
				p.primary.kill(t)
				within(t, 10*time.Second, "backup active", func() bool { return p.backup.role() == failover.RoleActive })
				close(release)
			}))
		}
	}
}

// What is answered after its silence has ended says nothing of the next one.
func TestClearanceOfAnotherSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var calls atomic.Int64
		p := both(t, func(_, b *failover.Config) {
			b.Fence = func(context.Context, string) error {
				if calls.Add(1) == 1 {
					<-release // it does not mind its context
					return nil
				}
				return errors.New("no")
			}
		})
		for range 2 {
			p.net.Partition(p.primary.host, p.backup.host)
			time.Sleep(time.Second)
			p.net.Heal()
			time.Sleep(time.Second)
		}
		p.net.Partition(p.primary.host, p.backup.host)
		time.Sleep(time.Second)
		close(release)
		time.Sleep(10 * time.Second)
		p.want(failover.RoleActive, failover.RoleBackup)
		if n := calls.Load(); n < 2 {
			t.Errorf("the new silence was asked for %d times", n-1)
		}
		if n := p.backup.Count(failover.EventTakeOverFree); n != 0 {
			t.Errorf("cleared %d times", n)
		}
	})
}

// A node that starts and hears nobody asks too.
func TestClearanceAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(oracle)
		p := newPair(t, func(a, _ *failover.Config) { a.Witness = o.witness })
		p.primary.start(t)
		time.Sleep(5 * time.Second)
		if st := p.primary.node.Status(); st.Role != failover.RoleInit || st.Reason != uncleared+cutOff {
			t.Errorf("%v (%s)", st.Role, st.Reason)
		}
		o.reached.Store(true)
		time.Sleep(decided)
		if r := p.primary.role(); r != failover.RoleActive {
			t.Errorf("the primary is %v", r)
		}
	})
}

func TestPingWitnessNamesTheHostAndTheTrouble(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, host := range []string{"192.0.2.1", "2001:db8::1"} {
		ok, why := failover.PingWitness(netip.MustParseAddr(host))(ctx)
		if ok || !strings.HasPrefix(why, "ping "+host+": ") {
			t.Errorf("%v, %q", ok, why)
		}
	}
}

// A machine answers itself, also when it is cut off.
func TestPingWitnessOfThisMachineNeverAgrees(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1"} {
		if ok, why := failover.PingWitness(netip.MustParseAddr(host))(t.Context()); ok || !strings.Contains(why, "this machine has the address") {
			t.Errorf("%v: %v, %q", host, ok, why)
		}
	}
}

// A forgotten or mistyped host must not agree to everything.
func TestPingWitnessOfNoHostNeverAgrees(t *testing.T) {
	for _, host := range []netip.Addr{{}, netip.IPv4Unspecified(), netip.IPv6Unspecified(), netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("::ffff:0.0.0.0")} {
		if ok, why := failover.PingWitness(host)(t.Context()); ok || !strings.Contains(why, "give the address of a host") {
			t.Errorf("%v: %v, %q", host, ok, why)
		}
	}
}
