package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// maxParts is how many checks one may combine.
const maxParts = 32

// Composite combines the answers of several checks of one target. It is safe
// for concurrent use.
type Composite struct {
	all   bool
	parts []Checker
	name  string
}

// NewAll returns a check that is OK if all of its parts are. The first that
// fails ends the others; otherwise one without a result makes the whole one
// without. The smallest weight that a part proposes is the whole's, and so are
// the numbers of all parts, in their order, if all are OK.
func NewAll(parts ...Checker) (*Composite, error) { return newComposite(true, parts) }

// NewAny returns a check that is OK if any of its parts is. The first that is
// OK ends the others, and its weight is the whole's; otherwise one without a
// result makes the whole one without.
func NewAny(parts ...Checker) (*Composite, error) { return newComposite(false, parts) }

func newComposite(all bool, parts []Checker) (*Composite, error) {
	c := &Composite{all: all, parts: append([]Checker(nil), parts...)}
	var err error
	if len(parts) == 0 || len(parts) > maxParts {
		err = fmt.Errorf("%s check: %d parts: want 1..%d", c.kind(), len(parts), maxParts)
	}
	names := make([]string, len(parts))
	for i, p := range parts {
		if p == nil {
			return nil, errors.Join(err, fmt.Errorf("%s check: part %d is nil", c.kind(), i+1))
		}
		names[i] = "(" + p.Identity() + ")"
	}
	c.name = c.kind() + " " + strings.Join(names, " ")
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Composite) kind() string {
	if c.all {
		return "all"
	}
	return "any"
}

// Identity names the kind and the identities of all parts.
func (c *Composite) Identity() string { return c.name }

// Check asks all parts at once. It returns when each of them has ended.
func (c *Composite) Check(ctx context.Context, t Target) Result {
	a, cancel := begin(ctx, t)
	defer cancel()
	inner, stop := context.WithCancel(a.ctx)
	defer stop()
	type answer struct {
		part int
		r    Result
	}
	answers := make(chan answer, len(c.parts))
	for i, p := range c.parts {
		go func() { answers <- answer{i, p.Check(inner, t)} }()
	}
	decisive := OK // the verdict that ends the question
	if c.all {
		decisive = Fail
	}
	var decided, unknown, last *answer
	var weight *int
	perf := make([][]Perfdatum, len(c.parts))
	loads := make([]*Load, len(c.parts))
	for range c.parts {
		got := <-answers
		perf[got.part], loads[got.part] = got.r.Perf, got.r.Load
		switch {
		case decided != nil: // what we have ended ourselves
		case got.r.Verdict == decisive:
			decided = &got
			stop()
		case got.r.Verdict == NoResult:
			unknown = &got
		default:
			last = &got
		}
		if w := got.r.Weight; w != nil && (weight == nil || *w < *weight) {
			weight = w
		}
	}
	tell := func(at *answer) Result {
		a.see(at.r.Seen)
		a.phases = append(a.phases, at.r.Phases...)
		r := a.result(at.r.Verdict, fmt.Sprintf("%s: part %d of %d: %s", c.kind(), at.part+1, len(c.parts), at.r.Reason))
		r.Weight, r.Perf, r.Load = at.r.Weight, at.r.Perf, at.r.Load
		return r
	}
	switch {
	case decided != nil:
		return tell(decided)
	case unknown != nil:
		return tell(unknown)
	case !c.all || len(c.parts) == 1:
		return tell(last)
	}
	r := a.ok("run", fmt.Sprintf("all of %d are ok", len(c.parts)))
	r.Weight, r.Load = weight, cmp.Or(loads...) // of the first that found it out
	if all := slices.Concat(perf...); len(all) > 0 {
		r.Perf = all[:min(len(all), MaxPerf)]
	}
	return r
}

// Not turns OK into Fail and Fail into OK; no result stays one. The zero value
// is not usable.
type Not struct{ part Checker }

// NewNot returns the contrary of a check.
func NewNot(part Checker) (*Not, error) {
	if part == nil {
		return nil, errors.New("not check: the part is nil")
	}
	return &Not{part}, nil
}

// Identity names the kind and the identity of the part.
func (c *Not) Identity() string { return "not (" + c.part.Identity() + ")" }

// Check asks the part. A part that ran out of time has not answered wrongly,
// yet it is a Fail of the part and so an OK here: a server that should be
// silent is.
func (c *Not) Check(ctx context.Context, t Target) Result {
	r := c.part.Check(ctx, t)
	switch r.Verdict {
	case OK:
		r.Verdict = Fail
	case Fail:
		r.Verdict = OK
	}
	r.Reason = oneLine("not: "+r.Reason, MaxReason)
	r.Weight = nil
	return r
}

// OnPort asks a check at another port of the target, such as that of an agent
// beside a server.
type OnPort struct {
	part Checker
	port uint16
}

// NewOnPort returns a check that asks part at the given port, 1..65535.
func NewOnPort(part Checker, port uint16) (*OnPort, error) {
	if part == nil || port == 0 {
		return nil, errors.New("port check: want a part and a port of 1..65535")
	}
	return &OnPort{part, port}, nil
}

// Identity names the port and the identity of the part.
func (c *OnPort) Identity() string { return fmt.Sprintf("port %d (%s)", c.port, c.part.Identity()) }

// Check asks the part.
func (c *OnPort) Check(ctx context.Context, t Target) Result {
	t.Addr = netip.AddrPortFrom(t.Addr.Addr(), c.port)
	return c.part.Check(ctx, t)
}
