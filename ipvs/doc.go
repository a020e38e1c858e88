// Package ipvs speaks with the kernel's IP Virtual Server: it reads and
// changes the table of virtual services and their destinations.
//
// # Concepts
//
// Three things are kept apart. Keys identify: a [ServiceKey] is an address
// with protocol and port or a firewall mark, a [DestinationKey] an address
// with port within a service. [Service] and [Destination] configure.
// [ServiceState] and [DestinationState] observe, with counters. A [Table] is
// a whole configuration, a [Snapshot] a whole observation.
//
// [Diff] compares two tables and returns the least [Change] list from one to
// the other; it is pure, and a change prints in an operator's words, so a dry
// run is a loop. [Client.Apply] carries changes out, hundreds in one system
// call. Going that way instead of through a flush keeps connections and
// counters, and never touches services that others own.
//
// [Converge] reads, compares and applies once, and repairs what was lost on
// the way. A [Reconciler] keeps a wanted table in force: it applies changes of
// it, puts right what others changed, drains what leaves, and remembers over
// restarts which services are ours.
//
// # The client
//
// [Dial] opens a [Client] on the table of one network namespace. It needs
// Linux and, from the first command on, CAP_NET_ADMIN in the initial user
// namespace. On other systems everything but the dialling works: keys,
// tables, differences, texts and JSON.
//
// A kernel only replaces services and destinations as a whole.
// [Client.SetService] and [Client.SetDestination] do that;
// [Client.UpdateService] and [Client.UpdateDestination] change a part and read
// the rest first, which their documentation prices. [ProbeFeatures] finds out
// by trying what the running kernel can do.
//
// The kernel tells nobody when its table changes, gives no consistent view of
// it while it does, and undoes no part of a list of changes. So a program
// that owns services should read, compare and apply from time to time, and
// after [ErrStateUnknown]; that is level-triggered and repairs what others
// changed.
//
// # Errors
//
// Every failure is an [*OpError] that names command, service and destination,
// explains the errno by the command, and hints at a cure; [errors.Is] finds
// the meaning ([ErrServiceNotFound] and its sisters), the standard library's
// ([io/fs.ErrNotExist]) and the raw errno. A list of changes fails with an
// [*ApplyError] that counts what happened.
//
// # Beyond
//
// Health checks, failover and lvs.cf live elsewhere: this package knows the
// kernel and nothing of them. Package ipvsadm reads and writes the rule text of
// that program, package procfs what IPVS tells through /proc: the connection
// table, totals and sysctls. Package ipvstest has an in-memory kernel for
// tests, package userspace carries the same Table over ordinary sockets.
package ipvs
