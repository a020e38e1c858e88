package simulate

import "time"

// rules is what the world remembers for what it judges all the time.
type rules struct {
	none         bool             // nobody is active
	noneSince    time.Duration    // since then
	noneBefore   time.Duration    // nobody was active last
	planned      time.Duration    // someone has to be active by then; 0 is unset
	after        string           // what happened
	gapless      [maxMembers]bool // the addresses move by plan: somebody has them all the time
	quiet        bool             // nothing has happened since peace
	disturbed    time.Duration    // what was promised for a move by plan ended last
	doubled      time.Duration    // packets were doubled last
	several      time.Duration    // more than one was active last
	moved        time.Duration    // a role changed last
	believed     [maxMembers]int8 // whom the neighbours send to; -1: nobody
	contradicted bool             // the priorities of groups have contradicted each other once
	excused      [maxMembers]bool // nobody could know that the neighbours believe it
}

// disturb ends what was promised for a move by plan.
func (w *world) disturb() {
	r := &w.rules
	r.planned, r.gapless, r.quiet, r.disturbed = 0, [maxMembers]bool{}, false, w.now
}

// excuseAll: nobody can know what the neighbours believe of any addresses.
func (r *rules) excuseAll() {
	for k := range r.excused {
		r.excused[k] = true
	}
}

// checkPlanned: who hands over is relieved at once.
func (r *rules) checkPlanned(w *world) {
	if r.planned != 0 && w.now > r.planned {
		w.breach("nobody was active until %v, and should have been by %v, after the active one %s", w.now, r.planned, r.after)
	}
}

// soilLink notes that a line did until the time at what no rule relies on.
func (w *world) soilLink(from, to, line int, at time.Duration) {
	w.checkPair(from, to)
	l := &w.links[from][to][line]
	l.dirty = max(l.dirty, at)
	w.disturb()
}

// soilHost notes that a machine was disturbed.
func (w *world) soilHost(i int) {
	w.checkPairs(i)
	w.hosts[i].dirty = max(w.hosts[i].dirty, w.now)
	w.disturb()
}

// cleanOneWay is since when one line at least has carried all packets from one
// machine to another.
func (w *world) cleanOneWay(from, to int) time.Duration {
	since := never
	for n := range w.plan.lines {
		since = min(since, w.links[from][to][n].dirty)
	}
	return max(since, w.hosts[from].dirty, w.hosts[to].dirty)
}

// cleanBothWays is the same of both directions of one line.
func (w *world) cleanBothWays(i, j int) time.Duration {
	since := never
	for n := range w.plan.lines {
		since = min(since, max(w.links[i][j][n].dirty, w.links[j][i][n].dirty))
	}
	return max(since, w.hosts[i].dirty, w.hosts[j].dirty)
}

func (w *world) checkPairs(i int) {
	for j := range w.plan.nodes {
		if j != i {
			w.checkPair(i, j)
		}
	}
}

// checkPair: two that hear each other are not both active, nor both have the
// addresses, for longer than a bound.
func (w *world) checkPair(i, j int) {
	a, b := &w.hosts[i], &w.hosts[j]
	both := a.active && b.active
	for k := range w.members() {
		if x, y := &a.addrs[k], &b.addrs[k]; x.holds && y.holds {
			w.checkHolds(i, j, k)
		}
	}
	if !both {
		return
	}
	clean := w.cleanBothWays(i, j)
	bound := w.unityBound(i, j)
	roles := max(clean, a.activeSince, b.activeSince)
	if w.plan.protocol == Pulse {
		roles = max(roles, w.handingOver())
	}
	if both && w.now-roles > bound {
		w.breach("machines %d and %d were both active for %v although they hear each other, longer than %v", i, j, w.now-roles, bound)
	}
	if both && w.plan.protocol == Pulse {
		w.checkOneWay(i, j)
		w.checkOneWay(j, i)
	}
}

// checkHolds: of two that have the same addresses one lets go, as it has no role
// any more and hears of the one that has.
func (w *world) checkHolds(i, j, k int) {
	a, b := &w.hosts[i], &w.hosts[j]
	since := max(a.addrs[k].since, b.addrs[k].since, a.changedAt, b.changedAt)
	bound := w.plan.takeOver + w.plan.effect + w.plan.delay + 3*w.plan.late + 2
	if w.plan.protocol == Pulse {
		since = max(since, w.cleanBothWays(i, j), w.handingOver())
	} else {
		since = max(since, w.links[i][j][k].dirty, w.links[j][i][k].dirty, a.dirty, b.dirty)
		bound += w.interval() // the next advert of the one that is active
	}
	if a.active != b.active && w.now-since > bound {
		w.breach("machines %d and %d both had the addresses %d for %v although they hear each other, longer than %v", i, j, k, w.now-since, bound)
	}
}

// checkNone: while one is able, somebody is active within a bound, whatever the
// network does. What was signed within the window before a router started is
// believed once: it knows no better.
func (w *world) checkNone() {
	if !w.rules.none {
		return
	}
	for i := range w.plan.nodes {
		h := &w.hosts[i]
		if !h.able() || h.alone {
			continue
		}
		if since, bound := max(w.rules.noneSince, h.ableSince, h.fooled), w.serviceBound(i); w.now-since > bound && w.now > h.dirty+2*w.plan.late {
			w.breach("nobody was active for %v although machine %d could be, longer than %v", w.now-since, i, bound)
			return
		}
	}
}

func (w *world) checkAll() {
	for i := range w.plan.nodes {
		for j := range i {
			w.checkPair(i, j)
		}
	}
	w.checkNone()
	w.rules.checkPlanned(w)
}

// unityBound is for how long two machines that hear each other may both be
// active.
func (w *world) unityBound(i, j int) time.Duration {
	switch w.plan.protocol {
	case VRRP:
		return w.routerUnityBound(i, j)
	case Groups:
		return w.groupUnityBound(i, j)
	}
	return w.pairUnityBound()
}

// serviceBound is for how long nobody may be active while machine i could be.
func (w *world) serviceBound(i int) time.Duration {
	switch w.plan.protocol {
	case VRRP:
		return w.routerServiceBound(i)
	case Groups:
		return w.groupServiceBound(i)
	}
	return w.pairServiceBound()
}

// peace mends everything, and judges what has to come of that: after some time
// exactly one machine is active, the right one, and nothing moves any more.
func (w *world) peace(last bool) {
	w.mend()
	began := w.now
	for i := range w.plan.nodes {
		w.hosts[i].changes = 0
	}
	settle, quiet, most := w.settling()
	w.run(w.now + settle)
	w.checkAll()
	if w.broken != "" || settle == 0 {
		return
	}
	serving, able := -1, false
	for i := range w.plan.nodes {
		h := &w.hosts[i]
		able = able || h.able()
		if h.changes > most {
			w.breach("machine %d changed its role %d times until peace, more than %d times", i, h.changes, most)
		}
		if h.active && serving >= 0 {
			w.breach("machines %d and %d are active in peace", serving, i)
		}
		if h.active {
			serving = i
		}
		h.changes = 0
	}
	switch {
	case w.broken != "":
		return
	case serving < 0 && able:
		w.breach("nobody is active in peace")
	case serving < 0:
		return
	case w.plan.protocol == VRRP:
		w.checkPriority(serving)
	case w.plan.protocol == Groups:
		w.checkGroupPriority(serving)
	default:
		w.checkAcquaintance()
	}
	w.checkHolders(serving)
	w.run(w.now + quiet)
	for i := range w.plan.nodes {
		if w.hosts[i].changes != 0 {
			w.breach("machine %d changed its role %d times although nothing happened", i, w.hosts[i].changes)
		}
	}
	w.rules.quiet = w.broken == ""
	if learnt := w.learnt(); last && w.plan.long {
		w.run(began + settle + learnt)
		for k := range w.members() {
			if r := &w.rules; w.broken == "" && int(r.believed[k]) != serving && !r.excused[k] {
				w.breach("machine %d is active, and the neighbours send what is for its addresses %d to machine %d", serving, k, r.believed[k])
			}
		}
	}
}

// checkHolders: in peace those and none but those who serve have the addresses.
func (w *world) checkHolders(serving int) {
	for i := range w.plan.nodes {
		for k := range w.members() {
			if w.hosts[i].stalledTo == 0 && w.hosts[i].addrs[k].holds != (i == serving) {
				w.breach("machine %d is active in peace, and that machine %d has the addresses %d is %v", serving, i, k, w.hosts[i].addrs[k].holds)
			}
		}
	}
}

// moves notes that machine i gives its addresses away by plan, if it has all, lets
// none go at this moment, and nobody else has them. Groups with priorities that
// contradict each other move by trial, and where it has just gone on the others
// may have taken over meanwhile, and give way to what it said before.
func (w *world) moves(i int) {
	if w.rules.contradicted || w.now-w.hosts[i].ableSince < 2*(w.plan.delay+w.plan.late) {
		return
	}
	for k := range w.members() {
		if a := &w.hosts[i].addrs[k]; !a.holds || a.doing != doingNothing {
			return
		}
	}
	for k := range w.members() {
		w.rules.gapless[k] = w.holders(k) == 1
	}
}

func (w *world) holders(k int) (n int) {
	for i := range w.plan.nodes {
		if w.hosts[i].addrs[k].holds {
			n++
		}
	}
	return n
}

// checkGap: who moves the addresses by plan lets them go when another one has
// them, unless that one takes longer than it is given.
func (w *world) checkGap(i, k int) {
	if w.rules.gapless[k] && w.holders(k) == 0 && 2*w.plan.effect+w.plan.delay+3*w.plan.late < w.plan.takeOver {
		w.breach("machine %d let the addresses %d go, and nobody else has them yet", i, k)
	}
}
