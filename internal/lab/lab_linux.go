package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// NoSkipVariable set to 1 turns every skip of Need into a failure.
const NoSkipVariable = "LVSKIT_NO_SKIP"

// Emulated reports whether the tests run on an emulated processor: in a guest
// of the rig's kernel qemu, and so with the race detector as a rule. What plays
// by chance plays less there; the other kernels play it all.
func Emulated() bool { return os.Getenv("LVSKIT_GUEST") == "qemu" }

// Need skips the test with a reason where network namespaces cannot be made,
// or fails it when NoSkipVariable is 1.
func Need(t testing.TB) {
	t.Helper()
	ns, err := newNamespace()
	if err == nil {
		unix.Close(int(ns))
		return
	}
	why := fmt.Sprintf("needs network namespaces: %v", err)
	if errors.Is(err, fs.ErrPermission) {
		why += ": run as root (CAP_SYS_ADMIN)"
	}
	if os.Getenv(NoSkipVariable) == "1" {
		t.Fatal(why, "; and skipping is forbidden by", NoSkipVariable)
	}
	t.Skip(why)
}

// Lab is a set of network namespaces that live as long as a test. Its methods
// and those of its namespaces fail the test on an error unless they return
// one; then they may be called from any goroutine, else from the test's own.
type Lab struct {
	t testing.TB
}

// New returns an empty lab. It calls Need first.
func New(t testing.TB) *Lab {
	t.Helper()
	Need(t)
	return &Lab{t: t}
}

// Namespace is a network namespace of a lab.
type Namespace struct {
	name string
	t    testing.TB
	ns   netns.NsHandle
	h    *netlink.Handle
}

// Namespace makes a network namespace with its loopback up and without
// reverse path filter, also for links made later. The name is for messages.
func (l *Lab) Namespace(name string) *Namespace {
	l.t.Helper()
	ns, err := newNamespace()
	if err != nil {
		l.t.Fatalf("namespace %s: %v", name, err)
	}
	l.t.Cleanup(func() { unix.Close(int(ns)) })
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		l.t.Fatalf("namespace %s: netlink: %v", name, err)
	}
	l.t.Cleanup(h.Close)
	n := &Namespace{name: name, t: l.t, ns: ns, h: h}
	// New links take over default, but all counts beside it.
	n.Sysctl("net.ipv4.conf.all.rp_filter", "0")
	n.Sysctl("net.ipv4.conf.default.rp_filter", "0")
	// Without a look for doubles the link-local addresses too are usable at once.
	n.Sysctl("net.ipv6.conf.all.accept_dad", "0")
	n.Sysctl("net.ipv6.conf.default.accept_dad", "0")
	n.Up("lo")
	return n
}

// Name returns the name given to Lab.Namespace.
func (n *Namespace) Name() string { return n.name }

// Path returns a file that stands for the namespace for other programs, such
// as nsenter --net=PATH, until the test ends.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(n.ns)) }

// Publish makes the namespace known to ip-netns(8) under a name, until the
// test ends. Names are shared by the whole machine: make them your own.
func (n *Namespace) Publish(name string) {
	n.t.Helper()
	const dir = "/run/netns"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		n.t.Fatalf("namespace %s: %v", n.name, err)
	}
	file := filepath.Join(dir, name)
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		n.t.Fatalf("namespace %s: %v", n.name, err)
	}
	f.Close()
	n.t.Cleanup(func() {
		if err := unix.Unmount(file, unix.MNT_DETACH); err != nil {
			n.t.Errorf("namespace %s: unmount %s: %v", n.name, file, err)
		}
		if err := os.Remove(file); err != nil {
			n.t.Errorf("namespace %s: %v", n.name, err)
		}
	})
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", int(n.ns)), file, "none", unix.MS_BIND, ""); err != nil {
		n.t.Fatalf("namespace %s: mount %s: %v", n.name, file, err)
	}
}

// Handle returns a netlink handle in the namespace, for what the lab has no
// method for.
func (n *Namespace) Handle() *netlink.Handle { return n.h }

// Sysctl sets a setting of the namespace, written with dots:
// net.ipv4.ip_forward.
func (n *Namespace) Sysctl(key, value string) {
	n.t.Helper()
	file := filepath.Join("/proc/sys", strings.ReplaceAll(key, ".", "/"))
	if err := n.Do(func() error { return os.WriteFile(file, []byte(value), 0o644) }); err != nil {
		n.t.Fatalf("namespace %s: sysctl %s=%s: %v", n.name, key, value, err)
	}
}

// Forward makes the namespace a router: it forwards IPv4 and IPv6 and sends
// no redirects. Call it before making links, which inherit that.
func (n *Namespace) Forward() {
	n.t.Helper()
	n.Sysctl("net.ipv4.ip_forward", "1")
	n.Sysctl("net.ipv4.conf.all.send_redirects", "0")
	n.Sysctl("net.ipv4.conf.default.send_redirects", "0")
	n.Sysctl("net.ipv6.conf.all.forwarding", "1")
}

// Veth makes a pair of links, one end in each namespace, both up.
func (l *Lab) Veth(a *Namespace, aName string, b *Namespace, bName string) {
	l.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = aName
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: bName, PeerNamespace: netlink.NsFd(int(b.ns))}
	if err := a.h.LinkAdd(pair); err != nil {
		l.t.Fatalf("veth %s/%s - %s/%s: %v", a.name, aName, b.name, bName, err)
	}
	a.Up(aName)
	b.Up(bName)
}

// Bridge makes a bridge, up, that passes multicast to every port.
func (n *Namespace) Bridge(name string) {
	n.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	snooping := false
	n.add(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping})
}

// Dummy makes a link that leads nowhere, up: a place for addresses.
func (n *Namespace) Dummy(name string) {
	n.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	n.add(&netlink.Dummy{LinkAttrs: attrs})
}

func (n *Namespace) add(link netlink.Link) {
	n.t.Helper()
	name := link.Attrs().Name
	if err := n.h.LinkAdd(link); err != nil {
		n.t.Fatalf("namespace %s: add %s %s: %v", n.name, link.Type(), name, err)
	}
	n.Up(name)
}

// Attach makes a link a port of a bridge of the same namespace.
func (n *Namespace) Attach(link, bridge string) {
	n.t.Helper()
	if err := n.h.LinkSetMaster(n.link(link), n.link(bridge)); err != nil {
		n.t.Fatalf("namespace %s: attach %s to %s: %v", n.name, link, bridge, err)
	}
}

// Up sets a link up.
func (n *Namespace) Up(link string) {
	n.t.Helper()
	if err := n.h.LinkSetUp(n.link(link)); err != nil {
		n.t.Fatalf("namespace %s: %s up: %v", n.name, link, err)
	}
}

// Down sets a link down: a cable pulled.
func (n *Namespace) Down(link string) {
	n.t.Helper()
	if err := n.h.LinkSetDown(n.link(link)); err != nil {
		n.t.Fatalf("namespace %s: %s down: %v", n.name, link, err)
	}
}

// Addr adds addresses to a link. They are usable at once: IPv6 does not look
// for doubles first.
func (n *Namespace) Addr(link string, addrs ...netip.Prefix) {
	n.t.Helper()
	for _, p := range addrs {
		if err := n.h.AddrAdd(n.link(link), address(p)); err != nil {
			n.t.Fatalf("namespace %s: add %s to %s: %v", n.name, p, link, err)
		}
	}
}

// RemoveAddr removes addresses from a link.
func (n *Namespace) RemoveAddr(link string, addrs ...netip.Prefix) {
	n.t.Helper()
	for _, p := range addrs {
		if err := n.h.AddrDel(n.link(link), address(p)); err != nil {
			n.t.Fatalf("namespace %s: remove %s from %s: %v", n.name, p, link, err)
		}
	}
}

func address(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: netlink.NewIPNet(p.Addr().AsSlice())}
	a.Mask = mask(p)
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// Route adds a route by way of a neighbour.
func (n *Namespace) Route(to netip.Prefix, via netip.Addr) {
	n.t.Helper()
	to = to.Masked()
	dst := netlink.NewIPNet(to.Addr().AsSlice())
	dst.Mask = mask(to)
	if err := n.h.RouteAdd(&netlink.Route{Dst: dst, Gw: via.AsSlice()}); err != nil {
		n.t.Fatalf("namespace %s: route to %s via %s: %v", n.name, to, via, err)
	}
}

// MAC returns the hardware address of a link.
func (n *Namespace) MAC(link string) string {
	n.t.Helper()
	return n.link(link).Attrs().HardwareAddr.String()
}

func (n *Namespace) link(name string) netlink.Link {
	n.t.Helper()
	link, err := n.h.LinkByName(name)
	if err != nil {
		n.t.Fatalf("namespace %s: link %s: %v", n.name, name, err)
	}
	return link
}
