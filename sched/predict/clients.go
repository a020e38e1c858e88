package predict

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// ReadClients reads a list of clients, one a line: an address, an address with
// a port, or a prefix that stands for all its addresses. Blanks, empty lines
// and what follows "#" are passed over. The name begins errors, which say the
// line. More than [MaxClients] is an error.
func ReadClients(name string, r io.Reader) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	scanner := bufio.NewScanner(r)
	line := 0
	for scanner.Scan() {
		line++
		text, _, _ := strings.Cut(scanner.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		some, err := parseClients(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, line, err)
		}
		if out = append(out, some...); len(out) > MaxClients {
			return nil, fmt.Errorf("%s:%d: more than %d clients: take a part of them", name, line, MaxClients)
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, line+1, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no clients: write an address a line", name)
	}
	return out, nil
}

func parseClients(text string) ([]netip.AddrPort, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return Prefix(p)
	}
	c, err := ParseClient(text)
	return []netip.AddrPort{c}, err
}

// ParseClient reads a client's address, with a port or without.
func ParseClient(text string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	var port uint16
	if err != nil {
		ap, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("client %q: want an address such as 198.51.100.7, with a port or without, or a prefix", text)
		}
		a, port = ap.Addr(), ap.Port()
	}
	if a.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("client %q: IPVS knows no zones, leave %%%s out", text, a.Zone())
	}
	return netip.AddrPortFrom(a.Unmap(), port), nil
}

// Prefix returns all addresses of a prefix, which may not be more than
// [MaxClients].
func Prefix(p netip.Prefix) ([]netip.AddrPort, error) {
	if bits := p.Addr().BitLen() - p.Bits(); bits > 20 {
		return nil, fmt.Errorf("prefix %v has more than %d addresses: take a longer one", p, MaxClients)
	}
	var out []netip.AddrPort
	for a := p.Masked().Addr(); a.IsValid() && p.Contains(a); a = a.Next() {
		out = append(out, netip.AddrPortFrom(a, 0))
	}
	return out, nil
}

// Generate returns n made-up clients of one family, scattered over 0.0.0.0/0
// or 2001:db8::/32, the same each time. n is cut to [MaxClients].
func Generate(n int, is6 bool) []netip.AddrPort {
	out := make([]netip.AddrPort, 0, min(max(n, 0), MaxClients))
	for i := range cap(out) {
		// An odd factor scatters the numbers and gives no address twice.
		x := uint32(i) * 0x9e3779b1
		if is6 {
			b := [16]byte{0x20, 0x01, 0x0d, 0xb8}
			binary.BigEndian.PutUint32(b[4:], x)
			binary.BigEndian.PutUint64(b[8:], uint64(x)*0x9e3779b97f4a7c15)
			out = append(out, netip.AddrPortFrom(netip.AddrFrom16(b), 0))
			continue
		}
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], x)
		out = append(out, netip.AddrPortFrom(netip.AddrFrom4(b), 0))
	}
	return out
}

// Ports returns each client with n ports in place of one, for the schedulers
// that hash the port too. It ends at [MaxClients]; clients that have a port
// keep it.
func Ports(clients []netip.AddrPort, n int) []netip.AddrPort {
	var out []netip.AddrPort
	for _, c := range clients {
		if c.Port() != 0 {
			out = append(out, c)
			continue
		}
		for i := range n {
			if len(out) == MaxClients {
				return out
			}
			out = append(out, netip.AddrPortFrom(c.Addr(), uint16(1024+(i*40503+len(out)*7919)%64512)))
		}
	}
	return out
}
