package convert

import (
	"reflect"
	"slices"
	"time"

	"github.com/lvskit/lvskit/lvscf"
)

// hoistChecks moves what all servers share to the virtual block, so that the
// file reads as a person would write it. The meaning stays the same.
func hoistChecks(v *lvscf.Virtual) {
	var all []*lvscf.Check
	for i := range v.Servers {
		for j := range v.Servers[i].Checks {
			all = append(all, &v.Servers[i].Checks[j])
		}
	}
	if len(all) == 0 {
		v.Rise, v.StartState = 0, lvscf.StartUnknown // nothing is asked
	} else {
		for _, field := range []func(*lvscf.Timing) *time.Duration{
			func(t *lvscf.Timing) *time.Duration { return &t.Interval },
			func(t *lvscf.Timing) *time.Duration { return &t.FastInterval },
			func(t *lvscf.Timing) *time.Duration { return &t.ConnectTimeout },
			func(t *lvscf.Timing) *time.Duration { return &t.TLSTimeout },
			func(t *lvscf.Timing) *time.Duration { return &t.ReadTimeout },
		} {
			hoist(all, func(c *lvscf.Check) *time.Duration { return field(&c.Timing) }, field(&v.Timing))
		}
		hoist(all, func(c *lvscf.Check) *int { return &c.Rise }, &v.Rise)
		hoist(all, func(c *lvscf.Check) *int { return &c.Fall }, &v.Fall)
		hoist(all, func(c *lvscf.Check) *lvscf.StartState { return &c.StartState }, &v.StartState)
		if t := all[0].Timeout; t >= time.Second && t%time.Second == 0 {
			hoist(all, func(c *lvscf.Check) *time.Duration { return &c.Timeout }, &v.Timeout)
		}
	}
	hoistBlocks(v)
	for i := range v.Servers {
		shorten(&v.Servers[i].Check, &v.Servers[i].Checks)
	}
	shorten(&v.Check, &v.Checks)
}

// hoist moves a value that all checks have.
func hoist[T comparable](all []*lvscf.Check, field func(*lvscf.Check) *T, to *T) {
	value := *field(all[0])
	for _, c := range all {
		if *field(c) != value {
			return
		}
	}
	var zero T
	if value == zero {
		return
	}
	*to = value
	for _, c := range all {
		*field(c) = zero
	}
}

// hoistBlocks moves the checks themselves, if all servers have the same.
func hoistBlocks(v *lvscf.Virtual) {
	var first *lvscf.Server
	for i := range v.Servers {
		s := &v.Servers[i]
		switch {
		case s.Sorry:
		case first == nil:
			first = s
		case s.Check != first.Check || !slices.EqualFunc(s.Checks, first.Checks, sameCheck):
			return
		}
	}
	if first == nil {
		return
	}
	v.Check, v.Checks = first.Check, first.Checks
	for i := range v.Servers {
		if s := &v.Servers[i]; !s.Sorry {
			s.Check, s.Checks = lvscf.CheckPiranha, nil
		} else if v.Check == lvscf.CheckNone {
			s.Check = lvscf.CheckPiranha
		}
	}
}

func sameCheck(a, b lvscf.Check) bool { return reflect.DeepEqual(a, b) }

// shorten turns a check block without options into a check line.
func shorten(kind *lvscf.CheckKind, checks *[]lvscf.Check) {
	if len(*checks) != 1 || *kind != lvscf.CheckPiranha {
		return
	}
	plain := lvscf.NewCheck((*checks)[0].Name)
	plain.Kind = (*checks)[0].Kind
	if sameCheck(plain, (*checks)[0]) && plain.Kind != lvscf.CheckScript {
		*kind, *checks = plain.Kind, nil
	}
}
