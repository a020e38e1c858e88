package failover

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/lvskit/lvskit/failover/internal/enum"
)

// AddressWatcher is an [AddressOwner] that sees what others do to its
// addresses. [Addresses] is one.
type AddressWatcher interface {
	// Watch calls see for each sighting until ctx ends, and then returns nil.
	// An error ends it earlier; it may be called again. see returns at once
	// and may be called by several goroutines.
	Watch(ctx context.Context, see func(Sighting)) error
}

// SightingKind is the kind of a [Sighting].
type SightingKind uint8

// Kinds of sightings. Device is filled by all, the other fields as named.
const (
	// SightingRemoved: someone else removed an address that is held, or a route
	// that came with it. Address or Route.
	SightingRemoved SightingKind = 1 + iota
	// SightingClaimed: another machine told the network that an address of the
	// set is at its own hardware address, whether it is held here or not.
	// Address, MAC.
	SightingClaimed
	// SightingDuplicate: the kernel found an IPv6 address that is held on
	// another machine, and keeps it unusable (IFA_F_DADFAILED). Address.
	SightingDuplicate
	// SightingRestored: a device came up, got its carrier back, was made anew,
	// or has another hardware address.
	SightingRestored
	// SightingUnbelieved: a neighbour answers this machine, but what it sends
	// to an address that is held does not arrive here. Address, Neighbour.
	SightingUnbelieved
)

var sightingNames = []string{
	SightingRemoved:    "removed",
	SightingClaimed:    "claimed",
	SightingDuplicate:  "duplicate",
	SightingRestored:   "restored",
	SightingUnbelieved: "unbelieved",
}

// String returns the name in lower case, or sighting(N) for unknown ones.
func (k SightingKind) String() string { return enum.Name("sighting", sightingNames, uint8(k)) }

// MarshalText returns the same as String.
func (k SightingKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote, unknown numbers included.
func (k *SightingKind) UnmarshalText(text []byte) error {
	v, err := enum.Parse("failover", "sighting", sightingNames, string(text))
	if err == nil {
		*k = SightingKind(v)
	}
	return err
}

// Sighting is something that befell the addresses of an [AddressWatcher] from
// outside.
type Sighting struct {
	Kind    SightingKind
	Address netip.Addr
	// Device is where it was seen, as eth0.
	Device string
	// MAC is the other machine's hardware address; not to be changed.
	MAC net.HardwareAddr
	// Route is the destination of a route that was removed.
	Route netip.Prefix
	// Neighbour is who does not believe.
	Neighbour netip.Addr
}

// String returns a line for a log.
func (s Sighting) String() string {
	text := s.Kind.String()
	if s.Address.IsValid() {
		text += " " + s.Address.String()
	}
	if s.Route.IsValid() {
		text += " route to " + s.Route.String()
	}
	text += " on " + s.Device
	if len(s.MAC) > 0 {
		text += " by " + s.MAC.String()
	}
	if s.Neighbour.IsValid() {
		text += fmt.Sprintf(" by its neighbour %v", s.Neighbour)
	}
	return text
}
