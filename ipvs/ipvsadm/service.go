package ipvsadm

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// defaultPersistence is what -p means without a number. The man page says
// 300; version 1.31 does 360.
const defaultPersistence = 360 * time.Second

// service reads the settings of -A and -E.
func (p *parser) service(key ipvs.ServiceKey) (ipvs.Service, *SyntaxError) {
	s := ipvs.Service{Key: key, Scheduler: p.given[optScheduler].value.text, Engine: p.given[optEngine].value.text}
	if s.Scheduler == "" {
		s.Scheduler = ipvs.DefaultScheduler
	}
	if p.seen(optPersistent) {
		s.Persistence = defaultPersistence
		if p.given[optPersistent].has {
			n, err := p.number(optPersistent, 1, maxSeconds)
			if err != nil {
				return s, err
			}
			s.Persistence = time.Duration(n) * time.Second
		}
	}
	if p.seen(optNetmask) {
		var err *SyntaxError
		if s.PersistencePrefix, err = p.netmask(key.Is6()); err != nil {
			return s, err
		}
	}
	if p.seen(optOnePacket) {
		s.Flags |= ipvs.OnePacket
	}
	if p.seen(optSchedFlags) {
		flags, err := p.schedFlags(s.Scheduler)
		if err != nil {
			return s, err
		}
		s.Flags |= flags
	}
	if f := checkService(s); f != nil {
		return s, p.locate(f, optService)
	}
	return s.Normalized(), nil
}

// netmask reads -M as a prefix length.
func (p *parser) netmask(is6 bool) (int, *SyntaxError) {
	w := p.given[optNetmask].value
	if is6 {
		n, ok := decimal(w.text, 1, 128)
		if !ok {
			return 0, p.errorf(w, "netmask %s: want a prefix length 1..128, the service is IPv6", quoted(w.text))
		}
		return int(n), nil
	}
	ip, err := netip.ParseAddr(w.text)
	if err != nil || !ip.Is4() {
		if n, ok := decimal(w.text, 1, 32); ok {
			return 0, p.errorf(w, "netmask %s: the service is IPv4, write %s", quoted(w.text), maskText(int(n)))
		}
		return 0, p.errorf(w, "netmask %s: want an IPv4 netmask such as 255.255.255.0", quoted(w.text))
	}
	b := ip.As4()
	mask := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	n := bits.LeadingZeros32(^mask)
	switch {
	case n == 0:
		return 0, p.errorf(w, "netmask %s puts all clients into one group: want 128.0.0.0 or longer", quoted(w.text))
	case mask<<n != 0:
		return 0, p.errorf(w, "netmask %s has gaps: want ones first, then zeros, such as %s", quoted(w.text), maskText(n))
	}
	return n, nil
}

// maskText writes an IPv4 prefix length, 0..32, as a netmask.
func maskText(prefix int) string {
	m := ^uint32(0) << (32 - prefix)
	return netip.AddrFrom4([4]byte{byte(m >> 24), byte(m >> 16), byte(m >> 8), byte(m)}).String()
}

// schedFlag is a flag of a scheduler. In tables of several schedulers the
// same bit has several names.
type schedFlag struct {
	flag      ipvs.ServiceFlags
	scheduler string // that gives it the name, empty: any
	name      string
}

// schedFlags are in the order in which they are printed; names of the
// scheduler's own go before the common ones.
var schedFlags = [...]schedFlag{
	{ipvs.SHFallback, "sh", "sh-fallback"},
	{ipvs.SHPort, "sh", "sh-port"},
	{ipvs.MHFallback, "mh", "mh-fallback"},
	{ipvs.MHPort, "mh", "mh-port"},
	{ipvs.Sched1, "", "flag-1"},
	{ipvs.Sched2, "", "flag-2"},
	{ipvs.Sched3, "", "flag-3"},
}

// schedFlags reads -b. An empty name, as after a last comma, is no flag.
func (p *parser) schedFlags(scheduler string) (flags ipvs.ServiceFlags, _ *SyntaxError) {
	w := p.given[optSchedFlags].value
	at := 0
	for name := range strings.SplitSeq(w.text, ",") {
		f, err := schedFlagNamed(name, scheduler)
		if err != nil {
			return 0, p.errorf(w.from(at), "%v", err)
		}
		flags |= f
		at += len(name) + 1
	}
	return flags, nil
}

func schedFlagNamed(name, scheduler string) (ipvs.ServiceFlags, error) {
	if name == "" {
		return 0, nil
	}
	var known []string
	for _, f := range schedFlags {
		switch fits := f.scheduler == "" || f.scheduler == scheduler; {
		case f.name == name && fits:
			return f.flag, nil
		case f.name == name:
			return 0, fmt.Errorf("flag %s belongs to the scheduler %s, not to %s: name it with -s", name, f.scheduler, quoted(scheduler))
		case fits:
			known = append(known, f.name)
		}
	}
	return 0, fmt.Errorf("unknown scheduler flag %s: want %s", quoted(name), strings.Join(known, ", "))
}

// appendSchedFlags writes the flags by the names that the scheduler gives
// them.
func appendSchedFlags(b []byte, flags ipvs.ServiceFlags, scheduler string) []byte {
	first := true
	for _, f := range schedFlags {
		if flags&f.flag == 0 || f.scheduler != "" && f.scheduler != scheduler {
			continue
		}
		flags &^= f.flag
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, f.name...)
	}
	return b
}

// anySched are all the flags with names.
const anySched = ipvs.Sched1 | ipvs.Sched2 | ipvs.Sched3

// maxPersistence is the longest persistence that -p takes.
const maxPersistence = maxSeconds * time.Second

// checkService finds what a command line cannot say about a service, and what
// a kernel would refuse or never schedule.
func checkService(s ipvs.Service) *fault {
	if f := checkKey(s.Key); f != nil {
		return f
	}
	if err := s.Validate(); err != nil {
		about := optService
		switch {
		case s.PersistencePrefix < 0:
			return faultf(optNetmask, "a netmask with gaps is not supported")
		case badName(s.Scheduler):
			about = optScheduler
		case badName(s.Engine):
			about = optEngine
		}
		return &fault{about, err}
	}
	switch {
	case badName(s.Scheduler):
		return faultf(optScheduler, "scheduler "+quoted(s.Scheduler)+": want letters, digits, - and _")
	case badName(s.Engine):
		return faultf(optEngine, "persistence engine "+quoted(s.Engine)+": want letters, digits, - and _")
	case s.Persistence > maxPersistence:
		return faultf(optPersistent, fmt.Sprintf("persistence %v: the longest is 31 days", s.Persistence))
	case !s.Key.IsMark() && s.Key.Addr.Port() == 0 && s.Persistence == 0:
		return faultf(optService, "port 0 means all ports and needs persistence: give a port, or add -p")
	case s.Flags&ipvs.OnePacket != 0 && !s.Key.IsMark() && s.Key.Protocol != ipvs.UDP:
		return faultf(optOnePacket, "one-packet scheduling is for UDP and firewall marks only")
	case s.Flags&^(anySched|ipvs.OnePacket) != 0:
		return faultf(optSchedFlags, fmt.Sprintf("flags %v: there is a word for one-packet and flag-1 to flag-3 only", s.Flags))
	}
	return nil
}

func checkKey(k ipvs.ServiceKey) *fault {
	if err := k.Validate(); err != nil {
		return &fault{optService, err}
	}
	switch k.Protocol {
	case 0, ipvs.TCP, ipvs.UDP, ipvs.SCTP:
		return nil
	}
	return faultf(optService, fmt.Sprintf("protocol %v: there are options for TCP, UDP and SCTP only", k.Protocol))
}

// badName tells names that would not survive as a word of a command line, or
// are too long.
func badName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '+', c == '-' && i > 0:
		default:
			return true
		}
	}
	return len(s) > 15
}
