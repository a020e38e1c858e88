package failover

import (
	"errors"
	"fmt"
)

// memberSpec describes a router or a node to another process: all of its
// configuration but callbacks and interfaces, and which of those there are.
type memberSpec struct {
	Router *RouterConfig `json:"router,omitempty"`
	Node   *Config       `json:"node,omitempty"`
	RawIP  RawIP         `json:"raw_ip"`
	UDP    UDP           `json:"udp"`
	// Addresses are those of an owner; nil is NoAddresses.
	Addresses *AddressesConfig `json:"addresses,omitempty"`
	// Hook, Witness and Fence: there is such a callback.
	Hook    bool `json:"hook"`
	Witness bool `json:"witness,omitempty"`
	Fence   bool `json:"fence,omitempty"`
	// Kept are the orders that were given so far.
	Kept []*note `json:"kept,omitempty"`
}

func (s *memberSpec) kind() string {
	if s.Node != nil {
		return "node"
	}
	return "router"
}

// routerSpec describes a router with a checked configuration. The error lists
// what a beat process cannot have.
func routerSpec(c *RouterConfig) (memberSpec, *Addresses, error) {
	own := *c
	s := memberSpec{Router: &own, Hook: c.OnRole != nil}
	owner, err := describable(c.Owner)
	switch t := c.Transport.(type) {
	case RawIP:
		s.RawIP = t
	default:
		err = errors.Join(err, fmt.Errorf("failover: a transport of %T cannot be in a beat process: use RawIP, or no Beat", t))
	}
	return s, owner, err
}

// nodeSpec does the same for a node.
func nodeSpec(c *Config) (memberSpec, *Addresses, error) {
	own := *c
	s := memberSpec{Node: &own, Hook: c.OnRole != nil, Witness: c.Witness != nil, Fence: c.Fence != nil}
	owner, err := describable(c.Owner)
	switch t := c.Transport.(type) {
	case UDP:
		s.UDP = t
	default:
		err = errors.Join(err, fmt.Errorf("failover: a transport of %T cannot be in a beat process: use UDP, or no Beat", t))
	}
	return s, owner, err
}

// describable returns the owner if it can be made again in another process.
func describable(o AddressOwner) (*Addresses, error) {
	switch o := o.(type) {
	case nil, NoAddresses:
		return nil, nil
	case *Addresses:
		if o.config().Announcer != nil {
			return nil, errors.New("failover: an Announcer of your own cannot be in a beat process: leave it out, or use no Beat")
		}
		return o, nil
	}
	return nil, fmt.Errorf("failover: an owner of %T cannot be in a beat process: use *Addresses or NoAddresses, or no Beat", o)
}
