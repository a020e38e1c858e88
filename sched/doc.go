// Package sched holds the schedulers of the kernel's IP Virtual Server as
// plain Go values: given the same servers, added, edited and removed in the
// same order, the same counts of connections and the same flows, a
// [Scheduler] picks the server that the kernel would pick.
//
// It serves the data plane that runs over ordinary sockets, and predictions
// of where clients will go. It opens nothing, starts nothing and reads no
// clock; persistence (which the kernel settles before it asks a scheduler)
// and the life of connections belong to the caller.
//
// # Schedulers
//
// [Names] lists them. The rules are those of net/netfilter/ipvs in the Linux
// kernel, where the newest server stands at the head of the list and every
// walk begins there; "the first" below is the first in that list.
//
//	rr     each server in its turn
//	wrr    as often as its weight says
//	lc     the least connections
//	wlc    the least connections for the weight
//	sed    the shortest expected delay: active connections and the new one
//	nq     the first without an active connection, else as sed
//	fo     the heaviest takes all
//	ovf    the heaviest, until it has more active connections than its weight
//	lblc   one server for each destination address, at first as wlc
//	lblcr  a set of servers for each destination address
//	dh     by a hash of the destination address
//	sh     by a hash of the client's address, or with its port ([FlagPort])
//	mh     the same by Maglev's table, which moves few clients on a change
//	twos   the better one of two drawn by chance
//	none   nothing is picked
//
// Picks of sh, mh and dh depend on the servers and the flow alone, those of
// lc, wlc, sed, nq, fo, ovf and twos also on the connections; rr, wrr, lblc
// and lblcr remember what they picked before. mh is that of 64-bit kernels.
//
// # Connections
//
// A caller adds servers, asks for one with [Scheduler.Pick], and tells the
// [Server] what becomes of the connection: [Server.Opened] when it begins,
// [Server.Activated] when it is established, [Server.Deactivated] when it
// begins to close and [Server.Closed] at its end. Pick itself counts nothing.
//
// # Concurrency
//
// All methods of Scheduler and Server are safe for concurrent use. Pick
// allocates nothing (lblc and lblcr do for an address they have not seen and
// for a set that grows) and takes no lock (but those two, one for each
// scheduler). Picks of rr and wrr
// at once are those of some order of them. The others see a count that
// changes during a pick as it was or as it is.
//
// Changes of the servers wait for each other and not for picks. Each costs
// time in proportion to the number of servers, and with sh, dh and mh that of
// filling the table.
package sched
