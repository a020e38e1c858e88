package ipvs_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

var _ ipvs.Plane = (*ipvstest.Kernel)(nil)

func web(n int) ipvs.ServiceKey {
	return ipvs.TCPService(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)}), 80))
}

func server(n int) ipvs.DestinationKey {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 80)
}

// entry is a service with servers 1, 2, ... of the given weights; a negative
// weight leaves one out.
func entry(key ipvs.ServiceKey, weights ...int) ipvs.Entry {
	e := ipvs.Entry{Service: ipvs.Service{Key: key, Scheduler: "wlc"}}
	for i, w := range weights {
		if w >= 0 {
			e.Destinations = append(e.Destinations, ipvs.Destination{Key: server(i + 1), Weight: w})
		}
	}
	return e
}

func fill(t testing.TB, k *ipvstest.Kernel, table ...ipvs.Entry) {
	t.Helper()
	if err := k.Apply(context.Background(), ipvs.Diff(nil, table, nil)); err != nil {
		t.Fatal(err)
	}
	k.ResetLog()
}

func wantTable(t testing.TB, k ipvs.Plane, want ...ipvs.Entry) {
	t.Helper()
	snap, err := k.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	changes := ipvs.Diff(snap.Table(), want, func(ipvs.ServiceKey) bool { return true })
	for _, c := range changes {
		t.Errorf("the table is not as wanted, what is missing: %v", c)
	}
}

func writes(k *ipvstest.Kernel) []string {
	lines := []string{}
	for _, c := range k.Log() {
		line := fmt.Sprintf("%v %v", c.Op, c.Service.Key)
		if c.Destination.Key.IsValid() {
			line += fmt.Sprintf(" %v %d", c.Destination.Key, c.Destination.Weight)
		}
		lines = append(lines, line)
	}
	return lines
}

func nobody(ipvs.ServiceKey) bool { return false }

func TestConverge(t *testing.T) {
	foreign := entry(web(99), 7)
	unknown := &ipvs.OpError{Op: ipvs.OpApply, Err: fmt.Errorf("%w: %w", ipvs.ErrStateUnknown, syscall.ENOBUFS)}
	tests := []struct {
		name string
		have []ipvs.Entry
		want ipvs.Table
		mine []ipvs.ServiceKey
		// fail are the faults of the commands in turn, reads included.
		fail []error
		// meddle is done by somebody else just before the first write.
		meddle func(*ipvstest.Kernel)

		rounds, changes, repaired, failed int
		err                               error
		left                              []ipvs.Entry
	}{
		{
			name: "from nothing", want: ipvs.Table{entry(web(1), 1, 2)},
			rounds: 1, changes: 3, left: []ipvs.Entry{entry(web(1), 1, 2)},
		},
		{
			name: "what is right is left alone", have: []ipvs.Entry{entry(web(1), 1, 2)}, want: ipvs.Table{entry(web(1), 1, 2)},
			rounds: 1, left: []ipvs.Entry{entry(web(1), 1, 2)},
		},
		{
			name: "what is ours leaves", have: []ipvs.Entry{entry(web(1), 1), entry(web(2), 1)}, mine: []ipvs.ServiceKey{web(2)},
			rounds: 1, changes: 1, left: []ipvs.Entry{entry(web(1), 1)},
		},
		{
			name: "an outcome that is not known is looked at", want: ipvs.Table{entry(web(1), 1, 2)},
			fail:   []error{nil, nil, unknown},
			rounds: 2, changes: 3, repaired: 2, left: []ipvs.Entry{entry(web(1), 1, 2)},
		},
		{
			name: "the reading may fail for want of space", want: ipvs.Table{entry(web(1), 1)},
			fail:   []error{syscall.ENOBUFS, syscall.ENOBUFS},
			rounds: 3, changes: 2, repaired: 2, left: []ipvs.Entry{entry(web(1), 1)},
		},
		{
			name: "somebody else adds our service first", want: ipvs.Table{entry(web(1), 1, 2)},
			meddle: func(k *ipvstest.Kernel) { fill(t, k, entry(web(1), -1, -1, 5)) },
			rounds: 2, changes: 3, repaired: 1, left: []ipvs.Entry{entry(web(1), 1, 2)},
		},
		{
			name: "somebody else deletes our service first", have: []ipvs.Entry{entry(web(1), 1, 1)}, want: ipvs.Table{entry(web(1), 1, 2)},
			meddle: func(k *ipvstest.Kernel) { _ = k.DelService(t.Context(), web(1)) },
			rounds: 2, changes: 3, repaired: 3, left: []ipvs.Entry{entry(web(1), 1, 2)},
		},
		{
			name: "somebody else deletes what we delete", have: []ipvs.Entry{entry(web(1), 1, 1)}, want: ipvs.Table{entry(web(1), 1)},
			meddle: func(k *ipvstest.Kernel) { _ = k.DelDestination(t.Context(), web(1), server(2)) },
			rounds: 2, changes: 0, left: []ipvs.Entry{entry(web(1), 1)},
		},
		{
			name:   "a scheduler that is not there is for good, and nobody's interference",
			want:   ipvs.Table{{Service: ipvs.Service{Key: web(1), Scheduler: "none-such"}, Destinations: entry(web(1), 1, 1).Destinations}, entry(web(2), 1)},
			rounds: 1, changes: 2, failed: 3, err: ipvs.ErrSchedulerNotFound, left: []ipvs.Entry{entry(web(2), 1)},
		},
		{
			name: "no right to change", want: ipvs.Table{entry(web(1))}, fail: []error{nil, syscall.EPERM},
			rounds: 1, failed: 1, err: ipvs.ErrNotPermitted,
		},
		{
			name: "no right to read", want: ipvs.Table{entry(web(1))}, fail: []error{syscall.EPERM},
			rounds: 1, err: ipvs.ErrNotPermitted,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := ipvstest.New()
			fill(t, k, append(slices.Clone(tt.have), foreign)...)
			k.FailNext(tt.fail...)
			plane := &meddled{Kernel: k, meddle: tt.meddle}
			owned := func(k ipvs.ServiceKey) bool { return slices.Contains(tt.mine, k) }
			rep, err := ipvs.Converge(t.Context(), plane, tt.want, owned)
			if !errors.Is(err, tt.err) || (err != nil) != (tt.err != nil) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			got := [...]int{rep.Rounds, len(rep.Changes), rep.Repaired, len(rep.Failed)}
			if want := [...]int{tt.rounds, tt.changes, tt.repaired, tt.failed}; got != want {
				t.Errorf("rounds, changes, repaired, failed: %v, want %v; changes %v", got, want, rep.Changes)
			}
			wantTable(t, k, append(slices.Clone(tt.left), foreign)...)
			if tt.err != nil {
				return
			}
			k.ResetLog()
			again, err := ipvs.Converge(t.Context(), k, tt.want, owned)
			if err != nil || len(again.Changes) != 0 || len(k.Log()) != 0 {
				t.Errorf("a second call: %v, changes %v", err, again.Changes)
			}
		})
	}
}

// meddled is a plane where somebody else comes before the first write.
type meddled struct {
	*ipvstest.Kernel
	meddle func(*ipvstest.Kernel)
}

func (m *meddled) Apply(ctx context.Context, changes []ipvs.Change) error {
	if m.meddle != nil {
		m.meddle(m.Kernel)
		m.meddle = nil
	}
	return m.Kernel.Apply(ctx, changes)
}

// Whatever was done before the answers were lost is reported, by what the
// table shows.
func TestConvergeTellsWhatWasDoneBeforeTheAnswersWereLost(t *testing.T) {
	k := ipvstest.New()
	rep, err := ipvs.Converge(t.Context(), &amnesic{Kernel: k, left: 1}, ipvs.Table{entry(web(1), 1, 2)}, nobody)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Rounds != 2 || len(rep.Changes) != 3 || rep.Repaired != 0 {
		t.Errorf("report %+v; want all three changes, made in the first of two rounds", rep)
	}
}

// amnesic does what it is told and loses the answer.
type amnesic struct {
	*ipvstest.Kernel
	left int
}

func (a *amnesic) Apply(ctx context.Context, changes []ipvs.Change) error {
	if a.left == 0 {
		return a.Kernel.Apply(ctx, changes)
	}
	a.left--
	if err := a.Kernel.Apply(ctx, changes); err != nil {
		return err
	}
	return &ipvs.ApplyError{Unknown: len(changes), Cause: &ipvs.OpError{Op: ipvs.OpApply, Err: ipvs.ErrStateUnknown}}
}

func TestConvergeGivesUpOnATableThatKeepsChanging(t *testing.T) {
	k := ipvstest.New()
	rep, err := ipvs.Converge(t.Context(), &amnesic{Kernel: k, left: 100}, ipvs.Table{entry(web(1), 1)}, nobody)
	if err != nil || rep.Rounds != 2 {
		t.Errorf("what was done is found to be done: %v, %d rounds", err, rep.Rounds)
	}
	k = ipvstest.New()
	k.SetHook(func(c ipvstest.Command) error {
		if c.Op.IsWrite() {
			return ipvs.ErrStateUnknown
		}
		return nil
	})
	rep, err = ipvs.Converge(t.Context(), k, ipvs.Table{entry(web(1), 1)}, nobody)
	if !errors.Is(err, ipvs.ErrStateUnknown) || rep.Rounds != 5 || len(rep.Changes) != 0 {
		t.Errorf("error %v after %d rounds and %d changes", err, rep.Rounds, len(rep.Changes))
	}
}

func TestConvergeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	k := ipvstest.New()
	k.SetHook(func(c ipvstest.Command) error {
		if c.Op.IsWrite() {
			cancel()
			return ipvs.ErrStateUnknown
		}
		return nil
	})
	rep, err := ipvs.Converge(ctx, k, ipvs.Table{entry(web(1), 1)}, nobody)
	if err == nil || rep.Rounds != 1 {
		t.Errorf("error %v after %d rounds, want one and no other", err, rep.Rounds)
	}
}

// interrupted ends the context behind the first change, as between two sends.
type interrupted struct {
	*ipvstest.Kernel
	end context.CancelFunc
}

func (i *interrupted) Apply(ctx context.Context, changes []ipvs.Change) error {
	if err := i.Kernel.Apply(ctx, changes[:1]); err != nil {
		return err
	}
	i.end()
	return &ipvs.ApplyError{Applied: 1, Unsent: len(changes) - 1, Cause: &ipvs.OpError{Op: ipvs.OpApply, Err: ctx.Err()}}
}

func TestConvergeTellsWhatWasDoneBeforeItsContextEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	k := ipvstest.New()
	rep, err := ipvs.Converge(ctx, &interrupted{k, cancel}, ipvs.Table{entry(web(1), 1, 1)}, nobody)
	if !errors.Is(err, context.Canceled) || len(rep.Changes) != 1 || rep.Changes[0].Op != ipvs.OpAddService {
		t.Errorf("error %v, report %+v; want the service that was added", err, rep.Changes)
	}
}
