package pulse

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"
)

const (
	// MinKey is the shortest secret in bytes that NewCodec takes. It should be
	// random; 32 random bytes are as good as it gets with SHA-256.
	MinKey = 16
	// MaxKeys is how many keys a node may know at once.
	MaxKeys = 8
)

// Key is a secret that both nodes share, and its name on the wire.
//
// A pair changes its key without a moment in which a packet is refused in three
// steps, each done on both nodes before the next: the new key is added as the
// last one, so that both open it; it becomes the first one, so that both seal
// with it; the old one is removed.
type Key struct {
	// ID names the secret in packets, which anyone can read. Newer keys have
	// higher numbers; 0 is a number like others.
	ID uint32
	// Secret has at least MinKey bytes.
	Secret []byte
}

// CheckKeys says what is wrong with the keys of a node: it needs 1 to MaxKeys,
// with different numbers, and long enough secrets. No error quotes a secret.
func CheckKeys(keys []Key) error {
	if len(keys) == 0 {
		return errors.New("pulse: no key; give one, the same on both nodes")
	}
	if len(keys) > MaxKeys {
		return fmt.Errorf("pulse: %d keys; at most %d are possible", len(keys), MaxKeys)
	}
	for i, k := range keys {
		if len(k.Secret) < MinKey {
			return fmt.Errorf("pulse: key %d: the key has %d bytes; give at least %d random ones, the same on both nodes", k.ID, len(k.Secret), MinKey)
		}
		if slices.ContainsFunc(keys[:i], func(o Key) bool { return o.ID == k.ID }) {
			return fmt.Errorf("pulse: two keys have the id %d; give the newer one a higher number", k.ID)
		}
	}
	return nil
}

// seal is a key at work.
type seal struct {
	id   uint32
	mac  hash.Hash
	aead cipher.AEAD // of pieces
}

// Codec seals packets with one key and opens those of several. It keeps
// working memory and is not safe for concurrent use; make one for each
// goroutine.
type Codec struct {
	seals []seal // the first one seals
	sum   [macSize]byte
	body  [pieceFields + PieceData]byte
}

// NewCodec returns a codec that seals with the first key and opens what any of
// them sealed; [CheckKeys] has the rules.
func NewCodec(keys ...Key) (*Codec, error) {
	if err := CheckKeys(keys); err != nil {
		return nil, err
	}
	c := new(Codec)
	for _, k := range keys {
		aead, err := pieceCipher(k.Secret)
		if err != nil {
			return nil, err
		}
		c.seals = append(c.seals, seal{k.ID, hmac.New(sha256.New, slices.Clone(k.Secret)), aead})
	}
	return c, nil
}

// find returns the key with this id, nil if there is none.
func (c *Codec) find(id uint32) *seal {
	for i := range c.seals {
		if c.seals[i].id == id {
			return &c.seals[i]
		}
	}
	return nil
}
