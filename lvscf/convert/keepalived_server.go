package convert

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/lvskit/lvskit/lvscf"
)

func (im *importer) realServer(p place, s *statement, v *lvscf.Virtual, l level, used labels) {
	first, last, ok := addressRange(s.word(0))
	if !ok || first != last || strings.ContainsAny(s.word(0), "-/") {
		p.lose(s, "no address of a server, so keepalived ignores it", braced(s.word(0), "nothing was carried"))
		return
	}
	if first.IsUnspecified() {
		p.lose(s, noHost(first), "left out: write the address of one server")
		return
	}
	inside := p.in(s)
	r := lvscf.NewServer("", 0)
	r.Active, r.Address, r.Weight = true, lvscf.Host{Addr: first}, l.weight
	if len(s.words) > 1 {
		n, err := strconv.ParseUint(s.word(1), 10, 16)
		if err != nil {
			p.lose(s, "no port number, so keepalived ignores the block", "write the port as a number")
			return
		}
		r.Port = uint16(n)
	}
	var method *statement
	name := ""
	l.inhibit = v.QuiesceServer
	h := l.handlers(inside)
	var checks []*statement
	for word, do := range (handlers{
		"weight": func(s *statement) {
			if n, ok := inside.number(s, 0, 0, math.MaxInt32); ok {
				r.Weight = int(n)
			}
		},
		"lvs_method": func(s *statement) { method = s }, "lb_kind": func(s *statement) { method = s },
		"notify_up":   func(s *statement) { r.UpCmd, _ = inside.command(s) },
		"notify_down": func(s *statement) { r.DownCmd, _ = inside.command(s) },
		"uthreshold":  func(s *statement) { inside.threshold(s, &r.UpperThreshold) },
		"lthreshold":  func(s *statement) { inside.threshold(s, &r.LowerThreshold) },
		"snmp_name":   func(s *statement) { name, _ = inside.text(s) },
	}) {
		h[word] = do
	}
	for kind := range checkKinds {
		h[kind] = func(s *statement) { checks = append(checks, s) }
	}
	inside.each(s.body, inReal, h)
	if method != nil {
		network, tunnel := lvscf.NAT, lvscf.Tunneling{}
		inside.method(method, &network, &tunnel)
		if network != *v.Forward {
			r.Forward = &network
		}
		if tunnel != v.Tunneling && network == lvscf.Tunnel {
			if tunnel == (lvscf.Tunneling{}) {
				inside.lose(method, "a server without options of its own has the tunnel of the virtual block", "give each server its tunnel, and the virtual block none")
			}
			r.Tunneling = tunnel
		}
	}
	if l.inhibit != v.QuiesceServer {
		r.QuiesceServer = &l.inhibit
	}
	for _, c := range checks {
		r.Checks = append(r.Checks, im.check(inside, c, l)...)
	}
	nameChecks(r.Checks)
	if len(checks) == 0 {
		r.Check = lvscf.CheckNone // keepalived takes a server without checks for good
	} else if len(r.Checks) == 0 {
		r.Check = lvscf.CheckNone
		inside.loseAs(s, "all checks of the server", "none of them can be carried", "check = none was taken: the server always counts as good")
	}
	r.Name = used.server("", im.blockName(inside, s, cmp.Or(name, nameOfServer(&r))))
	v.Servers = append(v.Servers, r)
}

func (p place) threshold(s *statement, to *uint32) {
	if n, ok := p.number(s, 0, 0, math.MaxInt32); ok {
		*to = uint32(n)
	}
}

func (im *importer) sorryServer(p place, s, method *statement, inhibit bool, v *lvscf.Virtual, used labels) {
	if s == nil {
		return
	}
	a, ok := p.addr(s, 0)
	if !ok {
		return
	}
	r := lvscf.NewServer(used.server("", "sorry"), v.Port)
	r.Active, r.Sorry, r.Address = true, true, lvscf.Host{Addr: a}
	if len(s.words) > 1 {
		if n, ok := p.number(s, 1, 0, 65535); ok {
			r.Port = uint16(n)
		}
	}
	words := slices.Clone(s.words)
	if i := slices.Index(words, "inhibit"); i >= 2 {
		inhibit = true
		words = slices.Delete(words, i, i+1)
	}
	p.surplus(s, words, 2)
	if method != nil {
		network, tunnel := lvscf.NAT, lvscf.Tunneling{}
		p.method(method, &network, &tunnel)
		if network != *v.Forward {
			r.Forward = &network
		}
		r.Tunneling = tunnel
	}
	if inhibit != v.QuiesceServer {
		r.QuiesceServer = &inhibit
	}
	r.Check = lvscf.CheckNone // keepalived never checks it
	v.Servers = append(v.Servers, r)
}
