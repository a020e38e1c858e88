package convert

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lvskit/lvskit/lvscf"
)

// level are the settings that a virtual server hands to its real servers, and
// they to their checks.
type level struct {
	connect time.Duration
	retry   int64 // -1: that of the kind of check
	before  time.Duration
	loop    time.Duration
	alpha   bool
	inhibit bool
	host    string
	weight  int
}

var defaultLevel = level{weight: 1, connect: 5 * time.Second, retry: -1, before: -1, loop: 60 * time.Second}

// handlers are those of the settings.
func (l *level) handlers(p place) handlers {
	return handlers{
		"connect_timeout":    func(s *statement) { p.duration(s, maxTimer, &l.connect) },
		"delay_before_retry": func(s *statement) { p.duration(s, maxTimer, &l.before) },
		"delay_loop":         func(s *statement) { p.duration(s, maxDelayLoop, &l.loop) },
		"retry": func(s *statement) {
			if n, ok := p.number(s, 0, 0, math.MaxInt32-1); ok {
				l.retry = n
			}
		},
		"alpha":              func(s *statement) { p.flag(s, &l.alpha) },
		"inhibit_on_failure": func(s *statement) { p.flag(s, &l.inhibit) },
		"virtualhost":        func(s *statement) { l.host, _ = p.text(s) },
	}
}

func (p place) flag(s *statement, to *bool) {
	if b, ok := p.boolean(s, 0); ok {
		*to = b
	}
}

func (im *importer) virtualServer(top place, s *statement) {
	p := top.in(s)
	members := im.members(top, s)
	if len(members) == 0 {
		return
	}
	v := lvscf.NewVirtual("")
	v.Active = true
	v.Port = members[0].port
	v.Protocol = lvscf.UDP // what keepalived takes when nothing is said
	v.Rise = 1
	v.StartState = lvscf.StartUp
	v.Forward = new(lvscf.Network)
	var sorry, sorryMethod, protocol, persistent *statement
	var reals []*statement
	name, family, sorryInhibit := "", "", false
	l := defaultLevel
	h := l.handlers(p)
	scheduler := func(s *statement) { im.scheduler(p, s, &v) }
	method := func(s *statement) { p.method(s, v.Forward, &v.Tunneling) }
	flag := func(f lvscf.SchedulerFlags, only lvscf.Scheduler) func(*statement) {
		return func(s *statement) {
			if only != "" && v.Scheduler != only {
				p.lose(s, "only the scheduler "+string(only)+" has it, so keepalived ignores it", "leave it out")
				return
			}
			v.SchedulerFlags |= f
		}
	}
	for word, do := range (handlers{
		"lvs_sched": scheduler, "lb_algo": scheduler, "lvs_method": method, "lb_kind": method,
		"flag-1": flag(lvscf.FlagFallback, ""), "flag-2": flag(lvscf.FlagPort, ""), "flag-3": flag(lvscf.FlagThird, ""),
		"sh-port": flag(lvscf.FlagPort, lvscf.SourceHash), "sh-fallback": flag(lvscf.FlagFallback, lvscf.SourceHash),
		"mh-port": flag(lvscf.FlagPort, lvscf.MaglevHash), "mh-fallback": flag(lvscf.FlagFallback, lvscf.MaglevHash),
		"ops": func(*statement) { v.OnePacket = true },
		"persistence_engine": func(s *statement) {
			if e := s.word(0); !deviceName(e) {
				p.lose(s, "no name of a persistence engine", "nothing was carried")
			} else {
				v.PersistenceEngine = e
			}
		},
		"persistence_timeout":     func(s *statement) { persistent = s; im.persistence(p, s, &v) },
		"persistence_granularity": func(s *statement) { im.granularity(p, s, &v) },
		"protocol": func(s *statement) {
			protocol = s
			switch strings.ToLower(s.word(0)) {
			case "tcp":
				v.Protocol = lvscf.TCP
			case "udp":
				v.Protocol = lvscf.UDP
			case "sctp":
				v.Protocol = lvscf.SCTP
			default:
				v.Protocol = lvscf.UDP
				p.lose(s, "no protocol of keepalived, so it takes UDP", "protocol = udp was taken")
			}
		},
		"snmp_name": func(s *statement) { name, _ = p.text(s) },
		"omega":     func(s *statement) { p.flag(s, &v.DownOnStop) },
		"weight": func(s *statement) {
			if n, ok := p.number(s, 0, 1, 65535); ok {
				l.weight = int(n)
			}
		},
		"quorum": func(s *statement) {
			if n, ok := p.number(s, 0, 1, math.MaxInt32); ok {
				v.Quorum = int(n)
			}
		},
		"hysteresis": func(s *statement) {
			if n, ok := p.number(s, 0, 0, math.MaxInt32); ok {
				v.QuorumHysteresis = int(n)
			}
		},
		"quorum_up":               func(s *statement) { v.QuorumUpCmd, _ = p.command(s) },
		"quorum_down":             func(s *statement) { v.QuorumDownCmd, _ = p.command(s) },
		"ip_family":               func(s *statement) { family = s.word(0) },
		"sorry_server":            func(s *statement) { sorry = s },
		"sorry_server_inhibit":    func(s *statement) { p.flag(s, &sorryInhibit) },
		"sorry_server_lvs_method": func(s *statement) { sorryMethod = s },
		"real_server":             func(s *statement) { reals = append(reals, s) },
	}) {
		h[word] = do
	}
	p.each(sortedFlags(s.body), inVirtual, h)
	marks := 0
	for _, m := range members {
		if m.mark != 0 {
			marks++
		}
	}
	if v.OnePacket && v.Protocol != lvscf.UDP && marks < len(members) {
		p.loseAs(s, "ops", "one packet scheduling needs UDP, so keepalived ignores it", "protocol = udp, or without it")
	}
	if protocol != nil && marks == len(members) {
		p.lose(protocol, "a mark stands for any protocol, so keepalived ignores it", "a protocol was taken for the checks alone")
	}
	v.QuiesceServer = l.inhibit
	used := labels{}
	for _, r := range reals {
		im.realServer(p, r, &v, l, used)
	}
	sum := 0
	for _, r := range v.Servers {
		sum += r.Weight
	}
	if v.Quorum > max(1, sum) {
		p.loseAs(s, fmt.Sprintf("quorum %d", v.Quorum), "the weights of the servers do not add up to it, so keepalived lowers it", fmt.Sprintf("quorum = %d was taken", max(1, sum)))
		v.Quorum = max(1, sum)
	}
	if v.QuorumHysteresis > 0 && v.QuorumHysteresis >= max(1, v.Quorum) {
		p.loseAs(s, fmt.Sprintf("hysteresis %d", v.QuorumHysteresis), "it is not smaller than the quorum, so keepalived takes 0", "a smaller one, or a larger quorum")
		v.QuorumHysteresis = 0
	}
	if v.Quorum == 1 {
		v.Quorum = 0 // the default, which the file need not say
	}
	if persistent == nil && v.PMask != 0 {
		v.PMask = 0
	}
	im.sorryServer(p, sorry, sorryMethod, sorryInhibit, &v, used)
	im.addVirtuals(p, s, v, members, name, family)
}

// sortedFlags puts the scheduler before its flags, which are judged by it.
func sortedFlags(body []*statement) []*statement {
	body = slices.Clone(body)
	slices.SortStableFunc(body, func(a, b *statement) int {
		first := func(s *statement) int {
			if s.name == "lvs_sched" || s.name == "lb_algo" {
				return 0
			}
			return 1
		}
		return cmp.Compare(first(a), first(b))
	})
	return body
}

// addVirtuals adds a block for each service.
func (im *importer) addVirtuals(p place, s *statement, v lvscf.Virtual, members []member, name, family string) {
	mark := members[0].mark != 0
	if family == "inet6" && !mark && members[0].addr.Is4() || family == "inet" && !mark && members[0].addr.Is6() {
		p.loseAs(s, "ip_family "+family, "it is not the family of the address, so keepalived ignores it", "leave it out")
	} else if family == "inet6" && mark && !slices.ContainsFunc(v.Servers, func(r lvscf.Server) bool { return r.Address.Addr.Is6() }) {
		p.loseAs(s, "ip_family inet6", "the family of a marked service is that of its servers", "servers of IPv6")
	}
	if len(members) > 1 {
		defer im.ledger.summing()() // what is lost of each of them is lost of all
	}
	for _, m := range members {
		one := v
		one.Servers = im.ofFamily(p, s, &v, m)
		if !slices.ContainsFunc(one.Servers, func(r lvscf.Server) bool { return !r.Sorry }) {
			p.loseAs(s, "the service "+m.String(), "it has no real servers, so keepalived ignores it", "give it one")
			continue
		}
		one.Port, one.FWMark = m.port, m.mark
		if m.mark != 0 { // it has no protocol; this is for the checks alone
			one.Protocol = lvscf.TCP
			if v.OnePacket {
				one.Protocol = lvscf.UDP
			}
		}
		one.OnePacket = v.OnePacket && one.Protocol == lvscf.UDP
		if m.mark == 0 {
			one.Address = lvscf.Host{Addr: m.addr}
			one.Device, one.Netmask, one.VRRP = im.vipOf(p, s, m.addr)
			if m.port == 0 && v.Persistent == 0 {
				p.lose(s, "a service of every port must be persistent, so keepalived makes it so", "persistent = 360 was taken")
				one.Persistent = 360 * time.Second
			}
		}
		im.fixPorts(p, s, &one)
		p.dropTwins(s, &one)
		hoistChecks(&one)
		if m.family == "inet6" && !slices.ContainsFunc(v.Servers, func(r lvscf.Server) bool { return r.Address.Addr.Is6() }) {
			p.loseAs(s, fmt.Sprintf("fwmark %d inet6", m.mark), "the family of a marked service is that of its servers", "servers of IPv6")
		}
		one.Name = im.labels.virtual(im.blockName(p, s, cmp.Or(name, nameOf(&one))))
		if len(im.cfg.Virtuals) >= maxVirtuals {
			p.lose(s, fmt.Sprintf("more than %d virtual services", maxVirtuals), "a firewall mark for many addresses")
			return
		}
		im.cfg.Virtuals = append(im.cfg.Virtuals, one)
	}
}

// maxVirtuals bounds what groups can make of a short file.
const maxVirtuals = 50_000

// dropTwins leaves out real servers that stand twice, as keepalived does.
func (p place) dropTwins(s *statement, v *lvscf.Virtual) {
	seen := map[netip.AddrPort]bool{}
	v.Servers = slices.DeleteFunc(v.Servers, func(r lvscf.Server) bool {
		at := netip.AddrPortFrom(r.Address.Addr, r.Port)
		twin := !r.Sorry && seen[at]
		if twin {
			p.loseAs(s, fmt.Sprintf("the server %s a second time", at), "a service has each server once, so keepalived takes the first", "one server with all checks")
		}
		seen[at] = seen[at] || !r.Sorry
		return twin
	})
}

// ofFamily returns the servers that a service can have: of its own family,
// unless packets are tunnelled to them.
func (im *importer) ofFamily(p place, s *statement, v *lvscf.Virtual, m member) []lvscf.Server {
	servers := slices.Clone(v.Servers)
	for i := range servers {
		servers[i].Checks = slices.Clone(servers[i].Checks)
	}
	return slices.DeleteFunc(servers, func(r lvscf.Server) bool {
		forward := *v.Forward
		if r.Forward != nil {
			forward = *r.Forward
		}
		other := m.mark == 0 && forward != lvscf.Tunnel && r.Address.Addr.Is4() != m.addr.Is4()
		if other {
			p.loseAs(s, fmt.Sprintf("the server %s of %s", r.Address, m), "it is of another family than the service, so keepalived leaves it out", "lvs_method TUN, or a server of the same family")
		}
		return other
	})
}

// fixPorts does what keepalived does with ports that the kernel cannot have: a
// mark keeps the port of each packet, and only NAT can change one. The checks
// still ask where they were told to.
func (im *importer) fixPorts(p place, s *statement, v *lvscf.Virtual) {
	for i := range v.Servers {
		r := &v.Servers[i]
		forward := *v.Forward
		if r.Forward != nil {
			forward = *r.Forward
		}
		if r.Port == v.Port || v.FWMark == 0 && forward == lvscf.NAT && r.Port != 0 {
			continue
		}
		if r.Port == 0 {
			p.loseAs(s, fmt.Sprintf("the server %s without a port", r.Address), "a server of lvs.cf has a port where the service has one", "the port of the service was taken, where its packets arrive in any case; checks without a connect_port ask there, too")
			r.Port = v.Port
			continue
		}
		p.loseAs(s, fmt.Sprintf("port %d of the server %s", r.Port, r.Address), "a mark keeps the port of each packet, and no method but NAT can change one, so keepalived takes that of the service",
			"lvs_method NAT and a service by address; the checks still ask the port")
		for j := range r.Checks {
			r.Checks[j].Port = cmp.Or(r.Checks[j].Port, r.Port)
		}
		r.Port = v.Port
	}
}

func (im *importer) scheduler(p place, s *statement, v *lvscf.Virtual) {
	var got lvscf.Scheduler
	if err := got.UnmarshalText([]byte(s.word(0))); err != nil || !slices.Contains(keepalivedSchedulers, s.word(0)) {
		p.lose(s, "no scheduler that keepalived knows, so it takes wlc", "scheduler = wlc was taken")
		return
	}
	v.Scheduler = got
}

var keepalivedSchedulers = strings.Fields("rr wrr lc wlc lblc sh mh dh fo ovf lblcr sed nq twos")

// method reads NAT, DR, or TUN with its options.
func (p place) method(s *statement, to *lvscf.Network, t *lvscf.Tunneling) {
	switch s.word(0) {
	case "NAT":
		*to = lvscf.NAT
		p.rest(s, 1)
	case "DR":
		*to = lvscf.Direct
		p.rest(s, 1)
	case "TUN":
		*to = lvscf.Tunnel
		p.tunnel(s, t)
	default:
		p.lose(s, "no forwarding method of keepalived 2, which takes NAT", "nat was taken")
		*to = lvscf.NAT
	}
}

func (p place) tunnel(s *statement, t *lvscf.Tunneling) {
	*t = lvscf.Tunneling{}
	words := s.words[1:]
	for len(words) > 0 {
		switch words[0] {
		case "type":
		case "ipip":
			t.TunnelType = lvscf.IPIP
		case "gue":
			t.TunnelType = lvscf.GUE
		case "gre":
			t.TunnelType = lvscf.GRE
		case "nocsum":
			t.TunnelChecksum = lvscf.TunnelNoChecksum
		case "csum":
			t.TunnelChecksum = lvscf.TunnelFullChecksum
		case "remcsum":
			t.TunnelChecksum = lvscf.TunnelRemoteChecksum
		case "port":
			one := *s
			one.words = words[min(1, len(words)):]
			if n, ok := p.number(&one, 0, 1, 65535); ok {
				t.TunnelPort = uint16(n)
			}
			words = words[min(1, len(words)-1):]
		default:
			p.loseAs(s, s.name+" ... "+words[0], "no word of a tunnel", "it was left out")
		}
		words = words[1:]
	}
	if t.TunnelType == lvscf.GRE && t.TunnelChecksum == lvscf.TunnelRemoteChecksum {
		p.loseAs(s, s.name+" ... remcsum", "a gre tunnel has no remote checksum", "without a checksum")
		t.TunnelChecksum = lvscf.TunnelNoChecksum
	}
}

func (im *importer) persistence(p place, s *statement, v *lvscf.Virtual) {
	if len(s.words) == 0 {
		v.Persistent = 360 * time.Second
	} else if n, ok := p.number(s, 0, 1, 2678400); ok {
		v.Persistent = time.Duration(n) * time.Second
	}
}

func (im *importer) granularity(p place, s *statement, v *lvscf.Virtual) {
	var m lvscf.Netmask
	if err := m.UnmarshalText([]byte(s.word(0))); err != nil {
		p.lose(s, "no mask, so keepalived ignores it", "each client on its own")
		return
	}
	v.PMask = m
}
