package director

import (
	"context"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/pool"
)

const (
	// controlWithin limits one question to the control target, and
	// controlEvery is the time between two while states are held.
	controlWithin = 3 * time.Second
	controlEvery  = 2 * time.Second
	// stepEvery is the least time between two looks through the weights that
	// move: so their number does not multiply with itself. No law takes
	// shorter steps.
	stepEvery = 50 * time.Millisecond
)

// schedule sets the timer to what is due first; while nothing moves by itself
// there is no tick.
func (l *loop) schedule(timer *time.Timer) {
	var next time.Time
	first := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if next := l.ticked.Add(stepEvery); l.due.IsZero() || l.due.After(next) {
		first(l.due)
	} else {
		first(next)
	}
	first(l.wave.Until())
	if l.wave.Asks() && !l.asked {
		if l.askAt.IsZero() {
			l.askAt = time.Now()
		}
		first(l.askAt)
	}
	if next.IsZero() {
		timer.Stop()
		return
	}
	timer.Reset(max(time.Until(next), 0))
}

// tick does what is due.
func (l *loop) tick(ctx context.Context, now time.Time) {
	if l.wave.Tick(l.setup.Alarm, now) {
		l.afterWave(ctx, now)
	}
	if l.wave.Asks() && !l.asked && !now.Before(l.askAt) {
		l.asked = true
		if phase, _ := l.wave.Phase(); phase == pool.Asking {
			l.log.Warn("many targets failed at once", "phase", phase, "why", l.wave.Why())
		}
		target := l.setup.Control
		l.work.Go(func() {
			ok, why := l.control(ctx, target)
			l.inbox.order(func(ctx context.Context) { l.answered(ctx, ok, why, time.Now()) })
		})
	}
	l.settleServices(ctx, l.step(now), now)
}

// step moves the weights that are due and returns the services of those that
// changed.
func (l *loop) step(now time.Time) (touched map[int]bool) {
	if l.due.IsZero() || l.due.After(now) || now.Sub(l.ticked) < stepEvery {
		return nil
	}
	touched = make(map[int]bool)
	l.due, l.ticked = time.Time{}, now
	for id, k := range l.moving {
		if !k.gear.due.After(now) && k.gear.step(now) {
			touched[k.service] = true
		}
		l.watch(id, k)
	}
	return touched
}

// answered takes what the control target said.
func (l *loop) answered(ctx context.Context, ok bool, why string, now time.Time) {
	l.asked, l.askAt = false, now.Add(controlEvery)
	was, _ := l.wave.Phase()
	changed := l.wave.Answer(l.setup.Alarm, ok, why, now)
	if is, _ := l.wave.Phase(); is != was {
		l.log.Warn("many targets failed at once", "phase", is, "why", l.wave.Why())
	}
	if changed {
		l.afterWave(ctx, now)
	}
}

func (l *loop) afterWave(ctx context.Context, now time.Time) {
	l.recount(now)
	l.settle(ctx)
}

// askControl asks a control target once.
func askControl(ctx context.Context, c ControlTarget) (ok bool, reason string) {
	if c.Checker == nil {
		return false, "there is no control target"
	}
	ctx, cancel := context.WithTimeout(ctx, controlWithin)
	defer cancel()
	r := c.Checker.Check(ctx, c.Target)
	return r.Verdict == health.OK, c.Target.String() + ": " + r.Reason
}

// setLoad takes the load of a server, by its watch: [WatchID]. Its weight
// follows if the configuration says so. It never blocks.
func (d *Director) setLoad(id string, l health.Load) { d.loop.inbox.load(id, &l) }

// dropLoad takes that the load of a server is not known any more.
func (d *Director) dropLoad(id string) { d.loop.inbox.load(id, nil) }

// watches are those of a setup; checks that tell weights tell them the loop.
func (d *Director) watches(s *Setup) []health.Watch {
	ws := s.Watches()
	i := 0
	for n := range s.Services {
		for r := range s.Services[n].each() {
			if r.Checker == nil {
				continue
			}
			if r.TellsWeight {
				ws[i].Checker = listen(r.Checker, d.loop.inbox)
			}
			i++
		}
	}
	return ws
}

// listening passes the weight of each answer on. A monitor asks equal
// questions once, whoever's checker it takes: so it is passed on by the
// question and not by the watch.
type listening struct {
	health.Checker
	inbox *inbox
}

func listen(c health.Checker, in *inbox) health.Checker {
	l := listening{c, in}
	if open, ok := c.(health.Standing); ok {
		return standingListening{l, open}
	}
	return l
}

func (l listening) Check(ctx context.Context, t health.Target) health.Result {
	r := l.Checker.Check(ctx, t)
	l.pass(t, r)
	return r
}

// pass takes only good answers: one that fails says nothing of weights.
func (l listening) pass(t health.Target, r health.Result) {
	if r.Verdict == health.OK {
		l.inbox.weight(inquiryOf(t, l.Identity()), r.Weight)
	}
}

// standingListening is that of a question left open.
type standingListening struct {
	listening
	open health.Standing
}

func (l standingListening) Stand(ctx context.Context, t health.Target, report func(health.Result)) error {
	return l.open.Stand(ctx, t, func(r health.Result) {
		l.pass(t, r)
		report(r)
	})
}

// tell logs and announces what became of a service.
func (l *loop) tell(v *VirtualService, before map[string]pool.Group) {
	g, was := l.groups[v.Name], before[v.Name]
	if g.Quorum != was.Quorum && g.Quorum != pool.Undecided {
		l.log.Info("the quorum of a service changed", "service", v.Name, "quorum", g.Quorum, "why", g.Why())
	}
	if g.Sorry != was.Sorry {
		l.log.Info("the sorry servers of a service changed", "service", v.Name, "serving", g.Sorry)
	}
	l.commands.tell(v, &g, l.facts)
}
