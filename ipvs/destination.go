package ipvs

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

// MaxWeight is the largest weight the kernel takes.
const MaxWeight = 1<<31 - 1

// Destination is the configuration of one real server of a service.
type Destination struct {
	Key     DestinationKey
	Forward ForwardMethod
	// Weight is 0..MaxWeight; zero gives no new connections (quiesce).
	Weight int
	// UpperThreshold is the number of connections above which the
	// destination takes no new ones; zero is no limit. It takes them again
	// below LowerThreshold, or below three quarters of the upper one when
	// the lower is zero.
	UpperThreshold, LowerThreshold uint32
	// Tunnel is how packets are wrapped; read only with the Tunnel method.
	Tunnel TunnelOptions
}

// TunnelType is the encapsulation of the Tunnel forwarding method.
type TunnelType uint8

// The tunnel types. GUE needs Linux 5.2, GRE 5.3.
const (
	IPIP TunnelType = 0
	GUE  TunnelType = 1
	GRE  TunnelType = 2
)

// TunnelOptions belong to the Tunnel forwarding method; the zero value is
// plain IPIP.
type TunnelOptions struct {
	Type TunnelType
	// Port is the UDP port of GUE, where it must not be zero.
	Port uint16
	// Flags: 0 no checksum, 1 checksum, 2 remote checksum offload.
	Flags uint16
}
