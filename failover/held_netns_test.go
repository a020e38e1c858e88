//go:build linux && netns

package failover_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
)

// holder is a router or a node as this test needs it.
type holder struct {
	run   func(context.Context) error
	yield func() error
	state func() (role failover.Role, since time.Time, serving bool)
}

func newHolder(t *testing.T, host *peer, i int, router bool, beat *failover.Beat, vip netip.Prefix) holder {
	t.Helper()
	owner, err := failover.NewAddresses(&failover.AddressesConfig{
		Addresses: []failover.VirtualAddress{{Prefix: vip, Device: eth0}}, Namespace: host.Path(),
	})
	must(t, err)
	if router {
		r, err := failover.NewRouter(&failover.RouterConfig{
			VRID: 7, Device: eth0, Interval: 10 * time.Millisecond, Priority: uint8(200 - 100*i), DownAdverts: 50, Addresses: []netip.Addr{vip.Addr()},
			Owner: owner, Beat: beat, Transport: failover.RawIP{Namespace: host.Path()},
		})
		must(t, err)
		return holder{r.Run, r.Yield, func() (failover.Role, time.Time, bool) {
			s := r.Status()
			return s.Role, s.Since, s.Serving
		}}
	}
	c := nodeConfig(i, false).Node
	c.DeadAfter, c.Owner, c.Beat, c.Transport = time.Second, owner, beat, failover.UDP{Namespace: host.Path()}
	n, err := failover.New(c)
	must(t, err)
	return holder{n.Run, n.Yield, func() (failover.Role, time.Time, bool) {
		s := n.Status()
		return s.Role, s.Since, s.Serving
	}}
}

// Who hands over is not said to have let go of the address before it has: an
// order to yield returns by that.
func TestNetnsStatusHoldsUntilTheAddressIsGone(t *testing.T) {
	t.Parallel()
	vip := netip.MustParsePrefix("192.0.2.100/32")
	for _, tt := range []struct {
		name          string
		router, apart bool
	}{{"router", true, false}, {"router in a beat process", true, true}, {"node", false, false}, {"node in a beat process", false, true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			hosts := [2]*peer{w.host("d1", "192.0.2.1/24"), w.host("d2", "192.0.2.2/24")}
			ctx, cancel := context.WithCancel(context.Background())
			var work sync.WaitGroup
			t.Cleanup(func() { cancel(); work.Wait() })
			var pair [2]holder
			for i, host := range hosts {
				var beat *failover.Beat
				if tt.apart {
					var err error
					beat, err = failover.NewBeat(nil)
					must(t, err)
					work.Go(func() { _ = beat.Run(ctx) })
				}
				pair[i] = newHolder(t, host, i, tt.router, beat, vip)
				work.Go(func() { _ = pair[i].run(ctx) })
			}
			rest := func(active int) func() bool {
				return func() bool {
					_, _, serves := pair[active].state()
					other, _, too := pair[1-active].state()
					return serves && !too && other == failover.RoleBackup
				}
			}
			within(t, patience, "the first serves", rest(0))
			for move := range 10 {
				from, to := pair[move%2], 1-move%2
				within(t, patience, "the hand-over", func() bool {
					role, since, serving := from.state()
					if here := hosts[1-to].holds([]netip.Prefix{vip}); here && !serving && role != failover.RoleActive {
						if again, still, _ := from.state(); again == role && still.Equal(since) {
							t.Fatalf("move %d: it is %v, is said not to serve, and has the address", move, role)
						}
					}
					if role == failover.RoleActive { // once it knows of the other one, and again if that stood still
						if err := from.yield(); err != nil && !errors.Is(err, failover.ErrNoPartner) && !errors.Is(err, failover.ErrNotActive) {
							t.Fatal(err)
						}
					}
					return !serving && rest(to)()
				})
			}
		})
	}
}
