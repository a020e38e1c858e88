package convert

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lvskit/lvskit/lvscf"
)

// notifyWords are the words of lvs.cf for what keepalived adds to notify.
const notifyWords = " %k %n %s %p"

// carrier is a vrrp_instance to be: its settings, and its addresses.
type carrier struct {
	vrrp      lvscf.VRRP
	addresses []carried
	// made tells that it stands for Piranha's heartbeats.
	made bool
	// lone tells that there is no other router to agree with.
	lone bool
	// tracks are the names of what it watches, by the list they are in, and
	// weighs of what changes the priority of its whole sync group.
	tracks, weighs map[string][]string
	seen           map[netip.Addr]bool
}

// carried is an address of an instance; bits are those of its network, less
// than 0 if nothing is said.
type carried struct {
	lvscf.DeviceAddress
	bits     int
	excluded bool
}

// add adds an address that is not there yet.
func (c *carrier) add(a carried) {
	if c.seen == nil {
		c.seen = map[netip.Addr]bool{}
	}
	if !c.seen[a.Prefix.Addr()] {
		c.seen[a.Prefix.Addr()] = true
		c.addresses = append(c.addresses, a)
	}
}

// carriers returns what carries the floating addresses. Piranha's pair of
// routers becomes one instance with all addresses: they move together.
func (e *exporter) carriers(virtuals []*lvscf.Virtual) []*carrier {
	var out []*carrier
	if e.cfg.FailoverMode == lvscf.VRRPMode {
		for _, r := range e.cfg.VRRPs {
			out = append(out, &carrier{vrrp: r})
		}
	}
	if len(out) == 0 {
		lone := e.cfg.FailoverMode == lvscf.PulseMode && !e.cfg.BackupActive
		out = []*carrier{{vrrp: e.pulse(virtuals), made: true, lone: lone}}
	}
	find := func(name string) *carrier {
		for _, c := range out {
			if c.vrrp.Name == name {
				return c
			}
		}
		return out[0]
	}
	for _, v := range virtuals {
		if a := v.Address.Addr; a.IsValid() {
			bits := -1
			if v.Netmask != 0 {
				bits = min(v.Netmask.Bits(), a.BitLen())
			}
			prefix, _ := a.Prefix(a.BitLen())
			find(v.VRRP).add(carried{lvscf.DeviceAddress{Prefix: prefix, Device: v.Device}, bits, false})
		}
	}
	for _, c := range out {
		for _, a := range c.vrrp.Addresses {
			c.add(carried{a, a.Prefix.Bits(), false})
		}
	}
	for _, a := range e.cfg.FloatingAddresses {
		out[0].add(carried{a, a.Prefix.Bits(), true})
	}
	if a := e.cfg.NATRouter.Address.Addr; out[0].made && e.cfg.Network == lvscf.NAT && a.IsValid() {
		bits := -1
		if e.cfg.NATNetmask != 0 {
			bits = e.cfg.NATNetmask.Bits()
		}
		prefix, _ := a.Prefix(a.BitLen())
		out[0].add(carried{lvscf.DeviceAddress{Prefix: prefix, Device: e.cfg.NATRouter.Device}, bits, false})
	}
	giveRoutes(out, e.cfg.Routes)
	numbers := map[uint8]bool{}
	for _, c := range out {
		numbers[c.vrrp.VRID] = true
		c.exclude()
	}
	for _, c := range out {
		for n := uint8(51); c.vrrp.VRID == 0; n++ { // keepalived needs a number
			if n != 0 && !numbers[n] || len(out) > 200 {
				c.vrrp.VRID, numbers[n] = max(n, 1), true
			}
		}
	}
	// keepalived takes an instance without addresses for an error.
	return slices.DeleteFunc(out, func(c *carrier) bool { return len(c.addresses) == 0 })
}

// exclude keeps addresses out of the advertisements that cannot be in them:
// those of another family than the peers or the first, and what a packet has no room for.
func (c *carrier) exclude() {
	n := 0
	var family netip.Addr
	for _, h := range append([]lvscf.Host{c.vrrp.UnicastSource}, c.vrrp.UnicastPeers...) {
		if h.Addr.IsValid() {
			family = h.Addr
		}
	}
	if !slices.ContainsFunc(c.addresses, func(a carried) bool { return !a.excluded && a.Prefix.Addr().Is4() == family.Is4() }) {
		// Peers of another family than all addresses: multicast must do.
		family, c.vrrp.UnicastSource, c.vrrp.UnicastPeers = netip.Addr{}, lvscf.Host{}, nil
	}
	for i := range c.addresses {
		a := &c.addresses[i]
		if a.excluded {
			continue
		}
		if !family.IsValid() {
			family = a.Prefix.Addr()
		}
		a.excluded = a.Prefix.Addr().Is4() != family.Is4() || n == maxAdvertised
		if !a.excluded {
			n++
		}
	}
}

// pulse makes an instance that does what Piranha's heartbeats do.
func (e *exporter) pulse(virtuals []*lvscf.Virtual) lvscf.VRRP {
	c := e.cfg
	r := lvscf.NewVRRP("lvs")
	r.VRID, r.Priority, r.BackupPriority = 51, 150, 100
	if !c.BackupActive {
		r.BackupPriority = 0
	}
	r.Version = 2
	r.Announcing = c.Announcing
	for _, v := range virtuals {
		if base, _, _ := strings.Cut(v.Device, ":"); r.Interface == "" {
			r.Interface = base
		}
		if v.Address.Addr.Is6() {
			r.Version = 3
		}
	}
	r.Interface = cmp.Or(r.Interface, "eth0")
	r.MasterCmd, r.BackupCmd = c.ActiveCmd, c.InactiveCmd
	if beat := c.Keepalive.Truncate(time.Second); beat >= time.Second {
		r.AdvertInterval = min(beat, 40*time.Second)
		r.DownAdverts = uint8(min(max(1, c.Deadtime/r.AdvertInterval), 100))
	}
	return r
}

// syncGroups writes the groups that the instances name.
func (e *exporter) syncGroups(carriers []*carrier) {
	var names []string
	members, weighs := map[string][]string{}, map[string]map[string][]string{}
	for _, c := range carriers {
		group := c.vrrp.SyncGroup
		if group == "" {
			continue
		}
		if members[group] == nil {
			names = append(names, group)
			weighs[group] = map[string][]string{}
		}
		for _, list := range trackLists {
			weighs[group][list] = append(weighs[group][list], c.weighs[list]...)
		}
		members[group] = append(members[group], c.vrrp.Name)
	}
	for _, group := range names {
		if len(members[group]) < 2 {
			continue // keepalived takes a group of one for an error
		}
		e.block("vrrp_sync_group "+name(group), func() {
			e.block("group", func() {
				for _, m := range members[group] {
					e.line("%s", name(m))
				}
			})
			e.trackList(weighs[group])
		})
		e.blank()
	}
}

func (e *exporter) instance(c *carrier) {
	r := &c.vrrp
	if c.made {
		e.comment("in place of the heartbeats of lvs.cf: all addresses move together")
	}
	e.block("vrrp_instance "+name(r.Name), func() {
		e.line("state BACKUP")
		if r.Interface != "" {
			e.line("interface %s", r.Interface)
		}
		e.line("virtual_router_id %d", r.VRID)
		if r.BackupPriority != 0 && r.BackupPriority != r.Priority {
			e.comment("start the backup router with --config-id %s", configIDBackup)
			e.line("@^%s priority %d", configIDBackup, r.Priority)
			e.line("@%s priority %d", configIDBackup, r.BackupPriority)
		} else {
			e.line("priority %d", r.Priority)
		}
		e.line("version %d", r.Version)
		e.line("advert_int %s", timer(r.AdvertInterval))
		if r.DownAdverts != 3 {
			e.line("down_timer_adverts %d", r.DownAdverts)
		}
		if !r.Preempt {
			e.line("nopreempt")
		}
		if r.PreemptDelay > 0 && r.Preempt {
			e.line("preempt_delay %s", timer(min(r.PreemptDelay, 1000*time.Second)))
		}
		if !r.Accept {
			e.line("no_accept")
		}
		if r.VirtualMAC {
			e.line("use_vmac")
			if len(r.UnicastPeers) > 0 {
				e.line("vmac_xmit_base")
			}
		}
		if r.UnicastSource.Addr.IsValid() {
			e.line("unicast_src_ip %s", r.UnicastSource.Addr)
		}
		e.block("unicast_peer", func() {
			for _, p := range r.UnicastPeers {
				if p.Addr.IsValid() {
					e.line("%s", p.Addr)
				}
			}
		})
		if r.GARPCount > 0 {
			e.line("garp_master_repeat %d", r.GARPCount)
		}
		if r.GARPRefresh > 0 {
			e.line("garp_master_refresh %d", (r.GARPRefresh+time.Second-1)/time.Second)
		}
		e.trackList(c.tracks)
		for _, excluded := range []bool{false, true} {
			head := "virtual_ipaddress"
			if excluded {
				head = "virtual_ipaddress_excluded"
			}
			e.block(head, func() {
				for _, a := range c.addresses {
					if a.excluded == excluded {
						e.line("%s", addressLine(a.Prefix.Addr(), a.bits, a.Device))
					}
				}
			})
		}
		e.block("virtual_routes", func() { e.routes(r.Routes) })
		e.command("notify_master", r.MasterCmd)
		e.command("notify_backup", r.BackupCmd)
		e.command("notify_fault", r.FaultCmd)
		if cmd, ok := strings.CutSuffix(r.NotifyCmd, notifyWords); ok {
			e.command("notify", cmd)
		}
	})
	e.blank()
}
