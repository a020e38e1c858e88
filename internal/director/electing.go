package director

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// electing runs the electors, and exchanges them while it runs.
type electing struct {
	d *Director

	mu      sync.Mutex
	members []*member // as in the configuration; the slice is never changed
	leaving []*member // that are not in it any more, and have not left yet
	g       *errgroup.Group
	ctx     context.Context
	over    bool
	beating bool
}

// present are the members of the configuration.
func (e *electing) present() []*member {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.members
}

// all are the members of the configuration, and those that are leaving.
func (e *electing) all() []*member {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Concat(e.members, e.leaving)
}

// forget takes one out that has left, and tells whether it is of the
// configuration.
func (e *electing) forget(m *member) (present bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.leaving = slices.DeleteFunc(slices.Clone(e.leaving), func(o *member) bool { return o == m })
	return slices.Contains(e.members, m)
}

// beats tells that there is a process for the election.
func (e *electing) beats() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.beating
}

// run runs all electors until ctx ends and they have left. One that fails
// ends the others, but for those that a reload brought.
func (e *electing) run(ctx context.Context) error {
	e.mu.Lock()
	e.g, e.ctx = errgroup.WithContext(ctx)
	for _, m := range e.members {
		e.start(m)
	}
	e.g.Go(func() error {
		<-e.ctx.Done()
		e.mu.Lock()
		e.over = true
		e.mu.Unlock()
		return nil
	})
	e.mu.Unlock()
	return e.g.Wait()
}

// start runs a member. The caller holds mu.
func (e *electing) start(m *member) {
	if e.g == nil || e.over {
		return
	}
	var ctx context.Context
	ctx, m.leave = context.WithCancel(e.ctx)
	if m.apart && !e.beating {
		e.beating = true
		e.g.Go(func() error { return e.d.cfg.Beat.Run(e.ctx) })
	}
	e.g.Go(func() error {
		defer m.leave()
		err := e.life(ctx, m)
		close(m.left)
		e.d.loop.inbox.order(func(ctx context.Context) { e.d.ended(ctx, m, err) })
		if m.added {
			return nil
		}
		return err
	})
}

// life is that of one member.
func (e *electing) life(ctx context.Context, m *member) error {
	for _, before := range m.after {
		select {
		case <-before.left:
		case <-ctx.Done():
			return nil
		}
	}
	// What it needs is followed until it has left.
	beside, end := context.WithCancel(context.WithoutCancel(ctx))
	g, beside := errgroup.WithContext(beside)
	g.Go(func() error { return m.track.run(beside) })
	if m.partnered {
		g.Go(func() error { return e.d.exchange(beside, m) })
	}
	m.track.ready(ctx)
	m.begun.Store(true)
	err := m.Run(ctx)
	end()
	if other := g.Wait(); err == nil {
		err = other
	}
	return err
}

// change exchanges the members: those that are new begin, when whom they replace
// has left, and those that are gone end, after a while if they are to.
func (e *electing) change(members []*member, gone map[*member]time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.members
	e.members = members
	for _, m := range members {
		if !slices.Contains(before, m) {
			m.added = true
			e.start(m)
		}
	}
	for m, pause := range gone {
		e.leaving = append(slices.Clone(e.leaving), m)
		switch {
		case m.leave == nil: // it has not begun
			close(m.left)
			e.d.loop.inbox.order(func(ctx context.Context) { e.d.ended(ctx, m, nil) })
		case pause > 0:
			time.AfterFunc(pause, m.leave)
		default:
			m.leave()
		}
	}
}
