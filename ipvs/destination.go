package ipvs

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// ForwardMethod tells how packets reach a destination, by the kernel's numbers.
type ForwardMethod uint8

// The forwarding methods. The zero value is masquerading (NAT).
const (
	Masquerade  ForwardMethod = 0
	Local       ForwardMethod = 1
	Tunnel      ForwardMethod = 2
	DirectRoute ForwardMethod = 3
	Bypass      ForwardMethod = 4
)

// maxForward is the largest number that fits the kernel's three bits.
const maxForward = 7

// String returns "masquerade", "local", "tunnel", "direct", "bypass", or the
// number of a method without a name.
func (m ForwardMethod) String() string {
	switch m {
	case Masquerade:
		return "masquerade"
	case Local:
		return "local"
	case Tunnel:
		return "tunnel"
	case DirectRoute:
		return "direct"
	case Bypass:
		return "bypass"
	}
	return strconv.Itoa(int(m))
}

// MarshalText writes the same text as String.
func (m ForwardMethod) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText writes, without regard to case.
func (m *ForwardMethod) UnmarshalText(text []byte) error {
	switch s := strings.ToLower(string(text)); s {
	case "masquerade":
		*m = Masquerade
	case "local":
		*m = Local
	case "tunnel":
		*m = Tunnel
	case "direct":
		*m = DirectRoute
	case "bypass":
		*m = Bypass
	default:
		n, err := strconv.ParseUint(s, 10, 8)
		if err != nil {
			return fmt.Errorf("forwarding method %q: want masquerade, direct, tunnel, local, bypass or a number 0..255", text)
		}
		*m = ForwardMethod(n)
	}
	return nil
}

// MaxWeight is the largest weight the kernel takes.
const MaxWeight = 1<<31 - 1

// MaxThreshold is the largest connection threshold that every kernel takes.
// Older kernels take more, newer ones answer EINVAL; so this package refuses
// it on all of them.
const MaxThreshold = 1<<31 - 1

// Destination is the configuration of one real server of a service.
type Destination struct {
	Key     DestinationKey `json:"key"`
	Forward ForwardMethod  `json:"forward"`
	// Weight is 0..MaxWeight; zero gives no new connections (quiesce).
	Weight int `json:"weight"`
	// UpperThreshold is the number of connections above which the
	// destination takes no new ones, 0..MaxThreshold; zero is no limit. It
	// takes them again below LowerThreshold, or below three quarters of the
	// upper one when the lower is zero. The lower must not exceed the upper.
	UpperThreshold uint32 `json:"upper_threshold,omitempty"`
	LowerThreshold uint32 `json:"lower_threshold,omitempty"`
	// Tunnel is how packets are wrapped; read only with the Tunnel method.
	Tunnel TunnelOptions `json:"tunnel,omitzero"`
}

// Normalized returns d in the form in which equal configurations compare
// equal with ==: the address is plain IPv4 or IPv6 without a zone, and tunnel
// options are dropped where the method does not read them.
func (d Destination) Normalized() Destination {
	d.Key = canonicalAddrPort(d.Key)
	if d.Forward != Tunnel {
		d.Tunnel = TunnelOptions{}
	}
	return d
}

// Validate reports what no kernel would take, or would take for something
// else, whatever the service. It wraps the errno that the kernel has for it
// (EINVAL or ERANGE). What depends on the kernel, the host's addresses or the
// service is left to the kernel to answer.
func (d Destination) Validate() error {
	if err := validateDestinationKey(d.Key); err != nil {
		return err
	}
	switch {
	case d.Forward > maxForward:
		return fmt.Errorf("forwarding method %d: the kernel has only 0..%d: %w", d.Forward, maxForward, syscall.EINVAL)
	case d.Weight < 0 || d.Weight > MaxWeight:
		return fmt.Errorf("weight %d: want 0..%d: %w", d.Weight, MaxWeight, syscall.ERANGE)
	case d.UpperThreshold > MaxThreshold:
		return fmt.Errorf("upper threshold %d: want 0..%d: %w", d.UpperThreshold, MaxThreshold, syscall.EINVAL)
	case d.LowerThreshold > d.UpperThreshold:
		return fmt.Errorf("lower threshold %d is above the upper one, %d: %w", d.LowerThreshold, d.UpperThreshold, syscall.ERANGE)
	case d.Forward == Tunnel && d.Tunnel.Type == GUE && d.Tunnel.Port == 0:
		return fmt.Errorf("tunnel type gue: needs a UDP port: %w", syscall.EINVAL)
	}
	return nil
}

func validateDestinationKey(k DestinationKey) error {
	switch {
	case !k.IsValid():
		return fmt.Errorf("no destination address: %w", syscall.EINVAL)
	case k.Addr().Zone() != "" || k.Addr().Is4In6():
		return fmt.Errorf("address %v: must be plain IPv4 or IPv6, without a zone: %w", k.Addr(), syscall.EINVAL)
	}
	return nil
}

// TunnelType is the encapsulation of the Tunnel forwarding method.
type TunnelType uint8

// The tunnel types. GUE needs Linux 5.2, GRE 5.3.
const (
	IPIP TunnelType = 0
	GUE  TunnelType = 1
	GRE  TunnelType = 2
)

// String returns "ipip", "gue", "gre", or the number of a type without a name.
func (t TunnelType) String() string {
	switch t {
	case IPIP:
		return "ipip"
	case GUE:
		return "gue"
	case GRE:
		return "gre"
	}
	return strconv.Itoa(int(t))
}

// MarshalText writes the same text as String.
func (t TunnelType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText writes, without regard to case.
func (t *TunnelType) UnmarshalText(text []byte) error {
	switch s := strings.ToLower(string(text)); s {
	case "ipip":
		*t = IPIP
	case "gue":
		*t = GUE
	case "gre":
		*t = GRE
	default:
		n, err := strconv.ParseUint(s, 10, 8)
		if err != nil {
			return fmt.Errorf("tunnel type %q: want ipip, gue, gre or a number 0..255", text)
		}
		*t = TunnelType(n)
	}
	return nil
}

// TunnelOptions belong to the Tunnel forwarding method; the zero value is
// plain IPIP.
type TunnelOptions struct {
	Type TunnelType `json:"type"`
	// Port is the UDP port of GUE, where it must not be zero.
	Port uint16 `json:"port,omitempty"`
	// Flags: 0 no checksum, 1 checksum, 2 remote checksum offload.
	Flags uint16 `json:"flags,omitempty"`
}
