package ipvs

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
)

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

var flagNames = [...]struct {
	flag ServiceFlags
	name string
}{
	{OnePacket, "one-packet"},
	{Sched1, "flag-1"},
	{Sched2, "flag-2"},
	{Sched3, "flag-3"},
}

// String returns the names of the set flags with commas between
// ("one-packet,flag-1"), bits without a name as one hexadecimal number, and
// nothing for zero.
func (f ServiceFlags) String() string {
	var parts []string
	for _, n := range flagNames {
		if f&n.flag != 0 {
			parts = append(parts, n.name)
			f &^= n.flag
		}
	}
	if f != 0 {
		parts = append(parts, "0x"+strconv.FormatUint(uint64(f), 16))
	}
	return strings.Join(parts, ",")
}

// MarshalText writes the same text as String.
func (f ServiceFlags) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what MarshalText writes, and also ipvsadm's names
// "ops", "sh-fallback", "sh-port", "mh-fallback" and "mh-port".
func (f *ServiceFlags) UnmarshalText(text []byte) error {
	var got ServiceFlags
	for part := range strings.SplitSeq(string(text), ",") {
		switch part = strings.ToLower(strings.TrimSpace(part)); part {
		case "":
		case "one-packet", "ops":
			got |= OnePacket
		case "flag-1", "sh-fallback", "mh-fallback":
			got |= Sched1
		case "flag-2", "sh-port", "mh-port":
			got |= Sched2
		case "flag-3":
			got |= Sched3
		default:
			n, err := strconv.ParseUint(part, 0, 32)
			if err != nil {
				return fmt.Errorf("service flag %q: want one-packet, flag-1, flag-2, flag-3, sh-fallback, sh-port, mh-fallback, mh-port or a number", part)
			}
			got |= ServiceFlags(n)
		}
	}
	*f = got
	return nil
}

// Service is the configuration of a virtual service.
//
// In JSON the persistence is "persistence_seconds". A struct that embeds
// Service takes over its MarshalJSON and loses its own fields there; hold it
// in a named field instead.
type Service struct {
	Key ServiceKey
	// Scheduler by its kernel name, at most 15 characters; empty means
	// "wlc", as in ipvsadm. The name "none" is a service without a
	// scheduler.
	Scheduler string
	Flags     ServiceFlags
	// Persistence keeps a client on its server for this long after the last
	// connection; zero is off, the longest is MaxPersistence. The kernel
	// counts whole seconds: a fraction is rounded up.
	Persistence time.Duration
	// PersistencePrefix is the prefix length by which clients are grouped:
	// 1..32 for IPv4, 1..128 for IPv6; zero means single clients. Read from
	// a kernel it is -1 for an IPv4 mask that is no prefix; such a mask
	// cannot be set.
	PersistencePrefix int
	// Engine is the persistence engine ("sip"), normally empty.
	Engine string
}

// DefaultScheduler is what an empty [Service.Scheduler] stands for.
const DefaultScheduler = "wlc"

// MaxPersistence is the longest persistence that is not cut on some kernel:
// it is kept in 32 bits of timer ticks, of which there are up to 1000 a second.
const MaxPersistence = (1<<32 - 1) / 1000 * time.Second

// maxName is the longest name of a scheduler or persistence engine: the
// kernel's buffers have 16 bytes with the closing NUL.
const maxName = 15

// Normalized returns s in the form in which equal configurations compare
// equal with ==: the default scheduler is named, persistence is in whole
// seconds, a full prefix is 0 and so is the prefix of a service without
// persistence.
func (s Service) Normalized() Service {
	s.Key = s.Key.canonical()
	if s.Scheduler == "" {
		s.Scheduler = DefaultScheduler
	}
	s.Persistence = roundUpSeconds(s.Persistence)
	if s.Persistence == 0 || s.PersistencePrefix == s.fullPrefix() {
		s.PersistencePrefix = 0
	}
	return s
}

func (s Service) fullPrefix() int {
	if s.Key.Is6() {
		return 128
	}
	return 32
}

// roundUpSeconds rounds up, so that a short time does not become zero, which
// means off.
func roundUpSeconds(d time.Duration) time.Duration {
	if r := d % time.Second; r > 0 {
		return d - r + time.Second
	}
	return d
}

// Validate reports what no kernel would take, or would take for something
// else. It wraps the errno that the kernel has for it (EINVAL). Whether the
// scheduler exists is left to the kernel to answer.
func (s Service) Validate() error {
	if err := validateServiceKey(s.Key); err != nil {
		return err
	}
	if err := validateName("scheduler", s.Scheduler); err != nil {
		return err
	}
	if err := validateName("persistence engine", s.Engine); err != nil {
		return err
	}
	switch {
	case s.Flags&(flagPersistent|flagHashed) != 0:
		return fmt.Errorf("service flags %v: bits 0x1 and 0x2 are the kernel's own, set the persistence instead: %w", s.Flags, syscall.EINVAL)
	case s.Persistence < 0 || s.Persistence > MaxPersistence:
		return fmt.Errorf("persistence %v: want 0..%v: %w", s.Persistence, MaxPersistence, syscall.EINVAL)
	case s.PersistencePrefix < 0 || s.PersistencePrefix > s.fullPrefix():
		return fmt.Errorf("persistence prefix %d: want 1..%d, or 0 for single clients: %w", s.PersistencePrefix, s.fullPrefix(), syscall.EINVAL)
	}
	return nil
}

func validateName(what, name string) error {
	if len(name) > maxName || strings.IndexByte(name, 0) >= 0 {
		return fmt.Errorf("%s %q: want at most %d characters and no NUL: %w", what, name, maxName, syscall.EINVAL)
	}
	return nil
}
