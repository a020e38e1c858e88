package lvscf

import "strings"

// What the blocks say as a whole.
const (
	codeNoAddress       Code = "LVS120"
	codeUDPSilent       Code = "LVS121"
	codeUDPNoAnswer     Code = "LVS122"
	codeNoCommand       Code = "LVS123"
	codeServerAddress   Code = "LVS124"
	codeRealPort        Code = "LVS125"
	codeNoServer        Code = "LVS126"
	codeSameService     Code = "LVS127"
	codeSameName        Code = "LVS128"
	codeSameServerName  Code = "LVS129"
	codeSameServer      Code = "LVS130"
	codeMarkPersistence Code = "LVS131"
	codeBareDevice      Code = "LVS132"
	codeTwoDevices      Code = "LVS133"
	codeTwoMasks        Code = "LVS134"
	codeSharedDevice    Code = "LVS135"
	codeServerIsVirtual Code = "LVS136"
	codeOverlap         Code = "LVS137"
	codeNoWeight        Code = "LVS138"
	codeNewScheduler    Code = "LVS139"
	codeIdleMask        Code = "LVS140"
	codeIdlePersistence Code = "LVS141"
	codeShortReentry    Code = "LVS142"
	codeUnevenReentry   Code = "LVS143"
	codeBanner          Code = "LVS144"
	codeTwoChecks       Code = "LVS145"
	codeIdleRegex       Code = "LVS146"
	codeBadRegex        Code = "LVS147"
	codeGluedHost       Code = "LVS148"
	codeNoProgram       Code = "LVS149"
	codeNotExecutable   Code = "LVS150"
	codeRelativeProgram Code = "LVS151"
	codeSorryIsServer   Code = "LVS152"
	codeSorryIsVirtual  Code = "LVS153"
	codeOddVirtual      Code = "LVS154"
	codeOddServer       Code = "LVS155"
	codeOpenRequest     Code = "LVS156"
	codePlainTLS        Code = "LVS157"
	codeNoExpect        Code = "LVS158"
	codeWideMask        Code = "LVS159"
)

// exampleServers is a service of two servers with lines of their own.
func exampleServers(head, one, two string) string {
	text := head
	if !strings.Contains(text, "network") {
		text = "network = direct\n" + text
	}
	text += "virtual web {\n\tactive = 1\n\taddress = 192.0.2.10 eth0:1\n"
	for i, s := range []string{one, two} {
		name := []string{"one", "two"}[i]
		text += "\tserver " + name + " {\n\t\tactive = 1\n"
		for line := range strings.SplitSeq(s, "; ") {
			text += "\t\t" + line + "\n"
		}
		text += "\t}\n"
	}
	return text + "}\n"
}

// exampleTwo is a second service beside the first one.
func exampleTwo(name string, lines ...string) string {
	text := exampleService() + "virtual " + name + " {\n\tactive = 1\n"
	for _, l := range lines {
		text += "\t" + l + "\n"
	}
	return text + "\tserver one {\n\t\taddress = 192.0.2.22\n\t\tactive = 1\n\t}\n}\n"
}

func serviceCodes() []CodeInfo {
	return []CodeInfo{
		failure(
			codeNoAddress, "an active service has no address",
			"A service is known by its address, port and protocol. One with a firewall mark can do without the address, and is reached at those of the vrrp block that it moves with.",
			"network = direct\nvirtual web {\n\tactive = 1\n\tserver one {\n\t\taddress = 192.0.2.21\n\t\tactive = 1\n\t}\n}\n",
			`write "address = ADDRESS DEVICE", as in "address = 192.0.2.10 eth0:1", or "active = 0"`,
		),
		doubt(
			codeUDPSilent, "the check of a UDP service sends nothing",
			"UDP has no connection whose set-up would show that a server lives: something must be sent, and something must come back.",
			exampleService("protocol = udp", "port = 53"), `write "send" and "expect", or "send_program"`,
		),
		doubt(
			codeUDPNoAnswer, "the check of a UDP service expects nothing",
			"Without expect any answer counts, that of a server in trouble too.",
			exampleService("protocol = udp", "port = 53", `send = "ping"`), `write "expect"; "*" says that any answer will do`,
		),
		doubt(
			codeNoCommand, "a failover service without its commands",
			"A failover service is started and stopped by programs; without both it does not move.",
			"service = fos\nfailover web {\n\tactive = 1\n\taddress = 192.0.2.10 eth0:1\n}\n", "write both start_cmd and stop_cmd",
		),
		failure(
			codeServerAddress, "an active server has no address",
			"There is nowhere to send its connections.",
			"network = direct\nvirtual web {\n\tactive = 1\n\taddress = 192.0.2.10 eth0:1\n\tserver one {\n\t\tactive = 1\n\t}\n}\n",
			`write "address = ADDRESS", or "active = 0"`,
		),
		doubt(
			codeRealPort, "the real port differs where ports cannot be changed",
			"With direct routing and tunnels packets reach the real server as the client sent them, with the virtual port. Piranha's monitor then fails to add the server, and the whole of lvsd shuts down.",
			exampleServer("port = 8080"), "write the virtual port, or network = nat",
		),
		doubt(
			codeNoServer, "an active service has no active server",
			"Servers are inactive unless they say otherwise; clients of this service are refused.",
			"network = direct\nvirtual web {\n\tactive = 1\n\taddress = 192.0.2.10 eth0:1\n}\n", `write "active = 1" in at least one of its server blocks`,
		),
		failure(
			codeSameService, "two services are one to the kernel",
			"The kernel knows a service by its firewall mark, or by address, port and protocol. The second of two is refused, and Piranha does not monitor its servers.",
			exampleTwo("shop", "address = 192.0.2.10 eth0:1"), "give one of the two another port, address or mark, or make it inactive",
		),
		doubt(
			codeSameName, "two blocks have one name",
			"Names tell services apart in logs and in commands. Both blocks are used.",
			exampleTwo("web", "address = 192.0.2.11 eth0:2"), "give one of the two another name",
		),
		doubt(
			codeSameServerName, "two servers of a service have one name",
			"Names tell servers apart in logs and in commands. Both are used.",
			exampleService("server one {", "\taddress = 192.0.2.22", "\tactive = 1", "}"), "give one of the two another name",
		),
		doubt(
			codeSameServer, "a server stands twice in a service",
			"The kernel keeps one entry for each address and port; the second one only changes the first one's weight.",
			exampleServers("", "address = 192.0.2.21", "address = 192.0.2.21"), "remove one of the two, or make it inactive",
		),
		doubt(
			codeMarkPersistence, "services of one firewall mark differ in persistence",
			"A mark joins ports so that a client reaches one server for all of them. That works only with the same persistence everywhere.",
			exampleService("fwmark = 7", "persistent = 60")+"virtual tls {\n\tactive = 1\n\taddress = 192.0.2.10 eth0:1\n\tport = 443\n\tfwmark = 7\n}\n",
			"write the same persistent in each of them",
		),
		doubt(
			codeBareDevice, "an address on an interface instead of an alias",
			"Piranha brings the device down with the address. Without an alias number that is the network card itself, with all its other addresses.",
			exampleService("address = 192.0.2.10 eth0"), "write the device with an alias number, as in eth0:1",
		),
		doubt(
			codeTwoDevices, "one address on two devices",
			"A virtual address is brought up once, on the device of the first active service that has it; the other device is not used.",
			exampleTwo("tls", "port = 443", "address = 192.0.2.10 eth1:1"), "write the same device in both",
		),
		doubt(
			codeTwoMasks, "one address with two netmasks",
			"A virtual address is brought up once, with the mask of the first active service that has it.",
			exampleTwo("tls", "port = 443", "address = 192.0.2.10 eth0:1", "vip_nmask = 255.255.255.0"), "write the same vip_nmask in both",
		),
		doubt(
			codeSharedDevice, "two addresses on one alias",
			"An alias carries one address: the second one replaces the first.",
			exampleTwo("shop", "address = 192.0.2.11 eth0:1"), "number the aliases, as in eth0:1 and eth0:2",
		),
		doubt(
			codeServerIsVirtual, "a real server has the virtual address",
			"With network = nat packets to the virtual address stay on the director; there they find no server, or the balancer again.",
			exampleServers("network = nat\nnat_router = 10.0.0.254 eth1:1\n", "address = 192.0.2.10", "address = 10.0.0.1"), "write the real server's own address",
		),
		doubt(
			codeOverlap, "real servers in the network of the virtual address",
			"With network = nat answers must go back through the director. A server in the clients' network answers them directly, from an address they did not ask.",
			"network = nat\nnat_router = 192.0.2.254 eth1:1\n"+exampleVirtual("vip_nmask = 255.255.255.0"), "put the real servers into a network behind the director",
		),
		doubt(
			codeNoWeight, "all servers have weight 0",
			"A server of weight 0 gets no new connections; here none does.",
			exampleServer("weight = 0"), "write a weight of 1 or more",
		),
		advice(
			codeNewScheduler, "a scheduler that a kernel may lack",
			"Piranha knows rr, wrr, lc, wlc, lblc, lblcr, dh and sh. Of the others fo came with Linux 3.18, ovf with 4.3, mh with 4.18 and twos with 5.12; and each scheduler is a module that a kernel may be built without.",
			exampleService("scheduler = mh"), "see that the kernel of both routers has the scheduler (modprobe ip_vs_NAME)",
		),
		doubt(
			codeIdleMask, "a persistence mask without persistence",
			"pmask groups the clients of persistent; alone it has no effect.",
			exampleService("pmask = 255.255.255.0"), "write persistent too, or remove the line",
		),
		advice(
			codeIdlePersistence, "persistence with a hashing scheduler",
			"Source hashing sends a client to the same server by itself; with persistence on top the hash is asked once for each client only.",
			exampleService("scheduler = sh", "persistent = 300"), "use one of the two",
		),
		doubt(
			codeShortReentry, "reentry is shorter than the interval of the checks",
			"A failed server returns after reentry / timeout good checks in a row; when that is none, one good answer brings it back.",
			exampleService("timeout = 20", "reentry = 10"), "write a reentry of several times timeout",
		),
		advice(
			codeUnevenReentry, "reentry is not a multiple of the interval",
			"Piranha counts reentry / timeout good checks and drops the rest of the division.",
			exampleService("timeout = 10", "reentry = 15"), "write a multiple of timeout",
		),
		advice(
			codeBanner, "the check waits for a greeting",
			"With expect and without send nothing is asked: the server must speak first, as those of SMTP, FTP and SSH do. A web server never does.",
			exampleService(`expect = "HTTP"`), "write send, unless the server greets",
		),
		advice(
			codeTwoChecks, "a check program beside a text to send",
			"send_program is used in place of send, which has no effect.",
			exampleService(`send = "PING\r\n"`, `send_program = "/bin/true %h"`, `expect = "OK"`), "remove one of the two lines",
		),
		advice(
			codeIdleRegex, "use_regex has no effect",
			"It says how expect is read: there must be one, and Piranha does not use it with send_program.",
			exampleService("use_regex = 1"), "write expect, or remove the line",
		),
		failure(
			codeBadRegex, "expect is no regular expression",
			"With use_regex = 1 expect is a POSIX extended regular expression; this one cannot be read, so the check could never succeed.",
			exampleService(`send = "PING\r\n"`, `expect = "("`, "use_regex = 1"), "mend the expression; a literal one of . [ ( ) * + ? | ^ $ needs a backslash",
		),
		doubt(
			codeGluedHost, "%h or %p within a word",
			"Piranha replaces %h and %p only where they are whole words. Within a word they reach the program as they are.",
			exampleService(`send_program = "/usr/bin/curl http://%h:%p/"`, `expect = "OK"`), "put blanks around it, and join the words in a small script",
		),
		doubt(
			codeNoProgram, "a program is not there",
			"The program cannot be run, so its check fails for every server.",
			exampleService(`send_program = "/opt/missing/check %h"`, `expect = "OK"`), "install the program, on both routers, or mend the path",
		),
		doubt(
			codeNotExecutable, "a program may not be run",
			"The file is there but is no program that can be run.",
			exampleService(`send_program = "/etc/hosts %h"`, `expect = "OK"`), "make it executable: chmod 755 FILE",
		),
		advice(
			codeRelativeProgram, "a program without its path",
			"Which program is run depends on the surroundings of the daemon, which has another search path than a shell.",
			exampleService(`send_program = "check %h"`, `expect = "OK"`), "write the path from / on",
		),
		doubt(
			codeSorryIsServer, "the sorry server is a real server",
			"The server of last resort takes the traffic when the real servers are down; one of them is then down too.",
			exampleService("sorry_server = 192.0.2.21"), "name another machine",
		),
		doubt(
			codeSorryIsVirtual, "the sorry server is the virtual address",
			"The traffic would come back to the director.",
			exampleService("sorry_server = 192.0.2.10"), "name another machine",
		),
		doubt(
			codeOddVirtual, "no address for a service",
			"A loopback, multicast, broadcast or network address cannot be a virtual address that clients reach.",
			exampleService("address = 192.0.2.255 eth0:1", "vip_nmask = 255.255.255.0"), "write a host's address",
		),
		doubt(
			codeOddServer, "no address for a real server",
			"A loopback, multicast or broadcast address is no machine on the network.",
			exampleServer("address = 127.0.0.1"), "write the address that the machine has on the network",
		),
		doubt(
			codeOpenRequest, "an HTTP request without an end",
			"A request ends with an empty line. Until it comes the server waits, and the check runs out of time.",
			exampleService(`send = "GET / HTTP/1.0"`, `expect = "HTTP"`), `end the text with \r\n\r\n`,
		),
		advice(
			codePlainTLS, "a plain check of a port that speaks TLS",
			"The text is sent as it is, without TLS. Servers of port 443 answer that with an error or not at all.",
			exampleService("port = 443", `send = "GET / HTTP/1.0\r\n\r\n"`, `expect = "HTTP"`), "check with a connection alone, or with a send_program that speaks TLS",
		),
		doubt(
			codeNoExpect, "a check program must print nothing",
			"Not the exit code of send_program counts but its output, which must equal expect. Without expect a server is up as long as the program prints nothing, even if it fails.",
			exampleService(`send_program = "/bin/true %h"`), `write what the program prints when all is well, as in expect = "OK"`,
		),
		doubt(
			codeWideMask, "a netmask of all addresses or a huge network",
			"A virtual address with a mask shorter than /8 claims a part of the internet as a local network.",
			exampleService("vip_nmask = 128.0.0.0"), "write the mask of the network, or 255.255.255.255",
		),
	}
}
