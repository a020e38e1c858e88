package convert

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"time"

	"github.com/lvskit/lvskit/lvscf"
)

func (im *importer) vrrpInstance(top place, s *statement) {
	p := top.in(s)
	name := im.blockName(p, s, s.word(0))
	r := lvscf.NewVRRP(name)
	r.Version = im.global.version
	r.Announcing = im.global.garp
	r.DownAdverts = cmp.Or(im.global.downAdverts, r.DownAdverts)
	var version, noPreempt, stateMaster, addresses *statement
	var lists []*statement
	h := handlers{
		"state": func(s *statement) {
			if s.word(0) == "MASTER" { // without effect but on nopreempt, unless 255 is the priority
				stateMaster = s
			}
		},
		"interface":         func(s *statement) { r.Interface, _ = p.device(s, 0) },
		"virtual_router_id": func(s *statement) { p.uint8(s, 1, 255, &r.VRID) },
		"priority":          func(s *statement) { p.uint8(s, 1, 255, &r.Priority) },
		"advert_int": func(s *statement) {
			if d, ok := p.timer(s, 0, 255*time.Second); ok && d >= 10*time.Millisecond {
				r.AdvertInterval = d
			} else if ok {
				p.lose(s, "advertisements are 10 ms to 255 s apart", "the default of one second was taken")
			}
		},
		"version": func(s *statement) {
			if n, ok := p.number(s, 0, 2, 3); ok {
				r.Version, version = uint8(n), s
			}
		},
		"native_ipv6":                func(*statement) { r.Version = 3 },
		"virtual_ipaddress":          func(s *statement) { lists, addresses = append(lists, s), s },
		"virtual_ipaddress_excluded": func(s *statement) { lists = append(lists, s) },
		"virtual_routes":             func(s *statement) { r.Routes = append(r.Routes, im.routes(p, s)...) },
		"nopreempt":                  func(s *statement) { r.Preempt, noPreempt = false, s },
		"preempt":                    func(*statement) { r.Preempt = true },
		"preempt_delay":              func(s *statement) { p.duration(s, 1000*time.Second, &r.PreemptDelay) },
		"accept":                     func(*statement) { r.Accept = true },
		"no_accept":                  func(*statement) { r.Accept = false },
		"use_vmac": func(s *statement) {
			r.VirtualMAC = true
			if len(s.words) > 0 {
				p.loseAs(s, "use_vmac ... "+clip(s.raw), "the device of the virtual MAC is named by the director", "virtual_mac = 1 was taken")
			}
		},
		"garp_master_repeat":  func(s *statement) { p.garpCount(s, &r.Announcing) },
		"garp_master_refresh": func(s *statement) { p.garpRefresh(s, &r.Announcing) },
		"down_timer_adverts":  func(s *statement) { p.uint8(s, 1, 100, &r.DownAdverts) },
		"unicast_src_ip":      func(s *statement) { p.host(s, &r.UnicastSource) },
		"mcast_src_ip": func(s *statement) {
			p.lose(s, "the source of multicast is the address of the device", "unicast_source with unicast_peer")
		},
		"unicast_peer":   func(s *statement) { im.unicastPeers(p, s, &r) },
		"authentication": func(s *statement) { im.authentication(p, s) },
		"notify_master":  func(s *statement) { r.MasterCmd, _ = p.command(s) },
		"notify_backup":  func(s *statement) { r.BackupCmd, _ = p.command(s) },
		"notify_fault":   func(s *statement) { r.FaultCmd, _ = p.command(s) },
		"notify": func(s *statement) {
			if cmd, ok := p.command(s); ok {
				r.NotifyCmd = cmd + notifyWords
			}
		},
		"lvs_sync_daemon_interface": func(s *statement) {
			im.syncDaemon(p, s)
			im.global.syncInstance = name
		},
	}
	maps.Copy(h, im.tracks(p, func() *lvscf.VRRP { return &r }))
	p.each(s.body, inVRRP, h)
	if noPreempt != nil && !r.Preempt && stateMaster != nil {
		p.lose(noPreempt, "it has no effect with state MASTER", "preempt = 1 was taken")
		r.Preempt = true
	}
	if r.VRID == 0 {
		p.loseAs(s, s.text()+" without virtual_router_id", "keepalived refuses an instance without a number", "give it a number of 1 to 255; the block was left out")
		return
	}
	if !r.Preempt && r.PreemptDelay > 0 {
		p.loseAs(s, "preempt_delay "+timer(r.PreemptDelay), "it has no meaning with nopreempt, so keepalived ignores it", "leave it out")
		r.PreemptDelay = 0
	}
	instanceFamily := 0 // in bits; what is excluded may be of the other one
	for _, list := range lists {
		device := cmp.Or(r.Interface, im.global.device)
		for _, v := range im.addresses(p, list, device, name, list != addresses && list.name != "virtual_ipaddress") {
			if family := v.prefix.Addr().BitLen(); !v.excluded && instanceFamily == 0 {
				instanceFamily = family
			} else if !v.excluded && family != instanceFamily {
				v.where.lose(v.at, "a vrrp_instance advertises one family of addresses, that of its first one, so keepalived ignores it",
					"virtual_ipaddress_excluded, or an instance of its own")
				continue
			}
			if v.prefix.Addr().Is6() && !v.excluded && version == nil {
				r.Version = 3 // IPv6 has no other
			}
			if old := im.vips[v.prefix.Addr()]; old == nil || old.instance == "" {
				im.vips[v.prefix.Addr()] = v
			} else {
				v.where.lose(v.at, "the address stands in a vrrp_instance already", "the first one counts")
				continue
			}
			im.order = append(im.order, v)
		}
	}
	if r.Version == 2 && r.AdvertInterval%time.Second != 0 {
		p.loseAs(s, fmt.Sprintf("advert_int %v", r.AdvertInterval.Seconds()), "version 2 of the protocol has whole seconds", "version = 3; the next whole second was taken")
		r.AdvertInterval = r.AdvertInterval.Truncate(time.Second) + time.Second
	}
	if im.global.vridOfInstance == nil {
		im.global.vridOfInstance = map[string]uint8{}
	}
	im.global.vridOfInstance[name] = r.VRID
	im.cfg.FailoverMode = lvscf.VRRPMode
	im.cfg.VRRPs = append(im.cfg.VRRPs, r)
}

func (p place) host(s *statement, to *lvscf.Host) {
	if a, ok := p.addr(s, 0); ok {
		*to = lvscf.Host{Addr: a}
	}
}

func (im *importer) unicastPeers(p place, s *statement, r *lvscf.VRRP) {
	inside := p.in(s)
	for _, peer := range s.body {
		one := *peer
		one.words = []string{peer.name}
		var host lvscf.Host
		inside.host(&one, &host)
		if !host.IsZero() {
			r.UnicastPeers = append(r.UnicastPeers, host)
		}
		if len(peer.words) > 0 {
			inside.loseAs(peer, peer.text(), "the distance of a peer is not judged", "a firewall that does")
		}
	}
}

// authentication loses the password without showing it.
func (im *importer) authentication(p place, s *statement) {
	kind := "PASS"
	for _, line := range s.body {
		if line.name == "auth_type" {
			kind = line.word(0)
		}
	}
	nearest := "auth = password and key_file = FILE, with the password in that file"
	if strings.EqualFold(kind, "AH") {
		nearest = "auth = hmac and key_file = FILE, if the other router can do so; none of them speaks AH"
	}
	p.loseAs(s, "authentication "+kind, "lvs.cf holds no secrets", nearest)
}

func (im *importer) syncGroup(top place, s *statement) {
	p := top.in(s)
	name := im.blockName(p, s, s.word(0))
	var members []int
	weights := false
	join := func(s *statement) {
		for i := range im.cfg.VRRPs {
			if r := &im.cfg.VRRPs[i]; r.Name == s.name {
				r.SyncGroup = name
				members = append(members, i)
				return
			}
		}
		p.lose(s, "there is no vrrp_instance of that name", "nothing was carried")
	}
	h := handlers{"group": func(s *statement) {
		for _, member := range s.body {
			for _, n := range append([]string{member.name}, member.words...) {
				one := *member
				one.name, one.raw = n, ""
				join(&one)
			}
		}
	}, "sync_group_tracking_weight": func(*statement) { weights = true }}
	tracks := im.tracks(p, func() *lvscf.VRRP {
		if len(members) == 0 {
			return nil
		}
		return &im.cfg.VRRPs[members[0]]
	})
	for list := range tracks {
		h[list] = nil // read when the members are known
	}
	p.each(s.body, inSync, h)
	if !weights {
		for _, i := range members {
			im.weightless(p, s, &im.cfg.VRRPs[i])
		}
	}
	// Its own count as they are, and behind those of its members.
	for _, list := range s.body {
		if do := tracks[list.name]; do != nil {
			do(list)
		}
	}
}

// finishVRRP puts the addresses that no virtual block took where they belong.
func (im *importer) finishVRRP(top place) {
	for _, v := range im.statics {
		if !v.used {
			im.cfg.StaticAddresses = append(im.cfg.StaticAddresses, lvscf.DeviceAddress{Prefix: v.prefix, Device: v.device})
		}
	}
	for _, v := range im.order {
		a := lvscf.DeviceAddress{Prefix: v.prefix, Device: v.device}
		switch {
		case v.used && v.excluded:
			v.where.loseAs(v.at, "virtual_ipaddress_excluded "+v.at.text(), "the addresses of virtual blocks are in the advertisements", "list it on the other routers as virtual_ipaddress")
		case v.used:
		case v.excluded && len(im.cfg.VRRPs) == 1:
			im.cfg.FloatingAddresses = append(im.cfg.FloatingAddresses, a)
		default:
			for i := range im.cfg.VRRPs {
				if r := &im.cfg.VRRPs[i]; r.Name == v.instance {
					r.Addresses = append(r.Addresses, a)
				}
			}
			if v.excluded {
				v.where.loseAs(v.at, "virtual_ipaddress_excluded "+v.at.text(), "with several vrrp blocks their addresses are all in the advertisements", "list it on the other routers as virtual_ipaddress")
			}
		}
	}
}

// vipOf returns how the address of a virtual service is carried: by a
// vrrp_instance, or as a static one of a lone router. The director
// brings it up in any case, so one that keepalived leaves to the system is
// said to be lost.
func (im *importer) vipOf(p place, s *statement, addr netip.Addr) (device string, mask lvscf.Netmask, instance string) {
	v := im.vips[addr]
	if v == nil || v.instance == "" && len(im.cfg.VRRPs) > 0 {
		if device = im.leftAlone[addr]; device != "" {
			return device, 0, ""
		}
		device = cmp.Or(im.opt.Device, im.global.device)
		if len(im.cfg.VRRPs) == 1 && im.opt.Device == "" {
			device = cmp.Or(im.cfg.VRRPs[0].Interface, device)
		}
		if v != nil {
			device = v.device
		} else {
			device = aliasOf(device, len(im.leftAlone)+1, addr)
		}
		im.leftAlone[addr] = device
		p.loseAs(s, "the address "+addr.String(), "no vrrp_instance carries it, nor static_ipaddress of a lone router, so the system must", "the director brings it up on "+device+"; name another device when you convert, or mend the address line")
		return device, 0, ""
	}
	v.used = true
	if v.masked {
		mask = lvscf.Netmask(v.prefix.Bits())
	}
	if len(im.cfg.VRRPs) > 1 {
		instance = v.instance
	}
	return v.device, mask, instance
}

// blockName makes a name that lvs.cf can have, one word without quotes.
func (im *importer) blockName(p place, s *statement, name string) string {
	made := strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || strings.ContainsRune("\"'{}#=\uFFFD", r) {
			return '-'
		}
		return r
	}, name)
	made = cmp.Or(made, "unnamed")
	if made != name {
		p.loseAs(s, fmt.Sprintf("the name %q", name), "a name of lvs.cf is one word", made+" was taken")
	}
	return made
}
