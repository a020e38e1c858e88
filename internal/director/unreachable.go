package director

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/lvskit/lvskit/failover"
)

// deadLinks are the devices of addresses that are held here which nobody can be
// reached through, with what is wrong. What cannot be found out is no trouble,
// and a device that is gone is one with the addresses.
func (p *polled) deadLinks(interfaces func() ([]net.Interface, error)) (dead []deadLink) {
	held := make(map[string][]string)
	take := func(serving bool, list []failover.AddressStatus) {
		for _, a := range list {
			if serving && a.Held {
				held[a.Device] = append(held[a.Device], a.Prefix.String())
			}
		}
	}
	take(p.node.Serving, p.node.Addresses)
	for i := range p.routers {
		take(p.routers[i].Serving, p.routers[i].Addresses)
	}
	if len(held) == 0 {
		return nil
	}
	list, _ := interfaces() // not known
	for _, i := range list {
		addresses := held[i.Name]
		switch {
		case addresses == nil:
		case i.Flags&net.FlagUp == 0:
			dead = append(dead, deadLink{i.Name + " is down", addresses})
		case i.Flags&net.FlagRunning == 0:
			dead = append(dead, deadLink{i.Name + " has no carrier", addresses})
		}
	}
	return dead
}

// deadLink is a device in trouble, with the addresses that it carries.
type deadLink struct {
	what      string
	addresses []string
}

// manyAddresses is how many of them are named.
const manyAddresses = 4

// unreachable says that in words, with the cure that the configuration leaves.
// A router of VRRP and one that watches its links give way by themselves.
func (s *Setup) unreachable(dead []deadLink) (out []string) {
	for _, l := range dead {
		names := strings.Join(l.addresses[:min(len(l.addresses), manyAddresses)], ", ")
		if more := len(l.addresses) - manyAddresses; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		text := l.what + ": nobody reaches " + names
		if s.Heartbeat.Enabled && len(s.Routers) == 0 && len(slices.Concat(s.Links[0], s.Links[1])) == 0 {
			text += "; monitor_links = 1 lets the other router take over"
		}
		out = append(out, text)
	}
	return out
}
