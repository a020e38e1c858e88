package ipvs

import (
	"fmt"
	"syscall"
	"time"
)

// Timeouts are the idle times after which the kernel drops connections, in
// whole seconds (a fraction is rounded up). They hold for the whole network
// namespace. In [Client.SetTimeouts] zero leaves a value as it is.
type Timeouts struct {
	// TCP is for established TCP connections; 900 s by default.
	TCP time.Duration
	// TCPFin is for TCP connections in FIN-WAIT; 120 s by default.
	TCPFin time.Duration
	// UDP is for UDP sessions; 300 s by default.
	UDP time.Duration
}

// maxTimeout keeps seconds within 32 bits; the kernel's own limit is lower
// and depends on its tick rate, so it has to answer for itself.
const maxTimeout = (1<<32 - 1) * time.Second

// Validate reports a timeout that cannot be sent. It wraps EINVAL.
func (t Timeouts) Validate() error {
	for _, d := range []time.Duration{t.TCP, t.TCPFin, t.UDP} {
		if d < 0 || d > maxTimeout {
			return fmt.Errorf("timeout %v: want 0..%v: %w", d, maxTimeout, syscall.EINVAL)
		}
	}
	return nil
}

// Version is the version of the kernel's IPVS, one byte a part: 0x010201 is
// 1.2.1.
type Version uint32

// String returns "1.2.1".
func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d", v>>16&0xff, v>>8&0xff, v&0xff)
}

// MarshalText writes the same text as String.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (v *Version) UnmarshalText(text []byte) error {
	var a, b, c uint8
	var rest string
	if n, _ := fmt.Sscanf(string(text), "%d.%d.%d%s", &a, &b, &c, &rest); n != 3 {
		return fmt.Errorf("version %q: want three numbers 0..255 like 1.2.1", text)
	}
	*v = Version(a)<<16 | Version(b)<<8 | Version(c)
	return nil
}

// Info describes the kernel's IPVS.
type Info struct {
	Version Version `json:"version"`
	// ConnTableSize is the number of buckets of the connection table.
	ConnTableSize uint32 `json:"conn_table_size"`
}
