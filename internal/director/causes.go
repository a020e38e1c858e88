package director

import (
	"fmt"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/internal/control"
)

// claimBefore is how long before a role is told the neighbours may hear of it:
// both sides of a split take the address at about the same time.
const claimBefore = time.Second

const (
	inVRRP  = "nft insert rule inet filter input ip protocol vrrp accept"
	inPulse = "nft insert rule inet filter input udp dport %d accept"
)

// nodeCauses says what keeps the two nodes of a pair from agreeing, with what
// mends it. It belongs to the loop's goroutine.
func (d *Director) nodeCauses(n *failover.Status) (causes []string) {
	rule := fmt.Sprintf(inPulse, d.cfg.Setup.Heartbeat.Port)
	p := &n.Partner
	switch {
	case p.Known && p.Alive && !p.Hears:
		causes = append(causes, "the partner is heard and does not hear this router: its firewall drops UDP from here, or the way there is broken: there, try: "+rule)
	case len(n.Channels) > 0 && !p.Alive && p.Refused == "" && n.Role == failover.RoleActive:
		if c := d.loop.sightings.claimed(n.Since.Add(-claimBefore), d.setup.Addresses); c != nil && c.At.After(p.LastHeard) {
			causes = append(causes, unheard(c, "its heartbeats do not come", rule))
		}
	}
	return causes
}

// routerCauses says what keeps a router of VRRP and others from agreeing.
func (d *Director) routerCauses(m *member, s *failover.RouterStatus) (causes []string) {
	if s.Role != failover.RoleActive {
		return nil
	}
	if s.Rival {
		causes = append(causes, fmt.Sprintf("%v is active too, and should give way: it does not hear this router: its firewall drops protocol 112, or the way there is broken: there, try: %s",
			s.Active, inVRRP))
	}
	heard := time.Time{}
	for _, p := range s.Peers {
		if p.LastHeard.After(heard) {
			heard = p.LastHeard
		}
	}
	if r := d.setup.router(m.name); r != nil && !s.Rival {
		if c := d.loop.sightings.claimed(s.Since.Add(-claimBefore), r.Addresses); c != nil && c.At.After(heard) {
			causes = append(causes, unheard(c, "no adverts of it come", inVRRP))
		}
	}
	return causes
}

// unheard says that another machine has an address of ours and is not heard.
func unheard(c *control.Sighting, what, rule string) string {
	return fmt.Sprintf("another machine has %s too, and %s: a firewall here drops them, or the way from there is broken, or somebody gave it the address by hand: here, try: %s",
		c.Address, what, rule)
}
