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
