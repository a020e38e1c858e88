package healthtest

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/lvskit/lvskit/health"
)

// maxCalls bounds what a Fake remembers.
const maxCalls = 100_000

// Call is one check that a [Fake] was asked for.
type Call struct {
	Target health.Target
	At     time.Time
}

// Fake is a checker whose answers are set by the test. It answers OK at once
// until told otherwise. It is safe for concurrent use.
type Fake struct {
	identity string

	mu      sync.Mutex
	answer  Script
	answers map[netip.AddrPort]Script
	calls   []Call
	count   map[netip.AddrPort]int
	running map[netip.AddrPort]int
	most    map[netip.AddrPort]int
	all     int
	mostAll int
}

var _ health.Checker = (*Fake)(nil)

// Script answers the n-th check of a target, counted from 0. It may sleep,
// but must end when ctx is done.
type Script func(ctx context.Context, n int) health.Result

// NewFake returns a fake with the given identity.
func NewFake(identity string) *Fake {
	return &Fake{
		identity: identity, answer: Verdicts(health.OK), answers: map[netip.AddrPort]Script{},
		count: map[netip.AddrPort]int{}, running: map[netip.AddrPort]int{}, most: map[netip.AddrPort]int{},
	}
}

// Verdicts answers with the verdicts in turn, and with the last one for ever.
func Verdicts(vs ...health.Verdict) Script {
	return func(_ context.Context, n int) health.Result {
		v := vs[min(n, len(vs)-1)]
		return health.Result{Verdict: v, Reason: "fake: " + v.String()}
	}
}

// After answers with v after a delay, or with Fail if the time-out comes first.
func After(d time.Duration, v health.Verdict) Script {
	return func(ctx context.Context, _ int) health.Result {
		if !sleep(ctx, d) {
			return health.Result{Verdict: health.Fail, Reason: "fake: " + ctx.Err().Error()}
		}
		return health.Result{Verdict: v, Reason: "fake: " + v.String()}
	}
}

// Set changes the answers for all targets that have none of their own; the
// count that a script sees goes on.
func (f *Fake) Set(s Script) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = s
}

// SetFor changes the answers for one target.
func (f *Fake) SetFor(addr netip.AddrPort, s Script) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[addr] = s
}

// Identity returns the identity given to NewFake.
func (f *Fake) Identity() string { return f.identity }

// Check answers as the script says.
func (f *Fake) Check(ctx context.Context, t health.Target) health.Result {
	f.mu.Lock()
	script, ok := f.answers[t.Addr]
	if !ok {
		script = f.answer
	}
	n := f.count[t.Addr]
	f.count[t.Addr]++
	f.running[t.Addr]++
	f.all++
	f.most[t.Addr] = max(f.most[t.Addr], f.running[t.Addr])
	f.mostAll = max(f.mostAll, f.all)
	if len(f.calls) < maxCalls {
		f.calls = append(f.calls, Call{t, time.Now()})
	}
	f.mu.Unlock()
	r := script(ctx, n)
	f.mu.Lock()
	f.running[t.Addr]--
	f.all--
	f.mu.Unlock()
	return r
}

// Calls returns the checks so far, in the order in which they began; at most
// the first 100,000.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.calls...)
}

// Count is how often a target was asked about.
func (f *Fake) Count(addr netip.AddrPort) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[addr]
}

// Running is how many checks run now.
func (f *Fake) Running() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all
}

// MostAtOnce is the largest number of checks of one target that ever ran at
// the same time, and of all targets together.
func (f *Fake) MostAtOnce(addr netip.AddrPort) (one, all int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most[addr], f.mostAll
}
