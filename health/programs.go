package health

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Bounds of [Programs] by default. To start a program costs about 2 ms of a
// processor, a thousand times as much as to ask over a connection that stands.
const (
	// DefaultProgramsAtOnce is how many programs run at once.
	DefaultProgramsAtOnce = 64
	// DefaultProgramsPerSecond is how many are started in a second.
	DefaultProgramsPerSecond = 200
)

// ProgramsConfig sets up [Programs].
type ProgramsConfig struct {
	// AtOnce is how many programs may run at once; 0 means
	// DefaultProgramsAtOnce.
	AtOnce int
	// PerSecond is how many may be started in a second, not more than a tenth
	// of them in a rush; 0 means DefaultProgramsPerSecond.
	PerSecond int
}

// Programs bounds the programs that checks run: those at once, and those
// started in a second. A check that needs a program waits for its turn for a
// quarter of its time at most; then it is no result, and says so. Several
// checks may share one; it is safe for concurrent use.
type Programs struct {
	slots chan struct{}
	gap   time.Duration // between two starts in the long run
	rush  time.Duration // how far starts may come before their time

	mu   sync.Mutex
	next time.Time // when the next start is due
}

// NewPrograms returns bounds for checks to share, or an error that names every
// field that cannot be used. A nil cfg means the defaults.
func NewPrograms(cfg *ProgramsConfig) (*Programs, error) {
	c := ProgramsConfig{}
	if cfg != nil {
		c = *cfg
	}
	if c.AtOnce == 0 {
		c.AtOnce = DefaultProgramsAtOnce
	}
	if c.PerSecond == 0 {
		c.PerSecond = DefaultProgramsPerSecond
	}
	var errs []error
	if c.AtOnce < 1 || c.AtOnce > 10_000 {
		errs = append(errs, fmt.Errorf("programs: %d at once: want 0 for %d, or 1..10000", c.AtOnce, DefaultProgramsAtOnce))
	}
	if c.PerSecond < 1 || c.PerSecond > 10_000 {
		errs = append(errs, fmt.Errorf("programs: %d a second: want 0 for %d, or 1..10000", c.PerSecond, DefaultProgramsPerSecond))
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	gap := time.Second / time.Duration(c.PerSecond)
	return &Programs{slots: make(chan struct{}, c.AtOnce), gap: gap, rush: time.Second/10 - gap}, nil
}

// errNoTurn means that a check has not been let to run its program.
var errNoTurn = errors.New("not started")

// enter waits for a turn, but not longer than wait. It returns errNoTurn or
// the error of ctx; otherwise leave must be called.
func (p *Programs) enter(ctx context.Context, wait time.Duration) error {
	end := time.Now().Add(wait)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case p.slots <- struct{}{}: // even with no time to wait
	default:
		if err := p.await(ctx, timer, wait); err != nil {
			return err
		}
	}
	at, ok := p.turn(time.Now(), end)
	if !ok {
		p.leave()
		return fmt.Errorf("%w: more than %d programs a second; run fewer, or raise the bound (PerSecond)", errNoTurn, time.Second/p.gap)
	}
	timer.Reset(time.Until(at))
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		p.leave()
		return ctx.Err()
	}
}

// await waits for a place.
func (p *Programs) await(ctx context.Context, timer *time.Timer, wait time.Duration) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("%w: %d programs are running, and none ended within %v; run fewer, or raise the bound (AtOnce)", errNoTurn, cap(p.slots), wait.Round(time.Millisecond))
	}
}

// turn takes the next start, if it is not after end.
func (p *Programs) turn(now, end time.Time) (at time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	due := p.next
	if earliest := now.Add(-max(p.rush, 0)); due.Before(earliest) {
		due = earliest
	}
	if due.After(end) {
		return time.Time{}, false
	}
	p.next = due.Add(p.gap)
	return due, true
}

func (p *Programs) leave() { <-p.slots }
