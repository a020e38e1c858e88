package director

import (
	"cmp"
	"maps"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/pool"
)

// known is what the loop knows of one server of the setup.
type known struct {
	service int
	server  *RealServer
	// says is the state by its checks; counts is the one that counts, which is
	// another one while a wave of failures is held back.
	says, counts health.State
	// lent is the partner's, which counts in place of ours while it is not
	// Unknown.
	lent health.State
	// told is the weight that its check tells.
	told *int
	gear *gear
}

// facts are those of the plan.
func (k *known) facts() facts {
	f := facts{state: k.counts, told: k.told}
	if k.lent != health.Unknown {
		f.state = k.lent
	}
	if k.server.TellsShare && k.told != nil && *k.told > 0 {
		f.told, f.share = nil, float64(*k.told)/100
	}
	if k.gear != nil {
		f.load, f.climb = k.gear.factors()
	}
	return f
}

// whole is the weight in the table before its gear moves it.
func (k *known) whole() float64 {
	f := k.facts()
	weight := k.server.Destination.Weight
	if f.told != nil {
		weight = *f.told
	}
	return float64(weight*k.gear.law.Unit) * cmp.Or(f.share, 1)
}

// inquiry is what makes two checks one; the answer to it is for all who ask.
type inquiry struct{ addr, check string }

func inquiryOf(t health.Target, identity string) inquiry {
	return inquiry{t.Addr.String(), identity}
}

// learn takes a new configuration with the states of its servers. What is
// known of a server that stays, stays.
func (l *loop) learn(setup *Setup, states map[string]health.State, now time.Time) {
	old := l.servers
	l.servers = make(map[string]*known)
	told := make(map[inquiry]*int, len(l.asking))
	for q, ids := range l.asking {
		told[q] = old[ids[0]].told
	}
	l.asking = make(map[inquiry][]string)
	l.moving, l.due = make(map[string]*known), time.Time{}
	names := make(map[string]bool, len(setup.Services))
	for i := range setup.Services {
		v := &setup.Services[i]
		names[v.Name] = true
		for r := range v.each() {
			id := WatchID(v.Name, r.Name)
			k := &known{service: i, server: r, gear: gearOf(v, r)}
			if was := old[id]; was != nil {
				k.says, k.counts, k.lent = was.says, was.counts, was.lent
				if r.TellsWeight {
					k.told = was.told
				}
				if k.gear != nil && was.gear != nil {
					k.gear.inherit(was.gear, now)
				} else if k.gear != nil && k.counts == health.Up {
					k.gear.on = true // it has long been there
				}
			}
			l.servers[id] = k
			if r.TellsWeight && r.Checker != nil {
				q := inquiryOf(r.Target, r.Checker.Identity())
				l.asking[q] = append(l.asking[q], id)
				if weight, known := told[q]; known {
					k.told = weight
				}
			}
			l.watch(id, k)
		}
	}
	for id := range old {
		if l.servers[id] == nil {
			l.wave.Rose(id)
		}
	}
	l.standing = 0
	for _, k := range l.servers {
		if k.counts != health.Down {
			l.standing++
		}
	}
	for id, s := range states {
		if old[id] == nil {
			l.begin(id, s, now)
		} else {
			l.hear(id, s, now)
		}
	}
	maps.DeleteFunc(l.groups, func(name string, _ pool.Group) bool { return !names[name] })
	l.commands.keep(func(s subject) bool {
		return names[s.service] && (s.server == "" || l.servers[WatchID(s.service, s.server)] != nil)
	})
}

// begin takes the state that a server starts with, which is no news: down is
// no failure.
func (l *loop) begin(id string, s health.State, now time.Time) {
	if k := l.servers[id]; k != nil {
		k.says = s
		l.count(id, k, s, now)
	}
}

// hear takes what a server's checks say.
func (l *loop) hear(id string, s health.State, now time.Time) {
	k := l.servers[id]
	if k == nil {
		return
	}
	k.says, k.lent = s, health.Unknown
	if s == health.Up {
		l.forgave(id)
	}
	if s != health.Down {
		l.wave.Rose(id)
	} else if k.counts != health.Down && !l.wave.Fell(l.setup.Alarm, id, k.counts, l.standing-1, now) {
		return
	}
	l.count(id, k, s, now)
}

// count has a server count as up, down or unknown.
func (l *loop) count(id string, k *known, s health.State, now time.Time) {
	was := k.counts
	if was == s {
		return
	}
	k.counts = s
	switch {
	case s == health.Down:
		l.standing--
	case was == health.Down:
		l.standing++
	}
	if k.gear == nil {
		return
	}
	switch part, there := l.found(k); {
	case s != health.Up:
		k.gear.leave()
	case was == health.Unknown && (there || !l.read):
		k.gear.resume(part, now)
	default:
		k.gear.enter(now)
	}
	l.watch(id, k)
}

// resume lets the weights go on as they were found, of the servers that came
// up before the table was read.
func (l *loop) resume(now time.Time) {
	for id, k := range l.servers {
		if k.gear == nil || k.counts != health.Up {
			continue
		}
		if part, there := l.found(k); there {
			k.gear.resume(part, now)
			l.watch(id, k)
		}
	}
}

// found is the part of its whole weight that a server has in the table, 0 if
// that is not known; it is not there if it has none.
func (l *loop) found(k *known) (part float64, there bool) {
	e, _ := l.rec.Entry(l.setup.Services[k.service].Service.Key)
	for _, d := range e.Destinations {
		if d.Key != k.server.Destination.Key || d.Weight == 0 {
			continue
		}
		if whole := k.whole(); whole > 0 {
			part = float64(d.Weight) / whole
		}
		return part, true
	}
	return 0, false
}

// watch remembers a server whose weight moves by itself.
func (l *loop) watch(id string, k *known) {
	if k.gear == nil || k.gear.due.IsZero() {
		delete(l.moving, id)
		return
	}
	l.moving[id] = k
	if l.due.IsZero() || k.gear.due.Before(l.due) {
		l.due = k.gear.due
	}
}

// recount has every server count anew, after a wave of failures.
func (l *loop) recount(now time.Time) {
	for id, k := range l.servers {
		s := k.says
		if held, ok := l.wave.Held(id); ok {
			s = held
		}
		l.count(id, k, s, now)
	}
}
