package lvscf

import (
	"math"
	"time"
)

// blockMask is a set of places where a directive may stand.
type blockMask uint8

const (
	inGlobal blockMask = 1 << iota
	inVirtual
	inServer
)

// directive is one row of the table: everything there is to know of a
// directive stands in its row.
type directive struct {
	name  string
	where blockMask
	// kind is the type in words, def the daemons' default as text ("" is
	// none), example a value to show.
	kind, def, example string
	// args is the number of values; listArgs is a list in brackets.
	args int
	doc  string
	set  func(s *scope, v *values)
}

const listArgs = -1

// to makes a setter of a reader and a place to put what it reads.
func to[T any](read func(*values) (T, bool), field func(*scope) *T) func(*scope, *values) {
	return func(s *scope, v *values) {
		if x, ok := read(v); ok {
			*field(s) = x
		}
	}
}

// The readers that the rows share.
var (
	boolean  = (*values).boolean
	text     = (*values).text
	mask     = (*values).mask
	needHost = func(v *values) (Host, bool) { return v.host(true) }
	mayHost  = func(v *values) (Host, bool) { return v.host(false) }
)

// directives is the language, in the order of the documentation.
var directives = []directive{
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
		name: "service", where: inGlobal, kind: "lvs or fos", def: "lvs", example: "lvs", args: 1,
		doc: "which blocks run: virtual (lvs) or failover (fos)",
		set: to(wordsOf[Service](serviceWords), func(s *scope) *Service { return &s.c.Service }),
	},
	{
		name: "rsh_command", where: inGlobal, kind: "text", def: "rsh", example: "ssh", args: 1,
		doc: "program that asks a real server's load for load_monitor = uptime",
		set: to(text, func(s *scope) *string { return &s.c.RshCommand }),
	},
	{
		name: "network", where: inGlobal, kind: "nat, direct or tunnel", def: "nat", example: "direct", args: 1,
		doc: "how packets reach the real servers",
		set: to(wordsOf[Network](networkWords), func(s *scope) *Network { return &s.c.Network }),
	},
	{
		name: "nat_router", where: inGlobal, kind: "host and device", example: "10.0.0.254 eth1:1", args: 2,
		doc: "floating inside address, the gateway of the real servers with network = nat",
		set: setNATRouter,
	},
	{
		name: "nat_nmask", where: inGlobal, kind: "netmask", example: "255.255.255.0", args: 1,
		doc: "netmask of nat_router",
		set: to(mask, func(s *scope) *Netmask { return &s.c.NATNetmask }),
	},
	{
		name: "reservation_conflict_action", where: inGlobal, kind: "nothing or preempt", example: "nothing", args: 1,
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
		doc: "1: watch the links that hold this router's addresses",
		set: setMonitorLinks,
	},
	{
		name: "syncdaemon", where: inGlobal, kind: "boolean", def: "0", example: "1", args: 1,
		doc: "1: synchronise connections between the routers' kernels",
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
		set: setSyncdID,
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
		doc: "program to run when this router becomes active; quote it to give arguments",
		set: to(text, func(s *scope) *string { return &s.c.ActiveCmd }),
	},
	{
		name: "inactive_cmd", where: inGlobal, kind: "text", example: "/usr/local/bin/became-inactive", args: 1,
		doc: "program to run at the start and when this router becomes inactive",
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

	{
		name: "active", where: inVirtual, kind: "boolean", def: "0", example: "1", args: 1,
		doc: "1: set the service up",
		set: to(boolean, func(s *scope) *bool { return &s.v.Active }),
	},
	{
		name: "address", where: inVirtual, kind: "host and device", example: "192.0.2.10 eth0:1", args: 2,
		doc: "virtual address and the device with alias that carries it",
		set: setVirtualAddress,
	},
	{
		name: "vip_nmask", where: inVirtual, kind: "netmask", example: "255.255.255.0", args: 1,
		doc: "netmask of the virtual address; 0.0.0.0 leaves it to the system",
		set: to(mask, func(s *scope) *Netmask { return &s.v.Netmask }),
	},
	{
		name: "sorry_server", where: inVirtual, kind: "IPv4 address", example: "192.0.2.99", args: 1,
		doc: "takes the traffic when no real server is up",
		set: setSorryServer,
	},
	{
		name: "fwmark", where: inVirtual, kind: "integer", def: "0", example: "100", args: 1,
		doc: "select packets by this firewall mark; 0 is by address and port",
		set: setFWMark,
	},
	{
		name: "port", where: inVirtual, kind: "port or service name", def: "80", example: "80", args: 1,
		doc: "virtual port, and the port of the servers that follow in the file",
		set: setVirtualPort,
	},
	{
		name: "protocol", where: inVirtual, kind: "tcp or udp", def: "tcp", example: "tcp", args: 1,
		doc: "protocol of the service and of its checks",
		set: to(wordsOf[Protocol](protocolWords), func(s *scope) *Protocol { return &s.v.Protocol }),
	},
	{
		name: "scheduler", where: inVirtual, kind: "rr, lc, wlc, wrr, lblc, lblcr, dh or sh", def: "wlc", example: "wlc", args: 1,
		doc: "how new connections are spread",
		set: to((*values).scheduler, func(s *scope) *Scheduler { return &s.v.Scheduler }),
	},
	{
		name: "persistent", where: inVirtual, kind: "seconds", def: "0", example: "300", args: 1,
		doc: "keep a client on its server for so long; 0 is off",
		set: setPersistent,
	},
	{
		name: "pmask", where: inVirtual, kind: "netmask", example: "255.255.255.0", args: 1,
		doc: "group the clients of persistent by network",
		set: setPMask,
	},
	{
		name: "send", where: inVirtual, kind: "text, at most 255 bytes", example: `"GET / HTTP/1.0\r\n\r\n"`, args: 1,
		doc: "text that the check sends after connecting",
		set: to((*values).checkText, func(s *scope) *string { return &s.v.Send }),
	},
	{
		name: "expect", where: inVirtual, kind: "text, at most 255 bytes", example: `"HTTP"`, args: 1,
		doc: "how the answer to the check must begin; * is any one byte",
		set: to((*values).checkText, func(s *scope) *string { return &s.v.Expect }),
	},
	{
		name: "use_regex", where: inVirtual, kind: "boolean", def: "0", example: "0", args: 1,
		doc: "1: expect is a POSIX extended regular expression",
		set: to(boolean, func(s *scope) *bool { return &s.v.UseRegex }),
	},
	{
		name: "send_program", where: inVirtual, kind: "text", example: `"/usr/local/bin/check %h %p"`, args: 1,
		doc: "program that checks in place of send; %h is the address, %p the port",
		set: to(text, func(s *scope) *string { return &s.v.SendProgram }),
	},
	{
		name: "load_monitor", where: inVirtual, kind: "none, rup, ruptime, uptime or a program", example: "none", args: 1,
		doc: "how to ask the real servers for their load",
		set: to(text, func(s *scope) *string { return &s.v.LoadMonitor }),
	},
	{
		name: "timeout", where: inVirtual, kind: "seconds", def: "10", example: "6", args: 1,
		doc: "interval of the checks and limit of each of their steps",
		set: to(func(v *values) (time.Duration, bool) { return v.seconds(1) }, func(s *scope) *time.Duration { return &s.v.Timeout }),
	},
	{
		name: "reentry", where: inVirtual, kind: "seconds", def: "180", example: "15", args: 1,
		doc: "how long a failed server must be good again; 0 is 180",
		set: setReentry,
	},
	{
		name: "quiesce_server", where: inVirtual, kind: "boolean", def: "0", example: "0", args: 1,
		doc: "1: a failed server gets weight 0 instead of being removed",
		set: to(boolean, func(s *scope) *bool { return &s.v.QuiesceServer }),
	},
	{
		name: "client_monitor", where: inVirtual, kind: "text", def: "/usr/sbin/nanny", example: "/usr/sbin/nanny", args: 1,
		doc: "program used in place of nanny",
		set: to(text, func(s *scope) *string { return &s.v.ClientMonitor }),
	},
	{
		name: "master", where: inVirtual, kind: "host", example: "192.0.2.1", args: 1,
		doc: "old file copy; read by no daemon",
		set: to(mayHost, func(s *scope) *Host { return &s.v.Master }),
	},
	{
		name: "dirs", where: inVirtual, kind: "list", example: "[ /var/www /etc/httpd ]", args: listArgs,
		doc: "old file copy; read by no daemon",
		set: to((*values).list, func(s *scope) *[]string { return &s.v.Dirs }),
	},
	{
		name: "start_cmd", where: inVirtual, kind: "text", example: `"/etc/init.d/httpd start"`, args: 1,
		doc: "starts a failover service; without effect in a virtual block",
		set: to(text, func(s *scope) *string { return &s.v.StartCmd }),
	},
	{
		name: "stop_cmd", where: inVirtual, kind: "text", example: `"/etc/init.d/httpd stop"`, args: 1,
		doc: "stops a failover service; without effect in a virtual block",
		set: to(text, func(s *scope) *string { return &s.v.StopCmd }),
	},

	{
		name: "address", where: inServer, kind: "host", example: "192.0.2.21", args: 1,
		doc: "address of the real server",
		set: to(mayHost, func(s *scope) *Host { return &s.s.Address }),
	},
	{
		name: "active", where: inServer, kind: "boolean", def: "0", example: "1", args: 1,
		doc: "1: check and use the server",
		set: to(boolean, func(s *scope) *bool { return &s.s.Active }),
	},
	{
		name: "port", where: inServer, kind: "port", example: "8080", args: 1,
		doc: "real port; without it the virtual port set so far",
		set: to(func(v *values) (uint16, bool) { return v.port(false) }, func(s *scope) *uint16 { return &s.s.Port }),
	},
	{
		name: "weight", where: inServer, kind: "integer", def: "1", example: "1", args: 1,
		doc: "share of the connections; 0 takes no new ones",
		set: to(func(v *values) (int, bool) {
			n, ok := v.number(0, math.MaxInt32)
			return int(n), ok
		}, func(s *scope) *int { return &s.s.Weight }),
	},
}

// findDirective returns the directive of that name in that place, or nil.
func findDirective(name string, where blockMask) *directive {
	for i := range directives {
		if d := &directives[i]; d.where&where != 0 && d.name == name {
			return d
		}
	}
	return nil
}

// blocksOf returns the places where a directive may stand.
func blocksOf(name string) (where blockMask) {
	for i := range directives {
		if directives[i].name == name {
			where |= directives[i].where
		}
	}
	return where
}

// directiveNames returns the names of the directives of some places.
func directiveNames(where blockMask) []string {
	var names []string
	for i := range directives {
		if d := &directives[i]; d.where&where != 0 {
			names = append(names, d.name)
		}
	}
	return names
}

// Directive describes one directive of the language.
type Directive struct {
	// Name is how the directive is written.
	Name string `json:"name"`
	// Block is where it may stand: "global", "virtual" (failover blocks
	// included) or "server".
	Block string `json:"block"`
	// Type is the kind of its value, in words.
	Type string `json:"type"`
	// Default is what the daemons assume without it, "" if nothing.
	Default string `json:"default,omitempty"`
	// Example is a value that it accepts.
	Example string `json:"example"`
	// Doc says what it does.
	Doc string `json:"doc"`
}

// Directives returns a new list of all directives of the language.
func Directives() []Directive {
	out := make([]Directive, len(directives))
	for i, d := range directives {
		out[i] = Directive{d.name, d.where.String(), d.kind, d.def, d.example, d.doc}
	}
	return out
}

func (m blockMask) String() string {
	switch m {
	case inGlobal:
		return "global"
	case inVirtual:
		return "virtual"
	}
	return "server"
}
