package sched

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Options adjust a [Scheduler]. The zero value, and nil, are a kernel's
// defaults under the rules of kernels up to the middle of 2026. What belongs
// to one scheduler is kept for it when another is in use.
type Options struct {
	// Rules is the generation of kernels to follow.
	Rules Rules
	// Flags are the scheduler's flags of the service at first;
	// [Scheduler.SetFlags] changes them.
	Flags Flags

	// DHBits and SHBits are the sizes of the tables of dh and sh as powers
	// of two, 4..20: in the kernel a build option (CONFIG_IP_VS_SH_TAB_BITS,
	// and a constant for dh). 0 is 8, a table of 256.
	DHBits, SHBits int
	// MHIndex chooses the size of the table of mh, 8..17, in the kernel the
	// build option CONFIG_IP_VS_MH_TAB_INDEX: the greatest prime below that
	// power of two. 0 is 12, a table of 4093.
	MHIndex int

	// LBLCExpiration is how long lblc remembers an address that nobody asks
	// for (sysctl net.ipv4.vs.lblc_expiration), 0 is 24 hours.
	LBLCExpiration time.Duration
	// LBLCRExpiration is the same for lblcr, and also the time after which
	// an unchanged set of servers shrinks (sysctl
	// net.ipv4.vs.lblcr_expiration), 0 is 24 hours.
	LBLCRExpiration time.Duration

	// Random is the source of twos: every call returns 64 uniform bits. It
	// must be safe for concurrent use if picks are concurrent. Nil is
	// math/rand/v2.
	Random func() uint64
}

// withDefaults returns the options with every zero replaced, or what is wrong
// with them.
func (o Options) withDefaults() (Options, error) {
	var errs []error
	if _, err := o.Rules.MarshalText(); err != nil {
		errs = append(errs, err)
	}
	number := func(name string, n *int, zero, low, high int) {
		if *n == 0 {
			*n = zero
		}
		if *n < low || *n > high {
			errs = append(errs, fmt.Errorf("%s %d: want %d..%d, or 0 for %d", name, *n, low, high, zero))
		}
	}
	number("DHBits", &o.DHBits, 8, 4, 20)
	number("SHBits", &o.SHBits, 8, 4, 20)
	number("MHIndex", &o.MHIndex, 12, 8, 17)
	duration := func(name string, d *time.Duration) {
		if *d == 0 {
			*d = 24 * time.Hour
		}
		if *d < 0 {
			errs = append(errs, fmt.Errorf("%s %v: want a positive time, or 0 for 24h", name, *d))
		}
	}
	duration("LBLCExpiration", &o.LBLCExpiration)
	duration("LBLCRExpiration", &o.LBLCRExpiration)
	if o.Random == nil {
		o.Random = rand.Uint64
	}
	return o, errors.Join(errs...)
}

// Flow is what a scheduler may know of the connection it places. The client
// matters to sh and mh, the service to dh, lblc and lblcr; the others read
// none of it.
//
// An address counts in the form it has here: an IPv4 address inside an IPv6
// one hashes as IPv6. Unmap what came over a dual-stack socket.
type Flow struct {
	// Client is the source of the connection.
	Client netip.AddrPort
	// Service is the virtual address that the client wants.
	Service netip.AddrPort
	// Now is the time since any fixed moment, for the caches of lblc and
	// lblcr; others ignore it. It should not go back: a time before one
	// already seen counts as that one, and one below 0 as 0. The looks at
	// the caches that a kernel makes once a minute or so begin with the
	// first pick.
	Now time.Duration
}
