package lvscf

import (
	"math"
	"time"
)

// globalDirectives are those of the global section that Piranha has.
var globalDirectives = []directive{
	{
		name: "serial_no", where: inGlobal, kind: "integer", def: "0", example: "1", args: 1,
		doc: "counts the changes of the file; read by no daemon",
		set: to(func(v *values) (int64, bool) { return v.number(math.MinInt64, math.MaxInt64) }, func(s *scope) *int64 { return &s.c.Serial }),
	},
	{
		name: "primary", where: inGlobal, kind: "host", example: "192.0.2.1", args: 1,
		doc: "real public address of the primary router",
		set: to(needHost, func(s *scope) *Host { return &s.c.Primary }),
	},
	{
		name: "primary_private", where: inGlobal, kind: "host", example: "10.0.0.1", args: 1,
		doc: "second heartbeat address of the primary router; without it there is no second path",
		set: to(needHost, func(s *scope) *Host { return &s.c.PrimaryPrivate }),
	},
	{
		name: "primary_shared", where: inGlobal, kind: "text", example: "/dev/sda", args: 1,
		doc: "shared disk as the primary router sees it (failover services)",
		set: to(text, func(s *scope) *string { return &s.c.PrimaryShared }),
	},
	{
		name: "backup", where: inGlobal, kind: "host", example: "192.0.2.2", args: 1,
		doc: "real public address of the backup router; 0.0.0.0 is none",
		set: to(mayHost, func(s *scope) *Host { return &s.c.Backup }),
	},
	{
		name: "backup_private", where: inGlobal, kind: "host", example: "10.0.0.2", args: 1,
		doc: "second heartbeat address of the backup router; needs primary_private",
		set: to(needHost, func(s *scope) *Host { return &s.c.BackupPrivate }),
	},
	{
		name: "backup_shared", where: inGlobal, kind: "text", example: "/dev/sda", args: 1,
		doc: "shared disk as the backup router sees it (failover services)",
		set: to(text, func(s *scope) *string { return &s.c.BackupShared }),
	},
	{
		name: "backup_active", where: inGlobal, kind: "boolean", def: "0", example: "1", args: 1,
		doc: "1: there is a backup router",
		set: to(boolean, func(s *scope) *bool { return &s.c.BackupActive }),
	},
	{
		name: "heartbeat", where: inGlobal, kind: "boolean", def: "0", example: "1", args: 1,
		doc: "written by the web tool; read by no daemon",
		set: to(boolean, func(s *scope) *bool { return &s.c.Heartbeat }),
	},
	{
		name: "heartbeat_port", where: inGlobal, kind: "port or service name", def: "539", example: "539", args: 1,
		doc: "UDP port of the heartbeats",
		set: to(func(v *values) (uint16, bool) { return v.port(true) }, func(s *scope) *uint16 { return &s.c.HeartbeatPort }),
	},
	{
		name: "keepalive", where: inGlobal, kind: "seconds", def: "2", example: "6", args: 1,
		doc: "time between two heartbeats",
		set: to(wholeSeconds, func(s *scope) *time.Duration { return &s.c.Keepalive }),
	},
	{
		name: "deadtime", where: inGlobal, kind: "seconds", def: "5", example: "18", args: 1,
		doc: "silence after which the partner is dead; should be three times keepalive",
		set: to(wholeSeconds, func(s *scope) *time.Duration { return &s.c.Deadtime }),
	},
	{
		name: "service", where: inGlobal, kind: "lvs or fos", def: "lvs", example: "lvs", args: 1, words: serviceWords,
		doc: "which blocks run: virtual (lvs) or failover (fos)",
		set: to(wordsOf[Service](serviceWords), func(s *scope) *Service { return &s.c.Service }),
	},
	{
		name: "rsh_command", where: inGlobal, kind: "text", def: "rsh", example: "ssh", args: 1,
		doc: "program that asks a real server's load for load_monitor = uptime",
		set: to(text, func(s *scope) *string { return &s.c.RshCommand }),
	},
	{
		name: "network", where: inGlobal, kind: "nat, direct or tunnel", def: "nat", example: "direct", args: 1, words: networkWords,
		doc: "how packets reach the real servers",
		set: to(wordsOf[Network](networkWords), func(s *scope) *Network { return &s.c.Network }),
	},
	{
		name: "nat_router", where: inGlobal, kind: "host and device", example: "10.0.0.254 eth1:1", args: 2,
		doc: "floating inside address, the gateway of the real servers with network = nat",
		set: setting{setNATRouter, writeNATRouter},
	},
	{
		name: "nat_nmask", where: inGlobal, kind: "netmask", example: "255.255.255.0", args: 1,
		doc: "netmask of nat_router",
		set: to(mask, func(s *scope) *Netmask { return &s.c.NATNetmask }),
	},
	{
		name: "reservation_conflict_action", where: inGlobal, kind: "nothing or preempt", example: "nothing", args: 1, words: reservationWords[1:],
		doc: "what to do when the partner holds the shared disk (failover services)",
		set: to(func(v *values) (ReservationConflict, bool) {
			n, ok := v.word([]string{ReservationNothing: "nothing", ReservationPreempt: "preempt"})
			return ReservationConflict(n), ok
		}, func(s *scope) *ReservationConflict { return &s.c.ReservationConflict }),
	},
	{
		name: "debug_level", where: inGlobal, kind: "text", def: "NONE", example: "NONE", args: 1,
		doc: "read by no daemon",
		set: to(text, func(s *scope) *string { return &s.c.DebugLevel }),
	},
	{
		name: "monitor_links", where: inGlobal, kind: "integer", def: "0", example: "1", args: 1,
		doc: "1: watch the links that hold this router's addresses, and hand over while one of them is down",
		set: setting{setMonitorLinks, from(func(s *scope) *bool { return &s.c.MonitorLinks })},
	},
	{
		name: "syncdaemon", where: inGlobal, kind: "boolean", def: "0", example: "1", args: 1,
		doc: "1: synchronise connections between the routers' kernels: the active one runs the kernel's master and the other its backup, which is left running when the director ends; 0 leaves them alone",
		set: to(boolean, func(s *scope) *bool { return &s.c.SyncDaemon }),
	},
	{
		name: "syncd_iface", where: inGlobal, kind: "text", def: "eth0", example: "eth0", args: 1,
		doc: "interface of the connection synchronisation",
		set: to(text, func(s *scope) *string { return &s.c.SyncdIface }),
	},
	{
		name: "syncd_id", where: inGlobal, kind: "integer 0..255", def: "0", example: "0", args: 1,
		doc: "identifies the connection synchronisation; only the low 8 bits count",
		set: setting{setSyncdID, from(func(s *scope) *uint8 { return &s.c.SyncdID })},
	},
	{
		name: "tcp_timeout", where: inGlobal, kind: "seconds", def: "0", example: "900", args: 1,
		doc: "kernel timeout of TCP connections; 0 leaves it alone",
		set: to(zeroOrMore, func(s *scope) *time.Duration { return &s.c.TCPTimeout }),
	},
	{
		name: "tcpfin_timeout", where: inGlobal, kind: "seconds", def: "0", example: "120", args: 1,
		doc: "kernel timeout of TCP connections after a FIN; 0 leaves it alone",
		set: to(zeroOrMore, func(s *scope) *time.Duration { return &s.c.TCPFinTimeout }),
	},
	{
		name: "udp_timeout", where: inGlobal, kind: "seconds", def: "0", example: "300", args: 1,
		doc: "kernel timeout of UDP sessions; 0 leaves it alone",
		set: to(zeroOrMore, func(s *scope) *time.Duration { return &s.c.UDPTimeout }),
	},
	{
		name: "hard_shutdown", where: inGlobal, kind: "boolean", def: "1", example: "0", args: 1,
		doc: "1: the death of one monitor ends everything, 0: it is only logged",
		set: to(boolean, func(s *scope) *bool { return &s.c.HardShutdown }),
	},
	{
		name: "active_cmd", where: inGlobal, kind: "text", example: "/usr/local/bin/became-active", args: 1,
		doc: "program to run when this router becomes active, in any of its vrrp blocks with failover_mode = vrrp; it is not waited for; quote it to give arguments",
		set: to(text, func(s *scope) *string { return &s.c.ActiveCmd }),
	},
	{
		name: "inactive_cmd", where: inGlobal, kind: "text", example: "/usr/local/bin/became-inactive", args: 1,
		doc: "program to run when this router becomes inactive, and at the start if it does not become active",
		set: to(text, func(s *scope) *string { return &s.c.InactiveCmd }),
	},
	{
		name: "ipvsadm", where: inGlobal, kind: "text", def: "/sbin/ipvsadm", example: "/sbin/ipvsadm", args: 1,
		doc: "path of ipvsadm",
		set: to(text, func(s *scope) *string { return &s.c.Ipvsadm }),
	},
	{
		name: "sync", where: inGlobal, kind: "boolean", def: "0", example: "0", args: 1,
		doc: "old switch of a file copy; read by no daemon",
		set: to(boolean, func(s *scope) *bool { return &s.c.FileSync }),
	},
}
