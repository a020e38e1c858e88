package demo

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// screen shows the distribution while traffic runs: redrawn in place on a
// terminal, a line a second elsewhere.
type screen struct {
	out    io.Writer
	live   bool
	ledger *ledger

	mu      sync.Mutex
	drawn   int
	stopped bool
}

func newScreen(out io.Writer, live bool, l *ledger) *screen {
	return &screen{out: out, live: live, ledger: l}
}

func (s *screen) run(ctx context.Context) {
	every := time.Second
	if s.live {
		every = 200 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.draw()
		}
	}
}

func (s *screen) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.drawn = 0
}

// say writes a line of the story above the picture.
func (s *screen) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	fmt.Fprintf(s.out, "\n%s\n", text)
}

func (s *screen) wipe() {
	if s.drawn > 0 {
		// Up over what was drawn, and clear from there.
		fmt.Fprintf(s.out, "\x1b[%dA\x1b[J", s.drawn)
		s.drawn = 0
	}
}

func (s *screen) draw() {
	name, served, requests, failures := s.ledger.served()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	if !s.live {
		fmt.Fprintf(s.out, "  %-16s %6d requests %4d failed  %s\n", name, requests, failures, shares(served))
		return
	}
	s.wipe()
	most := 1
	for _, n := range served {
		most = max(most, n)
	}
	fmt.Fprintf(s.out, "  %s: %d requests, %d failed\n", name, requests, failures)
	s.drawn = 1
	for _, who := range slices.Sorted(maps.Keys(served)) {
		fmt.Fprintf(s.out, "  %-6s %-40s %d\n", who, strings.Repeat("#", served[who]*40/most), served[who])
		s.drawn++
	}
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ") + "\n"
}

// quoteArgs writes arguments as a person would type them.
func quoteArgs(args []string) string {
	q := make([]string, len(args))
	for i, a := range args {
		if q[i] = a; strings.ContainsAny(a, " \t'\"") {
			q[i] = "'" + a + "'"
		}
	}
	return strings.Join(q, " ")
}
