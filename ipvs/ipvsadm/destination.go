package ipvsadm

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/lvskit/lvskit/ipvs"
)

// The flags of [ipvs.TunnelOptions].
const (
	noChecksum     = 0
	checksum       = 1
	remoteChecksum = 2
)

// destination reads -r and, unless the server is to be deleted, its settings.
// A port that is left out is that of the service, or of the packet when the
// service is a firewall mark.
func (p *parser) destination(key ipvs.ServiceKey, deleted bool) (ipvs.Destination, *SyntaxError) {
	d := ipvs.Destination{Forward: ipvs.DirectRoute, Weight: 1}
	addr, has, err := p.hostPort(optServer, key.Protocol)
	if err != nil {
		return d, err
	}
	if !has && !key.IsMark() {
		addr = netip.AddrPortFrom(addr.Addr(), key.Addr.Port())
	}
	d.Key = addr
	if deleted {
		return ipvs.Destination{Key: addr}, nil
	}
	switch p.given[optForward].option {
	case shortOption('i'):
		d.Forward = ipvs.Tunnel
	case shortOption('m'):
		d.Forward = ipvs.Masquerade
	}
	if p.seen(optWeight) {
		n, err := p.number(optWeight, 0, ipvs.MaxWeight)
		if err != nil {
			return d, err
		}
		d.Weight = int(n)
	}
	if d.UpperThreshold, err = p.threshold(optUpper); err != nil {
		return d, err
	}
	if d.LowerThreshold, err = p.threshold(optLower); err != nil {
		return d, err
	}
	if d.Tunnel, err = p.tunnel(d.Forward); err != nil {
		return d, err
	}
	if f := checkDestination(key, d); f != nil {
		return d, p.locate(f, optServer)
	}
	return d.Normalized(), nil
}

func (p *parser) threshold(id optionID) (uint32, *SyntaxError) {
	if !p.seen(id) {
		return 0, nil
	}
	n, err := p.number(id, 0, ipvs.MaxThreshold)
	return uint32(n), err
}

// tunnel reads the tunnel options.
func (p *parser) tunnel(forward ipvs.ForwardMethod) (t ipvs.TunnelOptions, _ *SyntaxError) {
	for id := optTunType; id <= optTunRemCsum; id++ {
		if p.seen(id) && forward != ipvs.Tunnel {
			return t, p.errorf(p.given[id].at, "option %s is for tunnels only: add -i", p.given[id].flag())
		}
	}
	if p.seen(optTunType) {
		switch w := p.given[optTunType].value; w.text {
		case "ipip":
			t.Type = ipvs.IPIP
		case "gue":
			t.Type = ipvs.GUE
		case "gre":
			t.Type = ipvs.GRE
		default:
			return t, p.errorf(w, "tunnel type %s: want ipip, gue or gre", quoted(w.text))
		}
	}
	if p.seen(optTunPort) {
		n, err := p.number(optTunPort, 1, 1<<16-1)
		if err != nil {
			return t, err
		}
		t.Port = uint16(n)
	}
	var before *given
	for id := optTunNoCsum; id <= optTunRemCsum; id++ {
		g := &p.given[id]
		if g.option == nil {
			continue
		}
		if before != nil {
			return t, p.errorf(g.at, "option %s after %s: only one of them", g.flag(), before.flag())
		}
		if t.Type == ipvs.IPIP {
			return t, p.errorf(g.at, "option %s: an ipip tunnel has no checksum", g.flag())
		}
		before = g
		t.Flags = [...]uint16{noChecksum, checksum, remoteChecksum}[id-optTunNoCsum]
	}
	return t, nil
}

// checkDestination finds what a command line cannot say about a destination,
// and what a kernel would refuse whatever its addresses are.
func checkDestination(key ipvs.ServiceKey, d ipvs.Destination) *fault {
	if d.Forward == ipvs.Tunnel {
		if f := checkTunnel(d.Tunnel); f != nil {
			return f
		}
	}
	if err := d.Validate(); err != nil {
		about := optServer
		switch {
		case d.LowerThreshold > d.UpperThreshold:
			about = optLower
		case d.Weight < 0 || d.Weight > ipvs.MaxWeight:
			about = optWeight
		}
		return &fault{about, err}
	}
	ip := d.Key.Addr()
	switch {
	case d.Forward != ipvs.Masquerade && d.Forward != ipvs.Tunnel && d.Forward != ipvs.DirectRoute:
		return faultf(optForward, fmt.Sprintf("forwarding method %v: there are options for direct routing, tunnels and masquerading only", d.Forward))
	case ip.Is6() != key.Is6() && d.Forward != ipvs.Tunnel:
		return faultf(optServer, fmt.Sprintf("server %v is of another address family than the service: that needs a tunnel (-i)", ip))
	case ip.IsUnspecified(), ip.IsMulticast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return faultf(optServer, fmt.Sprintf("server %v: want the address of one host", ip))
	}
	return nil
}

func checkTunnel(t ipvs.TunnelOptions) *fault {
	switch {
	case t.Type > ipvs.GRE:
		return faultf(optTunType, fmt.Sprintf("tunnel type %v: want ipip, gue or gre", t.Type))
	case t.Type == ipvs.GUE && t.Port == 0:
		return faultf(optTunType, "a gue tunnel needs its UDP port: add --tun-port")
	case t.Type != ipvs.GUE && t.Port != 0:
		return faultf(optTunPort, fmt.Sprintf("only a gue tunnel has a port, not %v", t.Type))
	case t.Flags > remoteChecksum:
		return faultf(optTunCsum, fmt.Sprintf("tunnel flags %d: there are options for checksum, remote checksum and none only", t.Flags))
	case t.Flags == remoteChecksum && t.Type == ipvs.GRE:
		return &fault{optTunRemCsum, errors.New("remote checksum is for gue tunnels only")}
	case t.Flags != 0 && t.Type == ipvs.IPIP:
		return faultf(optTunCsum, "an ipip tunnel has no checksum")
	}
	return nil
}
