package simulate

// happen lets an event of the scenario happen.
func (e *engine) happen(ev Event) {
	r := e.servers[e.w.names[ev.Server]]
	switch ev.Kind {
	case Fail, Hang:
		if !r.alive {
			return
		}
		e.breakAll(r, ev.Kind == Hang)
		r.alive, r.hung = false, ev.Kind == Hang
		life := r.life
		e.after(e.now+int64(e.w.DownAfter), func() {
			// It may have come back before anybody noticed, or be out already.
			if r.life == life && !r.alive && r.entry != nil {
				e.exit(r)
			}
		})
	case Return:
		if r.alive && r.entry != nil {
			return
		}
		r.alive, r.hung = true, false
		life := r.life
		if r.entry != nil {
			// Nobody noticed; what hung in the table stays for its life.
			return
		}
		e.after(e.now+int64(e.w.UpAfter), func() {
			if r.life == life && r.alive && r.entry == nil {
				r.state = e.law.Start(r.state.Configured)
				if err := e.enter(r); err != nil {
					panic(err) // the scenario has each address once
				}
			}
		})
	case Remove:
		e.breakAll(r, true)
		// It stays healthy, but nobody asks it any more.
		if r.entry != nil {
			e.exit(r)
		}
	case Drain:
		e.configure(r, 0)
	case SetWeight:
		e.configure(r, ev.Weight)
	}
}

// configure gives a server another weight.
func (e *engine) configure(r *server, weight int) {
	next := e.law.Steady(weight)
	if r.state.Configured == 0 && weight > 0 {
		next = e.law.Start(weight) // it was drained: it has few connections
	} else if r.state.Climb < 1 && weight > 0 {
		next.Climb, next.Share = r.state.Climb, r.state.Share
		if r.state.Configured > 0 {
			// The rest of the climb is the law's business.
			next.Weight = max(1, int(float64(next.Weight)*r.state.Climb))
		}
	}
	r.state = next
	r.reweigh(e.now)
	if r.entry != nil {
		e.edit(r)
	}
}

// enter puts a server into the table.
func (e *engine) enter(r *server) error {
	entry, err := e.scheduler.Add(r.Addr, r.config(), r)
	if err != nil {
		return err
	}
	r.entry, r.entered = entry, e.now
	r.reweigh(e.now)
	return nil
}

// exit takes a server out of the table, and what is left of its connections.
func (e *engine) exit(r *server) {
	r.life++
	r.stay++
	// Its clients give up what they waited for. Otherwise it would come back
	// with these connections, as it does in the kernel before they time out.
	for range r.entry.Active() {
		r.entry.Closed(true)
	}
	for range r.entry.Inactive() {
		r.entry.Closed(false)
	}
	// It cannot fail: the entry is the scheduler's own.
	if err := e.scheduler.Remove(r.entry); err != nil {
		panic(err)
	}
	r.entry = nil
	r.reweigh(e.now)
	r.load = 0
}

// breakAll breaks the connections of a server. Silently, the table has them
// still; otherwise they leave it.
func (e *engine) breakAll(r *server, silent bool) {
	e.series.lost += r.open
	if e.now >= e.begin {
		e.broken += r.open
		r.tally.Broken += r.open
	}
	if e.w.Arrivals.Process == Closed {
		e.sendBack(r)
	}
	if !silent && r.entry != nil {
		for range r.open {
			r.entry.Closed(!e.w.UDP)
		}
		for range r.closing {
			r.entry.Closed(false)
		}
	}
	r.life++
	r.busy, r.open, r.closing = 0, 0, 0
	r.waiting = ring[waiting]{}
}

// sendBack has the clients of broken connections try again.
func (e *engine) sendBack(r *server) {
	var back []waiting
	for _, ev := range e.heap {
		if ev.what != comes && int(ev.server) == r.index && ev.life == r.life {
			back = append(back, waiting{conn: ev.conn, client: ev.client})
		}
	}
	for r.waiting.held > 0 {
		back = append(back, r.waiting.pop())
	}
	for _, c := range back {
		e.again(c.client, c.conn)
	}
}
