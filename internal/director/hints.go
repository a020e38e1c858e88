package director

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/lvskit/lvskit/health"
)

// hintsRetry is the pause after which the kernel is listened to again.
const hintsRetry = 10 * time.Second

// watched finds the checks of a server's address, for the kernel's hints that
// something happened to the way there.
type watched struct {
	hints *health.Hints

	mu  sync.Mutex
	ids map[netip.Addr][]string
}

// watchHints makes the director ask at once what the kernel hints at.
func (d *Director) watchHints() (err error) {
	d.watched = &watched{}
	d.watched.hints, err = health.NewHints(health.HintsConfig{Logger: d.log, OnHint: d.hinted})
	return err
}

// hinted asks those whose state may have changed: not who is up when a way came
// back, and not who is down when one may be lost. A server that is down for
// good would otherwise be asked again for each answer to the check itself.
func (d *Director) hinted(h health.Hint) {
	known := health.Down
	if h.Back {
		known = health.Up
	}
	for _, id := range d.watched.at(h.Addr) {
		if st, there := d.monitor.State(id); !there || st.State == known {
			continue
		}
		d.log.Debug("asking at once", "check", id, "hint", h.Reason)
		d.monitor.Trigger(id)
	}
}

// set takes the servers of a setup.
func (w *watched) set(s *Setup) {
	ids := make(map[netip.Addr][]string)
	for _, watch := range s.Watches() {
		addr := watch.Target.Addr.Addr().Unmap().WithZone("")
		ids[addr] = append(ids[addr], watch.ID)
	}
	addrs := make([]netip.Addr, 0, len(ids))
	for a := range ids {
		addrs = append(addrs, a)
	}
	w.mu.Lock()
	w.ids = ids
	w.mu.Unlock()
	w.hints.Set(addrs)
}

func (w *watched) at(addr netip.Addr) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ids[addr]
}

// runHints listens until ctx ends. Hints are only a help, so nothing else ends
// with them.
func (d *Director) runHints(ctx context.Context) error {
	for {
		err := d.watched.hints.Run(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errors.ErrUnsupported):
			d.log.Debug("servers are asked at intervals alone", "why", err)
			return nil
		}
		d.log.Warn("cannot listen to the kernel, servers are asked at intervals alone", "err", err, "again after", hintsRetry)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(hintsRetry):
		}
	}
}
