package lvscf

import (
	"slices"
	"time"
)

// Which kinds of check share options.
var (
	textKinds = []CheckKind{CheckTCP, CheckUDP, CheckText, CheckTLS}
	httpKinds = []CheckKind{CheckHTTP, CheckHTTPS}
	// networkKinds send packets of their own.
	networkKinds = slices.DeleteFunc(CheckKinds(), func(k CheckKind) bool {
		return k == CheckNone || k == CheckScript || k == CheckNagios || k == CheckFile
	})
	startTLSKinds = []CheckKind{CheckSMTP, CheckPOP3, CheckIMAP, CheckFTP, CheckNNTP, CheckLDAP}
	loginKinds    = []CheckKind{
		CheckHTTP, CheckHTTPS, CheckPOP3, CheckIMAP, CheckFTP, CheckLDAP, CheckMySQL, CheckPostgres, CheckRedis, CheckRADIUS, CheckSIP,
	}
	// connectKinds speak to a port of the server.
	connectKinds = []CheckKind{
		CheckTCP, CheckUDP, CheckText, CheckTLS, CheckHTTP, CheckHTTPS, CheckGRPC, CheckDNS, CheckSMTP, CheckPOP3, CheckIMAP, CheckFTP, CheckNNTP,
		CheckLDAP, CheckMySQL, CheckPostgres, CheckRedis, CheckMemcached, CheckRADIUS, CheckNTP, CheckSIP,
	}
	passwordKinds = slices.DeleteFunc(slices.Clone(loginKinds), func(k CheckKind) bool { return k == CheckSIP })
	tlsKinds      = []CheckKind{
		CheckTLS, CheckHTTP, CheckHTTPS, CheckGRPC, CheckDNS, CheckSMTP, CheckPOP3, CheckIMAP, CheckFTP, CheckNNTP, CheckLDAP, CheckMySQL, CheckPostgres, CheckRedis, CheckMemcached, CheckSIP,
	}
)

// KindsThrough returns the kinds of check that may ask through the virtual
// address: those that speak to a port of the server.
func KindsThrough() []CheckKind { return slices.Clone(connectKinds) }

// checkDirectives are those of check blocks, all extensions; some they share
// with virtual blocks.
var checkDirectives = []directive{
	{
		name: "kind", where: inCheck, kind: "kind of check", def: "tcp", example: "http", args: 1, words: checkKindWords, since: sinceExtensions,
		doc: "what to ask",
		set: to((*values).checkKind, func(s *scope) *CheckKind { return &s.k.Kind }),
	},
	{
		name: "address", where: inCheck, kind: "host", example: "10.0.0.21", args: 1, since: sinceExtensions,
		doc: "ask here in place of the server's address",
		set: to(needHost, func(s *scope) *Host { return &s.k.Address }),
	},
	{
		name: "port", where: inCheck, kind: "port or service name", example: "8081", args: 1, since: sinceExtensions,
		doc: "ask this port in place of the server's",
		set: to(aPort, func(s *scope) *uint16 { return &s.k.Port }),
	},
	{
		name: "source", where: inCheck, kinds: networkKinds, kind: "host", example: "10.0.0.1", args: 1, since: sinceExtensions,
		doc: "ask from this address of the router",
		set: to(needHost, func(s *scope) *Host { return &s.k.Source }),
	},
	{
		name: "interface", where: inCheck | inVRRP, kinds: networkKinds, kind: "text, a device", example: "eth1", args: 1, since: sinceExtensions,
		doc: "in a check, ask through this device alone; in a vrrp block, the device that the packets use",
		set: to(device, func(s *scope) *string {
			if s.r != nil {
				return &s.r.Interface
			}
			return &s.k.Interface
		}),
	},
	{
		name: "mark", where: inCheck, kinds: networkKinds, kind: "integer", example: "7", args: 1, since: sinceExtensions,
		doc: "put this firewall mark on the packets of the check",
		set: to(uintTo[uint32](1, 1<<32-1), func(s *scope) *uint32 { return &s.k.Mark }),
	},
	{
		name: "through", where: inCheck, kind: "server or virtual", def: "server", example: "virtual", args: 1, words: checkThroughWords, since: sinceExtensions, kinds: connectKinds,
		doc: "virtual: ask at the virtual address through the way of the clients' packets, with direct routing and tunnels: a server that lacks the virtual address is found",
		set: to(wordsOf[CheckThrough](checkThroughWords), func(s *scope) *CheckThrough { return &s.k.Through }),
	},
	{
		name: "timeout", where: inCheck, kind: "duration", example: "3", args: 1, since: sinceExtensions,
		doc: "limit of the whole check; without it that of the virtual block",
		set: to(duration, func(s *scope) *time.Duration { return &s.k.Timeout }),
	},
	{
		name: "send", where: inCheck, kind: "text", example: `"PING\r\n"`, args: 1, since: sinceExtensions, kinds: append(textKinds[:len(textKinds):len(textKinds)], CheckAgent),
		doc: "text to send, with the escapes of send in a virtual block",
		set: to(text, func(s *scope) *string { return &s.k.Send }),
	},
	{
		name: "expect", where: inCheck, kind: "text", example: `"+PONG"`, args: 1, since: sinceExtensions, kinds: append(textKinds[:len(textKinds):len(textKinds)], CheckDNS, CheckScript),
		doc: "how the answer must begin; with dns an address or text that must be in it, with script what the program must print",
		set: to(text, func(s *scope) *string { return &s.k.Expect }),
	},
	{
		name: "use_regex", where: inCheck, kind: "boolean", def: "0", example: "1", args: 1, since: sinceExtensions, kinds: textKinds,
		doc: "1: expect is a POSIX extended regular expression",
		set: to(boolean, func(s *scope) *bool { return &s.k.UseRegex }),
	},
	{
		name: "require_reply", where: inCheck, kind: "boolean", def: "0", example: "1", args: 1, since: sinceExtensions, kinds: []CheckKind{CheckUDP},
		doc: "1: silence is a failure; without it only a refusal is",
		set: to(boolean, func(s *scope) *bool { return &s.k.RequireReply }),
	},
	{
		name: "method", where: inCheck, kind: "text", example: "HEAD", args: 1, since: sinceExtensions, kinds: httpKinds,
		doc: "method of the request; without it GET",
		set: to((*values).method, func(s *scope) *string { return &s.k.Method }),
	},
	{
		name: "path", where: inCheck, kind: "text, a path", example: "/health", args: 1, since: sinceExtensions, kinds: append(httpKinds[:len(httpKinds):len(httpKinds)], CheckFile),
		doc: "path of the request with its query, without it /; with file the file to read, whose number must not be 0",
		set: to(filePath, func(s *scope) *string { return &s.k.Path }),
	},
	{
		name: "host", where: inCheck, kind: "text", example: "www.example.net", args: 1, since: sinceExtensions, kinds: httpKinds,
		doc: "value of the Host header; without it the server's address",
		set: to(filePath, func(s *scope) *string { return &s.k.Host }),
	},
	{
		name: "header", where: inCheck, kind: "text, a header line", example: `"X-Probe: lvs"`, args: 1, repeats: true, since: sinceExtensions, kinds: httpKinds,
		doc: "one more line of the request's header",
		set: add((*values).header, func(s *scope) *[]string { return &s.k.Header }),
	},
	{
		name: "http_version", where: inCheck, kind: "1.0, 1.1 or 2", def: "1.1", example: "2", args: 1, words: httpVersionWords, since: sinceExtensions, kinds: httpKinds,
		doc: "version of HTTP to speak",
		set: to((*values).httpVersion, func(s *scope) *string { return &s.k.HTTPVersion }),
	},
	{
		name: "status", where: inCheck, kind: "codes and ranges, with commas between", example: "200,300-399", args: 1, since: sinceExtensions,
		kinds: append(httpKinds[:len(httpKinds):len(httpKinds)], CheckSIP),
		doc:   "status codes that are good; without it 200-299",
		set:   to((*values).status, func(s *scope) *StatusCodes { return &s.k.Status }),
	},
	{
		name: "body", where: inCheck, kind: "text", example: `"all is well"`, args: 1, since: sinceExtensions, kinds: httpKinds,
		doc: "text that must be in the answer",
		set: to(text, func(s *scope) *string { return &s.k.Body }),
	},
	{
		name: "body_regex", where: inCheck, kind: "text, a regular expression", example: `"ready|idle"`, args: 1, since: sinceExtensions, kinds: httpKinds,
		doc: "expression (RE2) that the answer must match",
		set: to((*values).re2, func(s *scope) *string { return &s.k.BodyRegex }),
	},
	{
		name: "digest", where: inCheck, kind: "MD5 or SHA-256 in hexadecimal", example: "d41d8cd98f00b204e9800998ecf8427e", args: 1, since: sinceExtensions, kinds: httpKinds,
		doc: "sum that the body of the answer must have",
		set: to((*values).digest, func(s *scope) *string { return &s.k.Digest }),
	},
	{
		name: "tls", where: inCheck, kind: "boolean", def: "0", example: "1", args: 1, since: sinceExtensions, kinds: tlsKinds,
		doc: "1: speak TLS from the first byte; the kinds tls and https always do",
		set: to(boolean, func(s *scope) *bool { return &s.k.TLS }),
	},
	{
		name: "starttls", where: inCheck, kind: "boolean", def: "0", example: "1", args: 1, since: sinceExtensions, kinds: startTLSKinds,
		doc: "1: begin in clear and turn to TLS by the protocol's own command; a server that does not offer it is bad",
		set: to(boolean, func(s *scope) *bool { return &s.k.StartTLS }),
	},
	{
		name: "server_name", where: inCheck, kind: "text", example: "www.example.net", args: 1, since: sinceExtensions, kinds: tlsKinds,
		doc: "name to ask for in the handshake (SNI) and to look for in the certificate; without it that of host, or else the address",
		set: to(filePath, func(s *scope) *string { return &s.k.ServerName }),
	},
	{
		name: "verify", where: inCheck, kind: "boolean", def: "1", example: "0", args: 1, since: sinceExtensions, kinds: tlsKinds,
		doc: "0: accept any certificate",
		set: to(boolean, func(s *scope) *bool { return &s.k.Verify }),
	},
	{
		name: "ca_file", where: inCheck, kind: "text, a file", example: "/etc/lvs/ca.pem", args: 1, since: sinceExtensions, kinds: tlsKinds,
		doc: "certificates to trust (PEM) in place of the system's",
		set: to(filePath, func(s *scope) *string { return &s.k.CAFile }),
	},
	{
		name: "cert_file", where: inCheck, kind: "text, a file", example: "/etc/lvs/probe.pem", args: 1, since: sinceExtensions, kinds: tlsKinds,
		doc: "the checker's own certificate (PEM); needs key_file",
		set: to(filePath, func(s *scope) *string { return &s.k.CertFile }),
	},
	{
		name: "key_file", where: inCheck, kind: "text, a file", example: "/etc/lvs/probe.key", args: 1, since: sinceExtensions, kinds: tlsKinds,
		doc: "key of cert_file (PEM)",
		set: to(filePath, func(s *scope) *string { return &s.k.KeyFile }),
	},
	{
		name: "query", where: inCheck, kind: "text", example: "www.example.net", args: 1, since: sinceExtensions,
		kinds: []CheckKind{CheckDNS, CheckLDAP, CheckMySQL, CheckPostgres},
		doc:   "name (dns), search base (ldap) or statement (mysql, postgres) to ask for",
		set:   to(text, func(s *scope) *string { return &s.k.Query }),
	},
	{
		name: "query_type", where: inCheck, kind: "text, a record type", example: "AAAA", args: 1, since: sinceExtensions, kinds: []CheckKind{CheckDNS},
		doc: "type of the records to ask for; without it SOA of the root, or A of a name",
		set: to((*values).recordType, func(s *scope) *string { return &s.k.QueryType }),
	},
	{
		name: "grpc_service", where: inCheck, kind: "text", example: "shop.Cart", args: 1, since: sinceExtensions, kinds: []CheckKind{CheckGRPC},
		doc: "service whose health to ask for; without it that of the whole server",
		set: to(filePath, func(s *scope) *string { return &s.k.GRPCService }),
	},
	{
		name: "user", where: inCheck, kind: "text", example: "probe", args: 1, since: sinceExtensions, kinds: loginKinds,
		doc: "user to log in as; with sip the address that asks",
		set: to(filePath, func(s *scope) *string { return &s.k.User }),
	},
	{
		name: "password_file", where: inCheck, kind: "text, a file", example: "/etc/lvs/probe.secret", args: 1, since: sinceExtensions, kinds: passwordKinds,
		doc: "file whose first line is the password, or the secret of radius; it should be readable by root alone",
		set: to(filePath, func(s *scope) *string { return &s.k.PasswordFile }),
	},
	{
		name: "database", where: inCheck, kind: "text", example: "shop", args: 1, since: sinceExtensions, kinds: []CheckKind{CheckMySQL, CheckPostgres, CheckRedis},
		doc: "database to use",
		set: to(filePath, func(s *scope) *string { return &s.k.Database }),
	},
	{
		name: "role", where: inCheck, kind: "master, slave or sentinel", example: "master", args: 1, words: redisRoleWords, since: sinceExtensions, kinds: []CheckKind{CheckRedis},
		doc: "role that the server must have; without it any",
		set: to((*values).redisRole, func(s *scope) *string { return &s.k.Role }),
	},
	{
		name: "command", where: inCheck, kind: "text, a command", example: `"/usr/local/bin/check %h %p"`, args: 1, since: sinceExtensions, kinds: []CheckKind{CheckScript, CheckNagios},
		doc: "program that checks; %h is the address, %p the port, and 0 the exit code of a good server; with nagios a plugin, whose 1 (warning) is good too and 3 (unknown) no answer",
		set: to(command, func(s *scope) *string { return &s.k.Command }),
	},
	{
		name: "use_weight", where: inCheck, kind: "boolean", def: "0", example: "1", args: 1, since: sinceExtensions, kinds: []CheckKind{CheckScript, CheckFile},
		doc: "1: the answer sets the weight: the number in the file, or an exit code of 2..255 less 2; an agent always does",
		set: to(boolean, func(s *scope) *bool { return &s.k.UseWeight }),
	},
	{
		name: "weight", where: inCheck, kind: "integer -253..253", def: "0", example: "-20", args: 1, since: sinceExtensions,
		doc: "in a vrrp block, change the priority of the router in place of a fault: below 0 so much is taken off while the check fails, above 0 added while it is good; the number that a check of the kind file reads is multiplied by it and added; in a sync group all priorities change",
		set: to(priorityWeight, func(s *scope) *int { return &s.k.Weight }),
	},
}

// priorityWeight reads what a priority may change by.
func priorityWeight(v *values) (int, bool) {
	n, ok := v.number(-253, 253)
	return int(n), ok
}
