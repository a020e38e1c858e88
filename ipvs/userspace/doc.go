// Package userspace carries the table of IP Virtual Server over ordinary
// sockets. It needs no IPVS in the kernel, no Linux and, for ports that need
// none, no privilege.
//
// A [Balancer] takes the same [ipvs.Change] list that the kernel's client
// takes and answers with the same [ipvs.Snapshot]. Each TCP service is a
// listener whose connections are relayed to a destination; each UDP service
// is a socket with a session for each client. The scheduler is package
// sched's, and so the same as the kernel's.
//
// What differs from the kernel, because a relay is no router:
//
//   - Destinations see the balancer's address, not the client's. The
//     forwarding method is kept in the table but all are carried alike, and
//     a destination with another port than the service is reached there.
//   - Firewall-mark services, SCTP, services on port 0, one-packet
//     scheduling and persistence engines are refused with an
//     [*UnsupportedError].
//   - Adding a service opens its socket, so the virtual address must be on
//     this machine and the port free.
//   - A TCP connection that a destination refuses is tried once on another
//     one before the client notices. For want of descriptors, memory or
//     local ports here the client is reset at once; [Counters] tells the two
//     apart.
//   - A connection counts (Connections) when its destination has accepted
//     it. When it has ended it counts as inactive for [Config.FinTimeout],
//     or for 10 seconds after a reset, as in the kernel: that is what wlc
//     and lc share short connections by. Of each service the last 65,536
//     connections of each of the two kinds count, older ones leave early.
//     Byte counters hold payload without headers. For UDP a packet is a
//     datagram; a relay does not see TCP's segments, there a packet is a
//     piece of up to 64 KiB as the relay moved it.
//   - Counters are current, rates are the kernel's two-second estimates.
//   - Deleting a UDP service or destination ends its sessions at once, for
//     no reply could reach their clients. TCP connections live on until
//     one of their ends closes or they are idle for too long; the kernel
//     drops them with their next packet. A relay has both ends in its hands
//     and serves them without the table: to cut them would only make
//     requests fail that could still be answered.
//
// The relay uses the net package: two goroutines for each TCP connection, one
// for each UDP session, and splice(2) for bulk where the system has it. It is
// made to be right on every system, not to be the fastest on one.
package userspace
