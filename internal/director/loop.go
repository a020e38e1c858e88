package director

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/pool"
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
	// servers are known by their watches; moving are those whose weights move
	// by themselves, and asking are the watches behind a question.
	servers map[string]*known
	moving  map[string]*known
	asking  map[inquiry][]string
	// due is when the first of moving is, or before it; ticked is when they
	// were last looked through.
	due, ticked time.Time
	// standing counts the servers that are not down, for the wave of failures
	// that may be our own fault. control asks the control target, asked is
	// set while it does, and askAt is when to ask again.
	standing int
	wave     pool.Wave
	control  func(context.Context, ControlTarget) (ok bool, reason string)
	asked    bool
	askAt    time.Time
	work     sync.WaitGroup
	// groups are the services' last decisions while this node serves.
	groups   map[string]pool.Group
	commands *commands
	syncing  *syncing
	// forgiven are servers that one good answer brings up, as they went down
	// during a fault of ours, with what ends that.
	forgiven map[string]func() error
	// sightings are what others did to the addresses.
	sightings sightings
	log       *slog.Logger
	stances   stances
	// lingering are services that are in the configuration no more, of an elector
	// that is leaving: as they were found they stay until its addresses have gone.
	lingering map[ipvs.ServiceKey]*member
	// read: the table was read, so what it holds can be planned with.
	read bool
	// giveUp asks the partner to serve in our place; once for each trouble.
	giveUp func()
	gaveUp bool
	over   chan struct{}
}

func newLoop(log *slog.Logger, plane Dataplane, owned *ipvs.Ownership, setup *Setup) *loop {
	l := &loop{
		inbox: newInbox(), giveUp: func() {}, over: make(chan struct{}), log: log,
		groups: make(map[string]pool.Group), commands: newCommands(log), stances: make(stances),
		syncing: newSyncing(log, plane), sightings: make(sightings), lingering: make(map[ipvs.ServiceKey]*member),
		forgiven: make(map[string]func() error),
	}
	l.control = askControl
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
	l.setup = setup
	l.commands.adopt(setup)
	l.syncing.adopt(setup.Sync)
	named := make(map[ipvs.ServiceKey]bool, len(setup.Services))
	for _, v := range setup.Services {
		named[v.Service.Key] = true
	}
	l.named.Store(&named)
	if setup.Alarm.Share <= 0 {
		// Nobody is asked any more, so nobody would end what is held.
		l.wave = pool.Wave{}
	}
	clear(l.forgiven) // their checks have the policies of the setup again
	l.learn(setup, states, time.Now())
}

// withdraw takes our services out of the table at a clean end.
func (l *loop) withdraw(ctx context.Context) {
	for name := range l.stances {
		l.stances[name] = stanceWithdraw
	}
	l.stances[""] = stanceWithdraw
	l.settle(ctx)
}

// run takes facts until ctx ends.
func (l *loop) run(ctx context.Context) error {
	defer close(l.over)
	defer l.work.Wait()
	// A panic must end the daemon, and not wait here for what goes on.
	ctx, end := context.WithCancel(ctx)
	defer end()
	l.work.Go(func() { _ = l.rec.Run(ctx) }) // it ends with ctx alone
	l.work.Go(func() { l.commands.run(ctx) })
	l.work.Go(func() { l.syncing.run(ctx) })
	l.settle(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		l.schedule(timer)
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			l.tick(ctx, time.Now())
			continue
		case <-l.inbox.wake:
		}
		news, orders := l.inbox.take()
		l.take(ctx, news, time.Now())
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
	if !l.read {
		if l.rec.Resync(ctx) != nil {
			// To plan without knowing what is there would take out servers that
			// were not asked yet. onEvent comes back when it can be read.
			return
		}
		l.read = true
		l.resume(time.Now())
	}
	if l.stances.holding() {
		return
	}
	before := l.groups
	var want ipvs.Table
	want, l.groups = plan(l.setup, l.stances, l.facts, before, l.rec.Entry, time.Now())
	_ = l.rec.Set(ctx, l.linger(want))
	for i := range l.setup.Services {
		switch v := &l.setup.Services[i]; l.stances.of(v) {
		case stanceServe:
			l.tell(v, before)
		case stanceWithdraw:
			l.commands.leave(v)
		}
	}
}

// linger adds to a table what lingers.
func (l *loop) linger(want ipvs.Table) ipvs.Table {
	if len(l.lingering) == 0 {
		return want
	}
	planned := make(map[ipvs.ServiceKey]bool, len(want))
	for i := range want {
		planned[want[i].Service.Key] = true
	}
	for k, m := range l.lingering {
		if e, there := l.rec.Entry(k); there && !planned[k] && m.stance == stanceServe {
			want = append(want, e)
		}
	}
	return want
}

// rename brings up to date what is remembered of electors by their names; one
// that is not in names is forgotten.
func (l *loop) rename(names map[string]string) {
	l.commands.roles = renamed(l.commands.roles, names)
	l.syncing.rename(names)
}

func renamed[V any](old map[string]V, names map[string]string) map[string]V {
	out := make(map[string]V, len(old))
	for was, v := range old {
		if now, ok := names[was]; ok {
			out[now] = v
		}
	}
	return out
}

// take takes news of servers and makes their services what they should be now:
// one server's verdict does not cost a plan of the whole table.
func (l *loop) take(ctx context.Context, news news, now time.Time) {
	touched := make(map[int]bool)
	touch := func(id string) *known {
		k := l.servers[id]
		if k != nil {
			touched[k.service] = true
		}
		return k
	}
	for q, weight := range news.weights {
		for _, id := range l.asking[q] {
			if k := touch(id); k != nil {
				k.told = weight
			}
		}
	}
	for id, load := range news.loads {
		if k := l.servers[id]; k != nil && k.gear != nil {
			touch(id)
			k.gear.feel(load, now)
			l.watch(id, k)
		}
	}
	for id, s := range news.verdicts {
		touch(id)
		l.hear(id, s, now)
	}
	l.settleServices(ctx, touched, now)
}

// settleServices makes some services of the setup what they should be now.
func (l *loop) settleServices(ctx context.Context, touched map[int]bool, now time.Time) {
	maps.DeleteFunc(touched, func(i int, _ bool) bool { return l.stances.of(&l.setup.Services[i]) != stanceServe })
	if len(touched) == 0 || !l.read {
		return
	}
	entries := make([]ipvs.Entry, 0, len(touched))
	before := make(map[string]pool.Group, len(touched))
	for i := range touched {
		v := &l.setup.Services[i]
		was := l.groups[v.Name]
		before[v.Name] = was
		g := v.group(l.facts, was, destinations(l.rec.Entry(v.Service.Key)), now)
		l.groups[v.Name] = g
		entries = append(entries, v.entry(&g))
	}
	_ = l.rec.Put(ctx, entries...)
	for i := range touched {
		l.tell(&l.setup.Services[i], before)
	}
}

// becomes takes the news of an elector's role, for all but the table.
func (l *loop) becomes(router string, r failover.Role, priority uint8) {
	l.commands.becomes(router, r, priority)
	l.syncing.becomes(router, r)
}

// facts are what the plan asks for.
func (l *loop) facts(v *VirtualService, r *RealServer) facts {
	if k := l.servers[WatchID(v.Name, r.Name)]; k != nil {
		return k.facts()
	}
	return facts{}
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
	if l.gaveUp || !l.serves() || st.Err == nil || time.Since(st.FailingSince) < giveUpAfter {
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
func (l *loop) whyAbsent(v *VirtualService, failed error) string {
	switch stance := l.stances.of(v); {
	case failed != nil:
		return "it cannot be changed (see the data plane)"
	case stance == stanceServe:
		return "it is being added"
	case stance == stanceHold:
		return "this router does not know its role yet"
	case v.Router != "":
		return "vrrp " + v.Router + " is not active here"
	}
	return "this router does not serve now"
}

// serves tells that some services are to be in the table.
func (l *loop) serves() bool {
	for _, s := range l.stances {
		if s == stanceServe {
			return true
		}
	}
	return false
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
