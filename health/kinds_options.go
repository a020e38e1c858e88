package health

import "slices"

// lineOptions are constant: those that hold several values, one a line.
var lineOptions = []string{"expect-header", "expect-header-regex", "header", "json"}

// describeOptions explains the options of a kind.
func describeOptions(kind string, names []string) []Option {
	out := make([]Option, len(names))
	for i, name := range names {
		text, ok := optionTexts[kind+" "+name]
		if !ok {
			text = optionTexts[name]
		}
		out[i] = Option{Name: name, Summary: text, Repeats: slices.Contains(lineOptions, name)}
	}
	return out
}

// optionTexts is constant. An option that means something else with one kind
// has a row with the kind before it.
var optionTexts = map[string]string{
	// Of Dial.
	"source":          "address to ask from; the system's choice without it",
	"device":          "interface to ask through, such as eth1 (Linux)",
	"mark":            "firewall mark on the packets, such as 7 or 0x10 (Linux, as root)",
	"namespace":       "file of a network namespace to ask from, such as /run/netns/blue (Linux, as root)",
	"connect-timeout": "limit of the connecting, such as 500ms",
	"tls-timeout":     "limit of the TLS handshake, such as 1s",
	"answer-timeout":  "limit from the end of the question to the end of the answer, such as 2s",
	"graceful":        "true closes the connection with a FIN in place of a RST",

	// Of TLSConfig.
	"tls":             "true speaks TLS, and verifies the certificate",
	"tls-name":        "name to ask for (SNI) and to find in the certificate; the host or address without it",
	"tls-roots":       "file of certificates to trust (PEM); the system's without it",
	"tls-skip-verify": "true takes any certificate",
	"tls-cert":        "file with a certificate of our own (PEM), for servers that ask for one",
	"tls-key":         "file with the key of tls-cert (PEM)",
	"starttls":        "true begins in clear and turns to TLS",

	// Of logins. A process list shows what stands on a command line.
	"user":          "user to log in as",
	"password":      "password of the user; better in a file, as any user of this machine sees a command line",
	"password-file": "file whose first line is the password",
	"secret":        "secret that we share with the server; better in a file, as command lines can be seen",
	"secret-file":   "file whose first line is the secret",
	"bind-dn":       "object to bind as, such as cn=probe,dc=example,dc=net; nobody without it",
	"database":      "database to use",

	// Of single kinds.
	"agent send":           "text to send first; nothing without it",
	"agent weight":         "weight that 100% stands for, 1 to 65535; 100 without it",
	"dns name":             "name to ask for; the root without it",
	"dns type":             "type of the records, such as A or AAAA; SOA without it",
	"dns rcodes":           "response codes that are good, such as 0,3; 0 without it",
	"dns answer":           "address, name or text that a record of the answer must have",
	"tcp":                  "true asks over TCP in place of UDP",
	"command":              "program with its arguments; %h is the address, %p the port; no shell, no quotes",
	"external expect":      "what the program must print; an exit code of 0 is enough without it",
	"external weight":      "true takes an exit code of 2 to 255 for a weight of 0 to 253",
	"file path":            "file to read; %h is the address, %p the port",
	"file weight":          "true takes the number for a weight; without it 0 is bad and anything else good",
	"bfd interval":         "time between packets while the session is up, 10ms to 10s; 300ms without it",
	"bfd multiplier":       "packets in a row that the server may miss, 1 to 255; 3 without it",
	"grpc watch":           "true keeps a session (Watch) where something watches: a drain is seen at once",
	"grpc keepalive":       "how often a session proves that the server answers, from 100ms; 5s without it",
	"grpc service":         "service to ask about; the server as a whole without it",
	"grpc authority":       "host of the request; tls-name or the address without it",
	"http method":          "method; GET without it",
	"http path":            "path with its query; / without it",
	"http host":            "Host header; address and port without it",
	"http status":          "codes that are good, such as 200-299,404; 200-299 without it",
	"http body":            "text that must be in the body",
	"http body-regex":      "regular expression (RE2) that the body must match",
	"http max-body":        "bytes of the body to search; 65536 without it",
	"http2":                "true speaks HTTP/2",
	"http http10":          "true speaks HTTP/1.0",
	"http header":          `further headers, as "Name: value", each on a line`,
	"http digest":          "MD5 or SHA-256 of the whole body, in hexadecimal",
	"http json":            "values that the body must have, as status.db[0].ok=true, each on a line",
	"http redirects":       "redirects within the host to follow; 0 without it",
	"expect-header":        `headers that the answer must have, as "Name: value" or the name alone, each on a line`,
	"expect-header-regex":  "the same with regular expressions (RE2) for values",
	"rup rstatd-port":      "UDP port of rstatd; the portmapper is asked for it without it",
	"rup portmapper-port":  "UDP port of the portmapper; 111 without it",
	"rup version":          "version of the protocol, 2 to 4; what the server has without it",
	"ruptime name":         "name of the host in the spool of an rwhod here; the names of its address without it",
	"ruptime listen":       "address and port to hear packets at; 0.0.0.0:513 without it",
	"ruptime spool":        "folder of an rwhod on this machine; /var/spool/rwho without it",
	"icmp size":            "bytes of data in the request, 16 to 1472; 56 without it",
	"load-http path":       "path with its query; that of node_exporter without it, or / with value",
	"load-http host":       "Host header; address and port without it",
	"load-http header":     `further headers, as "Name: value", each on a line`,
	"load-http max-body":   "bytes of the body to read; 1048576 without it",
	"load-http value":      "path of the load in an answer of JSON, as load[0]; node_exporter's text is read without it",
	"cores-value":          "path of the number of processors in the same answer; unknown without it",
	"ldap base":            "object that must be found after the bind, such as dc=example,dc=net",
	"mysql query":          "statement that must give a row, such as SELECT 1; it needs user",
	"nagios warning-fails": "true takes the state WARNING for bad",
	"postgres database":    "database of the session; the one of the user's name without it",
	"postgres query":       "statement to ask after the login; nothing without it",
	"postgres expect":      "what the first value of its first row must be, as t for true; anything without it",
	"radius user":          "user to log in as; without it the state is asked for (Status-Server)",
	"radius allow-reject":  "true takes a refusal of the user for good: the server could judge",
	"redis user":           "user to log in as; the default user without it",
	"redis database":       "number of the database to select; 0 without it",
	"redis role":           "role that the server must have: master, slave or sentinel; PING is asked without it",
	"send-expect send":     `text to send, with escapes such as \r\n; nothing without it`,
	"send-expect expect":   "what the answer must begin with; * takes any byte; silence is good without it",
	"udp send":             `text of the datagram, with escapes such as \n; it is empty without it`,
	"udp expect":           "what the answer must begin with; * takes anything; see also send",
	"regex":                "true makes expect a regular expression (POSIX extended)",
	"literal":              "true takes send and expect as they are, without escapes",
	"sip uri":              "address in the request; sip: and the target without it",
	"sip from":             "address of the asker, such as sip:probe@example.net",
	"sip status":           "codes that are good, such as 200,404; 200 without it",
	"smtp hello":           "name to give with EHLO; lvskit-health.invalid without it",
	"tls pins":             "SHA-256 digests of public keys in hexadecimal, with commas: one of them must be in the chain",
	"tls alpn":             "protocols to offer (ALPN), such as h2,http/1.1; the server must choose one",
	"tls expiry-days":      "days before the end of a certificate that the reason warns; 14 without it",
}

// ports are those of a kind of check.
type ports struct {
	plain, tls uint16
	any        bool
}

// portsOf has the ports of IANA's registry, or else those that the programs
// have by default (ajp, load-http, memcached).
func portsOf(kind string) ports {
	switch kind {
	case "ajp":
		return ports{plain: 8009}
	case "dns":
		return ports{plain: 53, tls: 853}
	case "bfd", "external", "file", "icmp", "load-command", "nagios", "rup", "ruptime":
		return ports{any: true}
	case "ftp":
		return ports{plain: 21, tls: 990}
	case "http":
		return ports{plain: 80, tls: 443}
	case "imap":
		return ports{plain: 143, tls: 993}
	case "ldap":
		return ports{plain: 389, tls: 636}
	case "load-http":
		return ports{plain: 9100}
	case "memcached":
		return ports{plain: 11211}
	case "mysql":
		return ports{plain: 3306}
	case "nntp":
		return ports{plain: 119, tls: 563}
	case "ntp":
		return ports{plain: 123}
	case "pop3":
		return ports{plain: 110, tls: 995}
	case "postgres":
		return ports{plain: 5432}
	case "radius":
		return ports{plain: 1812}
	case "redis":
		return ports{plain: 6379}
	case "sip":
		return ports{plain: 5060, tls: 5061}
	case "smtp":
		return ports{plain: 25, tls: 465}
	case "tls":
		return ports{plain: 443}
	}
	return ports{}
}
