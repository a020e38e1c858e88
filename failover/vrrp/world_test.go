package vrrp

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"
)

// world is some routers on one link in memory. Everything in it comes from one
// seed, so a schedule that breaks a rule can be played again.
type world struct {
	rng     *rand.Rand
	now     time.Duration
	routers []*router
	queue   deliveries
	seq     int
	cut     [][]bool // cut[i][j]: packets from i do not reach j
	loss    float64
	delay   time.Duration // at most
	several time.Duration // since when more than one is active; -1: they are not
	longest time.Duration // the longest such time that has ended or goes on
	log     []string
}

type router struct {
	Machine
	stalled time.Duration // stands still until then
	inbox   []Event       // packets that came meanwhile
	changes int
}

type delivery struct {
	at    time.Duration
	seq   int
	to    int
	event Event
}

type deliveries []delivery

func (q deliveries) Len() int { return len(q) }
func (q deliveries) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q deliveries) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *deliveries) Push(x any)   { *q = append(*q, x.(delivery)) }
func (q *deliveries) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%10v ", w.now)+fmt.Sprintf(format, args...))
}

func (w *world) step(i int, e Event) {
	r := w.routers[i]
	m, out := r.Machine.Step(e, w.now)
	if m.state != r.state {
		r.changes++
		w.note("router %d: %v, %v", i, m.state, m.reason)
	}
	r.Machine = m
	w.count()
	for _, a := range out {
		if a.Kind != ActionSend {
			continue
		}
		for j := range w.routers {
			if i == j || w.cut[i][j] || w.rng.Float64() < w.loss {
				continue
			}
			w.seq++
			at := w.now + 1 + time.Duration(w.rng.Int64N(int64(w.delay)+1))
			heap.Push(&w.queue, delivery{at, w.seq, j, Event{
				Kind: EventHeard, Priority: a.Priority, Interval: m.p.Interval, Source: m.p.Address, At: at,
			}})
		}
	}
}

// play lets time pass until then.
func (w *world) play(until time.Duration) {
	for {
		next, who := until, -1
		if len(w.queue) > 0 && w.queue[0].at < next {
			next = w.queue[0].at
		}
		for i, r := range w.routers {
			due := max(r.Next(), r.stalled, w.now)
			if r.stalled > w.now {
				due = r.stalled
			}
			if due < next {
				next, who = due, i
			}
		}
		w.now = next
		switch {
		case who >= 0:
			r := w.routers[who]
			if r.stalled == w.now && r.stalled != 0 {
				// It wakes, notices that it stood still, and reads what has come.
				r.stalled = 0
				w.step(who, Event{Kind: EventStall})
				for _, e := range r.inbox {
					w.step(who, e)
				}
				r.inbox = r.inbox[:0]
			}
			w.step(who, Event{Kind: EventTick})
		case next == until:
			return
		default:
			d := heap.Pop(&w.queue).(delivery)
			if r := w.routers[d.to]; r.stalled > w.now {
				if len(r.inbox) < 64 {
					r.inbox = append(r.inbox, d.event)
				}
			} else {
				w.step(d.to, d.event)
			}
		}
	}
}

// count keeps the time for which several are active.
func (w *world) count() {
	switch {
	case len(w.active()) < 2:
		w.several = -1
	case w.several < 0:
		w.several = w.now
	default:
		w.longest = max(w.longest, w.now-w.several)
	}
}

func (w *world) active() (list []int) {
	for i, r := range w.routers {
		if r.state == StateActive {
			list = append(list, i)
		}
	}
	return list
}

// disturb does one of the things that happen.
func (w *world) disturb() {
	i := w.rng.IntN(len(w.routers))
	r := w.routers[i]
	switch w.rng.IntN(11) {
	case 0, 1:
		j := w.rng.IntN(len(w.routers))
		w.cut[i][j] = !w.cut[i][j]
		w.note("from %d to %d: cut %v", i, j, w.cut[i][j])
	case 2:
		for j := range w.routers {
			w.cut[i][j], w.cut[j][i] = true, true
		}
		w.note("router %d is cut off", i)
	case 3:
		for j := range w.cut {
			clear(w.cut[j])
		}
		w.note("all is connected")
	case 4:
		if r.stalled == 0 {
			r.stalled = w.now + 1 + time.Duration(w.rng.Int64N(int64(8*r.p.Interval)))
			w.note("router %d stands still until %v", i, r.stalled)
		}
	case 5:
		w.note("router %d restarts", i)
		w.step(i, Event{Kind: EventStop})
		w.step(i, Event{Kind: EventStart})
	case 6:
		w.note("router %d dies and starts again", i)
		r.Machine = NewMachine(r.p, w.now)
		w.step(i, Event{Kind: EventStart})
	case 7:
		on := !r.fault
		w.note("router %d: fault %v", i, on)
		w.step(i, Event{Kind: EventFault, On: on})
	case 8:
		w.note("router %d yields", i)
		w.step(i, Event{Kind: EventYield})
	case 9:
		w.loss = []float64{0, 0.05, 0.3}[w.rng.IntN(3)]
		w.note("loss %v", w.loss)
	case 10:
		p := uint8(1 + w.rng.IntN(254))
		w.note("router %d: priority %d", i, p)
		w.step(i, Event{Kind: EventPriority, Priority: p})
	}
}

func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 112)), several: -1}
	interval := []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second}[w.rng.IntN(3)]
	w.delay = interval / time.Duration(4+w.rng.IntN(100))
	n := 2 + w.rng.IntN(3)
	noPreempt, version := w.rng.IntN(3) == 0, uint8(3)
	if interval == time.Second && w.rng.IntN(2) == 0 {
		version = 2
	}
	for i := range n {
		p := Params{
			Version: version, Priority: uint8(1 + w.rng.IntN(254)), Interval: interval, NoPreempt: noPreempt,
			Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}),
		}
		if i == 0 && w.rng.IntN(5) == 0 {
			p.Priority = PriorityOwner
		}
		if w.rng.IntN(3) == 0 {
			p.PreemptDelay = time.Duration(w.rng.Int64N(int64(5 * interval)))
		}
		w.routers = append(w.routers, &router{Machine: NewMachine(p, 0)})
		w.cut = append(w.cut, make([]bool, n))
	}
	for i := range n {
		w.step(i, Event{Kind: EventStart})
	}
	return w
}

// settled is a bound for how long routers that hear each other need to agree:
// the slowest down interval, twice where one waits to preempt, and what is on
// the way.
func (w *world) settled() time.Duration {
	var longest, wait time.Duration
	for _, r := range w.routers {
		longest = max(longest, 3*r.p.Interval+max(r.p.Interval, time.Second))
		wait = max(wait, r.p.PreemptDelay)
	}
	return 3*longest + wait
}

// try plays one schedule and tells which rule it broke.
func try(seed uint64) (w *world, broken string) {
	w = newWorld(seed)
	interval := w.routers[0].p.Interval
	for range 5 + w.rng.IntN(30) {
		w.play(w.now + time.Duration(w.rng.Int64N(int64(6*interval))))
		w.disturb()
	}
	// Then everything is well, and must come to rest.
	w.loss = 0
	for j := range w.cut {
		clear(w.cut[j])
	}
	w.note("all is well")
	for i, r := range w.routers {
		r.stalled = min(r.stalled, w.now)
		if r.fault {
			w.step(i, Event{Kind: EventFault})
		}
	}
	// Two that hear each other are one again within an interval and the way.
	w.several, w.longest = -1, 0
	w.count()
	w.play(w.now + w.settled())
	w.count()
	if bound := interval + 4*w.delay; w.longest > bound {
		return w, fmt.Sprintf("several were active for %v, more than %v, although they hear each other", w.longest, bound)
	}
	if a := w.active(); len(a) != 1 {
		return w, fmt.Sprintf("routers %v are active in the end", a)
	}
	serving := w.active()[0]
	for i, r := range w.routers {
		preempts := (!r.p.NoPreempt || r.p.Priority == PriorityOwner) && !r.waived
		if i != serving && preempts && r.priority > w.routers[serving].priority {
			return w, fmt.Sprintf("router %d serves with priority %d, and router %d has %d", serving, w.routers[serving].priority, i, r.priority)
		}
		r.changes = 0
	}
	w.play(w.now + 20*interval)
	for i, r := range w.routers {
		if r.changes > 0 {
			return w, fmt.Sprintf("router %d changed %d times although nothing happened", i, r.changes)
		}
	}
	// The active one dies: another one serves within the down interval.
	if len(w.routers) > 1 {
		w.note("router %d dies", serving)
		w.routers[serving].Machine = NewMachine(w.routers[serving].p, w.now)
		var bound time.Duration
		for i, r := range w.routers {
			if i != serving {
				bound = max(bound, r.DownInterval())
			}
		}
		w.play(w.now + bound + w.delay)
		if len(w.active()) == 0 {
			return w, "nobody serves a down interval after the active router died"
		}
		w.play(w.now + w.settled())
		if a := w.active(); len(a) != 1 {
			return w, fmt.Sprintf("routers %v are active after one has died", a)
		}
	}
	return w, ""
}

// TestRandomSchedules plays schedules of losses, cuts, stalls, restarts,
// faults and orders. LVSKIT_VRRP_SCHEDULES says how many, LVSKIT_VRRP_SEED
// with which the first begins.
func TestRandomSchedules(t *testing.T) {
	number := func(name string, otherwise uint64) uint64 {
		if v, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return v
		}
		return otherwise
	}
	first, count := number("LVSKIT_VRRP_SEED", rand.Uint64()), number("LVSKIT_VRRP_SCHEDULES", 2_000)
	for i := range count {
		w, broken := try(first + i)
		if broken != "" {
			for _, line := range w.log[max(0, len(w.log)-40):] {
				t.Log(line)
			}
			for i, r := range w.routers {
				t.Logf("router %d: %v, %+v", i, r.state, r.p)
			}
			t.Fatalf("LVSKIT_VRRP_SEED=%d LVSKIT_VRRP_SCHEDULES=1: %s", first+i, broken)
		}
	}
}
