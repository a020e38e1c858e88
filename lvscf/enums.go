package lvscf

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// Service is the kind of blocks that the daemons run.
type Service uint8

// The services. LVS, the zero value, runs virtual blocks and FOS runs
// failover blocks.
const (
	LVS Service = iota
	FOS
)

var serviceWords = []string{LVS: "lvs", FOS: "fos"}

// String returns the word of the language, or the number of an unknown value.
func (s Service) String() string { return wordOf(serviceWords, int(s)) }

// MarshalText writes the same text as String.
func (s Service) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Service) UnmarshalText(text []byte) error {
	n, err := parseWord("service", serviceWords, text)
	if err == nil {
		*s = Service(n)
	}
	return err
}

// Network is how packets reach the real servers.
type Network uint8

// The forwarding methods. NAT is the zero value and Piranha's default.
const (
	NAT Network = iota
	Direct
	Tunnel
)

var networkWords = []string{NAT: "nat", Direct: "direct", Tunnel: "tunnel"}

// String returns the word of the language, or the number of an unknown value.
func (n Network) String() string { return wordOf(networkWords, int(n)) }

// MarshalText writes the same text as String.
func (n Network) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (n *Network) UnmarshalText(text []byte) error {
	v, err := parseWord("network", networkWords, text)
	if err == nil {
		*n = Network(v)
	}
	return err
}

// Protocol is the transport protocol of a virtual service, by its IP protocol
// number.
type Protocol uint8

// The protocols of the language. SCTP is an extension.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

var protocolWords = []string{TCP: "tcp", UDP: "udp", SCTP: "sctp"}

// String returns the word of the language, or the number of an unknown value.
func (p Protocol) String() string { return wordOf(protocolWords, int(p)) }

// MarshalText writes the same text as String.
func (p Protocol) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (p *Protocol) UnmarshalText(text []byte) error {
	n, err := parseWord("protocol", protocolWords, text)
	if err == nil {
		*p = Protocol(n)
	}
	return err
}

// ReservationConflict is what to do when the shared disk is unexpectedly held
// by the partner; only failover services ever read it.
type ReservationConflict uint8

// The actions; the zero value is none given.
const (
	ReservationUnset ReservationConflict = iota
	ReservationNothing
	ReservationPreempt
)

var reservationWords = []string{ReservationUnset: "unset", ReservationNothing: "nothing", ReservationPreempt: "preempt"}

// String returns the word of the language, "unset" for the zero value.
func (r ReservationConflict) String() string { return wordOf(reservationWords, int(r)) }

// MarshalText writes the same text as String.
func (r ReservationConflict) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (r *ReservationConflict) UnmarshalText(text []byte) error {
	n, err := parseWord("reservation_conflict_action", reservationWords, text)
	if err == nil {
		*r = ReservationConflict(n)
	}
	return err
}

// Scheduler is the name of a scheduling method, as the kernel has it.
type Scheduler string

// The schedulers of the language. Those from ShortestExpectedDelay on came to
// the kernel after Piranha, and are extensions.
const (
	RoundRobin                         Scheduler = "rr"
	LeastConnection                    Scheduler = "lc"
	WeightedLeastConnection            Scheduler = "wlc"
	WeightedRoundRobin                 Scheduler = "wrr"
	LocalityLeastConnection            Scheduler = "lblc"
	LocalityLeastConnectionReplication Scheduler = "lblcr"
	DestinationHash                    Scheduler = "dh"
	SourceHash                         Scheduler = "sh"
	ShortestExpectedDelay              Scheduler = "sed"
	NeverQueue                         Scheduler = "nq"
	WeightedFailover                   Scheduler = "fo"
	WeightedOverflow                   Scheduler = "ovf"
	MaglevHash                         Scheduler = "mh"
	PowerOfTwoChoices                  Scheduler = "twos"
)

// schedulerWords begins with Piranha's own.
var schedulerWords = []string{"rr", "lc", "wlc", "wrr", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"}

const piranhaSchedulers = 8

// String returns the name.
func (s Scheduler) String() string { return string(s) }

// MarshalText writes the name.
func (s Scheduler) MarshalText() ([]byte, error) { return []byte(s), nil }

// UnmarshalText takes any name: kernels have schedulers the language has not.
func (s *Scheduler) UnmarshalText(text []byte) error {
	*s = Scheduler(text)
	return nil
}

// Netmask is a network mask as a prefix length: 1..32 for IPv4, 1..128 for
// IPv6, an extension. Zero is no mask, which a file may write as 0.0.0.0.
type Netmask uint8

// Bits returns the prefix length.
func (m Netmask) Bits() int { return int(m) }

// String returns the dotted form, as in "255.255.255.0", and beyond 32, where
// there is none, the prefix length.
func (m Netmask) String() string {
	if m > 32 {
		return strconv.Itoa(int(m))
	}
	v := ^uint32(0) << (32 - m)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}).String()
}

// MarshalText writes the same text as String.
func (m Netmask) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the dotted form, where the mask must be contiguous, or a
// prefix length.
func (m *Netmask) UnmarshalText(text []byte) error {
	if n, err := strconv.ParseUint(string(text), 10, 8); err == nil && n <= 128 {
		*m = Netmask(n)
		return nil
	}
	addr, err := netip.ParseAddr(string(text))
	if err != nil || !addr.Is4() {
		return fmt.Errorf("netmask %q: want a dotted mask such as 255.255.255.0, or a prefix length", text)
	}
	got, ok := maskOf(addr)
	if !ok {
		return fmt.Errorf("netmask %q: the ones of a mask must come first", text)
	}
	*m = got
	return nil
}

// maskOf returns the mask that an IPv4 address spells, if it is contiguous.
func maskOf(addr netip.Addr) (Netmask, bool) {
	b := addr.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	n := bits.LeadingZeros32(^v)
	return Netmask(n), v<<n == 0
}

func wordOf(words []string, n int) string {
	if n < len(words) && words[n] != "" {
		return words[n]
	}
	return strconv.Itoa(n)
}

func parseWord(what string, words []string, text []byte) (int, error) {
	var want []string
	for n, w := range words {
		if w == "" {
			continue
		}
		if w == string(text) {
			return n, nil
		}
		want = append(want, w)
	}
	if n, err := strconv.ParseUint(string(text), 10, 8); err == nil {
		return int(n), nil
	}
	return 0, fmt.Errorf("%s %q: want one of %s", what, text, strings.Join(want, ", "))
}
