package procfs

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Sysctl describes a sysctl.
type Sysctl struct {
	Name Name
	Kind Kind
	// Min and Max bound the number, or each of the two of a KindThreshold.
	Min, Max int64
	// Default is the kernel's; empty where it depends on the machine.
	Default Value
	// Meaning says what it does.
	Meaning string
	// Since tells when and where it is present; empty for all kernels from
	// 4.19 on. The table was compared with Linux 6.1 and 6.12 only, so take
	// versions as a hint, and look whether it is there.
	Since string
}

// Kind is the type of a sysctl.
type Kind uint8

// The kinds of sysctls.
const (
	// KindText is one that this package does not know.
	KindText Kind = iota
	// KindBool is off at 0. The kernel takes other numbers than 1 for on.
	KindBool
	// KindInt is a number.
	KindInt
	// KindMode is a defence: 0 off, 3 always, 1 and 2 automatic. The kernel
	// makes 2 of 1 when memory runs short, and 1 of 2 after that.
	KindMode
	// KindSeconds is a time in seconds.
	KindSeconds
	// KindPowerOfTwo is a number that is one.
	KindPowerOfTwo
	// KindThreshold is the pair of [ThresholdValue].
	KindThreshold
	// KindCPUList is a list of processors such as "0-3,8".
	KindCPUList
)

var kindNames = [...]string{"text", "bool", "int", "mode", "seconds", "power-of-two", "threshold", "cpulist"}

// String returns the kind's name, such as "bool".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind-%d", uint8(k))
}

// MarshalText writes the same text as String.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (k *Kind) UnmarshalText(text []byte) error {
	if i := slices.Index(kindNames[:], string(text)); i >= 0 {
		*k = Kind(i)
		return nil
	}
	var n uint8
	if _, err := fmt.Sscanf(string(text), "kind-%d", &n); err != nil {
		return fmt.Errorf("kind of sysctl %q: want one of %s", text, strings.Join(kindNames[:], ", "))
	}
	*k = Kind(n)
	return nil
}

// The sysctls that the package knows. [KnownSysctls] says what they do.
const (
	AlwaysDropRate          Name = "am_droprate"
	AvailableMemory         Name = "amemthresh"
	BackupOnly              Name = "backup_only"
	CacheBypass             Name = "cache_bypass"
	ConnLoadFactor          Name = "conn_lfactor"
	ConnMax                 Name = "conn_max"
	ConnReuseMode           Name = "conn_reuse_mode"
	Conntrack               Name = "conntrack"
	DebugLevel              Name = "debug_level"
	DropEntry               Name = "drop_entry"
	DropPacket              Name = "drop_packet"
	EstimatorCPUs           Name = "est_cpulist"
	EstimatorNice           Name = "est_nice"
	ExpireNoDestConn        Name = "expire_nodest_conn"
	ExpireQuiescentTemplate Name = "expire_quiescent_template"
	IgnoreTunneled          Name = "ignore_tunneled"
	LBLCExpiration          Name = "lblc_expiration"
	LBLCRExpiration         Name = "lblcr_expiration"
	NATICMPSend             Name = "nat_icmp_send"
	PMTUDiscovery           Name = "pmtu_disc"
	RunEstimation           Name = "run_estimation"
	ScheduleICMP            Name = "schedule_icmp"
	SecureTCP               Name = "secure_tcp"
	SloppySCTP              Name = "sloppy_sctp"
	SloppyTCP               Name = "sloppy_tcp"
	SNATReroute             Name = "snat_reroute"
	ServiceLoadFactor       Name = "svc_lfactor"
	SyncPersistMode         Name = "sync_persist_mode"
	SyncPorts               Name = "sync_ports"
	SyncQueueMax            Name = "sync_qlen_max"
	SyncRefreshPeriod       Name = "sync_refresh_period"
	SyncRetries             Name = "sync_retries"
	SyncSocketSize          Name = "sync_sock_size"
	SyncThreshold           Name = "sync_threshold"
	SyncVersion             Name = "sync_version"
)

const (
	maxInt = math.MaxInt32
	// maxSeconds is what fits the kernel's number of ticks at 100 a second,
	// the fewest; with more it is stricter itself.
	maxSeconds = math.MaxInt32 / 100
)

// sysctls is the one table of them, by name. Ranges and defaults are those of
// net/netfilter/ipvs/ip_vs_ctl.c in Linux 6.12 where that checks; where it
// takes any number, those that mean something.
var sysctls = []Sysctl{
	{AlwaysDropRate, KindInt, 0, maxInt, "10", "in mode 3 of drop_packet one packet of so many is dropped", ""},
	{AvailableMemory, KindInt, 0, maxInt, "1024", "free memory, in pages, below which the automatic defences act", ""},
	{BackupOnly, KindBool, 0, 1, "0", "direct nothing while the backup sync daemon runs, against packet loops", ""},
	{CacheBypass, KindBool, 0, 1, "0", "without a server, forward to the original address (transparent caches)", ""},
	{ConnLoadFactor, KindInt, -8, 8, "-4", "load at which the table of connections grows, as a power of two", "Linux 7.1"},
	{ConnMax, KindInt, 0, 1 << 30, "", "limit of connections", "proposed in 2026, after Linux 7.1"},
	{ConnReuseMode, KindInt, 0, 3, "1", "schedule anew when a client reuses a port: 0 never, 1 when it is safe, 2 also in FIN_WAIT (bits)", ""},
	{Conntrack, KindBool, 0, 1, "0", "keep netfilter's connection tracking entries, for stateful rules", "built with CONFIG_IP_VS_NFCT"},
	{DebugLevel, KindInt, 0, maxInt, "0", "how much is logged; read-only but in the initial namespace", "built with CONFIG_IP_VS_DEBUG"},
	{DropEntry, KindMode, 0, 3, "0", "defence: drop half-open connections at random", ""},
	{DropPacket, KindMode, 0, 3, "0", "defence: drop packets before they reach a server", ""},
	{EstimatorCPUs, KindCPUList, 0, 0, "", "processors of the estimator threads, empty stops them; by default those for housekeeping", "Linux 6.2"},
	{EstimatorNice, KindInt, -20, 19, "0", "nice value of the estimator threads", "Linux 6.2"},
	{ExpireNoDestConn, KindBool, 0, 1, "0", "expire a connection at once when its server is gone, instead of dropping its packets", ""},
	{ExpireQuiescentTemplate, KindBool, 0, 1, "0", "give persistent clients of a server with weight 0 another one", ""},
	{IgnoreTunneled, KindBool, 0, 1, "0", "leave packets of unknown protocols, such as tunnels, alone", ""},
	{LBLCExpiration, KindSeconds, 0, maxSeconds, "86400", "idle time after which the scheduler lblc forgets an address", "while the module ip_vs_lblc is loaded"},
	{LBLCRExpiration, KindSeconds, 0, maxSeconds, "86400", "time after which the scheduler lblcr takes a server out of an address's set", "while the module ip_vs_lblcr is loaded"},
	{NATICMPSend, KindBool, 0, 1, "0", "answer a server's packets that belong to no connection with ICMP unreachable", ""},
	{PMTUDiscovery, KindBool, 0, 1, "1", "refuse packets that are too large and must not be fragmented", ""},
	{RunEstimation, KindBool, 0, 1, "1", "estimate rates and update counters; off freezes both", "Linux 5.16 (some vendors' earlier)"},
	{ScheduleICMP, KindBool, 0, 1, "0", "schedule connections by ICMP errors too", ""},
	{SecureTCP, KindMode, 0, 3, "0", "defence: a stricter table of TCP states", ""},
	{SloppySCTP, KindBool, 0, 1, "0", "make SCTP connections of any packet, not only of the first of one", ""},
	{SloppyTCP, KindBool, 0, 1, "0", "make TCP connections of any packet, not only of the first of one", ""},
	{SNATReroute, KindBool, 0, 1, "1", "route the answers of NAT servers as if this machine had sent them", ""},
	{ServiceLoadFactor, KindInt, -8, 8, "-3", "load at which the table of services grows, as a power of two", "Linux 7.1"},
	{SyncPersistMode, KindInt, 0, 1, "0", "1 synchronizes the templates of persistent services instead of their connections", ""},
	{SyncPorts, KindPowerOfTwo, 1, 1 << 30, "1", "threads of a sync daemon, each with its own UDP port from 8848 on", ""},
	{SyncQueueMax, KindInt, 0, math.MaxInt64, "", "limit of sync messages that wait to be sent; by default the pages of memory / 32", ""},
	{SyncRefreshPeriod, KindSeconds, 0, maxSeconds, "0", "synchronize an unchanged connection when its timer has moved by this", ""},
	{SyncRetries, KindInt, 0, 3, "0", "how often a sync message is repeated", ""},
	{SyncSocketSize, KindInt, 0, maxInt, "0", "buffer of the sync daemon's socket; 0 is the system's default", ""},
	{SyncThreshold, KindThreshold, 0, maxInt, "3 50", "number of packets at which a connection is synchronized, and after how many again", ""},
	{SyncVersion, KindInt, 0, 1, "1", "version of the sync protocol to send", ""},
}

// KnownSysctls returns the table of sysctls, ordered by name.
func KnownSysctls() []Sysctl {
	known := slices.Clone(sysctls)
	slices.SortFunc(known, func(a, b Sysctl) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return known
}

// LookupSysctl returns the description of a sysctl. One that is not known is
// a KindText without a meaning.
func LookupSysctl(name Name) (s Sysctl, known bool) {
	if i := slices.IndexFunc(sysctls, func(s Sysctl) bool { return s.Name == name }); i >= 0 {
		return sysctls[i], true
	}
	return Sysctl{Name: name}, false
}
