package failover

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
)

// callbacks are those of a configuration that the process asks the daemon for;
// nil are not there.
type callbacks struct {
	role    func(context.Context, Role) error
	witness func(context.Context) (bool, string)
	fence   func(context.Context, string) error
}

// testimony is what a witness says.
type testimony struct {
	OK  bool   `json:"ok"`
	Why string `json:"why"`
}

// bind returns the callback that a verb asks for, with its argument.
func (c *callbacks) bind(n *note) (func(context.Context) (any, error), error) {
	var role Role
	var reason string
	switch {
	case n.Verb == verbRole && c.role != nil:
		if err := unpack(n, &role); err != nil {
			return nil, err
		}
		return func(ctx context.Context) (any, error) { return nil, c.role(ctx, role) }, nil
	case n.Verb == verbWitness && c.witness != nil:
		return func(ctx context.Context) (any, error) {
			ok, why := c.witness(ctx)
			return testimony{ok, why}, nil
		}, nil
	case n.Verb == verbFence && c.fence != nil:
		if err := unpack(n, &reason); err != nil {
			return nil, err
		}
		return func(ctx context.Context) (any, error) { return nil, c.fence(ctx, reason) }, nil
	}
	return nil, fmt.Errorf("%w: the verb %.40q is not known", errBroken, n.Verb)
}

// hooks make the calls of each verb one after another.
type hooks map[string]*hookRunner

func newHooks() hooks {
	h := make(hooks)
	for _, verb := range []string{verbRole, verbWitness, verbFence} {
		h[verb] = &hookRunner{wake: make(chan struct{}, 1)}
	}
	return h
}

// run makes calls until ctx ends and the last one has ended.
func (h hooks) run(ctx context.Context) {
	var work sync.WaitGroup
	for _, r := range h {
		work.Go(func() { r.run(ctx) })
	}
	work.Wait()
}

func (h hooks) cancel(serial uint64) {
	for _, r := range h {
		r.cancel(serial)
	}
}

func (h hooks) drop() {
	for _, r := range h {
		r.drop()
	}
}

// hookCall is one call of a callback.
type hookCall struct {
	ctx    context.Context
	serial uint64
	do     func(context.Context) (any, error)
	answer func(any, error)
}

// answering hands an answer to the process; if it is gone nobody asks.
func answering(l *link, serial uint64) func(any, error) {
	return func(value any, err error) {
		body, bad := json.Marshal(value)
		if err == nil && bad != nil {
			body, err = nil, bad
		}
		_ = l.put(&note{Kind: noteAnswer, Serial: serial, Body: body, Err: distant(err)})
	}
}

// hookRunner makes the calls one after another. Only the latest waits: who
// asks again has given up on what it asked before.
type hookRunner struct {
	wake chan struct{}

	mu      sync.Mutex
	waiting *hookCall
	current *hookCall
	stop    context.CancelFunc
}

func (h *hookRunner) put(c *hookCall) {
	h.mu.Lock()
	h.waiting = c
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// cancel ends the context of a call that nobody awaits.
func (h *hookRunner) cancel(serial uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting != nil && h.waiting.serial == serial {
		h.waiting = nil
	}
	if h.current != nil && h.current.serial == serial {
		h.stop()
	}
}

// drop ends the contexts of all calls.
func (h *hookRunner) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = nil
	if h.current != nil {
		h.stop()
	}
}

func (h *hookRunner) run(ctx context.Context) {
	for {
		h.mu.Lock()
		c := h.waiting
		h.waiting, h.current = nil, c
		var inner context.Context
		if c != nil {
			inner, h.stop = context.WithCancel(c.ctx)
		}
		stop := h.stop
		h.mu.Unlock()
		if c != nil {
			value, err := c.do(inner)
			h.mu.Lock()
			h.current = nil
			h.mu.Unlock()
			stop()
			c.answer(value, err)
			continue
		}
		select {
		case <-h.wake:
		case <-ctx.Done():
			return
		}
	}
}
