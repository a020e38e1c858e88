package ipvstest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// Kernel is an in-memory IPVS. It answers like Linux, errors included, and is
// safe for concurrent use. [New] makes it.
//
// It has the schedulers of an ordinary kernel, the persistence engine sip and
// IPv6; it takes every unicast address for a destination, and as a host that
// has only a loopback it knows no other broadcast addresses than that one's
// and the general one. It synchronizes
// nothing, but its sync daemons start, stop and show as a kernel's do.
type Kernel struct {
	mu       sync.Mutex
	services map[ipvs.ServiceKey]*service
	timeouts ipvs.Timeouts
	sync     []ipvs.SyncDaemon // by role
	devices  map[string]int    // with their MTU
	log      []Command
	fail     []error
	hook     func(Command) error
	closed   bool
}

type service struct {
	config ipvs.Service
	stats  ipvs.Stats
	dests  []*ipvs.DestinationState // newest first
}

// Command is one command that a [Kernel] was given.
type Command struct {
	Op ipvs.Op
	// Service is complete in OpAddService and OpSetService; else it holds
	// the key that was named, if any.
	Service ipvs.Service
	// Destination is complete in OpAddDestination and OpSetDestination; in
	// OpDelDestination it holds the key.
	Destination ipvs.Destination
	// Timeouts is set in OpSetTimeouts.
	Timeouts ipvs.Timeouts
	// Sync is complete in OpStartSync; in OpStopSync it holds the role.
	Sync ipvs.SyncDaemon
	// Err is what the command returned, nil for success.
	Err error
}

// New returns an empty table with the kernel's default timeouts.
func New() *Kernel {
	return &Kernel{
		services: make(map[ipvs.ServiceKey]*service),
		timeouts: ipvs.Timeouts{TCP: 900 * time.Second, TCPFin: 120 * time.Second, UDP: 300 * time.Second},
		devices:  devices("lo", "sync0"),
	}
}

// Log returns the write commands so far, those that failed too, in their
// order. Reads are not among them.
func (k *Kernel) Log() []Command {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.log)
}

// ResetLog forgets the commands so far.
func (k *Kernel) ResetLog() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.log = nil
}

// FailNext makes the next commands, reads included, fail with these errors in
// turn, before they do anything; nil lets one pass. Commands that a client
// would not send, because their values are invalid, do not count. Each change of an Apply
// is a command of its own. What they return wraps the error in an
// [*ipvs.OpError], so an errno gets its meaning. An error that is
// [ipvs.ErrStateUnknown] ends an Apply, like answers that were lost.
func (k *Kernel) FailNext(errs ...error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail = append(k.fail, errs...)
}

// SetHook makes f see each valid command before it is done; a command for which it
// returns an error fails with that, as in [Kernel.FailNext]. It must not call
// the kernel. Nil removes it.
func (k *Kernel) SetHook(f func(Command) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hook = f
}

// SetServiceStats sets the counters that a service shows; it panics if the
// service is not there.
func (k *Kernel) SetServiceStats(key ipvs.ServiceKey, s ipvs.Stats) {
	k.mu.Lock()
	defer k.mu.Unlock()
	svc := k.services[key]
	if svc == nil {
		panic("ipvstest: no service " + key.String())
	}
	svc.stats = s
}

// SetDestinationCounters sets what a destination shows beside its
// configuration, which in d is ignored but for the key; it panics if the
// destination is not there.
func (k *Kernel) SetDestinationCounters(of ipvs.ServiceKey, d ipvs.DestinationState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if svc := k.services[of]; svc != nil {
		if i := svc.find(d.Key); i >= 0 {
			d.Destination = svc.dests[i].Destination
			svc.dests[i] = &d
			return
		}
	}
	panic("ipvstest: no destination " + d.Key.String() + " of " + of.String())
}

func (s *service) find(key ipvs.DestinationKey) int {
	return slices.IndexFunc(s.dests, func(d *ipvs.DestinationState) bool { return d.Key == key })
}

// Close makes all later calls fail like those of a closed client.
func (k *Kernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	return nil
}

// do runs one command under the lock: a client's own checks, whose error is
// invalid; the faults that were asked for; then act; then the log.
func (k *Kernel) do(ctx context.Context, c Command, invalid error, act func() error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.doLocked(ctx, c, invalid, act)
}

func (k *Kernel) doLocked(ctx context.Context, c Command, invalid error, act func() error) error {
	err := invalid
	if err == nil {
		err = k.ready(ctx)
	}
	if err == nil && len(k.fail) > 0 {
		err, k.fail = k.fail[0], k.fail[1:]
	}
	if err == nil && k.hook != nil {
		err = k.hook(c)
	}
	if err == nil {
		err = act()
	}
	if err != nil {
		if _, ok := errors.AsType[*ipvs.OpError](err); !ok {
			err = &ipvs.OpError{Op: c.Op, Service: c.Service.Key, Destination: c.Destination.Key, Err: err}
		}
	}
	if c.Op.IsWrite() {
		c.Err = err
		k.log = append(k.log, c)
	}
	return err
}

func (k *Kernel) ready(ctx context.Context) error {
	if k.closed {
		return net.ErrClosed
	}
	return ctx.Err()
}

// change does one valid change in the order of checks of the kernel.
func (k *Kernel) change(c *ipvs.Change) error {
	key := c.Service.Key
	svc := k.services[key]
	switch {
	case c.Op == ipvs.OpAddService && svc != nil:
		return syscall.EEXIST
	case c.Op != ipvs.OpAddService && svc == nil:
		return syscall.ESRCH
	}
	switch c.Op {
	case ipvs.OpAddService, ipvs.OpSetService:
		s := c.Service.Normalized()
		if !knownScheduler(s.Scheduler) || s.Engine != "" && s.Engine != "sip" {
			return syscall.ENOENT
		}
		if svc == nil {
			svc = &service{}
			k.services[key] = svc
		}
		svc.config = s
	case ipvs.OpDelService:
		delete(k.services, key)
	case ipvs.OpAddDestination, ipvs.OpSetDestination:
		return svc.putDestination(key, c, len(k.sync) > 0)
	case ipvs.OpDelDestination:
		i := svc.find(c.Destination.Key)
		if i < 0 {
			return syscall.ENOENT
		}
		svc.dests = slices.Delete(svc.dests, i, i+1)
	}
	return nil
}

func (s *service) putDestination(of ipvs.ServiceKey, c *ipvs.Change, syncing bool) error {
	d := c.Destination.Normalized()
	ip := d.Key.Addr()
	if ip.Is6() != of.Is6() && (d.Forward != ipvs.Tunnel || syncing) {
		return syscall.EINVAL
	}
	i := s.find(d.Key)
	if c.Op == ipvs.OpSetDestination {
		if i < 0 {
			return syscall.ENOENT
		}
		s.dests[i].Destination = d
		return nil
	}
	if i >= 0 {
		return syscall.EEXIST
	}
	if !unicast(ip) {
		return syscall.EINVAL
	}
	s.dests = slices.Insert(s.dests, 0, &ipvs.DestinationState{Destination: d})
	return nil
}

// unicast tells whether a kernel takes the address for a destination if the
// host has no other addresses than those of its loopback.
func unicast(ip netip.Addr) bool {
	if ip.Is4() {
		// 0.1.2.3 passes, seen on Linux 6.1 and 6.12.
		switch ip.As4() {
		case [4]byte{255, 255, 255, 255}, [4]byte{127, 255, 255, 255}:
			return false
		}
		return !ip.IsUnspecified() && !ip.IsMulticast()
	}
	return !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLinkLocalUnicast()
}

func knownScheduler(name string) bool {
	switch name {
	case "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos", "none":
		return true
	}
	return false
}
