package pulse

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"time"
)

const (
	// Size is the length of every heartbeat.
	Size = bodySize + macSize
	// Version is the version of the protocol that this package speaks.
	Version = 1
	// MaxChannels is the number of channels a pair may have.
	MaxChannels = 4
	// MinKey is the shortest key in bytes that NewCodec takes. A key should
	// be random; 32 random bytes are as good as it gets with SHA-256.
	MinKey = 16
	// MaxInterval is the longest interval that a packet may carry. It bounds
	// what a misconfigured partner can do to our patience.
	MaxInterval = time.Minute
	// MaxDeadAfter is the longest dead time that a packet may carry.
	MaxDeadAfter = time.Hour

	bodySize = 92
	macSize  = sha256.Size
	magic    = "lvsP"
)

const (
	flagPrimary = 1 << iota
	flagHears
	flagYielding
	flagAsks
)

// Beat is the content of one heartbeat.
type Beat struct {
	// Primary is the node's role by configuration.
	Primary bool
	// Hears says that the sender counts its partner as alive.
	Hears bool
	// Yielding says that the sender hands over: take it.
	Yielding bool
	// Asks wants the partner's document, in pieces; a version without them
	// sends none.
	Asks  bool
	State State
	// Channel is the index of the channel it was sent on.
	Channel uint8
	// Boot names the sender's run, Challenge is to be echoed by the partner,
	// Echo is the challenge that the sender heard last.
	Boot, Challenge, Echo uint64
	// Seq grows from 1 by one a round.
	Seq uint64
	// Sent is the sender's monotonic clock since its start.
	Sent time.Duration
	// Interval and DeadAfter are the sender's timers, in whole microseconds.
	Interval, DeadAfter time.Duration
	// Terms is how often the sender became active in this run. It tells a
	// partner that it had a rival, even if none of its active beats came through.
	Terms uint32
	// Digest of the sender's configuration; zero if it has none.
	Digest [32]byte
}

// Codec seals and opens packets with one key. It keeps working memory and is
// not safe for concurrent use; make one for each goroutine.
type Codec struct {
	mac  hash.Hash
	sum  [macSize]byte
	aead cipher.AEAD // of pieces
}

// NewCodec returns a codec for a shared key of at least [MinKey] bytes.
func NewCodec(key []byte) (*Codec, error) {
	if len(key) < MinKey {
		return nil, fmt.Errorf("pulse: the key has %d bytes; give at least %d random ones, the same on both nodes", len(key), MinKey)
	}
	aead, err := pieceCipher(key)
	if err != nil {
		return nil, err
	}
	return &Codec{mac: hmac.New(sha256.New, slices.Clone(key)), aead: aead}, nil
}

// Append appends the sealed packet of b to dst. Durations are rounded down to
// microseconds and held within the range of the wire.
func (c *Codec) Append(dst []byte, b *Beat) []byte {
	start := len(dst)
	dst = slices.Grow(dst, Size)
	var flags byte
	if b.Primary {
		flags |= flagPrimary
	}
	if b.Hears {
		flags |= flagHears
	}
	if b.Yielding {
		flags |= flagYielding
	}
	if b.Asks {
		flags |= flagAsks
	}
	dst = append(dst, magic...)
	dst = append(dst, Version, flags, byte(b.State), b.Channel)
	dst = binary.BigEndian.AppendUint64(dst, b.Boot)
	dst = binary.BigEndian.AppendUint64(dst, b.Challenge)
	dst = binary.BigEndian.AppendUint64(dst, b.Echo)
	dst = binary.BigEndian.AppendUint64(dst, b.Seq)
	dst = binary.BigEndian.AppendUint64(dst, uint64(max(b.Sent, 0)))
	dst = binary.BigEndian.AppendUint32(dst, micros(b.Interval, MaxInterval))
	dst = binary.BigEndian.AppendUint32(dst, micros(b.DeadAfter, MaxDeadAfter))
	dst = binary.BigEndian.AppendUint32(dst, b.Terms)
	dst = append(dst, b.Digest[:]...)
	c.mac.Reset()
	c.mac.Write(dst[start:])
	return c.mac.Sum(dst)
}

// Open checks a packet and reads it into b. The error is a [Drop]: DropSize,
// DropMagic, DropVersion, DropKey or DropField; b is changed only if it is
// nil. Open says nothing of freshness: that is the [Guard]'s part.
func (c *Codec) Open(p []byte, b *Beat) error {
	if d := c.open(p, b); d != DropNone {
		return d
	}
	return nil
}

func (c *Codec) open(p []byte, b *Beat) Drop {
	if len(p) != Size {
		return DropSize
	}
	if string(p[:4]) != magic {
		return DropMagic
	}
	if p[4] != Version {
		return DropVersion
	}
	c.mac.Reset()
	c.mac.Write(p[:bodySize])
	if !hmac.Equal(c.mac.Sum(c.sum[:0]), p[bodySize:]) {
		return DropKey
	}
	r := Beat{
		Primary:   p[5]&flagPrimary != 0,
		Hears:     p[5]&flagHears != 0,
		Yielding:  p[5]&flagYielding != 0,
		Asks:      p[5]&flagAsks != 0,
		State:     State(p[6]),
		Channel:   p[7],
		Boot:      binary.BigEndian.Uint64(p[8:]),
		Challenge: binary.BigEndian.Uint64(p[16:]),
		Echo:      binary.BigEndian.Uint64(p[24:]),
		Seq:       binary.BigEndian.Uint64(p[32:]),
		Sent:      time.Duration(binary.BigEndian.Uint64(p[40:])),
		Interval:  time.Duration(binary.BigEndian.Uint32(p[48:])) * time.Microsecond,
		DeadAfter: time.Duration(binary.BigEndian.Uint32(p[52:])) * time.Microsecond,
		Terms:     binary.BigEndian.Uint32(p[56:]),
		Digest:    [32]byte(p[60:92]),
	}
	// Flags that we do not know are left for later versions to use.
	switch {
	case r.State < StateInit || r.State > StateLeaving,
		r.Channel >= MaxChannels,
		r.Boot == 0 || r.Challenge == 0 || r.Seq == 0,
		r.Sent < 0,
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
