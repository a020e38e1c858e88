package director

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/lvscf"
)

// serverCheck is what asks one real server.
type serverCheck struct {
	checker health.Checker
	policy  health.Policy
	initial health.State
	// pos is where the block stands that was read last.
	pos lvscf.Pos
}

// check makes the checks of a server one question: all of them must be good.
func (s *Setup) check(v *lvscf.Virtual, r *lvscf.Server, to ipvs.Destination, where string) (serverCheck, error) {
	var out serverCheck
	var all []health.Checker
	for i, k := range v.ChecksOf(r) {
		out.pos = k.Pos
		checker, err := s.checker(v, r, &k, to, where)
		if err != nil {
			return out, err
		}
		all = append(all, limited{checker, k.Name, k.Timeout})
		p := health.Policy{
			Interval: k.Interval, FastInterval: k.FastInterval, DownInterval: k.DownInterval, Timeout: k.Timeout, Rise: k.Rise, Fall: k.Fall,
		}
		switch {
		case i == 0:
			out.policy = p
		case p != out.policy:
			out.policy = stricter(out.policy, p)
			s.note("%s: its checks are asked together, every %v, though the file gives them times of their own", where, out.policy.Interval)
		}
		switch k.StartState {
		case lvscf.StartUp:
			if i == 0 {
				out.initial = health.Up
			}
		case lvscf.StartDown:
			out.initial = health.Down
		default:
			if out.initial == health.Up {
				out.initial = health.Unknown
			}
		}
	}
	if len(all) == 1 {
		out.checker = all[0].(limited).Checker
		if _, never := out.checker.(unasked); never && out.initial == health.Unknown {
			out.initial = health.Up // its turn to be asked would tell nothing
		}
		return out, nil
	}
	together, err := health.NewAll(all...)
	if err != nil {
		return out, err
	}
	out.checker = together
	return out, nil
}

// stricter is a policy that asks for both at least as often as each wants, and
// is as patient as the more patient one.
func stricter(a, b health.Policy) health.Policy {
	shorter := func(x, y health.Policy) health.Policy {
		return health.Policy{
			Interval:     min(x.Interval, y.Interval),
			FastInterval: min(cmp.Or(x.FastInterval, x.Interval), cmp.Or(y.FastInterval, y.Interval)),
			DownInterval: min(cmp.Or(x.DownInterval, x.Interval), cmp.Or(y.DownInterval, y.Interval)),
		}
	}
	p := shorter(a, b)
	p.Timeout, p.Rise, p.Fall = max(a.Timeout, b.Timeout), max(a.Rise, b.Rise), max(a.Fall, b.Fall)
	return p
}

// checker makes one check. Options that its kind does not read are for the
// findings of package lvscf.
func (s *Setup) checker(v *lvscf.Virtual, r *lvscf.Server, k *lvscf.Check, to ipvs.Destination, where string) (health.Checker, error) {
	if v.Protocol == lvscf.SCTP {
		switch k.Kind {
		case lvscf.CheckPiranha, lvscf.CheckTCP, lvscf.CheckText:
			s.note("%s: nothing is asked over sctp yet, and the server is taken for good: write a check of another kind", where)
			return unasked{}, nil
		}
	}
	c, err := s.question(v, k)
	switch {
	case err != nil && k.Name == "":
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("check %s: %w", k.Name, err)
	}
	port := cmp.Or(k.Port, r.Port)
	switch {
	case port != 0 || !needsPort(k):
	case k.Kind == lvscf.CheckPiranha:
		return nil, errors.New("it has no port to check: write a check block with a port, or check = none")
	default:
		return nil, fmt.Errorf("check %s: it has no port to ask: write port = NUMBER in the check block, or check = none", k.Name)
	}
	if k.Address.Addr.IsValid() || port != r.Port {
		at := r.Address.Addr
		if k.Address.Addr.IsValid() {
			at = k.Address.Addr
		}
		c = askElsewhere(c, netip.AddrPortFrom(at, port))
	}
	if k.Through == lvscf.ThroughVirtual {
		return s.throughVirtual(v, k, to, port, c, where)
	}
	return c, nil
}

// needsPort tells whether a check asks a port; the others may be about an
// address alone.
func needsPort(k *lvscf.Check) bool {
	switch k.Kind {
	case lvscf.CheckPiranha:
		return k.Command == ""
	case lvscf.CheckNone, lvscf.CheckPing, lvscf.CheckScript, lvscf.CheckNagios, lvscf.CheckFile:
		return false
	}
	return true
}

// unasked takes every server for good.
type unasked struct{}

func (unasked) Check(context.Context, health.Target) health.Result {
	return health.Result{Verdict: health.OK, Reason: "not checked, as configured"}
}

func (unasked) Identity() string { return "none" }

// elsewhere asks at another address than the server's.
type elsewhere struct {
	health.Checker
	at netip.AddrPort
}

func askElsewhere(c health.Checker, at netip.AddrPort) health.Checker {
	if open, ok := c.(health.Standing); ok {
		return standingElsewhere{elsewhere{c, at}, open}
	}
	return elsewhere{c, at}
}

func (e elsewhere) Check(ctx context.Context, t health.Target) health.Result {
	t.Addr = e.at
	return e.Checker.Check(ctx, t)
}

func (e elsewhere) Identity() string { return e.Checker.Identity() + " at " + e.at.String() }

// standingElsewhere leaves the question open there.
type standingElsewhere struct {
	elsewhere
	open health.Standing
}

func (e standingElsewhere) Stand(ctx context.Context, t health.Target, report func(health.Result)) error {
	t.Addr = e.at
	return e.open.Stand(ctx, t, report)
}

// limited is a check with a limit of its own among several of a server, and
// tells which of them it is.
type limited struct {
	health.Checker
	name    string
	timeout time.Duration
}

func (l limited) Check(ctx context.Context, t health.Target) health.Result {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	r := l.Checker.Check(ctx, t)
	r.Reason = "check " + l.name + ": " + r.Reason
	return r
}

func (l limited) Identity() string {
	return l.name + ": " + l.Checker.Identity() + " within " + l.timeout.String()
}
