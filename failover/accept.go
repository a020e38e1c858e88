package failover

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/lvskit/lvskit/failover/internal/nft"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// dropAlso extends the filter to addresses that are about to come. What it
// returns makes it that of the addresses that there are then. It is not called
// with mu, as it asks the kernel.
func (r *Router) dropAlso(addrs []netip.Addr) (settle func(), err error) {
	r.mu.Lock()
	running, old := r.started, r.cfg.Addresses
	r.mu.Unlock()
	if r.filter == nil || !running || slices.Equal(addrs, old) {
		return func() {}, nil
	}
	all := slices.Clone(old)
	for _, a := range addrs {
		if a.IsValid() && a.Is6() == old[0].Is6() && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	if err := r.filter.Set(all); err != nil {
		return nil, err
	}
	return func() {
		r.mu.Lock()
		now := r.cfg.Addresses
		r.mu.Unlock()
		if err := r.filter.Set(now); err != nil {
			r.events.emit(Event{Kind: EventAddressTrouble, Err: err})
		}
	}, nil
}

// newFilter returns what drops what comes for the addresses of a router, nil if
// it accepts: an owner always does (RFC 9568, section 6.1). It is there as long
// as the router runs: while the addresses are elsewhere nothing comes for them.
func newFilter(c *RouterConfig) (*nft.Table, error) {
	if !c.NoAccept || c.Priority == vrrp.PriorityOwner {
		return nil, nil
	}
	raw, ok := c.Transport.(RawIP)
	if !ok {
		return nil, fmt.Errorf("failover: a router that does not accept needs the transport RawIP, this one is %T", c.Transport)
	}
	return nft.New(raw.Namespace, "lvskit-"+VirtualDevice(c.Device, c.VRID, c.six())), nil
}
