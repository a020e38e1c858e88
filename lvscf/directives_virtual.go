package lvscf

import (
	"net/netip"
	"time"
)

// virtualDirectives are those of virtual and failover blocks that Piranha has.
var virtualDirectives = []directive{
	{
		name: "active", where: inVirtual, kind: "boolean", def: "0", example: "1", args: 1,
		doc: "1: set the service up",
		set: to(boolean, func(s *scope) *bool { return &s.v.Active }),
	},
	{
		name: "address", where: inVirtual, kind: "host and device", example: "192.0.2.10 eth0:1", args: 2,
		doc: "virtual address and the device with alias that carries it",
		set: setting{setVirtualAddress, writeVirtualAddress},
	},
	{
		name: "vip_nmask", where: inVirtual, kind: "netmask", example: "255.255.255.0", args: 1,
		doc: "netmask of the virtual address; 0.0.0.0 leaves it to the system",
		set: to(mask, func(s *scope) *Netmask { return &s.v.Netmask }),
	},
	{
		name: "sorry_server", where: inVirtual, kind: "address", example: "192.0.2.99", args: 1,
		doc: "takes the traffic when no real server is up",
		set: setting{setSorryServer, from(func(s *scope) *netip.Addr { return &s.v.SorryServer })},
	},
	{
		name: "fwmark", where: inVirtual, kind: "integer", def: "0", example: "100", args: 1,
		doc: "select packets by this firewall mark; 0 is by address and port",
		set: setting{setFWMark, from(func(s *scope) *uint32 { return &s.v.FWMark })},
	},
	{
		name: "port", where: inVirtual, kind: "port or service name", def: "80", example: "80", args: 1,
		doc: "virtual port, and the port of the servers that follow in the file",
		set: setting{setVirtualPort, from(func(s *scope) *uint16 { return &s.v.Port })},
	},
	{
		name: "protocol", where: inVirtual, kind: "tcp, udp or sctp", def: "tcp", example: "tcp", args: 1, words: []string{"tcp", "udp", "sctp"},
		doc: "protocol of the service and of its checks",
		set: to((*values).protocol, func(s *scope) *Protocol { return &s.v.Protocol }),
	},
	{
		name: "scheduler", where: inVirtual, kind: "name of a scheduler", def: "wlc", example: "wlc", args: 1, words: schedulerWords,
		doc: "how new connections are spread",
		set: to((*values).scheduler, func(s *scope) *Scheduler { return &s.v.Scheduler }),
	},
	{
		name: "persistent", where: inVirtual, kind: "seconds", def: "0", example: "300", args: 1,
		doc: "keep a client on its server for so long; 0 is off",
		set: setting{setPersistent, from(func(s *scope) *time.Duration { return &s.v.Persistent })},
	},
	{
		name: "pmask", where: inVirtual, kind: "netmask", example: "255.255.255.0", args: 1,
		doc: "group the clients of persistent by network",
		set: setting{setPMask, writePMask},
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
		name: "load_monitor", where: inVirtual, kind: "none, rup, ruptime, uptime, a program or a URL", example: "none", args: 1,
		doc: "how the load is found out that weights follow: rup asks rstatd, ruptime hears rwhod, uptime goes by rsh_command; a program gets the address; http://%h:9100/metrics asks node_exporter, http://%h/path#load[0] (in quotes) takes a value of JSON",
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
		set: setting{setReentry, from(func(s *scope) *time.Duration { return &s.v.Reentry })},
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
}
