package director

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
)

const (
	// resyncEvery is how often the table is read again, to put right what
	// others changed in it.
	resyncEvery = 30 * time.Second
	// A failed change is tried again after retryMin, and after twice as long
	// each further time up to retryMax.
	retryMin = 500 * time.Millisecond
	retryMax = 10 * time.Second
	// giveUpAfter is how long a table that takes none of our services is
	// tried before the partner is asked to serve.
	giveUpAfter = 10 * time.Second
	// logChanges is how many changes of one step are logged by themselves.
	logChanges = 20
)

// loop is the state of the director and belongs to one goroutine: facts come
// in by the inbox, and each turn ends with the table as it should be.
type loop struct {
	log   *slog.Logger
	plane Dataplane
	owned *ownership
	inbox *inbox

	setup  *Setup
	named  map[ipvs.ServiceKey]bool
	stance stance
	health map[string]health.State
	// have is the table as last read or written.
	have  ipvs.Table
	known bool
	// failed is the last error of reading or changing the table, and since
	// the time of the first in a row.
	failed error
	since  time.Time
	retry  time.Duration
	// giveUp asks the partner to serve in our place; once for each trouble.
	giveUp  func()
	gaveUp  bool
	over    chan struct{}
	changes uint64
	// stateErr is the last error of the state file, so that it is told once.
	stateErr string
}

func newLoop(log *slog.Logger, plane Dataplane, owned *ownership, setup *Setup) *loop {
	l := &loop{log: log, plane: plane, owned: owned, inbox: newInbox(), giveUp: func() {}, over: make(chan struct{})}
	l.adopt(setup, make(map[string]health.State))
	return l
}

// adopt takes a new configuration with the states of its servers.
func (l *loop) adopt(setup *Setup, states map[string]health.State) {
	l.setup, l.health = setup, states
	l.named = make(map[ipvs.ServiceKey]bool, len(setup.Services))
	for _, v := range setup.Services {
		l.named[v.Service.Key] = true
	}
}

// withdraw takes our services out of the table at a clean end.
func (l *loop) withdraw(ctx context.Context) {
	l.stance = stanceWithdraw
	l.settle(ctx)
}

// run takes facts until ctx ends.
func (l *loop) run(ctx context.Context) error {
	defer close(l.over)
	resync := time.NewTicker(resyncEvery)
	defer resync.Stop()
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		due := false
		select {
		case <-ctx.Done():
			return nil
		case <-l.inbox.wake:
		case <-resync.C:
			l.known, due = false, true
		case <-retry.C:
			due = true
		}
		verdicts, orders := l.inbox.take()
		for id, v := range verdicts {
			l.health[id] = v
		}
		if due || len(verdicts) > 0 {
			l.settle(ctx)
		}
		// Orders settle what they change themselves; a question changes
		// nothing.
		for _, do := range orders {
			do(ctx)
		}
		if l.failed != nil {
			retry.Reset(l.retry)
		}
	}
}

// settle makes the table what it should be now.
func (l *loop) settle(ctx context.Context) {
	err := l.step(ctx)
	if err != nil {
		// What the table holds now is not known for sure.
		l.known = false
	}
	if ctx.Err() != nil {
		return
	}
	switch {
	case err == nil && l.failed != nil:
		l.log.Info("the table is as wanted again")
		l.retry, l.gaveUp = 0, false
	case err != nil:
		l.retry = min(max(2*l.retry, retryMin), retryMax)
		if l.failed == nil {
			l.since = time.Now()
		}
		if l.failed == nil || l.failed.Error() != err.Error() {
			l.log.Error("cannot make the table what it should be, will try again", "err", err, "after", l.retry)
		}
		l.considerGivingUp(err)
	}
	l.failed = err
}

// considerGivingUp asks the partner to serve when for a while none of our
// services could be put into the table: to be active and carry nothing helps
// nobody. It asks once, so that two nodes with the same trouble do not toss
// the service to and fro; and not at all when the table cannot even be read,
// as the kernel may carry everything then.
func (l *loop) considerGivingUp(err error) {
	var apply *ipvs.ApplyError
	if l.gaveUp || l.stance != stanceServe || !errors.As(err, &apply) || l.failed == nil || time.Since(l.since) < giveUpAfter {
		return
	}
	for _, e := range l.have {
		if l.named[e.Service.Key] {
			return
		}
	}
	l.gaveUp = true
	l.giveUp()
}

func (l *loop) step(ctx context.Context) error {
	if !l.known {
		snap, err := l.plane.Snapshot(ctx)
		if err != nil {
			return fmt.Errorf("read the table: %w", err)
		}
		l.have, l.known = snap.Table(), true
	}
	if l.stance == stanceHold {
		return nil
	}
	want := plan(l.setup, l.serverState, l.stance, l.have)
	changes := ipvs.Diff(l.have, want, l.mine)
	if len(changes) > 0 {
		l.tellStateFile(l.owned.claim(keysOf(want)))
		if err := l.plane.Apply(ctx, changes); err != nil {
			return fmt.Errorf("change the table: %w", err)
		}
		l.logChanges(changes)
		l.changes += uint64(len(changes))
		l.have = merge(l.have, want, l.mine)
	}
	l.tellStateFile(l.owned.keepOnly(keySet(want)))
	return nil
}

const stateTrouble = "a service that leaves the configuration while the daemon is down would stay in the table"

// tellStateFile logs the trouble with the state file when it is another one.
func (l *loop) tellStateFile(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != l.stateErr {
		l.log.Warn(stateTrouble, "err", err)
	}
	l.stateErr = text
}

func (l *loop) logChanges(changes []ipvs.Change) {
	for i, c := range changes {
		if i == logChanges {
			l.log.Info("and more changes", "count", len(changes)-i)
			return
		}
		l.log.Info(c.String(), "service", c.Service.Key.String())
	}
}

// mine tells which services may be taken out of the table: those that the
// configuration names and those that the state file says we created.
func (l *loop) mine(k ipvs.ServiceKey) bool {
	return l.named[k] || l.owned.has(k)
}

// whyAbsent says why a service of the configuration is not in the table.
func (l *loop) whyAbsent() string {
	switch {
	case l.failed != nil:
		return "it cannot be changed (see the data plane)"
	case l.stance == stanceServe:
		return "it is being added"
	case l.stance == stanceHold:
		return "this router does not know its role yet"
	}
	return "this router does not serve now"
}

func (l *loop) serverState(service, server string) serverState {
	switch l.health[WatchID(service, server)] {
	case health.Up:
		return serverUp
	case health.Down:
		return serverDown
	}
	return serverUnknown
}

// ask has the loop's goroutine run f and waits until it has. It reports
// false when ctx or the loop ended first; while the loop runs, f is run all
// the same, and its work has the
// loop's own context: an order whose giver no longer waits still holds.
func (l *loop) ask(ctx context.Context, f func(context.Context)) bool {
	done := make(chan struct{})
	l.inbox.order(func(own context.Context) { f(own); close(done) })
	select {
	case <-done:
		return true
	case <-l.over:
		return false
	case <-ctx.Done():
		return false
	}
}

// merge is the table after want was applied to have.
func merge(have, want ipvs.Table, mine func(ipvs.ServiceKey) bool) ipvs.Table {
	now := append(make(ipvs.Table, 0, len(have)+len(want)), want...)
	named := keySet(want)
	for _, e := range have {
		if !named[e.Service.Key] && !mine(e.Service.Key) {
			now = append(now, e)
		}
	}
	return now
}

func keysOf(t ipvs.Table) []ipvs.ServiceKey {
	ks := make([]ipvs.ServiceKey, len(t))
	for i, e := range t {
		ks[i] = e.Service.Key
	}
	return ks
}

func keySet(t ipvs.Table) map[ipvs.ServiceKey]bool {
	m := make(map[ipvs.ServiceKey]bool, len(t))
	for _, e := range t {
		m[e.Service.Key] = true
	}
	return m
}
