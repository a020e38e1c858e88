// Package procfs reads what the kernel's IP Virtual Server tells through
// /proc, and sets its sysctls: the connection table, the totals, the
// application helpers, the state of its hash tables, and net.ipv4.vs.*.
//
// None of it goes over netlink. Reading needs no rights beyond those of the
// files: where /proc/net is open to all, so is the connection table.
//
// # Reading a namespace
//
// [Open] gives the files of one network namespace without moving the
// caller's thread there. Its methods open, read and close a file each; what
// reads them is pure and works on any system and any [io.Reader], such as a
// file that someone sent:
//
//	for c, err := range procfs.ParseConnections(file) { ... }
//
// The calls take no context: reading these files never waits for anything,
// and whoever ranges over connections may break at any row.
//
// # Sysctls
//
// [Sysctls] holds those that are present, as a map, since absent is not zero:
// which there are depends on the kernel's version, on its build, on loaded
// modules, and on the user namespace. [KnownSysctls] is the table of all that
// this package knows, with type, range, default and meaning; names that it
// does not know are read, compared and restored as text. [DiffSysctls] is
// pure and prints in an operator's words.
//
// # Beyond
//
// Services, destinations and their counters are in package ipvs, over
// netlink, which tells more of them than /proc/net/ip_vs does.
package procfs
