package health

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Target is what a check asks about.
type Target struct {
	// Addr is where the check goes. It is the target's identity.
	Addr netip.AddrPort `json:"addr"`
	// Name is for messages only; empty means that Addr is used.
	Name string `json:"name,omitempty"`
}

// String returns the name and the address, or the address alone.
func (t Target) String() string {
	if t.Name == "" {
		return t.Addr.String()
	}
	return t.Name + " (" + t.Addr.String() + ")"
}

// host is the address and port as they stand in a request: without a zone,
// which has a meaning on this machine only (RFC 9110, section 4.2.1 has no
// room for it either), and IPv4 as such where it was mapped.
func (t Target) host() string {
	return netip.AddrPortFrom(t.Addr.Addr().WithZone("").Unmap(), t.Addr.Port()).String()
}

// Checker asks one question. Implementations must be safe for concurrent use,
// as one Checker is commonly asked about many targets.
type Checker interface {
	// Check asks the question about t and returns when it has an answer or
	// when ctx is done; it leaves nothing running behind. A deadline of ctx
	// that passes is a Fail (the target took too long), a cancelled ctx is
	// NoResult.
	Check(ctx context.Context, t Target) Result
	// Identity names the kind of the check and all parameters that matter
	// to its answer. Two checkers of equal identity are interchangeable: a
	// Monitor asks only one of them and gives the answer to both.
	Identity() string
}

// DefaultTimeout limits a check of this package whose context has no deadline.
const DefaultTimeout = 10 * time.Second

// attempt collects what happens during one check: the shared beginning and
// end of every checker of this package.
type attempt struct {
	ctx    context.Context
	target Target
	dial   *Dial // how the last connection was opened
	start  time.Time
	mark   time.Time // the end of the last phase
	phases []Phase
	seen   []byte
}

// begin starts an attempt; the returned function must be called at its end.
func begin(ctx context.Context, t Target) (*attempt, context.CancelFunc) {
	cancel := context.CancelFunc(func() {})
	if _, ok := ctx.Deadline(); !ok {
		ctx, cancel = context.WithTimeout(ctx, DefaultTimeout)
	}
	now := time.Now()
	return &attempt{ctx: ctx, target: t, start: now, mark: now, phases: make([]Phase, 0, 3)}, cancel
}

// done closes the phase that was running since the last call.
func (a *attempt) done(phase string) {
	now := time.Now()
	a.phases = append(a.phases, Phase{phase, now.Sub(a.mark)})
	a.mark = now
}

// see keeps the beginning of an answer.
func (a *attempt) see(b []byte) {
	if n := min(len(b), MaxSeen-len(a.seen)); n > 0 {
		a.seen = append(a.seen, b[:n]...)
	}
}

func (a *attempt) result(v Verdict, reason string) Result {
	return Result{
		Verdict: v, Reason: oneLine(reason, MaxReason), Phases: a.phases, Seen: a.seen,
		Start: a.start, Duration: time.Since(a.start),
	}
}

// ok ends the attempt well, in the given phase.
func (a *attempt) ok(phase, what string) Result {
	a.done(phase)
	return a.result(OK, phase+": "+what)
}

// wrong ends the attempt because the target answered, but not as wanted.
func (a *attempt) wrong(phase, format string, args ...any) Result {
	a.done(phase)
	return a.result(Fail, phase+": "+fmt.Sprintf(format, args...))
}

// failed ends the attempt because of an error, which decides by itself
// whether the target or we are at fault.
func (a *attempt) failed(phase string, err error) Result {
	a.done(phase)
	v, what := classify(a.ctx, a.noRoute, err, time.Since(a.start))
	// The errors of crypto/tls begin with the name of the phase themselves.
	return a.result(v, phase+": "+strings.TrimPrefix(what, phase+": "))
}
