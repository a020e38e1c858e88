package director

import (
	"context"
	"sync"

	"github.com/lvskit/lvskit/health"
)

// inbox is how facts reach the loop. Putting one in never blocks: verdicts
// are kept by watch, the latest wins, so their number is bounded by the
// number of watches; orders are few and their senders wait for the answer.
type inbox struct {
	mu       sync.Mutex
	verdicts map[string]health.State
	orders   []func(context.Context)
	wake     chan struct{}
}

func newInbox() *inbox {
	return &inbox{verdicts: make(map[string]health.State), wake: make(chan struct{}, 1)}
}

func (in *inbox) verdict(id string, s health.State) {
	in.mu.Lock()
	in.verdicts[id] = s
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
func (in *inbox) take() (map[string]health.State, []func(context.Context)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	v, o := in.verdicts, in.orders
	in.verdicts, in.orders = make(map[string]health.State), nil
	return v, o
}
