// Package dsr asks real servers at the virtual address, through the path that
// clients' packets take, where they are reached by direct routing or by a
// tunnel.
//
// There a server can be fine on its own address and dead for every client:
// the virtual address is missing on its loopback, the program listens on one
// address alone, the tunnel device drops what comes. A check at the server's
// own address sees none of that.
//
// A [Manager] keeps one private service of the kernel's table (IPVS) for each
// such server, selected by a firewall mark from a range that is its own, with
// the one server as destination. A [Checker] is any check of package health
// whose socket has that mark and connects to the virtual address: so each of
// its packets goes to that server and no other. Whether they really did is
// read from the table after each answer, so that a check which went astray is
// no result. The table counts the connections that it remembers: when what
// leads checks astray comes up between two of them, answers are believed until
// the one before is forgotten (see below), and not after that.
//
//	m, err := dsr.New(client, nil)
//	go m.Run(ctx)
//	c, err := m.Checker(path, func(d health.Dial) (health.Checker, error) {
//		return health.NewHTTP(&health.HTTPConfig{Path: "/", Dial: d})
//	})
//
// # What the node must allow
//
// A node that has the virtual address itself, as an active director has, takes
// the answers for forged, since they come from its own address; IPv4 drops
// them, IPv6 does not. On the interface where they arrive set
//
//	net.ipv4.conf.DEVICE.accept_local = 1
//	net.ipv4.conf.DEVICE.rp_filter = 2     (or 0)
//
// or let the checks run in a network namespace that does not have the address
// ([Config].Namespace). While the node is not like that, a check that gets no
// answer is no result, and its reason names what to set. A server that
// forwards packets and does not have the virtual address sends each check
// back until its time to live ends.
//
// The mark must survive: a rule of the own firewall that sets the mark of
// outgoing packets (hook output) leads the check past the private service,
// which is found out and said. Policy routing must not pick marks of the range.
//
// # Out of scope
//
// Masquerading (NAT) needs none of this: there clients reach the server's own
// address. ICMP has no port and is not scheduled by a mark, so the echo check
// does not fit. The checks of one virtual address and port from one source
// share its local ports, and from a port that the kernel still remembers a
// packet goes where the one before went: for a minute after a connection that
// was not answered, for two after one that was closed with a FIN, for five
// after UDP. One that was reset is forgotten at once if net.ipv4.vs.conn_reuse_mode is
// not 0. Since Linux 5.18 local ports are drawn by chance. So a check meets
// another server with the chance of remembered connections over local ports,
// which are some 28,000: 0.2 % for each server that is dead and asked every
// second. Let no single answer decide (Fall and Rise of 2 or more).
package dsr
