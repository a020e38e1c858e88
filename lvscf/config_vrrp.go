package lvscf

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// VRRP is a vrrp block, an extension: one virtual router that this and other
// routers share. [NewVRRP] gives one with the defaults.
type VRRP struct {
	// Name is a label.
	Name string `json:"name"`
	// Interface is the device that the packets use.
	Interface string `json:"interface,omitempty"`
	// VRID numbers the virtual router on its network, 1..255; zero is none
	// given, an error for who runs it.
	VRID uint8 `json:"vrid"`
	// Priority is 1..255, where 255 owns the addresses. BackupPriority is
	// that of the backup router, so that both can have the same file; zero
	// is the same as Priority.
	Priority       uint8 `json:"priority"`
	BackupPriority uint8 `json:"backup_priority,omitempty"`
	// Version of the protocol, 2 (RFC 3768) or 3 (RFC 9568).
	Version uint8 `json:"version"`
	// AdvertInterval is the time between two advertisements: whole seconds
	// with version 2, 10 ms to 40.95 s with version 3.
	AdvertInterval time.Duration `json:"advert_interval"`
	// DownAdverts is how many advertisements may be missed, 1..100; the
	// standard has 3.
	DownAdverts uint8 `json:"down_adverts"`
	// Preempt takes over from a router of lower priority, after PreemptDelay.
	Preempt      bool          `json:"preempt"`
	PreemptDelay time.Duration `json:"preempt_delay,omitzero"`
	// Accept takes packets to the addresses, which a balancer needs.
	Accept bool `json:"accept"`
	// VirtualMAC uses the hardware address of the standard in place of the
	// device's own.
	VirtualMAC bool `json:"virtual_mac"`
	// Checksum is what the checksum of version 3 over IPv4 covers.
	Checksum VRRPChecksum `json:"checksum,omitzero"`
	// UnicastPeers are the other routers; none is multicast. UnicastSource
	// is this router's own address towards them; the zero value leaves it to
	// the system.
	UnicastPeers  []Host `json:"unicast_peer,omitempty"`
	UnicastSource Host   `json:"unicast_source,omitzero"`
	// Auth and KeyFile authenticate; the file holds the password or key.
	Auth    VRRPAuth `json:"auth,omitzero"`
	KeyFile string   `json:"key_file,omitempty"`
	// Addresses move with this router besides those of the virtual blocks
	// that name it.
	Addresses []DeviceAddress `json:"address,omitempty"`
	// Routes move with this router.
	Routes []Route `json:"route,omitempty"`
	// TrackInterfaces are further devices that must be up.
	TrackInterfaces []string `json:"track_interface,omitempty"`
	// TrackWeights are devices that change the priority.
	TrackWeights []DeviceWeight `json:"track_weight,omitempty"`
	// Checks must be good too: one that fails makes the router faulty, or
	// changes its priority by the check's Weight. They ask at the Address and
	// Port of their own, and their zero Interval is a second.
	Checks []Check `json:"checks,omitempty"`
	// SyncGroup names the group of vrrp blocks that change together.
	SyncGroup string `json:"sync_group,omitempty"`
	// Announcing is how the neighbours are told of the addresses.
	Announcing
	// MasterCmd, BackupCmd, FaultCmd and NotifyCmd are programs to run when
	// the router becomes active, backup or faulty, and at each such change;
	// split at blanks, without a shell.
	MasterCmd string `json:"master_cmd,omitempty"`
	BackupCmd string `json:"backup_cmd,omitempty"`
	FaultCmd  string `json:"fault_cmd,omitempty"`
	NotifyCmd string `json:"notify_cmd,omitempty"`

	// Pos is where the block is opened.
	Pos Pos `json:"-"`
	// Origins tells where the values stand in the file.
	Origins Origins `json:"-"`
}

// NewVRRP returns a vrrp block with the defaults, those of RFC 9568 except
// that packets to the addresses are accepted.
func NewVRRP(name string) VRRP {
	return VRRP{
		Name: name, Priority: 100, Version: 3, AdvertInterval: time.Second, DownAdverts: 3, Preempt: true, Accept: true,
	}
}

// Announcing says how the neighbours are told where the floating addresses
// are, by gratuitous ARP and unsolicited neighbour advertisements. The zero
// value leaves all to the program.
type Announcing struct {
	// GARPCount is how often they are told after a take-over, GARPInterval
	// the time between; GARPRefresh tells them again and again.
	GARPCount    int           `json:"garp_count,omitempty"`
	GARPInterval time.Duration `json:"garp_interval,omitzero"`
	GARPRefresh  time.Duration `json:"garp_refresh,omitzero"`
}

// DeviceAddress is an address with the length of its network and the device
// that carries it, as in "192.0.2.10/24 eth0:1".
type DeviceAddress struct {
	Prefix netip.Prefix
	Device string
}

// String returns the two words of the language.
func (a DeviceAddress) String() string { return a.Prefix.String() + " " + a.Device }

// MarshalText writes the same text as String.
func (a DeviceAddress) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText writes. An address without a length
// stands alone: 32 or 128 bits.
func (a *DeviceAddress) UnmarshalText(text []byte) error {
	addr, device, ok := strings.Cut(string(text), " ")
	prefix, okPrefix := parsePrefix(addr)
	if !ok || !okPrefix || !isDevice(device) {
		return fmt.Errorf("address %q: want ADDRESS/LENGTH DEVICE, as in 192.0.2.10/24 eth0:1", text)
	}
	*a = DeviceAddress{prefix, device}
	return nil
}

// DeviceWeight is a device whose state changes a priority by Weight: below 0
// while it is down, above 0 while it is up; -253..253.
type DeviceWeight struct {
	Device string
	Weight int
}

// String returns the two words of the language.
func (d DeviceWeight) String() string { return d.Device + " " + strconv.Itoa(d.Weight) }

// MarshalText writes the same text as String.
func (d DeviceWeight) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *DeviceWeight) UnmarshalText(text []byte) error {
	device, number, _ := strings.Cut(string(text), " ")
	weight, err := strconv.Atoi(number)
	if err != nil || !isDevice(device) || weight < -253 || weight > 253 {
		return fmt.Errorf("track_weight %q: want DEVICE WEIGHT with a weight of -253 to 253, as in eth3 -20", text)
	}
	*d = DeviceWeight{device, weight}
	return nil
}

// HeartbeatPath is one more way between the two routers.
type HeartbeatPath struct {
	Primary Host `json:"primary"`
	Backup  Host `json:"backup"`
}
