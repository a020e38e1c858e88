package ipvstest

import (
	"context"
	"net/netip"
	"slices"
	"syscall"

	"github.com/lvskit/lvskit/ipvs"
)

// What a kernel fills in where a sync daemon leaves it open
// (net/netfilter/ipvs/ip_vs_sync.c).
const (
	syncPort    = 8848
	syncTTL     = 1
	usualMTU    = 1500
	loopbackMTU = 65536
	syncLeast   = 1024 // of a backup
	headers4    = 20 + 8
	headers6    = 40 + 8
	maxDatagram = 65535
)

var syncGroup = netip.AddrFrom4([4]byte{224, 0, 0, 81})

// SetDevices replaces the names of the network devices on which a sync daemon
// can start: "lo" and "sync0" to begin with. Their MTU is 1500, that of "lo"
// 65536.
func (k *Kernel) SetDevices(names ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.devices = devices(names...)
}

func devices(names ...string) map[string]int {
	m := make(map[string]int, len(names))
	for _, name := range names {
		m[name] = usualMTU
	}
	if _, ok := m["lo"]; ok {
		m["lo"] = loopbackMTU
	}
	return m
}

// StartSync is like [ipvs.Client.StartSync].
func (k *Kernel) StartSync(ctx context.Context, d ipvs.SyncDaemon) error {
	return k.do(ctx, Command{Op: ipvs.OpStartSync, Sync: d}, d.Validate(), func() error {
		if k.mixed() {
			return syscall.EINVAL
		}
		mtu, ok := k.devices[d.Interface]
		if !ok {
			return syscall.ENODEV
		}
		if k.findSync(d.Role) >= 0 {
			return syscall.EEXIST
		}
		if d.Role == ipvs.SyncMaster && d.Group.Is6() && d.Interface == "lo" {
			return syscall.ENETUNREACH // loopback has no route for multicast of IPv6
		}
		k.sync = append(k.sync, completeSync(d, mtu))
		slices.SortFunc(k.sync, func(a, b ipvs.SyncDaemon) int { return int(a.Role) - int(b.Role) })
		return nil
	})
}

// completeSync fills in what d leaves to the kernel, with the device's MTU.
func completeSync(d ipvs.SyncDaemon, mtu int) ipvs.SyncDaemon {
	if !d.Group.IsValid() {
		d.Group = syncGroup
	}
	if d.Port == 0 {
		d.Port = syncPort
	}
	if d.TTL == 0 {
		d.TTL = syncTTL
	}
	headers, least := headers4, 1
	if d.Group.Is6() {
		headers = headers6
	}
	if d.Role == ipvs.SyncBackup {
		least = syncLeast
	} else {
		mtu = usualMTU // a master looks at no device
	}
	length := min(max(mtu, usualMTU), maxDatagram) - headers
	if d.MaxLength != 0 {
		length = min(max(int(d.MaxLength), least), maxDatagram-headers)
	}
	d.MaxLength = uint16(length)
	return d
}

// mixed tells whether a service has a destination of the other family, which
// the messages between directors cannot express.
func (k *Kernel) mixed() bool {
	for key, s := range k.services {
		for _, d := range s.dests {
			if d.Key.Addr().Is6() != key.Is6() {
				return true
			}
		}
	}
	return false
}

func (k *Kernel) findSync(r ipvs.SyncRole) int {
	return slices.IndexFunc(k.sync, func(d ipvs.SyncDaemon) bool { return d.Role == r })
}

// StopSync is like [ipvs.Client.StopSync].
func (k *Kernel) StopSync(ctx context.Context, r ipvs.SyncRole) error {
	probe := ipvs.SyncDaemon{Role: r, Interface: "any"}
	return k.do(ctx, Command{Op: ipvs.OpStopSync, Sync: ipvs.SyncDaemon{Role: r}}, probe.Validate(), func() error {
		i := k.findSync(r)
		if i < 0 {
			return syscall.ESRCH
		}
		k.sync = slices.Delete(k.sync, i, i+1)
		return nil
	})
}

// SyncDaemons is like [ipvs.Client.SyncDaemons].
func (k *Kernel) SyncDaemons(ctx context.Context) (list []ipvs.SyncDaemon, err error) {
	err = k.do(ctx, Command{Op: ipvs.OpListSync}, nil, func() error {
		list = append(list, k.sync...)
		return nil
	})
	return list, err
}
