package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/mdlayher/socket"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	// icmpBurst messages of ICMP are read in icmpWindow; of more, the kernel
	// keeps what fits its buffer and drops the rest.
	icmpBurst  = 100
	icmpWindow = 100 * time.Millisecond
	icmpBuffer = 64 << 10
	// eventBuffer is as long as the kernel's longest message of these kinds
	// (NLMSG_GOODSIZE and more).
	eventBuffer = 64 << 10
)

// Run listens until ctx ends, and then returns nil. Otherwise its error says
// what cannot be listened to; it may be tried again.
func (h *Hints) Run(ctx context.Context) error {
	home := netns.None()
	if h.cfg.Namespace != "" {
		ns, err := netns.GetFromPath(h.cfg.Namespace)
		if err != nil {
			return fmt.Errorf("hints: network namespace %s: %w", h.cfg.Namespace, err)
		}
		defer ns.Close()
		home = ns
	}
	routes, err := h.openRoutes(home)
	if err != nil {
		return fmt.Errorf("hints: routing table: %w", err)
	}
	defer routes.Close()
	events, err := openEvents(home)
	if err != nil {
		return fmt.Errorf("hints: events of neighbours and links: %w", err)
	}
	defer events.Close()
	h.mu.Lock()
	h.lookUp = func(addr netip.Addr) (hop, error) { return hopOf(routes, addr) }
	h.mu.Unlock()

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.hearRoutes(ctx, events) })
	for _, v6 := range []bool{false, true} {
		c, err := h.openUnreachable(v6)
		if err != nil {
			h.cfg.Logger.Info("unreachable destinations are not heard of, which needs CAP_NET_RAW", "err", err)
			continue
		}
		g.Go(func() error { return h.hearUnreachable(ctx, c, v6) })
	}
	return g.Wait()
}

func (h *Hints) openRoutes(home netns.NsHandle) (*netlink.Handle, error) {
	if home.IsOpen() {
		return netlink.NewHandleAt(home, unix.NETLINK_ROUTE)
	}
	return netlink.NewHandle(unix.NETLINK_ROUTE)
}

// openEvents joins the groups of neighbours and links of rtnetlink(7).
func openEvents(home netns.NsHandle) (*socket.Conn, error) {
	cfg := &socket.Config{}
	if home.IsOpen() {
		cfg.NetNS = int(home)
	}
	c, err := socket.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE, "rtnetlink", cfg)
	if err != nil {
		return nil, err
	}
	if err := c.Bind(&unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1<<(unix.RTNLGRP_NEIGH-1) | 1<<(unix.RTNLGRP_LINK-1)}); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// hopOf asks the routing table.
func hopOf(routes *netlink.Handle, addr netip.Addr) (hop, error) {
	list, err := routes.RouteGet(net.IP(addr.AsSlice()))
	if err != nil {
		return hop{}, err
	}
	if len(list) == 0 {
		return hop{}, unix.ENETUNREACH
	}
	router, _ := netip.AddrFromSlice(list[0].Gw)
	return hop{link: list[0].LinkIndex, router: router.Unmap()}, nil
}

// hearRoutes takes the events of rtnetlink.
func (h *Hints) hearRoutes(ctx context.Context, events *socket.Conn) error {
	buf := make([]byte, eventBuffer)
	for {
		n, from, err := events.Recvfrom(ctx, buf, 0)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			h.mu.Lock()
			h.stats.Overflows++
			h.mu.Unlock()
			continue
		case err != nil:
			return fmt.Errorf("hints: events of neighbours and links: %w", err)
		}
		if kernel, ok := from.(*unix.SockaddrNetlink); !ok || kernel.Pid != 0 {
			continue // of another program
		}
		now := time.Now()
		for kind, body := range messagesOf(buf[:n]) {
			switch kind {
			case msgNewNeighbour:
				if n, ok := decodeNeighbour(body); ok {
					h.neighbour(n, now)
				}
			case msgNewLink, msgDelLink:
				if l, ok := decodeLink(kind, body); ok {
					h.link(l, now)
				}
			}
		}
	}
}

// openUnreachable opens a raw socket that hears "destination unreachable" and
// nothing else.
func (h *Hints) openUnreachable(v6 bool) (net.PacketConn, error) {
	network, addr := "ip4:icmp", "0.0.0.0"
	if v6 {
		network, addr = "ip6:ipv6-icmp", "::"
	}
	listen := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, icmpBuffer)
			if v6 {
				var only unix.ICMPv6Filter // a bit set blocks a type
				for i := range only.Data {
					only.Data[i] = ^uint32(0)
				}
				only.Data[0] &^= 1 << 1
				failed = unix.SetsockoptICMPv6Filter(int(fd), unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &only)
				return
			}
			const icmpFilter = 1 // ICMP_FILTER of linux/icmp.h
			failed = unix.SetsockoptInt(int(fd), unix.SOL_RAW, icmpFilter, ^(1 << 3))
		})
		return errors.Join(err, failed)
	}}
	var c net.PacketConn
	_, err := within(h.cfg.Namespace, func() (_ net.Conn, err error) {
		c, err = listen.ListenPacket(context.Background(), network, addr)
		return nil, err
	})
	return c, err
}

// hearUnreachable takes messages of ICMP.
func (h *Hints) hearUnreachable(ctx context.Context, c net.PacketConn, v6 bool) error {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 1500)
	for window, n := time.Now(), 0; ; n++ {
		if n == icmpBurst {
			if rest := icmpWindow - time.Since(window); rest > 0 {
				select {
				case <-ctx.Done():
				case <-time.After(rest):
				}
			}
			window, n = time.Now(), 0
		}
		size, from, err := c.ReadFrom(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("hints: unreachable destinations: %w", err)
		}
		if addr, what, ok := decodeUnreachable(buf[:size], v6); ok {
			h.unreachable(addr, fmt.Sprintf("%v says: %s", from, what), time.Now())
		}
	}
}
