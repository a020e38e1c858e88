package lvscf

import (
	"net/netip"
	"time"
)

// DefaultMassFailure is the percentage that a missing mass_failure stands for.
const DefaultMassFailure = 50

// Config is what an lvs.cf says, with the daemons' defaults for what it does
// not say. [NewConfig] gives one with nothing but defaults. The fields carry
// the names of the directives in JSON; durations are whole seconds there.
//
// A Config is plain data: it may be read by several goroutines at once.
type Config struct {
	// Path is the name given to [Parse], for messages.
	Path string `json:"-"`

	// Serial counts changes of the file; no daemon reads it.
	Serial int64 `json:"serial_no"`
	// Primary and Backup are the real public addresses of the two routers.
	// Without a Backup there is none.
	Primary Host `json:"primary,omitzero"`
	Backup  Host `json:"backup,omitzero"`
	// PrimaryPrivate and BackupPrivate are as written; see [Config.PrivatePath].
	PrimaryPrivate Host `json:"primary_private,omitzero"`
	BackupPrivate  Host `json:"backup_private,omitzero"`
	// PrimaryShared and BackupShared name the shared disk of a failover
	// service, as each router sees it.
	PrimaryShared       string              `json:"primary_shared,omitempty"`
	BackupShared        string              `json:"backup_shared,omitempty"`
	ReservationConflict ReservationConflict `json:"reservation_conflict_action,omitzero"`
	// BackupActive tells that there is a backup router. As in Piranha it is
	// cleared when the file names none.
	BackupActive bool `json:"backup_active"`
	// Heartbeat is read by no daemon.
	Heartbeat bool `json:"heartbeat"`
	// HeartbeatPort is the UDP port of the heartbeats, 1..65535.
	HeartbeatPort uint16 `json:"heartbeat_port"`
	// Keepalive is the time between two heartbeats and Deadtime the silence
	// after which the partner is dead; whole seconds.
	Keepalive time.Duration `json:"keepalive"`
	Deadtime  time.Duration `json:"deadtime"`
	// Service says which blocks run: Virtuals or Failovers.
	Service Service `json:"service"`
	// RshCommand is the program that asks for the load when a virtual
	// service has load_monitor = uptime.
	RshCommand string `json:"rsh_command"`
	// Network is how packets reach all real servers; see [Config.ForwardOf].
	Network Network `json:"network"`
	// NATRouter is the floating inside address, used with [NAT] only.
	NATRouter  Router  `json:"nat_router,omitzero"`
	NATNetmask Netmask `json:"nat_nmask,omitzero"`
	// DebugLevel is read by no daemon.
	DebugLevel string `json:"debug_level"`
	// MonitorLinks watches the links that hold this router's addresses.
	MonitorLinks bool `json:"monitor_links"`
	// SyncDaemon runs the kernel's connection synchronisation, over
	// SyncdIface and with SyncdID.
	SyncDaemon bool   `json:"syncdaemon"`
	SyncdIface string `json:"syncd_iface"`
	SyncdID    uint8  `json:"syncd_id"`
	// TCPTimeout, TCPFinTimeout and UDPTimeout are the kernel's connection
	// timeouts in whole seconds; zero leaves the kernel's value alone.
	TCPTimeout    time.Duration `json:"tcp_timeout"`
	TCPFinTimeout time.Duration `json:"tcpfin_timeout"`
	UDPTimeout    time.Duration `json:"udp_timeout"`
	// HardShutdown ends everything when one monitor process dies.
	HardShutdown bool `json:"hard_shutdown"`
	// ActiveCmd and InactiveCmd run, split at blanks and without a shell,
	// when this router becomes active or inactive.
	ActiveCmd   string `json:"active_cmd,omitempty"`
	InactiveCmd string `json:"inactive_cmd,omitempty"`
	// Ipvsadm is the path of that program.
	Ipvsadm string `json:"ipvsadm"`
	// FileSync is read by no daemon.
	FileSync bool `json:"sync"`

	// The following are extensions; their zero values are what Piranha does.

	// Includes are the files that the file asks to be read in its place; who
	// loads the file reads them.
	Includes []string `json:"include,omitempty"`
	// FailoverMode is how the two routers agree on who is active, and VRRPs
	// are the blocks for [VRRPMode].
	FailoverMode FailoverMode `json:"failover_mode,omitzero"`
	VRRPs        []VRRP       `json:"vrrps,omitempty"`
	// HeartbeatPaths are ways between the routers besides the public and
	// the private one, HeartbeatKeyFile names the file with the key that
	// authenticates the heartbeats; empty is none.
	HeartbeatPaths   []HeartbeatPath `json:"heartbeat_path,omitempty"`
	HeartbeatKeyFile string          `json:"heartbeat_key_file,omitempty"`
	// Witness is asked by ping before the place of a silent partner is taken,
	// and FenceCmd is the program that makes sure that the partner does not
	// serve; the zero values are nobody and nothing.
	Witness  Host   `json:"witness,omitzero"`
	FenceCmd string `json:"fence_cmd,omitempty"`
	// FloatingAddresses move with the active router besides those of the
	// services; StaticAddresses are on each router all the time.
	FloatingAddresses []DeviceAddress `json:"floating_address,omitempty"`
	StaticAddresses   []DeviceAddress `json:"static_address,omitempty"`
	// Routes move with the active router. With [VRRPMode] each goes with the
	// vrrp block on its device, or else with the first one.
	Routes []Route `json:"route,omitempty"`
	Announcing
	// DrainTime is how long a server that leaves the configuration may keep
	// its connections; zero removes it at once.
	DrainTime time.Duration `json:"drain_time,omitzero"`
	// ControlTarget is asked by ping before failures are believed that are
	// more than MassFailure percent of the servers that were not down, all
	// within one interval; without a target every failure is believed.
	// MassFailure is 1..100, zero is [DefaultMassFailure].
	ControlTarget Host `json:"control_target,omitzero"`
	MassFailure   int  `json:"mass_failure,omitempty"`
	// SyncdGroup, SyncdPort, SyncdTTL and SyncdMaxLen shape the connection
	// synchronisation; zero values are the kernel's defaults.
	SyncdGroup  netip.Addr `json:"syncd_group,omitzero"`
	SyncdPort   uint16     `json:"syncd_port,omitempty"`
	SyncdTTL    uint8      `json:"syncd_ttl,omitempty"`
	SyncdMaxLen uint16     `json:"syncd_maxlen,omitempty"`
	// NotifyCmd is a program to run at each change of a router, service or
	// server, NotifyFIFO a named pipe that gets a line for each.
	NotifyCmd  string `json:"notify_cmd,omitempty"`
	NotifyFIFO string `json:"notify_fifo,omitempty"`

	// Virtuals and Failovers are the blocks in the order of the file.
	Virtuals  []Virtual `json:"virtuals"`
	Failovers []Virtual `json:"failovers,omitempty"`

	// Origins tells where the values stand in the file.
	Origins Origins `json:"-"`
}

// Virtual is a virtual block, or a failover block: they have the same
// directives. [NewVirtual] gives one with the daemons' defaults.
type Virtual struct {
	// Name is a label, no host name. Several blocks may share one.
	Name string `json:"name"`
	// Active blocks are set up, the others ignored.
	Active bool `json:"active"`
	// Address is the virtual address and Device the name (with an alias, as
	// in eth0:1) that carries it. Netmask goes with it; zero leaves the
	// choice to the system.
	Address Host    `json:"address,omitzero"`
	Device  string  `json:"device,omitempty"`
	Netmask Netmask `json:"vip_nmask,omitzero"`
	// SorryServer takes the traffic when no real server is up; the zero
	// value is none.
	SorryServer netip.Addr `json:"sorry_server,omitzero"`
	// FWMark, when not zero, selects packets by firewall mark instead of
	// address and port.
	FWMark uint32 `json:"fwmark,omitempty"`
	// Port is the virtual port, 1..65535, also the port of the checks. Zero,
	// an extension, is every port.
	Port      uint16    `json:"port"`
	Protocol  Protocol  `json:"protocol"`
	Scheduler Scheduler `json:"scheduler"`
	// Persistent keeps a client on its server for so long; zero is off.
	// PMask groups clients by network; zero is each on its own.
	Persistent time.Duration `json:"persistent"`
	PMask      Netmask       `json:"pmask,omitzero"`
	// Send and Expect are the texts of the check, as written between the
	// quotes: escapes are turned by the check, with [Unescape]. An empty one
	// and a missing one differ only in Origins.
	Send   string `json:"send,omitempty"`
	Expect string `json:"expect,omitempty"`
	// UseRegex takes Expect as a POSIX extended regular expression.
	UseRegex bool `json:"use_regex"`
	// SendProgram is an external check, as written between the quotes. The
	// words %h and %p in it stand for the real server's address and port.
	SendProgram string `json:"send_program,omitempty"`
	// LoadMonitor is none, rup, ruptime, uptime, a program that gets the
	// server's address (in place of %h, or as its last argument), or a URL
	// with %h for the server's address; empty is none.
	LoadMonitor string `json:"load_monitor,omitempty"`
	// Timeout is the interval of the checks and the limit of each of their
	// steps; whole seconds, at least one.
	Timeout time.Duration `json:"timeout"`
	// Reentry is how long a failed server must be good again.
	Reentry time.Duration `json:"reentry"`
	// QuiesceServer gives a failed server weight 0 instead of removing it.
	QuiesceServer bool `json:"quiesce_server"`
	// ClientMonitor is the program to run in place of nanny.
	ClientMonitor string `json:"client_monitor"`
	// Master and Dirs belong to a file copy that no daemon does any more.
	Master Host     `json:"master,omitzero"`
	Dirs   []string `json:"dirs,omitempty"`
	// StartCmd and StopCmd run a failover service, as written between the
	// quotes.
	StartCmd string `json:"start_cmd,omitempty"`
	StopCmd  string `json:"stop_cmd,omitempty"`

	// The following are extensions; their zero values are what Piranha does.

	// Forward is how packets reach the servers of this block; nil is the
	// Network of the configuration. See [Config.ForwardOf].
	Forward *Network `json:"forward,omitempty"`
	// Tunneling shapes the packets of the tunnel method.
	Tunneling
	// SchedulerFlags are options of the scheduler. OnePacket forgets each
	// UDP packet's server at once. PersistenceEngine names a kernel module
	// that tells clients apart, such as sip; empty is by address.
	SchedulerFlags    SchedulerFlags `json:"scheduler_flags,omitzero"`
	OnePacket         bool           `json:"one_packet,omitempty"`
	PersistenceEngine string         `json:"persistence_engine,omitempty"`
	// VRRP names the vrrp block that Address moves with; empty is the only
	// one.
	VRRP string `json:"vrrp,omitempty"`
	// Check asks a question of this kind with all its defaults, and Checks
	// are those with options; see [Virtual.ChecksOf].
	Check  CheckKind `json:"check,omitempty"`
	Checks []Check   `json:"checks,omitempty"`
	// Timing says how often and how patiently to ask.
	Timing
	// StartState counts before the first answers.
	StartState StartState `json:"start_state,omitzero"`
	// SlowStart is how long the weight of a server that comes up climbs.
	SlowStart time.Duration `json:"slow_start,omitzero"`
	// Quorum is the sum of the live weights that the service needs; zero is
	// 1. It is gained at Quorum + QuorumHysteresis, and lost below Quorum -
	// QuorumHysteresis or at zero; the sorry servers serve while it is lost.
	Quorum           int `json:"quorum,omitempty"`
	QuorumHysteresis int `json:"quorum_hysteresis,omitempty"`
	// QuorumUpCmd and QuorumDownCmd run when the quorum is gained and lost.
	QuorumUpCmd   string `json:"quorum_up_cmd,omitempty"`
	QuorumDownCmd string `json:"quorum_down_cmd,omitempty"`
	// DownOnStop runs the commands for down when the director stops.
	DownOnStop bool `json:"down_on_stop,omitempty"`

	Servers []Server `json:"servers,omitempty"`

	// Pos is where the block is opened.
	Pos Pos `json:"-"`
	// Origins tells where the values stand in the file.
	Origins Origins `json:"-"`
}

// Server is a real server of a virtual service. [NewServer] gives one with the
// daemons' defaults.
type Server struct {
	// Name is a label, no host name.
	Name    string `json:"name"`
	Address Host   `json:"address,omitzero"`
	// Active servers are checked and used, the others ignored.
	Active bool `json:"active"`
	// Port is the real port, 1..65535, or 0 with a virtual port of 0. A server without a port directive has
	// the virtual port that was set above it in the file.
	Port uint16 `json:"port"`
	// Weight is 0 or more; zero gives no new connections.
	Weight int `json:"weight"`

	// The following are extensions; their zero values are what Piranha does.

	// Sorry servers take the traffic when no other one is up, or the quorum
	// is lost; there may be several.
	Sorry bool `json:"sorry,omitempty"`
	// Maintenance servers take no new connections, whatever their checks say.
	Maintenance bool `json:"maintenance,omitempty"`
	// Forward is how packets reach this server; nil is as for the virtual
	// block. See [Config.ForwardOf].
	Forward *Network `json:"forward,omitempty"`
	// Tunneling shapes the packets of the tunnel method. The virtual block's
	// counts when this one says nothing at all; see [Virtual.TunnelOf].
	Tunneling
	// UpperThreshold is the number of connections above which the server
	// takes no new ones, and LowerThreshold that below which it takes them
	// again; zero is no limit, and three quarters of the upper one.
	UpperThreshold uint32 `json:"upper_threshold,omitempty"`
	LowerThreshold uint32 `json:"lower_threshold,omitempty"`
	// QuiesceServer gives this server weight 0 when it fails, or removes it;
	// nil is as in the virtual block.
	QuiesceServer *bool `json:"quiesce_server,omitempty"`
	// SlowStart is how long its weight climbs; zero is as in the virtual
	// block.
	SlowStart time.Duration `json:"slow_start,omitzero"`
	// UpCmd and DownCmd run when the server comes up and goes down.
	UpCmd   string `json:"up_cmd,omitempty"`
	DownCmd string `json:"down_cmd,omitempty"`
	// Check and Checks are asked in place of the virtual block's; see
	// [Virtual.ChecksOf].
	Check  CheckKind `json:"check,omitempty"`
	Checks []Check   `json:"checks,omitempty"`

	// Pos is where the block is opened.
	Pos Pos `json:"-"`
	// Origins tells where the values stand in the file.
	Origins Origins `json:"-"`
}

// Tunneling shapes the packets of the tunnel method, an extension. The zero
// value is plain IPIP.
type Tunneling struct {
	TunnelType TunnelType `json:"tunnel_type,omitzero"`
	// TunnelPort is the UDP port of GUE, which needs one.
	TunnelPort     uint16         `json:"tunnel_port,omitempty"`
	TunnelChecksum TunnelChecksum `json:"tunnel_checksum,omitzero"`
}

// Host is an address, or a name that was not looked up yet. The zero value is
// no host; a file writes that as 0.0.0.0 where it is allowed.
type Host struct {
	// Name is set when the file has a name in place of an address.
	Name string `json:"name,omitempty"`
	// Addr is the address, IPv4 or, an extension, IPv6; it is invalid for a
	// name until [Config.Resolve] finds it.
	Addr netip.Addr `json:"addr,omitzero"`
}

// IsZero reports whether there is no host at all.
func (h Host) IsZero() bool { return h == Host{} }

// String returns the name if there is one, else the address, else "".
func (h Host) String() string {
	if h.Name != "" {
		return h.Name
	}
	if h.Addr.IsValid() {
		return h.Addr.String()
	}
	return ""
}

// Router is the floating inside address of a NAT set-up and its device.
type Router struct {
	Address Host   `json:"address,omitzero"`
	Device  string `json:"device,omitempty"`
}

// Origin tells where a directive stands.
type Origin struct {
	// Directive is its name in the file.
	Directive string
	Pos       Pos
	// Refused tells that the line had an error, so the value is not from it.
	Refused bool
}

// Origins lists the directives met in a block, each once, in the order of
// their first appearance; Pos is that of the last.
type Origins []Origin

// Pos returns where a directive stands, the zero value if it is not there.
func (o Origins) Pos(directive string) Pos {
	for _, e := range o {
		if e.Directive == directive {
			return e.Pos
		}
	}
	return Pos{}
}

// Has reports whether the directive is in the file.
func (o Origins) Has(directive string) bool { return o.Pos(directive).IsValid() }

func (o Origins) refused(directive string) bool {
	for _, e := range o {
		if e.Directive == directive {
			return e.Refused
		}
	}
	return false
}

func (o *Origins) set(directive string, pos Pos, refused bool) {
	for i := range *o {
		if e := &(*o)[i]; e.Directive == directive {
			e.Pos, e.Refused = pos, refused
			return
		}
	}
	*o = append(*o, Origin{directive, pos, refused})
}

// NewConfig returns a configuration with the daemons' defaults and no blocks.
// These differ from what Piranha's web tool fills in.
func NewConfig() *Config {
	return &Config{
		HeartbeatPort: 539,
		Keepalive:     2 * time.Second,
		Deadtime:      5 * time.Second,
		RshCommand:    "rsh",
		DebugLevel:    "NONE",
		SyncdIface:    "eth0",
		HardShutdown:  true,
		Ipvsadm:       "/sbin/ipvsadm",
	}
}

// NewVirtual returns a virtual block with the daemons' defaults.
func NewVirtual(name string) Virtual {
	return Virtual{
		Name:          name,
		Port:          80,
		Protocol:      TCP,
		Scheduler:     WeightedLeastConnection,
		Timeout:       10 * time.Second,
		Reentry:       defaultReentry,
		ClientMonitor: "/usr/sbin/nanny",
	}
}

// defaultReentry also replaces a reentry of 0.
const defaultReentry = 180 * time.Second

// NewServer returns a server block with the daemons' defaults, for a virtual
// service of the given port.
func NewServer(name string, port uint16) Server {
	return Server{Name: name, Port: port, Weight: 1}
}

// PrivatePath returns the two ends of the second heartbeat path. As in
// Piranha there is one only when the file has primary_private; without that
// line a backup_private has no effect.
func (c *Config) PrivatePath() (primary, backup Host, ok bool) {
	if c.PrimaryPrivate.IsZero() || c.BackupPrivate.IsZero() {
		return Host{}, Host{}, false
	}
	return c.PrimaryPrivate, c.BackupPrivate, true
}

// ForwardOf returns how packets reach a server of a virtual service: as the
// server says, or else its virtual block, or else network.
func (c *Config) ForwardOf(v *Virtual, s *Server) Network {
	switch {
	case s != nil && s.Forward != nil:
		return *s.Forward
	case v != nil && v.Forward != nil:
		return *v.Forward
	}
	return c.Network
}

// TunnelOf returns the tunnel of a server: its own if it says anything of it,
// or else the virtual block's.
func (v *Virtual) TunnelOf(s *Server) Tunneling {
	if s != nil && s.Tunneling != (Tunneling{}) {
		return s.Tunneling
	}
	return v.Tunneling
}

// QuiescesServer reports whether a failed server keeps its place with weight 0.
func (v *Virtual) QuiescesServer(s *Server) bool {
	if s != nil && s.QuiesceServer != nil {
		return *s.QuiesceServer
	}
	return v.QuiesceServer
}
