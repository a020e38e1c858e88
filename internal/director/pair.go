package director

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/lvskit/lvskit/failover"
)

// PairOptions are what a configuration cannot know of the machine it is on.
type PairOptions struct {
	// Role is "primary", "backup", or "auto" to tell by the local addresses.
	Role string
	// Channels replace the heartbeat paths of the configuration; for pairs
	// whose paths differ in more than the address.
	Channels []failover.Channel
	// KeyFile holds the key that both routers share, in place of the one that
	// the configuration names; DefaultKeyFile counts when neither does.
	KeyFile, DefaultKeyFile string
	// Local lists the addresses of this machine.
	Local func() ([]netip.Addr, error)
	// Legacy is the heartbeat of Piranha's pulse, which has no key.
	Legacy bool
	// Witness and Fence replace those of the configuration; the zero values
	// leave them.
	Witness netip.Addr
	Fence   string
}

// Identities of a node.
const (
	IdentityAlone   = "alone"
	IdentityPrimary = "primary"
	IdentityBackup  = "backup"
)

// Pair works out this node's part in the pair: the failover configuration
// and the identity, "primary", "backup" or "alone".
func (s *Setup) Pair(o PairOptions) (failover.Config, string, error) {
	h := s.Heartbeat
	if !h.Enabled {
		if o.Role == IdentityBackup {
			return failover.Config{}, "", fmt.Errorf("%s: backup_active is 0, so there is no backup router to be: set backup_active = 1 on both routers", s.Source)
		}
		return failover.Config{Primary: true}, IdentityAlone, nil
	}
	identity, err := s.identity(o)
	if err != nil {
		return failover.Config{}, "", err
	}
	keys, err := s.Keys(o)
	if err != nil {
		return failover.Config{}, "", err
	}
	c := failover.Config{
		Primary:   identity == IdentityPrimary,
		Channels:  o.Channels,
		Keys:      keys,
		Legacy:    o.Legacy,
		Interval:  h.Interval,
		DeadAfter: h.DeadAfter,
	}
	if len(c.Channels) == 0 {
		mine, theirs := h.Primary, h.Backup
		if !c.Primary {
			mine, theirs = theirs, mine
		}
		names := []string{"public", "private"}
		for i := range min(len(mine), len(theirs)) {
			name := fmt.Sprintf("path %d", i+1)
			if i < len(names) {
				name = names[i]
			}
			c.Channels = append(c.Channels, failover.Channel{
				Name:  name,
				Local: netip.AddrPortFrom(mine[i], h.Port),
				Peer:  netip.AddrPortFrom(theirs[i], h.Port),
			})
		}
	}
	if err := h.beforeTakingOver(&c, o); err != nil {
		return failover.Config{}, "", err
	}
	return c, identity, nil
}

// identity tells which of the two routers this machine is.
func (s *Setup) identity(o PairOptions) (string, error) {
	switch o.Role {
	case IdentityPrimary, IdentityBackup:
		return o.Role, nil
	case "auto", "":
	default:
		return "", fmt.Errorf("role %q: want auto, primary or backup", o.Role)
	}
	local, err := o.Local()
	if err != nil {
		return "", fmt.Errorf("list the addresses of this machine: %w; name the router with --role primary or --role backup", err)
	}
	here := func(as []netip.Addr) bool {
		return slices.ContainsFunc(as, func(a netip.Addr) bool { return slices.Contains(local, a) })
	}
	p, b := here(s.Heartbeat.Primary), here(s.Heartbeat.Backup)
	switch {
	case p && b:
		return "", fmt.Errorf("%s: this machine has the addresses of both routers, primary %v and backup %v: say which it is with --role primary or --role backup", s.Source, s.Heartbeat.Primary, s.Heartbeat.Backup)
	case p:
		return IdentityPrimary, nil
	case b:
		return IdentityBackup, nil
	}
	return "", fmt.Errorf("%s: this machine has neither the primary's address %v nor the backup's %v: mend the file, or say which it is with --role primary or --role backup", s.Source, s.Heartbeat.Primary, s.Heartbeat.Backup)
}
