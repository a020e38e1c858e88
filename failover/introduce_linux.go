package failover

import (
	"context"
	"net/netip"
)

// Introduce tells the neighbours where the source of the adverts is, as hosts do
// when they come up: those that know it, or ask for it, learn it at once.
func (c *rawConn) Introduce(ctx context.Context) error {
	own := VirtualAddress{Prefix: netip.PrefixFrom(c.source, c.source.BitLen()), Device: c.device}
	return linkAnnouncer{c.namespace}.Announce(ctx, []VirtualAddress{own})
}

// Introduce is that of the socket on the real device, where unicast goes.
func (c *virtualConn) Introduce(ctx context.Context) error {
	if i, ok := c.AdvertConn.(introducer); ok {
		return i.Introduce(ctx)
	}
	return nil
}

var _, _ introducer = (*rawConn)(nil), (*virtualConn)(nil)
