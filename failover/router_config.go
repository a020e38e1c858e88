package failover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

const (
	// DefaultKeyWindow is the least that a KeyWindow of 0 stands for.
	DefaultKeyWindow = 5 * time.Second
	// maxDownAdverts bounds RouterConfig.DownAdverts.
	maxDownAdverts = 100
	// maxRouterPeers bounds the configured peers, and what is remembered of
	// routers that were heard.
	maxRouterPeers = 16
)

// RouterConfig configures a [Router].
type RouterConfig struct {
	// VRID numbers the virtual router on its network, 1 to 255, the same on
	// all routers of it. IPv4 and IPv6 number apart.
	VRID uint8
	// Device carries the adverts, as eth0.
	Device string
	// Version is 2 or 3 (RFC 3768, RFC 9568); 0 means 3. Version 2 is for IPv4.
	Version uint8
	// Addresses are the virtual addresses as adverts tell them, at least one,
	// all of one family and without a zone. With IPv6 the first is link-local.
	// Owner is what brings them up.
	Addresses []netip.Addr
	// Priority is 1 to 254, or vrrp.PriorityOwner for the router whose own
	// addresses they are; 0 means vrrp.DefaultPriority. Each router had better have
	// its own.
	Priority uint8
	// Interval is the time between adverts: whole seconds with version 2, and
	// multiples of 10 ms up to vrrp.MaxInterval with version 3; 0 means
	// DefaultInterval. With version 2 other programs refuse another one.
	Interval time.Duration
	// DownAdverts is how many adverts in a row may be missed, 1 to 100; 0
	// means vrrp.DefaultDownAdverts.
	DownAdverts int
	// NoPreempt leaves the service to an active router of lower priority.
	NoPreempt bool
	// PreemptDelay is how long an active router of lower priority is left to
	// serve, from when it was first heard; at most an hour.
	PreemptDelay time.Duration
	// VirtualMAC makes the adverts by multicast and the addresses use the MAC of
	// the virtual router (RFC 9568, section 7.3), so that neighbours have nothing
	// to learn when the service moves, only switches. It makes the macvlan that
	// VirtualDevice names when the router starts and removes it when Run ends;
	// the addresses that an Owner of type *Addresses has on Device come up there
	// instead, and another kind of Owner has to put them there itself. /32 and
	// /128 are the right lengths, 64 for a link-local address. On Device,
	// arp_ignore and arp_announce are raised meanwhile. It works with RawIP only;
	// clouds and hypervisors often let no second MAC through.
	VirtualMAC bool
	// NoAccept drops what comes for Addresses themselves, as RFC 9568 has it by
	// default (Accept_Mode, section 6.1): they are answered for in ARP and
	// neighbour discovery and forwarded through, as addresses of gateways. It is
	// nothing for a balancer, and an owner accepts all the same. It works with
	// RawIP only and needs nf_tables of Linux 5.12 or newer; the rules are in a
	// table of their own, which is gone when Run or the process ends.
	NoAccept bool
	// Source is the address of this router that adverts are sent from, a virtual
	// one with an owner only; the zero address is chosen by the transport, see
	// [AdvertSocket].
	Source netip.Addr
	// Peers are the other routers with unicast, at most 16; none means
	// multicast. All routers have to do the same. The hop limit of unicast is
	// not checked, as peers may be behind a router.
	Peers []netip.Addr
	// Password authenticates version 2 in clear, at most vrrp.MaxPassword
	// bytes; empty is none. It hinders slips, not attackers. Routers with
	// different ones refuse each other, so that both serve, and say so.
	Password string
	// Keys sign the adverts, and what is not signed is refused: the trailer of
	// keepalived from 2.4 on. The first one signs. None: nothing is signed.
	// Routers without a common one refuse each other, so that both serve, and
	// say so.
	Keys []vrrp.Key
	// KeyWindow is how far the clock of another router may be from ours; 0
	// means DefaultKeyWindow or three intervals, whichever is longer; negative
	// does not look at clocks.
	KeyWindow time.Duration
	// Checksum is the form for routers that were not heard yet, with version 3
	// over IPv4; the zero value is that of keepalived and FRR. Others are
	// answered in their own form. Multicast goes out in all forms that were
	// heard, so that no router of a mixed network takes us for silent.
	Checksum vrrp.Checksum
	// Owner takes and gives back the virtual addresses; nil means
	// [NoAddresses].
	Owner AddressOwner `json:"-"`
	// OnRole and OnEvent are those of [Config].
	OnRole  func(ctx context.Context, r Role) error `json:"-"`
	OnEvent func(Event)                             `json:"-"`
	// Transport opens the socket; nil means [RawIP].
	Transport AdvertTransport `json:"-"`
	// Logger gets role changes and troubles with the attributes vrid and
	// iface; nil discards.
	Logger *slog.Logger `json:"-"`
	// Beat is the process that the router runs in; nil is this one. It takes
	// *[Addresses] or [NoAddresses] as Owner, and [RawIP] as Transport.
	Beat *Beat `json:"-"`
}

// String names the virtual router, as [Router.String] of a router made from it
// does.
func (c *RouterConfig) String() string {
	s := fmt.Sprintf("%s %d", c.Device, c.VRID)
	if len(c.Addresses) > 0 && c.six() {
		s += " IPv6"
	}
	return s
}

// six reports whether it is a router of IPv6.
func (c *RouterConfig) six() bool { return c.Addresses[0].Is6() }

// fill returns a checked copy with the defaults filled in.
func (c *RouterConfig) fill() (*RouterConfig, error) {
	if c == nil {
		c = &RouterConfig{}
	}
	f := *c
	var errs []error
	complain := func(format string, a ...any) { errs = append(errs, fmt.Errorf("failover: "+format, a...)) }
	f.Version = cmp.Or(f.Version, 3)
	f.Priority = cmp.Or(f.Priority, vrrp.DefaultPriority)
	f.Interval = cmp.Or(f.Interval, DefaultInterval)
	f.DownAdverts = cmp.Or(f.DownAdverts, vrrp.DefaultDownAdverts)
	if f.Device == "" || len(f.Device) > 15 || strings.ContainsAny(f.Device, ":/ ") {
		complain("device %q: give the one that carries the adverts, as eth0", f.Device)
	}
	if f.DownAdverts < 1 || f.DownAdverts > maxDownAdverts {
		complain("%d missed adverts are out of range; use 1 to %d", f.DownAdverts, maxDownAdverts)
	}
	if f.PreemptDelay < 0 || f.PreemptDelay > time.Hour {
		complain("preempt delay %v is out of range; use 0 to an hour", f.PreemptDelay)
	}
	if f.Checksum > vrrp.MessageOnly {
		complain("checksum %v is unknown; use %v or %v", f.Checksum, vrrp.WithPseudoHeader, vrrp.MessageOnly)
	}
	f.Addresses, f.Peers, f.Keys = slices.Clone(f.Addresses), slices.Clone(f.Peers), slices.Clone(f.Keys)
	for i := range f.Keys {
		f.Keys[i].Secret = slices.Clone(f.Keys[i].Secret)
	}
	if len(f.Addresses) == 0 {
		complain("no virtual address: give at least one")
		return nil, errors.Join(errs...)
	}
	six := f.six()
	for _, a := range f.Addresses {
		if a.Zone() != "" || a.IsMulticast() || a.IsUnspecified() || a.Is4In6() {
			complain("virtual address %v: give one of a machine, in its plain form and without a zone", a)
		}
	}
	if f.Source.IsValid() && slices.Contains(f.Addresses, f.Source.WithZone("")) && f.Priority != vrrp.PriorityOwner {
		complain("source %v is a virtual address, which the routers of one network would all send from: give one of this router alone, or, if it is, the priority %d of an owner", f.Source, vrrp.PriorityOwner)
	}
	if f.Source.IsValid() && (f.Source.Is6() != six || f.Source.IsMulticast() || f.Source.IsUnspecified() || f.Source.Is4In6()) {
		complain("source %v: give an address of this router, of the family of the virtual ones", f.Source)
	}
	if len(f.Peers) > maxRouterPeers {
		complain("%d peers; at most %d are possible", len(f.Peers), maxRouterPeers)
	}
	for i, p := range f.Peers {
		switch {
		case !p.IsValid() || p.Is6() != six || p.IsMulticast() || p.IsUnspecified() || p.Is4In6() || p.Zone() != "":
			complain("peer %v: give the other router's own address, of the family of the virtual ones and without a zone", p)
		case p == f.Source:
			complain("peer %v is our own source; a peer is another router", p)
		case slices.Contains(f.Peers[:i], p):
			complain("peer %v is given twice", p)
		}
	}
	// The codec knows the rest.
	if _, err := vrrp.Append(nil, f.advert(), vrrp.Path{Source: vrrp.Group(six), Destination: vrrp.Group(six)}, f.Checksum); err != nil {
		errs = append(errs, fmt.Errorf("failover: %w", err))
	}
	if len(f.Keys) > 0 {
		if _, err := f.ring(); err != nil {
			errs = append(errs, fmt.Errorf("failover: %w", err))
		}
	}
	if err := checkOwner(f.Owner); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if f.Owner == nil {
		f.Owner = NoAddresses{}
	}
	switch t := f.Transport.(type) {
	case nil:
		f.Transport = RawIP{}
	case *RawIP: // the same, to who asks for RawIP
		f.Transport = *cmp.Or(t, &RawIP{})
	}
	if f.Logger == nil {
		f.Logger = slog.New(slog.DiscardHandler)
	}
	return &f, nil
}

// advert returns what the router says of itself.
func (c *RouterConfig) advert() *vrrp.Advert {
	return &vrrp.Advert{
		Version: c.Version, VRID: c.VRID, Priority: c.Priority, Interval: c.Interval, Addrs: c.Addresses, Password: c.Password,
	}
}

// params returns what the machine has to know.
func (c *RouterConfig) params() vrrp.Params {
	return vrrp.Params{
		Version: c.Version, Priority: c.Priority, Interval: c.Interval, DownAdverts: c.DownAdverts,
		NoPreempt: c.NoPreempt, PreemptDelay: c.PreemptDelay,
	}
}

// ring makes the keys ready.
func (c *RouterConfig) ring() (*vrrp.Keys, error) {
	window := c.KeyWindow
	switch {
	case window == 0:
		window = max(DefaultKeyWindow, 3*c.Interval)
	case window < 0:
		window = 0
	}
	return vrrp.NewKeys(window, c.Keys...)
}
