package failover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/internal/rtnl"
)

const (
	// noticeBuffer takes the longest notice that is read.
	noticeBuffer = 32 << 10
	// syncPause is the least time between two looks at the devices.
	syncPause = 5 * time.Millisecond
)

// linkWatch is a running [Addresses.Watch]. One goroutine looks at the devices
// each time that something may have changed, one reads notices of the kernel,
// and one for each device and family reads what others claim.
type linkWatch struct {
	keeper linkKeeper
	owner  *Addresses
	see    func(Sighting)

	notices *os.File
	dirty   chan struct{}
	ended   sync.WaitGroup // readers
	// told is what was said to be missing since the acquisition of number
	// since; it is not said again.
	told  map[loss]bool
	since uint64
	asked time.Time // when neighbours were asked anew; it belongs to verify

	mu      sync.Mutex
	devices map[string]*watchedDevice
}

// loss is what tells sightings of lost things apart.
type loss struct {
	kind   SightingKind
	addr   netip.Addr
	route  netip.Prefix
	device string
}

func lossOf(s Sighting) loss { return loss{s.Kind, s.Address, s.Route, s.Device} }

// watchedDevice is what is known of a device with addresses of ours.
type watchedDevice struct {
	index   int // 0: there is none
	runs    bool
	fell    bool   // it stopped running since it was looked at
	changes uint32 // of its carrier; 0: not told yet
	// until is the number of the acquisition that was the last one when it did
	// not run: before the next one, it is known that something is missing.
	until   uint64
	mac     [6]byte
	readers []*claimReader
}

func (k linkKeeper) watch(ctx context.Context, a *Addresses, see func(Sighting)) error {
	w := &linkWatch{keeper: k, owner: a, dirty: make(chan struct{}, 1), devices: make(map[string]*watchedDevice), told: make(map[loss]bool)}
	w.see = func(s Sighting) {
		if s.Kind == SightingClaimed {
			a.claimedBy(s)
		}
		see(s)
	}
	notices, err := k.notices()
	if err != nil {
		return err
	}
	w.notices = notices
	stop := context.AfterFunc(ctx, func() { _ = notices.Close() })
	defer func() {
		stop()
		_ = notices.Close() // again, if ctx did not
		w.close()
		w.ended.Wait()
	}()
	w.ended.Go(func() { w.readNotices(notices) })
	asking, enough := context.WithCancel(ctx)
	defer enough()
	w.ended.Go(func() { w.verify(asking) })
	for {
		switch err := w.look(ctx); {
		case errors.Is(err, netlink.ErrDumpInterrupted):
			w.mark(rtnl.Notice{}) // too much is going on: look again
		case err != nil && ctx.Err() == nil:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(syncPause):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.dirty:
		case <-a.changed:
		}
	}
}

// notices opens a socket for what the kernel tells of links, addresses and
// routes.
func (k linkKeeper) notices() (file *os.File, err error) {
	err = rtnl.Inside(k.namespace, func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), "rtnetlink")
		err = attach(fd, rtnl.NoticeFilter(RouteProtocol))
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK |
				unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE})
		}
		if err != nil {
			return errors.Join(err, file.Close())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("failover: watch links and addresses: %w", err)
	}
	return file, nil
}

func attach(fd int, filter []bpf.Instruction) error {
	raw, err := bpf.Assemble(filter)
	if err != nil {
		return err
	}
	prog := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		prog[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]})
}

// readNotices marks what has to be looked at until the socket is closed. It
// allocates nothing.
func (w *linkWatch) readNotices(file *os.File) {
	b := make([]byte, noticeBuffer)
	for {
		n, err := file.Read(b)
		switch {
		case errors.Is(err, os.ErrClosed):
			return
		case err != nil: // mostly ENOBUFS: some were lost, so look at all
			w.mark(rtnl.Notice{})
			time.Sleep(syncPause)
			continue
		}
		for rest := b[:n]; ; {
			var m rtnl.Notice
			var ok bool
			if m, rest, ok = rtnl.NextNotice(rest); !ok {
				break
			}
			w.mark(m)
		}
	}
}

// mark asks for a look if the notice may be about us.
func (w *linkWatch) mark(m rtnl.Notice) {
	w.mu.Lock()
	ours := m.Index == 0
	missing := false
	for _, d := range w.devices {
		missing = missing || d.index == 0
		if d.index == m.Index && m.Index != 0 {
			ours = true
			d.fell = d.fell || m.Kind == unix.RTM_DELLINK || m.Kind == unix.RTM_NEWLINK && (m.Flags&unix.IFF_RUNNING == 0 || d.changes != 0 && m.Changes > d.changes)
			if m.Kind == unix.RTM_NEWLINK {
				d.changes = m.Changes
			}
		}
	}
	w.mu.Unlock()
	if ours || missing && m.Kind == unix.RTM_NEWLINK {
		select {
		case w.dirty <- struct{}{}:
		default:
		}
	}
}

// look brings the readers in line with the devices, and tells what has become
// of devices and addresses.
func (w *linkWatch) look(ctx context.Context) error {
	h, err := rtnl.Open(w.keeper.namespace)
	if err != nil {
		return err
	}
	defer h.Close()
	addrs, also, fresh := w.owner.watched()
	names, by := devices(addrs)
	names = append(names, also...)
	w.mu.Lock()
	var gone []*claimReader
	for name, d := range w.devices {
		if !slices.Contains(names, name) {
			gone = append(gone, d.readers...)
			delete(w.devices, name)
		}
	}
	w.mu.Unlock()
	closeAll(gone)
	for second := false; ; second = true {
		for _, name := range names {
			if err := w.lookAt(h, name, by[name], fresh); err != nil {
				return err
			}
		}
		fresh = false
		lost, err := w.lost(ctx, h, names)
		if err != nil || len(lost) == 0 {
			return err
		}
		if second {
			for _, s := range lost {
				w.told[lossOf(s)] = true
				w.see(s)
			}
			return nil
		}
		// The kernel tells of what goes with a device before it tells of the
		// device.
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(syncPause):
		}
	}
}

// lost returns what is missing and was not told yet.
func (w *linkWatch) lost(ctx context.Context, h *netlink.Handle, names []string) (lost []Sighting, err error) {
	err = w.owner.whileHeld(func(addrs []VirtualAddress, routes []VirtualRoute, acquisition uint64) error {
		if acquisition != w.since {
			w.since = acquisition
			clear(w.told)
		}
		// What is missing on the others went with the device, and comes with it.
		whole, all := w.whole(names, acquisition)
		addrs = slices.DeleteFunc(slices.Clone(addrs), func(v VirtualAddress) bool { return !whole[v.Device] })
		if lost, err = losses(ctx, h, addrs); err != nil {
			return err
		}
		routes = slices.DeleteFunc(slices.Clone(routes), func(r VirtualRoute) bool { return r.Device == "" && !all || r.Device != "" && !whole[r.Device] })
		more, err := lostRoutes(h, routes)
		lost = append(lost, more...)
		return err
	})
	return slices.DeleteFunc(lost, func(s Sighting) bool { return w.told[lossOf(s)] }), err
}

// whole returns the devices that have run since the acquisition, and whether all
// of them have.
func (w *linkWatch) whole(names []string, acquisition uint64) (whole map[string]bool, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	whole, all = make(map[string]bool), true
	for _, name := range names {
		d := w.devices[name]
		whole[name] = d != nil && d.runs && d.until != acquisition
		all = all && whole[name]
	}
	return whole, all
}

// lookAt looks at one device. fresh: its addresses may be other ones.
func (w *linkWatch) lookAt(h *netlink.Handle, name string, addrs []VirtualAddress, fresh bool) error {
	now := watchedDevice{until: w.owner.acquisitions()}
	link, err := h.LinkByName(name)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
	case err != nil:
		return fmt.Errorf("failover: look at device %q: %w", name, err)
	default:
		attrs := link.Attrs()
		now.index = attrs.Index
		now.runs = attrs.RawFlags&unix.IFF_UP != 0 && attrs.RawFlags&unix.IFF_RUNNING != 0
		copy(now.mac[:], attrs.HardwareAddr)
	}
	w.mu.Lock()
	old := w.devices[name]
	first := old == nil
	if first {
		old = &watchedDevice{}
	}
	restored := !first && now.runs && (!old.runs || old.fell || old.index != now.index || old.mac != now.mac)
	if now.runs && !restored {
		now.until = old.until
	}
	if old.index == now.index {
		now.changes = old.changes
	}
	ask := now.changes == 0 && now.index != 0
	keep := !fresh && old.index == now.index && old.mac == now.mac && now.index != 0
	var gone []*claimReader
	if keep {
		now.readers = old.readers
	} else {
		gone = old.readers
	}
	w.devices[name] = &now
	w.mu.Unlock()
	closeAll(gone)
	if ask {
		_, _ = w.notices.Write(rtnl.LinkQuestion(now.index)) // or the next notice tells
	}
	if !keep && now.index != 0 && len(link.Attrs().HardwareAddr) == len(now.mac) {
		readers, err := w.listen(name, now.index, now.mac, addrs)
		if err != nil {
			return err
		}
		w.mu.Lock()
		now.readers = readers
		w.mu.Unlock()
	}
	if restored {
		w.see(Sighting{Kind: SightingRestored, Device: name})
	}
	return nil
}

// losses returns which addresses are not there or of no use.
func losses(ctx context.Context, h *netlink.Handle, addrs []VirtualAddress) (out []Sighting, err error) {
	names, by := devices(addrs)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		_, list, err := rtnl.Device(h, name, by[name][0].Prefix)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it went just now
		}
		if err != nil {
			return nil, err
		}
		there := make(map[netip.Addr]int, len(list))
		for _, a := range list {
			there[rtnl.Prefix(a.IPNet).Addr()] = a.Flags
		}
		for _, v := range by[name] {
			flags, ok := there[v.Prefix.Addr()]
			switch {
			case !ok:
				out = append(out, Sighting{Kind: SightingRemoved, Address: v.Prefix.Addr(), Device: name})
			case flags&unix.IFA_F_DADFAILED != 0:
				out = append(out, Sighting{Kind: SightingDuplicate, Address: v.Prefix.Addr(), Device: name})
			}
		}
	}
	return out, nil
}

// close ends all readers.
func (w *linkWatch) close() {
	w.mu.Lock()
	var gone []*claimReader
	for _, d := range w.devices {
		gone = append(gone, d.readers...)
	}
	clear(w.devices)
	w.mu.Unlock()
	closeAll(gone)
}
