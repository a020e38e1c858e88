package failover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/internal/frame"
	"github.com/lvskit/lvskit/failover/internal/rtnl"
)

const (
	// claimSpacing is the least time between two claims of one address that are
	// told.
	claimSpacing = 10 * time.Millisecond
	// claimBurst is how many frames are read in that time. What a flood has more
	// of is dropped by the kernel, as a process of real-time priority would have
	// the machine. A thousand addresses are announced at a third of this pace.
	claimBurst = 256
)

// claimReader reads on one device what other machines say of our addresses of
// one family. The kernel's filter passes nothing else, so that it sleeps.
//
// Families have sockets of their own, bound to their protocol: one for all of
// them would show each frame of the machine, also what it sends, to the filter.
type claimReader struct {
	file   *os.File
	device string
	own    [6]byte
	read   func([]byte) (netip.Addr, [6]byte, bool)
	claims map[netip.Addr]*claim
}

// claim is the last one of an address.
type claim struct {
	mac net.HardwareAddr // not changed, as it was given away
	at  time.Time
}

// listen opens readers for the families that there are addresses of.
func (w *linkWatch) listen(name string, index int, mac [6]byte, addrs []VirtualAddress) (out []*claimReader, err error) {
	var four, six []netip.Addr
	for _, v := range addrs {
		if a := v.Prefix.Addr(); a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	open := func(addrs []netip.Addr, etherType uint16, filter []bpf.Instruction, read func([]byte) (netip.Addr, [6]byte, bool)) {
		if len(addrs) == 0 || err != nil {
			return
		}
		r := &claimReader{device: name, own: mac, read: read, claims: make(map[netip.Addr]*claim, len(addrs))}
		for _, a := range addrs {
			r.claims[a] = new(claim)
		}
		if r.file, err = w.keeper.frames(index, etherType, filter); err == nil {
			out = append(out, r)
		}
	}
	open(four, frame.TypeARP, frame.ARPFilter(four, mac), frame.ReadARP)
	open(six, frame.TypeIPv6, frame.AdvertisementFilter(six), frame.ReadAdvertisement)
	switch {
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("failover: watch %q: %w; run as root or give CAP_NET_RAW", name, err)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		err = nil // it is gone again, as a notice says
	case err != nil:
		err = fmt.Errorf("failover: watch %q: %w", name, err)
	}
	if err != nil {
		closeAll(out)
		return nil, err
	}
	for _, r := range out {
		w.ended.Go(func() { r.run(w.see) })
	}
	return out, nil
}

// frames opens a packet socket (packet(7)) for one protocol of a device.
func (k linkKeeper) frames(index int, etherType uint16, filter []bpf.Instruction) (file *os.File, err error) {
	err = rtnl.Inside(k.namespace, func() error {
		// Protocol 0 receives nothing until the filter is there.
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), "packet")
		err = attach(fd, filter)
		if err == nil {
			protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, etherType))
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: index})
		}
		if err != nil {
			return errors.Join(err, file.Close())
		}
		return nil
	})
	return file, err
}

// run reads until the socket is closed. It allocates only where another machine
// claims an address than the one that did so before.
func (r *claimReader) run(see func(Sighting)) {
	b := make([]byte, frame.Longest)
	var since time.Time
	frames := 0
	for {
		n, err := r.file.Read(b)
		switch {
		case errors.Is(err, os.ErrClosed):
			return
		case err != nil: // ENETDOWN once, if the device goes down
			time.Sleep(syncPause)
			continue
		}
		now := time.Now()
		if now.Sub(since) >= claimSpacing {
			since, frames = now, 0
		}
		if frames++; frames == claimBurst {
			time.Sleep(claimSpacing - now.Sub(since))
		}
		addr, mac, ok := r.read(b[:n])
		if !ok || mac == r.own {
			continue
		}
		c := r.claims[addr]
		if c == nil {
			continue
		}
		if now.Sub(c.at) < claimSpacing {
			continue
		}
		c.at = now
		if len(c.mac) != len(mac) || [6]byte(c.mac) != mac {
			c.mac = append(net.HardwareAddr(nil), mac[:]...)
		}
		see(Sighting{Kind: SightingClaimed, Address: addr, Device: r.device, MAC: c.mac})
	}
}

func closeAll(list []*claimReader) {
	for _, r := range list {
		_ = r.file.Close() // its reader ends
	}
}
