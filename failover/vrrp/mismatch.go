package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
)

// Mismatch says in what the configuration of another router differs from ours.
// It is worth an alarm on both, and never a reason not to hear it: routers that
// do not hear each other are both active.
type Mismatch uint8

// Kinds of mismatch, to be combined.
const (
	// MismatchVersion: it speaks the other version. Version 2 routers do not
	// understand version 3.
	MismatchVersion Mismatch = 1 << iota
	// MismatchInterval: with version 2 it refuses our adverts (RFC 3768,
	// section 7.1); with version 3 it adopts our interval when we are active.
	MismatchInterval
	// MismatchAddresses: it serves other addresses.
	MismatchAddresses
	// MismatchPriority: it has our own priority, so that two of us can be
	// active for a moment each time that one is to be found.
	MismatchPriority
)

// Compare tells in what an advert that was heard differs from the one that we
// would send.
func Compare(own, heard *Advert) Mismatch {
	var m Mismatch
	if own.Version != heard.Version {
		m |= MismatchVersion
	}
	if own.Interval != heard.Interval {
		m |= MismatchInterval
	}
	if !sameSet(own.Addrs, heard.Addrs) {
		m |= MismatchAddresses
	}
	if own.Priority == heard.Priority && heard.Priority != PriorityStop {
		m |= MismatchPriority
	}
	return m
}

// sameSet compares without regard to order, as routers need not agree in it.
func sameSet(a, b []netip.Addr) bool {
	if len(a) != len(b) || slices.Equal(a, b) {
		return len(a) == len(b)
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, netip.Addr.Compare)
	slices.SortFunc(b, netip.Addr.Compare)
	return slices.Equal(a, b)
}

// Explain returns a line for each difference, with what mends it.
func (m Mismatch) Explain(own, heard *Advert) []string {
	var lines []string
	say := func(kind Mismatch, format string, args ...any) {
		if m&kind != 0 {
			lines = append(lines, fmt.Sprintf(format, args...))
		}
	}
	say(MismatchVersion, "it speaks version %d and we speak %d: set the same version on both", heard.Version, own.Version)
	say(MismatchInterval, "it sends every %v and we every %v: set the same interval on both", heard.Interval, own.Interval)
	if m&MismatchAddresses != 0 {
		missing := func(from, in []netip.Addr) (out []netip.Addr) {
			for _, a := range from {
				if !slices.Contains(in, a) {
					out = append(out, a)
				}
			}
			return out
		}
		say(MismatchAddresses, "it serves other addresses (only it %v, only we %v): give both the same", missing(heard.Addrs, own.Addrs), missing(own.Addrs, heard.Addrs))
	}
	say(MismatchPriority, "it has our priority %d: give each router its own", own.Priority)
	return lines
}
