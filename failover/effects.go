package failover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// Failed effects are repeated after firstRetry, then twice that, and so on.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
	// releaseLimit bounds one try to release and run the hook, and all tries
	// of a node that stops.
	releaseLimit = 10 * time.Second
	// tardyAfter is when a call that has not returned is told: nothing else is
	// done before it does, and nobody would know why nothing is served.
	tardyAfter = 10 * time.Second
)

// effects carries out what a role means outside: hook, addresses and
// announcements, one after another in one goroutine. Whoever decides the role
// only leaves the latest one here and never waits.
type effects struct {
	owner AddressOwner
	hook  func(context.Context, Role) error
	emit  func(Event)
	// settled, if set, is told when all that serving takes is done, the first
	// announcement included, and when it is undone. No lock is held then.
	settled func(bool)

	wake chan struct{}
	done chan struct{} // closed when run has ended

	mu      sync.Mutex
	want    Role
	hold    time.Time          // what is held is not released before
	most    time.Duration      // of a hold, from hurry; 0 is no bound
	again   bool               // announce anew
	aside   bool               // see stepAside
	near    bool               // a take-over may be near
	abandon context.CancelFunc // ends the acquisition in progress
	serving bool
	err     error
	sights  sights

	lacking error // of the last acquisition; it belongs to run
}

func newEffects(owner AddressOwner, hook func(context.Context, Role) error, emit func(Event)) *effects {
	if hook == nil {
		hook = func(context.Context, Role) error { return nil }
	}
	if a, ok := owner.(*Addresses); ok {
		a.live(nil) // an earlier one may have been in a beat process
	}
	return &effects{owner: owner, hook: hook, emit: emit, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// request leaves the wanted role. RoleLeaving is the last one. What is held is
// kept for hold at most, or until letGo: who hands over goes on serving until
// the other one does, so that no packet finds nobody.
func (e *effects) request(r Role, hold time.Duration) {
	e.mu.Lock()
	if r == RoleActive && e.want != r {
		// Also while the addresses are held yet: another one may have served
		// meanwhile, and taught the neighbours.
		e.again = true
	}
	if e.most > 0 {
		hold = min(hold, e.most)
	}
	until := time.Time{}
	if hold > 0 {
		until = time.Now().Add(hold)
	}
	if e.want != RoleActive && until.After(e.hold) {
		until = e.hold // another one may serve by now
	}
	e.want, e.hold = r, until
	if r != RoleActive {
		if e.abandon != nil {
			e.abandon()
		}
		e.sights.repairAt, e.sights.defendAt = time.Time{}, time.Time{}
	}
	e.mu.Unlock()
	e.poke()
}

// letGo ends the hold of the last request: another one serves. Some more time
// may be left to it.
func (e *effects) letGo(after time.Duration) {
	e.mu.Lock()
	if at := time.Now().Add(after); at.Before(e.hold) {
		e.hold = at
	}
	e.mu.Unlock()
	e.poke()
}

// hurry bounds every hold from now on.
func (e *effects) hurry(most time.Duration) {
	e.mu.Lock()
	e.most = most
	e.mu.Unlock()
	e.letGo(most)
}

// stepAside stops the announcements while another one takes over at our wish,
// and leaves its own unanswered: what is here is served all the same. If it
// comes to nothing, the neighbours are told anew.
func (e *effects) stepAside(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.aside == on {
		return
	}
	e.aside = on
	if !on && e.want == RoleActive {
		e.again = true
	}
	e.sights.defendAt = time.Time{}
	e.poke()
}

// announce begins the schedule of announcements anew, if active.
func (e *effects) announce() {
	e.mu.Lock()
	e.again = true
	e.mu.Unlock()
	e.poke()
}

// prepare says that a take-over may be near: what can be done before it is.
func (e *effects) prepare() {
	if _, ok := e.owner.(standby); !ok {
		return
	}
	e.mu.Lock()
	e.near = true
	e.mu.Unlock()
	e.poke()
}

func (e *effects) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *effects) status() (serving bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if at := e.sights.repairAt; e.serving && e.err == nil && at.After(time.Now()) {
		return true, fmt.Errorf("what someone else removed is missing here until it is put back at %s", at.Format(time.TimeOnly))
	}
	return e.serving, e.err
}

// addresses is what the owner knows of them, nil if it says nothing.
func (e *effects) addresses() []AddressStatus {
	if o, ok := e.owner.(interface{ Status() []AddressStatus }); ok {
		return o.Status()
	}
	return nil
}

// run works until RoleLeaving is done or given up.
func (e *effects) run() {
	defer close(e.done)
	if s, ok := e.owner.(standby); ok {
		defer s.rest()
	}
	if w, ok := e.owner.(AddressWatcher); ok {
		ctx, stop := context.WithCancel(context.Background())
		var watching sync.WaitGroup
		watching.Go(func() { e.watch(ctx, w) })
		defer watching.Wait()
		defer stop()
	}
	var (
		told   Role // what the outside was brought to; RoleInit: unknown
		taken  bool // hook or addresses may be those of the active role
		last   Role // wanted before
		retry  time.Duration
		round  int       // of the plan, or beyond it: refresh
		base   time.Time // of the schedule
		timer  = time.NewTimer(0)
		giveUp time.Time // when leaving
	)
	timer.Stop()
	defer timer.Stop()
	for {
		e.mu.Lock()
		want, hold, aside := e.want, e.hold, e.aside
		again := e.again && !aside
		e.again = e.again && aside
		near := e.near
		e.near = false
		e.mu.Unlock()

		if want != last {
			last, retry = want, 0
		}
		var wait time.Duration
		switch {
		case want == RoleActive && told != RoleActive:
			told, taken = RoleInit, true // half done until it is done
			if err := e.become(); err != nil {
				retry = min(max(2*retry, firstRetry), lastRetry)
				wait = retry
				break
			}
			told, retry, round, base = RoleActive, 0, 0, time.Now()
			continue
		case want == RoleActive && aside:
		case want == RoleActive:
			now := time.Now()
			repair, defend, next := e.due(now)
			if again || repair || defend {
				round, base = 0, now
			}
			plan := e.plan()
			at := plan.next(base, round)
			if now.Before(at) {
				if !next.IsZero() && next.Before(at) {
					at = next
				}
				wait = at.Sub(now)
				break
			}
			e.report(e.teach(repair || round >= plan.rounds()), "")
			if round == 0 {
				e.settle(true)
			}
			if round++; round >= plan.rounds() {
				base = time.Now() // refresh from here on
			}
			continue
		case told == RoleActive && time.Now().Before(hold):
			wait = time.Until(hold)
		case taken || want != RoleInit && told == RoleInit:
			// Before the first decision nothing is touched, so RoleInit
			// releases only what this run took.
			told = RoleInit
			e.settle(false)
			if want == RoleLeaving && giveUp.IsZero() {
				giveUp = time.Now().Add(releaseLimit)
			}
			if err := e.cease(giveUp, want); err != nil {
				retry = min(max(2*retry, firstRetry), lastRetry)
				wait = retry
				if !giveUp.IsZero() && !time.Now().Before(giveUp) {
					return
				}
				break
			}
			told, taken, retry = want, false, 0
			continue
		case want == RoleLeaving:
			return
		case near && want == RoleBackup:
			if s, ok := e.owner.(standby); ok {
				s.prepare()
			}
			continue
		}
		var expired <-chan time.Time
		if wait > 0 {
			timer.Reset(wait)
			expired = timer.C
		}
		select {
		case <-e.wake:
		case <-expired:
		}
		timer.Stop()
	}
}

// plan is that of the owner if it has one.
func (e *effects) plan() Announcing {
	if p, ok := e.owner.(interface{ Announcing() Announcing }); ok {
		return p.Announcing()
	}
	return Announcing{}
}

// become runs the hook and acquires, unless the role is lost meanwhile.
func (e *effects) become() error {
	ctx, done := e.abandonable()
	defer done()
	err := e.call("role hook before serving", func() error { return e.hook(ctx, RoleActive) })
	if err == nil && ctx.Err() == nil {
		if err = e.call("acquire addresses", func() error { return e.owner.Acquire(ctx) }); err != nil && ctx.Err() == nil {
			// One address that fails takes none of the others along.
			err = errors.Join(err, e.call("announce addresses", func() error { return e.owner.Announce(ctx) }))
		}
		e.lacking = nil
	}
	if ctx.Err() != nil {
		return ctx.Err() // not a failure: someone changed his mind
	}
	e.setServing(err == nil)
	e.report(err, "serving")
	return err
}

// cease releases and runs the hook, within releaseLimit or until giveUp.
func (e *effects) cease(giveUp time.Time, r Role) error {
	if giveUp.IsZero() {
		giveUp = time.Now().Add(releaseLimit)
	}
	ctx, cancel := context.WithDeadline(context.Background(), giveUp)
	defer cancel()
	err := e.call("release addresses", func() error { return e.owner.Release(ctx) })
	if err == nil {
		e.setServing(false)
		err = e.call("role hook after serving", func() error { return e.hook(ctx, r) })
	}
	e.report(err, "released")
	return err
}

// teach announces; the slow refresh also puts back what others removed. What
// could not be put back stays a trouble until it is.
func (e *effects) teach(refresh bool) error {
	ctx, done := e.abandonable()
	defer done()
	if refresh {
		err := e.call("keep addresses", func() error { return e.owner.Acquire(ctx) })
		if ctx.Err() != nil {
			return nil
		}
		if e.lacking = err; err != nil {
			e.mu.Lock()
			if e.sights.repairAt.IsZero() {
				e.sights.repairAt = time.Now().Add(lastRetry)
			}
			e.mu.Unlock()
		}
	}
	if err := e.call("announce addresses", func() error { return e.owner.Announce(ctx) }); err != nil && ctx.Err() == nil {
		return errors.Join(e.lacking, err)
	}
	return e.lacking
}

// call calls the hook or the owner, and tells if that does not return.
func (e *effects) call(what string, f func() error) error {
	over := false
	timer := time.AfterFunc(tardyAfter, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if !over {
			e.judge(fmt.Errorf("%s: it has not returned for %v, and nothing else is done before it does: it has to return soon, at the latest when its context ends",
				what, tardyAfter), "")
		}
	})
	err := f()
	timer.Stop()
	e.mu.Lock()
	over = true
	e.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// abandonable returns a context that ends when the active role is lost.
func (e *effects) abandonable() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	e.mu.Lock()
	defer e.mu.Unlock()
	e.abandon = cancel
	if e.want != RoleActive {
		cancel()
	}
	return ctx, func() {
		e.mu.Lock()
		e.abandon = nil
		e.mu.Unlock()
		cancel()
	}
}

func (e *effects) settle(v bool) {
	if e.settled != nil {
		e.settled(v)
	}
}

func (e *effects) setServing(v bool) {
	e.mu.Lock()
	e.serving = v
	e.mu.Unlock()
}

// report tells a trouble once, and its end.
func (e *effects) report(err error, reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.judge(err, reason)
}

// judge is report for who holds mu.
func (e *effects) judge(err error, reason string) {
	was := e.err
	e.err = err
	switch {
	case err != nil && (was == nil || was.Error() != err.Error()):
		e.emit(Event{Kind: EventAddressTrouble, Err: err})
	case err == nil && was != nil:
		e.emit(Event{Kind: EventAddressMended, Reason: reason})
	}
}
