package failover

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/internal/rtnl"
)

// linkPreparation has sockets open and devices looked up.
type linkPreparation struct {
	at      time.Time
	addrs   []VirtualAddress
	handle  *netlink.Handle
	links   map[string]netlink.Link
	sockets map[string]*announceSocket
}

// prepare looks whether the devices have none of the addresses, as is the rule
// where another node serves: then there is nothing to compare when they are
// acquired.
func (k linkKeeper) prepare(addrs []VirtualAddress) preparation {
	p := &linkPreparation{
		at: time.Now(), addrs: slices.Clone(addrs), links: make(map[string]netlink.Link), sockets: make(map[string]*announceSocket),
	}
	if !p.open(k) {
		p.close()
		return nil
	}
	return p
}

func (p *linkPreparation) open(k linkKeeper) bool {
	var err error
	if p.handle, err = rtnl.Open(k.namespace); err != nil {
		return false
	}
	names, by := devices(p.addrs)
	for _, name := range names {
		link, list, err := rtnl.Device(p.handle, name, by[name][0].Prefix)
		if err != nil {
			return false
		}
		for _, a := range list {
			addr := rtnl.Prefix(a.IPNet).Addr()
			if slices.ContainsFunc(by[name], func(v VirtualAddress) bool { return v.Prefix.Addr() == addr }) {
				return false
			}
		}
		p.links[name] = link
		if p.sockets[name], err = linkAnnouncer(k).open(name); err != nil {
			return false
		}
	}
	return len(names) > 0
}

func (p *linkPreparation) fits(addrs []VirtualAddress) bool {
	return time.Since(p.at) < preparedFor && slices.Equal(addrs, p.addrs)
}

func (p *linkPreparation) ensure(ctx context.Context, addrs []VirtualAddress) (added []VirtualAddress, ok bool) {
	if !p.fits(addrs) {
		return nil, false
	}
	for _, v := range addrs {
		if ctx.Err() != nil || p.handle.AddrReplace(p.links[v.Device], kernelAddress(v)) != nil {
			return nil, false // whoever looks at all finds out why
		}
		added = append(added, v)
	}
	awaitUsable(ctx, p.handle, added)
	return added, true
}

func (p *linkPreparation) announce(ctx context.Context, addrs []VirtualAddress) (ok bool, err error) {
	names, by := devices(addrs)
	for _, name := range names {
		if s, there := p.sockets[name]; !there || !s.current() {
			return false, nil
		}
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, announceError(name, p.sockets[name].tell(ctx, by[name])))
	}
	return true, errors.Join(errs...)
}

func (p *linkPreparation) close() {
	if p.handle != nil {
		p.handle.Close()
	}
	var all []*announceSocket
	for _, s := range p.sockets {
		all = append(all, s)
	}
	closeSockets(all)
}

// current reports whether the device is the one that the socket was opened for,
// with the same hardware address.
func (s *announceSocket) current() bool {
	if s.conn == nil {
		return true // nobody to tell
	}
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return false
	}
	same := false
	err = raw.Control(func(fd uintptr) {
		// packet(7): the present hardware address, and no index once it is gone.
		name, err := unix.Getsockname(int(fd))
		link, ok := name.(*unix.SockaddrLinklayer)
		same = err == nil && ok && link.Ifindex == s.device.Index && slices.Equal(link.Addr[:link.Halen], s.device.HardwareAddr)
	})
	return err == nil && same
}

var _ preparer = linkKeeper{}
