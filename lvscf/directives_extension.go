package lvscf

import (
	"net/netip"
	"time"
)

// globalExtensions are those of the global section beyond Piranha's.
var globalExtensions = []directive{
	{
		name: "include", where: inGlobal, kind: "text, a file", example: "/etc/lvs.d/mail.cf", args: 1, repeats: true, since: sinceExtensions,
		doc: "read that file here, as if its lines stood in place of this one; a path without / at its start is beside this file",
		set: add(filePath, func(s *scope) *[]string { return &s.c.Includes }),
	},
	{
		name: "failover_mode", where: inGlobal, kind: "pulse or vrrp", def: "pulse", example: "vrrp", args: 1, words: failoverModeWords, since: sinceExtensions,
		doc: "how the routers agree on who is active: by Piranha's heartbeats, or by VRRP with the vrrp blocks",
		set: to(wordsOf[FailoverMode](failoverModeWords), func(s *scope) *FailoverMode { return &s.c.FailoverMode }),
	},
	{
		name: "heartbeat_path", where: inGlobal, kind: "two hosts", example: "10.1.0.1 10.1.0.2", args: 2, repeats: true, since: sinceExtensions,
		doc: "one more way for heartbeats, from this address of the primary to this one of the backup router",
		set: add((*values).heartbeatPath, func(s *scope) *[]HeartbeatPath { return &s.c.HeartbeatPaths }),
	},
	{
		name: "heartbeat_key_file", where: inGlobal, kind: "text, a file", example: "/etc/lvs/heartbeat.key", args: 1, since: sinceExtensions,
		doc: "file with the key that both routers sign their heartbeats with; it should be readable by root alone; to change it, write lines of the form key NUMBER SECRET, of which the first one signs and all are believed: add the new key as the last line on both routers and reload them, make it the first line on both, and remove the old one",
		set: to(filePath, func(s *scope) *string { return &s.c.HeartbeatKeyFile }),
	},
	{
		name: "witness", where: inGlobal, kind: "host", example: "192.0.2.254", args: 1, since: sinceExtensions,
		doc: "host, such as the gateway, that is asked by ping before the place of a silent partner is taken: a router that hears neither partner nor witness may be the one that is cut off, and stays out",
		set: to(needHost, func(s *scope) *Host { return &s.c.Witness }),
	},
	{
		name: "fence_cmd", where: inGlobal, kind: "text, a command", example: `"/usr/local/sbin/fence-partner %h"`, args: 1, since: sinceExtensions,
		doc: "program that makes sure that a silent partner does not serve, run before its place is taken, after the witness has answered; the word %h in it stands for the partner's address; while it fails, or is not done within a minute, this router does not serve, and runs it again",
		set: to((*values).fence, func(s *scope) *string { return &s.c.FenceCmd }),
	},
	{
		name: "floating_address", where: inGlobal, kind: "address/length and device", example: "192.0.2.11/24 eth0:2", args: 2, repeats: true, since: sinceExtensions,
		doc: "one more address that the active router carries, without a service of its own",
		set: add((*values).deviceAddress, func(s *scope) *[]DeviceAddress { return &s.c.FloatingAddresses }),
	},
	{
		name: "static_address", where: inGlobal, kind: "address/length and device", example: "192.0.2.12/24 eth0", args: 2, repeats: true, since: sinceExtensions,
		doc: "address that each router carries all the time",
		set: add((*values).deviceAddress, func(s *scope) *[]DeviceAddress { return &s.c.StaticAddresses }),
	},
	{
		name: "route", where: inGlobal | inVRRP, kind: "text, a route", example: `"198.51.100.0/24 via 192.0.2.254 dev eth0"`, args: 1, repeats: true, since: sinceExtensions,
		doc: "route that moves with the addresses, in the words of ip-route(8): the destination or default, then via and the gateway, dev and the device, or both, and src, metric and table where they are wanted; in the global section it goes with the active router, with vrrp blocks with the one on its device, or else with the first",
		set: add((*values).route, (*scope).routes),
	},
	{
		name: "garp_count", where: inGlobal | inVRRP, kind: "integer 1..100", example: "5", args: 1, since: sinceExtensions,
		doc: "how often the neighbours are told of the addresses after a take-over",
		set: to(func(v *values) (int, bool) { n, ok := v.number(1, 100); return int(n), ok }, func(s *scope) *int { return &s.announcing().GARPCount }),
	},
	{
		name: "garp_interval", where: inGlobal | inVRRP, kind: "duration", example: "500ms", args: 1, since: sinceExtensions,
		doc: "time between these announcements",
		set: to(duration, func(s *scope) *time.Duration { return &s.announcing().GARPInterval }),
	},
	{
		name: "garp_refresh", where: inGlobal | inVRRP, kind: "duration", example: "60", args: 1, since: sinceExtensions,
		doc: "tell the neighbours again and again at this distance, for switches that forget",
		set: to(duration, func(s *scope) *time.Duration { return &s.announcing().GARPRefresh }),
	},
	{
		name: "drain_time", where: inGlobal, kind: "duration", def: "0", example: "300", args: 1, since: sinceExtensions,
		doc: "how long a server that leaves the configuration may keep its connections; 0 removes it at once",
		set: to(duration, func(s *scope) *time.Duration { return &s.c.DrainTime }),
	},
	{
		name: "control_target", where: inGlobal, kind: "host", example: "192.0.2.254", args: 1, since: sinceExtensions,
		doc: "host, such as the gateway, that answers a ping as long as this router is well itself: while it does not, mass failures take no server out; without it every failure counts",
		set: to(needHost, func(s *scope) *Host { return &s.c.ControlTarget }),
	},
	{
		name: "mass_failure", where: inGlobal, kind: "integer 1..100", example: "30", args: 1, since: sinceExtensions,
		doc: "percentage of the servers not yet down: more failures than that within one interval are mass failures; without it 50, and never with fewer than four servers",
		set: to(func(v *values) (int, bool) { n, ok := v.number(1, 100); return int(n), ok }, func(s *scope) *int { return &s.c.MassFailure }),
	},
	{
		name: "syncd_group", where: inGlobal, kind: "multicast address", example: "224.0.0.82", args: 1, since: sinceExtensions,
		doc: "multicast group of the connection synchronisation; the kernel's own choice is 224.0.0.81",
		set: to((*values).multicast, func(s *scope) *netip.Addr { return &s.c.SyncdGroup }),
	},
	{
		name: "syncd_port", where: inGlobal, kind: "port", example: "8849", args: 1, since: sinceExtensions,
		doc: "UDP port of the connection synchronisation; the kernel's own choice is 8848",
		set: to(aPort, func(s *scope) *uint16 { return &s.c.SyncdPort }),
	},
	{
		name: "syncd_ttl", where: inGlobal, kind: "integer 1..255", example: "2", args: 1, since: sinceExtensions,
		doc: "hops that the connection synchronisation may go; the kernel's own choice is 1",
		set: to(uintTo[uint8](1, 255), func(s *scope) *uint8 { return &s.c.SyncdTTL }),
	},
	{
		name: "syncd_maxlen", where: inGlobal, kind: "integer 1..65507", example: "1400", args: 1, since: sinceExtensions,
		doc: "most bytes in one message of the connection synchronisation",
		set: to(uintTo[uint16](1, 65507), func(s *scope) *uint16 { return &s.c.SyncdMaxLen }),
	},
	{
		name: "notify_cmd", where: inGlobal | inVRRP, kind: "text, a command", example: `"/usr/local/bin/notify %k %n %s"`, args: 1, since: sinceExtensions,
		doc: "program to run at each change; the words %k, %n, %s and %p in it stand for the kind of what changed, its name, its new state and the priority of a router: INSTANCE with MASTER, BACKUP, FAULT or STOP, and globally VS and RS (a service, and SERVICE/SERVER) with UP or DOWN on the router that serves",
		set: to(command, func(s *scope) *string { return s.notifyCmd() }),
	},
	{
		name: "notify_fifo", where: inGlobal, kind: "text, a named pipe", example: "/run/lvs/notify", args: 1, since: sinceExtensions,
		doc: "named pipe that gets a line for each change, in their order, as in INSTANCE \"inside\" MASTER 150, or VS \"web\" DOWN; it is made if there is none, and lines that nobody reads are lost",
		set: to(filePath, func(s *scope) *string { return &s.c.NotifyFIFO }),
	},
}

// virtualExtensions are those of virtual blocks beyond Piranha's, with those
// that server and check blocks share.
var virtualExtensions = []directive{
	{
		name: "forward", where: inVirtual | inServer, kind: "nat, direct or tunnel", example: "tunnel", args: 1, words: networkWords, since: sinceExtensions,
		doc: "how packets reach the servers of the block, or this server, in place of network",
		set: optional(wordsOf[Network](networkWords), func(s *scope) **Network { return s.forward() }),
	},
	{
		name: "tunnel_type", where: inVirtual | inServer, kind: "ipip, gue or gre", def: "ipip", example: "gue", args: 1, words: tunnelTypeWords, since: sinceExtensions,
		doc: "how the tunnel method wraps packets",
		set: to(wordsOf[TunnelType](tunnelTypeWords), func(s *scope) *TunnelType { return &s.tunneling().TunnelType }),
	},
	{
		name: "tunnel_port", where: inVirtual | inServer, kind: "port", example: "6080", args: 1, since: sinceExtensions,
		doc: "UDP port of a gue tunnel, which needs one",
		set: to(aPort, func(s *scope) *uint16 { return &s.tunneling().TunnelPort }),
	},
	{
		name: "tunnel_checksum", where: inVirtual | inServer, kind: "none, full or remote", def: "none", example: "full", args: 1, words: tunnelChecksumWords, since: sinceExtensions,
		doc: "checksum of the outer header of a gue or gre tunnel; remote leaves it to the receiver (gue)",
		set: to(wordsOf[TunnelChecksum](tunnelChecksumWords), func(s *scope) *TunnelChecksum { return &s.tunneling().TunnelChecksum }),
	},
	{
		name: "scheduler_flags", where: inVirtual, kind: "fallback, port and flag-3, with commas between", example: "port,fallback", args: 1, since: sinceExtensions,
		doc: "options of the schedulers sh and mh: fallback picks another server for one that takes none, port hashes the source port too; ipvsadm's names such as sh-port are understood",
		set: to((*values).schedulerFlags, func(s *scope) *SchedulerFlags { return &s.v.SchedulerFlags }),
	},
	{
		name: "one_packet", where: inVirtual, kind: "boolean", def: "0", example: "1", args: 1, since: sinceExtensions,
		doc: "1: each UDP packet picks a server of its own",
		set: to(boolean, func(s *scope) *bool { return &s.v.OnePacket }),
	},
	{
		name: "persistence_engine", where: inVirtual, kind: "name", example: "sip", args: 1, since: sinceExtensions,
		doc: "kernel module that tells the clients of persistent apart",
		set: to((*values).engine, func(s *scope) *string { return &s.v.PersistenceEngine }),
	},
	{
		name: "vrrp", where: inVirtual, kind: "text, a name", example: "inside", args: 1, since: sinceExtensions,
		doc: "vrrp block that the virtual address moves with; needless when there is one block only",
		set: to(filePath, func(s *scope) *string { return &s.v.VRRP }),
	},
	{
		name: "check", where: inVirtual | inServer, kind: "kind of check", example: "http", args: 1, words: checkKindWords, since: sinceExtensions,
		doc: "short for a check block of this kind without options; none takes every server for good",
		set: to((*values).checkKind, func(s *scope) *CheckKind { return s.check() }),
	},
	{
		name: "interval", where: inVirtual | inCheck, kind: "duration", example: "5", args: 1, since: sinceExtensions,
		doc: "time from one check to the next, in place of timeout",
		set: to(duration, func(s *scope) *time.Duration { return &s.timing().Interval }),
	},
	{
		name: "fast_interval", where: inVirtual | inCheck, kind: "duration", example: "500ms", args: 1, since: sinceExtensions,
		doc: "interval while the answers contradict the state of the server",
		set: to(duration, func(s *scope) *time.Duration { return &s.timing().FastInterval }),
	},
	{
		name: "down_interval", where: inVirtual | inCheck, kind: "duration", example: "30", args: 1, since: sinceExtensions,
		doc: "interval while the server is down",
		set: to(duration, func(s *scope) *time.Duration { return &s.timing().DownInterval }),
	},
	{
		name: "connect_timeout", where: inVirtual | inCheck, kind: "duration", example: "3", args: 1, since: sinceExtensions,
		doc: "limit of the connecting alone",
		set: to(duration, func(s *scope) *time.Duration { return &s.timing().ConnectTimeout }),
	},
	{
		name: "tls_timeout", where: inVirtual | inCheck, kind: "duration", example: "3", args: 1, since: sinceExtensions,
		doc: "limit of the TLS handshake alone",
		set: to(duration, func(s *scope) *time.Duration { return &s.timing().TLSTimeout }),
	},
	{
		name: "read_timeout", where: inVirtual | inCheck, kind: "duration", example: "5", args: 1, since: sinceExtensions,
		doc: "limit of the wait for the first byte of the answer",
		set: to(duration, func(s *scope) *time.Duration { return &s.timing().ReadTimeout }),
	},
	{
		name: "rise", where: inVirtual | inCheck, kind: "integer", example: "2", args: 1, since: sinceExtensions,
		doc: "how many good answers in a row bring a server back; without it as many as fit into reentry",
		set: to(count(1), func(s *scope) *int { return &s.timing().Rise }),
	},
	{
		name: "fall", where: inVirtual | inCheck, kind: "integer", example: "3", args: 1, since: sinceExtensions,
		doc: "how many bad answers in a row take a server out; without it one",
		set: to(count(1), func(s *scope) *int { return &s.timing().Fall }),
	},
	{
		name: "start_state", where: inVirtual | inCheck, kind: "unknown, up or down", def: "unknown", example: "down", args: 1, words: startStateWords, since: sinceExtensions,
		doc: "what a server counts as before its checks have answered; unknown believes the first answer",
		set: to(wordsOf[StartState](startStateWords), func(s *scope) *StartState { return s.startState() }),
	},
	{
		name: "slow_start", where: inVirtual | inServer, kind: "duration", def: "0", example: "60", args: 1, since: sinceExtensions,
		doc: "how long the weight of a server that comes up takes to climb to its value; the kernel then has the weights of the service in units of 64, for fine steps",
		set: to(duration, func(s *scope) *time.Duration { return s.slowStart() }),
	},
	{
		name: "quorum", where: inVirtual, kind: "integer", example: "2", args: 1, since: sinceExtensions,
		doc: "sum of the weights of live servers that the service needs; without it 1",
		set: to(count(1), func(s *scope) *int { return &s.v.Quorum }),
	},
	{
		name: "quorum_hysteresis", where: inVirtual, kind: "integer", def: "0", example: "1", args: 1, since: sinceExtensions,
		doc: "the quorum is gained at quorum plus this, and lost below quorum minus this",
		set: to(count(0), func(s *scope) *int { return &s.v.QuorumHysteresis }),
	},
	{
		name: "quorum_up_cmd", where: inVirtual, kind: "text, a command", example: `"/usr/local/bin/quorum up"`, args: 1, since: sinceExtensions,
		doc: "program to run on the router that serves when the quorum is gained; the words %h and %p in it stand for the virtual address and port",
		set: to(command, func(s *scope) *string { return &s.v.QuorumUpCmd }),
	},
	{
		name: "quorum_down_cmd", where: inVirtual, kind: "text, a command", example: `"/usr/local/bin/quorum down"`, args: 1, since: sinceExtensions,
		doc: "program to run when the quorum is lost, as with quorum_up_cmd",
		set: to(command, func(s *scope) *string { return &s.v.QuorumDownCmd }),
	},
	{
		name: "down_on_stop", where: inVirtual, kind: "boolean", def: "0", example: "1", args: 1, since: sinceExtensions,
		doc: "1: run the commands for down, those of the servers too, when this router stops serving",
		set: to(boolean, func(s *scope) *bool { return &s.v.DownOnStop }),
	},
}

// serverExtensions are those of server blocks alone beyond Piranha's.
var serverExtensions = []directive{
	{
		name: "sorry", where: inServer, kind: "boolean", def: "0", example: "1", args: 1, since: sinceExtensions,
		doc: "1: take traffic only when no other server is up, or the quorum is lost; of several the first that is up serves, and only checks in its own block are asked",
		set: to(boolean, func(s *scope) *bool { return &s.s.Sorry }),
	},
	{
		name: "maintenance", where: inServer, kind: "boolean", def: "0", example: "1", args: 1, since: sinceExtensions,
		doc: "1: take no new connections, whatever the checks say",
		set: to(boolean, func(s *scope) *bool { return &s.s.Maintenance }),
	},
	{
		name: "upper_threshold", where: inServer, kind: "integer", def: "0", example: "1000", args: 1, since: sinceExtensions,
		doc: "take no new connections above this number of them; 0 is no limit",
		set: to(uintTo[uint32](0, 1<<31-1), func(s *scope) *uint32 { return &s.s.UpperThreshold }),
	},
	{
		name: "lower_threshold", where: inServer, kind: "integer", def: "0", example: "750", args: 1, since: sinceExtensions,
		doc: "take new connections again below this number; 0 is three quarters of upper_threshold",
		set: to(uintTo[uint32](0, 1<<31-1), func(s *scope) *uint32 { return &s.s.LowerThreshold }),
	},
	{
		name: "quiesce_server", where: inServer, kind: "boolean", example: "1", args: 1, since: sinceExtensions,
		doc: "1: when this server fails it gets weight 0 instead of being removed; without it as in the virtual block",
		set: optional(boolean, func(s *scope) **bool { return &s.s.QuiesceServer }),
	},
	{
		name: "up_cmd", where: inServer, kind: "text, a command", example: `"/usr/local/bin/server up"`, args: 1, since: sinceExtensions,
		doc: "program to run on the router that serves when the server comes up; the words %h and %p in it stand for its address and port",
		set: to(command, func(s *scope) *string { return &s.s.UpCmd }),
	},
	{
		name: "down_cmd", where: inServer, kind: "text, a command", example: `"/usr/local/bin/server down"`, args: 1, since: sinceExtensions,
		doc: "program to run when the server goes down, as with up_cmd",
		set: to(command, func(s *scope) *string { return &s.s.DownCmd }),
	},
}
