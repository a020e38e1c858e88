package director

import (
	"context"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/health"
)

// faultNotice is how long the news of a fault may have been on its way: a check
// may have failed over a cut link before it came.
const faultNotice = time.Second

// faulty follows the faults of a router. What a check found while the router
// lacked a link may be the link's doing: a server that went down then comes
// back with its first good answer, and is asked at once. Otherwise a router
// that takes over again when its cable is back would have no servers for as
// long as they have to be up (reentry, three minutes in a file that says
// nothing), while the other router had them all.
func (d *Director) faulty(m *member, e failover.Event) {
	switch {
	case e.Role == failover.RoleFault:
		if m.faultAt.IsZero() {
			m.faultAt = time.Now()
		}
	case !m.faultAt.IsZero():
		since := m.faultAt.Add(-faultNotice)
		m.faultAt = time.Time{}
		if e.Role != failover.RoleLeaving {
			d.loop.inbox.order(func(context.Context) { d.forgive(since) })
		}
	}
}

// forgive lets servers that went down since then come up with one good answer.
// It belongs to the loop's goroutine.
func (d *Director) forgive(since time.Time) {
	watches := make(map[string]health.Watch)
	for _, w := range d.watches(d.setup) {
		watches[w.ID] = w
	}
	n := 0
	for _, s := range d.monitor.States() {
		w, ok := watches[s.ID]
		if !ok || s.State != health.Down || s.Since.Before(since) {
			continue
		}
		n++
		if w.Policy.Rise > 1 {
			strict := w
			w.Policy.Rise = 1
			if err := d.monitor.Put(w); err != nil {
				d.log.Error("a server that failed during the fault stays out for its whole time", "check", s.ID, "err", err)
				continue
			}
			d.loop.forgiven[s.ID] = func() error { return d.monitor.Put(strict) }
		}
		d.monitor.Trigger(s.ID)
	}
	if n > 0 {
		d.log.Info("servers that failed while this router lacked something are asked at once, and come back with one good answer", "servers", n)
	}
}

// forgave ends that for a server that came up.
func (l *loop) forgave(id string) {
	strict := l.forgiven[id]
	if strict == nil {
		return
	}
	delete(l.forgiven, id)
	if err := strict(); err != nil {
		l.log.Error("a server keeps coming back with one good answer", "check", id, "err", err)
	}
}
