package convert

import (
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/lvskit/lvskit/lvscf"
)

// globalDefs are the settings of global_defs that others inherit.
type globalDefs struct {
	version        uint8
	device         string
	garp           lvscf.Announcing
	downAdverts    uint8
	sync           *statement // lvs_sync_daemon, or what named it in an instance
	syncAt         place
	syncInstance   string
	syncIDGiven    bool
	vridOfInstance map[string]uint8
}

const (
	maxTimer     = 4294967295 * time.Microsecond // of most keywords
	maxDelayLoop = math.MaxInt32 * time.Second
)

func (im *importer) globalDefs(top place, s *statement) {
	p := top.in(s)
	p.each(s.body, inGlobals, handlers{
		"lvs_sync_daemon": func(s *statement) { im.syncDaemon(p, s) },
		"lvs_timeouts":    func(s *statement) { im.timeouts(p, s) },
		"default_interface": func(s *statement) {
			if d, ok := p.device(s, 0); ok {
				im.global.device = d
			}
		},
		"vrrp_version": func(s *statement) {
			if n, ok := p.number(s, 0, 2, 3); ok {
				im.global.version = uint8(n)
			}
		},
		"vrrp_down_timer_adverts":  func(s *statement) { p.uint8(s, 1, 100, &im.global.downAdverts) },
		"vrrp_garp_master_repeat":  func(s *statement) { p.garpCount(s, &im.global.garp) },
		"vrrp_garp_master_refresh": func(s *statement) { p.garpRefresh(s, &im.global.garp) },
		"vrrp_garp_interval":       func(s *statement) { p.duration(s, maxTimer, &im.global.garp.GARPInterval) },
		"vrrp_min_garp": func(s *statement) {
			if on, ok := p.boolean(s, 0); ok && on {
				im.global.garp.GARPCount = 1
			}
		},
	})
}

func (p place) uint8(s *statement, lo, hi int64, to *uint8) {
	if n, ok := p.number(s, 0, lo, hi); ok {
		*to = uint8(n)
	}
}

func (p place) duration(s *statement, hi time.Duration, to *time.Duration) {
	if d, ok := p.timer(s, 0, hi); ok {
		*to = d
	}
}

func (p place) garpCount(s *statement, to *lvscf.Announcing) {
	const most = 100 // of lvs.cf
	if n, ok := p.number(s, 0, 0, math.MaxInt32); ok {
		if n < 1 || n > most {
			p.lose(s, "lvs.cf announces 1 to 100 times", "garp_count within these bounds was taken")
		}
		to.GARPCount = int(min(max(n, 1), most))
	}
}

func (p place) garpRefresh(s *statement, to *lvscf.Announcing) {
	if n, ok := p.number(s, 0, 0, math.MaxInt32); ok {
		to.GARPRefresh = time.Duration(n) * time.Second
	}
}

// syncDaemon reads the synchronisation of connections: an interface, then
// perhaps the instance that it follows, then pairs.
func (im *importer) syncDaemon(p place, s *statement) {
	device, ok := p.device(s, 0)
	if !ok {
		return
	}
	c := im.cfg
	c.SyncDaemon, c.SyncdIface = true, device
	im.global.sync, im.global.syncAt = s, p
	im.global.syncIDGiven, im.global.syncInstance = false, ""
	words := s.words[1:]
	for len(words) > 0 {
		key := words[0]
		value := ""
		if len(words) > 1 {
			value = words[1]
		}
		one := *s
		one.words = []string{value}
		one.raw = key + " " + value
		n := 2
		switch key {
		case "inst":
			im.global.syncInstance = value
		case "id":
			p.uint8(&one, 0, 255, &c.SyncdID)
			im.global.syncIDGiven = true
		case "maxlen":
			if v, ok := p.number(&one, 0, 1, 65507); ok {
				c.SyncdMaxLen = uint16(v)
			}
		case "port":
			if v, ok := p.number(&one, 0, 1, 65535); ok {
				c.SyncdPort = uint16(v)
			}
		case "ttl":
			p.uint8(&one, 1, 255, &c.SyncdTTL)
		case "group":
			if a, ok := p.addr(&one, 0); ok && a.IsMulticast() {
				c.SyncdGroup = a
			} else if ok {
				p.lose(&one, "no multicast address", "the kernel's own group was taken")
			}
		default:
			im.global.syncInstance = key
			n = 1
		}
		words = words[min(n, len(words)):]
	}
}

// finishGlobal settles what needed the instances.
func (im *importer) finishGlobal(top place) {
	g := &im.global
	if g.sync == nil {
		return
	}
	switch vrid, ok := g.vridOfInstance[g.syncInstance]; {
	case g.syncInstance == "":
		g.syncAt.lose(g.sync, "without an instance keepalived runs both ends all the time", "the synchronisation follows the active router here")
	case !ok:
		g.syncAt.lose(g.sync, "there is no vrrp_instance of that name", "the synchronisation follows the active router here")
	case !g.syncIDGiven:
		im.cfg.SyncdID = vrid
	}
}

func (im *importer) timeouts(p place, s *statement) {
	for words := s.words; len(words) > 0; words = words[min(2, len(words)):] {
		one := *s
		one.words, one.raw = words[min(1, len(words)):], strings.Join(words[:min(2, len(words))], " ")
		to := map[string]*time.Duration{"tcp": &im.cfg.TCPTimeout, "tcpfin": &im.cfg.TCPFinTimeout, "udp": &im.cfg.UDPTimeout}[words[0]]
		if to == nil {
			p.lose(&one, "keepalived has no such timeout", "tcp, tcpfin and udp are the ones there are")
		} else if n, ok := p.number(&one, 0, 0, math.MaxInt32); ok {
			*to = time.Duration(n) * time.Second
		}
	}
}

// vip is an address of keepalived's own, with how it is carried.
type vip struct {
	prefix   netip.Prefix
	masked   bool // a length was given
	device   string
	instance string // of vrrp_instance; empty is static
	excluded bool   // not in the advertisements
	used     bool   // by a virtual block
	where    place
	at       *statement
}

// addresses reads the lines of a list of addresses.
func (im *importer) addresses(p place, s *statement, device, instance string, excluded bool) []*vip {
	var out []*vip
	inside := p.in(s)
	for _, a := range s.body {
		prefix, ok := parsePrefix(a.name)
		if !ok {
			inside.lose(a, "no address", braced(a.name, "nothing was carried"))
			continue
		}
		if prefix.Addr().IsUnspecified() {
			inside.lose(a, noHost(prefix.Addr()), "left out: write the address to bring up")
			continue
		}
		v := &vip{
			prefix: prefix, masked: strings.Contains(a.name, "/"), device: device,
			instance: instance, excluded: excluded, where: inside, at: a,
		}
		label := ""
		for i := 0; i < len(a.words); i++ {
			next := *a
			next.words = a.words[min(i+1, len(a.words)):]
			option := a.words[i]
			switch option {
			case "dev":
				if d, ok := inside.device(&next, 0); ok {
					v.device = d
				}
				i++
			case "label":
				if d, ok := inside.device(&next, 0); ok {
					label = d
				}
				i++
			case "brd", "broadcast", "scope", "peer", "preferred_lft", "valid_lft", "track_group":
				what := option + " " + next.word(0)
				// The two that the system takes by itself.
				if what != "scope global" && what != "brd +" {
					inside.loseAs(a, a.name+" ... "+what, "an address of lvs.cf has a length and a device only", "the rest is left to the system")
				}
				i++
			default:
				inside.loseAs(a, a.name+" ... "+option, "an address of lvs.cf has a length and a device only", "the rest is left to the system")
			}
		}
		if label != "" {
			if base, _, _ := strings.Cut(label, ":"); base == v.device {
				v.device = label
			} else {
				inside.loseAs(a, a.name+" ... label "+label, "a label must begin with the name of its device", "the device alone was taken")
			}
		}
		out = append(out, v)
	}
	return out
}

func parsePrefix(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, true
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), true
}

func (im *importer) staticAddresses(top place, s *statement) {
	for _, v := range im.addresses(top, s, im.global.device, "", false) {
		im.statics = append(im.statics, v)
		if im.vips[v.prefix.Addr()] == nil {
			im.vips[v.prefix.Addr()] = v
		}
	}
}

// tlsFiles are those of the SSL block, for all checks over TLS.
type tlsFiles struct{ cert, key string }

func (im *importer) sslFiles(top place, s *statement) {
	p := top.in(s)
	p.each(s.body, inTop, handlers{
		"ca": func(s *statement) {
			p.lose(s, "keepalived reads the file but verifies no certificate", "ca_file with verify = 1 in the checks")
		},
		"certificate": func(s *statement) { im.tls.cert, _ = p.text(s) },
		"key":         func(s *statement) { im.tls.key, _ = p.text(s) },
		"password": func(s *statement) {
			p.loseAs(s, "password ...", "lvs.cf holds no secrets", "a key file without a password that only root can read")
		},
	})
}
