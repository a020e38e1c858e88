package lvscf

import (
	"fmt"
	"slices"
	"strings"
)

// FailoverMode is how two routers agree on who is active.
type FailoverMode uint8

// The modes. Pulse, the zero value, exchanges heartbeats as Piranha did; VRRP
// speaks that protocol, with the vrrp blocks of the file.
const (
	PulseMode FailoverMode = iota
	VRRPMode
)

var failoverModeWords = []string{PulseMode: "pulse", VRRPMode: "vrrp"}

// String returns the word of the language, or the number of an unknown value.
func (m FailoverMode) String() string { return wordOf(failoverModeWords, int(m)) }

// MarshalText writes the same text as String.
func (m FailoverMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (m *FailoverMode) UnmarshalText(text []byte) error {
	return unmarshalWord("failover_mode", failoverModeWords, text, m)
}

// TunnelType is the encapsulation of the tunnel method, by the kernel's
// numbers (include/uapi/linux/ip_vs.h).
type TunnelType uint8

// The tunnel types. IPIP is the zero value and all that kernels before
// Linux 5.2 have; GRE came with 5.3.
const (
	IPIP TunnelType = iota
	GUE
	GRE
)

var tunnelTypeWords = []string{IPIP: "ipip", GUE: "gue", GRE: "gre"}

// String returns the word of the language, or the number of an unknown value.
func (t TunnelType) String() string { return wordOf(tunnelTypeWords, int(t)) }

// MarshalText writes the same text as String.
func (t TunnelType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (t *TunnelType) UnmarshalText(text []byte) error {
	return unmarshalWord("tunnel_type", tunnelTypeWords, text, t)
}

// TunnelChecksum is how the outer header of a GUE or GRE tunnel is protected,
// by the kernel's numbers (include/uapi/linux/ip_vs.h).
type TunnelChecksum uint8

// The checksums; the zero value is none.
const (
	TunnelNoChecksum TunnelChecksum = iota
	TunnelFullChecksum
	TunnelRemoteChecksum
)

var tunnelChecksumWords = []string{TunnelNoChecksum: "none", TunnelFullChecksum: "full", TunnelRemoteChecksum: "remote"}

// String returns the word of the language, or the number of an unknown value.
func (c TunnelChecksum) String() string { return wordOf(tunnelChecksumWords, int(c)) }

// MarshalText writes the same text as String.
func (c TunnelChecksum) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (c *TunnelChecksum) UnmarshalText(text []byte) error {
	return unmarshalWord("tunnel_checksum", tunnelChecksumWords, text, c)
}

// StartState is what a server counts as before its checks have answered.
type StartState uint8

// The start states. The zero value believes the first answer, whichever it is.
const (
	StartUnknown StartState = iota
	StartUp
	StartDown
)

var startStateWords = []string{StartUnknown: "unknown", StartUp: "up", StartDown: "down"}

// String returns the word of the language, or the number of an unknown value.
func (s StartState) String() string { return wordOf(startStateWords, int(s)) }

// MarshalText writes the same text as String.
func (s StartState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *StartState) UnmarshalText(text []byte) error {
	return unmarshalWord("start_state", startStateWords, text, s)
}

// CheckThrough is where a check asks its server.
type CheckThrough uint8

// The ways. ThroughServer, the zero value, asks at the server's own address;
// ThroughVirtual at the virtual address, with packets that reach the server
// as the clients' do.
const (
	ThroughServer CheckThrough = iota
	ThroughVirtual
)

var checkThroughWords = []string{ThroughServer: "server", ThroughVirtual: "virtual"}

// String returns the word of the language, or the number of an unknown value.
func (c CheckThrough) String() string { return wordOf(checkThroughWords, int(c)) }

// MarshalText writes the same text as String.
func (c CheckThrough) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (c *CheckThrough) UnmarshalText(text []byte) error {
	return unmarshalWord("through", checkThroughWords, text, c)
}

// SchedulerFlags are the options of a scheduler, by the kernel's three bits.
type SchedulerFlags uint8

// The flags. The schedulers sh and mh take the first as "pick another server
// when the one of the hash takes none" and the second as "hash the source port
// too"; none of the kernel's schedulers reads the third.
const (
	FlagFallback SchedulerFlags = 1 << iota
	FlagPort
	FlagThird
)

var schedulerFlagWords = []string{"fallback", "port", "flag-3"}

// String returns the words of the language with commas between, "" for none.
func (f SchedulerFlags) String() string {
	var words []string
	for i, w := range schedulerFlagWords {
		if f&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	return strings.Join(words, ",")
}

// MarshalText writes the same text as String.
func (f SchedulerFlags) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what MarshalText writes, and also ipvsadm's names such
// as sh-port and mh-fallback, and flag-1 to flag-3.
func (f *SchedulerFlags) UnmarshalText(text []byte) error {
	var got SchedulerFlags
	for word := range strings.SplitSeq(string(text), ",") {
		switch word {
		case "":
		case "fallback", "sh-fallback", "mh-fallback", "flag-1":
			got |= FlagFallback
		case "port", "sh-port", "mh-port", "flag-2":
			got |= FlagPort
		case "flag-3":
			got |= FlagThird
		default:
			return fmt.Errorf("scheduler_flags %q: want %s, with commas between", word, strings.Join(schedulerFlagWords, ", "))
		}
	}
	*f = got
	return nil
}

// CheckKind is the question that a check asks.
type CheckKind string

// The kinds of check. The empty kind stands for what Piranha's send, expect
// and send_program of the virtual service say.
const (
	CheckPiranha   CheckKind = ""
	CheckNone      CheckKind = "none"
	CheckTCP       CheckKind = "tcp"
	CheckUDP       CheckKind = "udp"
	CheckText      CheckKind = "text"
	CheckTLS       CheckKind = "tls"
	CheckHTTP      CheckKind = "http"
	CheckHTTPS     CheckKind = "https"
	CheckGRPC      CheckKind = "grpc"
	CheckDNS       CheckKind = "dns"
	CheckSMTP      CheckKind = "smtp"
	CheckPOP3      CheckKind = "pop3"
	CheckIMAP      CheckKind = "imap"
	CheckFTP       CheckKind = "ftp"
	CheckNNTP      CheckKind = "nntp"
	CheckLDAP      CheckKind = "ldap"
	CheckMySQL     CheckKind = "mysql"
	CheckPostgres  CheckKind = "postgres"
	CheckRedis     CheckKind = "redis"
	CheckMemcached CheckKind = "memcached"
	CheckRADIUS    CheckKind = "radius"
	CheckNTP       CheckKind = "ntp"
	CheckSIP       CheckKind = "sip"
	CheckAJP       CheckKind = "ajp"
	CheckAgent     CheckKind = "agent"
	CheckPing      CheckKind = "ping"
	CheckScript    CheckKind = "script"
	CheckNagios    CheckKind = "nagios"
	CheckFile      CheckKind = "file"
)

var checkKindWords = []string{
	"none", "tcp", "udp", "text", "tls", "http", "https", "grpc", "dns", "smtp", "pop3", "imap", "ftp", "nntp",
	"ldap", "mysql", "postgres", "redis", "memcached", "radius", "ntp", "sip", "ajp", "agent", "ping", "script", "nagios", "file",
}

// CheckKinds returns all kinds that have a word.
func CheckKinds() []CheckKind {
	out := make([]CheckKind, len(checkKindWords))
	for i, word := range checkKindWords {
		out[i] = CheckKind(word)
	}
	return out
}

// String returns the word of the language, "" for Piranha's check.
func (k CheckKind) String() string { return string(k) }

// MarshalText writes the same text as String.
func (k CheckKind) MarshalText() ([]byte, error) { return []byte(k), nil }

// UnmarshalText reads a word of the language, or nothing.
func (k *CheckKind) UnmarshalText(text []byte) error {
	if len(text) > 0 && !slices.Contains(checkKindWords, string(text)) {
		return fmt.Errorf("check kind %q: want one of %s", text, strings.Join(checkKindWords, ", "))
	}
	*k = CheckKind(text)
	return nil
}

// VRRPAuth is how VRRP packets are authenticated.
type VRRPAuth uint8

// The ways of authentication. The zero value is none, as in RFC 9568.
// VRRPPassword is the plain text password of version 2 (RFC 2338, withdrawn),
// VRRPHMAC the trailer of keepalived 2.4.
const (
	VRRPNoAuth VRRPAuth = iota
	VRRPPassword
	VRRPHMAC
)

var vrrpAuthWords = []string{VRRPNoAuth: "none", VRRPPassword: "password", VRRPHMAC: "hmac"}

// String returns the word of the language, or the number of an unknown value.
func (a VRRPAuth) String() string { return wordOf(vrrpAuthWords, int(a)) }

// MarshalText writes the same text as String.
func (a VRRPAuth) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (a *VRRPAuth) UnmarshalText(text []byte) error {
	return unmarshalWord("auth", vrrpAuthWords, text, a)
}

// VRRPChecksum is what the checksum of a version 3 packet over IPv4 covers,
// which RFC 5798 and RFC 9568 see differently.
type VRRPChecksum uint8

// The checksums. The zero value answers in the form that the other routers
// use, and begins with the pseudo-header.
const (
	VRRPAutoChecksum VRRPChecksum = iota
	VRRPPseudoHeader
	VRRPMessageOnly
)

var vrrpChecksumWords = []string{VRRPAutoChecksum: "auto", VRRPPseudoHeader: "pseudo-header", VRRPMessageOnly: "message"}

// String returns the word of the language, or the number of an unknown value.
func (c VRRPChecksum) String() string { return wordOf(vrrpChecksumWords, int(c)) }

// MarshalText writes the same text as String.
func (c VRRPChecksum) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (c *VRRPChecksum) UnmarshalText(text []byte) error {
	return unmarshalWord("checksum", vrrpChecksumWords, text, c)
}

func unmarshalWord[T ~uint8](what string, words []string, text []byte, to *T) error {
	n, err := parseWord(what, words, text)
	if err == nil {
		*to = T(n)
	}
	return err
}
