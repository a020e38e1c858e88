package ipvs

import "fmt"

// Features tells what the running kernel's IPVS can do. [ProbeFeatures] finds
// it out by trying, never from a version number: distributions carry changes
// back.
type Features struct {
	// Schedulers and Engines are the names of those that the kernel has or
	// could load, of all that this package knows.
	Schedulers []string `json:"schedulers"`
	Engines    []string `json:"engines"`
	// IPv6 tells whether it takes IPv6 services.
	IPv6 bool `json:"ipv6"`
	// MixedFamilies tells whether a tunnel may lead to a destination of the
	// other address family (Linux 3.18).
	MixedFamilies bool `json:"mixed_families"`
	// Stats64 tells whether all counters have 64 bits (Linux 4.1). Without,
	// those of connections and packets, and the rates, start again at 2^32.
	Stats64 bool `json:"stats64"`
	// TunnelTypes tells whether a tunnel may be other than IPIP: GUE (Linux
	// 5.2). A kernel without takes the setting and ignores it.
	TunnelTypes bool `json:"tunnel_types"`
	// TunnelFlags tells whether it knows [TunnelOptions.Flags]. GRE tunnels
	// cannot be asked for; they came in the same release (Linux 5.3).
	TunnelFlags bool `json:"tunnel_flags"`
	// SyncOptions tells whether a sync daemon has a length, group, port and
	// TTL (Linux 4.3). A kernel without takes them and ignores them.
	SyncOptions bool `json:"sync_options"`
	// Overhead is how the least-connection schedulers weigh connections.
	Overhead Overhead `json:"overhead"`
}

// Overhead is the formula by which lc, wlc, lblc, lblcr and twos weigh the
// connections of a destination (include/net/ip_vs.h).
type Overhead uint8

// The formulas, of a active and i inactive connections.
const (
	// UnknownOverhead is what a kernel without wlc has.
	UnknownOverhead Overhead = iota
	// OlderOverhead is 256a + i, of kernels up to the middle of 2026.
	OlderOverhead
	// NewerOverhead is 257a + i, of newer kernels and those that took the
	// change over.
	NewerOverhead
)

var overheadNames = [...]string{"unknown", "older", "newer"}

// String returns "older", "newer" or "unknown".
func (o Overhead) String() string {
	if int(o) < len(overheadNames) {
		return overheadNames[o]
	}
	return overheadNames[UnknownOverhead]
}

// MarshalText writes the same text as String.
func (o Overhead) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (o *Overhead) UnmarshalText(text []byte) error {
	for i, name := range overheadNames {
		if string(text) == name {
			*o = Overhead(i)
			return nil
		}
	}
	return fmt.Errorf("overhead %q: want older, newer or unknown", text)
}

// The names that a kernel may know, in the order of their age.
var (
	schedulerNames = []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"}
	engineNames    = []string{"sip"}
)
