package lvscf

import "strings"

// What can be wrong with the value of one directive.
const (
	codeNotInteger   Code = "LVS050"
	codeRange        Code = "LVS051"
	codeLeadingZero  Code = "LVS052"
	codeNotBoolean   Code = "LVS053"
	codeBooleanWord  Code = "LVS054"
	codeNotPort      Code = "LVS055"
	codePortName     Code = "LVS056"
	codeLongText     Code = "LVS057"
	codeNotWord      Code = "LVS058"
	codeOldName      Code = "LVS059"
	codeNotDevice    Code = "LVS060"
	codeNoHost       Code = "LVS061"
	codeNotHost      Code = "LVS062"
	codeOddAddress   Code = "LVS063"
	codeNotMask      Code = "LVS065"
	codeSplitMask    Code = "LVS066"
	codeIgnoredMask  Code = "LVS067"
	codeCountsAsOne  Code = "LVS068"
	codeSyncdID      Code = "LVS069"
	codeNegativeMark Code = "LVS070"
	codeLatePort     Code = "LVS071"
	codeNegativeTime Code = "LVS072"
	codeReentryZero  Code = "LVS073"
	codeLookup       Code = "LVS074"
	codeBadValue     Code = "LVS075"
	codeInclude      Code = "LVS076"
	codeSaturated    Code = "LVS077"
)

func valueCodes() []CodeInfo {
	return []CodeInfo{
		failure(
			codeNotInteger, "a whole number is expected",
			"Numbers are decimal, or hexadecimal after 0x; nothing may follow the digits.",
			exampleService("persistent = 5min"), "write a whole number",
		),
		failure(
			codeRange, "a number is out of range",
			"Piranha takes any number and fails later, or silently uses another; here each directive has its bounds.",
			exampleService("timeout = 0"), "write a number within the bounds",
		),
		doubt(
			codeLeadingZero, "a number has a leading zero",
			"To Piranha a leading zero makes a number octal: 010 is eight. The default dialect reads it as the decimal number that people mean, the strict dialect as Piranha does.",
			exampleService("persistent = 060"), "write the number without the zero",
		),
		failure(
			codeNotBoolean, "0 or 1 is expected",
			"Yes is 1 and no is 0.",
			exampleService("quiesce_server = 2"), "write 1 for yes or 0 for no",
		),
		leniency(
			codeBooleanWord, "a word stands where 0 or 1 belongs",
			"Piranha knows 0 and 1 only. The default dialect takes yes, true and on as 1, and no, false and off as 0.",
			exampleService("quiesce_server = yes"), "write 1 for yes or 0 for no",
		),
		failure(
			codeNotPort, "no port number and no service name",
			"A port is a number of 1 to 65535 or a well-known name. The names are a fixed set, so that a file means the same on every machine.",
			exampleService("port = shop"), "write the port as a number",
		),
		leniency(
			codePortName, "a service name as the port of a real server",
			"Piranha takes names for the virtual port, but only numbers for a real server's.",
			"network = nat\nnat_router = 10.0.0.254 eth1:1\nvirtual web {\n\tactive = 1\n\taddress = 192.0.2.10 eth0:1\n\tserver one {\n\t\taddress = 10.0.0.1\n\t\tactive = 1\n\t\tport = http\n\t}\n}\n",
			"write the number",
		),
		doubt(
			codeLongText, "a text of a check is longer than 255 bytes",
			"Piranha keeps 255 bytes of send and expect.",
			exampleService(`expect = "`+strings.Repeat("0123456789", 26)+`"`), "shorten the text",
		),
		failure(
			codeNotWord, "an unknown word",
			"The directive takes one of a few words.",
			exampleService("scheduler = fastest"), "write one of the words that the message names",
		),
		leniency(
			codeOldName, "a name of long ago",
			"Before September 2000 the least-connection scheduler was called pcc.",
			exampleService("scheduler = pcc"), `write "scheduler = lc"`,
		),
		failure(
			codeNotDevice, "no name of a device",
			"Names of interfaces have at most 15 bytes, without blanks and slashes.",
			exampleService("address = 192.0.2.10 /dev/eth0"), "write the device with its alias number, as in eth0:1",
		),
		failure(
			codeNoHost, "0.0.0.0 is no host",
			"The directive needs the address of a machine. Where there is none, the line is left out.",
			exampleGlobal("primary = 0.0.0.0"), "write an address or remove the line",
		),
		failure(
			codeNotHost, "no address and no host name",
			"An IPv4 address is four decimal numbers of 0 to 255 with dots between them.",
			exampleServer("address = 192.0.2.256"), "write the address as four numbers, as in 192.0.2.21",
		),
		doubt(
			codeOddAddress, "an address in an unusual form",
			"Addresses may be short (10.1 is 10.0.0.1), hexadecimal or octal. It is rarely meant.",
			exampleServer("address = 192.0.533"), "write the four decimal numbers in full",
		),
		failure(
			codeNotMask, "no netmask",
			"A netmask is written with dots, as in 255.255.255.0.",
			exampleService("vip_nmask = none"), "write the mask as four numbers",
		),
		failure(
			codeSplitMask, "the ones of a netmask do not come first",
			"A mask is a run of ones followed by zeros.",
			exampleService("vip_nmask = 255.0.255.0"), "write a mask such as 255.255.255.0",
		),
		doubt(
			codeIgnoredMask, "a persistence mask that cannot be read",
			"Piranha ignores such a mask without a word, so clients are not grouped.",
			exampleService("persistent = 60", "pmask = none"), "write the mask as four numbers, as in 255.255.255.0",
		),
		doubt(
			codeCountsAsOne, "a number that counts as 1",
			"The directive is a switch that takes any number; all but 0 mean yes.",
			exampleGlobal("monitor_links = 2"), "write 1 for yes or 0 for no",
		),
		doubt(
			codeSyncdID, "a sync id outside of 0..255",
			"Only the low 8 bits are used, so two ids may be the same that look different.",
			exampleGlobal("syncdaemon = 1", "syncd_id = 300"), "write a number of 0 to 255",
		),
		doubt(
			codeNegativeMark, "a firewall mark of 2^31 or more",
			"Piranha would take it as a negative number.",
			exampleService("fwmark = 0xfffffffe"), "use a mark of 1 to 2147483647",
		),
		doubt(
			codeLatePort, "the port follows the server blocks",
			"A server takes the virtual port that was set above it. Servers above the port line keep the port of before.",
			"network = direct\nvirtual web {\n\tactive = 1\n\taddress = 192.0.2.10 eth0:1\n\tserver one {\n\t\taddress = 192.0.2.21\n\t\tactive = 1\n\t}\n\tport = 8080\n}\n",
			"move the port line above the server blocks, or give them ports of their own",
		),
		doubt(
			codeNegativeTime, "a negative time",
			"A time below zero turns persistence off.",
			exampleService("persistent = -1"), "write 0 or remove the line",
		),
		doubt(
			codeReentryZero, "a reentry of 0",
			"Zero does not mean at once: it is taken as the default of 180 seconds.",
			exampleService("reentry = 0"), "write 180, or 1 for as soon as possible",
		),
		failure(
			codeLookup, "a host name is not found",
			"Names are looked up when the configuration is loaded; a director cannot balance to a name.",
			exampleServer("address = gone.example.net"), "write the address, or mend the name service",
		),
		failure(
			codeBadValue, "a value that cannot be read",
			"The directives beyond Piranha's have values of many forms; the message says which one is wanted.",
			exampleService("slow_start = soon"), "write a value of the form that the message shows",
		),
		doubt(
			codeInclude, "an included file is not read",
			"Another program than the balancer may have only the one file at hand. Where files are included, one that cannot be read is an error.",
			exampleGlobal("include = /etc/lvs.d/mail.cf"), "check the main file with lvsctl check, which reads all of them",
		),
		doubt(
			codeSaturated, "a number is beyond 64 bits",
			"Piranha takes the largest number that there is in its place, or the smallest one, without a word; so do both dialects. A serial number that is the largest one cannot be raised any more.",
			exampleGlobal("serial_no = 99999999999999999999"), "write a number of 64 bits, such as the date and a count",
		),
	}
}
