package ipvs

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// SyncRole is what a sync daemon does, by the kernel's numbers.
type SyncRole uint8

// The two roles. A network namespace can run one daemon of each at a time.
const (
	// SyncMaster multicasts the connections of this director.
	SyncMaster SyncRole = 1
	// SyncBackup takes over the connections that a master multicasts.
	SyncBackup SyncRole = 2
)

// String returns "master", "backup", or the number of any other role.
func (r SyncRole) String() string {
	switch r {
	case SyncMaster:
		return "master"
	case SyncBackup:
		return "backup"
	}
	return strconv.Itoa(int(r))
}

// MarshalText writes the same text as String.
func (r SyncRole) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads "master" or "backup", without regard to case.
func (r *SyncRole) UnmarshalText(text []byte) error {
	switch strings.ToLower(string(text)) {
	case "master":
		*r = SyncMaster
	case "backup":
		*r = SyncBackup
	default:
		return fmt.Errorf("sync role %q: want master or backup", text)
	}
	return nil
}

func (r SyncRole) validate() error {
	if r != SyncMaster && r != SyncBackup {
		return fmt.Errorf("sync role %v: want master or backup: %w", r, syscall.EINVAL)
	}
	return nil
}

// SyncDaemon configures a kernel thread that copies connections from one
// director to another, so that they survive a take-over. Zero values of all
// but the first two fields are the kernel's defaults; what a kernel reports
// has them filled in.
type SyncDaemon struct {
	Role SyncRole `json:"role"`
	// Interface is the network device to send to or listen on, 1 to 15
	// characters.
	Interface string `json:"interface"`
	// SyncID tells groups of directors apart, 0..255. A backup with 0 takes
	// messages of every group.
	SyncID uint32 `json:"sync_id"`
	// MaxLength is the most UDP payload of one message in bytes; zero is 1500
	// less headers (master), or what fits the device's MTU but at least that
	// (backup). Linux knows it since 4.3, like the fields below.
	MaxLength uint16 `json:"max_length,omitempty"`
	// Group is the multicast address, IPv4 or IPv6; the zero value is
	// 224.0.0.81.
	Group netip.Addr `json:"group,omitzero"`
	// Port is the UDP port, zero for 8848. With several threads
	// (net.ipv4.vs.sync_ports) the ports after it are used too.
	Port uint16 `json:"port,omitempty"`
	// TTL is the hops that a master's messages may go, zero for 1.
	TTL uint8 `json:"ttl,omitempty"`
}

// maxInterface is the longest name of a network device.
const maxInterface = 15

// maxSyncID is what the eight bits on the wire hold. The kernel takes larger
// numbers and cuts them without a word.
const maxSyncID = 255

// Validate reports what no kernel would take, or would take for something
// else. It wraps EINVAL. Whether the device exists is left to the kernel.
func (d SyncDaemon) Validate() error {
	if err := d.Role.validate(); err != nil {
		return err
	}
	switch {
	case d.Interface == "" || len(d.Interface) > maxInterface || strings.IndexByte(d.Interface, 0) >= 0:
		return fmt.Errorf("sync interface %q: want the name of a network device, 1 to %d characters: %w", d.Interface, maxInterface, syscall.EINVAL)
	case d.SyncID > maxSyncID:
		return fmt.Errorf("sync id %d: want 0..%d: %w", d.SyncID, maxSyncID, syscall.EINVAL)
	case d.Group.IsValid() && (!d.Group.IsMulticast() || d.Group.Is4In6() || d.Group.Zone() != ""):
		return fmt.Errorf("sync group %v: want a plain multicast address: %w", d.Group, syscall.EINVAL)
	}
	return nil
}
