package lvscf

import (
	"fmt"
	"time"
)

// Check judges the configuration as a whole: what each value alone cannot
// show. It is part of [Load] and [File.Config]; a program that builds a
// Config itself calls it. Errors name what cannot be run.
func (c *Config) Check() Diagnostics {
	col := &collector{file: c.Path}
	c.check(col, false)
	return col.finish()
}

// check adds to what a file's lines showed. A directive that was refused there
// is not judged again; faulty tells that anything was.
func (c *Config) check(col *collector, faulty bool) {
	k := &checker{c: c, col: col, faulty: faulty}
	k.heartbeat()
	k.partner()
	k.global()
	blocks := k.running()
	active := 0
	for i := range blocks {
		v := &blocks[i]
		if !v.Active {
			continue
		}
		active++
		k.virtual(v)
		if c.Service == FOS {
			k.failover(v)
		} else {
			k.servers(v)
			k.texts(v)
			k.extensions(v)
			k.timing(v)
		}
	}
	k.duplicates(blocks)
	k.names(blocks)
	k.devices(blocks)
	k.marks(blocks)
	k.blocks(active)
	k.nat(active)
	k.vrrp()
	k.routes()
	k.idleKeys()
}

type checker struct {
	c      *Config
	col    *collector
	faulty bool
}

// running returns the blocks that the service runs.
func (k *checker) running() []Virtual {
	if k.c.Service == FOS {
		return k.c.Failovers
	}
	return k.c.Virtuals
}

// add reports at a position, or at the start of the file if there is none.
func (k *checker) add(code Code, pos Pos, message, cure string) {
	k.addAs(k.col.severityOf(code), code, pos, message, cure)
}

func (k *checker) addAs(sev Severity, code Code, pos Pos, message, cure string) {
	if sev == Hint && k.faulty {
		return // first things first
	}
	if !pos.IsValid() {
		pos = Pos{1, 1}
	}
	k.col.addAs(sev, code, pos, "", message, cure)
}

func firstPos(ps ...Pos) Pos {
	for _, p := range ps {
		if p.IsValid() {
			return p
		}
	}
	return Pos{}
}

// heartbeat judges the times of the heartbeat.
func (k *checker) heartbeat() {
	c := k.c
	if c.FailoverMode != PulseMode {
		return
	}
	sev := Warning
	if c.BackupActive {
		sev = Error
	}
	positive := true
	for _, e := range []struct {
		name string
		d    time.Duration
	}{{"keepalive", c.Keepalive}, {"deadtime", c.Deadtime}} {
		if c.Origins.refused(e.name) {
			positive = false
		} else if e.d <= 0 {
			k.addAs(sev, codeNoInterval, c.Origins.Pos(e.name), fmt.Sprintf("invalid argument: %s = %d is no time to wait", e.name, e.d/time.Second),
				e.name+" must be 1 or more")
			positive = false
		}
	}
	pos := firstPos(c.Origins.Pos("deadtime"), c.Origins.Pos("keepalive"))
	cure := fmt.Sprintf("write a deadtime of about three times keepalive, %d", 3*c.Keepalive/time.Second)
	switch {
	case !positive:
	case c.Deadtime <= c.Keepalive:
		k.add(codeShortDeadtime, pos, fmt.Sprintf("deadtime (%v) is not longer than keepalive (%v): a partner that is well looks dead", c.Deadtime, c.Keepalive), cure)
	case c.BackupActive && c.Deadtime < 2*c.Keepalive:
		k.add(codeTightDeadtime, pos, fmt.Sprintf("deadtime (%v) is less than twice keepalive (%v): one lost heartbeat moves the service", c.Deadtime, c.Keepalive), cure)
	}
	if c.BackupActive && c.HeartbeatPort != 0 && !c.Origins.refused("heartbeat_port") {
		k.heartbeatPort()
	}
}

// kernelSyncPort is the UDP port of the kernel's connection synchronisation
// (IP_VS_SYNC_PORT, net/netfilter/ipvs/ip_vs_sync.c).
const kernelSyncPort = 8848

func (k *checker) heartbeatPort() {
	c := k.c
	pos, cure := c.Origins.Pos("heartbeat_port"), "choose a port that nothing else uses; 539 is the usual one"
	if c.SyncDaemon && c.HeartbeatPort == kernelSyncPort {
		k.add(codeHeartbeatPort, pos, "port 8848 is that of the kernel's connection synchronisation, which syncdaemon = 1 uses", cure)
		return
	}
	for i := range c.Virtuals {
		if v := &c.Virtuals[i]; c.Service == LVS && v.Active && v.Protocol == UDP && v.FWMark == 0 && v.Port == c.HeartbeatPort && !v.Origins.refused("port") {
			k.add(codeHeartbeatPort, firstPos(pos, v.Origins.Pos("port"), v.Pos),
				fmt.Sprintf("port %d of the heartbeats is also balanced, as UDP service %s of line %d", c.HeartbeatPort, quote(v.Name), v.Pos.Line), cure)
			return
		}
	}
}

// partner judges what is said of the two routers.
func (k *checker) partner() {
	c, o := k.c, k.c.Origins
	if c.BackupActive && c.Primary.IsZero() && !o.refused("primary") {
		k.add(codeNoPrimary, o.Pos("backup_active"), "a backup router without a primary: no router knows that it is the primary one",
			`write "primary = ADDRESS", the address of this or the other router`)
	}
	if c.PrimaryPrivate.IsZero() && !c.BackupPrivate.IsZero() && !o.refused("primary_private") {
		k.add(codeOnePrivate, o.Pos("backup_private"), "backup_private has no effect without primary_private",
			`write "primary_private = ADDRESS" too`)
	}
	if c.BackupActive && !c.PrimaryPrivate.IsZero() && c.BackupPrivate.IsZero() && !o.refused("backup_private") {
		k.add(codeOnePrivate, o.Pos("primary_private"), "primary_private without backup_private: the second heartbeat path has one end",
			`write "backup_private = ADDRESS" too`)
	}
	if !c.Primary.IsZero() && c.Primary == c.Backup {
		k.add(codeSameRouters, o.Pos("backup"), fmt.Sprintf("primary and backup are both %s: each router takes itself for the primary", c.Primary),
			"write the other router's address in backup")
	}
	if p, b, ok := c.PrivatePath(); ok {
		switch {
		case p == b:
			k.add(codeSameRouters, o.Pos("backup_private"), fmt.Sprintf("primary_private and backup_private are both %s", p), "write the other router's address in backup_private")
		case p == c.Primary:
			k.add(codeSamePath, o.Pos("primary_private"), fmt.Sprintf("primary_private is the public address %s: there is no second heartbeat path", p), "write an address of another network, or remove both private lines")
		case b == c.Backup:
			k.add(codeSamePath, o.Pos("backup_private"), fmt.Sprintf("backup_private is the public address %s: there is no second heartbeat path", b), "write an address of another network, or remove both private lines")
		}
	}
	if c.FailoverMode == PulseMode && !c.BackupActive && !c.Backup.IsZero() && !o.refused("backup_active") && !o.refused("failover_mode") {
		k.add(codeIdleBackup, o.Pos("backup"), fmt.Sprintf("backup router %s is named, and backup_active is 0: there is no failover", c.Backup),
			`write "backup_active = 1", or "backup = 0.0.0.0" if there is none`)
	}
}

// global judges the rest of the global section.
func (k *checker) global() {
	c, o := k.c, k.c.Origins
	alone := !c.BackupActive && c.FailoverMode == PulseMode && !o.refused("backup_active") && !o.refused("backup") && !o.refused("failover_mode")
	if c.SyncDaemon && alone {
		k.add(codeIdleSync, o.Pos("syncdaemon"), "syncdaemon = 1 has no effect without a backup router", "remove the line, or name a backup router and write backup_active = 1")
	}
	if !c.SyncDaemon && !o.refused("syncdaemon") {
		for _, name := range []string{"syncd_iface", "syncd_id"} {
			if o.Has(name) && !o.refused(name) {
				k.add(codeIdleSync, o.Pos(name), name+" has no effect without syncdaemon = 1", "remove the line, or write syncdaemon = 1")
				break
			}
		}
	}
	if c.MonitorLinks && alone {
		k.add(codeIdleLinks, o.Pos("monitor_links"), "monitor_links = 1 has no effect without a backup router", "remove the line, or name a backup router and write backup_active = 1")
	}
	k.witness(alone)
	for _, e := range []struct {
		name string
		d    time.Duration
	}{{"tcp_timeout", c.TCPTimeout}, {"tcpfin_timeout", c.TCPFinTimeout}, {"udp_timeout", c.UDPTimeout}} {
		k.tooLong(e.name, e.d, o.Pos(e.name))
	}
}

// witness judges what is asked before a silent partner's place is taken.
func (k *checker) witness(alone bool) {
	c, o := k.c, k.c.Origins
	for _, name := range []string{"witness", "fence_cmd"} {
		if why := "without a backup router"; o.Has(name) && !o.refused(name) && (alone || c.FailoverMode == VRRPMode) {
			if c.FailoverMode == VRRPMode {
				why = "with failover_mode = vrrp"
			}
			k.add(codeIdleWitness, o.Pos(name), fmt.Sprintf("%s has no effect %s", name, why), "remove the line, or exchange heartbeats with a backup router")
			return
		}
	}
	if c.Witness.IsZero() || o.refused("witness") {
		return
	}
	whose := ""
	is := func(what string, h Host) {
		if whose == "" && h == c.Witness {
			whose = what
		}
	}
	is("that of the primary router", c.Primary)
	is("that of the primary router", c.PrimaryPrivate)
	is("that of the backup router", c.Backup)
	is("that of the backup router", c.BackupPrivate)
	for _, p := range c.HeartbeatPaths {
		is("that of the primary router", p.Primary)
		is("that of the backup router", p.Backup)
	}
	is("nat_router, which moves", c.NATRouter.Address)
	for _, v := range k.running() {
		if v.Active {
			is("that of service "+quote(v.Name)+", which moves", v.Address)
		}
	}
	for _, a := range c.FloatingAddresses {
		is("a floating_address, which moves", Host{Addr: a.Prefix.Addr()})
	}
	for _, a := range c.StaticAddresses {
		is("a static_address of each router", Host{Addr: a.Prefix.Addr()})
	}
	if a := c.Witness.Addr; a.IsLoopback() || a.IsMulticast() {
		whose = "no address of another host"
	}
	if whose != "" {
		k.add(codeWitness, o.Pos("witness"), fmt.Sprintf("witness %s is %s: it cannot tell whether this router is cut off", c.Witness, whose), "name a host that is always on and is neither router, such as the gateway")
	}
}

// longestTimeout is what ipvsadm(8) takes at most.
const longestTimeout = 31 * 24 * time.Hour

func (k *checker) tooLong(name string, d time.Duration, pos Pos) {
	if d > longestTimeout {
		k.add(codeLongTimeout, pos, fmt.Sprintf("%s = %d is more than the 31 days that ipvsadm takes", name, d/time.Second),
			fmt.Sprintf("write at most %d", longestTimeout/time.Second))
	}
}

// blocks judges which blocks run at all.
func (k *checker) blocks(active int) {
	c := k.c
	other, word, otherWord := c.Failovers, "virtual", "failover"
	if c.Service == FOS {
		other, word, otherWord = c.Virtuals, "failover", "virtual"
	}
	if active == 0 && !k.faulty {
		k.add(codeNothingActive, Pos{}, fmt.Sprintf("no active %s service: there is nothing to run", word), fmt.Sprintf(`write "active = 1" in at least one %s block`, word))
	}
	if len(other) > 0 && !c.Origins.refused("service") {
		k.add(codeOtherBlocks, other[0].Pos, fmt.Sprintf("%s blocks are not run with service = %v", otherWord, c.Service), "remove the blocks, or change service")
	}
}

// nat judges the gateway of the real servers.
func (k *checker) nat(active int) {
	c, o := k.c, k.c.Origins
	if o.refused("nat_router") || o.refused("network") || c.Service != LVS {
		return
	}
	if c.Network != NAT {
		for _, name := range []string{"nat_router", "nat_nmask"} {
			// The web tool writes the mask of its own accord: alone it is no slip.
			if o.Has(name) && (name != "nat_nmask" || o.Has("nat_router")) && !c.NATRouter.Address.IsZero() {
				k.add(codeIdleNATRouter, o.Pos(name), fmt.Sprintf("%s has no effect with network = %v", name, c.Network), "remove the line, or write network = nat")
				break
			}
		}
		return
	}
	if active > 0 && c.NATRouter.Address.IsZero() && len(c.FloatingAddresses) == 0 && len(c.VRRPs) == 0 {
		what := "network = nat without a nat_router"
		if !o.Has("network") {
			what = "network is nat by default, and there is no nat_router"
		}
		k.add(codeNoNATRouter, o.Pos("network"), what, `write "nat_router = ADDRESS DEVICE", which the real servers use as gateway, or another network`)
	}
	k.bareDevice(c.NATRouter.Device, o.Pos("nat_router"), "nat_router")
	gateway := c.NATRouter.Address.Addr
	if !gateway.Is4() || c.NATNetmask == 0 || c.NATNetmask.Bits() >= 31 {
		return
	}
	network, err := gateway.Prefix(c.NATNetmask.Bits())
	if err != nil {
		return
	}
	for i := range c.Virtuals {
		v := &c.Virtuals[i]
		for j := range v.Servers {
			s := &v.Servers[j]
			if v.Active && s.Active && s.Address.Addr.Is4() && !network.Contains(s.Address.Addr) {
				k.add(codeGatewayFar, firstPos(s.Origins.Pos("address"), s.Pos),
					fmt.Sprintf("server %s (%s) is not in the network of nat_router, %v", quote(s.Name), s.Address, network), "give nat_router an address in the real servers' network, or mend nat_nmask")
				return
			}
		}
	}
}
