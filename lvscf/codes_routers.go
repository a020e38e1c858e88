package lvscf

// What the global section says as a whole.
const (
	codeNoBackup        Code = "LVS100"
	codeNoInterval      Code = "LVS101"
	codeShortDeadtime   Code = "LVS102"
	codeTightDeadtime   Code = "LVS103"
	codeNoPrimary       Code = "LVS104"
	codeOnePrivate      Code = "LVS105"
	codeSameRouters     Code = "LVS106"
	codeSamePath        Code = "LVS107"
	codeIdleBackup      Code = "LVS108"
	codeHeartbeatPort   Code = "LVS109"
	codeNothingActive   Code = "LVS110"
	codeNoNATRouter     Code = "LVS111"
	codeIdleNATRouter   Code = "LVS112"
	codeIdleSync        Code = "LVS113"
	codeIdleLinks       Code = "LVS114"
	codeRouterIsVirtual Code = "LVS115"
	codeOtherBlocks     Code = "LVS116"
	codeLongTimeout     Code = "LVS117"
	codeGatewayFar      Code = "LVS118"
)

// examplePair is a pair of routers with more global lines.
func examplePair(lines ...string) string {
	return exampleGlobal(append([]string{"primary = 192.0.2.1", "backup = 192.0.2.2", "backup_active = 1"}, lines...)...)
}

func routerCodes() []CodeInfo {
	return []CodeInfo{
		doubt(
			codeNoBackup, "a backup router is switched on and not named",
			"backup_active = 1 has no effect while there is no address in backup: this router runs alone.",
			exampleGlobal("backup_active = 1"), `write its address, as in "backup = 192.0.2.2", or remove the line`,
		),
		doubt(
			codeNoInterval, "an interval of the heartbeat is no time to wait",
			"keepalive and deadtime must be 1 or more; with a backup router a lesser value is an error.",
			exampleGlobal("keepalive = 0"), "write 1 or more",
		),
		doubt(
			codeShortDeadtime, "deadtime is not longer than keepalive",
			"A router is taken for dead when nothing was heard for deadtime. If heartbeats come no more often, one that is well looks dead, and both routers claim the addresses.",
			examplePair("keepalive = 30", "deadtime = 18"), "write a deadtime of about three times keepalive",
		),
		advice(
			codeTightDeadtime, "one lost heartbeat makes a takeover",
			"With a deadtime of less than twice keepalive a single lost or late datagram moves the service.",
			examplePair("keepalive = 4", "deadtime = 6"), "write a deadtime of about three times keepalive",
		),
		doubt(
			codeNoPrimary, "a backup router without a primary",
			"Each router looks for the address in primary among its own to know which of the two it is.",
			exampleGlobal("backup = 192.0.2.2", "backup_active = 1"), `write "primary = ADDRESS"`,
		),
		doubt(
			codeOnePrivate, "a private address on one side only",
			"The second heartbeat path needs an address at both ends. A backup_private alone has no effect.",
			examplePair("backup_private = 10.0.0.2"), "write both primary_private and backup_private",
		),
		doubt(
			codeSameRouters, "both routers have the same address",
			"Each router finds out by its address whether it is the primary; here both are, and neither hears the other.",
			exampleGlobal("primary = 192.0.2.1", "backup = 192.0.2.1", "backup_active = 1"), "write the other router's address in backup",
		),
		doubt(
			codeSamePath, "the second heartbeat path is the first one",
			"A private address that is also the public one gives no second path, so one cable still decides.",
			examplePair("primary_private = 192.0.2.1", "backup_private = 192.0.2.2"), "write addresses of another network, or remove both lines",
		),
		advice(
			codeIdleBackup, "a backup router is named and not switched on",
			"With backup_active = 0 no heartbeats are sent, and a backup router does not start.",
			exampleGlobal("primary = 192.0.2.1", "backup = 192.0.2.2"), `write "backup_active = 1", or "backup = 0.0.0.0" if there is none`,
		),
		doubt(
			codeHeartbeatPort, "the heartbeat's port is used for something else",
			"Heartbeats are UDP. A UDP service balanced on the same port would take them, and 8848 is the port of the kernel's connection synchronisation.",
			examplePair("heartbeat_port = 8848", "syncdaemon = 1"), "choose a port that nothing else uses; 539 is the usual one",
		),
		doubt(
			codeNothingActive, "nothing is active",
			"Blocks are inactive unless they say otherwise; Piranha does not start when none is active.",
			"network = direct\nvirtual web {\n\taddress = 192.0.2.10 eth0:1\n}\n", `write "active = 1" in at least one block`,
		),
		doubt(
			codeNoNATRouter, "network address translation without a gateway address",
			"Answers must come back through the director. The real servers use the floating address in nat_router as their gateway, which moves with the active router.",
			"network = nat\n"+exampleVirtual(), `write "nat_router = ADDRESS DEVICE", or another network`,
		),
		advice(
			codeIdleNATRouter, "a NAT gateway that is not used",
			"nat_router and nat_nmask are used with network = nat only.",
			exampleGlobal("network = direct", "nat_router = 10.0.0.254 eth1:1"), "remove the line, or write network = nat",
		),
		advice(
			codeIdleSync, "settings of the synchronisation without effect",
			"Connections are synchronised between two routers, when syncdaemon is 1 and there is a backup router.",
			exampleGlobal("syncdaemon = 1"), "remove the line, or switch on what it belongs to",
		),
		advice(
			codeIdleLinks, "links are watched without a backup router",
			"A dead link makes a router hand over; without a backup router there is nobody to hand over to, and Piranha does not watch.",
			exampleGlobal("monitor_links = 1"), "remove the line or name a backup router",
		),
		doubt(
			codeRouterIsVirtual, "a router's own address is used as a floating one",
			"Floating addresses move from router to router; a router that loses its own address cannot be reached, nor heard by its partner.",
			"primary = 192.0.2.10\n"+exampleService(), "give the service an address of its own",
		),
		advice(
			codeOtherBlocks, "blocks that are not run",
			"service picks which blocks are run: lvs runs virtual blocks, fos runs failover blocks.",
			exampleService()+"failover db {\n\tactive = 1\n}\n", "remove the blocks, or change service",
		),
		doubt(
			codeLongTimeout, "a time that ipvsadm refuses",
			"ipvsadm, by which Piranha writes the table, takes at most 31 days (2,678,400 seconds).",
			exampleService("persistent = 3000000"), "write a shorter time",
		),
		doubt(
			codeGatewayFar, "a real server cannot reach its gateway",
			"With network = nat the real servers use nat_router as gateway. It must be in their network, which nat_nmask gives.",
			"network = nat\nnat_router = 10.1.0.254 eth1:1\nnat_nmask = 255.255.255.0\n"+exampleVirtual(), "give nat_router an address in the real servers' network, or mend nat_nmask",
		),
	}
}
