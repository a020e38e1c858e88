package failover

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// busyLoops is how many of them there are.
const busyLoops = 8

// busyVariable is set for a process that is a busy loop.
const busyVariable = "LVSKIT_BENCH_BUSY"

// The rows of a pair beside busy loops.
const (
	busyMoves = "10ms adverts, 8 busy loops: false take-overs a minute"
	busyShare = "10ms adverts, 8 busy loops: % of the adverts sent"
	busyStill = "10ms adverts, no busy loops: % of the adverts sent"
)

// beBusy never ends.
func beBusy() {
	for {
		_ = strings.Repeat("busy", 1000)
	}
}

// busy lets a pair beat for a while beside busy loops of ordinary priority.
func (w *window) busy(tb testing.TB, c contestant, long time.Duration) (err error) {
	p, err := newPair(tb, c, tempo{10 * time.Millisecond, 3})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	host, err := p.settle()
	if err != nil {
		return err
	}
	w.res.note(busyStill, c.name, p.share(host, long/4))
	for range busyLoops {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), busyVariable+"=1")
		if err := cmd.Start(); err != nil {
			return err
		}
		defer func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // killed
		}()
	}
	time.Sleep(200 * time.Millisecond) // for them to start
	p.mu.Lock()
	changes := len(p.changes)
	p.mu.Unlock()
	share := p.share(host, long)
	p.mu.Lock()
	defer p.mu.Unlock()
	moves := 0
	for i := changes; i < len(p.changes); i++ {
		if p.changes[i].holds[1-host] && (i == 0 || !p.changes[i-1].holds[1-host]) {
			moves++
		}
	}
	w.res.note(busyMoves, c.name, float64(moves)/long.Minutes())
	w.res.note(busyShare, c.name, share)
	return nil
}

// share returns which part of its beats the host sent in a while, in percent.
func (p *pair) share(host int, long time.Duration) float64 {
	before, _ := p.beats[host].count()
	began := time.Now()
	time.Sleep(long)
	after, _ := p.beats[host].count()
	return 100 * float64(after-before) / (float64(time.Since(began)) / float64(p.t.interval))
}
