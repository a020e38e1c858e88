package convert

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/lvskit/lvskit/lvscf"
)

// labels makes the names of blocks unique: those of virtual blocks within the
// file, those of servers within their block. Of each name it keeps the number
// that was given last, so that thousands of one name are no search each.
type labels map[string]int

func (u labels) virtual(name string) string         { return unique(u, "", name) }
func (u labels) server(virtual, name string) string { return unique(u, virtual+" ", name) }

// unique returns a name that is not in use yet, with a number if needed.
func unique(used map[string]int, scope, name string) string {
	last, taken := used[scope+name]
	if !taken {
		used[scope+name] = 1
		return name
	}
	for n := last + 1; ; n++ {
		try := fmt.Sprintf("%s_%d", name, n)
		if _, taken := used[scope+try]; !taken {
			used[scope+name], used[scope+try] = n, 1
			return try
		}
	}
}

// nameOf names a virtual block after what it answers to, as in
// tcp_192.0.2.1_80 and mark_7.
func nameOf(v *lvscf.Virtual) string {
	if v.FWMark != 0 {
		return fmt.Sprintf("mark_%d", v.FWMark)
	}
	return fmt.Sprintf("%v_%v_%d", v.Protocol, v.Address, v.Port)
}

// nameOfServer names a server block after its address and port, as in
// 10.0.0.1_80.
func nameOfServer(s *lvscf.Server) string {
	if s.Port == 0 {
		return s.Address.String()
	}
	return fmt.Sprintf("%v_%d", s.Address, s.Port)
}

// deviceName reports whether an interface, or a persistence engine, can have
// that name.
func deviceName(s string) bool {
	return s != "" && len(s) <= 15 && !strings.ContainsAny(s, "/ \t") && lineText(s)
}

// noHost says why the unspecified address of a family names no host.
func noHost(a netip.Addr) string { return "in an lvs.cf the address " + a.String() + " is none" }

// bareWord turns a text into one word that a block may have as its name.
func bareWord(s string) string {
	const most = 60
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '_'
	}, s)
	return strings.Trim(s[:min(len(s), most)], "_")
}

// shortenForward says the most used way of forwarding once for the whole file,
// that of a virtual block once for the block, and leaves it out elsewhere.
// Every server has one of its own when it is called.
func shortenForward(c *lvscf.Config) {
	var all [3]int
	for i := range c.Virtuals {
		for j := range c.Virtuals[i].Servers {
			all[*c.Virtuals[i].Servers[j].Forward]++
		}
	}
	c.Network = mostOf(all)
	for i := range c.Virtuals {
		v := &c.Virtuals[i]
		var here [3]int
		for j := range v.Servers {
			here[*v.Servers[j].Forward]++
		}
		if main := mostOf(here); main != c.Network && here[main] > 0 && here[main] >= here[c.Network] {
			v.Forward = &main
		}
		for j := range v.Servers {
			if s := &v.Servers[j]; *s.Forward == c.ForwardOf(v, nil) {
				s.Forward = nil
			}
		}
	}
}

// mostOf returns the method with the highest count, the earlier one of two.
func mostOf(count [3]int) lvscf.Network {
	return lvscf.Network(slices.Index(count[:], slices.Max(count[:])))
}

// aliasOf returns the device of an address with a number: an alias, which is a
// label of the address. IPv6 has no labels, and with the number a name may be
// too long for one.
func aliasOf(device string, n int, a netip.Addr) string {
	alias := fmt.Sprintf("%s:%d", device, n)
	if a.Is6() || strings.Contains(device, ":") || !deviceName(alias) {
		return device
	}
	return alias
}

// giveDevices puts each virtual address on an alias of a device, the same
// address always on the same one.
func giveDevices(c *lvscf.Config, device string, where Where, l *ledger) {
	given := device
	if device == "" {
		device = "eth0"
	}
	aliases := map[lvscf.Host]string{}
	for i := range c.Virtuals {
		v := &c.Virtuals[i]
		if v.Address.IsZero() {
			continue
		}
		if _, ok := aliases[v.Address]; !ok {
			aliases[v.Address] = aliasOf(device, len(aliases)+1, v.Address.Addr)
		}
		v.Device = aliases[v.Address]
	}
	if given == "" && len(aliases) > 0 {
		l.lose(where, "the device of the virtual addresses", "an lvs.cf names it, this file does not", "eth0 and its aliases were taken: name another one when you convert, or mend the address lines")
	}
}

// sorryAddress says a sorry server in Piranha's way where that is enough.
func sorryAddress(c *lvscf.Config, v *lvscf.Virtual) {
	i := slices.IndexFunc(v.Servers, func(s lvscf.Server) bool { return s.Sorry })
	if i < 0 || v.SorryServer != (netip.Addr{}) {
		return
	}
	s := &v.Servers[i]
	if s.Address.Addr.IsValid() && s.Port == v.Port && s.Forward == nil && s.Weight == 1 && s.Check == lvscf.CheckNone {
		v.SorryServer = s.Address.Addr
		v.Servers = slices.Delete(v.Servers, i, i+1)
	}
}

// knownScheduler reports whether lvs.cf has a scheduler of that name.
func knownScheduler(s lvscf.Scheduler) bool {
	switch s {
	case lvscf.RoundRobin, lvscf.LeastConnection, lvscf.WeightedLeastConnection, lvscf.WeightedRoundRobin,
		lvscf.LocalityLeastConnection, lvscf.LocalityLeastConnectionReplication, lvscf.DestinationHash, lvscf.SourceHash,
		lvscf.ShortestExpectedDelay, lvscf.NeverQueue, lvscf.WeightedFailover, lvscf.WeightedOverflow, lvscf.MaglevHash,
		lvscf.PowerOfTwoChoices:
		return true
	}
	return false
}
