package simulate

import "time"

// addresses are those of one router or node. They follow its role as the effects
// of package failover do it: one thing after another, each of which takes a
// while, and what is held stays for a time after the role is over, so that no
// packet finds nobody.
type addresses struct {
	wants, holds bool
	doing        doing
	order        int32         // the number of what is under way
	row          int32         // the number of the latest row of announcements
	until        time.Duration // what is held is not released before
	waiting      bool          // what was under way ended, had the machine not stood still
	since        time.Duration // it holds them, or not
}

type doing uint8

const (
	doingNothing doing = iota
	taking
	releasing
)

// request is the role from now on, and how long what is held stays at most.
func (w *world) request(i, k int, wants bool, hold time.Duration) {
	a := &w.hosts[i].addrs[k]
	until := time.Duration(0)
	if hold = w.habits.hold(hold); hold > 0 {
		until = w.now + hold
	}
	if !a.wants {
		until = min(until, a.until) // another one may serve by now
	}
	a.until = until
	if a.wants = wants; !wants && a.doing == taking {
		w.begin(i, k, releasing) // what is half done is undone at once
		return
	}
	w.follow(i, k)
}

// letGo ends the hold of what is not wanted any more: another one serves.
func (w *world) letGo(i, k int, after time.Duration) {
	if w.habits.keeps {
		return
	}
	a := &w.hosts[i].addrs[k]
	a.until = min(a.until, w.now+after)
	w.follow(i, k)
}

// follow does what is to be done next.
func (w *world) follow(i, k int) {
	h := &w.hosts[i]
	a := &h.addrs[k]
	switch {
	case !h.running() || a.doing != doingNothing:
	case a.wants && !a.holds:
		w.begin(i, k, taking)
	case a.wants:
		// Another one may have served meanwhile, and taught the neighbours.
		w.announce(i, k)
		w.tell(i)
	case a.holds && w.now < a.until:
		w.push(happening{kind: holdEnds, at: a.until, to: uint8(i), line: uint8(k)})
	case a.holds:
		w.begin(i, k, releasing)
	default:
		w.ended(i)
	}
}

func (w *world) begin(i, k int, d doing) {
	a := &w.hosts[i].addrs[k]
	a.doing, a.waiting = d, false
	a.order++
	w.push(happening{kind: effectEnds, at: w.now + w.dice.upTo(w.plan.effect), to: uint8(i), line: uint8(k), what: a.order})
	if d == releasing {
		w.tell(i)
	}
}

// done ends what was under way.
func (w *world) done(i, k int) {
	a := &w.hosts[i].addrs[k]
	was := a.doing
	a.doing = doingNothing
	w.setHolds(i, k, was == taking)
	if was == releasing {
		w.checkGap(i, k)
	}
	w.follow(i, k)
}

// tell lets a node know whether it serves.
func (w *world) tell(i int) {
	if w.plan.protocol == Pulse {
		w.push(happening{kind: servesOrNot, at: w.now, to: uint8(i)})
	}
}

// ended lets a machine that leaves go when it has nothing more.
func (w *world) ended(i int) {
	h := &w.hosts[i]
	if !h.leaving || h.exiting {
		return
	}
	for k := range w.members() {
		if a := &h.addrs[k]; a.wants || a.holds || a.doing != doingNothing {
			return
		}
	}
	h.exiting = true
	w.push(happening{kind: machineStops, at: w.now + 1, to: uint8(i), what: h.life})
}

func (w *world) setHolds(i, k int, holds bool) {
	a := &w.hosts[i].addrs[k]
	if a.holds == holds {
		return
	}
	w.checkPairs(i)
	a.holds, a.since = holds, w.now
	w.rules.gapless[k] = w.rules.gapless[k] && !holds
	if w.tracing {
		w.note("machine %d has the addresses %d: %v", i, k, holds)
	}
}

// announceAt are the moments of announcements, as [failover.Router] and
// [failover.Node] make them.
var announceAt = [...]time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second}

// announce begins a row of announcements, if the machine has the addresses.
func (w *world) announce(i, k int) {
	if a := &w.hosts[i].addrs[k]; a.wants && a.holds {
		a.row++
		w.push(happening{kind: announces, at: w.now, to: uint8(i), line: uint8(k), what: a.row})
	}
}

func (w *world) teach(p *happening) {
	h := &w.hosts[p.to]
	a := &h.addrs[p.line]
	switch {
	case !h.up, !a.wants, !a.holds, p.what != a.row:
		return
	case h.stalledTo != 0:
		p.at = h.stalledTo + 1
		w.push(*p)
		return
	}
	// Who hands over leaves the word to its partner.
	if aside := w.plan.protocol == Pulse && w.pair[p.to].machine.Yielding(); !aside {
		w.push(happening{kind: othersLearn, at: w.now + 1 + w.dice.upTo(w.plan.jitter), to: p.to, line: p.line})
	}
	if round := int(p.priority); round+1 < len(announceAt) {
		p.at = w.now + announceAt[round+1] - announceAt[round]
		p.priority++
		w.push(*p)
	}
}

// learn brings an announcement to the neighbours, and to those who watch the
// network for somebody who claims what they hold.
func (w *world) learn(i, k int) {
	r := &w.rules
	r.believed[k] = int8(i)
	r.excused[k] = r.excused[k] && !w.hosts[i].active
	if w.tracing {
		w.note("the neighbours believe machine %d, addresses %d", i, k)
	}
	if !w.plan.watches {
		return
	}
	if !w.hosts[i].addrs[k].wants {
		w.rules.gapless[k] = false // nobody can see that this one gave way meanwhile
	}
	for j := range w.plan.nodes {
		a := &w.hosts[j].addrs[k]
		if j != i && w.hosts[j].running() && !a.wants && a.holds && !w.links[i][j][k].cut {
			w.letGo(j, k, 0)
		}
	}
}
