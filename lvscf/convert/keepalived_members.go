package convert

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// maxGroupMembers bounds what a virtual_server_group may stand for: a range of
// addresses is written as one virtual block each.
const maxGroupMembers = 4096

// member is one of the services that a virtual_server stands for.
type member struct {
	addr   netip.Addr
	port   uint16
	mark   uint32
	family string // of a mark: inet, inet6 or nothing
}

func (m member) String() string {
	switch {
	case m.mark != 0:
		return fmt.Sprintf("mark-%d", m.mark)
	case m.port == 0:
		return m.addr.String()
	}
	return netip.AddrPortFrom(m.addr, m.port).String()
}

// members reads what follows virtual_server.
func (im *importer) members(top place, s *statement) []member {
	switch s.word(0) {
	case "fwmark":
		if n, ok := top.number(s, 1, 1, math.MaxUint32); ok {
			return []member{{mark: uint32(n)}}
		}
		return nil
	case "group":
		g := im.groups[s.word(1)]
		if g == nil {
			top.lose(s, "there is no virtual_server_group of that name", "nothing was carried")
			return nil
		}
		im.usedGroups[g] = true
		return im.groupMembers(top.in(g), g)
	}
	return im.oneMember(top, s, s.words)
}

func (im *importer) oneMember(p place, s *statement, words []string) []member {
	var port uint16
	if len(words) == 0 {
		p.lose(s, "it does not say what it serves, so keepalived ignores it", "nothing was carried")
		return nil
	}
	if len(words) > 1 {
		n, err := strconv.ParseUint(words[1], 10, 16)
		if err != nil {
			p.lose(s, "no port number, so keepalived ignores the block", "write the port as a number")
			return nil
		}
		port = uint16(n)
	}
	first, last, ok := addressRange(words[0])
	if !ok {
		p.lose(s, "no address and no range of them, so keepalived ignores it", braced(words[0], "nothing was carried"))
		return nil
	}
	if first.IsUnspecified() {
		p.lose(s, noHost(first), "left out: write the address that clients ask for; for any address mark the packets and write fwmark")
		if first == last {
			return nil
		}
		first = first.Next()
	}
	var out []member
	for a := first; ; a = a.Next() {
		if len(out) >= maxGroupMembers {
			p.lose(s, fmt.Sprintf("more than %d addresses", maxGroupMembers), "a firewall mark for all of them; the first ones were taken")
			break
		}
		out = append(out, member{addr: a, port: port})
		if a == last {
			break
		}
	}
	return out
}

// addressRange reads 192.0.2.1, 192.0.2.1-9, 192.0.2.1-192.0.2.9, and
// 192.0.2.8/29; the short form counts the last part, in hexadecimal for IPv6.
func addressRange(s string) (first, last netip.Addr, ok bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		p = p.Masked()
		bytes := p.Addr().AsSlice()
		for i := p.Bits(); i < len(bytes)*8; i++ {
			bytes[i/8] |= 0x80 >> (i % 8)
		}
		last, _ = netip.AddrFromSlice(bytes)
		return p.Addr(), last, true
	}
	from, to, isRange := strings.Cut(s, "-")
	first, err := netip.ParseAddr(from)
	if err != nil || first.Zone() != "" {
		return first, last, false
	}
	first = first.Unmap()
	if !isRange {
		return first, first, true
	}
	if last, err = netip.ParseAddr(to); err != nil {
		if first.Is4() {
			last, err = netip.ParseAddr(from[:strings.LastIndexByte(from, '.')+1] + to)
		} else {
			last, err = netip.ParseAddr(from[:strings.LastIndexByte(from, ':')+1] + to)
		}
	}
	last = last.Unmap()
	return first, last, err == nil && first.BitLen() == last.BitLen() && first.Compare(last) <= 0
}

func (im *importer) groupMembers(p place, g *statement) []member {
	var out []member
	for _, line := range g.body {
		if line.name == "fwmark" {
			p.rest(line, 2)
			if n, ok := p.number(line, 0, 1, math.MaxUint32); ok {
				out = append(out, member{mark: uint32(n), family: line.word(1)})
			}
			continue
		}
		p.rest(line, 1)
		out = append(out, im.oneMember(p, line, append([]string{line.name}, line.words...))...)
		if len(out) > maxGroupMembers {
			p.lose(line, fmt.Sprintf("a group of more than %d services", maxGroupMembers), "a firewall mark for all of them; the first ones were taken")
			return out[:maxGroupMembers]
		}
	}
	return out
}
