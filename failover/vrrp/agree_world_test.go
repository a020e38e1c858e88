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

// groupWorld is some nodes on the same links, each with one machine a link, and
// all machines of a node are a group. Everything comes from one seed.
type groupWorld struct {
	rng   *rand.Rand
	now   time.Duration
	nodes []*groupNode
	queue groupDeliveries
	seq   int
	cut   map[[3]int]bool // from, to, link
	loss  float64
	delay time.Duration // at most
	log   []string
	split string // the first time that a group was active in part
}

type groupNode struct {
	members []*Machine
	faults  []bool
	up      int // the member that made it active last
	stalled time.Duration
	inbox   []groupDelivery
	dead    bool
	changes int
}

type groupDelivery struct {
	at        time.Duration
	seq       int
	node, who int
	event     Event
}

type groupDeliveries []groupDelivery

func (q groupDeliveries) Len() int { return len(q) }
func (q groupDeliveries) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q groupDeliveries) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *groupDeliveries) Push(x any)   { *q = append(*q, x.(groupDelivery)) }
func (q *groupDeliveries) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func (w *groupWorld) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%10v ", w.now)+fmt.Sprintf(format, args...))
}

// step steps one machine and then lets its group follow, as package failover
// does it.
func (w *groupWorld) step(n, k int, e Event) {
	w.alone(n, k, e)
	node := w.nodes[n]
	for range 8 {
		for k := range node.members {
			on := node.faults[k]
			for other, fault := range node.faults {
				on = on || fault && other != k
			}
			w.alone(n, k, Event{Kind: EventFault, On: on})
		}
		v, by := Agree(node.members)
		if v == VerdictStay {
			break
		}
		follow, wrong := Follow(node.members, v, by, node.up, time.Duration(w.rng.Int64N(int64(node.members[by].p.Interval))))
		if v == VerdictUp {
			node.up = by
		}
		for k := range node.members {
			follow.On = k == wrong
			w.alone(n, k, follow)
		}
	}
	active := 0
	for _, m := range node.members {
		if m.state == StateActive {
			active++
		}
	}
	if active != 0 && active != len(node.members) && w.split == "" {
		w.split = fmt.Sprintf("node %d is active with %d of its members", n, active)
	}
}

func (w *groupWorld) alone(n, k int, e Event) {
	node := w.nodes[n]
	m, out := node.members[k].Step(e, w.now)
	if m.state != node.members[k].state {
		node.changes++
		w.note("node %d, link %d: %v, %v", n, k, m.state, m.reason)
	}
	*node.members[k] = m
	for _, a := range out {
		if a.Kind != ActionSend {
			continue
		}
		for to := range w.nodes {
			if to == n || w.cut[[3]int{n, to, k}] || w.rng.Float64() < w.loss {
				continue
			}
			w.seq++
			at := w.now + 1 + time.Duration(w.rng.Int64N(int64(w.delay)+1))
			heap.Push(&w.queue, groupDelivery{at, w.seq, to, k, Event{
				Kind: EventHeard, Priority: a.Priority, Interval: m.p.Interval, Source: m.p.Address, At: at,
			}})
		}
	}
}

// play lets time pass until then.
func (w *groupWorld) play(until time.Duration) {
	for {
		next, who, link := until, -1, 0
		if len(w.queue) > 0 && w.queue[0].at < next {
			next = w.queue[0].at
		}
		for n, node := range w.nodes {
			for k, m := range node.members {
				due := max(m.Next(), w.now)
				if node.stalled != 0 {
					due = max(node.stalled, w.now)
				}
				if !node.dead && due < next {
					next, who, link = due, n, k
				}
			}
		}
		w.now = next
		switch {
		case who >= 0:
			node := w.nodes[who]
			if node.stalled != 0 && node.stalled <= w.now {
				node.stalled = 0
				for k := range node.members {
					w.step(who, k, Event{Kind: EventStall})
				}
				for _, d := range node.inbox {
					w.step(who, d.who, d.event)
				}
				node.inbox = node.inbox[:0]
			}
			w.step(who, link, Event{Kind: EventTick})
		case next == until:
			return
		default:
			d := heap.Pop(&w.queue).(groupDelivery)
			switch node := w.nodes[d.node]; {
			case node.dead:
			case node.stalled > w.now:
				if len(node.inbox) < 64 {
					node.inbox = append(node.inbox, d)
				}
			default:
				w.step(d.node, d.who, d.event)
			}
		}
	}
}

func (w *groupWorld) serving() (list []int) {
	for n, node := range w.nodes {
		if node.members[0].state == StateActive {
			list = append(list, n)
		}
	}
	return list
}

func (w *groupWorld) all(n int, e Event) {
	for k := range w.nodes[n].members {
		w.step(n, k, e)
	}
}

func newGroupWorld(seed uint64) *groupWorld {
	w := &groupWorld{rng: rand.New(rand.NewPCG(seed, 112)), cut: make(map[[3]int]bool)}
	nodes, links := 2+w.rng.IntN(2), 1+w.rng.IntN(3)
	intervals := make([]time.Duration, links)
	for k := range intervals {
		intervals[k] = 100 * time.Millisecond
		if w.rng.IntN(4) == 0 {
			intervals[k] *= time.Duration(1 + w.rng.IntN(10))
		}
	}
	w.delay = 100 * time.Millisecond / time.Duration(10+w.rng.IntN(100))
	same, noPreempt := w.rng.IntN(2) == 0, w.rng.IntN(4) == 0
	for n := range nodes {
		node := &groupNode{faults: make([]bool, links)}
		priority := uint8(1 + w.rng.IntN(254))
		for k := range links {
			p := Params{
				Version: 3, Priority: priority, Interval: intervals[k], NoPreempt: noPreempt, Grouped: true,
				Address: netip.AddrFrom4([4]byte{192, 0, byte(k), byte(1 + (n+k)%nodes)}),
			}
			if !same {
				p.Priority = uint8(1 + w.rng.IntN(254))
			}
			if w.rng.IntN(8) == 0 {
				p.PreemptDelay = time.Duration(w.rng.Int64N(int64(time.Second)))
			}
			m := NewMachine(p, 0)
			node.members = append(node.members, &m)
		}
		w.nodes = append(w.nodes, node)
	}
	for n := range w.nodes {
		w.all(n, Event{Kind: EventStart})
	}
	return w
}

func (w *groupWorld) disturb() {
	n := w.rng.IntN(len(w.nodes))
	node := w.nodes[n]
	k := w.rng.IntN(len(node.members))
	switch w.rng.IntN(9) {
	case 0, 1:
		to := w.rng.IntN(len(w.nodes))
		cut := w.rng.IntN(2) == 0
		w.cut[[3]int{n, to, k}] = cut
		if w.rng.IntN(2) == 0 {
			w.cut[[3]int{to, n, k}] = cut
		}
		w.note("from %d to %d on link %d: cut %v", n, to, k, cut)
	case 2:
		clear(w.cut)
		w.note("all is connected")
	case 3:
		if node.stalled == 0 {
			node.stalled = w.now + 1 + time.Duration(w.rng.Int64N(int64(time.Second)))
			w.note("node %d stands still until %v", n, node.stalled)
		}
	case 4:
		w.note("node %d restarts", n)
		w.all(n, Event{Kind: EventStop})
		w.all(n, Event{Kind: EventStart})
	case 5:
		node.faults[k] = !node.faults[k]
		w.note("node %d, link %d: fault %v", n, k, node.faults[k])
		w.step(n, k, Event{Kind: EventFault, On: node.faults[k]})
	case 6:
		w.note("node %d yields", n)
		for k := range node.members {
			w.alone(n, k, Event{Kind: EventYield})
		}
		w.step(n, 0, Event{Kind: EventReclaim})
		for k := range node.members {
			w.step(n, k, Event{Kind: EventReclaim})
		}
	case 7:
		w.loss = []float64{0, 0.05, 0.3}[w.rng.IntN(3)]
		w.note("loss %v", w.loss)
	case 8:
		p := uint8(1 + w.rng.IntN(254))
		w.note("node %d, link %d: priority %d", n, k, p)
		w.step(n, k, Event{Kind: EventPriority, Priority: p})
	}
}

// better reports whether a node has precedence over another one on all links,
// and may preempt there.
func (w *groupWorld) better(a, b int) bool {
	for k, m := range w.nodes[a].members {
		if m.p.NoPreempt || m.waived || m.priority <= w.nodes[b].members[k].priority {
			return false
		}
	}
	return true
}

// tryGroup plays one schedule and tells which rule it broke.
func tryGroup(seed uint64) (w *groupWorld, broken string) {
	w = newGroupWorld(seed)
	for range 5 + w.rng.IntN(30) {
		w.play(w.now + time.Duration(w.rng.Int64N(int64(600*time.Millisecond))))
		w.disturb()
	}
	w.loss = 0
	clear(w.cut)
	w.note("all is well")
	for n, node := range w.nodes {
		node.stalled = min(node.stalled, w.now)
		for k := range node.faults {
			node.faults[k] = false
		}
		w.step(n, 0, Event{Kind: EventReclaim})
	}
	var slowest time.Duration
	for _, m := range w.nodes[0].members {
		slowest = max(slowest, m.p.Interval)
	}
	w.play(w.now + 30*slowest + 5*time.Second)
	a := w.serving()
	if w.split != "" {
		return w, w.split
	}
	if len(a) != 1 {
		return w, fmt.Sprintf("nodes %v serve in the end", a)
	}
	for n, node := range w.nodes {
		if n != a[0] && w.better(n, a[0]) {
			return w, fmt.Sprintf("node %d serves, and node %d is better on all links", a[0], n)
		}
		node.changes = 0
	}
	w.play(w.now + 30*slowest)
	for n, node := range w.nodes {
		if node.changes > 0 {
			return w, fmt.Sprintf("node %d changed %d times although nothing happened", n, node.changes)
		}
	}
	w.note("node %d dies", a[0])
	// The quickest link finds it. Where the priorities contradict each other,
	// nodes may have to try again.
	quickest, slow, ordered := Never, time.Duration(0), true
	for n, node := range w.nodes {
		for k, m := range node.members {
			if n != a[0] {
				quickest, slow = min(quickest, m.DownInterval()), max(slow, m.DownInterval())
			}
			for other, o := range w.nodes {
				if n != other && (m.priority == o.members[k].priority || (m.priority > o.members[k].priority) != (node.members[0].priority > o.members[0].priority)) {
					ordered = false
				}
			}
			ordered = ordered && !m.ready
		}
	}
	limit := 10 * slow
	if ordered {
		limit = 2 * quickest
	}
	w.nodes[a[0]].dead = true
	for _, m := range w.nodes[a[0]].members {
		*m = NewMachine(m.p, w.now)
	}
	w.play(w.now + limit)
	if len(w.serving()) == 0 {
		return w, fmt.Sprintf("nobody serves %v after the active node died", limit)
	}
	w.play(w.now + 30*slowest)
	if a := w.serving(); len(a) != 1 || w.split != "" {
		return w, fmt.Sprintf("nodes %v serve after one has died %s", a, w.split)
	}
	return w, ""
}

// TestRandomSchedulesOfGroups plays groups as package simulate plays single
// routers, of which it knows nothing.
func TestRandomSchedulesOfGroups(t *testing.T) {
	number := func(name string, otherwise uint64) uint64 {
		if v, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return v
		}
		return otherwise
	}
	first, count := number("LVSKIT_VRRP_SEED", number("LVSKIT_TEST_SEED", rand.Uint64())), number("LVSKIT_VRRP_SCHEDULES", 200)
	for i := range count {
		w, broken := tryGroup(first + i)
		if broken != "" {
			for _, line := range w.log[max(0, len(w.log)-60):] {
				t.Log(line)
			}
			for n, node := range w.nodes {
				for k, m := range node.members {
					t.Logf("node %d, link %d: %v, %v, ready %v, priority %d, %+v", n, k, m.state, m.reason, m.ready, m.priority, m.p)
				}
			}
			t.Fatalf("LVSKIT_VRRP_SEED=%d LVSKIT_VRRP_SCHEDULES=1: %s", first+i, broken)
		}
	}
}

// Two nodes of which each is better on one of two links, and whose packets take
// the same time each way, do everything at the same moments. Waits of random
// length end that.
func TestMirroredGroupsComeToRest(t *testing.T) {
	for seed := range uint64(20) {
		w := &groupWorld{rng: rand.New(rand.NewPCG(seed, 112)), cut: make(map[[3]int]bool)}
		for n := range 2 {
			node := &groupNode{faults: make([]bool, 2)}
			for k := range 2 {
				p := grouped
				p.Interval, p.Address = 100*time.Millisecond, netip.AddrFrom4([4]byte{192, 0, byte(k), byte(1 + n)})
				if n == k {
					p.Priority = 200
				}
				m := NewMachine(p, 0)
				node.members = append(node.members, &m)
				w.cut[[3]int{n, 1 - n, k}] = true
			}
			w.nodes = append(w.nodes, node)
		}
		for n := range w.nodes {
			w.all(n, Event{Kind: EventStart})
		}
		w.play(2 * second)
		if a := w.serving(); len(a) != 2 {
			t.Fatalf("nodes %v serve apart from each other", a)
		}
		clear(w.cut)
		w.play(4 * second)
		a := w.serving()
		for _, node := range w.nodes {
			node.changes = 0
		}
		w.play(30 * second)
		if len(a) != 1 || w.split != "" || w.nodes[0].changes+w.nodes[1].changes != 0 {
			t.Errorf("seed %d: nodes %v serve, %s; then %d and %d changes", seed, a, w.split, w.nodes[0].changes, w.nodes[1].changes)
		}
	}
}
