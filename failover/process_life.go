package failover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// lifeWatch kills a process that gives no sign of life.
type lifeWatch struct {
	link  *link
	limit time.Duration

	mu   sync.Mutex
	at   time.Time
	late string
}

func (w *lifeWatch) seen() {
	w.mu.Lock()
	w.at = time.Now()
	w.mu.Unlock()
}

func (w *lifeWatch) failure() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.late
}

// run asks for signs of life. Our own stall is not the silence of the process.
func (w *lifeWatch) run(ctx context.Context, kill func()) {
	w.seen()
	tick := time.NewTicker(lifeEvery)
	defer tick.Stop()
	last := time.Now()
	for {
		err := w.link.put(nil)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		w.mu.Lock()
		if now.Sub(last) > 2*lifeEvery {
			w.at = now
		}
		switch {
		case now.Sub(w.at) > w.limit:
			w.late = fmt.Sprintf("it gave no sign of life for %v and was killed", w.limit)
		case errors.Is(err, errOutbox):
			w.late = "it did not read what it was told and was killed"
		}
		late := w.late
		w.mu.Unlock()
		if late != "" {
			kill()
			return
		}
		last = now
	}
}

// stops kills a process that somebody stopped and left alone for longer than the
// others wait: another one has the addresses by then, and only who is surely
// gone can be cleared up after. Unlike silence that is no matter of a busy
// machine. Of a time in which we stood still ourselves, as when both were
// stopped, half the patience counts at most.
func (w *lifeWatch) stops(p *process, patience func() time.Duration) {
	for p.stopped(true) {
		limit := patience()
		at, stood := time.Now(), time.Duration(0)
		for p.stopped(false) {
			if stood >= limit {
				w.mu.Lock()
				w.late = fmt.Sprintf("it was stopped for %v, as by SIGSTOP, and was killed", limit)
				w.mu.Unlock()
				p.kill()
				return
			}
			time.Sleep(limit / 8)
			last := at
			at = time.Now()
			stood += min(at.Sub(last), limit/2)
		}
	}
}
