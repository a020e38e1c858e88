//go:build linux && (netns || peers || simtime)

package failover_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/lvskit/lvskit/internal/lab"
)

// wire is a bridge in a namespace of its own, with hosts around it.
type wire struct {
	*lab.Lab
	t  *testing.T
	sw *lab.Namespace
}

const patience = 10 * time.Second

// bridge is the device of wire's namespace, eth0 that of each host.
const (
	bridge = "br0"
	eth0   = "eth0"
)

func newWire(t *testing.T) *wire {
	t.Helper()
	l := lab.New(t)
	w := &wire{Lab: l, t: t, sw: l.Namespace("switch")}
	w.sw.Bridge(bridge)
	return w
}

// peer is a host on the wire.
type peer struct {
	box
	w    *wire
	port string // on the bridge

	lossy bool // see losing
}

func (w *wire) host(name string, prefixes ...string) *peer {
	w.t.Helper()
	p := &peer{box: box{w.Namespace(name)}, w: w, port: "p-" + name}
	w.Veth(p.Namespace, eth0, w.sw, p.port)
	w.sw.Attach(p.port, bridge)
	for _, s := range prefixes {
		p.Addr(eth0, netip.MustParsePrefix(s))
	}
	return p
}

// plug takes the host off the wire or puts it back.
func (p *peer) plug(in bool) {
	p.w.t.Helper()
	if in {
		p.w.sw.Up(p.port)
	} else {
		p.w.sw.Down(p.port)
	}
}

// detach takes the host off the wire and leaves it its carrier. The switch's
// Attach puts it back.
func (p *peer) detach() {
	p.w.t.Helper()
	link, err := p.w.sw.Handle().LinkByName(p.port)
	must(p.w.t, err)
	must(p.w.t, p.w.sw.Handle().LinkSetNoMaster(link))
}

func (p *peer) mac() string { return p.MAC(eth0) }

// dump repeats a listing that was disturbed by a change.
func dump[T any](t *testing.T, list func() ([]T, error)) []T {
	t.Helper()
	for range 10 {
		got, err := list()
		if errors.Is(err, netlink.ErrDumpInterrupted) {
			continue
		}
		must(t, err)
		return got
	}
	t.Fatal("the kernel's list changes all the time")
	return nil
}

// kernelAddresses returns what eth0 carries as the kernel has it.
func (p *peer) kernelAddresses() []netlink.Addr {
	p.w.t.Helper()
	link, err := p.Handle().LinkByName(eth0)
	must(p.w.t, err)
	return dump(p.w.t, func() ([]netlink.Addr, error) { return p.Handle().AddrList(link, netlink.FAMILY_ALL) })
}

// neighbour returns the hardware address that the host has for ip.
func (p *peer) neighbour(ip netip.Addr) string {
	p.w.t.Helper()
	for _, n := range dump(p.w.t, func() ([]netlink.Neigh, error) { return p.Handle().NeighList(0, netlink.FAMILY_ALL) }) {
		if a, _ := netip.AddrFromSlice(n.IP); a.Unmap() == ip && len(n.HardwareAddr) == 6 {
			return n.HardwareAddr.String()
		}
	}
	return ""
}

// serve answers each TCP connection with the host's name.
func (p *peer) serve() {
	t := p.w.t
	t.Helper()
	l, err := p.Namespace.Listen("tcp", "[::]:7")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, p.Name()) // the client may be gone
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
}

// ask returns who answers at the address, or the error.
func (p *peer) ask(a netip.Addr) string {
	ctx, cancel := context.WithTimeout(p.w.t.Context(), 500*time.Millisecond)
	defer cancel()
	c, err := p.DialContext(ctx, "tcp", netip.AddrPortFrom(a, 7).String())
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(500 * time.Millisecond))
	got, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	return string(got)
}

// answeredBy waits until the owner answers at the addresses. One try may fail:
// a segment on its way to the loser is repeated after a second only.
func (p *peer) answeredBy(owner *peer, addrs ...netip.Addr) {
	p.w.t.Helper()
	for _, a := range addrs {
		var got string
		for range 10 {
			if got = p.ask(a); got == owner.Name() {
				break
			}
		}
		if got != owner.Name() {
			p.w.t.Fatalf("%v is answered by %q, want %q", a, got, owner.Name())
		}
	}
}

// holds reports whether the host has all of the addresses, on any device.
func (p *peer) holds(vips []netip.Prefix) bool {
	list, err := p.Handle().AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return false // disturbed by a change
	}
	n := 0
	for _, a := range list {
		ip, _ := netip.AddrFromSlice(a.IP)
		if slices.ContainsFunc(vips, func(v netip.Prefix) bool { return v.Addr() == ip.Unmap() }) {
			n++
		}
	}
	return n == len(vips)
}
