package simulate

// whom returns the machine that an act is about.
func (w *world) whom(a *act) int {
	if a.a != theActive {
		return int(a.a)
	}
	for i := range w.plan.nodes {
		if w.hosts[i].active {
			return i
		}
	}
	return int(a.b)
}

// act does one of the things that happen.
func (w *world) act(a *act) {
	i := w.whom(a)
	h := &w.hosts[i]
	if a.kind != actDie && a.kind != actRotate { // which know whether all was quiet
		w.disturb()
	}
	if w.tracing {
		w.note("%v", *a)
	}
	switch a.kind {
	case actCut:
		w.links[a.a][a.b][a.line].cut = true
	case actJoin:
		w.links[a.a][a.b][a.line].cut = false
	case actIsolate:
		if w.plan.clearance > 0 && w.dice.one(2) {
			w.setAlone(i, true)
		}
		for j := range w.plan.nodes {
			for l := range w.plan.lines {
				if a.count != 0 && l != int(a.line) {
					continue // one of its links alone
				}
				w.links[i][j][l].cut, w.links[j][i][l].cut = true, true
			}
		}
	case actConnect:
		for i := range w.plan.nodes {
			w.setAlone(i, false)
			for j := range w.plan.nodes {
				for l := range w.plan.lines {
					w.links[i][j][l].cut = false
				}
			}
		}
	case actLoss:
		w.loss = a.share
	case actDouble:
		w.double = a.share
	case actBurst:
		w.links[a.a][a.b][a.line].burst = a.count
	case actDelay:
		l := &w.links[a.a][a.b][a.line]
		w.soilLink(int(a.a), int(a.b), int(a.line), w.now)
		l.low, l.high = a.low, a.low+a.span
	case actFlap:
		l := &w.links[a.a][a.b][a.line]
		l.flapEvery, l.flapUntil = a.low, w.now+a.span
	case actStall, actStallDeaf, actStallLate:
		if h.running() {
			w.freeze(i, a.kind, a.span)
		}
	case actDie:
		if h.up {
			w.die(i)
		}
	case actBoot:
		for j := range w.plan.nodes {
			if !w.hosts[j].up {
				w.boot(j)
				return
			}
		}
	case actClock:
		if w.plan.signed && w.dice.one(2) {
			for j := range w.plan.nodes {
				w.setClock(j, a.span-a.low) // all that have one source of time
			}
		} else if h.up {
			w.setClock(i, a.span-a.low)
		}
	case actReplay:
		if w.plan.protocol == Pulse {
			w.replay(int(a.a), a.span, 1+w.dice.below(40))
		} else {
			w.replayAdverts(int(a.a), a.span, 1+w.dice.below(40))
		}
	case actRotate:
		w.rotate(i)
	case actRestart:
		if h.running() && !h.leaving {
			w.checkNone()
			h.leaving, h.starts = true, a.span/8
			w.speaker(i).order(w, i, a)
			w.ended(i)
		}
	case actBlind:
		if h.running() {
			w.checkNone()
			h.blind, h.ableSince = !h.blind, w.now
			w.soilHost(i)
			w.speaker(i).order(w, i, a)
		}
	case actFault, actMend:
		if h.running() && w.plan.protocol == Groups {
			w.groups[i].order(w, i, a) // it knows which of its members
		} else if h.running() && h.fault != (a.kind == actFault) {
			w.checkNone()
			h.fault = a.kind == actFault
			h.ableSince = w.now
			w.speaker(i).order(w, i, a)
		}
	default:
		if h.running() && !h.leaving {
			w.speaker(i).order(w, i, a)
		}
	}
}

// mend ends all troubles. A machine that is down or has a fault may stay so.
func (w *world) mend() {
	w.note("all is mended")
	w.loss, w.double = 0, 0
	w.disturb()
	for i := range w.plan.nodes {
		for j := range w.plan.nodes {
			for n := range w.plan.lines {
				l := &w.links[i][j][n]
				l.cut, l.burst, l.flapUntil = false, 0, 0
				if low := w.plan.calm[i][j]; l.low != low || l.high != low+w.plan.jitter {
					w.soilLink(i, j, n, w.now)
					l.low, l.high = low, low+w.plan.jitter
				}
			}
		}
	}
	for i := range w.plan.nodes {
		h := &w.hosts[i]
		w.setAlone(i, false)
		if w.plan.signed && h.day != 0 {
			w.setClock(i, -h.day)
			h.day = 0
		}
		switch {
		case w.broken != "":
			return
		case h.stalledTo != 0:
			h.stalledTo = w.now
			w.awake(i)
		case !h.up && !w.dice.one(4):
			w.boot(i)
		}
		if h.running() {
			if h.blind {
				w.act(&act{kind: actBlind, a: uint8(i)})
			}
			if h.fault && !w.dice.one(4) && w.broken == "" {
				w.checkNone()
				if w.plan.protocol == Groups {
					w.groups[i].mend()
				}
				h.fault, h.ableSince = false, w.now
				w.speaker(i).order(w, i, &act{kind: actMend})
			}
		}
	}
}
