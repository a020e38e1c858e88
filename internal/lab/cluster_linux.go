package lab

import (
	"fmt"
	"net/netip"
	"testing"
)

// Cluster is the usual network of a load balancer:
//
//	Client - Router - public bridge - Directors - private bridge - Servers
//
// The servers are on the public bridge too, as direct routing needs it. The
// bridges are in the namespace Switch. The servers send everything that is
// not local through VIPs.Private, so with NAT the director that holds the
// addresses sees the answers. Each address has an IPv4 and an IPv6 form.
type Cluster struct {
	*Lab
	Client, Router, Switch *Namespace
	// ClientAddrs are addresses of Client: three in one /24 and one in
	// another, for tests of persistence with a netmask.
	ClientAddrs []netip.Addr
	Directors   [2]Node
	Servers     [3]Node
	// VIPs belong to nobody until GiveVIPs.
	VIPs Addrs

	holder *Node
}

// Links of the cluster: Client and Router have ClientLink; Router, Directors
// and Servers have PublicLink; Directors and Servers have PrivateLink.
const (
	ClientLink  = "out"
	PublicLink  = "pub"
	PrivateLink = "priv"
)

// Addrs are addresses on both bridges.
type Addrs struct {
	Public, Public6, Private, Private6 netip.Addr
}

// Node is a namespace with its own addresses on both bridges.
type Node struct {
	*Namespace
	Addrs
}

// newAddrs returns the addresses with the same last part on both bridges.
// It is written the same way in IPv4 and in IPv6: 10.1.0.21 and fd01::21.
func newAddrs(last int) Addrs {
	addr := func(format string) netip.Addr { return netip.MustParseAddr(fmt.Sprintf(format, last)) }
	return Addrs{addr("10.1.0.%d"), addr("fd01::%d"), addr("10.2.0.%d"), addr("fd02::%d")}
}

// The networks of the cluster.
const (
	bits  = 24
	bits6 = 64
)

// NewCluster builds the cluster. It takes eight namespaces and one for the
// bridges; in a guest give it 1 GB of memory.
func NewCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{Lab: New(t), VIPs: newAddrs(100)}
	// The servers' way back, as Piranha's manual has it (nat_router).
	c.VIPs.Private, c.VIPs.Private6 = netip.MustParseAddr("10.2.0.1"), netip.MustParseAddr("fd02::1")

	c.Switch = c.Namespace("switch")
	for _, bridge := range []string{PublicLink, PrivateLink} {
		c.Switch.Bridge(bridge)
	}
	c.Router = c.Namespace("router")
	c.Router.Forward()
	c.Client = c.Namespace("client")
	c.Veth(c.Client, ClientLink, c.Router, ClientLink)
	c.Router.Addr(ClientLink, netip.MustParsePrefix("10.9.0.1/16"), netip.MustParsePrefix("fd09::1/64"))
	for _, a := range []string{"10.9.0.10", "10.9.0.11", "10.9.0.12", "10.9.1.10", "fd09::10"} {
		addr := netip.MustParseAddr(a)
		c.ClientAddrs = append(c.ClientAddrs, addr)
		n := 16
		if addr.Is6() {
			n = bits6
		}
		c.Client.Addr(ClientLink, netip.PrefixFrom(addr, n))
	}
	router := newAddrs(1)
	c.plug(c.Router, PublicLink, router.Public, router.Public6)
	c.defaultRoutes(c.Client, netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd09::1"))

	for i := range c.Directors {
		d := Node{c.Namespace(fmt.Sprintf("director%d", i+1)), newAddrs(11 + i)}
		d.Forward()
		c.plug(d.Namespace, PublicLink, d.Public, d.Public6)
		c.plug(d.Namespace, PrivateLink, d.Private, d.Private6)
		c.defaultRoutes(d.Namespace, router.Public, router.Public6)
		c.Directors[i] = d
	}
	for i := range c.Servers {
		s := Node{c.Namespace(fmt.Sprintf("server%d", i+1)), newAddrs(21 + i)}
		c.plug(s.Namespace, PublicLink, s.Public, s.Public6)
		c.plug(s.Namespace, PrivateLink, s.Private, s.Private6)
		c.defaultRoutes(s.Namespace, c.VIPs.Private, c.VIPs.Private6)
		c.Servers[i] = s
	}
	return c
}

// plug connects a namespace to a bridge; the link has the bridge's name.
func (c *Cluster) plug(n *Namespace, bridge string, addr, addr6 netip.Addr) {
	c.t.Helper()
	// 15 characters are the most the name of a link may have.
	port := bridge[:3] + "-" + n.name
	c.Veth(n, bridge, c.Switch, port)
	c.Switch.Attach(port, bridge)
	n.Addr(bridge, netip.PrefixFrom(addr, bits), netip.PrefixFrom(addr6, bits6))
}

func (c *Cluster) defaultRoutes(n *Namespace, via, via6 netip.Addr) {
	c.t.Helper()
	n.Route(netip.MustParsePrefix("0.0.0.0/0"), via)
	n.Route(netip.MustParsePrefix("::/0"), via6)
}

// GiveVIPs takes the floating addresses from the director that has them and
// gives them to another; nil gives them to nobody. Neighbours are not told.
func (c *Cluster) GiveVIPs(to *Node) {
	c.t.Helper()
	public := []netip.Prefix{netip.PrefixFrom(c.VIPs.Public, 32), netip.PrefixFrom(c.VIPs.Public6, 128)}
	private := []netip.Prefix{netip.PrefixFrom(c.VIPs.Private, 32), netip.PrefixFrom(c.VIPs.Private6, 128)}
	if c.holder != nil {
		c.holder.RemoveAddr(PublicLink, public...)
		c.holder.RemoveAddr(PrivateLink, private...)
	}
	if to != nil {
		to.Addr(PublicLink, public...)
		to.Addr(PrivateLink, private...)
	}
	c.holder = to
}
