package lvscf

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// extensions judges what an active virtual block says beyond Piranha.
func (k *checker) extensions(v *Virtual) {
	o, name := v.Origins, quote(v.Name)
	k.quorum(v)
	k.tunnels(v)
	if v.OnePacket && v.Protocol != UDP && v.FWMark == 0 && !o.refused("protocol") {
		k.add(codeOnePacket, o.Pos("one_packet"), fmt.Sprintf("one_packet of service %s is for UDP, not for %v", name, v.Protocol), "write protocol = udp, or remove the line")
	}
	if v.SchedulerFlags != 0 && v.Scheduler != SourceHash && v.Scheduler != "mh" && !o.refused("scheduler") {
		k.add(codeIdleFlags, o.Pos("scheduler_flags"), fmt.Sprintf("scheduler %v reads no flags", v.Scheduler), "remove the line, or choose sh or mh")
	}
	if v.Interval > 0 && v.Timeout > v.Interval && o.Has("timeout") && !o.refused("timeout") && !o.refused("interval") {
		k.add(codeSlowCheck, firstPos(o.Pos("timeout"), o.Pos("interval")), fmt.Sprintf("a check may take %v and is due every %v", v.Timeout, v.Interval), fmt.Sprintf("write a timeout of at most %v", v.Interval.Seconds()))
	}
	if v.VRRP != "" && !slices.ContainsFunc(k.c.VRRPs, func(r VRRP) bool { return r.Name == v.VRRP }) && !k.faulty {
		k.add(codeNoSuchVRRP, o.Pos("vrrp"), fmt.Sprintf("there is no vrrp block %s", quote(v.VRRP)), "name a vrrp block of the file")
	}
	k.checks(v)
	for i := range v.Servers {
		s := &v.Servers[i]
		if s.Active && s.UpperThreshold > 0 && s.LowerThreshold >= s.UpperThreshold {
			k.add(codeThresholds, firstPos(s.Origins.Pos("lower_threshold"), s.Pos), fmt.Sprintf("lower_threshold %d is not below upper_threshold %d", s.LowerThreshold, s.UpperThreshold),
				fmt.Sprintf("write a lower_threshold of about %d, or leave it out", s.UpperThreshold/4*3))
		}
	}
}

// quorum judges whether the servers can gain what the service needs.
func (k *checker) quorum(v *Virtual) {
	sum, sorry, others := 0, 0, 0
	var first *Server
	for i := range v.Servers {
		s := &v.Servers[i]
		switch {
		case s.Origins.refused("weight") || s.Origins.refused("active"):
			return
		case !s.Active:
		case s.Sorry:
			sorry++
			if first == nil {
				first = s
			}
		default:
			others++
			sum += s.Weight
		}
	}
	if sorry > 0 && others == 0 {
		k.add(codeOnlySorry, firstPos(first.Origins.Pos("sorry"), first.Pos), fmt.Sprintf("service %s has sorry servers only", quote(v.Name)), "write an ordinary server too")
	}
	if need := v.Quorum + v.QuorumHysteresis; v.Quorum > 0 && others > 0 && need > sum && !v.Origins.refused("quorum_hysteresis") {
		k.add(codeQuorum, v.Origins.Pos("quorum"), fmt.Sprintf("service %s needs weights of %d to gain its quorum, and all its servers have %d", quote(v.Name), need, sum),
			fmt.Sprintf("write a quorum of at most %d", max(1, sum-v.QuorumHysteresis)))
	}
}

// tunnels judges the ways to the servers of a block.
func (k *checker) tunnels(v *Virtual) {
	var first *Server
	tunnelled, mixed := false, false
	for i := range v.Servers {
		s := &v.Servers[i]
		if !s.Active || k.forwardRefused(v, s) {
			continue
		}
		forward := k.c.ForwardOf(v, s)
		tunnelled = tunnelled || forward == Tunnel
		if first == nil {
			first = s
		} else if was := k.c.ForwardOf(v, first); was != forward && !mixed {
			mixed = true
			k.add(codeMixedForward, firstPos(s.Origins.Pos("forward"), s.Pos), fmt.Sprintf("server %s is reached by %v, and server %s of line %d by %v", quote(s.Name), forward, quote(first.Name), first.Pos.Line, was),
				"see that each server is set up for its way")
		}
		t := v.TunnelOf(s)
		where := firstPos(s.Origins.Pos("tunnel_type"), v.Origins.Pos("tunnel_type"), s.Pos)
		switch {
		case forward != Tunnel && s.Tunneling != (Tunneling{}):
			k.add(codeIdleTunnel, where, fmt.Sprintf("server %s is reached by %v: its settings of a tunnel have no effect", quote(s.Name), forward), "write forward = tunnel too, or remove the lines")
		case forward == Tunnel && t.TunnelType == GUE && t.TunnelPort == 0 && !s.Origins.refused("tunnel_port") && !v.Origins.refused("tunnel_port"):
			k.add(codeTunnelPort, where, fmt.Sprintf("the GUE tunnel to server %s has no port", quote(s.Name)), "write tunnel_port, for example 6080")
		}
	}
	if first != nil && !tunnelled && v.Tunneling != (Tunneling{}) {
		k.add(codeIdleTunnel, firstPos(v.Origins.Pos("tunnel_type"), v.Origins.Pos("tunnel_port"), v.Pos), fmt.Sprintf("no server of service %s is reached through a tunnel: its settings have no effect", quote(v.Name)), "write forward = tunnel too, or remove the lines")
	}
}

// family judges whether the kernel can balance to a server, whose address is
// at pos.
func (k *checker) family(v *Virtual, s *Server, pos Pos) {
	a, b := v.Address.Addr, s.Address.Addr
	if a.IsValid() && b.IsValid() && a.Is4() != b.Is4() && k.c.ForwardOf(v, s) != Tunnel && !k.forwardRefused(v, s) {
		k.add(codeFamilies, pos, fmt.Sprintf("server %s (%s) and virtual address %s are of two families, and %s = %v cannot join them", quote(s.Name), b, a, k.forwardWord(v, s), k.c.ForwardOf(v, s)),
			"write a server of the same family, or forward = tunnel")
	}
}

// checks judges the check blocks of an active virtual block, and its texts
// beside them.
func (k *checker) checks(v *Virtual) {
	o := v.Origins
	uses := len(v.Checks) == 0 && slices.Contains([]CheckKind{CheckPiranha, CheckText, CheckTCP, CheckUDP, CheckScript}, v.Check)
	for i := range v.Servers {
		s := &v.Servers[i]
		uses = uses || s.Active && slices.Contains([]CheckKind{CheckText, CheckTCP, CheckUDP, CheckScript}, s.Check)
	}
	if !uses {
		for _, name := range []string{"send", "expect", "send_program"} {
			if o.Has(name) && !o.refused(name) {
				k.add(codeIdleTexts, o.Pos(name), fmt.Sprintf("%s of service %s is not used by its checks", name, quote(v.Name)), "remove the line, or write check = text")
				break
			}
		}
	}
	one := func(c *Check) {
		k.check(c, v)
		if c.Origins.Has("weight") && !c.Origins.refused("weight") {
			k.add(codeIdleOption, c.Origins.Pos("weight"), "the weight of a check has no effect outside of a vrrp block", "remove the line; use_weight lets an answer set the weight of a server")
		}
	}
	for i := range v.Checks {
		one(&v.Checks[i])
	}
	for i := range v.Servers {
		for j := range v.Servers[i].Checks {
			one(&v.Servers[i].Checks[j])
		}
	}
}

// check judges one check block.
func (k *checker) check(c *Check, v *Virtual) {
	if c.Origins.refused("kind") {
		return
	}
	for _, o := range c.Origins {
		if d := findDirective(o.Directive, inCheck); d != nil && !o.Refused && len(d.kinds) > 0 && !slices.Contains(d.kinds, c.Kind) {
			k.add(codeIdleOption, o.Pos, fmt.Sprintf("a check of the kind %v does not read %s", c.Kind, o.Directive), "remove the line, or choose another kind")
		}
	}
	k.idleTLS(c)
	timeout, interval := c.Timeout, c.Interval
	if interval == 0 {
		interval = v.Interval
	}
	if interval > 0 && timeout > interval && !c.Origins.refused("timeout") && !c.Origins.refused("interval") {
		k.add(codeSlowCheck, firstPos(c.Origins.Pos("timeout"), c.Pos), fmt.Sprintf("check %s may take %v and is due every %v", quote(c.Name), timeout, interval),
			fmt.Sprintf("write a timeout of at most %v", interval.Round(time.Millisecond).Seconds()))
	}
}

// idleTLS reports what a check says of TLS and does not speak, and TLS that
// does not begin as it says.
func (k *checker) idleTLS(c *Check) {
	refused := c.Origins.refused("tls") || c.Origins.refused("starttls")
	if !slices.Contains(tlsKinds, c.Kind) || refused {
		return
	}
	for _, name := range []string{"server_name", "verify", "ca_file", "cert_file", "key_file", "tls_timeout"} {
		if !c.UsesTLS() && c.Origins.Has(name) && !c.Origins.refused(name) {
			k.add(codeIdleOption, c.Origins.Pos(name), fmt.Sprintf("check %s speaks no TLS and does not read %s", quote(c.Name), name), "write tls = 1 too, or remove the line")
		}
	}
	if c.TLS && c.StartTLS && slices.Contains(startTLSKinds, c.Kind) {
		k.add(codeIdleOption, c.Origins.Pos("tls"), fmt.Sprintf("check %s has starttls = 1, and so begins in clear in spite of tls = 1", quote(c.Name)), "remove one of the two lines")
	}
}

// vrrpChecks judges the checks of a vrrp block, which have no server to ask.
func (k *checker) vrrpChecks(r *VRRP) {
	for i := range r.Checks {
		c := &r.Checks[i]
		k.check(c, &Virtual{Timing: Timing{Interval: time.Second}})
		idle := func(name, why, cure string) {
			if c.Origins.Has(name) && !c.Origins.refused(name) {
				k.add(codeIdleOption, c.Origins.Pos(name), fmt.Sprintf("%s has no effect in a check of a vrrp block: %s", name, why), cure)
			}
		}
		idle("through", "there is no server to reach", "remove the line")
		idle("start_state", "the first answer counts at once", "remove the line")
		idle("use_weight", "there is no server to weigh", "write weight, which changes the priority of the router")
		idle("fast_interval", "it is asked every interval", "remove the line")
		idle("down_interval", "it is asked every interval", "remove the line")
		if slices.Contains(networkKinds, c.Kind) && c.Address.IsZero() && !c.Origins.refused("address") && !c.Origins.refused("kind") {
			k.add(codeNobodyToAsk, firstPos(c.Origins.Pos("kind"), c.Pos), fmt.Sprintf("check %s of vrrp block %s has no address to ask", quote(c.Name), quote(r.Name)), "write address, and port where the kind needs one")
		}
	}
}

// vrrp judges the vrrp blocks.
func (k *checker) vrrp() {
	c := k.c
	switch {
	case c.FailoverMode == VRRPMode && len(c.VRRPs) == 0 && !k.faulty:
		k.add(codeVRRPMode, c.Origins.Pos("failover_mode"), "failover_mode = vrrp without a vrrp block", "write a vrrp block with interface and vrid")
	case c.FailoverMode != VRRPMode && len(c.VRRPs) > 0 && !c.Origins.refused("failover_mode"):
		k.add(codeVRRPMode, c.VRRPs[0].Pos, "a vrrp block has no effect without failover_mode = vrrp", "write failover_mode = vrrp, or remove the block")
		return
	}
	for i := range c.VRRPs {
		k.vrrpChecks(&c.VRRPs[i])
	}
	type key struct {
		device string
		vrid   uint8
		six    bool
	}
	seen := map[key]*VRRP{}
	for i := range c.VRRPs {
		r := &c.VRRPs[i]
		if r.Origins.refused("interface") || r.Origins.refused("vrid") {
			continue
		}
		if r.Interface == "" || r.VRID == 0 {
			missing := "interface"
			if r.Interface != "" {
				missing = "vrid"
			}
			k.add(codeVRRPIncomplete, r.Pos, fmt.Sprintf("vrrp block %s has no %s", quote(r.Name), missing), "write both interface and vrid")
			continue
		}
		id := key{r.Interface, r.VRID, len(r.Addresses) > 0 && r.Addresses[0].Prefix.Addr().Is6()}
		if other := seen[id]; other != nil {
			k.add(codeSameVRID, firstPos(r.Origins.Pos("vrid"), r.Pos), fmt.Sprintf("vrid %d on %s is that of vrrp block %s of line %d already", r.VRID, r.Interface, quote(other.Name), other.Pos.Line), "give one of the two another vrid")
		} else {
			seen[id] = r
		}
	}
	k.apart()
}

// apart finds blocks of a NAT router that move without the one that holds the
// gateway of the real servers.
func (k *checker) apart() {
	c := k.c
	inside := slices.IndexFunc(c.VRRPs, func(r VRRP) bool {
		device, _, _ := strings.Cut(c.NATRouter.Device, ":")
		return device != "" && r.Interface == device
	})
	if c.Network != NAT || inside < 0 {
		return
	}
	in := &c.VRRPs[inside]
	for i := range c.VRRPs {
		r := &c.VRRPs[i]
		if r.Interface == "" || r.Interface == in.Interface || r.SyncGroup != "" && r.SyncGroup == in.SyncGroup {
			continue
		}
		k.add(codeApartNAT, r.Pos, fmt.Sprintf("vrrp block %s can move to another router without %s of line %d, on whose interface nat_router is: answers of the real servers then miss the virtual addresses",
			quote(r.Name), quote(in.Name), in.Pos.Line), "write the same sync_group into both")
	}
}
