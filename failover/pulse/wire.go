package pulse

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

const (
	// Size is the length of every heartbeat.
	Size = bodySize + macSize
	// Version is the version of the protocol that this package speaks.
	Version = 2
	// MaxChannels is the number of channels a pair may have.
	MaxChannels = 8
	// MaxInterval is the longest interval that a packet may carry. It bounds
	// what a misconfigured partner can do to our patience.
	MaxInterval = time.Minute
	// MaxDeadAfter is the longest dead time that a packet may carry.
	MaxDeadAfter = time.Hour

	bodySize = 116
	macSize  = sha256.Size
	magic    = "lvsP"
)

// Flags of a heartbeat.
const (
	flagPrimary = 1 << iota
	flagHears
	flagYielding
	flagAsks
	flagServing
	flagTakes
)

// Beat is the content of one heartbeat.
type Beat struct {
	// Primary is the node's role by configuration.
	Primary bool
	// Hears says that the sender counts its partner as alive.
	Hears bool
	// Yielding says that the sender is active and hands over: take it. It
	// serves until the partner does.
	Yielding bool
	// Asks wants the partner's document, in pieces.
	Asks bool
	// Serving says that the sender's hook and addresses are through and the
	// neighbours know.
	Serving bool
	// Takes wants the partner to hand over.
	Takes bool
	State State
	// Channel is the index of the channel it was sent on.
	Channel uint8
	// Key is the id of the key it is sealed with. Open fills it in; Append
	// seals with the first key of its codec.
	Key uint32
	// Boot names the sender's run, Challenge is to be echoed by the partner,
	// Echo is the challenge that the sender heard last.
	Boot, Challenge, Echo uint64
	// Seq grows from 1 by one a round.
	Seq uint64
	// Sent is the sender's monotonic clock since its start.
	Sent time.Duration
	// Wall is the sender's clock of day in nanoseconds since 1970, 0 if it
	// does not say. It is for people; nothing is decided by it.
	Wall int64
	// Interval and DeadAfter are the sender's timers, in whole microseconds.
	Interval, DeadAfter time.Duration
	// Terms is how often the sender became active in this run. It tells a
	// partner that it had a rival, even if none of its active beats came through.
	Terms uint32
	// Verdicts is the number of the sender's list of verdicts, 0 if it has
	// none, and Has the number of the partner's list that it holds.
	Verdicts, Has uint32
	// Digest of the sender's configuration; zero if it has none.
	Digest [32]byte
}

func (b *Beat) flags() (f uint16) {
	for i, on := range [...]bool{b.Primary, b.Hears, b.Yielding, b.Asks, b.Serving, b.Takes} {
		if on {
			f |= 1 << i
		}
	}
	return f
}

// Append appends the sealed packet of b to dst. Durations are rounded down to
// microseconds and held within the range of the wire.
func (c *Codec) Append(dst []byte, b *Beat) []byte {
	start := len(dst)
	dst = slices.Grow(dst, Size)
	s := &c.seals[0]
	dst = append(dst, magic...)
	dst = append(dst, Version, byte(b.State))
	dst = binary.BigEndian.AppendUint16(dst, b.flags())
	dst = binary.BigEndian.AppendUint32(dst, s.id)
	dst = append(dst, b.Channel, 0, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, b.Boot)
	dst = binary.BigEndian.AppendUint64(dst, b.Challenge)
	dst = binary.BigEndian.AppendUint64(dst, b.Echo)
	dst = binary.BigEndian.AppendUint64(dst, b.Seq)
	dst = binary.BigEndian.AppendUint64(dst, uint64(max(b.Sent, 0)))
	dst = binary.BigEndian.AppendUint64(dst, uint64(max(b.Wall, 0)))
	dst = binary.BigEndian.AppendUint32(dst, micros(b.Interval, MaxInterval))
	dst = binary.BigEndian.AppendUint32(dst, micros(b.DeadAfter, MaxDeadAfter))
	dst = binary.BigEndian.AppendUint32(dst, b.Terms)
	dst = binary.BigEndian.AppendUint32(dst, b.Verdicts)
	dst = binary.BigEndian.AppendUint32(dst, b.Has)
	dst = append(dst, b.Digest[:]...)
	s.mac.Reset()
	s.mac.Write(dst[start:])
	return s.mac.Sum(dst)
}

// Open checks a packet and reads it into b. The error is a [Drop]: DropSize,
// DropLegacy, DropMagic, DropVersion, DropUnknownKey, DropKey or DropField; b is
// changed only if it is nil. Open says nothing of freshness: that is the [Guard]'s part.
func (c *Codec) Open(p []byte, b *Beat) error {
	if d := c.open(p, b); d != DropNone {
		return d
	}
	return nil
}

func (c *Codec) open(p []byte, b *Beat) Drop {
	// The version comes before the length, for another one has another.
	if len(p) < 12 {
		if _, _, err := ParseLegacy(p); err == nil {
			return DropLegacy
		}
		return DropSize
	}
	if string(p[:4]) != magic {
		return DropMagic
	}
	if p[4] != Version {
		return DropVersion
	}
	if len(p) != Size {
		return DropSize
	}
	s := c.find(binary.BigEndian.Uint32(p[8:]))
	if s == nil {
		return DropUnknownKey
	}
	s.mac.Reset()
	s.mac.Write(p[:bodySize])
	if !hmac.Equal(s.mac.Sum(c.sum[:0]), p[bodySize:]) {
		return DropKey
	}
	flags := binary.BigEndian.Uint16(p[6:])
	r := Beat{
		Primary:   flags&flagPrimary != 0,
		Hears:     flags&flagHears != 0,
		Yielding:  flags&flagYielding != 0,
		Asks:      flags&flagAsks != 0,
		Serving:   flags&flagServing != 0,
		Takes:     flags&flagTakes != 0,
		State:     State(p[5]),
		Key:       s.id,
		Channel:   p[12],
		Boot:      binary.BigEndian.Uint64(p[16:]),
		Challenge: binary.BigEndian.Uint64(p[24:]),
		Echo:      binary.BigEndian.Uint64(p[32:]),
		Seq:       binary.BigEndian.Uint64(p[40:]),
		Sent:      time.Duration(binary.BigEndian.Uint64(p[48:])),
		Wall:      int64(binary.BigEndian.Uint64(p[56:])),
		Interval:  time.Duration(binary.BigEndian.Uint32(p[64:])) * time.Microsecond,
		DeadAfter: time.Duration(binary.BigEndian.Uint32(p[68:])) * time.Microsecond,
		Terms:     binary.BigEndian.Uint32(p[72:]),
		Verdicts:  binary.BigEndian.Uint32(p[76:]),
		Has:       binary.BigEndian.Uint32(p[80:]),
		Digest:    [32]byte(p[84:116]),
	}
	// Flags that we do not know are left for later versions to use.
	switch {
	case r.State < StateInit || r.State > StateLeaving,
		r.Channel >= MaxChannels,
		r.Boot == 0 || r.Challenge == 0 || r.Seq == 0,
		r.Sent < 0 || r.Wall < 0,
		r.Interval <= 0 || r.Interval > MaxInterval,
		r.DeadAfter <= 0 || r.DeadAfter > MaxDeadAfter:
		return DropField
	}
	*b = r
	return DropNone
}

func micros(d, limit time.Duration) uint32 {
	return uint32(min(max(d, time.Microsecond), limit) / time.Microsecond)
}
