package failover

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/internal/rtnl"
)

// virtualAlias begins the alias (ip-link(8)) of a device of ours, which goes on
// with what the settings of the parent were before.
const virtualAlias = "lvskit VRRP, before: "

// settings of the parent without which it would answer and ask for the
// addresses of the macvlan with its own MAC (ip-sysctl of the kernel's
// documentation). The kernel takes the larger of a device's own and "all".
var parentSettings = [...]struct {
	name  string
	least int
}{{"arp_ignore", 1}, {"arp_announce", 2}}

// ensure makes the device, or takes that of an earlier run as it is: it may
// serve yet.
func (v *virtualDevice) ensure() error {
	h, err := rtnl.Open(v.namespace)
	if err != nil {
		return err
	}
	defer h.Close()
	parent, err := h.LinkByName(v.parent)
	if err != nil {
		return fmt.Errorf("failover: device %q: %w", v.parent, err)
	}
	index := parent.Attrs().Index
	link, err := v.find(h)
	if err == nil && link.Attrs().ParentIndex != index { // of a device that had the name before
		if err := h.LinkDel(link); err != nil {
			return fmt.Errorf("failover: remove the old device %q: %w", v.name, err)
		}
		link, err = nil, fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrExist) {
		if link = v.unmarked(h, index); link != nil {
			err = nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if link == nil || !ourVirtual(link) {
		if err := v.add(h, index, link); err != nil {
			return err
		}
	}
	return rtnl.Inside(v.namespace, v.settle)
}

// add adds the device and marks it as ours; link is the device itself if it was
// added before and not marked.
func (v *virtualDevice) add(h *netlink.Handle, parent int, link netlink.Link) error {
	before, err := v.before(h, parent)
	if err != nil {
		return err
	}
	if link == nil {
		link = &netlink.Macvlan{
			LinkAttrs: netlink.LinkAttrs{Name: v.name, ParentIndex: parent, HardwareAddr: v.mac},
			// In the private mode the parent hears no multicast from this MAC,
			// which another active router sends (macvlan_handle_frame of
			// drivers/net/macvlan.c).
			Mode: netlink.MACVLAN_MODE_BRIDGE,
		}
		if err := h.LinkAdd(link); err != nil {
			return v.refused(err)
		}
	}
	// The kernel takes no alias with a new device: a process that is killed here
	// leaves one without, see unmarked.
	if err := h.LinkSetAlias(link, before); err != nil {
		return errors.Join(v.refused(err), h.LinkDel(link))
	}
	return nil
}

// refused says why the parent bears no macvlan.
func (v *virtualDevice) refused(err error) error {
	cure := "do without the virtual MAC"
	switch {
	case errors.Is(err, fs.ErrPermission):
		cure = "run as root or give CAP_NET_ADMIN"
	case errors.Is(err, unix.EBUSY):
		cure = "it is part of a bridge or a bond: use that"
	case errors.Is(err, unix.EOPNOTSUPP):
		cure = "the kernel has no macvlan, or the device cannot bear one: load the module macvlan, or do without the virtual MAC"
	}
	return fmt.Errorf("failover: add the device %q for the MAC %v to %q: %w; %s", v.name, v.mac, v.parent, err, cure)
}

// find returns the device if it is ours. The error is fs.ErrNotExist if there
// is none of the name, and fs.ErrExist if it is somebody else's.
func (v *virtualDevice) find(h *netlink.Handle) (netlink.Link, error) {
	link, err := h.LinkByName(v.name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil, fmt.Errorf("failover: device %q: %w", v.name, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("failover: device %q: %w", v.name, err)
	}
	if !ourVirtual(link) || link.Attrs().HardwareAddr.String() != v.mac.String() {
		return nil, fmt.Errorf("failover: device %q (%s, %v): %w and is not ours; rename it or remove it, its name is needed for the MAC %v on %q",
			v.name, link.Type(), link.Attrs().HardwareAddr, fs.ErrExist, v.mac, v.parent)
	}
	return link, nil
}

// ourVirtual reports whether a device is the macvlan of a router of ours. Others
// may have their parent in another namespace.
func ourVirtual(link netlink.Link) bool {
	return link.Type() == "macvlan" && strings.HasPrefix(link.Attrs().Alias, virtualAlias)
}

// unmarked returns the device if a killed process has made it and had no time to
// mark it, nil otherwise: it is as a new one in everything, and carries nothing.
func (v *virtualDevice) unmarked(h *netlink.Handle, parent int) netlink.Link {
	link, err := h.LinkByName(v.name)
	m, ok := link.(*netlink.Macvlan)
	if err != nil || !ok || m.Mode != netlink.MACVLAN_MODE_BRIDGE || m.ParentIndex != parent || m.HardwareAddr.String() != v.mac.String() ||
		m.Alias != "" || m.RawFlags&unix.IFF_UP != 0 {
		return nil
	}
	if list, err := rtnl.Addresses(h, link); err != nil || len(list) > 0 {
		return nil
	}
	return link
}

// before returns the alias for a new device. Another device of ours on the same
// parent knows what the settings were when it came.
func (v *virtualDevice) before(h *netlink.Handle, parent int) (string, error) {
	var values []string
	err := rtnl.Inside(v.namespace, func() error {
		for _, s := range parentSettings {
			value, err := os.ReadFile(setting("ipv4", v.parent, s.name))
			if err != nil {
				return fmt.Errorf("failover: %w", err)
			}
			values = append(values, s.name+"="+strings.TrimSpace(string(value)))
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	// After the reading: who has changed them was there before.
	links, err := v.siblings(h, parent)
	if err != nil {
		return "", err
	}
	if len(links) > 0 {
		return links[0].Attrs().Alias, nil
	}
	return virtualAlias + strings.Join(values, " "), nil
}

// siblings are all devices of ours on one parent.
func (v *virtualDevice) siblings(h *netlink.Handle, parent int) (out []netlink.Link, err error) {
	var links []netlink.Link
	for range 3 { // a dump that was disturbed by a change is to be repeated
		if links, err = h.LinkList(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("failover: list the devices: %w", err)
	}
	for _, l := range links {
		if ourVirtual(l) && l.Attrs().ParentIndex == parent {
			out = append(out, l)
		}
	}
	return out, nil
}

func setting(family, device, name string) string {
	return "/proc/sys/net/" + family + "/conf/" + device + "/" + name
}

// settle makes the settings of both devices, from within the namespace.
func (v *virtualDevice) settle() error {
	for _, s := range parentSettings {
		if err := atLeast(v.parent, s.name, s.least); err != nil {
			return err
		}
		if err := atLeast(v.name, s.name, s.least); err != nil {
			return err
		}
	}
	// The way back to clients is that of the parent: a strict filter would
	// drop them here. The kernel takes the larger of this and "all".
	filter, err := readSetting("all", "rp_filter")
	if err != nil {
		return err
	}
	loose := "0"
	if filter > 0 {
		loose = "2"
	}
	if err := writeSetting("ipv4", v.name, "rp_filter", loose); err != nil {
		return err
	}
	// No address of its own, no router asked, and no look for doubles: the
	// other routers have the same addresses and MAC.
	for name, value := range map[string]string{"addr_gen_mode": "1", "accept_ra": "0", "accept_dad": "0"} {
		err := writeSetting("ipv6", v.name, name, value)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a machine without IPv6
			return err
		}
	}
	return nil
}

// atLeast raises a setting of IPv4 if it has no effect yet.
func atLeast(device, name string, least int) error {
	all, err := readSetting("all", name)
	if err != nil {
		return err
	}
	own, err := readSetting(device, name)
	if err != nil || max(all, own) >= least {
		return err
	}
	return writeSetting("ipv4", device, name, strconv.Itoa(least))
}

func readSetting(device, name string) (int, error) {
	b, err := os.ReadFile(setting("ipv4", device, name))
	if err != nil {
		return 0, fmt.Errorf("failover: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("failover: %s of %q: %w", name, device, err)
	}
	return n, nil
}

func writeSetting(family, device, name, value string) error {
	if err := os.WriteFile(setting(family, device, name), []byte(value), 0); err != nil {
		return fmt.Errorf("failover: settings of %q: %w; the virtual MAC needs to write to /proc/sys", device, err)
	}
	return nil
}

// setUp brings the device up or down. One that is gone is down.
func (v *virtualDevice) setUp(up bool) error {
	h, err := rtnl.Open(v.namespace)
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := v.find(h)
	if !up && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist)) {
		return nil // there is nothing of ours
	}
	if err != nil {
		return err
	}
	set, word := h.LinkSetDown, "down"
	if up {
		set, word = h.LinkSetUp, "up"
	}
	if err := set(link); err != nil {
		return fmt.Errorf("failover: set %q %s: %w", v.name, word, err)
	}
	return nil
}

// remove removes the device, and with the last one of its parent what was set
// for it there: before it, as the device alone knows what it was, also when this
// process is killed here; and again, as the last but one may go meanwhile.
func (v *virtualDevice) remove() error {
	h, err := rtnl.Open(v.namespace)
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := v.find(h)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return nil // there is nothing of ours
	}
	if err != nil {
		return err
	}
	restore := func() error {
		left, err := v.siblings(h, link.Attrs().ParentIndex)
		if err != nil || slices.ContainsFunc(left, func(l netlink.Link) bool { return l.Attrs().Index != link.Attrs().Index }) {
			return err
		}
		return rtnl.Inside(v.namespace, func() error { return v.restore(link.Attrs().Alias) })
	}
	if err := restore(); err != nil {
		return err
	}
	if err := h.LinkDel(link); err != nil {
		return fmt.Errorf("failover: remove the device %q: %w", v.name, err)
	}
	return restore()
}

// restore gives the parent the settings back that nobody else has changed.
func (v *virtualDevice) restore(alias string) error {
	for _, word := range strings.Fields(strings.TrimPrefix(alias, virtualAlias)) {
		name, value, _ := strings.Cut(word, "=")
		for _, s := range parentSettings {
			was, err := strconv.Atoi(value)
			if name != s.name || err != nil || was >= s.least {
				continue
			}
			if now, err := readSetting(v.parent, name); err != nil || now != s.least {
				continue // it is gone, or somebody else's
			}
			if err := writeSetting("ipv4", v.parent, name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// wrap returns a connection whose multicast has the virtual MAC. It is sent as
// frames out of the parent, so that neither the state of the macvlan nor its
// missing addresses matter.
func (v *virtualDevice) wrap(inner AdvertConn) (AdvertConn, error) {
	c := &virtualConn{AdvertConn: inner, device: v}
	err := v.ensure()
	if err == nil {
		err = rtnl.Inside(v.namespace, c.open)
	}
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return c, nil
}

// virtualConn is an AdvertConn that sends from a virtual MAC.
type virtualConn struct {
	AdvertConn
	device        *virtualDevice
	parent, index int // of the devices
	file          *os.File
	raw           syscall.RawConn
	id            uint16
	frame         []byte
}

func (c *virtualConn) open() error {
	for name, index := range map[string]*int{c.device.parent: &c.parent, c.device.name: &c.index} {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return fmt.Errorf("failover: device %q: %w", name, err)
		}
		*index = ifi.Index
	}
	// Protocol 0 receives nothing.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("failover: open a packet socket: %w", err)
	}
	c.file = os.NewFile(uintptr(fd), "vrrp frames")
	if c.raw, err = c.file.SyscallConn(); err != nil {
		return errors.Join(err, c.file.Close())
	}
	return nil
}

// Send sends an advert, by multicast from the virtual MAC.
func (c *virtualConn) Send(payload []byte, to netip.Addr) error {
	if !to.IsMulticast() {
		return c.AdvertConn.Send(payload, to)
	}
	c.id++
	c.frame = ethernetAdvert(c.frame[:0], c.device.mac, c.Source(), to, c.id, payload)
	sa := &unix.SockaddrLinklayer{Ifindex: c.parent, Protocol: uint16(c.frame[13])<<8 | uint16(c.frame[12])}
	var failed error
	err := c.raw.Control(func(fd uintptr) {
		for range 3 {
			failed = unix.Sendto(int(fd), c.frame, unix.MSG_DONTWAIT, sa)
			if !errors.Is(failed, unix.EINTR) {
				return
			}
		}
	})
	if err = errors.Join(err, failed); errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%w: %w: the device %q is gone", fs.ErrNotExist, err, c.device.parent)
	}
	return err
}

// SendPlain sends from the device's own MAC.
func (c *virtualConn) SendPlain(payload []byte, to netip.Addr) error {
	return c.AdvertConn.Send(payload, to)
}

// Check looks after both devices.
func (c *virtualConn) Check() error {
	if err := c.AdvertConn.Check(); err != nil {
		return err
	}
	var index uint32
	var failed error
	err := c.raw.Control(func(fd uintptr) {
		request, err := unix.NewIfreq(c.device.name)
		if err != nil {
			failed = err
			return
		}
		if failed = unix.IoctlIfreq(int(fd), unix.SIOCGIFINDEX, request); failed == nil {
			index = request.Uint32()
		}
	})
	switch err = errors.Join(err, failed); {
	case errors.Is(err, unix.ENODEV) || err == nil && int(index) != c.index:
		return fmt.Errorf("failover: device %q: %w; somebody has removed it, it is made again", c.device.name, fs.ErrNotExist)
	case err != nil:
		return fmt.Errorf("failover: device %q: %w", c.device.name, err)
	}
	return nil
}

// Close ends both sockets. The device stays: the addresses may be on it.
func (c *virtualConn) Close() error { return errors.Join(c.AdvertConn.Close(), c.file.Close()) }

var _ plainSender = (*virtualConn)(nil)
