//go:build linux && simtime

package failover_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/internal/lab"
)

// These tests measure a pair over real sockets in a guest whose clock jumps
// over idle time. Work takes no time there, so what is left is the protocol,
// and minutes cost seconds. A loop that waits for the clock without sleeping
// would never end.

// timerLate is how late a timer of Go's may ring on an idle machine: the
// runtime sleeps in epoll_wait(2), which counts milliseconds.
const timerLate = time.Millisecond

// tempo is how fast a pair beats.
type tempo struct{ interval, deadAfter time.Duration }

func (b tempo) String() string {
	return fmt.Sprintf("%v beats, dead after %v", b.interval, b.deadAfter)
}

// settle is what the package comment says of the settle time of UDP.
func (b tempo) settle() time.Duration {
	return min(max(b.interval/4, time.Millisecond), 10*time.Millisecond)
}

var tempos = []tempo{
	{time.Second, 3 * time.Second},
	{time.Second, 2 * time.Second}, // the shortest dead time there is
	{100 * time.Millisecond, 300 * time.Millisecond},
}

// simSide is a node in a namespace of its own.
type simSide struct {
	side
	box
	roles chan failover.Event
}

// The links of a pair, one for each channel.
var simLinks = [...]string{"pub", "priv"}

// newSimPair starts a pair over two links and returns it in peace; the primary
// is the first and serves.
func newSimPair(t *testing.T, b tempo) (pair [2]*simSide) {
	t.Helper()
	l := lab.New(t)
	for i, name := range [...]string{"primary", "backup"} {
		s := &simSide{
			side: side{Recorder: new(failovertest.Recorder)}, box: box{l.Namespace(name)},
			roles: make(chan failover.Event, 100),
		}
		s.cfg = failover.Config{
			Primary: i == 0, Key: key, Interval: b.interval, DeadAfter: b.deadAfter, Owner: s.Recorder, Transport: s.box,
			OnEvent: func(e failover.Event) {
				s.OnEvent(e)
				if e.Kind == failover.EventRole {
					s.roles <- e
				}
			},
		}
		for c, link := range simLinks {
			s.cfg.Channels = append(s.cfg.Channels, failover.Channel{Name: link, Local: addrs[i][c], Peer: addrs[1-i][c]})
		}
		pair[i] = s
	}
	for c, link := range simLinks {
		l.Veth(pair[0].Namespace, link, pair[1].Namespace, link)
		for i, s := range pair {
			s.Addr(link, netip.PrefixFrom(addrs[i][c].Addr(), 24))
		}
	}
	for _, s := range pair {
		s.start(t)
		t.Cleanup(func() { s.stop(t) })
	}
	time.Sleep(b.deadAfter + 3*b.interval)
	for _, s := range pair {
		for len(s.roles) > 0 {
			<-s.roles
		}
	}
	inPeace(t, pair)
	return pair
}

// inPeace demands that the primary serves, that both nodes hear each other on
// both channels, and that nobody has changed its role since the last look.
func inPeace(t *testing.T, pair [2]*simSide) {
	t.Helper()
	for i, s := range pair {
		want := []failover.Role{failover.RoleActive, failover.RoleBackup}[i]
		st := s.node.Status()
		if st.Role != want || s.Held() != (want == failover.RoleActive) || !st.Partner.Alive || !st.Partner.Hears || st.Rival {
			t.Fatalf("%s: not in peace: %+v", s.Name(), st)
		}
		for _, c := range st.Channels {
			if !c.Up || c.Error != "" {
				t.Fatalf("%s: channel %+v", s.Name(), c)
			}
		}
		if len(s.roles) != 0 {
			t.Fatalf("%s: changed its role: %+v", s.Name(), <-s.roles)
		}
	}
}

// becomes waits for the next role, which has to be this one for this reason,
// and returns when the node took it.
func (s *simSide) becomes(t *testing.T, limit time.Duration, r failover.Role, reason string) time.Time {
	t.Helper()
	select {
	case e := <-s.roles:
		if e.Role != r || e.Reason != reason {
			t.Fatalf("%s: became %v (%s), want %v (%s)", s.Name(), e.Role, e.Reason, r, reason)
		}
		return e.Time
	case <-time.After(limit):
		t.Fatalf("%s: not %v within %v: %+v", s.Name(), r, limit, s.node.Status())
		return time.Time{}
	}
}

// The reasons for roles in these tests.
const (
	partnerSilent  = "the partner is silent on all channels"
	partnerYields  = "the partner hands over"
	yielded        = "handed over by order"
	rivalPreferred = "both nodes were active and the partner has precedence"
)

// The active node's cables are pulled again and again, the primary's and the
// backup's in turn, each time at another moment between two beats. The other
// node takes over when dead time and settle time have passed since the last
// beat that it heard, not earlier and not later.
func TestSimTakeOverTime(t *testing.T) {
	const times = 20
	for _, b := range tempos {
		t.Run(b.String(), func(t *testing.T) {
			pair := newSimPair(t, b)
			primary, backup := pair[0], pair[1]
			limit := 2 * (b.deadAfter + b.interval)
			var cuts, silences, heals []time.Duration
			for i := range times {
				active, other := primary, backup
				if i%2 == 1 {
					active, other = backup, primary
					must(t, primary.node.Yield())
					primary.becomes(t, limit, failover.RoleBackup, yielded)
					backup.becomes(t, limit, failover.RoleActive, partnerYields)
				}
				time.Sleep(3 * b.interval) // also past the beats that were out of turn
				heard := other.node.Status().Partner.LastHeard
				phase := b.interval * time.Duration(2*i+1) / (2 * times)
				time.Sleep(time.Until(heard.Add(b.interval + phase)))

				cut := time.Now()
				for _, link := range simLinks {
					active.Down(link)
				}
				taken := other.becomes(t, limit, failover.RoleActive, partnerSilent)
				cuts = append(cuts, taken.Sub(cut))
				silences = append(silences, taken.Sub(other.node.Status().Partner.LastHeard))

				heal := time.Now()
				for _, link := range simLinks {
					active.Up(link)
				}
				heals = append(heals, backup.becomes(t, limit, failover.RoleBackup, rivalPreferred).Sub(heal))
				time.Sleep(b.deadAfter)
				inPeace(t, pair)
			}
			verdict := b.deadAfter + b.settle()
			between(t, "from the cut to the take-over", cuts, b.deadAfter-b.interval, verdict+timerLate)
			// One timer finds the silence, another one ends the settling.
			between(t, "from the last beat to the take-over", silences, verdict, verdict+2*timerLate)
			between(t, "from the heal to one active node", heals, 0, 2*b.interval)
		})
	}
}

// between logs durations in short and demands that all are within bounds.
func between(t *testing.T, what string, all []time.Duration, low, high time.Duration) {
	t.Helper()
	slices.Sort(all)
	least, most := all[0], all[len(all)-1]
	t.Logf("%s, %d times: min %v, median %v, max %v", what, len(all), least, all[len(all)/2], most)
	if least < low || most > high {
		t.Errorf("%s: min %v, max %v, want %v to %v", what, least, most, low, high)
	}
}

// Minutes in which nothing happens but beats, all of them and no more.
func TestSimQuiet(t *testing.T) {
	const beats, most = 1200, 10 * time.Minute
	for _, b := range tempos {
		t.Run(b.String(), func(t *testing.T) {
			long := min(beats*b.interval, most)
			pair := newSimPair(t, b)
			var before [2]failover.Status
			for i, s := range pair {
				s.Events()
				before[i] = s.node.Status()
			}
			time.Sleep(long)
			inPeace(t, pair)
			want := uint64(long / b.interval)
			for i, s := range pair {
				if e := s.Events(); len(e) != 0 {
					t.Errorf("%s: events in a quiet time: %+v", s.Name(), e)
				}
				now := s.node.Status()
				if now.EventsLost != 0 || !now.Since.Equal(before[i].Since) {
					t.Errorf("%s: %+v", s.Name(), now)
				}
				for c, ch := range now.Channels {
					was := before[i].Channels[c]
					sent, received := ch.Sent-was.Sent, ch.Received-was.Received
					t.Logf("%s, channel %s: sent %d, received %d", s.Name(), ch.Name, sent, received)
					if max(sent, received) > want+1 || min(sent, received) < want-1 {
						t.Errorf("%s, channel %s: sent %d, received %d, want %d of both", s.Name(), ch.Name, sent, received, want)
					}
					if diff := cmp.Diff(was.Drops, ch.Drops); diff != "" {
						t.Errorf("%s, channel %s: packets refused (-before +now):\n%s", s.Name(), ch.Name, diff)
					}
				}
			}
		})
	}
}
