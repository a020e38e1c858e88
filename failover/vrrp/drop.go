package vrrp

import "github.com/lvskit/lvskit/failover/internal/enum"

// Drop is the reason for which a packet was refused. The zero value, DropNone,
// is no reason.
type Drop uint8

// Reasons to refuse a packet, in the order of the checks.
const (
	// DropNone: the packet was accepted.
	DropNone Drop = iota
	// DropTTL: it has crossed a router.
	DropTTL
	// DropSource: source and destination are no addresses of one family.
	DropSource
	// DropCARP: a packet of CARP, which shares the protocol number.
	DropCARP
	// DropSize: shorter than its own fields say.
	DropSize
	// DropVersion: neither version 2 nor 3, or version 2 over IPv6.
	DropVersion
	// DropType: no advertisement.
	DropType
	// DropChecksum: in none of the forms that there are.
	DropChecksum
	// DropVRID: 0, or not one of the receiver's.
	DropVRID
	// DropAuth: of another kind than none or a password, or a password of no
	// bytes or with a zero byte inside.
	DropAuth
	// DropInterval: 0.
	DropInterval
	// DropAddresses: none with version 3, or the first one over IPv6 is not
	// link-local.
	DropAddresses
	// DropOwn: one of our own packets came back, or another node has our
	// address.
	DropOwn
	// DropMulticast: multicast where unicast peers are configured.
	DropMulticast
	// DropUnicast: unicast where multicast is configured.
	DropUnicast
	// DropPeer: from an address that is not one of the configured peers.
	DropPeer
	// DropPassword: a password where none is configured, none where one is,
	// or another one.
	DropPassword
	// DropUnsigned: no trailer where a key is configured.
	DropUnsigned
	// DropSigned: a trailer where no key is configured.
	DropSigned
	// DropTrailer: the trailer is none that we know.
	DropTrailer
	// DropKey: signed with a key that we do not have.
	DropKey
	// DropMAC: the signature does not match; another key, or a forgery.
	DropMAC
	// DropReplay: the sequence did not grow.
	DropReplay
	// DropClock: signed too long ago, or in the future; look at the clocks.
	DropClock

	// DropCount is the number of reasons, DropNone included.
	DropCount = iota
)

var dropNames = [...]string{
	DropNone:      "none",
	DropTTL:       "bad-ttl",
	DropSource:    "wrong-source",
	DropCARP:      "carp",
	DropSize:      "wrong-size",
	DropVersion:   "bad-version",
	DropType:      "bad-type",
	DropChecksum:  "bad-checksum",
	DropVRID:      "bad-vrid",
	DropAuth:      "bad-auth",
	DropInterval:  "bad-interval",
	DropAddresses: "bad-addresses",
	DropMulticast: "unwanted-multicast",
	DropUnicast:   "unwanted-unicast",
	DropPeer:      "unknown-peer",
	DropOwn:       "own-packet",
	DropPassword:  "bad-password",
	DropUnsigned:  "unsigned",
	DropSigned:    "unwanted-signature",
	DropTrailer:   "bad-trailer",
	DropKey:       "unknown-key",
	DropMAC:       "bad-signature",
	DropReplay:    "replay",
	DropClock:     "bad-clock",
}

// String returns the name in lower case, or drop(N) for unknown ones.
func (d Drop) String() string { return enum.Name("drop", dropNames[:], uint8(d)) }

// MarshalText returns the same as String.
func (d Drop) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote, unknown numbers included.
func (d *Drop) UnmarshalText(text []byte) error {
	v, err := enum.Parse("vrrp", "drop", dropNames[:], string(text))
	*d = Drop(v)
	return err
}

// Error makes a Drop usable as the error of [Parse] and [Keys.Open].
func (d Drop) Error() string { return "vrrp: packet refused: " + d.String() }
