package director

import (
	"context"
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/pool"
)

const (
	// exchangeEvery is how often the nodes of a pair look at what they tell each
	// other of the servers.
	exchangeEvery = 2 * time.Second
	// onTheWay is how old a verdict may become before it is told again, and how
	// long that may take: a Node tells what has not changed every ten seconds.
	onTheWay = 15 * time.Second
)

// exchange tells the partner what is known of the servers, and takes what it
// tells for a start, by [pool.Trust]: where nothing is known here, or nothing
// recent. So a router that takes over as soon as it was started need not wait
// for its first answers.
func (d *Director) exchange(ctx context.Context, m *member) error {
	tick := time.NewTicker(exchangeEvery)
	defer tick.Stop()
	for {
		var setup *Setup
		if !d.loop.ask(ctx, func(context.Context) { setup = d.setup }) {
			return nil
		}
		own := ownVerdicts(d.monitor.States(), time.Now())
		if err := m.node.SetVerdicts(told(own)); err != nil {
			d.log.Debug("the partner is not told of the servers", "err", err)
		}
		lent := make(map[string]pool.Verdict)
		if list, _, ok := m.node.PartnerVerdicts(); ok {
			for _, v := range setup.trust().Merge(own, heard(list, own)) {
				lent[v.ID] = v
			}
		}
		d.loop.inbox.order(func(ctx context.Context) { d.loop.lend(ctx, lent) })
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-d.news:
		}
	}
}

// trust is how far the partner is believed: also when it was silent for so long
// that it counts as dead.
func (s *Setup) trust() pool.Trust {
	return pool.Trust{Fresh: s.window(), MaxAge: s.window() + s.Heartbeat.DeadAfter + onTheWay}
}

// ownVerdicts are those of the checks.
func ownVerdicts(states []health.WatchState, now time.Time) []pool.Verdict {
	own := make([]pool.Verdict, 0, len(states))
	for _, s := range states {
		v := pool.Verdict{ID: s.ID, Check: s.Check, State: s.State, Age: -1, Lasts: -1}
		if s.Last == nil {
			v.State = health.Unknown // what it counts as at the start is no answer
		} else {
			v.Reason, v.Age = s.Last.Reason, max(0, now.Sub(s.Last.Start.Add(s.Last.Duration)))
		}
		if !s.Since.IsZero() {
			v.Lasts = max(0, now.Sub(s.Since))
		}
		own = append(own, v)
	}
	return own
}

// told are verdicts as they go to the partner; as many as it can be told.
func told(own []pool.Verdict) []pulse.Verdict {
	out := make([]pulse.Verdict, 0, min(len(own), pulse.MaxVerdicts))
	for _, v := range own {
		if v.State == health.Unknown || len(out) == pulse.MaxVerdicts {
			continue
		}
		out = append(out, pulse.Verdict{ID: pulse.VerdictID(v.ID, v.Check), State: uint8(v.State), Age: v.Age, Lasts: v.Lasts})
	}
	return out
}

// heard are the partner's verdicts on what is checked here, too.
func heard(list []pulse.Verdict, own []pool.Verdict) []pool.Verdict {
	ours := make(map[uint64]pool.Verdict, len(own))
	for _, v := range own {
		ours[pulse.VerdictID(v.ID, v.Check)] = v
	}
	var out []pool.Verdict
	for _, v := range list {
		if o, ok := ours[v.ID]; ok {
			out = append(out, pool.Verdict{ID: o.ID, Check: o.Check, State: health.State(v.State), Age: v.Age, Lasts: v.Lasts})
		}
	}
	return out
}

// lend has servers count as the partner knows them, and no others.
func (l *loop) lend(ctx context.Context, lent map[string]pool.Verdict) {
	touched := make(map[int]bool)
	for id, k := range l.servers {
		v, ok := lent[id]
		if ok && k.counts != health.Unknown && v.State == k.counts {
			ok = false // nothing to lend
		}
		state := health.Unknown
		if ok {
			state = v.State
		}
		if k.lent != state {
			k.lent = state
			touched[k.service] = true
		}
	}
	l.settleServices(ctx, touched, time.Now())
}
