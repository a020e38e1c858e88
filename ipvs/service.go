package ipvs

import "time"

// ServiceFlags are a service's flags as the kernel numbers them
// (include/uapi/linux/ip_vs.h). Persistence is not among those a caller
// sets: it follows from [Service.Persistence].
type ServiceFlags uint32

// The flags a caller may set. Sched1 and Sched2 are read by the scheduler:
// sh and mh take the first as "fall back to another server" and the second
// as "hash the source port too".
const (
	OnePacket ServiceFlags = 0x4
	Sched1    ServiceFlags = 0x8
	Sched2    ServiceFlags = 0x10
	Sched3    ServiceFlags = 0x20
)

// Names of scheduler flags in the words of ipvsadm.
const (
	SHFallback = Sched1
	SHPort     = Sched2
	MHFallback = Sched1
	MHPort     = Sched2
)

// Service is the configuration of a virtual service.
type Service struct {
	Key ServiceKey
	// Scheduler by its kernel name; empty means "wlc", as in ipvsadm. The
	// name "none" is a service without a scheduler.
	Scheduler string
	Flags     ServiceFlags
	// Persistence keeps a client on its server for this long after the last
	// connection; whole seconds, zero is off.
	Persistence time.Duration
	// PersistencePrefix is the prefix length by which clients are grouped:
	// 1..32 for IPv4, 1..128 for IPv6; zero means single clients.
	PersistencePrefix int
	// Engine is the persistence engine ("sip"), normally empty.
	Engine string
}

// DefaultScheduler is what an empty [Service.Scheduler] stands for.
const DefaultScheduler = "wlc"
