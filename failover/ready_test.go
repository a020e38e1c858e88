package failover_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
)

// A backup prepares a take-over once in each silence, when a beat is overdue, and
// never beside a partner that beats in time.
func TestOverdueBeatIsPreparedFor(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var ready *failover.Ready
			p := both(t, func(a, b *failover.Config) {
				ready = &failover.Ready{AddressOwner: b.Owner}
				b.Owner, a.Legacy, b.Legacy = ready, legacy, legacy
			})
			want := func(n int64, when string) {
				t.Helper()
				synctest.Wait()
				if got := ready.Count.Load(); got != n {
					t.Errorf("legacy %v, %s: prepared %d times, want %d", legacy, when, got, n)
				}
			}
			time.Sleep(10 * time.Second)
			want(0, "beside a partner that beats")
			for n := range int64(3) {
				p.net.Partition(p.primary.host, p.backup.host)
				time.Sleep(2*interval - 1)
				want(n+1, "a beat is overdue")
				p.net.Heal()
				time.Sleep(time.Second)
				p.want(failover.RoleActive, failover.RoleBackup)
				want(n+1, "it came")
			}
			p.primary.host.Isolate(true)
			within(t, decided, "backup active", func() bool { return p.backup.role() == failover.RoleActive })
			want(4, "it takes over")
			time.Sleep(time.Second)
			want(4, "it serves")
			p.primary.host.Isolate(false)
		})
	}
}

func TestOverdueAdvertIsPreparedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(failovertest.Segment)
		first := newSpeaker(t, g, 1)
		ready := new(failover.Ready)
		second := newSpeaker(t, g, 2, func(c *failover.RouterConfig) {
			ready.AddressOwner = c.Owner
			c.Owner = ready
		})
		first.start()
		second.start()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := ready.Count.Load(); n != 0 || second.router.Status().Role != failover.RoleBackup {
			t.Errorf("%v, prepared %d times beside a router that speaks", second.router.Status().Role, n)
		}
		second.place.Deafen(true)
		time.Sleep(5 * pace / 2)
		synctest.Wait()
		if n := ready.Count.Load(); n != 1 || second.router.Status().Role != failover.RoleBackup {
			t.Errorf("%v, prepared %d times", second.router.Status().Role, n)
		}
	})
}
