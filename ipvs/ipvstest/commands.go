package ipvstest

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"iter"
	"slices"
	"syscall"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// AddService is like [ipvs.Client.AddService].
func (k *Kernel) AddService(ctx context.Context, s ipvs.Service) error {
	return k.doChange(ctx, ipvs.Change{Op: ipvs.OpAddService, Service: s})
}

// SetService is like [ipvs.Client.SetService].
func (k *Kernel) SetService(ctx context.Context, s ipvs.Service) error {
	return k.doChange(ctx, ipvs.Change{Op: ipvs.OpSetService, Service: s})
}

// DelService is like [ipvs.Client.DelService].
func (k *Kernel) DelService(ctx context.Context, key ipvs.ServiceKey) error {
	return k.doChange(ctx, ipvs.Change{Op: ipvs.OpDelService, Service: ipvs.Service{Key: key}})
}

// AddDestination is like [ipvs.Client.AddDestination].
func (k *Kernel) AddDestination(ctx context.Context, of ipvs.ServiceKey, d ipvs.Destination) error {
	return k.doChange(ctx, ipvs.Change{Op: ipvs.OpAddDestination, Service: ipvs.Service{Key: of}, Destination: d})
}

// SetDestination is like [ipvs.Client.SetDestination].
func (k *Kernel) SetDestination(ctx context.Context, of ipvs.ServiceKey, d ipvs.Destination) error {
	return k.doChange(ctx, ipvs.Change{Op: ipvs.OpSetDestination, Service: ipvs.Service{Key: of}, Destination: d})
}

// DelDestination is like [ipvs.Client.DelDestination].
func (k *Kernel) DelDestination(ctx context.Context, of ipvs.ServiceKey, d ipvs.DestinationKey) error {
	return k.doChange(ctx, ipvs.Change{Op: ipvs.OpDelDestination, Service: ipvs.Service{Key: of}, Destination: ipvs.Destination{Key: d}})
}

func (k *Kernel) doChange(ctx context.Context, c ipvs.Change) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.changeLocked(ctx, &c)
}

func (k *Kernel) changeLocked(ctx context.Context, c *ipvs.Change) error {
	return k.doLocked(ctx, commandOf(c), c.Validate(), func() error { return k.change(c) })
}

// commandOf returns what counts of a change.
func commandOf(c *ipvs.Change) Command {
	cmd := Command{Op: c.Op, Service: ipvs.Service{Key: c.Service.Key}}
	switch c.Op {
	case ipvs.OpAddService, ipvs.OpSetService:
		cmd.Service = c.Service
	case ipvs.OpAddDestination, ipvs.OpSetDestination:
		cmd.Destination = c.Destination
	case ipvs.OpDelDestination:
		cmd.Destination.Key = c.Destination.Key
	}
	return cmd
}

// validKey is the check of a client of a service's key.
func validKey(key ipvs.ServiceKey) error {
	return ipvs.Service{Key: key}.Validate()
}

// UpdateService is like [ipvs.Client.UpdateService]. Faults count it as one
// command, OpSetService.
func (k *Kernel) UpdateService(ctx context.Context, key ipvs.ServiceKey, u ipvs.ServiceUpdate) error {
	c := Command{Op: ipvs.OpSetService, Service: ipvs.Service{Key: key}}
	k.mu.Lock()
	defer k.mu.Unlock()
	if svc := k.services[key]; svc != nil {
		c.Service = u.Apply(svc.config)
	}
	return k.doLocked(ctx, c, cmp.Or(u.Validate(), validKey(key)), func() error {
		if k.services[key] == nil {
			return syscall.ESRCH
		}
		return k.checked(&ipvs.Change{Op: c.Op, Service: c.Service})
	})
}

// checked does a change of which only now is known whether it is valid.
func (k *Kernel) checked(c *ipvs.Change) error {
	if err := c.Validate(); err != nil {
		return err
	}
	return k.change(c)
}

// UpdateDestination is like [ipvs.Client.UpdateDestination]. Faults count it
// as one command, OpSetDestination.
func (k *Kernel) UpdateDestination(ctx context.Context, of ipvs.ServiceKey, key ipvs.DestinationKey, u ipvs.DestinationUpdate) error {
	c := Command{Op: ipvs.OpSetDestination, Service: ipvs.Service{Key: of}, Destination: ipvs.Destination{Key: key}}
	named := ipvs.Change{Op: ipvs.OpDelDestination, Service: c.Service, Destination: c.Destination}
	k.mu.Lock()
	defer k.mu.Unlock()
	// An update of everything needs no reading, and so is checked first.
	whole := u.Forward != nil && u.Weight != nil && u.UpperThreshold != nil && u.LowerThreshold != nil && u.Tunnel != nil
	svc, found := k.services[of], false
	if svc != nil && !whole {
		if i := svc.find(key); i >= 0 {
			found, c.Destination = true, svc.dests[i].Destination
		}
	}
	c.Destination = u.Apply(c.Destination)
	return k.doLocked(ctx, c, named.Validate(), func() error {
		switch {
		case whole:
		case svc == nil:
			return syscall.ESRCH
		case !found:
			return syscall.ENOENT
		}
		return k.checked(&ipvs.Change{Op: c.Op, Service: c.Service, Destination: c.Destination})
	})
}

// Apply is like [ipvs.Client.Apply]: a change that fails does not stop the
// others, a context that has ended does.
func (k *Kernel) Apply(ctx context.Context, changes []ipvs.Change) error {
	return k.apply(ctx, changes, false)
}

// ApplyUntilFailure is like [ipvs.Client.ApplyUntilFailure].
func (k *Kernel) ApplyUntilFailure(ctx context.Context, changes []ipvs.Change) error {
	return k.apply(ctx, changes, true)
}

func (k *Kernel) apply(ctx context.Context, changes []ipvs.Change, stop bool) error {
	if len(changes) == 0 {
		return ctx.Err()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var result ipvs.ApplyError
	for i := range changes {
		if err := k.ready(ctx); err != nil {
			result.Cause, result.Unsent = &ipvs.OpError{Op: ipvs.OpApply, Err: err}, len(changes)-i
			break
		}
		err := k.changeLocked(context.WithoutCancel(ctx), &changes[i])
		if errors.Is(err, ipvs.ErrStateUnknown) {
			result.Cause, result.Unknown = err, len(changes)-i
			if stop {
				result.Unknown, result.Unsent = 1, len(changes)-i-1
			}
			break
		}
		if err == nil {
			result.Applied++
		} else if op, ok := errors.AsType[*ipvs.OpError](err); ok {
			result.Failed = append(result.Failed, op)
			if stop {
				result.Unsent = len(changes) - i - 1
				break
			}
		}
	}
	if result.Applied == len(changes) {
		return nil
	}
	return &result
}

// Service is like [ipvs.Client.Service].
func (k *Kernel) Service(ctx context.Context, key ipvs.ServiceKey) (s ipvs.ServiceState, err error) {
	err = k.do(ctx, Command{Op: ipvs.OpGetService, Service: ipvs.Service{Key: key}}, validKey(key), func() error {
		svc, err := k.lookUp(key)
		if err == nil {
			s = ipvs.ServiceState{Service: svc.config, Stats: svc.stats}
		}
		return err
	})
	return s, err
}

func (k *Kernel) lookUp(key ipvs.ServiceKey) (*service, error) {
	svc := k.services[key]
	if svc == nil {
		return nil, syscall.ESRCH
	}
	return svc, nil
}

// Services is like [ipvs.Client.Services]. The order is as meaningless as the
// kernel's, but the same each time.
func (k *Kernel) Services(ctx context.Context) iter.Seq2[ipvs.ServiceState, error] {
	return func(yield func(ipvs.ServiceState, error) bool) {
		var list []ipvs.ServiceState
		err := k.do(ctx, Command{Op: ipvs.OpListServices}, nil, func() error {
			for _, svc := range k.services {
				list = append(list, ipvs.ServiceState{Service: svc.config, Stats: svc.stats})
			}
			return nil
		})
		if err != nil {
			yield(ipvs.ServiceState{}, err)
			return
		}
		slices.SortFunc(list, func(a, b ipvs.ServiceState) int {
			if a.Key.IsMark() != b.Key.IsMark() {
				return a.Key.Compare(b.Key)
			}
			return cmp.Or(cmp.Compare(bucket(a.Key), bucket(b.Key)), a.Key.Compare(b.Key))
		})
		for _, s := range list {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func bucket(k ipvs.ServiceKey) uint32 {
	h := fnv.New32a()
	h.Write([]byte(k.String()))
	return h.Sum32()
}

// Destinations is like [ipvs.Client.Destinations].
func (k *Kernel) Destinations(ctx context.Context, of ipvs.ServiceKey) iter.Seq2[ipvs.DestinationState, error] {
	return func(yield func(ipvs.DestinationState, error) bool) {
		var list []ipvs.DestinationState
		err := k.do(ctx, Command{Op: ipvs.OpListDestinations, Service: ipvs.Service{Key: of}}, validKey(of), func() error {
			svc, err := k.lookUp(of)
			if err == nil {
				list = svc.states()
			}
			return err
		})
		if err != nil {
			yield(ipvs.DestinationState{}, err)
			return
		}
		for _, d := range list {
			if !yield(d, nil) {
				return
			}
		}
	}
}

func (s *service) states() []ipvs.DestinationState {
	list := make([]ipvs.DestinationState, 0, len(s.dests))
	for _, d := range s.dests {
		list = append(list, *d)
	}
	return list
}

// Snapshot is like [ipvs.Client.Snapshot]. Faults count it as one command,
// OpListServices.
func (k *Kernel) Snapshot(ctx context.Context) (snap ipvs.Snapshot, err error) {
	err = k.do(ctx, Command{Op: ipvs.OpListServices}, nil, func() error {
		snap = make(ipvs.Snapshot, 0, len(k.services))
		for _, svc := range k.services {
			snap = append(snap, ipvs.EntryState{
				Service:      ipvs.ServiceState{Service: svc.config, Stats: svc.stats},
				Destinations: svc.states(),
			})
		}
		return nil
	})
	slices.SortFunc(snap, func(a, b ipvs.EntryState) int { return a.Service.Key.Compare(b.Service.Key) })
	return snap, err
}

// Timeouts is like [ipvs.Client.Timeouts].
func (k *Kernel) Timeouts(ctx context.Context) (t ipvs.Timeouts, err error) {
	err = k.do(ctx, Command{Op: ipvs.OpGetTimeouts}, nil, func() error {
		t = k.timeouts
		return nil
	})
	return t, err
}

// ticks is the timer rate of this kernel, which limits the timeouts.
const ticks = 100

// SetTimeouts is like [ipvs.Client.SetTimeouts].
func (k *Kernel) SetTimeouts(ctx context.Context, t ipvs.Timeouts) error {
	return k.do(ctx, Command{Op: ipvs.OpSetTimeouts, Timeouts: t}, t.Validate(), func() error {
		for _, d := range []time.Duration{t.TCP, t.TCPFin, t.UDP} {
			if d > (1<<31-1)/ticks*time.Second {
				return syscall.EINVAL
			}
		}
		set(&k.timeouts.TCP, t.TCP)
		set(&k.timeouts.TCPFin, t.TCPFin)
		set(&k.timeouts.UDP, t.UDP)
		return nil
	})
}

func set(to *time.Duration, d time.Duration) {
	if d != 0 {
		*to = (d + time.Second - 1).Truncate(time.Second)
	}
}

// Info is like [ipvs.Client.Info]: version 1.2.1 with 4096 buckets.
func (k *Kernel) Info(ctx context.Context) (i ipvs.Info, err error) {
	err = k.do(ctx, Command{Op: ipvs.OpInfo}, nil, func() error {
		i = ipvs.Info{Version: 0x010201, ConnTableSize: 4096}
		return nil
	})
	return i, err
}

// Zero is like [ipvs.Client.Zero].
func (k *Kernel) Zero(ctx context.Context, key ipvs.ServiceKey) error {
	return k.do(ctx, Command{Op: ipvs.OpZero, Service: ipvs.Service{Key: key}}, validKey(key), func() error {
		svc, err := k.lookUp(key)
		if err == nil {
			svc.zero()
		}
		return err
	})
}

func (s *service) zero() {
	s.stats = ipvs.Stats{}
	for _, d := range s.dests {
		d.Stats = ipvs.Stats{}
	}
}

// ZeroAll is like [ipvs.Client.ZeroAll].
func (k *Kernel) ZeroAll(ctx context.Context) error {
	return k.do(ctx, Command{Op: ipvs.OpZeroAll}, nil, func() error {
		for _, svc := range k.services {
			svc.zero()
		}
		return nil
	})
}

// DeleteEverything is like [ipvs.Client.DeleteEverything].
func (k *Kernel) DeleteEverything(ctx context.Context) error {
	return k.do(ctx, Command{Op: ipvs.OpDeleteEverything}, nil, func() error {
		clear(k.services)
		return nil
	})
}
