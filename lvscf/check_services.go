package lvscf

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// virtual judges the address of an active block.
func (k *checker) virtual(v *Virtual) {
	if v.Address.IsZero() && !v.Origins.refused("address") {
		// A marked service can do without: packets are chosen by their mark.
		sev, pos := Error, firstPos(v.Origins.Pos("address"), v.Pos)
		if v.FWMark != 0 || v.Origins.refused("fwmark") {
			sev = Warning
		}
		if sev == Error || !k.movesWithAddresses(v) {
			k.addAs(sev, codeNoAddress, pos, fmt.Sprintf("active service %s has no address", quote(v.Name)),
				`write "address = ADDRESS DEVICE", as in "address = 192.0.2.10 eth0:1", or "active = 0"`)
		}
	}
	pos := v.Origins.Pos("address")
	k.bareDevice(v.Device, pos, "service "+quote(v.Name))
	if why := oddAddress(v.Address.Addr, v.Netmask); why != "" {
		k.add(codeOddVirtual, firstPos(pos, v.Pos), fmt.Sprintf("address %s of service %s is %s", v.Address, quote(v.Name), why), "write an address of a host")
	}
	if bits := v.Netmask.Bits(); bits > 0 && bits < 8 && !v.Address.Addr.Is6() {
		k.add(codeWideMask, v.Origins.Pos("vip_nmask"), fmt.Sprintf("netmask %v spans %d addresses", v.Netmask, uint64(1)<<(32-bits)), "write the mask of the network, or 255.255.255.255")
	}
	for i, own := range [...]Host{k.c.Primary, k.c.PrimaryPrivate, k.c.Backup, k.c.BackupPrivate} {
		if !own.IsZero() && own == v.Address {
			router := [...]string{"primary", "backup"}[i/2]
			k.add(codeRouterIsVirtual, firstPos(pos, v.Pos), fmt.Sprintf("address %s of service %s is the %s router's own", v.Address, quote(v.Name), router), "give the service an address of its own")
			break
		}
	}
}

// movesWithAddresses tells whether the vrrp block that a service moves with has
// addresses of its own: those are what a marked service is reached at.
func (k *checker) movesWithAddresses(v *Virtual) bool {
	if k.c.FailoverMode != VRRPMode {
		return false
	}
	for i := range k.c.VRRPs {
		if b := &k.c.VRRPs[i]; b.Name == v.VRRP || v.VRRP == "" && len(k.c.VRRPs) == 1 {
			return len(b.Addresses) > 0
		}
	}
	return false
}

// bareDevice warns of a device without an alias number, unless Piranha could not
// run the file anyhow.
func (k *checker) bareDevice(device string, pos Pos, what string) {
	if k.c.FailoverMode != VRRPMode && device != "" && !strings.Contains(device, ":") && pos.IsValid() {
		k.add(codeBareDevice, pos, fmt.Sprintf("device %s of %s is no alias: Piranha takes the whole interface down with the address", quote(device), what),
			fmt.Sprintf("write a device with an alias number, such as %s:1", device))
	}
}

// oddAddress says why an address cannot be one of a service, or "".
func oddAddress(a netip.Addr, mask Netmask) string {
	switch {
	case !a.IsValid():
		return ""
	case a.IsLoopback():
		return "a loopback address"
	case a.IsMulticast():
		return "a multicast address"
	case a.Is4() && a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "the broadcast address"
	case !a.Is4() || mask == 0 || mask.Bits() >= 31:
		return ""
	}
	network, err := a.Prefix(mask.Bits())
	if err != nil {
		return ""
	}
	if a == network.Addr() {
		return "the network's own in " + network.String()
	}
	host := ^uint32(0) >> mask.Bits()
	b := a.As4()
	if v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]); v&host == host {
		return "the broadcast address of " + network.String()
	}
	return ""
}

// failover judges what only failover blocks need.
func (k *checker) failover(v *Virtual) {
	var missing []string
	for _, e := range []struct{ name, value string }{{"start_cmd", v.StartCmd}, {"stop_cmd", v.StopCmd}} {
		if e.value == "" && !v.Origins.refused(e.name) {
			missing = append(missing, e.name)
		}
	}
	if len(missing) > 0 {
		k.add(codeNoCommand, v.Pos, fmt.Sprintf("failover service %s has no %s", quote(v.Name), strings.Join(missing, " and no ")),
			"write both start_cmd and stop_cmd")
	}
}

// servers judges the servers of an active virtual block.
func (k *checker) servers(v *Virtual) {
	active, broken, weighty, sorry := 0, false, false, false
	overlapTold := false
	type key struct {
		host Host
		port uint16
	}
	seen := make(map[key]*Server, len(v.Servers))
	for i := range v.Servers {
		s := &v.Servers[i]
		broken = broken || s.Origins.refused("active")
		if !s.Active {
			continue
		}
		if sorry = sorry || s.Sorry; !s.Sorry {
			active++
			weighty = weighty || s.Weight > 0 || s.Origins.refused("weight")
		}
		pos := firstPos(s.Origins.Pos("address"), s.Pos)
		if s.Address.IsZero() {
			if !s.Origins.refused("address") {
				k.add(codeServerAddress, pos, fmt.Sprintf("active server %s has no address", quote(s.Name)),
					`write "address = ADDRESS", or "active = 0"`)
			}
			continue
		}
		k.server(v, s, pos)
		if !overlapTold && k.overlaps(v, s) {
			overlapTold = true
			k.add(codeOverlap, pos, fmt.Sprintf("server %s (%s) is in the network of virtual address %s: its answers do not pass the director", quote(s.Name), s.Address, v.Address),
				"put the real servers into a network behind the director, or use another network method")
		}
		id := key{s.Address, s.Port}
		if other := seen[id]; other != nil && !s.Origins.refused("port") {
			k.add(codeSameServer, pos, fmt.Sprintf("%s port %d of server %s is that of server %s of line %d too", s.Address, s.Port, quote(s.Name), quote(other.Name), other.Pos.Line),
				"remove one of the two, or make it inactive")
		}
		seen[id] = s
	}
	if active == 0 && !sorry && !broken && !k.faulty {
		k.add(codeNoServer, v.Pos, fmt.Sprintf("active service %s has no active server", quote(v.Name)),
			`write "active = 1" in at least one of its server blocks`)
	}
	if active > 0 && !weighty {
		k.add(codeNoWeight, v.Pos, fmt.Sprintf("all active servers of service %s have weight 0: none gets new connections", quote(v.Name)),
			"write a weight of 1 or more in at least one of its server blocks")
	}
	if v.SorryServer.IsValid() && v.SorryServer == v.Address.Addr {
		k.add(codeSorryIsVirtual, v.Origins.Pos("sorry_server"), fmt.Sprintf("the sorry server of service %s is its virtual address", quote(v.Name)), "name another machine")
	}
}

// server judges one active server, whose address is at pos.
func (k *checker) server(v *Virtual, s *Server, pos Pos) {
	c := k.c
	refused := s.Origins.refused("port") || v.Origins.refused("port") || k.forwardRefused(v, s)
	if forward := c.ForwardOf(v, s); forward != NAT && v.FWMark == 0 && v.Port != 0 && s.Port != v.Port && !refused {
		k.add(codeRealPort, firstPos(s.Origins.Pos("port"), s.Pos),
			fmt.Sprintf("real port %d differs from virtual port %d, and %s = %v cannot change ports", s.Port, v.Port, k.forwardWord(v, s), forward),
			fmt.Sprintf("write port = %d, or %s = nat", v.Port, k.forwardWord(v, s)))
	}
	k.family(v, s, pos)
	if !v.Address.IsZero() && v.Address == s.Address && !k.forwardRefused(v, s) {
		k.add(codeServerIsVirtual, pos, fmt.Sprintf("server %s has the virtual address %s of its service", quote(s.Name), v.Address), "write the real server's own address")
	}
	if why := oddAddress(s.Address.Addr, 0); why != "" {
		k.add(codeOddServer, pos, fmt.Sprintf("address %s of server %s is %s", s.Address, quote(s.Name), why), "write the address that the machine has on the network")
	}
	if v.SorryServer.IsValid() && s.Address.Addr == v.SorryServer {
		k.add(codeSorryIsServer, v.Origins.Pos("sorry_server"), fmt.Sprintf("the sorry server of service %s is its real server %s too", quote(v.Name), quote(s.Name)), "name another machine")
	}
}

// forwardRefused reports whether it is not known how packets reach a server.
func (k *checker) forwardRefused(v *Virtual, s *Server) bool {
	return k.c.Origins.refused("network") || v.Origins.refused("forward") || s.Origins.refused("forward")
}

// forwardWord is the directive that says how packets reach a server.
func (k *checker) forwardWord(v *Virtual, s *Server) string {
	if v.Forward != nil || s.Forward != nil {
		return "forward"
	}
	return "network"
}

// overlaps reports whether a server under NAT stands among the clients.
func (k *checker) overlaps(v *Virtual, s *Server) bool {
	if k.c.ForwardOf(v, s) != NAT || k.forwardRefused(v, s) || v.Netmask == 0 || v.Netmask.Bits() >= 31 || !v.Address.Addr.Is4() || v.Address == s.Address {
		return false
	}
	network, err := v.Address.Addr.Prefix(v.Netmask.Bits())
	return err == nil && network.Contains(s.Address.Addr)
}

// duplicates reports active services that would be one in the kernel's table.
func (k *checker) duplicates(blocks []Virtual) {
	if k.c.Service == FOS {
		return
	}
	type key struct {
		mark     uint32
		six      bool // of a mark
		host     string
		port     uint16
		protocol Protocol
	}
	seen := map[key]*Virtual{}
	for i := range blocks {
		v := &blocks[i]
		o := v.Origins
		if !v.Active || o.refused("fwmark") {
			continue
		}
		id := key{mark: v.FWMark, six: v.Is6()}
		what := fmt.Sprintf("firewall mark %d", v.FWMark)
		pos := o.Pos("fwmark")
		if v.FWMark == 0 {
			if v.Address.IsZero() || o.refused("address") || o.refused("port") || o.refused("protocol") {
				continue
			}
			host := v.Address.Name
			if v.Address.Addr.IsValid() {
				host = v.Address.Addr.String()
			}
			id = key{host: host, port: v.Port, protocol: v.Protocol}
			what = fmt.Sprintf("address %s, port %d and protocol %v", host, v.Port, v.Protocol)
			pos = firstPos(o.Pos("port"), o.Pos("address"))
		}
		if other := seen[id]; other != nil {
			k.add(codeSameService, firstPos(pos, v.Pos), fmt.Sprintf("%s of service %s belong to service %s of line %d already", what, quote(v.Name), quote(other.Name), other.Pos.Line),
				"give one of the two another port, address or mark, or make it inactive")
			continue
		}
		seen[id] = v
	}
}

// names reports blocks that share a name, active or not.
func (k *checker) names(blocks []Virtual) {
	seen := map[string]*Virtual{}
	for i := range blocks {
		v := &blocks[i]
		if other := seen[v.Name]; other != nil && v.Name != "" {
			k.add(codeSameName, v.Pos, fmt.Sprintf("service %s has the name of that of line %d", quote(v.Name), other.Pos.Line), "give one of the two another name")
		} else {
			seen[v.Name] = v
		}
		servers := make(map[string]*Server, len(v.Servers))
		for j := range v.Servers {
			s := &v.Servers[j]
			if other := servers[s.Name]; other != nil && s.Name != "" {
				k.add(codeSameServerName, s.Pos, fmt.Sprintf("server %s has the name of that of line %d", quote(s.Name), other.Pos.Line), "give one of the two another name")
			} else {
				servers[s.Name] = s
			}
		}
	}
}

// devices reports active blocks that want one address, or one alias, in two
// ways.
func (k *checker) devices(blocks []Virtual) {
	byAddress, byDevice := map[Host]*Virtual{}, map[string]*Virtual{}
	for i := range blocks {
		v := &blocks[i]
		pos := v.Origins.Pos("address")
		if !v.Active || v.Address.IsZero() || v.Origins.refused("address") {
			continue
		}
		first := byAddress[v.Address]
		switch {
		case first == nil:
			byAddress[v.Address] = v
		case first.Device != v.Device:
			k.add(codeTwoDevices, firstPos(pos, v.Pos), fmt.Sprintf("address %s is on %s here, and on %s in service %s of line %d", v.Address, quote(v.Device), quote(first.Device), quote(first.Name), first.Pos.Line),
				"write the same device in both")
			continue
		case first.Netmask != v.Netmask && !v.Origins.refused("vip_nmask") && !first.Origins.refused("vip_nmask"):
			k.add(codeTwoMasks, firstPos(v.Origins.Pos("vip_nmask"), pos, v.Pos), fmt.Sprintf("address %s has netmask %v here, and %v in service %s of line %d", v.Address, v.Netmask, first.Netmask, quote(first.Name), first.Pos.Line),
				"write the same vip_nmask in both")
		}
		if !strings.Contains(v.Device, ":") {
			continue // told of as no alias
		}
		if other := byDevice[v.Device]; other == nil {
			byDevice[v.Device] = v
		} else if other.Address != v.Address {
			k.add(codeSharedDevice, firstPos(pos, v.Pos), fmt.Sprintf("device %s carries %s here, and %s in service %s of line %d", quote(v.Device), v.Address, other.Address, quote(other.Name), other.Pos.Line),
				"number the aliases, as in eth0:1 and eth0:2")
		}
	}
}

// marks reports services of one firewall mark that differ in persistence,
// active or not: they are meant to go together.
func (k *checker) marks(blocks []Virtual) {
	seen := map[uint32]*Virtual{}
	for i := range blocks {
		v := &blocks[i]
		if v.FWMark == 0 || v.Origins.refused("fwmark") || v.Origins.refused("persistent") {
			continue
		}
		first := seen[v.FWMark]
		if first == nil {
			seen[v.FWMark] = v
		} else if first.Persistent != v.Persistent {
			k.add(codeMarkPersistence, firstPos(v.Origins.Pos("persistent"), v.Origins.Pos("fwmark"), v.Pos),
				fmt.Sprintf("services %s of line %d and %s share firewall mark %d and differ in persistence, %v and %v", quote(first.Name), first.Pos.Line, quote(v.Name), v.FWMark, first.Persistent, v.Persistent),
				"write the same persistent in each of them")
		}
	}
}

// newSchedulers are those that Piranha does not know, with the Linux version
// that brought each; "" is one that is as old as Piranha's.
var newSchedulers = []struct {
	name  Scheduler
	since string
}{{"sed", ""}, {"nq", ""}, {"fo", "3.18"}, {"ovf", "4.3"}, {"mh", "4.18"}, {"twos", "5.12"}}

// scheduling judges the scheduler and what belongs to it.
func (k *checker) scheduling(v *Virtual) {
	o := v.Origins
	for _, s := range newSchedulers {
		if v.Scheduler == s.name {
			came := "is none of Piranha's"
			if s.since != "" {
				came = "came with Linux " + s.since
			}
			k.add(codeNewScheduler, o.Pos("scheduler"), fmt.Sprintf("scheduler %v %s: a kernel may lack it", v.Scheduler, came),
				fmt.Sprintf("see that both routers have it: modprobe ip_vs_%v", v.Scheduler))
		}
	}
	if slices.Contains([]Scheduler{SourceHash, "mh"}, v.Scheduler) && v.Persistent > 0 {
		k.add(codeIdlePersistence, o.Pos("persistent"), fmt.Sprintf("scheduler %v keeps a client on its server by itself", v.Scheduler), "use one of the two, a hash or persistence")
	}
	if v.PMask != 0 && v.Persistent <= 0 && !o.refused("persistent") {
		k.add(codeIdleMask, o.Pos("pmask"), "pmask has no effect without persistent", "write persistent too, or remove the line")
	}
	k.tooLong("persistent", v.Persistent, o.Pos("persistent"))
}
