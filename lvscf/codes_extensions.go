package lvscf

// What the directives beyond Piranha's say as a whole.
const (
	codeThresholds     Code = "LVS160"
	codeQuorum         Code = "LVS161"
	codeFamilies       Code = "LVS162"
	codeMixedForward   Code = "LVS163"
	codeIdleTunnel     Code = "LVS164"
	codeTunnelPort     Code = "LVS165"
	codeOnePacket      Code = "LVS166"
	codeIdleFlags      Code = "LVS167"
	codeVRRPMode       Code = "LVS168"
	codeVRRPIncomplete Code = "LVS169"
	codeSameVRID       Code = "LVS170"
	codeNoSuchVRRP     Code = "LVS171"
	codeIdleOption     Code = "LVS172"
	codeIdleTexts      Code = "LVS173"
	codeSlowCheck      Code = "LVS174"
	codeOnlySorry      Code = "LVS175"
	codeWitness        Code = "LVS176"
	codeIdleWitness    Code = "LVS177"
	codeNoKey          Code = "LVS178"
	codeBadKey         Code = "LVS179"
	codeIdleKey        Code = "LVS180"
	codeNobodyToAsk    Code = "LVS181"
	codeApartNAT       Code = "LVS182"
	codeRouteGateway   Code = "LVS183"
	codeRouteSource    Code = "LVS184"
	codeSameRoute      Code = "LVS185"
)

// exampleVRRP is a file with vrrp blocks.
func exampleVRRP(blocks string) string {
	return "failover_mode = vrrp\n" + blocks + exampleService()
}

func extensionCodes() []CodeInfo {
	return []CodeInfo{
		doubt(
			codeThresholds, "a lower threshold that is not below the upper one",
			"A server takes no new connections above upper_threshold, and takes them again below lower_threshold. The kernel refuses a lower one that is above.",
			exampleServer("upper_threshold = 100", "lower_threshold = 200"), "write a lower_threshold of about three quarters of upper_threshold, or leave it out",
		),
		doubt(
			codeQuorum, "a quorum that can never be reached",
			"The quorum is a sum of weights of living servers. Here all of them together have less, so the sorry servers would serve for ever.",
			exampleService("quorum = 5"), "write a quorum of at most the sum of the weights, less the hysteresis",
		),
		doubt(
			codeFamilies, "addresses of two families",
			"The kernel balances IPv6 to IPv4 servers, and the other way round, through tunnels only.",
			"network = direct\nvirtual web {\n\tactive = 1\n\taddress = 2001:db8::10 eth0:1\n\tserver one {\n\t\taddress = 192.0.2.21\n\t\tactive = 1\n\t}\n}\n",
			"write a server of the same family, or forward = tunnel",
		),
		advice(
			codeMixedForward, "servers of one service are reached in different ways",
			"That works, but the servers must be set up differently: those of direct and tunnel carry the virtual address, those of nat have the director as gateway.",
			exampleServers("", "address = 192.0.2.21", "address = 192.0.2.22; forward = tunnel"), "see that each server is set up for its way",
		),
		advice(
			codeIdleTunnel, "settings of a tunnel without effect",
			"tunnel_type, tunnel_port and tunnel_checksum belong to the tunnel method.",
			exampleService("tunnel_type = gre"), "write forward = tunnel too, or remove the lines",
		),
		doubt(
			codeTunnelPort, "a GUE tunnel without its port",
			"Generic UDP encapsulation needs the UDP port that the real servers listen on.",
			exampleService("forward = tunnel", "tunnel_type = gue"), "write tunnel_port, for example 6080",
		),
		doubt(
			codeOnePacket, "one_packet without UDP",
			"The kernel forgets the server of each packet with UDP services only; with others it refuses or ignores it.",
			exampleService("one_packet = 1"), "write protocol = udp, or remove the line",
		),
		advice(
			codeIdleFlags, "flags of a scheduler that reads none",
			"Only sh and mh read scheduler_flags.",
			exampleService("scheduler = wlc", "scheduler_flags = port"), "remove the line, or choose sh or mh",
		),
		doubt(
			codeVRRPMode, "VRRP is half configured",
			"failover_mode = vrrp needs vrrp blocks, and vrrp blocks are used with it only.",
			"vrrp one {\n\tinterface = eth0\n\tvrid = 7\n}\n"+exampleService(), "write both failover_mode = vrrp and a vrrp block, or neither",
		),
		doubt(
			codeVRRPIncomplete, "a vrrp block lacks what it needs",
			"Without an interface and a number of 1 to 255 no packet can be sent.",
			exampleVRRP("vrrp one {\n\tinterface = eth0\n}\n"), "write interface and vrid",
		),
		failure(
			codeSameVRID, "two vrrp blocks are one router",
			"On one interface each vrid stands for one virtual router in each family of addresses; two blocks would fight each other.",
			exampleVRRP("vrrp one {\n\tinterface = eth0\n\tvrid = 7\n}\nvrrp two {\n\tinterface = eth0\n\tvrid = 7\n}\n"), "give one of the two another vrid",
		),
		doubt(
			codeNoSuchVRRP, "the vrrp block of a service does not exist",
			"The address of the service moves with a vrrp block of that name; without it the address stays where it is.",
			exampleVRRP("vrrp one {\n\tinterface = eth0\n\tvrid = 7\n}\n")+"virtual tls {\n\tactive = 1\n\taddress = 192.0.2.11 eth0:2\n\tport = 443\n\tvrrp = two\n\tserver one {\n\t\taddress = 192.0.2.21\n\t\tactive = 1\n\t}\n}\n",
			"name a vrrp block of the file",
		),
		advice(
			codeIdleOption, "an option that the kind of check does not read",
			"Each kind of check has its own options, and some count with TLS alone; the manual page lvs.cf(5) lists them.",
			exampleService("check up {", "\tkind = tcp", "\tpath = /up", "}"), "remove the line, or choose another kind",
		),
		advice(
			codeIdleTexts, "texts of a check that is not asked",
			"With a check kind of its own, or with check blocks, send, expect and send_program of the virtual block are not used, but for the kinds tcp, udp, text and script.",
			exampleService(`send = "PING\r\n"`, `expect = "PONG"`, "check = http"), "remove the lines, or write check = text",
		),
		doubt(
			codeSlowCheck, "a check may take longer than its interval",
			"A new question would be due while the old one waits; checks then come later than configured.",
			exampleService("interval = 2", "timeout = 10"), "write a timeout of at most the interval",
		),
		doubt(
			codeOnlySorry, "all servers are sorry servers",
			"Sorry servers serve when no other one does; without others they always do, and failures of theirs are not noticed in time.",
			exampleServer("sorry = 1"), "write an ordinary server too",
		),
		doubt(
			codeWitness, "a witness that can tell nothing",
			"The witness says whether a router that does not hear its partner is itself cut off. An address of this router, or one that moves, answers a router that is cut off; an address of the partner does not answer when the partner is dead, so nobody would take over.",
			examplePair("witness = 192.0.2.2"), "name a host that is always on and is neither router, such as the gateway",
		),
		advice(
			codeIdleWitness, "a witness or fence without effect",
			"They are asked before the place of a silent partner is taken, which there is with a backup router and heartbeats. VRRP knows no such question: whoever hears no advertisement takes over.",
			exampleGlobal("witness = 192.0.2.254"), "remove the lines, or write backup and backup_active = 1",
		),
		doubt(
			codeNoKey, "the file of a key cannot be seen from here",
			"The file is read when lvsctl run starts, and the daemon does not start without it. It may be that it is made on the routers later, or that another user runs the check.",
			examplePair("heartbeat_key_file = /etc/lvs/missing.key"), "put the file there, the same on all routers, and check again as the user of the daemon",
		),
		failure(
			codeBadKey, "the file of a key cannot be used",
			"The daemon refuses a key that everybody on the machine may read, that is too short to be safe, or that has not the form of one.",
			examplePair("heartbeat_key_file = /etc/lvs/short.key"), "make a new one, and give it to all routers",
		),
		doubt(
			codeIdleKey, "a key that signs nothing",
			"heartbeat_key_file is for heartbeats, and key_file of a vrrp block for packets with auth = password or auth = hmac. Packets without authentication are believed from anybody.",
			exampleVRRP("vrrp one {\n\tinterface = eth0\n\tvrid = 7\n\tkey_file = /etc/lvs/vrrp.key\n}\n"), "write auth = hmac too, or remove the line",
		),
		failure(
			codeNobodyToAsk, "a check of a vrrp block without an address",
			"In a virtual or server block a check asks the servers. A vrrp block has none, so that the check has to name whom it asks.",
			exampleVRRP("vrrp one {\n\tinterface = eth0\n\tvrid = 7\n\tcheck gateway {\n\t\tkind = ping\n\t}\n}\n"), "write address in the check block, and port where the kind needs one",
		),
		doubt(
			codeApartNAT, "the outside and the inside of a NAT router can move apart",
			"With network = nat answers have to come back through the router that has the virtual address. When one cable fails, only the vrrp block of that side moves to the other router, unless a sync group holds the blocks together.",
			"failover_mode = vrrp\nnetwork = nat\nnat_router = 10.0.0.254 eth1:1\nnat_nmask = 255.255.255.0\nvrrp outside {\n\tinterface = eth0\n\tvrid = 7\n}\nvrrp inside {\n\tinterface = eth1\n\tvrid = 8\n}\n"+exampleVirtual(),
			"write the same sync_group into the blocks",
		),
		doubt(
			codeRouteGateway, "a route by way of the router's own address",
			"A gateway is the next router. The kernel refuses an address that is its own, so the route would be missing on the active router.",
			exampleGlobal(`route = "198.51.100.0/24 via 192.0.2.10"`), "name the next router",
		),
		advice(
			codeRouteSource, "a route with a source that is not on both routers",
			"The word src names the address that the router itself sends from. The kernel refuses one that is not its own at that moment, so it must move with the route, or be on each router.",
			exampleGlobal(`route = "198.51.100.0/24 dev eth0 src 192.0.2.77"`), "write a virtual address, a floating_address or a static_address, or leave src out",
		),
		failure(
			codeSameRoute, "two routes to one place",
			"The kernel tells routes apart by destination, metric and table. Of two that are equal in these only one can be there, and it would go when either is removed.",
			exampleGlobal(`route = "198.51.100.0/24 via 192.0.2.253"`, `route = "198.51.100.0/24 via 192.0.2.254"`), "remove one of them, or give it another metric",
		),
	}
}
