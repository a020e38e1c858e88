package dsr

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// Defaults of a [Config].
const (
	// DefaultFirstMark begins the range of marks; it is "LV" in its upper half.
	DefaultFirstMark = 0x4c560000
	DefaultMarks     = 4096
	// DefaultIdle is how long a private service stays without a check.
	DefaultIdle = 5 * time.Minute
	// DefaultRest is how long a mark is not used again: as long as the kernel
	// may still send packets of a closed connection (TCP's FIN_WAIT of IPVS).
	DefaultRest = 2 * time.Minute
)

// maxMarks bounds the private services of a Manager.
const maxMarks = 1 << 16

// Config sets up a [Manager].
type Config struct {
	// FirstMark and Marks are the range of firewall marks that belongs to the
	// Manager alone: FirstMark..FirstMark+Marks-1. Every service of the table
	// for a mark in it is taken for its own, and removed if it is not needed.
	// FirstMark 0 means DefaultFirstMark; Marks is 1..65536, 0 means
	// DefaultMarks, and it is how many servers can be asked: each real server
	// takes one mark for each way of forwarding to it.
	FirstMark uint32
	Marks     int
	// Idle is how long a private service stays that no check has asked for; a
	// server that left the configuration is forgotten by it. 0 means
	// DefaultIdle.
	Idle time.Duration
	// Rest is how long the mark of a removed service is not used again. 0
	// means DefaultRest.
	Rest time.Duration
	// Namespace is the file of the network namespace to ask from, which must
	// be that of the table; empty is the one of the process. It needs
	// CAP_SYS_ADMIN.
	Namespace string
	// Logger takes what the Manager cleans up and what it cannot do; nil
	// discards it.
	Logger *slog.Logger
}

// withDefaults returns the configuration with every zero replaced by its
// meaning, or an error that names every field that cannot be used.
func (c *Config) withDefaults() (Config, error) {
	var out Config
	if c != nil {
		out = *c
	}
	if out.FirstMark == 0 {
		out.FirstMark = DefaultFirstMark
	}
	if out.Marks == 0 {
		out.Marks = DefaultMarks
	}
	if out.Idle == 0 {
		out.Idle = DefaultIdle
	}
	if out.Rest == 0 {
		out.Rest = DefaultRest
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	var errs []error
	if out.Marks < 1 || out.Marks > maxMarks {
		errs = append(errs, fmt.Errorf("marks %d: want 1..%d, or 0 for %d", out.Marks, maxMarks, DefaultMarks))
	} else if uint64(out.FirstMark)+uint64(out.Marks)-1 > math.MaxUint32 {
		errs = append(errs, fmt.Errorf("first mark %#x: %d marks from there go beyond 32 bits", out.FirstMark, out.Marks))
	}
	if out.Idle < 0 {
		errs = append(errs, fmt.Errorf("idle %v: want more than 0, or 0 for %v", out.Idle, DefaultIdle))
	}
	if out.Rest < 0 {
		errs = append(errs, fmt.Errorf("rest %v: want more than 0, or 0 for %v", out.Rest, DefaultRest))
	}
	return out, errors.Join(errs...)
}

// Path is the way of a client's packets to one real server.
type Path struct {
	// Virtual is the virtual address and port that is asked. The port need
	// not be that of a service.
	Virtual netip.AddrPort
	// Destination is the real server: the address of its key, its forwarding
	// method, DirectRoute or Tunnel, and its tunnel options. The port, weight
	// and thresholds are not read.
	Destination ipvs.Destination
	// Source is the address that the checks come from, of Virtual's family
	// and not Virtual itself. The zero value is the address that this machine
	// uses towards the server.
	Source netip.Addr
}

// String names the virtual address and the way to the server, such as
// "192.0.2.1:80 by direct routing to 192.0.2.21".
func (p Path) String() string {
	return fmt.Sprintf("%v by %v", netip.AddrPortFrom(p.Virtual.Addr().Unmap(), p.Virtual.Port()), p.key())
}

// Validate reports every field that cannot be asked through.
func (p Path) Validate() error {
	virtual, real, source := p.Virtual.Addr().Unmap(), p.Destination.Key.Addr().Unmap(), p.Source.Unmap()
	var errs []error
	if !p.Virtual.IsValid() || p.Virtual.Port() == 0 {
		errs = append(errs, fmt.Errorf("virtual address %v: want an address and a port", p.Virtual))
	}
	if !real.IsValid() {
		errs = append(errs, errors.New("the destination has no address"))
	}
	switch p.Destination.Forward {
	case ipvs.DirectRoute:
		if real.IsValid() && virtual.IsValid() && real.Is4() != virtual.Is4() {
			errs = append(errs, fmt.Errorf("destination %v: direct routing needs the family of the virtual address %v", real, virtual))
		}
	case ipvs.Tunnel:
	case ipvs.Masquerade:
		errs = append(errs, fmt.Errorf("destination %v: masquerading brings clients to its own address: check it there", real))
	default:
		errs = append(errs, fmt.Errorf("destination %v: forwarding %v leads to no server: want direct or tunnel", real, p.Destination.Forward))
	}
	if real.IsValid() && real == virtual {
		errs = append(errs, fmt.Errorf("destination %v is the virtual address itself", real))
	}
	if source.IsValid() && (source == virtual || source.Is4() != virtual.Is4() || source.IsUnspecified()) {
		errs = append(errs, fmt.Errorf("source %v: want another address of the family of %v, or none for the system's choice", source, virtual))
	}
	return errors.Join(errs...)
}

// key is what of a path the private service depends on.
func (p Path) key() key {
	d := p.Destination
	d.Key = netip.AddrPortFrom(d.Key.Addr().Unmap(), 0)
	d = d.Normalized()
	return key{server: d.Key.Addr(), forward: d.Forward, tunnel: d.Tunnel, six: !p.Virtual.Addr().Unmap().Is4()}
}

// key tells private services apart. The port does not matter: a mark stands
// for every port, and without one of its own a destination keeps the client's.
type key struct {
	server  netip.Addr
	forward ipvs.ForwardMethod
	tunnel  ipvs.TunnelOptions
	six     bool
}

func (k key) service(mark uint32) ipvs.ServiceKey {
	if k.six {
		return ipvs.MarkService6(mark)
	}
	return ipvs.MarkService(mark)
}

func (k key) destination() ipvs.Destination {
	return ipvs.Destination{Key: netip.AddrPortFrom(k.server, 0), Forward: k.forward, Weight: 1, Tunnel: k.tunnel}
}

// String names the way in an operator's words.
func (k key) String() string {
	if k.forward == ipvs.Tunnel {
		return fmt.Sprintf("%v tunnel to %v", k.tunnel.Type, k.server)
	}
	return fmt.Sprintf("direct routing to %v", k.server)
}
