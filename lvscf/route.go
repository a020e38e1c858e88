package lvscf

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Route is a route that moves with the floating addresses, as in
// "198.51.100.0/24 via 192.0.2.254 dev eth0".
type Route struct {
	// Prefix is the destination; 0.0.0.0/0 and ::/0 are default routes.
	Prefix netip.Prefix
	// Gateway is the next hop, of the family of Prefix; the zero address is a
	// destination on the device's own network.
	Gateway netip.Addr
	// Device is the way out, without an alias; empty is the one that reaches
	// the gateway.
	Device string
	// Source is the address that the router itself sends from by this route;
	// the zero address leaves that to the kernel.
	Source netip.Addr
	// Metric orders routes with the same destination, the lowest wins; zero is
	// the kernel's default.
	Metric uint32
	// Table is the routing table; zero is the main one, 254.
	Table uint32
}

// mainTable is RT_TABLE_MAIN (linux/rtnetlink.h).
const mainTable = 254

// String returns the words of ip-route(8).
func (r Route) String() string {
	s := r.Prefix.String()
	if r.Gateway.IsValid() {
		s += " via " + r.Gateway.String()
	}
	if r.Device != "" {
		s += " dev " + r.Device
	}
	if r.Source.IsValid() {
		s += " src " + r.Source.String()
	}
	if r.Metric != 0 {
		s += " metric " + strconv.FormatUint(uint64(r.Metric), 10)
	}
	if r.Table != 0 {
		s += " table " + strconv.FormatUint(uint64(r.Table), 10)
	}
	return s
}

// MarshalText writes the same text as String.
func (r Route) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes, with its words in any order. A
// destination without a length is one host, "default" a default route of the
// family of the other addresses, or of IPv4, and the table "main" is 254.
func (r *Route) UnmarshalText(text []byte) error {
	got, err := parseRoute(string(text))
	if err != nil {
		return fmt.Errorf("route %q: %w", text, err)
	}
	*r = got
	return nil
}

func parseRoute(text string) (r Route, err error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return r, errors.New("there is no destination")
	}
	var seen []string
	for rest := words[1:]; len(rest) > 0; rest = rest[2:] {
		word := rest[0]
		switch {
		case !slices.Contains([]string{"via", "dev", "src", "metric", "table"}, word):
			return r, fmt.Errorf("%s is no word of a route, which has via, dev, src, metric and table", quote(word))
		case len(rest) == 1:
			return r, fmt.Errorf("nothing follows %s", word)
		case slices.Contains(seen, word):
			return r, fmt.Errorf("%s stands twice", word)
		}
		seen = append(seen, word)
		if err := r.setWord(word, rest[1]); err != nil {
			return r, err
		}
	}
	return r, r.setPrefix(words[0])
}

func (r *Route) setWord(word, value string) (err error) {
	switch word {
	case "via":
		r.Gateway, err = routeAddress(word, value)
	case "src":
		r.Source, err = routeAddress(word, value)
	case "dev":
		if r.Device = value; !isDevice(value) || strings.Contains(value, ":") {
			return fmt.Errorf("dev %s is no device, as eth0", quote(value))
		}
	case "metric":
		r.Metric, err = routeNumber(word, value)
	case "table":
		if r.Table = mainTable; value != "main" {
			r.Table, err = routeNumber(word, value)
		}
	}
	return err
}

func routeAddress(word, value string) (netip.Addr, error) {
	a, err := netip.ParseAddr(value)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() {
		return netip.Addr{}, fmt.Errorf("%s %s is no address of a host", word, quote(value))
	}
	return a, nil
}

func routeNumber(word, value string) (uint32, error) {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s %s is no number of 0 to 4294967295", word, quote(value))
	}
	return uint32(n), nil
}

// setPrefix sets the destination, and judges the whole.
func (r *Route) setPrefix(text string) error {
	ok := true
	if text == "default" {
		r.Prefix = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if r.Gateway.Is6() || r.Source.Is6() {
			r.Prefix = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
	} else {
		r.Prefix, ok = parsePrefix(text)
	}
	to := r.Prefix.Addr()
	switch {
	case !ok || to.Is4In6() || to.IsMulticast() || to.IsUnspecified() && r.Prefix.Bits() > 0:
		return fmt.Errorf("%s is no destination with the length of its network", quote(text))
	case r.Prefix != r.Prefix.Masked():
		return fmt.Errorf("%s has bits beyond its length, and %s has not", text, r.Prefix.Masked())
	case r.Gateway.IsValid() && r.Gateway.Is4() != to.Is4():
		return fmt.Errorf("the gateway %s is of another family than %s", r.Gateway, r.Prefix)
	case r.Source.IsValid() && r.Source.Is4() != to.Is4():
		return fmt.Errorf("src %s is of another family than %s", r.Source, r.Prefix)
	case !r.Gateway.IsValid() && r.Device == "":
		return errors.New("it needs via GATEWAY, dev DEVICE or both")
	case r.Gateway.Is6() && r.Gateway.IsLinkLocalUnicast() && r.Device == "":
		return fmt.Errorf("the gateway %s is link-local, and needs dev DEVICE", r.Gateway)
	}
	return nil
}

// Place returns what the kernel tells routes apart by: destination, metric and
// table, with its defaults. With IPv6 a metric of 0 is 1024 (IP6_RT_PRIO_USER in
// linux/ipv6_route.h).
func (r Route) Place() Route {
	p := Route{Prefix: r.Prefix, Metric: r.Metric, Table: cmp.Or(r.Table, mainTable)}
	if r.Prefix.Addr().Is6() {
		p.Metric = cmp.Or(p.Metric, 1024)
	}
	return p
}

// route reads a route.
func (v *values) route() (Route, bool) {
	r, err := parseRoute(v.args[0].Text)
	if err != nil {
		v.bad(v.args[0], "invalid argument: "+quote(v.args[0].Text)+": "+err.Error(), v.example())
		return Route{}, false
	}
	return r, true
}

// routes returns the place of the routes, in a vrrp block or the global
// section.
func (s *scope) routes() *[]Route {
	if s.r != nil {
		return &s.r.Routes
	}
	return &s.c.Routes
}

// routes judges the routes of the global section and of the vrrp blocks.
func (k *checker) routes() {
	c := k.c
	own := k.ownAddresses()
	carried := func(a netip.Addr) bool { return own[a] != "" && !slices.Contains(c.stays(), a) }
	type place struct {
		of    string
		at    Pos
		route Route
	}
	seen := map[Route]place{}
	judge := func(of string, at Pos, list []Route) {
		for _, r := range list {
			if whose := own[r.Gateway]; whose != "" {
				k.add(codeRouteGateway, at, fmt.Sprintf("the gateway of route %s is %s: no router can send by way of its own address", r, whose), "name the next router")
			}
			if r.Source.IsValid() && !carried(r.Source) {
				k.add(codeRouteSource, at, fmt.Sprintf("src %s of route %s is none of the addresses that both routers have while they are active", r.Source, r), "write an address of this file that moves or that each router carries, or leave src out")
			}
			other, again := seen[r.Place()]
			if again && other.of == of && other.route == r {
				continue
			}
			if again {
				k.add(codeSameRoute, at, fmt.Sprintf("route %s stands twice, also in %s of line %d", r, other.of, other.at.Line), "remove one of them, or give it another metric")
				continue
			}
			seen[r.Place()] = place{of, at, r}
		}
	}
	judge("the global section", c.Origins.Pos("route"), c.Routes)
	if c.FailoverMode != VRRPMode {
		return
	}
	for i := range c.VRRPs {
		r := &c.VRRPs[i]
		judge("vrrp block "+quote(r.Name), r.Origins.Pos("route"), r.Routes)
	}
}

// stays are the addresses that are those of one router.
func (c *Config) stays() []netip.Addr {
	return []netip.Addr{c.Primary.Addr, c.PrimaryPrivate.Addr, c.Backup.Addr, c.BackupPrivate.Addr}
}

// ownAddresses are those of the routers themselves, and what they are.
func (k *checker) ownAddresses() map[netip.Addr]string {
	c := k.c
	own := map[netip.Addr]string{}
	add := func(a netip.Addr, what string) {
		if a.IsValid() {
			own[a] = what
		}
	}
	add(c.NATRouter.Address.Addr, "nat_router")
	for _, v := range k.running() {
		if v.Active {
			add(v.Address.Addr, "that of service "+quote(v.Name))
		}
	}
	for _, a := range c.FloatingAddresses {
		add(a.Prefix.Addr(), "a floating_address")
	}
	for _, a := range c.StaticAddresses {
		add(a.Prefix.Addr(), "a static_address")
	}
	for i := range c.VRRPs {
		for _, a := range c.VRRPs[i].Addresses {
			add(a.Prefix.Addr(), "an address of vrrp block "+quote(c.VRRPs[i].Name))
		}
	}
	for _, a := range c.stays() {
		add(a, "that of a router")
	}
	return own
}
