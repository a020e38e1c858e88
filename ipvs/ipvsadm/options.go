package ipvsadm

import "slices"

// argument tells whether an option has a value.
type argument uint8

const (
	none argument = iota
	required
	optional // the next word, unless that starts with a dash
)

// optionID indexes what was seen on a command line. Options that exclude each
// other because they say the same thing share one.
type optionID uint8

const (
	optVerb optionID = iota
	optService
	optIPv6
	optScheduler
	optSchedFlags
	optPersistent
	optNetmask
	optEngine
	optOnePacket
	optServer
	optForward
	optWeight
	optUpper
	optLower
	optTunType
	optTunPort
	optTunNoCsum
	optTunCsum
	optTunRemCsum
	optNumeric
	optConnection
	optExact
	optStats
	optRate
	optThresholds
	optPersistentConn
	optTunInfo
	optTimeout
	optDaemon
	optSort
	optNoSort
	optSyncID
	optSyncMaxLen
	optMcastInterface
	optMcastGroup
	optMcastPort
	optMcastTTL
	optionIDs
)

// option is one row of the table below.
type option struct {
	id    optionID
	long  string
	short byte // 0: none
	arg   argument
	want  string // what the value is, in words
	verb  Verb   // of optVerb
	with  verbs  // the verbs it goes with
	// again tells that it may be repeated, which then means nothing.
	again bool
}

// flag returns the option as it is written on a command line, the short form
// if there is one.
func (o *option) flag() string {
	if o.short != 0 {
		return string([]byte{'-', o.short})
	}
	return "--" + o.long
}

// options are those of ipvsadm 1.31; the real program was asked what goes
// with what.
var options = []option{
	{verb: AddService, long: "add-service", short: 'A'},
	{verb: EditService, long: "edit-service", short: 'E'},
	{verb: DeleteService, long: "delete-service", short: 'D'},
	{verb: Clear, long: "clear", short: 'C'},
	{verb: AddServer, long: "add-server", short: 'a'},
	{verb: EditServer, long: "edit-server", short: 'e'},
	{verb: DeleteServer, long: "delete-server", short: 'd'},
	{verb: List, long: "list", short: 'L'},
	{verb: List, long: "list", short: 'l'},
	{verb: Zero, long: "zero", short: 'Z'},
	{verb: Save, long: "save", short: 'S'},
	{verb: Restore, long: "restore", short: 'R'},
	{verb: SetTimeouts, long: "set", arg: required, want: "three timeouts in seconds, TCP TCPFIN UDP"},
	{verb: StartDaemon, long: "start-daemon", arg: required, want: "master or backup"},
	{verb: StopDaemon, long: "stop-daemon", arg: required, want: "master or backup"},
	{verb: Help, long: "help", short: 'h'},
	{verb: Version, long: "version", short: 'v'},

	{id: optService, long: "tcp-service", short: 't', arg: required, want: "HOST:PORT", with: onService},
	{id: optService, long: "udp-service", short: 'u', arg: required, want: "HOST:PORT", with: onService},
	{id: optService, long: "sctp-service", arg: required, want: "HOST:PORT", with: onService},
	{id: optService, long: "fwmark-service", short: 'f', arg: required, want: "a firewall mark, 1..4294967295", with: onService},
	{id: optIPv6, long: "ipv6", short: '6', with: onService, again: true},

	{id: optScheduler, long: "scheduler", short: 's', arg: required, want: "the name of a scheduler", with: onServiceSettings},
	{id: optSchedFlags, long: "sched-flags", short: 'b', arg: required, want: "names of flags with commas between", with: onServiceSettings},
	{id: optPersistent, long: "persistent", short: 'p', arg: optional, want: "seconds, 1..2678400", with: onServiceSettings},
	{id: optNetmask, long: "netmask", short: 'M', arg: required, want: "an IPv4 netmask such as 255.255.255.0, or an IPv6 prefix length 1..128", with: onServiceSettings},
	{id: optEngine, long: "pe", arg: required, want: "the name of a persistence engine", with: onServiceSettings},
	{id: optOnePacket, long: "ops", short: 'o', with: onServiceSettings},

	{id: optServer, long: "real-server", short: 'r', arg: required, want: "HOST or HOST:PORT", with: onServer},
	{id: optForward, long: "gatewaying", short: 'g', with: onServerSettings},
	{id: optForward, long: "ipip", short: 'i', with: onServerSettings},
	{id: optForward, long: "masquerading", short: 'm', with: onServerSettings},
	{id: optWeight, long: "weight", short: 'w', arg: required, want: "a number 0..2147483647", with: onServerSettings},
	{id: optUpper, long: "u-threshold", short: 'x', arg: required, want: "a number 0..2147483647", with: onServerSettings},
	{id: optLower, long: "l-threshold", short: 'y', arg: required, want: "a number 0..2147483647", with: onServerSettings},
	{id: optTunType, long: "tun-type", arg: required, want: "ipip, gue or gre", with: onServerSettings},
	{id: optTunPort, long: "tun-port", arg: required, want: "a port 1..65535", with: onServerSettings},
	{id: optTunNoCsum, long: "tun-nocsum", with: onServerSettings},
	{id: optTunCsum, long: "tun-csum", with: onServerSettings},
	{id: optTunRemCsum, long: "tun-remcsum", with: onServerSettings},

	{id: optNumeric, long: "numeric", short: 'n', with: onList | 1<<Save},
	{id: optConnection, long: "connection", short: 'c', with: onList},
	{id: optExact, long: "exact", with: onList},
	{id: optStats, long: "stats", with: onList},
	{id: optRate, long: "rate", with: onList},
	{id: optThresholds, long: "thresholds", with: onList},
	{id: optPersistentConn, long: "persistent-conn", with: onList},
	{id: optTunInfo, long: "tun-info", with: onList},
	{id: optTimeout, long: "timeout", with: onList},
	{id: optDaemon, long: "daemon", with: onList},
	{id: optSort, long: "sort", with: onEverything, again: true},
	{id: optNoSort, long: "nosort", with: onList},

	// The real program takes a sync id where it means nothing, too.
	{id: optSyncID, long: "syncid", arg: required, want: "a number 0..255", with: 1<<StartDaemon | 1<<StopDaemon | onList},
	{id: optSyncMaxLen, long: "sync-maxlen", arg: required, want: "bytes, 1..65507", with: 1 << StartDaemon},
	{id: optMcastInterface, long: "mcast-interface", arg: required, want: "the name of a network device", with: 1 << StartDaemon},
	{id: optMcastGroup, long: "mcast-group", arg: required, want: "an IPv4 or IPv6 multicast address", with: 1 << StartDaemon},
	{id: optMcastPort, long: "mcast-port", arg: required, want: "a port 1..65535", with: 1 << StartDaemon},
	{id: optMcastTTL, long: "mcast-ttl", arg: required, want: "a number 1..255", with: 1 << StartDaemon},
}

const (
	onServiceSettings verbs = 1<<AddService | 1<<EditService
	onServerSettings  verbs = 1<<AddServer | 1<<EditServer
	onServer                = onServerSettings | 1<<DeleteServer
	onService               = onServiceSettings | 1<<DeleteService | onServer | onList | 1<<Zero
	onList            verbs = 1 << List
	onEverything            = ^verbs(0)
)

// byShort finds an option by its letter, as index into options plus one.
var byShort = func() (t [128]uint8) {
	for i := range options {
		if c := options[i].short; c != 0 {
			t[c] = uint8(i + 1)
		}
	}
	return t
}()

func shortOption(c byte) *option {
	if c < 128 && byShort[c] != 0 {
		return &options[byShort[c]-1]
	}
	return nil
}

func longOption(name string) *option {
	i := slices.IndexFunc(options, func(o option) bool { return o.long == name })
	if i < 0 {
		return nil
	}
	return &options[i]
}

// nearLong returns the long option that name may have been meant for, or
// nothing.
func nearLong(name string) string {
	best, distance := "", 1+len(name)/3
	for i := range options {
		long := options[i].long
		// A cut name ("--real") is worth as much as a misspelt one.
		d := editDistance(name, long, distance)
		if len(name) > 2 && len(long) > len(name) && long[:len(name)] == name {
			d = 1
		}
		if d < distance || d == distance && best == "" {
			best, distance = long, d
		}
	}
	return best
}
