package dsr

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// lookUp asks the kernel of a network namespace, by its file, or of the
// calling thread's for none.
func lookUp(namespace string, p *Path) (w way, err error) {
	if namespace == "" {
		return lookUpHere(p)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends here
		var h netns.NsHandle
		if h, err = netns.GetFromPath(namespace); err == nil {
			err = netns.Set(h)
			h.Close()
		}
		if err != nil {
			err = fmt.Errorf("enter network namespace %s: %w", namespace, err)
			return
		}
		w, err = lookUpHere(p)
	}()
	<-done
	return w, err
}

func lookUpHere(p *Path) (way, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return way{}, fmt.Errorf("ask the routing table: %w", err)
	}
	defer h.Close()
	virtual, server := p.Virtual.Addr().Unmap(), p.Destination.Key.Addr().Unmap()
	w := way{source: p.Source}
	to, err := route(h, server, false)
	if err != nil {
		return way{}, fmt.Errorf("no route to the server %v from this machine: %w", server, err)
	}
	if w.device, err = device(h, to.LinkIndex); err != nil {
		return way{}, err
	}
	// The entry of the table, not the answer made of it: that tells of a local
	// address only that it is on the loopback.
	back, err := route(h, virtual, true)
	if err != nil {
		return way{}, fmt.Errorf("no route to the virtual address %v from this machine, without which nothing can be sent to it; add one: %w", virtual, err)
	}
	w.local = back.Type == unix.RTN_LOCAL
	if w.virtualDevice, err = device(h, back.LinkIndex); err != nil {
		return way{}, err
	}
	if w.local && !w.source.IsValid() {
		// The kernel would take the virtual address itself, and the server
		// would answer to itself.
		source, _ := netip.AddrFromSlice(to.Src)
		if source = source.Unmap(); source == virtual || source.Is4() != virtual.Is4() || !source.IsValid() {
			source = another(h, to.LinkIndex, virtual, server)
		}
		if !source.IsValid() {
			return way{}, fmt.Errorf("%s has no address beside %v to ask the server %v from: give the check a source", w.device, virtual, server)
		}
		w.source = source
	}
	if virtual.Is4() {
		w.acceptLocal = setting("all", "accept_local") > 0 || setting(w.device, "accept_local") > 0
		w.reversePath = max(setting("all", "rp_filter"), setting(w.device, "rp_filter"))
	}
	return w, nil
}

func route(h *netlink.Handle, to netip.Addr, entry bool) (*netlink.Route, error) {
	list, err := h.RouteGetWithOptions(net.IP(to.AsSlice()), &netlink.RouteGetOptions{FIBMatch: entry})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, unix.ENETUNREACH
	}
	return &list[0], nil
}

// another returns an address of an interface that is not the virtual one: the
// network's own if there is one, for floating addresses stand alone. The
// kernel may prefer those (RFC 6724 does). The zero value is none.
func another(h *netlink.Handle, index int, virtual, server netip.Addr) (found netip.Addr) {
	family := netlink.FAMILY_V6
	if virtual.Is4() {
		family = netlink.FAMILY_V4
	}
	list, err := h.AddrList(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: index}}, family)
	if err != nil {
		return netip.Addr{}
	}
	for _, a := range list {
		addr, ok := netip.AddrFromSlice(a.IP)
		if addr = addr.Unmap(); !ok || addr == virtual || addr.IsLinkLocalUnicast() || a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 {
			continue
		}
		if bits, _ := a.Mask.Size(); bits < addr.BitLen() && netip.PrefixFrom(addr, bits).Contains(server) {
			return addr
		}
		if !found.IsValid() {
			found = addr
		}
	}
	return found
}

func device(h *netlink.Handle, index int) (string, error) {
	if index == 0 { // a route with several next hops
		return "", nil
	}
	link, err := h.LinkByIndex(index)
	if err != nil {
		return "", fmt.Errorf("interface %d of a route: %w", index, err)
	}
	return link.Attrs().Name, nil
}

// setting reads one of an interface's settings for IPv4; one that cannot be
// read is 0, which the kernel starts with.
func setting(device, name string) int {
	if device == "" {
		return 0
	}
	b, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", device, name))
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(string(bytes.TrimSpace(b)))
	return n
}
