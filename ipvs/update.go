package ipvs

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// ServiceUpdate changes parts of a service. Nil fields stay as they are:
// ServiceUpdate{Scheduler: new("sh")} changes the scheduler alone.
type ServiceUpdate struct {
	Scheduler         *string
	Persistence       *time.Duration
	PersistencePrefix *int
	Engine            *string
	// SetFlags are switched on, ClearFlags off; all other flags stay, those
	// without a name too. The kernel changes flags by mask, so they are safe
	// from a change of another flag that comes between.
	SetFlags, ClearFlags ServiceFlags
}

// ownFlags are the bits that a caller does not set.
const ownFlags = flagPersistent | flagHashed

// Apply returns s with the update made, as [Client.UpdateService] would write it.
func (u ServiceUpdate) Apply(s Service) Service {
	set(&s.Scheduler, u.Scheduler)
	set(&s.Persistence, u.Persistence)
	set(&s.PersistencePrefix, u.PersistencePrefix)
	set(&s.Engine, u.Engine)
	s.Flags = s.Flags&^u.ClearFlags | u.SetFlags
	return s
}

// Validate reports an update that contradicts itself; what comes out of it is
// for [Service.Validate] to judge. It wraps EINVAL.
func (u ServiceUpdate) Validate() error {
	switch {
	case u.SetFlags&u.ClearFlags != 0:
		return fmt.Errorf("service flags %v: both set and cleared: %w", u.SetFlags&u.ClearFlags, syscall.EINVAL)
	case (u.SetFlags|u.ClearFlags)&ownFlags != 0:
		return fmt.Errorf("service flags %v: bits 0x1 and 0x2 are the kernel's own, change the persistence instead: %w", u.SetFlags|u.ClearFlags, syscall.EINVAL)
	}
	return nil
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// DestinationUpdate changes parts of a destination. Nil fields stay as they
// are: DestinationUpdate{Weight: new(0)} quiesces.
type DestinationUpdate struct {
	Forward        *ForwardMethod
	Weight         *int
	UpperThreshold *uint32
	LowerThreshold *uint32
	Tunnel         *TunnelOptions
}

// Apply returns d with the update made, as [Client.UpdateDestination] would
// write it.
func (u DestinationUpdate) Apply(d Destination) Destination {
	set(&d.Forward, u.Forward)
	set(&d.Weight, u.Weight)
	set(&d.UpperThreshold, u.UpperThreshold)
	set(&d.LowerThreshold, u.LowerThreshold)
	set(&d.Tunnel, u.Tunnel)
	return d
}

// UpdateService changes parts of a service; [ErrServiceNotFound] if it is not
// there.
//
// The kernel only replaces a service as a whole, its persistence engine too.
// So the service is read first, which costs one more system call each way, and
// what another program changes between reading and writing is lost, but for
// flags that the update does not name. A netmask that is no prefix cannot be
// kept: the update of such a persistent service has to set the prefix, too. A
// program that knows the whole service better uses [Client.SetService].
func (c *Client) UpdateService(ctx context.Context, key ServiceKey, u ServiceUpdate) error {
	err := u.Validate()
	if err == nil {
		err = validateServiceKey(key)
	}
	if err == nil {
		err = c.begin(ctx)
	}
	if err == nil {
		err = c.doUpdateService(ctx, key, u)
		c.end()
	}
	if err != nil {
		return &OpError{Op: OpSetService, Service: key, Err: err}
	}
	return nil
}

func (c *Client) doUpdateService(ctx context.Context, key ServiceKey, u ServiceUpdate) error {
	have, err := c.doService(ctx, key)
	if err != nil {
		return err
	}
	s := u.Apply(have.Service)
	s.Flags &^= flagPersistent // its bit is the mask's business
	if s.PersistencePrefix < 0 && u.PersistencePrefix == nil {
		if s.Persistence > 0 {
			return fmt.Errorf("its netmask is no prefix and cannot be kept: set the persistence prefix, too: %w", syscall.EINVAL)
		}
		s.PersistencePrefix = 0 // a netmask without persistence means nothing
	}
	if err := s.Validate(); err != nil {
		return err
	}
	mask := u.SetFlags | u.ClearFlags
	if u.Persistence != nil {
		mask |= flagPersistent
	}
	s = s.Normalized()
	seq := c.request(cmdSetService, nlAck, func(b []byte) []byte { return appendServiceMasked(b, &s, mask) })
	return outcome(c.exchange(ctx, seq, seq, untilAck, nil))
}

// UpdateDestination changes parts of a destination; [ErrServiceNotFound] if
// the service is not there, [ErrDestinationNotFound] if the destination is not.
//
// The kernel only replaces a destination as a whole, and it lists a service's
// destinations only all together. So an update that leaves something out reads
// them first, which costs what [Client.Destinations] costs; what another
// program changes between reading and writing is lost. A program that knows
// the whole destination better uses [Client.SetDestination].
func (c *Client) UpdateDestination(ctx context.Context, of ServiceKey, key DestinationKey, u DestinationUpdate) error {
	err := validateServiceKey(of)
	if err == nil {
		err = validateDestinationKey(key)
	}
	if err == nil {
		err = c.begin(ctx)
	}
	if err == nil {
		err = c.doUpdateDestination(ctx, of, key, u)
		c.end()
	}
	if err != nil {
		return &OpError{Op: OpSetDestination, Service: of, Destination: key, Err: err}
	}
	return nil
}

func (c *Client) doUpdateDestination(ctx context.Context, of ServiceKey, key DestinationKey, u DestinationUpdate) error {
	ch := Change{Op: OpSetDestination, Service: Service{Key: of}, Destination: Destination{Key: key}}
	if !u.complete() {
		list, err := c.doDestinations(ctx, of, nil)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(d DestinationState) bool { return d.Key == key })
		if i < 0 {
			return syscall.ENOENT
		}
		ch.Destination = list[i].Destination
	}
	ch.Destination = u.Apply(ch.Destination)
	return c.sendChange(ctx, &ch)
}

// complete tells whether nothing is left to what is there.
func (u DestinationUpdate) complete() bool {
	return u.Forward != nil && u.Weight != nil && u.UpperThreshold != nil && u.LowerThreshold != nil && u.Tunnel != nil
}
