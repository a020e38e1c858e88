package vrrp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"maps"
	"net/netip"
	"time"
)

// The trailer of keepalived 2.4 (its option auth_hmac; no RFC knows it).
const (
	// TrailerSize is its length in bytes.
	TrailerSize = 28
	// MinKey and MaxKey are how long a key may be, in bytes.
	MinKey, MaxKey = 32, 64

	trailerMAC    = 12 // offset of the signature, which is its last part
	trailerSHA256 = 1
	// maxSenders bounds what is remembered of senders that nobody configured.
	maxSenders = 4
)

// Key is a shared secret with its number.
type Key struct {
	// ID is 1..255, the same on all routers.
	ID uint8
	// Secret is random, MinKey to MaxKey bytes.
	Secret []byte
}

// Equal reports whether it is the same key.
func (k Key) Equal(o Key) bool { return k.ID == o.ID && bytes.Equal(k.Secret, o.Secret) }

// Stamp orders the packets of one sender: seconds of the day's clock since
// 1970, a fraction in 1/65536 s, and a counter for packets of one such moment.
type Stamp uint64

// StampOf returns the first stamp of a moment.
func StampOf(t time.Time) Stamp {
	fraction := uint64(t.Nanosecond()) << 16 / uint64(time.Second)
	return Stamp(uint64(uint32(t.Unix()))<<32 | fraction<<16)
}

// Time returns the moment of a stamp, to 1/65536 s, in the years 1970 to 2106.
func (s Stamp) Time() time.Time {
	return time.Unix(int64(s>>32), int64(s>>16&0xffff)*int64(time.Second)>>16).UTC()
}

// after compares by serial arithmetic (RFC 1982), as the counter of seconds
// turns round.
func (s Stamp) after(o Stamp) bool { return int64(s-o) > 0 }

// Keys signs adverts and checks the signatures of others. Several keys may be
// held at once, so that keys can be changed one router after another: give all
// the new one, then sign with it, then take the old one away. Not safe for
// concurrent use.
//
// The signature covers the sender's address and the advert, and not the
// destination: one signature serves all unicast peers. A sender's stamps must
// grow, and be no further from our clock than the window. When the clocks of
// all are set back by more than the window they begin anew, as the routers would
// not believe each other otherwise; what was recorded when the clocks showed that
// time before is believed once more.
type Keys struct {
	keys    [256][]byte
	signer  uint8
	window  time.Duration
	last    Stamp
	senders map[netip.Addr]heard
	now     time.Time // that we were given last
	// What hashing needs, made once: the keys' hashes, and room for a
	// pseudo-header, zeros and a hash.
	macs    [256]hash.Hash
	scratch [20 + 16 + sha256.Size]byte
}

type heard struct {
	stamp Stamp
	at    time.Time
}

// NewKeys returns a ring of keys, of which the first signs. window is how far
// a sender's clock may be from ours; 0 does not look at clocks, so that a packet
// recorded before we started is believed once.
func NewKeys(window time.Duration, keys ...Key) (*Keys, error) {
	k := &Keys{window: window, senders: make(map[netip.Addr]heard)}
	var errs []error
	if len(keys) == 0 {
		errs = append(errs, errors.New("vrrp: no key"))
	}
	if window < 0 {
		errs = append(errs, fmt.Errorf("vrrp: window %v: want 0 or more", window))
	}
	for i, key := range keys {
		switch {
		case key.ID == 0:
			errs = append(errs, fmt.Errorf("vrrp: key %d of the list has number 0: want 1 to 255", i+1))
		case k.keys[key.ID] != nil:
			errs = append(errs, fmt.Errorf("vrrp: key number %d is given twice", key.ID))
		case len(key.Secret) < MinKey || len(key.Secret) > MaxKey:
			errs = append(errs, fmt.Errorf("vrrp: key %d has %d bytes: want %d to %d random ones", key.ID, len(key.Secret), MinKey, MaxKey))
		default:
			k.keys[key.ID] = append([]byte(nil), key.Secret...)
			if i == 0 {
				k.signer = key.ID
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return k, nil
}

// Inherit makes k go on from old, whose place it takes: what was sent and heard
// with those keys is not believed again.
func (k *Keys) Inherit(old *Keys) {
	k.last, k.now = old.last, old.now
	maps.Copy(k.senders, old.senders)
}

// Sign appends the trailer to a message, which is one advert as [Append] wrote
// it. now is the day's clock; one that stands still or goes back does not make
// the stamps go back, unless it is more than the window: then they begin anew,
// as others would refuse them otherwise.
func (k *Keys) Sign(message []byte, source netip.Addr, now time.Time) []byte {
	k.look(now)
	stamp := StampOf(now)
	if !stamp.after(k.last) && (k.window == 0 || k.last.Time().Sub(now) <= k.window) {
		stamp = k.last + 1
	}
	k.last = stamp
	n := len(message)
	message = append(message, trailerSHA256, k.signer, 0, 0)
	message = binary.BigEndian.AppendUint64(message, uint64(stamp))
	return append(message, k.mac(k.signer, message[:n], message[n:], source)...)
}

// Open checks the trailer of a message. peers is how many senders are
// configured; with 0, as with multicast, the last few heard are remembered.
// The error is a [Drop]. What is refused changes nothing.
func (k *Keys) Open(message, trailer []byte, source netip.Addr, now time.Time, peers int) error {
	switch {
	case len(trailer) == 0:
		return DropUnsigned
	case len(trailer) != TrailerSize || trailer[0] != trailerSHA256 || trailer[2] != 0 || trailer[3] != 0:
		return DropTrailer
	case k.keys[trailer[1]] == nil:
		return DropKey
	}
	if !hmac.Equal(trailer[trailerMAC:], k.mac(trailer[1], message, trailer[:trailerMAC], source)) {
		return DropMAC
	}
	k.look(now)
	stamp := Stamp(binary.BigEndian.Uint64(trailer[4:]))
	if d := stamp.Time().Sub(now); k.window > 0 && (d > k.window || d < -k.window) {
		return DropClock
	}
	last, known := k.senders[source]
	if known && !stamp.after(last.stamp) {
		return DropReplay
	}
	if !known && len(k.senders) >= max(peers, maxSenders) {
		k.forget()
	}
	k.senders[source] = heard{stamp, now}
	return nil
}

// look takes note of our clock. When it was set back, so was the sender's whose
// last stamp would be refused itself by now: that one begins anew, also if it is
// heard again only when the clock has come near that stamp.
func (k *Keys) look(now time.Time) {
	if k.window > 0 && now.Before(k.now) {
		maps.DeleteFunc(k.senders, func(_ netip.Addr, h heard) bool { return h.stamp.Time().Sub(now) > k.window })
	}
	k.now = now
}

// forget makes room by leaving out the sender heard longest ago.
func (k *Keys) forget() {
	var oldest netip.Addr
	for addr, h := range k.senders {
		if !oldest.IsValid() || h.at.Before(k.senders[oldest].at) {
			oldest = addr
		}
	}
	delete(k.senders, oldest)
}

// mac signs a pseudo-header, the message with a checksum of zero, and the
// trailer with a signature of zero; half of the hash is used. The result is
// good until the next call.
func (k *Keys) mac(id uint8, message, trailer []byte, source netip.Addr) []byte {
	h := k.macs[id]
	if h == nil {
		h = hmac.New(sha256.New, k.keys[id])
		k.macs[id] = h
	}
	h.Reset()
	pseudo := k.scratch[:20]
	clear(pseudo)
	pseudo[0] = 4
	if source.Is6() && !source.Is4In6() {
		pseudo[0] = 6
		six := source.As16()
		copy(pseudo[4:], six[:])
	} else if source.IsValid() {
		four := source.Unmap().As4()
		copy(pseudo[4:], four[:])
	}
	if len(message) >= headerSize {
		pseudo[1], pseudo[2] = message[0]>>4, message[1]
	}
	zero := k.scratch[20:36]
	h.Write(pseudo)
	if len(message) >= headerSize {
		h.Write(message[:checksumOffset])
		h.Write(zero[:2])
		h.Write(message[checksumOffset+2:])
	} else {
		h.Write(message)
	}
	h.Write(trailer)
	h.Write(zero)
	return h.Sum(k.scratch[36:36])[:TrailerSize-trailerMAC]
}
