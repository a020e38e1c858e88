package ipvs

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// The meanings of errors, for [errors.Is]. The kernel uses one errno for
// several of them; which one is meant follows from the command, so they hold
// for an [*OpError] and not for a bare errno. Each also is the error of the
// standard library that its comment names.
var (
	// ErrServiceExists: the service to add is there already. Also [fs.ErrExist].
	ErrServiceExists error = &meaning{"service exists already", fs.ErrExist}
	// ErrServiceNotFound: the named service is not in the table. Also [fs.ErrNotExist].
	ErrServiceNotFound error = &meaning{"no such service", fs.ErrNotExist}
	// ErrDestinationExists: the destination to add is there already. Also [fs.ErrExist].
	ErrDestinationExists error = &meaning{"destination exists already", fs.ErrExist}
	// ErrDestinationNotFound: the service has no such destination. Also [fs.ErrNotExist].
	ErrDestinationNotFound error = &meaning{"no such destination", fs.ErrNotExist}
	// ErrSchedulerNotFound: the kernel has no such scheduler or persistence
	// engine, and no module for it. Also [fs.ErrNotExist].
	ErrSchedulerNotFound error = &meaning{"no such scheduler or persistence engine in this kernel", fs.ErrNotExist}
	// ErrSyncRunning: a sync daemon of the role runs already. Also [fs.ErrExist].
	ErrSyncRunning error = &meaning{"a sync daemon of this role runs already", fs.ErrExist}
	// ErrSyncNotRunning: no sync daemon of the role runs. Also [fs.ErrNotExist].
	ErrSyncNotRunning error = &meaning{"no sync daemon of this role runs", fs.ErrNotExist}
	// ErrNoInterface: the network device of a sync daemon is not there. Also
	// [fs.ErrNotExist].
	ErrNoInterface error = &meaning{"no such network device", fs.ErrNotExist}
	// ErrNotPermitted: the caller lacks CAP_NET_ADMIN in the initial user
	// namespace. Also [fs.ErrPermission].
	ErrNotPermitted error = &meaning{"not permitted", fs.ErrPermission}
	// ErrNoIPVS: the kernel has no IPVS, or its module is not loaded and was
	// not loaded on demand. Also [errors.ErrUnsupported].
	ErrNoIPVS error = &meaning{"this kernel offers no IPVS", errors.ErrUnsupported}
	// ErrInvalid: a value the kernel does not take. Also [fs.ErrInvalid].
	ErrInvalid error = &meaning{"invalid", fs.ErrInvalid}
	// ErrNotSupported: this kernel cannot do it. Also [errors.ErrUnsupported].
	ErrNotSupported error = &meaning{"not supported by this kernel", errors.ErrUnsupported}
	// ErrTableChanging: other programs changed the table each time that a long
	// listing was read, so that none could be known to be whole. Try again.
	ErrTableChanging error = &meaning{"the table kept changing while it was read", nil}
	// ErrStateUnknown: commands were sent and their answers were lost, so
	// they may or may not have been carried out. Read the table again before
	// deciding anything.
	ErrStateUnknown error = &meaning{"outcome unknown, read the table again", nil}
)

// meaning is a sentinel with the standard library's error of the same kind.
type meaning struct {
	text string
	kind error
}

func (m *meaning) Error() string { return m.text }
func (m *meaning) Unwrap() error { return m.kind }

// OpError is the failure of one command. Use [errors.Is] with the Err
// variables of this package to learn what it means, or with an errno (for
// example unix.EEXIST) for what the kernel said.
type OpError struct {
	// Op is the command that failed.
	Op Op
	// Service is the service it named, Destination the destination; zero
	// when it named none.
	Service     ServiceKey
	Destination DestinationKey
	// Err is the cause: a [syscall.Errno] as the kernel answered, or an
	// error that wraps one.
	Err error
}

// Error returns command, objects, meaning, cause and cure in one line.
func (e *OpError) Error() string {
	var b strings.Builder
	b.WriteString("ipvs: ")
	b.WriteString(e.Op.String())
	if e.Destination.IsValid() {
		fmt.Fprintf(&b, " %v of", e.Destination)
	}
	if e.Service != (ServiceKey{}) {
		fmt.Fprintf(&b, " %v", e.Service)
	}
	b.WriteString(": ")
	row := e.row()
	switch {
	case row.is == nil || errors.Is(e.Err, ErrStateUnknown):
		fmt.Fprint(&b, e.Err)
	case isBareErrno(e.Err):
		fmt.Fprintf(&b, "%v (%v)", row.is, e.Err)
	default:
		fmt.Fprint(&b, e.Err)
		return b.String() // a check of our own says it better than the hint
	}
	if row.hint != "" {
		b.WriteString("; ")
		b.WriteString(row.hint)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *OpError) Unwrap() error { return e.Err }

// Is reports whether target is what the errno means for this command.
func (e *OpError) Is(target error) bool {
	m := e.row().is
	return m != nil && errors.Is(m, target)
}

// Hint returns what may cure the error, empty when nothing is known.
func (e *OpError) Hint() string { return e.row().hint }

func isBareErrno(err error) bool {
	_, ok := err.(syscall.Errno)
	return ok
}

func (e *OpError) row() errnoRow {
	var errno syscall.Errno
	if !errors.As(e.Err, &errno) {
		return errnoRow{}
	}
	for _, r := range errnoTable {
		if r.errno == errno && (r.on == nil || r.on(e.Op)) {
			return r
		}
	}
	return errnoRow{}
}

// errnoRow is what one errno means for some commands.
type errnoRow struct {
	errno syscall.Errno
	on    func(Op) bool // nil: all commands
	is    error
	hint  string
}

func onServiceWrite(o Op) bool { return o == OpAddService || o == OpSetService }
func onDestination(o Op) bool  { return o.onDestination() }
func onSync(o Op) bool         { return o == OpStartSync || o == OpStopSync }
func onTimeouts(o Op) bool     { return o == OpSetTimeouts }
func onDial(o Op) bool         { return o == OpDial }

// errnoTable is the only place that translates the kernel's errors; the first
// row that fits counts. From net/netfilter/ipvs/ip_vs_ctl.c, and checked on
// Linux 6.1 and 6.12 by the conformance suite as far as a caller can cause
// them.
var errnoTable = []errnoRow{
	{syscall.EEXIST, onDestination, ErrDestinationExists, "it can be changed instead of added"},
	{syscall.EEXIST, onSync, ErrSyncRunning, "stop it first to start it with other settings"},
	{syscall.ESRCH, onSync, ErrSyncNotRunning, ""},
	{syscall.ENODEV, onSync, ErrNoInterface, "list the devices with: ip link"},
	{syscall.EINVAL, onSync, ErrInvalid, "the group must be multicast, and no service may have a destination of the other address family"},
	{syscall.ENETUNREACH, onSync, nil, "the device needs an address of the group's family"},
	{syscall.EADDRNOTAVAIL, onSync, nil, "the device needs an address of the group's family"},
	{syscall.EEXIST, nil, ErrServiceExists, "it can be changed instead of added"},
	{syscall.ESRCH, nil, ErrServiceNotFound, "list the services to see what is there"},
	{syscall.ENOENT, onDestination, ErrDestinationNotFound, "list the service's destinations to see what is there"},
	{syscall.ENOENT, onServiceWrite, ErrSchedulerNotFound, "check the names; their modules are ip_vs_SCHEDULER and ip_vs_pe_ENGINE"},
	{syscall.ENOENT, onDial, ErrNoIPVS, "the look-up has already made the kernel ask for the module ip_vs, and it did not come: module loading is off (often so in containers), the module is not installed, or the kernel is built without CONFIG_IP_VS; try modprobe ip_vs on the host, and a line ip_vs in /etc/modules-load.d to keep it"},
	{syscall.EPERM, nil, ErrNotPermitted, "it needs CAP_NET_ADMIN in the initial user namespace (root inside a user namespace or rootless container is not enough)"},
	{syscall.EACCES, nil, ErrNotPermitted, "it needs CAP_NET_ADMIN in the initial user namespace (root inside a user namespace or rootless container is not enough)"},
	{syscall.EINVAL, onDestination, ErrInvalid, "the address must be unicast and of the service's family (another family needs tunnel forwarding, without a sync daemon); in a namespace whose loopback is down no IPv4 address passes: ip link set lo up"},
	{syscall.EINVAL, onTimeouts, ErrInvalid, "a timeout must fit 31 bits of the kernel's timer ticks: 24 days at 1000 a second"},
	{syscall.EINVAL, nil, ErrInvalid, ""},
	{syscall.ERANGE, nil, ErrInvalid, "the weight must be 0..2147483647 and the lower threshold not above the upper one"},
	{syscall.EAFNOSUPPORT, nil, ErrNotSupported, "the kernel's IPVS has no IPv6, or IPv6 is off"},
	{syscall.EOPNOTSUPP, nil, ErrNotSupported, "the kernel does not know this command"},
	{syscall.EPROTONOSUPPORT, onDial, ErrNoIPVS, "the system offers no generic netlink"},
	{syscall.EBUSY, nil, nil, "another listing runs on the socket"},
	{syscall.EMSGSIZE, nil, nil, "the send buffer is too small: raise net.core.wmem_default"},
	{syscall.ENOBUFS, nil, nil, "the receive buffer overflowed: raise net.core.rmem_default"},
	{syscall.ENOPROTOOPT, nil, nil, "the kernel's IPVS module is being removed"},
	{syscall.ENOMEM, nil, nil, "the kernel is out of memory"},
}

// ApplyError tells how far a list of changes got. Its errors are found with
// [errors.Is] and [errors.As] too.
type ApplyError struct {
	// Applied counts the changes that the kernel carried out.
	Applied int
	// Failed are the changes that it, or a check before sending, refused, in
	// their order. The others are not affected by them.
	Failed []*OpError
	// Unknown counts the changes that were sent without their answer
	// arriving; then Cause is [ErrStateUnknown].
	Unknown int
	// Unsent counts the changes that were not tried, because of Cause or,
	// in [Client.ApplyUntilFailure], of the failure.
	Unsent int
	// Cause is why it ended early, nil when the kernel answered every change
	// that was tried.
	Cause error
}

// maxListed bounds the length of an error text.
const maxListed = 3

// Error returns the counts and the first failures.
func (e *ApplyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ipvs: apply changes: %d applied, %d failed", e.Applied, len(e.Failed))
	if e.Unknown > 0 {
		fmt.Fprintf(&b, ", %d unknown", e.Unknown)
	}
	if e.Unsent > 0 {
		fmt.Fprintf(&b, ", %d not sent", e.Unsent)
	}
	sep := ": "
	if e.Cause != nil {
		b.WriteString(sep)
		b.WriteString(strings.TrimPrefix(e.Cause.Error(), "ipvs: "))
		sep = "; "
	}
	for i, f := range e.Failed {
		b.WriteString(sep)
		if i == maxListed {
			fmt.Fprintf(&b, "and %d more", len(e.Failed)-i)
			break
		}
		b.WriteString(strings.TrimPrefix(f.Error(), "ipvs: "))
		sep = "; "
	}
	return b.String()
}

// Unwrap returns the cause, if any, and the failures.
func (e *ApplyError) Unwrap() []error {
	errs := make([]error, 0, 1+len(e.Failed))
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	for _, f := range e.Failed {
		errs = append(errs, f)
	}
	return errs
}
