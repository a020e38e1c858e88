package director

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/lvscf"
)

// serverCheck is what asks one real server.
type serverCheck struct {
	checker health.Checker
	policy  health.Policy
	initial health.State
}

// check makes the checks of a server one question: all of them must be good.
func (s *Setup) check(v *lvscf.Virtual, r *lvscf.Server, where string) (serverCheck, error) {
	var out serverCheck
	var all allOf
	for i, k := range v.ChecksOf(r) {
		if k.Kind == lvscf.CheckPiranha && r.Port == 0 && r.Address.Addr.IsValid() {
			return out, fmt.Errorf("it has no port to check: write a check block with a port, or check = none")
		}
		checker, err := s.checker(v, r, &k, where)
		if err != nil {
			return out, err
		}
		all = append(all, limited{checker, k.Timeout})
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
	if out.checker = all; len(all) == 1 {
		out.checker = all[0].Checker
	}
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

// checker makes one check. What the file asks of it and it does not do is in
// the notes: either by the table of what has effect, or here.
func (s *Setup) checker(v *lvscf.Virtual, r *lvscf.Server, k *lvscf.Check, where string) (health.Checker, error) {
	transport := health.OverTCP
	if v.Protocol == lvscf.UDP {
		transport = health.OverUDP
	}
	if v.Protocol == lvscf.SCTP {
		switch k.Kind {
		case lvscf.CheckPiranha, lvscf.CheckTCP, lvscf.CheckText:
			s.note("%s: nothing is asked over sctp yet, and the server is taken for good: write a check of another kind", where)
			return unasked{}, nil
		}
	}
	var c health.Checker
	var err error
	switch k.Kind {
	case lvscf.CheckPiranha:
		return health.NewPiranha(health.PiranhaConfig{
			Transport: transport, VirtualPort: v.Port,
			Send: k.Send, Expect: k.Expect, SendProgram: k.Command, UseRegex: k.UseRegex,
		})
	case lvscf.CheckNone:
		return unasked{}, nil
	case lvscf.CheckTCP, lvscf.CheckText, lvscf.CheckUDP:
		if k.Kind == lvscf.CheckUDP {
			transport = health.OverUDP
		} else if k.Kind == lvscf.CheckTCP {
			transport = health.OverTCP
		}
		if transport == health.OverTCP && k.Send == "" && k.Expect == "" {
			c = new(health.TCP)
			break
		}
		expect := k.Expect
		if k.RequireReply && expect == "" && transport == health.OverUDP {
			expect = "*"
		}
		c, err = health.NewSendExpect(&health.SendExpectConfig{Transport: transport, Send: k.Send, Expect: expect, Regex: k.UseRegex})
	case lvscf.CheckHTTP, lvscf.CheckHTTPS:
		c, err = httpCheck(k)
	case lvscf.CheckScript:
		if k.Command == "" {
			return nil, fmt.Errorf("check %s: kind = script without a command: write command = PROGRAM", k.Name)
		}
		c, err = health.NewExternal(health.ExternalConfig{Command: k.Command, Expect: k.Expect})
	default:
		s.note("%s: check kind %s has no effect yet: a plain connection is tried in its place", where, k.Kind)
		if c = new(health.TCP); transport == health.OverUDP {
			c, err = health.NewSendExpect(&health.SendExpectConfig{Transport: transport})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", k.Name, err)
	}
	port := cmp.Or(k.Port, r.Port)
	if port == 0 && k.Kind != lvscf.CheckScript {
		return nil, fmt.Errorf("check %s: it has no port to ask: write port = NUMBER in the check block, or check = none", k.Name)
	}
	if k.Address.Addr.IsValid() || port != r.Port {
		at := r.Address.Addr
		if k.Address.Addr.IsValid() {
			at = k.Address.Addr
		}
		c = elsewhere{c, netip.AddrPortFrom(at, port)}
	}
	return c, nil
}

func httpCheck(k *lvscf.Check) (health.Checker, error) {
	conf := health.HTTPConfig{Method: k.Method, Path: k.Path, Host: k.Host, Body: k.Body, BodyRegex: k.BodyRegex}
	for _, r := range k.Status {
		conf.Status = append(conf.Status, health.StatusRange{Min: r.Min, Max: r.Max})
	}
	for _, line := range k.Header {
		if conf.Header == nil {
			conf.Header = make(http.Header)
		}
		name, value, _ := strings.Cut(line, ":")
		conf.Header.Add(name, strings.TrimSpace(value))
	}
	if k.UsesTLS() {
		conf.TLS = &health.TLSConfig{ServerName: k.ServerName, SkipVerify: !k.Verify}
		if k.CAFile != "" {
			pem, err := readSmall(k.CAFile)
			if err != nil {
				return nil, fmt.Errorf("ca_file: %w", err)
			}
			conf.TLS.RootsPEM = pem
		}
	}
	return health.NewHTTP(&conf)
}

// readSmall reads a file of certificates; a larger one is none.
func readSmall(path string) ([]byte, error) {
	const most = 4 << 20
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > most:
		return nil, fmt.Errorf("%s: no regular file of at most %d bytes: name a file of certificates", path, most)
	}
	return os.ReadFile(path)
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

func (e elsewhere) Check(ctx context.Context, t health.Target) health.Result {
	t.Addr = e.at
	return e.Checker.Check(ctx, t)
}

func (e elsewhere) Identity() string { return e.Checker.Identity() + " at " + e.at.String() }

// allOf is good when all of its checks are. They run at the same time, each
// with its own limit; the first in the file that is not good is the answer.
type allOf []limited

// limited is a check with a limit of its own.
type limited struct {
	health.Checker
	timeout time.Duration
}

func (a allOf) Check(ctx context.Context, t health.Target) health.Result {
	results := make([]health.Result, len(a))
	var work sync.WaitGroup
	for i, c := range a {
		work.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, c.timeout)
			defer cancel()
			results[i] = c.Check(ctx, t)
		})
	}
	work.Wait()
	sum := results[0]
	for i, r := range results {
		if r.Verdict != health.OK {
			return r
		}
		if i == 0 {
			continue
		}
		sum.Reason += "; " + r.Reason
		if r.Duration > sum.Duration {
			sum.Duration, sum.Phases = r.Duration, r.Phases
		}
	}
	return sum
}

func (a allOf) Identity() string {
	ids := make([]string, len(a))
	for i, c := range a {
		ids[i] = c.Identity() + " within " + c.timeout.String()
	}
	return strings.Join(ids, " and ")
}
