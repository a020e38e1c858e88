package failover_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/pulse"
)

var (
	oldKey = pulse.Key{ID: 1, Secret: []byte("the old key of a pair")}
	newKey = pulse.Key{ID: 2, Secret: []byte("the new key of a pair")}
)

func withKeys(keys ...pulse.Key) func(a, b *failover.Config) {
	return func(a, b *failover.Config) {
		for _, c := range []*failover.Config{a, b} {
			c.Key, c.Keys = nil, keys
		}
	}
}

// A key is changed while beats go to and fro: each is received and none refused.
func TestKeysChangeWithoutALostBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := both(t, withKeys(oldKey))
		sides := []*side{p.primary, p.backup}
		type counts struct{ sent, received, refused uint64 }
		count := func() (c [2]counts) {
			synctest.Wait()
			for i, s := range sides {
				for _, ch := range s.node.Status().Channels {
					c[i].sent += ch.Sent
					c[i].received += ch.Received
					for _, n := range ch.Drops {
						c[i].refused += n
					}
				}
			}
			return c
		}
		before := count()
		for _, keys := range [][]pulse.Key{{oldKey, newKey}, {newKey, oldKey}, {newKey}} {
			for _, s := range sides {
				if err := s.node.SetKeys(keys); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10*interval + interval/3)
			}
		}
		after := count()
		for i := range sides {
			sent, received := after[i].sent-before[i].sent, after[1-i].received-before[1-i].received
			if sent < 100 || sent != received || after[i].refused != before[i].refused {
				t.Errorf("node %d: %d beats sent, %d received, %d refused", i, sent, received, after[i].refused-before[i].refused)
			}
			if st := sides[i].node.Status(); st.Partner.Key != newKey.ID {
				t.Errorf("node %d: the partner's key is %d", i, st.Partner.Key)
			}
		}
		// The backup was the last to make the new one the first.
		if n, m := p.primary.Count(failover.EventNewerKey), p.backup.Count(failover.EventNewerKey); n != 0 || m != 1 {
			t.Errorf("a newer key was told %d and %d times, want 0 and 1", n, m)
		}
		p.want(failover.RoleActive, failover.RoleBackup)
	})
}

func TestAKeyThatThePartnerLacksIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := both(t, withKeys(oldKey))
		if err := p.primary.node.SetKeys([]pulse.Key{newKey, oldKey}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(decided)
		st := p.backup.node.Status()
		if st.Partner.Refused != "unknown-key" || !strings.Contains(st.Reason, "does not have; add that key here") {
			t.Errorf("refused %q, reason %q", st.Partner.Refused, st.Reason)
		}
		for _, bad := range [][]pulse.Key{nil, {oldKey, oldKey}, {{Secret: []byte("short")}}} {
			if err := p.primary.node.SetKeys(bad); err == nil {
				t.Errorf("%d bad keys were taken", len(bad))
			}
		}
	})
}

func TestClocksThatDifferAreToldAndDecideNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := both(t)
		shift := func(d time.Duration) {
			p.primary.node.SetWall(func() time.Time { return time.Now().Add(d) })
			time.Sleep(5 * interval)
		}
		told := func(differ, agree int) {
			t.Helper()
			for _, s := range []*side{p.primary, p.backup} {
				if n, m := s.Count(failover.EventClocksDiffer), s.Count(failover.EventClocksAgree); n != differ || m != agree {
					t.Errorf("told %d times that they differ, %d times that they agree; want %d and %d", n, m, differ, agree)
				}
			}
		}
		shift(900 * time.Millisecond)
		told(0, 0)
		shift(-3 * time.Hour)
		told(1, 0)
		if st := p.backup.node.Status().Partner; !st.ClocksDiffer || st.ClockOffset != -3*time.Hour {
			t.Errorf("%+v", st)
		}
		if st := p.primary.node.Status().Partner; !st.ClocksDiffer || st.ClockOffset != 3*time.Hour {
			t.Errorf("%+v", st)
		}
		shift(700 * time.Millisecond) // no flapping at the edge
		told(1, 0)
		shift(0)
		told(1, 1)
		p.want(failover.RoleActive, failover.RoleBackup)
		// Beats that waited unread are no other clock.
		p.backup.host.Stall(5 * time.Second)
		time.Sleep(10 * time.Second)
		told(1, 1)
	})
}
