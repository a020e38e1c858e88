// Package pulse is the heartbeat of a pair of directors: the authenticated
// packet that they exchange and the pure state machine that decides from it
// which of the two is active. It opens no socket, starts no goroutine and
// knows no clock: [github.com/lvskit/lvskit/failover] puts those around it.
//
// # Packet
//
// A [Beat] is sealed by a [Codec] into [Size] bytes, all integers big endian:
//
//	off len
//	  0   4  "lvsP"
//	  4   1  version, 2
//	  5   1  state
//	  6   2  flags: 1 primary, 2 hears its partner, 4 yielding, 8 asks for the
//	         document, 16 serving, 32 wants to take over
//	  8   4  id of the key
//	 12   1  channel, counted from 0 in the sender's configuration
//	 13   3  zero
//	 16   8  boot: random name of this run of the sender
//	 24   8  challenge: what the partner has to echo
//	 32   8  echo: the challenge heard last, 0 if none
//	 40   8  sequence, from 1, the same in the copies on all channels
//	 48   8  sender's monotonic clock, nanoseconds since its start
//	 56   8  sender's clock of day, nanoseconds since 1970, 0 if unknown
//	 64   4  interval, microseconds
//	 68   4  dead after, microseconds
//	 72   4  terms: how often the sender became active in this run
//	 76   4  number of the sender's list of verdicts, 0 if none
//	 80   4  number of the partner's list that the sender holds, 0 if none
//	 84  32  digest of the sender's configuration, zero if none
//	116  32  HMAC-SHA256 over bytes 0 to 115
//
// # Pieces
//
// What does not fit into a beat goes beside it in pieces, each in a packet of its
// own, up to [MaxPieceSize] bytes. Two nodes whose digests differ can tell each
// other what they are digests of: a document, bytes that this package does not
// look into; a node asks by a flag in its beats, and its partner sends while it
// hears the flag. And a node can tell its verdicts, [Verdict], which have a number
// in its beats; it sends them until the partner's beats say that it has them.
//
//	off len
//	  0   4  "lvsD"
//	  4   1  version, 2
//	  5   1  channel, as in the beat
//	  6   1  kind: 0 document, 1 verdicts
//	  7   1  zero
//	  8   4  id of the key
//	 12  12  nonce, random
//	 24   8  boot of the sender
//	 32   8  sequence of pieces, from 1, the same in the copies on all channels
//	 40  32  digest that the whole belongs to, as in the beats
//	 72  32  SHA-256 of the whole
//	104   4  number of the list of verdicts, as in the beats
//	108   4  length of the whole
//	112   4  offset of this piece in it, a multiple of [PieceData]
//	116   n  the piece: [PieceData] bytes, in the last one what is left
//	      16  tag of AES-256-GCM
//
// Bytes 24 to the tag are encrypted, as a document tells more than a state,
// with a key that HKDF-SHA256 derives from the shared one under the name "lvskit
// pulse piece"; bytes 0 to 11 are authenticated with them.
//
// A piece is a comfort and never a sign of life: beats and what is decided by
// them are the same with it and without.
//
// # Keys
//
// Every packet names its key. A node knows several, seals with the first and
// opens what any of them sealed, so a pair changes its key in three steps, each
// done on both nodes before the next, and no packet is refused: add the new one
// as the last, make it the first, remove the old one.
//
// # Handing over
//
// An active node that yields stays active, with a flag, and its partner becomes
// active beside it; they are no rivals. When the partner says that it serves, the
// node becomes backup. If it says anything else, or nothing, the flag goes and
// nothing has happened. A node that asks to take over does it by a flag of its
// own, and the answer is the yielding of the other one.
//
// # What attacker it withstands
//
// Anyone who can send from any address, who reads every packet and keeps all
// of them for ever, but has not the key:
//
//   - He cannot make or change a packet: the HMAC covers all of it.
//   - He cannot replay what was delivered: a sequence must grow, and one of pieces
//     is taken once.
//   - He cannot replay an older run of the partner, not even to a receiver that
//     has just started and remembers nothing: an unknown boot is accepted only
//     if the packet echoes the receiver's own challenge, a random number made
//     in this run. It is replaced whenever a new boot is accepted, so a boot
//     that was left can never come back. No clock of day is involved.
//   - He cannot reflect our packets to us: they carry our own boot or, if older,
//     no echo of our challenge.
//   - He cannot make a dead channel look alive with copies from another one:
//     the channel is part of the packet.
//   - He cannot read, change or replay a piece, nor put one in from another run
//     of the partner.
//
// It does not withstand someone who holds a key that the node opens: one that
// has leaked is of use until it is removed, and one that two pairs share lets him
// mix them, as packets do not name the pair. Nor does it withstand one who can
// stop packets on the way, by filling a line or a socket's buffer too: he may cut
// the line, and packets that he held back on all channels can be delivered late
// once, in order, so that he delays the detection of a death by as long as he
// held them. Beats are not encrypted: states and the digest can be read. Who
// holds the key can make a document what he likes, of [MaxDocument] bytes at most.
//
// The price of the challenge is that a partner which has restarted while the
// line works towards us only is not believed ([DropUnproven] counts it): it
// must hear us once. A running partner that merely stops to hear us stays
// believed.
package pulse
