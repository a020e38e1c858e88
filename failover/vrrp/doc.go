// Package vrrp is the Virtual Router Redundancy Protocol without sockets,
// clocks or goroutines: the packet of version 2 (RFC 3768) and version 3 (RFC
// 9568, which replaces RFC 5798), the trailer by which keepalived authenticates
// it, and the pure state machine that decides from it which of several
// directors is active.
//
// # Packet
//
// [Advert] is the one message that there is. [Append] writes it and [Parse]
// reads it, with every check that needs no knowledge of the receiver; what is
// refused has a [Drop] for a reason. The checksum of version 3 over IPv4 has two
// forms in the field, as RFC 5798 could be read in two ways: with the
// pseudo-header (keepalived, FRR) and without it (RFC 9568, hardware routers).
// Both are read, and [Parse] tells which it was, so that a node can answer in
// the form of its peer.
//
// # Machine
//
// [Machine] is that of RFC 9568 section 6.4 with its errata, and beyond it: a
// state for faults, preemption that can wait or be off, priorities that change
// while it runs, the order to hand over, own stalls that prove nothing, and one
// last packet of a node that gives way, by which the winner learns that the
// neighbours have to be told again. It judges by the time at which packets
// arrived.
//
// Two things differ from the letter of RFC 3768 on purpose, as the letter makes
// two active routers: a packet of version 2 with another interval than ours is
// a sign of life, not refused, and one with other addresses is, too. Both are
// told as a [Mismatch].
//
// Several machines of one node may be active together or not at all: [Agree]
// says when they move.
package vrrp
