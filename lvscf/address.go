package lvscf

import (
	"fmt"
	"net/netip"
	"strings"
)

// inetAton reads an IPv4 address as the C function of that name does
// (inet_aton(3)): one to four numbers, each decimal, octal with a leading 0 or
// hexadecimal with 0x, of which the last fills the remaining bytes. The note
// is set when that is likely not what the writer means.
func inetAton(s string) (addr netip.Addr, note string, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, "", false
	}
	var sum uint64
	plain := len(parts) == 4
	for i, p := range parts {
		if p == "" || p[0] < '0' || p[0] > '9' { // no sign
			return netip.Addr{}, "", false
		}
		n, base, isNumber := cNumber(p)
		last := i == len(parts)-1
		limit := uint64(0xff)
		if last {
			limit = 1<<(8*(5-len(parts))) - 1
		}
		if !isNumber || uint64(n) > limit {
			return netip.Addr{}, "", false
		}
		plain = plain && (base == 10 || base == 8 && n < 8)
		if last {
			sum = sum<<(8*(5-len(parts))) | uint64(n)
		} else {
			sum = sum<<8 | uint64(n)
		}
	}
	addr = netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	if !plain {
		note = fmt.Sprintf("is not four decimal numbers, and means %s", addr)
	}
	return addr, note, true
}

// isHostName reports whether s can be looked up: labels of letters, digits,
// dashes and underscores, of which the last is not all digits (RFC 1123 2.1).
func isHostName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i] | 0x20
			if (c < 'a' || c > 'z') && (label[i] < '0' || label[i] > '9') && label[i] != '-' && label[i] != '_' {
				return false
			}
		}
		last = label
	}
	return strings.Trim(last, "0123456789") != ""
}

// servicePort returns the TCP port of a service name. The names are a fixed
// set, from IANA's registry with the common aliases of /etc/services, so that
// a file means the same on every machine.
func servicePort(name string) (uint16, bool) {
	switch name {
	case "ftp-data":
		return 20, true
	case "ftp":
		return 21, true
	case "ssh":
		return 22, true
	case "telnet":
		return 23, true
	case "smtp", "mail":
		return 25, true
	case "domain":
		return 53, true
	case "http", "www":
		return 80, true
	case "kerberos", "kerberos5":
		return 88, true
	case "pop3", "pop-3":
		return 110, true
	case "sunrpc", "portmapper":
		return 111, true
	case "nntp":
		return 119, true
	case "ntp":
		return 123, true
	case "imap", "imap2":
		return 143, true
	case "snmp":
		return 161, true
	case "bgp":
		return 179, true
	case "irc":
		return 194, true
	case "ldap":
		return 389, true
	case "https":
		return 443, true
	case "smtps", "submissions", "ssmtp", "urd":
		return 465, true
	case "rtsp":
		return 554, true
	case "submission":
		return 587, true
	case "ldaps":
		return 636, true
	case "rsync":
		return 873, true
	case "imaps":
		return 993, true
	case "pop3s":
		return 995, true
	case "socks":
		return 1080, true
	case "openvpn":
		return 1194, true
	case "ms-sql-s":
		return 1433, true
	case "radius":
		return 1812, true
	case "nfs":
		return 2049, true
	case "mysql":
		return 3306, true
	case "ms-wbt-server":
		return 3389, true
	case "sip":
		return 5060, true
	case "sip-tls":
		return 5061, true
	case "xmpp-client":
		return 5222, true
	case "postgresql", "postgres":
		return 5432, true
	case "amqp":
		return 5672, true
	case "http-alt", "webcache":
		return 8080, true
	}
	return 0, false
}
