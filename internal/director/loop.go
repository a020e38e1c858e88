package director

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
)

// giveUpAfter is how long a table that takes none of our services is tried
// before the partner is asked to serve.
const giveUpAfter = 10 * time.Second

// loop is the state of the director and belongs to one goroutine: facts come
// in by the inbox, and each turn tells the reconciler what the table should
// be. That makes it so, tries again what failed, and puts right what others
// changed.
type loop struct {
	rec   *ipvs.Reconciler
	inbox *inbox

	setup *Setup
	// named are the services of the setup; the reconciler asks for them, too.
	named atomic.Pointer[map[ipvs.ServiceKey]bool]
	// watched finds the services of a watch in the setup.
	watched map[string][]int
	stance  stance
	health  map[string]health.State
	// read: the table was read, so what it holds can be planned with.
	read bool
	// giveUp asks the partner to serve in our place; once for each trouble.
	giveUp func()
	gaveUp bool
	over   chan struct{}
}

func newLoop(log *slog.Logger, plane Dataplane, owned *ipvs.Ownership, setup *Setup) *loop {
	l := &loop{inbox: newInbox(), giveUp: func() {}, over: make(chan struct{})}
	l.rec = ipvs.NewReconciler(plane, &ipvs.ReconcilerConfig{
		Drain:     setup.Drain,
		Ownership: owned,
		Owned:     func(k ipvs.ServiceKey) bool { return (*l.named.Load())[k] },
		OnEvent:   l.onEvent,
		Logger:    log,
	})
	l.adopt(setup, make(map[string]health.State))
	return l
}

// adopt takes a new configuration with the states of its servers.
func (l *loop) adopt(setup *Setup, states map[string]health.State) {
	l.setup, l.health = setup, states
	named := make(map[ipvs.ServiceKey]bool, len(setup.Services))
	l.watched = make(map[string][]int)
	for i, v := range setup.Services {
		named[v.Service.Key] = true
		for _, r := range v.Servers {
			id := WatchID(v.Name, r.Name)
			l.watched[id] = append(l.watched[id], i)
		}
	}
	l.named.Store(&named)
}

// withdraw takes our services out of the table at a clean end.
func (l *loop) withdraw(ctx context.Context) {
	l.stance = stanceWithdraw
	l.settle(ctx)
}

// run takes facts until ctx ends.
func (l *loop) run(ctx context.Context) error {
	defer close(l.over)
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { _ = l.rec.Run(ctx) }) // it ends with ctx alone
	l.settle(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.inbox.wake:
		}
		verdicts, orders := l.inbox.take()
		for id, v := range verdicts {
			l.health[id] = v
		}
		l.settleVerdicts(ctx, verdicts)
		// Orders settle what they change themselves; a question changes
		// nothing.
		for _, do := range orders {
			do(ctx)
		}
	}
}

// settle makes the table what it should be now. What fails the reconciler
// keeps, tells and tries again.
func (l *loop) settle(ctx context.Context) {
	if !l.read && l.rec.Resync(ctx) != nil {
		// To plan without knowing what is there would take out servers that
		// were not asked yet. onEvent comes back when it can be read.
		return
	}
	l.read = true
	switch l.stance {
	case stanceServe:
		_ = l.rec.Set(ctx, plan(l.setup, l.serverState, l.rec.Entry))
	case stanceWithdraw:
		_ = l.rec.Set(ctx, nil)
	}
}

// settleVerdicts makes the services of some watches what they should be now:
// one server's verdict does not cost a plan of the whole table.
func (l *loop) settleVerdicts(ctx context.Context, verdicts map[string]health.State) {
	if len(verdicts) == 0 || !l.read || l.stance != stanceServe {
		return
	}
	touched := make(map[int]bool)
	for id := range verdicts {
		for _, i := range l.watched[id] {
			touched[i] = true
		}
	}
	entries := make([]ipvs.Entry, 0, len(touched))
	for i := range touched {
		v := &l.setup.Services[i]
		entries = append(entries, planService(v, l.serverState, destinations(l.rec.Entry(v.Service.Key))))
	}
	_ = l.rec.Put(ctx, entries...)
}

// onEvent passes on from the reconciler what needs a decision.
func (l *loop) onEvent(e ipvs.Event) {
	switch e.Kind {
	case ipvs.EventFailed:
		l.inbox.order(func(context.Context) { l.considerGivingUp(e.Err) })
	case ipvs.EventRecovered:
		l.inbox.order(func(ctx context.Context) {
			l.gaveUp = false
			if !l.read {
				l.settle(ctx)
			}
		})
	}
}

// considerGivingUp asks the partner to serve when for a while none of our
// services could be put into the table: to be active and carry nothing helps
// nobody. It asks once, so that two nodes with the same trouble do not toss
// the service to and fro; and not at all when the table cannot even be read,
// as the kernel may carry everything then.
func (l *loop) considerGivingUp(err error) {
	st := l.rec.Status()
	if l.gaveUp || l.stance != stanceServe || st.Err == nil || time.Since(st.FailingSince) < giveUpAfter {
		return
	}
	if _, ok := errors.AsType[*ipvs.ApplyError](err); !ok {
		return
	}
	for k := range *l.named.Load() {
		if _, there := l.rec.Entry(k); there {
			return
		}
	}
	l.gaveUp = true
	l.giveUp()
}

// whyAbsent says why a service of the configuration is not in the table.
func (l *loop) whyAbsent(failed error) string {
	switch {
	case failed != nil:
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
