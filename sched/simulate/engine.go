package simulate

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/lvskit/lvskit/sched"
	"github.com/lvskit/lvskit/sched/feedback"
)

// engine is one run.
type engine struct {
	w         *world
	scheduler *sched.Scheduler
	law       law
	servers   []*server
	arrivals  *arrivals
	now       int64
	// begin is when what is shown begins, end when it ends.
	begin, end int64

	heap   events
	leaves ring[leaving]
	timers []timer
	order  int

	// mostOpen is MaxOpen but in tests.
	mostOpen int

	templates []template
	// last is the server of each client's last connection, from 1.
	last []uint16

	shown                                    bool
	conns                                    uint32
	arrived, refused, broken, moved, revisit int
	windowEnd                                int64
	series                                   *recorder
	times                                    histogram
}

// leaving is a closed connection that is still in the table.
type leaving struct {
	at     int64
	life   uint32
	client uint32
	server uint16
}

// template keeps a group of clients on a server.
type template struct {
	expires int64
	// conns are the connections in the table that hold it, as long as the
	// server has the life that they belong to.
	conns int32
	life  uint32
	// stay is the server's stay in the table: it does not outlive that.
	stay   uint32
	server uint16
	set    bool
}

// timer is something that happens to no connection.
type timer struct {
	at    int64
	order int
	do    func()
}

// every so many steps a run looks whether it should end.
const stepsBetweenLooks = 1 << 16

func newEngine(w *world, scheduler string, f Feedback, run uint64) (*engine, error) {
	s, err := sched.New(scheduler, w.options(run))
	if err != nil {
		return nil, err
	}
	e := &engine{
		w: w, scheduler: s, law: w.lawOf(scheduler, f), arrivals: newArrivals(w),
		begin: int64(w.Settle), end: int64(w.Settle + w.Duration),
		last: make([]uint16, len(w.clients)), templates: make([]template, w.groups),
		series: newRecorder(w), mostOpen: MaxOpen,
	}
	// The first end is the beginning of what is shown.
	e.windowEnd = e.begin
	for i := range w.Servers {
		r := &server{Server: w.Servers[i], index: i, alive: !w.Servers[i].Down, shownFrom: e.begin, since: -1, entered: math.MinInt64 / 2}
		e.servers = append(e.servers, r)
	}
	// The last one first, so that the first one is at the head of the list.
	for _, r := range slices.Backward(e.servers) {
		r.state = e.law.Steady(r.Weight)
		if r.alive {
			if err := e.enter(r); err != nil {
				return nil, err
			}
			// Its caches are warm: it did not come just now.
			r.entered = math.MinInt64 / 2
		}
	}
	for _, ev := range w.Events {
		e.after(int64(w.Settle+ev.At), func() { e.happen(ev) })
	}
	if f == PiranhaLoad || f == Gradual {
		e.every(5*time.Second, (*server).sample)
	}
	if every := e.law.Interval(); every > 0 {
		e.every(every, func(r *server) { e.adjust(r, every) })
	}
	if w.Arrivals.Process == Closed {
		for c := range w.clients {
			// As if they had been thinking for some time.
			think := w.think.draw(w.chance(streamClient, uint32(c)))
			e.heap.push(event{at: think, client: uint32(c), what: comes})
		}
	}
	return e, nil
}

// run goes from event to event. It allocates nothing for each.
func (e *engine) run(ctx context.Context) error {
	for step := 0; ; step++ {
		if step%stepsBetweenLooks == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if e.conns > MaxConnections {
				return fmt.Errorf("more than %d connections: simulate less time, or fewer clients that think longer", MaxConnections)
			}
			if len(e.heap)+e.leaves.held > e.mostOpen {
				return fmt.Errorf("after %v more than %d connections are open or closing at once: lower the rate, or the time that they are held or close", time.Duration(e.now-e.begin), e.mostOpen)
			}
		}
		at, from := e.arrivals.at, 0
		if len(e.heap) > 0 && e.heap[0].at < at {
			at, from = e.heap[0].at, 1
		}
		if e.leaves.held > 0 && e.leaves.head().at < at {
			at, from = e.leaves.head().at, 2
		}
		if len(e.timers) > 0 && e.timers[0].at <= at {
			at, from = e.timers[0].at, 3
		}
		for e.windowEnd <= min(at, e.end) {
			e.closeWindow()
		}
		if at >= e.end {
			e.finish()
			return nil
		}
		e.now = at
		switch from {
		case 0:
			e.arrive(e.arrivals.client(e.conns))
			e.arrivals.next()
		case 1:
			e.step(e.heap.pop())
		case 2:
			e.leave(e.leaves.pop())
		case 3:
			t := e.timers[0]
			e.timers = append(e.timers[:0], e.timers[1:]...)
			t.do()
		}
	}
}

// after puts a timer; those of one moment happen in the order in which they were put.
func (e *engine) after(at int64, do func()) {
	e.order++
	t := timer{at, e.order, do}
	i, _ := slices.BinarySearchFunc(e.timers, t, func(a, b timer) int {
		if a.at != b.at {
			return int(min(max(a.at-b.at, -1), 1))
		}
		return a.order - b.order
	})
	e.timers = slices.Insert(e.timers, i, t)
}

// every does something to all servers again and again.
func (e *engine) every(d time.Duration, do func(*server)) {
	var tick func()
	tick = func() {
		for _, r := range e.servers {
			do(r)
		}
		e.after(e.now+int64(d), tick)
	}
	e.after(int64(d), tick)
}

// arrive places a new connection.
func (e *engine) arrive(client uint32) {
	conn := e.conns
	e.conns++
	if !e.shown {
		e.shown = e.now >= e.begin
	}
	r, t := e.place(client, conn)
	if e.shown {
		e.arrived++
	}
	if r == nil {
		e.refuse(nil, client, conn)
		return
	}
	if last := e.last[client]; e.shown && last != 0 {
		e.revisit++
		if int(last) != r.index+1 {
			e.moved++
		}
	}
	e.last[client] = uint16(r.index + 1)
	r.fresh++
	if e.shown {
		r.tally.Connections++
	}
	switch {
	case !r.alive && r.hung:
		// In the table it stays, as a half-open one.
		e.opened(r)
		e.refuse(r, client, conn)
		return
	case !r.alive, r.Workers > 0 && r.busy == r.Workers && r.waiting.held >= r.Queue:
		// The refusal closes it at once.
		e.opened(r)
		r.entry.Closed(!e.w.UDP)
		e.refuse(r, client, conn)
		return
	}
	e.opened(r)
	r.open++
	if t != nil {
		t.conns++
	}
	if r.Workers > 0 && r.busy == r.Workers {
		r.waiting.push(waiting{e.now, conn, client})
		return
	}
	e.serve(r, waiting{e.now, conn, client})
}

// place finds the server of a new connection: by the template of its client,
// or by the scheduler.
func (e *engine) place(client, conn uint32) (*server, *template) {
	var t *template
	if e.w.group != nil {
		t = &e.templates[e.w.group[client]]
		if t.set {
			r := e.servers[t.server]
			if t.life != r.life {
				t.conns, t.life = 0, r.life
			}
			if (t.conns > 0 || t.expires > e.now) && r.entry != nil && r.stay == t.stay {
				t.expires = e.now + int64(e.w.Persistence)
				return r, t
			}
		}
	}
	picked := e.scheduler.Pick(sched.Flow{
		Client:  netip.AddrPortFrom(e.w.clients[client], e.w.port(conn)),
		Service: e.service(),
		Now:     time.Duration(e.now),
	})
	if picked == nil {
		return nil, nil
	}
	r := picked.Value().(*server)
	if t != nil {
		*t = template{expires: e.now + int64(e.w.Persistence), life: r.life, stay: r.stay, server: uint16(r.index), set: true}
	}
	return r, t
}

var (
	service4 = netip.MustParseAddrPort("192.0.2.1:80")
	service6 = netip.MustParseAddrPort("[2001:db8::1]:80")
)

// service is the virtual address, of the clients' family.
func (e *engine) service() netip.AddrPort {
	if e.w.Clients.Prefix.Addr().Is4() {
		return service4
	}
	return service6
}

// opened counts a connection in the table.
func (e *engine) opened(r *server) {
	r.entry.Opened()
	if !e.w.UDP {
		// TCP is active from the first answer to its SYN on.
		r.entry.Activated()
	}
}

// serve gives a connection to a free worker.
func (e *engine) serve(r *server, c waiting) {
	r.busy++
	e.heap.push(event{
		at: e.now + r.serviceTime(e.w, c.conn, e.now), arrived: c.arrived, conn: c.conn, client: c.client,
		life: r.life, server: uint16(r.index), what: answered,
	})
}

// step is what happens next to a connection.
func (e *engine) step(ev event) {
	if ev.what == comes {
		e.arrive(ev.client)
		return
	}
	r := e.servers[ev.server]
	if ev.life != r.life {
		return
	}
	if ev.what == answered {
		if took := e.now - ev.arrived; e.shown {
			e.times.add(took)
			r.times.add(took)
			e.series.times.add(took)
		}
		if r.busy--; r.waiting.held > 0 {
			e.serve(r, r.waiting.pop())
		}
		if hold := e.w.hold.draw(e.w.chance(streamHold, ev.conn)); hold > 0 {
			ev.at, ev.what = e.now+hold, closes
			e.heap.push(ev)
			return
		}
	}
	r.open--
	if e.w.Closing > 0 {
		if !e.w.UDP {
			r.entry.Deactivated()
		}
		r.closing++
		e.leaves.push(leaving{e.now + int64(e.w.Closing), r.life, ev.client, ev.server})
	} else {
		r.entry.Closed(!e.w.UDP)
		e.release(r, ev.client)
	}
	e.again(ev.client, ev.conn)
}

// leave takes a closed connection out of the table.
func (e *engine) leave(l leaving) {
	if r := e.servers[l.server]; l.life == r.life {
		r.entry.Closed(false)
		r.closing--
		e.release(r, l.client)
	}
}

// release lets go of the client's template.
func (e *engine) release(r *server, client uint32) {
	if e.w.group == nil {
		return
	}
	if t := &e.templates[e.w.group[client]]; t.set && int(t.server) == r.index && t.life == r.life {
		t.conns = max(t.conns-1, 0)
	}
}

// again has a client of a closed loop think and come back.
func (e *engine) again(client, conn uint32) {
	if e.w.Arrivals.Process == Closed {
		// Nobody is quicker than a microsecond, so that time goes on.
		think := max(e.w.think.draw(e.w.chance(streamThink, conn)), 1000)
		e.heap.push(event{at: e.now + think, client: client, what: comes})
	}
}

// refuse counts a connection that is not served.
func (e *engine) refuse(r *server, client, conn uint32) {
	e.series.lost++
	if e.shown {
		e.refused++
		if r != nil {
			r.tally.Refused++
		}
	}
	e.again(client, conn)
}

// adjust lets the law have a look at a server.
func (e *engine) adjust(r *server, elapsed time.Duration) {
	if r.entry == nil || r.state.Configured == 0 {
		return
	}
	before := r.state.Weight
	load := -1.0
	if r.alive {
		load = r.load
	}
	r.state = e.law.Next(r.state, feedback.Sample{Load: load, Cores: r.Cores, Elapsed: elapsed})
	if r.state.Weight != before {
		e.edit(r)
	}
}

// edit tells the table of a server's weight.
func (e *engine) edit(r *server) {
	// The configuration was validated and the server is in the table.
	if err := e.scheduler.Edit(r.entry, r.config()); err != nil {
		panic(err)
	}
	if e.shown {
		r.tally.Edits++
	}
}
