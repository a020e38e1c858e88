package director

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/track"
	"github.com/lvskit/lvskit/failover/vrrp"
	"github.com/lvskit/lvskit/lvscf"
)

// RouterSetup is a vrrp block: one virtual router that this director takes part
// in, with the addresses that move with it.
type RouterSetup struct {
	Name string
	// Config is what both routers of the pair have in common: it lacks the
	// secrets, the peers, and the priority of a backup. [Setup.Elect] fills
	// them in.
	Config failover.RouterConfig
	// BackupPriority is that of the router that is not the primary one; zero
	// is the same as Config.Priority.
	BackupPriority uint8
	// Peers are all unicast routers of the block, which may include this one.
	Peers []netip.Addr
	// Auth and KeyFile say how packets are authenticated.
	Auth    lvscf.VRRPAuth
	KeyFile string
	// Addresses move with the router.
	Addresses []failover.VirtualAddress
	// Routes move with Addresses.
	Routes []failover.VirtualRoute
	// Announcing is the plan by which neighbours are told of them.
	Announcing failover.Announcing
	// SyncGroup names the routers that change together; empty is none.
	SyncGroup string
	// Tracks are what the router depends on besides its own device.
	Tracks []track.Track
	Hooks  Hooks
	// Place is where the block begins, as FILE:LINE:COLUMN.
	Place string
}

// Hooks are the programs of a vrrp block; empty is none.
type Hooks struct{ Master, Backup, Fault, Notify string }

// setRouters takes the vrrp blocks, and tells each service which of them it
// moves with.
func (s *Setup) setRouters(c *lvscf.Config) error {
	for i := range c.VRRPs {
		b := &c.VRRPs[i]
		place := fmt.Sprintf("%s:%v: vrrp %s", c.Path, b.Pos, b.Name)
		if b.Interface == "" || b.VRID == 0 {
			return fmt.Errorf("%s: without interface and vrid it cannot run: write both", place)
		}
		r := RouterSetup{
			Name: b.Name, BackupPriority: b.BackupPriority, Auth: b.Auth, KeyFile: b.KeyFile, SyncGroup: b.SyncGroup, Place: place,
			Announcing: announcing(lvscf.Announcing{
				GARPCount: cmp.Or(b.GARPCount, c.GARPCount), GARPInterval: cmp.Or(b.GARPInterval, c.GARPInterval),
				GARPRefresh: cmp.Or(b.GARPRefresh, c.GARPRefresh),
			}),
			Hooks: Hooks{Master: b.MasterCmd, Backup: b.BackupCmd, Fault: b.FaultCmd, Notify: b.NotifyCmd},
			Config: failover.RouterConfig{
				VRID: b.VRID, Device: b.Interface, Version: b.Version, Priority: b.Priority, Interval: b.AdvertInterval,
				DownAdverts: int(b.DownAdverts), NoPreempt: !b.Preempt, PreemptDelay: b.PreemptDelay, Source: b.UnicastSource.Addr, VirtualMAC: b.VirtualMAC,
				NoAccept: !b.Accept,
			},
		}
		var err error
		if r.Tracks, err = s.tracksOf(b); err != nil {
			return err
		}
		if !b.Accept {
			s.note("%s: accept = 0 drops what comes for its addresses: they are good as gateways, and no service at them is reached", place)
		}
		if b.Checksum == lvscf.VRRPMessageOnly {
			r.Config.Checksum = vrrp.MessageOnly
		}
		for _, p := range b.UnicastPeers {
			r.Peers = append(r.Peers, p.Addr)
		}
		for _, a := range b.Addresses {
			s.addAddress(c, &r.Addresses, a.Prefix.Addr(), lvscf.Netmask(a.Prefix.Bits()), a.Device)
		}
		r.Routes = virtualRoutes(b.Routes)
		if slices.ContainsFunc(s.Routers, func(o RouterSetup) bool { return o.Name == r.Name }) {
			return fmt.Errorf("%s: another vrrp block has this name already: give one of the two another name", place)
		}
		s.Routers = append(s.Routers, r)
	}
	if len(s.Routers) == 0 {
		return fmt.Errorf("%s:%v: failover_mode = vrrp without a vrrp block: write one with interface and vrid", c.Path, c.Origins.Pos("failover_mode"))
	}
	return nil
}

// routerOf finds the router that a service or an address moves with: the one
// that is named, or the only one, or the only one on its device.
func (s *Setup) routerOf(name, device string) *RouterSetup {
	base, _ := failover.SplitAlias(device)
	var found *RouterSetup
	for i := range s.Routers {
		r := &s.Routers[i]
		if len(s.Routers) == 1 && name == "" || name != "" && r.Name == name {
			return r
		}
		if name == "" && base != "" && r.Config.Device == base {
			if found != nil {
				return nil
			}
			found = r
		}
	}
	return found
}

// moveWith puts a service under the router that it moves with, and returns the
// list that its address belongs to.
func (s *Setup) moveWith(c *lvscf.Config, v *lvscf.Virtual, out *VirtualService) (*[]failover.VirtualAddress, error) {
	if c.FailoverMode != lvscf.VRRPMode {
		return &s.Addresses, nil
	}
	r := s.routerOf(v.VRRP, v.Device)
	if r == nil && v.VRRP != "" {
		var names []string
		for i := range s.Routers {
			names = append(names, s.Routers[i].Name)
		}
		return nil, fmt.Errorf("%s:%v: virtual %s: there is no vrrp block %q: name one of %s", c.Path, v.Origins.Pos("vrrp"), v.Name, v.VRRP, strings.Join(names, ", "))
	}
	if r == nil {
		return nil, fmt.Errorf("%s:%v: virtual %s: it is not clear which of the %d vrrp blocks it moves with: write vrrp = NAME", c.Path, v.Pos, v.Name, len(s.Routers))
	}
	out.Router = r.Name
	return &r.Addresses, nil
}

// listFor finds where a floating address belongs that is of no service.
func (s *Setup) listFor(c *lvscf.Config, device string) *[]failover.VirtualAddress {
	if c.FailoverMode != lvscf.VRRPMode {
		return &s.Addresses
	}
	return &s.routerFor(device).Addresses
}

// routerFor is the router on a device, or else the first one.
func (s *Setup) routerFor(device string) *RouterSetup {
	return cmp.Or(s.routerOf("", device), &s.Routers[0])
}

// checkRouters works out what the adverts of each router say, and has them
// judged while the file's lines are known.
func (s *Setup) checkRouters() error {
	carrier := make(map[netip.Addr]string)
	for i := range s.Routers {
		r := &s.Routers[i]
		for _, a := range r.Addresses {
			ip := a.Prefix.Addr()
			if other := carrier[ip]; other != "" {
				return fmt.Errorf("%s: address %v moves with vrrp %s already: give all services of one address the same vrrp block", r.Place, ip, other)
			}
			carrier[ip] = r.Name
		}
		for _, route := range r.Routes {
			other := slices.IndexFunc(s.Routers[:i], func(o RouterSetup) bool { return leads(o.Routes, route) })
			if other >= 0 {
				return fmt.Errorf("%s: route %v moves with vrrp %s already: give it another metric", r.Place, route, s.Routers[other].Name)
			}
		}
		if len(r.Addresses) == 0 {
			return fmt.Errorf("%s: it carries no address: name it with vrrp = %s in a virtual block, or write address = ADDRESS/LENGTH DEVICE", r.Place, r.Name)
		}
		r.Config.Addresses = advertised(r)
		// Of secrets only whether they fit is not known yet.
		if _, err := failover.NewRouter(&r.Config); err != nil {
			return fmt.Errorf("%s: %w", r.Place, onOneLine{err})
		}
	}
	return nil
}

// advertised are the addresses that adverts tell: those of one family, the
// link-local one first with IPv6. Addresses of the other family move with them
// untold. Where there are both, IPv4 it is unless the peers speak IPv6.
func advertised(r *RouterSetup) []netip.Addr {
	six := !slices.ContainsFunc(r.Addresses, func(a failover.VirtualAddress) bool { return a.Prefix.Addr().Is4() })
	for _, a := range append([]netip.Addr{r.Config.Source}, r.Peers...) {
		if a.IsValid() {
			six = a.Is6()
		}
	}
	var out []netip.Addr
	for _, a := range r.Addresses {
		if ip := a.Prefix.Addr(); ip.Is6() == six {
			out = append(out, ip)
		}
	}
	slices.SortStableFunc(out, func(a, b netip.Addr) int { return cmp.Compare(rank(a), rank(b)) })
	return out
}

func rank(a netip.Addr) int {
	if a.Is6() && a.IsLinkLocalUnicast() {
		return 0
	}
	return 1
}

// Elect works out this director's part in each virtual router of VRRP, and who
// of the pair it is: "primary", "backup", or "alone" where the file does not
// tell routers apart.
func (s *Setup) Elect(o PairOptions) ([]failover.RouterConfig, string, error) {
	local, err := o.Local()
	if err != nil {
		return nil, "", fmt.Errorf("list the addresses of this machine: %w", err)
	}
	identity, err := s.identity(o)
	if err != nil {
		if o.Role != "" && o.Role != "auto" || slices.ContainsFunc(s.Routers, func(r RouterSetup) bool { return r.BackupPriority != 0 }) {
			return nil, "", err
		}
		identity = IdentityAlone // one of many, or one that has a file of its own
	}
	var configs []failover.RouterConfig
	for i := range s.Routers {
		c, err := s.Routers[i].elect(identity, local)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", s.Routers[i].Place, err)
		}
		configs = append(configs, c)
	}
	return configs, identity, nil
}

// elect is the part of one router.
func (r *RouterSetup) elect(identity string, local []netip.Addr) (failover.RouterConfig, error) {
	c := r.Config
	c.Priority = r.priority(identity)
	for _, p := range r.Peers {
		if !slices.Contains(local, p) {
			c.Peers = append(c.Peers, p)
			continue
		}
		// Both routers may have the same file, and so the source of one.
		if !slices.Contains(local, c.Source) {
			c.Source = p
		}
	}
	if len(r.Peers) > 0 && len(c.Peers) == 0 {
		return c, errors.New("every unicast_peer is an address of this machine: name the other router's")
	}
	return c, r.secrets(&c)
}

// priority is the configured one of the primary or the backup router.
func (r *RouterSetup) priority(identity string) uint8 {
	if identity == IdentityBackup {
		return cmp.Or(r.BackupPriority, r.Config.Priority)
	}
	return r.Config.Priority
}

// announcing is a plan of announcements in the terms of the owner of addresses.
func announcing(a lvscf.Announcing) failover.Announcing {
	return failover.Announcing{Count: a.GARPCount, Interval: a.GARPInterval, Refresh: a.GARPRefresh}
}
