// Package userspace carries the table of IP Virtual Server over ordinary
// sockets. It needs no IPVS in the kernel, no Linux and, for ports that need
// none, no privilege.
//
// A [Balancer] takes the same [ipvs.Change] list that the kernel's client
// takes and answers with the same [ipvs.Snapshot]. Each TCP service is a
// listener whose connections are relayed to a destination; each UDP service
// is a socket with a session for each client. The schedulers are package
// sched's, all of the kernel's with their flags, and persistence, weights,
// thresholds, one-packet scheduling, counters and rates go by the kernel's
// rules.
//
// What differs from the kernel, because a relay is no router:
//
//   - Destinations see the balancer's address, not the client's, unless the
//     PROXY protocol tells them ([ServiceConfig.ProxyProtocol]). The
//     forwarding method is kept in the table but all are carried alike, and
//     a destination with another port than the service is reached there. It
//     may be of the other family of addresses.
//   - Sockets show no mark, and listen on one port. So a firewall-mark
//     service and one on port 0 need a declaration of what they stand for:
//     addresses and ports, at most [MaxListeners] ([Config.Services]). A
//     destination with port 0 is reached at the port that the client came
//     to. Without a declaration they are refused with an
//     [*UnsupportedError], and so are SCTP and persistence engines always.
//   - Adding a service opens its sockets, so the port must be free and the
//     virtual address be on this machine, unless [ServiceConfig.FreeBind] says
//     that it comes later.
//   - A UDP service on all addresses (0.0.0.0, ::) answers from the one that
//     the system takes for the way back, which need not be the one that the
//     client wrote to: on a machine with several give each a service.
//   - A TCP connection that a destination refuses is tried once on another
//     one before the client notices. For want of descriptors, memory or
//     local ports here the client is reset at once; [Counters] tells the two
//     apart.
//   - Connections are bounded, in all and by service, and so are UDP
//     sessions and what persistence remembers. Above a bound a TCP client is
//     reset at once and a UDP session makes room for another; before the
//     process runs out of descriptors both are refused. All is counted.
//   - A connection counts (Connections) when its destination has accepted
//     it. When it has ended it counts as inactive for [Config.FinTimeout],
//     or for 10 seconds after a reset, as in the kernel: that is what wlc
//     and lc share short connections by. Of each service the last 65,536
//     connections of each of the two kinds count, older ones leave early.
//     Byte counters hold payload without headers. For UDP a packet is a
//     datagram; a relay does not see TCP's segments, there a packet is a
//     piece of up to 64 KiB as the relay moved it.
//   - A persistence template lives for its time from the end of the client's
//     last connection. The kernel counts from its beginning, and then by the
//     minute while there are connections.
//   - Counters are current, rates are the kernel's two-second estimates.
//   - Deleting a UDP service or destination ends its sessions at once, for
//     no reply could reach their clients. TCP connections live on until
//     one of their ends closes or they are idle for too long; the kernel
//     drops them with their next packet. A relay has both ends in its hands
//     and serves them without the table: to cut them would only make
//     requests fail that could still be answered.
//
// To drain a server set its weight to 0 and wait until [ipvs.Snapshot] shows
// no active connection, then delete it; that is what [ipvs.Reconciler] does.
// [Balancer.Connections] lists what is open.
//
// For TCP on Linux a loop a processor, on a thread and with a listening socket
// of its own, relays by events and system calls that do not block: no
// goroutine, no timer, no buffer and less than half a KiB for an idle
// connection. What turns out to be bulk moves inside the kernel (splice(2))
// while it lasts. The end of one direction is passed on as such and a reset as
// a reset; where a reset or an end comes from a side whose other one takes
// nothing, a client's reset is passed on at once, and all else ends after
// [Config.FinTimeout]. Where one side is slow, at most 64 KiB are held, or a
// pipe of 1 MiB, and the other side is not read. Before a byte is relayed a
// client is tried on a second server if the first does not answer in time,
// refuses, or resets instead. Elsewhere package net relays, with two goroutines
// for each connection.
//
// Loops keep the processors of the runtime (GOMAXPROCS) busy that they run on.
// A program whose main work they are should have at least one more, for the
// rest of it and because the runtime takes them from threads that wait when
// none is free, at a tenth to a fifth of the processor time. How many loops
// there will be is settled by [New]:
//
//	b, err := userspace.New(nil)
//	runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0)) // before the first service
//
// The heap is small and next to nothing is allocated for a connection, so the
// garbage collector needs no tuning (GOGC) for the relay's sake.
//
// For UDP on Linux a loop a processor waits for all sockets, moves up to
// 32 datagrams by one system call, and lets the system cut and join those of
// one client (UDP_SEGMENT, UDP_GRO); a session is one descriptor. Elsewhere
// package net does the work, with a goroutine for each session.
package userspace
