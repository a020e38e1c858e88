package failover

import (
	"context"
	"errors"
)

// AddressOwner takes and gives back the virtual addresses. Who elects, a [Node]
// or a [Router], calls its methods one after another from one goroutine, and each
// has an owner of its own. All of them may be repeated: they bring about a state,
// they do not toggle it.
//
// They may take their time, as adverts and beats do not wait for them, but have to
// return soon after their context ends: nothing else is done before, and Run waits,
// too. The context ends when the role is another one, and for Release after ten
// seconds. One that has not returned for ten seconds is told as a trouble.
type AddressOwner interface {
	// Acquire makes sure that the addresses are here. What is here already
	// stays untouched. The node calls it when it becomes active and again
	// from time to time, to put back what others removed.
	Acquire(ctx context.Context) error
	// Release makes sure that they are not here, also those that an earlier
	// process left behind.
	Release(ctx context.Context) error
	// Announce tells the neighbours once that the addresses are here. It is also
	// called after an Acquire that failed, for those that are here all the same.
	Announce(ctx context.Context) error
}

// checkOwner refuses an owner of ours that NewAddresses did not make: a nil
// pointer in an interface is not nil.
func checkOwner(o AddressOwner) error {
	if a, ok := o.(*Addresses); ok && (a == nil || a.keeper == nil) {
		return errors.New("failover: the owner is a nil or zero *Addresses: make it with NewAddresses, or leave Owner nil for none")
	}
	return nil
}

// NoAddresses is the owner of nothing, for directors whose addresses are
// there anyway, as on loopback.
type NoAddresses struct{}

// Acquire does nothing.
func (NoAddresses) Acquire(context.Context) error { return nil }

// Release does nothing.
func (NoAddresses) Release(context.Context) error { return nil }

// Announce does nothing.
func (NoAddresses) Announce(context.Context) error { return nil }

var _ AddressOwner = NoAddresses{}
