// Package lvskit is the map of the house: it holds no code.
//
// lvskit builds and runs Linux Virtual Server load balancers, in the kernel's
// IPVS or over ordinary sockets, on one machine or on a pair. It re-creates
// Red Hat's Load Balancer Add-On (Piranha) as packages that are useful one by
// one:
//
//   - [github.com/lvskit/lvskit/ipvs] reads and changes the kernel's table:
//     a client, the difference of two tables, batches of changes, and a
//     reconciler that keeps a wanted table in force.
//   - [github.com/lvskit/lvskit/ipvs/ipvsadm] reads and writes the rule text
//     and the listings of that program.
//   - [github.com/lvskit/lvskit/ipvs/procfs] reads the connection table, the
//     totals and the sysctls of IPVS.
//   - [github.com/lvskit/lvskit/ipvs/ipvstest] is a kernel in memory, for
//     tests of programs that use it.
//   - [github.com/lvskit/lvskit/ipvs/userspace] carries the same table over
//     ordinary sockets: any system, no root.
//   - [github.com/lvskit/lvskit/sched] holds the kernel's schedulers as plain
//     Go values.
//   - [github.com/lvskit/lvskit/health] asks servers whether they serve, and
//     keeps the answers.
//   - [github.com/lvskit/lvskit/failover] decides which of two routers serves,
//     and moves the floating addresses.
//   - [github.com/lvskit/lvskit/lvscf] reads, edits, checks and writes
//     Piranha's configuration file.
//   - [github.com/lvskit/lvskit/lvscf/convert] brings configurations from and
//     to keepalived, ldirectord and ipvsadm.
//
// The command lvsctl puts them together; its demo shows all of it in half a
// minute. The programs under examples show how to embed them: begin with
// examples/quickstart, and with examples/custom-director for a load balancer
// that has its own source of configuration.
package lvskit
