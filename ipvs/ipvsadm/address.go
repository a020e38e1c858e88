package ipvsadm

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/lvskit/lvskit/ipvs"
)

// serviceKey reads the option that names the service.
func (p *parser) serviceKey() (ipvs.ServiceKey, *SyntaxError) {
	g := &p.given[optService]
	var protocol ipvs.Protocol
	switch g.long {
	case "tcp-service":
		protocol = ipvs.TCP
	case "udp-service":
		protocol = ipvs.UDP
	case "sctp-service":
		protocol = ipvs.SCTP
	default:
		if n, ok := decimal(strings.TrimPrefix(g.value.text, "-"), 1, 1<<31); ok && g.value.text[0] == '-' {
			return ipvs.ServiceKey{}, p.errorf(g.value, "mark %s: write %d (ipvsadm -S shows large marks as negative numbers, which -R does not take)", g.value.text, 1<<32-n)
		}
		n, err := p.number(optService, 1, 1<<32-1)
		return ipvs.ServiceKey{Mark: uint32(n), Mark6: err == nil && p.seen(optIPv6)}, err
	}
	addr, _, err := p.hostPort(optService, protocol)
	return ipvs.ServiceKey{Protocol: protocol, Addr: addr}, err
}

// hostPort reads the value of an option as HOST or HOST:PORT and tells
// whether the port is there. HOST is an IPv4 address, an IPv6 address in
// brackets or, without a port, bare, or a name.
func (p *parser) hostPort(id optionID, protocol ipvs.Protocol) (addr netip.AddrPort, has bool, err *SyntaxError) {
	w := p.given[id].value
	if a, err := netip.ParseAddrPort(w.text); err == nil && a.Addr().Zone() == "" && !a.Addr().Is4In6() {
		return a, true, nil
	}
	host, port, has, err := p.splitHostPort(id)
	if err != nil {
		return addr, false, err
	}
	ip, err := p.host(host)
	if err != nil {
		return addr, false, err
	}
	var n uint16
	if has {
		if n, err = p.port(port, protocol); err != nil {
			return addr, false, err
		}
	}
	return netip.AddrPortFrom(ip, n), has, nil
}

func (p *parser) splitHostPort(id optionID) (host, port word, has bool, err *SyntaxError) {
	w, want := p.given[id].value, p.given[id].want
	text := w.text
	if strings.HasPrefix(text, "[") {
		inside, after, closed := strings.Cut(text[1:], "]")
		switch {
		case !closed:
			return w, w, false, p.errorf(w, "%s: no ] after the IPv6 address", quoted(text))
		case !strings.Contains(inside, ":"):
			return w, w, false, p.errorf(w, "%s: only an IPv6 address stands in brackets", quoted(text))
		case !strings.HasPrefix(after, ":"):
			return w, w, false, p.errorf(w, "%s: want :PORT after the bracket, an IPv6 address without a port has none", quoted(text))
		}
		host = w.from(1)
		host.text = inside
		return host, w.from(len(inside) + 3), true, nil
	}
	if strings.Count(text, ":") > 1 {
		if _, err := netip.ParseAddr(text); err != nil {
			return w, w, false, p.errorf(w, "%s: want %s, an IPv6 address with its port as [ADDRESS]:PORT", quoted(text), want)
		}
		return w, w, false, nil
	}
	name, _, has := strings.Cut(text, ":")
	if name == "" {
		return w, w, false, p.errorf(w, "%s: no host, want %s", quoted(text), want)
	}
	host = w
	host.text = name
	if has {
		port = w.from(len(name) + 1)
	}
	return host, port, has, nil
}

// host reads an address or looks up a name, whose first IPv4 address counts,
// or else its first.
func (p *parser) host(w word) (netip.Addr, *SyntaxError) {
	ip, err := netip.ParseAddr(w.text)
	switch {
	case err == nil && ip.Zone() != "":
		return ip, p.errorf(w, "%s: IPVS knows no zones, leave out %s", quoted(w.text), quoted("%"+ip.Zone()))
	case err == nil && ip.Is4In6():
		return ip, p.errorf(w, "%s is an IPv4 address in IPv6 form: write %v", quoted(w.text), ip.Unmap())
	case err == nil:
		return ip, nil
	case strings.Contains(w.text, ":"):
		return ip, p.errorf(w, "%s is no IPv6 address", quoted(w.text))
	case strings.Trim(w.text, "0123456789.") == "":
		return ip, p.errorf(w, "%s is no IPv4 address: want four numbers 0..255 without leading zeros", quoted(w.text))
	case !isName(w.text):
		return ip, p.errorf(w, "%s is neither an address nor the name of a host", quoted(w.text))
	case p.options.Resolver == nil:
		return ip, p.wrap(w, quoted(w.text)+": names of hosts are not looked up here, write the address (ipvsadm -S -n saves addresses)", ErrName)
	}
	list, err := p.lookup(w.text)
	if err != nil {
		return ip, p.wrap(w, fmt.Sprintf("look up host %s: %v", quoted(w.text), err), err)
	}
	for _, a := range list {
		a = a.Unmap().WithZone("")
		if !ip.IsValid() || a.Is4() && !ip.Is4() {
			ip = a
		}
	}
	if !ip.IsValid() {
		return ip, p.errorf(w, "host %s has no address", quoted(w.text))
	}
	return ip, nil
}

// looked is what a look-up brought.
type looked struct {
	list []netip.Addr
	err  error
}

// lookup asks for a host once a text, where it may be on every line.
func (p *parser) lookup(name string) ([]netip.Addr, error) {
	if l, ok := p.hosts[name]; ok {
		return l.list, l.err
	}
	list, err := p.options.Resolver.LookupNetIP(p.ctx, "ip", name)
	if p.hosts == nil {
		p.hosts = map[string]looked{}
	}
	p.hosts[name] = looked{list, err}
	return list, err
}

// port reads a number or looks up a name.
func (p *parser) port(w word, protocol ipvs.Protocol) (uint16, *SyntaxError) {
	if n, ok := decimal(w.text, 0, 1<<16-1); ok {
		return uint16(n), nil
	}
	switch {
	case w.text == "":
		return 0, p.errorf(w, "no port after the colon: want 0..65535")
	case strings.Trim(w.text, "+-0123456789") == "", !isName(w.text):
		return 0, p.errorf(w, "port %s: want 0..65535", quoted(w.text))
	case p.options.Resolver == nil:
		return 0, p.wrap(w, quoted(w.text)+": names of ports are not looked up here, write the number (ipvsadm -S -n saves numbers)", ErrName)
	}
	network := "tcp"
	if protocol == ipvs.UDP {
		network = "udp"
	}
	n, err := p.options.Resolver.LookupPort(p.ctx, network, w.text)
	if err != nil {
		return 0, p.wrap(w, fmt.Sprintf("look up port %s: %v", quoted(w.text), err), err)
	}
	if n < 0 || n > 1<<16-1 {
		return 0, p.errorf(w, "port %s is %s, outside 0..65535", quoted(w.text), strconv.Itoa(n))
	}
	return uint16(n), nil
}

// isName reports whether s may be asked for: it has the characters of names,
// and a length that they have.
func isName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c >= 0x80:
		default:
			return false
		}
	}
	return s != "" && len(s) <= 253
}
