package failover

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/internal/frame"
	"github.com/lvskit/lvskit/failover/internal/rtnl"
)

// maxEchoes bounds what is asked in one go: the numbers that there are.
const maxEchoes = 1 << 16

// Destinations that nobody but a default route leads to: of the reserved block
// of RFC 1112 section 4, and outside of what is global unicast (RFC 4291
// section 2.4).
var farAway = map[bool]netip.Addr{false: netip.MustParseAddr("240.0.0.1"), true: netip.MustParseAddr("4000::1")}

// verify asks neighbours each time that addresses were acquired or claimed.
func (w *linkWatch) verify(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.owner.verify:
		}
		for w.ask(ctx) {
		}
	}
}

// ask goes through one verification. It reports whether another one is wanted
// already: at once after an acquisition, and in the end after a claim.
func (w *linkWatch) ask(ctx context.Context) (again bool) {
	begin, acquisition := time.Now(), w.owner.acquisitions()
	if next := w.asked.Add(verifyPause); next.After(begin) {
		begin = next
	}
	var questions []*question
	for try := 0; ; try++ {
		at := time.Now().Add(verifyAgain)
		if try < len(verifyAfter) {
			at = begin.Add(verifyAfter[try])
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return false
			case <-w.owner.verify:
				if w.owner.acquisitions() != acquisition {
					return true
				}
				again = true
			case <-time.After(time.Until(at)):
				waiting = false
			}
		}
		if try == 0 {
			questions, again = w.questions(), false
			w.asked = time.Now()
		}
		open := slices.DeleteFunc(slices.Clone(questions), func(q *question) bool { return q.believed })
		if len(open) == 0 || !w.owner.holds() {
			return again
		}
		w.keeper.pose(ctx, open)
		if ctx.Err() != nil {
			return false
		}
		var told []string
		doubts := false
		for _, q := range open {
			if w.owner.judged(q) && !slices.Contains(told, q.device) {
				told = append(told, q.device) // one of many
				w.see(Sighting{Kind: SightingUnbelieved, Address: q.address, Device: q.device, Neighbour: q.neighbour})
			}
			doubts = doubts || q.doubtTold
		}
		if try >= len(verifyAfter)-1 && !doubts {
			return again
		}
	}
}

// questions finds whom to ask about each address.
func (w *linkWatch) questions() (out []*question) {
	h, err := rtnl.Open(w.keeper.namespace)
	if err != nil {
		return nil
	}
	defer h.Close()
	addrs := w.owner.set()
	names, by := devices(addrs)
	for _, name := range names {
		link, list, err := rtnl.Device(h, name, by[name][0].Prefix)
		if err != nil || len(link.Attrs().HardwareAddr) != 6 {
			continue // nobody is there, or nobody has neighbours there
		}
		home := link
		if ourVirtual(link) {
			// The machine's own addresses and routes are on its parent: a port
			// that lets no second MAC through is found like that.
			if parent, err := h.LinkByIndex(link.Attrs().ParentIndex); err == nil {
				if list, err = rtnl.Addresses(h, parent); err != nil {
					continue
				}
				home = parent
			}
		}
		for _, six := range []bool{false, true} {
			of := slices.DeleteFunc(slices.Clone(by[name]), func(v VirtualAddress) bool { return v.Prefix.Addr().Is6() != six })
			if len(of) == 0 {
				continue
			}
			neighbours := w.neighbours(h, home, six)
			if len(neighbours) == 0 {
				why := fmt.Sprintf("there is no default route by %s whose gateway could be asked", home.Attrs().Name)
				if len(w.owner.cfg.Gateways) > 0 {
					why = "none of the gateways that are configured is of its family"
				}
				w.owner.nobody(of, why)
				continue
			}
			machines := machineAddresses(list, addrs, six)
			for _, v := range of {
				for _, n := range neighbours {
					a := v.Prefix.Addr()
					if n == a || len(out) == maxEchoes/2 {
						continue
					}
					out = append(out, &question{
						device: name, index: link.Attrs().Index, address: a, neighbour: n, own: ownAddress(machines, a), ownIndex: home.Attrs().Index,
					})
				}
			}
		}
	}
	return out
}

// neighbours are those of the configuration, or the gateway of the default
// route by the device.
func (w *linkWatch) neighbours(h *netlink.Handle, link netlink.Link, six bool) (out []netip.Addr) {
	if list := w.owner.cfg.Gateways; len(list) > 0 {
		return slices.DeleteFunc(slices.Clone(list), func(a netip.Addr) bool { return a.Is6() != six })
	}
	routes, err := h.RouteGetWithOptions(farAway[six].AsSlice(), &netlink.RouteGetOptions{OifIndex: link.Attrs().Index})
	if err != nil {
		return nil
	}
	for _, r := range routes {
		if a, ok := netip.AddrFromSlice(r.Gw); ok && r.LinkIndex == link.Attrs().Index {
			out = append(out, a.Unmap())
		}
	}
	return out
}

// machineAddresses returns those of a family in the list that are the machine's
// own.
func machineAddresses(list []netlink.Addr, virtual []VirtualAddress, six bool) (out []netip.Addr) {
	moves := make(map[netip.Addr]bool, len(virtual))
	for _, v := range virtual {
		moves[v.Prefix.Addr()] = true
	}
	for _, k := range list {
		a := rtnl.Prefix(k.IPNet).Addr()
		if a.Is6() == six && !moves[a] && k.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED|unix.IFA_F_DEPRECATED) == 0 {
			out = append(out, a)
		}
	}
	return out
}

// ownAddress returns one of the machine's addresses, of the same scope if there
// is one.
func ownAddress(machines []netip.Addr, like netip.Addr) (own netip.Addr) {
	for _, a := range machines {
		if a.IsLinkLocalUnicast() == like.IsLinkLocalUnicast() {
			return a
		}
		own = a
	}
	return own
}

// pose asks each neighbour once, from the address and from our own, and waits
// for the answers. The request of ARP or neighbour solicitation that comes
// before the echo teaches the neighbour, too: it has to note who asks it
// before it answers (RFC 826; RFC 4861 section 7.2.3), however stubborn it is
// about announcements.
func (k linkKeeper) pose(ctx context.Context, questions []*question) {
	for _, six := range []bool{false, true} {
		of := slices.DeleteFunc(slices.Clone(questions), func(q *question) bool { return q.address.Is6() != six })
		if len(of) == 0 {
			continue
		}
		for _, q := range of {
			q.tries++
			q.trouble = nil
		}
		if err := k.teach(ctx, of); err != nil && ctx.Err() == nil {
			for _, q := range of {
				q.trouble = err
			}
		}
		if err := k.echo(ctx, of, six); err != nil && ctx.Err() == nil {
			for _, q := range of {
				q.trouble = err
			}
		}
	}
}

// teach lets each address ask for the hardware address of its neighbour.
func (k linkKeeper) teach(ctx context.Context, questions []*question) error {
	var errs []error
	var names []string
	for _, q := range questions {
		if !slices.Contains(names, q.device) {
			names = append(names, q.device)
		}
	}
	for _, name := range names {
		of := slices.DeleteFunc(slices.Clone(questions), func(q *question) bool { return q.device != name })
		errs = append(errs, linkAnnouncer(k).send(ctx, name, len(of), func(i int, hw net.HardwareAddr, _ bool) ([]byte, error) {
			return frame.Ask(hw, of[i].address, of[i].neighbour)
		}))
	}
	return errors.Join(errs...)
}

// echo sends the echo requests of one family and reads the replies. Those come
// to this machine, by whichever device, or not at all.
func (k linkKeeper) echo(ctx context.Context, questions []*question, six bool) error {
	file, err := k.icmp(six)
	if err != nil {
		return err
	}
	defer file.Close()
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var token [8]byte
	_, _ = rand.Read(token[:]) // never fails
	id := binary.BigEndian.Uint16(token[:])
	// Twice the index is the number of the address's request, one more is that
	// of our own.
	var open int
	heard := make(map[uint16]bool)
	b := make([]byte, 1500)
	// hear reads for a while, or until all is heard if all is sent.
	hear := func(wait time.Duration, sent bool) error {
		if err := file.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Now()) })
		defer stop()
		for !sent || open > len(heard) {
			n, err := file.Read(b)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return ctx.Err()
			}
			if err != nil {
				return err
			}
			number, ok := readEcho(b[:n], six, id, token)
			if q := int(number / 2); ok && q < len(questions) && !heard[number] {
				heard[number] = true
				if number%2 == 0 {
					questions[q].believed = true
				} else {
					questions[q].ownHeard++
				}
			}
		}
		return nil
	}
	for i, q := range questions {
		indexes := [...]int{q.index, q.ownIndex}
		for j, from := range [...]netip.Addr{q.address, q.own} {
			if !from.IsValid() {
				continue
			}
			if err := sendEcho(raw, echoMessage(six, id, uint16(2*i+j), token), indexes[j], from, q.neighbour); err == nil {
				open++
			} else if j == 0 {
				q.trouble = fmt.Errorf("failover: ask %v from %v: %w", q.neighbour, from, err)
			}
		}
		if i%announceBurst == announceBurst-1 {
			// What is not read now would find the buffer full.
			if err := hear(announcePause, false); err != nil {
				return err
			}
		}
	}
	return hear(verifyWait, true)
}

// icmp opens a raw socket that gets echo replies (raw(7), icmp(7), RFC 3542
// section 3.2).
func (k linkKeeper) icmp(six bool) (file *os.File, err error) {
	err = rtnl.Inside(k.namespace, func() error {
		family, proto := unix.AF_INET, unix.IPPROTO_ICMP
		if six {
			family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
		}
		fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
		if err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), "icmp")
		if six {
			var f unix.ICMPv6Filter // a bit that is set blocks its type
			for i := range f.Data {
				f.Data[i] = ^uint32(0)
			}
			f.Data[echoReply6/32] &^= 1 << (echoReply6 % 32)
			err = unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &f)
		} else {
			err = unix.SetsockoptInt(fd, unix.SOL_RAW, unix.ICMP_FILTER, ^(1 << echoReply4))
		}
		if err != nil {
			return errors.Join(err, file.Close())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("failover: ask neighbours: %w", err)
	}
	return file, nil
}

// sendEcho sends a message from an address, out of a device.
func sendEcho(raw interface {
	Write(func(uintptr) bool) error
}, message []byte, index int, from, to netip.Addr,
) error {
	var oob []byte
	var sa unix.Sockaddr
	if from.Is6() {
		oob = unix.PktInfo6(&unix.Inet6Pktinfo{Addr: from.As16(), Ifindex: uint32(index)})
		sa = &unix.SockaddrInet6{Addr: to.As16(), ZoneId: uint32(index)}
	} else {
		oob = unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: int32(index), Spec_dst: from.As4()})
		sa = &unix.SockaddrInet4{Addr: to.As4()}
	}
	var failed error
	err := raw.Write(func(fd uintptr) bool {
		_, failed = unix.SendmsgN(int(fd), message, oob, sa, unix.MSG_DONTWAIT)
		return true // what does not fit is lost, as on the wire
	})
	return errors.Join(err, failed)
}
