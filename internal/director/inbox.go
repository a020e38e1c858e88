package director

import (
	"context"
	"sync"

	"github.com/lvskit/lvskit/health"
)

// inbox is how facts reach the loop. Putting one in never blocks: news are
// kept by what they are about, the latest wins, so their number is bounded by
// the number of watches; orders are few and their senders wait for the answer.
type inbox struct {
	mu     sync.Mutex
	news   news
	orders []func(context.Context)
	wake   chan struct{}
}

// news are the latest of each sort.
type news struct {
	// verdicts and loads are by watch; a nil load is one that is not known
	// any more.
	verdicts map[string]health.State
	loads    map[string]*health.Load
	// weights are those that checks tell, nil for none, by their question.
	weights map[inquiry]*int
}

func newInbox() *inbox {
	return &inbox{news: newNews(), wake: make(chan struct{}, 1)}
}

func newNews() news {
	return news{verdicts: make(map[string]health.State), loads: make(map[string]*health.Load), weights: make(map[inquiry]*int)}
}

func (in *inbox) verdict(id string, s health.State) {
	in.put(func(n *news) { n.verdicts[id] = s })
}

func (in *inbox) load(id string, l *health.Load) {
	in.put(func(n *news) { n.loads[id] = l })
}

func (in *inbox) weight(q inquiry, w *int) {
	in.put(func(n *news) { n.weights[q] = w })
}

func (in *inbox) put(add func(*news)) {
	in.mu.Lock()
	add(&in.news)
	in.mu.Unlock()
	in.ring()
}

func (in *inbox) order(f func(context.Context)) {
	in.mu.Lock()
	in.orders = append(in.orders, f)
	in.mu.Unlock()
	in.ring()
}

func (in *inbox) ring() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// take empties the inbox.
func (in *inbox) take() (news, []func(context.Context)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	n, o := in.news, in.orders
	in.news, in.orders = newNews(), nil
	return n, o
}
