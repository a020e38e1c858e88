// Package sched holds the schedulers of the kernel's IP Virtual Server as
// plain Go values: given the same servers, added, edited and removed in the
// same order, and the same counts of connections, a [Scheduler] picks the
// server that the kernel would pick.
//
// It serves the data plane that runs over ordinary sockets, and predictions
// of where clients will go. It opens nothing, starts nothing and reads no
// clock; persistence (which the kernel settles before it asks a scheduler)
// and the life of connections belong to the caller.
//
// The known schedulers are rr, wrr, lc and wlc; [Names] lists them. Their
// rules follow net/netfilter/ipvs of the Linux kernel, where the newest
// server stands at the head of the list and every walk begins there.
//
// A caller adds servers, asks for one with [Scheduler.Pick], and tells the
// [Server] what becomes of the connection: [Server.Opened] when it begins,
// [Server.Activated] when it is established, [Server.Deactivated] when it
// begins to close and [Server.Closed] at its end. Pick itself counts nothing.
//
// All methods of Scheduler and Server are safe for concurrent use. Pick
// allocates nothing and holds one mutex for each scheduler.
package sched
