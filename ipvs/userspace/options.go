package userspace

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// ServiceConfig tells of one service what its table entry does not. The zero
// value is a service on its own address with the settings of [Config].
type ServiceConfig struct {
	// Listen are the addresses and ports that the service takes clients on.
	// A firewall-mark service needs them, for sockets do not show the mark of
	// a packet; so does a service on port 0, which in the kernel takes all
	// ports. Empty is the service's own address and port.
	Listen []Listen
	// FreeBind lets the service listen at addresses that are not on this machine
	// yet, for those that come when a standby takes over: it has clients from the
	// moment that they are here. It works on Linux (IP_FREEBIND, ip(7), which
	// needs no privilege); elsewhere, and without it, the service is refused while
	// an address is not here. Sockets that are open stay as they are.
	FreeBind bool
	// ProxyProtocol is the version of the PROXY header that each TCP
	// connection to a destination begins with, so that the server can know
	// the client: 1 or 2; 0 sends none.
	ProxyProtocol int
	// SourceAddr is the local address that destinations of its family are
	// connected to from; the zero value leaves it to the system.
	SourceAddr netip.Addr
	// MaxConnections bounds the TCP connections of the service; further
	// clients are reset at once. Zero is the bound of [Config] alone.
	MaxConnections int
	// ConnectTimeout, IdleTimeout, LifeTimeout, FinTimeout and UDPTimeout
	// are those of [Config] for this service; zero is Config's own.
	ConnectTimeout, IdleTimeout, LifeTimeout, FinTimeout, UDPTimeout time.Duration
}

// Listen is a range of ports of an address.
type Listen struct {
	// Addr is the address, which must be on this machine. The zero value is
	// the service's own.
	Addr netip.Addr
	// First and Last are the ports; Last 0 is First alone.
	First, Last uint16
	// Protocol is [ipvs.TCP] or [ipvs.UDP]; 0 is the service's own.
	Protocol ipvs.Protocol
}

// MaxListeners bounds the addresses and ports of one service: each takes a
// socket or more.
const MaxListeners = 1024

// options are the settings of one service, defaults filled in. They never
// change; a service that is configured anew gets other ones.
type options struct {
	proxy          int        // version of the PROXY protocol, 0 is none
	source         netip.Addr // for destinations of its family, if valid
	maxConnections int64      // 0 is no bound
	connectTimeout, idleTimeout, lifeTimeout, finTimeout,
	udpTimeout time.Duration // idle and life: 0 is none
}

// sourceFor returns the local address to connect to addr from, or the zero
// value.
func (o *options) sourceFor(addr netip.Addr) netip.Addr {
	if o.source.IsValid() && o.source.Is4() == addr.Is4() {
		return o.source
	}
	return netip.Addr{}
}

func (c *Config) options(s ServiceConfig) *options {
	pick := func(own, general time.Duration) time.Duration {
		if own > 0 {
			return own
		}
		return general
	}
	return &options{
		proxy: s.ProxyProtocol, source: s.SourceAddr.Unmap(), maxConnections: int64(s.MaxConnections),
		connectTimeout: pick(s.ConnectTimeout, c.ConnectTimeout), idleTimeout: pick(s.IdleTimeout, c.IdleTimeout),
		lifeTimeout: pick(s.LifeTimeout, c.LifeTimeout), finTimeout: pick(s.FinTimeout, c.FinTimeout),
		udpTimeout: pick(s.UDPTimeout, c.UDPTimeout),
	}
}

// sweepInterval is how often what these settings make idle is looked for.
func (o *options) sweepInterval() time.Duration {
	d := min(estimateInterval, o.udpTimeout/4, o.finTimeout/4)
	for _, t := range []time.Duration{o.idleTimeout, o.lifeTimeout} {
		if t > 0 {
			d = min(d, t/4)
		}
	}
	return max(d, 10*time.Millisecond)
}

// validate reports all that is wrong with a declaration.
func (c ServiceConfig) validate() error {
	var errs []error
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"ConnectTimeout", c.ConnectTimeout},
		{"IdleTimeout", c.IdleTimeout},
		{"LifeTimeout", c.LifeTimeout},
		{"FinTimeout", c.FinTimeout},
		{"UDPTimeout", c.UDPTimeout},
	} {
		if d.d < 0 {
			errs = append(errs, fmt.Errorf("%s %v: want 0 for the balancer's own or more", d.name, d.d))
		}
	}
	if c.ProxyProtocol < 0 || c.ProxyProtocol > 2 {
		errs = append(errs, fmt.Errorf("ProxyProtocol %d: want 1 or 2, or 0 for none", c.ProxyProtocol))
	}
	if c.MaxConnections < 0 {
		errs = append(errs, fmt.Errorf("MaxConnections %d: want 0 for the balancer's bound or more", c.MaxConnections))
	}
	if a := c.SourceAddr; a.IsValid() && (a.IsUnspecified() || a.IsMulticast() || a.Zone() != "") {
		errs = append(errs, fmt.Errorf("SourceAddr %v: want an address of this machine without a zone", a))
	}
	n := 0
	for _, l := range c.Listen {
		switch {
		case l.First == 0:
			errs = append(errs, fmt.Errorf("listen %v: want ports from 1", l))
			continue
		case l.Last != 0 && l.Last < l.First:
			errs = append(errs, fmt.Errorf("listen %v: the last port is before the first", l))
			continue
		case l.Protocol != 0 && l.Protocol != ipvs.TCP && l.Protocol != ipvs.UDP:
			errs = append(errs, fmt.Errorf("listen %v: want tcp or udp", l))
		}
		n += max(int(l.Last), int(l.First)) - int(l.First) + 1
	}
	if n > MaxListeners {
		errs = append(errs, fmt.Errorf("%d addresses and ports: want at most %d: each takes a socket; name fewer ports, or use the kernel's IPVS", n, MaxListeners))
	}
	return errors.Join(errs...)
}

// String returns "tcp/192.0.2.1:8000-8009".
func (l Listen) String() string {
	addr, proto := "service", "service"
	if l.Addr.IsValid() {
		addr = l.Addr.String()
		if l.Addr.Is6() {
			addr = "[" + addr + "]"
		}
	}
	if l.Protocol != 0 {
		proto = l.Protocol.String()
	}
	if l.Last == 0 || l.Last == l.First {
		return fmt.Sprintf("%s/%s:%d", proto, addr, l.First)
	}
	return fmt.Sprintf("%s/%s:%d-%d", proto, addr, l.First, l.Last)
}

// place is an address and port that a service listens on.
type place struct {
	protocol ipvs.Protocol
	addr     netip.AddrPort
}

// places returns where a service listens, in order and each once.
func places(key ipvs.ServiceKey, c ServiceConfig) ([]place, error) {
	switch {
	case len(c.Listen) > 0:
	case key.IsMark():
		return nil, &UnsupportedError{Feature: "a firewall-mark service without addresses", Reason: "sockets do not show the mark of a packet; declare the addresses and ports it stands for (Listen in Config.Services), or use the kernel's IPVS"}
	case key.Addr.Port() == 0:
		return nil, &UnsupportedError{Feature: "a service on port 0 without ports", Reason: "a socket listens on one port; declare the ports it takes (Listen in Config.Services), or use the kernel's IPVS"}
	default:
		return []place{{key.Protocol, key.Addr}}, nil
	}
	var all []place
	seen := map[place]bool{}
	for _, l := range c.Listen {
		p := place{protocol: l.Protocol}
		if p.protocol == 0 {
			p.protocol = key.Protocol
		}
		addr := l.Addr.Unmap()
		if !addr.IsValid() {
			addr = key.Addr.Addr()
		}
		switch {
		case p.protocol == 0:
			return nil, withErrno(syscall.EINVAL, fmt.Errorf("listen %v: a firewall-mark service has no protocol of its own: name tcp or udp", l))
		case !addr.IsValid():
			return nil, withErrno(syscall.EINVAL, fmt.Errorf("listen %v: a firewall-mark service has no address of its own: name one", l))
		case !key.IsMark() && p.protocol != key.Protocol:
			return nil, withErrno(syscall.EINVAL, fmt.Errorf("listen %v: the service is for %v alone", l, key.Protocol))
		case addr.Is6() != key.Is6():
			return nil, withErrno(syscall.EINVAL, fmt.Errorf("listen %v: the service %v is of the other family of addresses", l, key))
		}
		for port := int(l.First); port <= max(int(l.First), int(l.Last)); port++ {
			p.addr = netip.AddrPortFrom(addr, uint16(port))
			if !seen[p] {
				seen[p] = true
				all = append(all, p)
			}
		}
	}
	return all, nil
}
