package pulse

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// Document is what a node has to tell, and how far it has come. The zero value
// has nothing to tell. It is not safe for concurrent use.
type Document struct {
	digest, sum [32]byte
	data        []byte
	at          int
}

// NewDocument returns a document that belongs to a digest of the beats. It
// keeps data, 1 to [MaxDocument] bytes.
func NewDocument(digest [32]byte, data []byte) (*Document, error) {
	if len(data) == 0 || len(data) > MaxDocument {
		return nil, fmt.Errorf("pulse: a document of %d bytes; it may have 1 to %d", len(data), MaxDocument)
	}
	return &Document{digest: digest, sum: sha256.Sum256(data), data: data}, nil
}

// Digest returns what the document belongs to, zero if there is none.
func (d *Document) Digest() [32]byte { return d.digest }

// Next returns the next piece, and after the last one the first again: nobody
// says which got lost. ok is false if there is nothing to tell. Boot, Seq and
// Channel are for the caller to fill in.
func (d *Document) Next() (p Piece, ok bool) {
	if len(d.data) == 0 {
		return Piece{}, false
	}
	end := min(d.at+PieceData, len(d.data))
	p = Piece{Digest: d.digest, Sum: d.sum, Total: uint32(len(d.data)), Offset: uint32(d.at), Data: d.data[d.at:end]}
	d.at = end % len(d.data)
	return p, true
}

// ErrBrokenDocument tells that pieces do not make up what they claim to.
var ErrBrokenDocument = errors.New("pulse: the pieces do not make up the document")

// Assembly puts the pieces of a document together, in any order. It holds one
// document at a time, so at most [MaxDocument] bytes. The zero value is ready.
// It is not safe for concurrent use.
type Assembly struct {
	digest, sum [32]byte
	data        []byte
	have        []bool // by piece
	missing     int    // pieces; 0 if nothing is under way
}

// Add takes a piece in and returns the document when it is whole. A piece of
// another document than the last one begins anew. If pieces contradict each
// other or the sum, the error is [ErrBrokenDocument] and all of it is forgotten.
func (a *Assembly) Add(p *Piece) ([]byte, error) {
	if !p.fits() {
		return nil, ErrBrokenDocument
	}
	if a.missing == 0 || p.Digest != a.digest || p.Sum != a.sum || int(p.Total) != len(a.data) {
		a.missing = (int(p.Total) + PieceData - 1) / PieceData
		a.digest, a.sum = p.Digest, p.Sum
		a.data = slices.Grow(a.data[:0], int(p.Total))[:p.Total]
		a.have = slices.Grow(a.have[:0], a.missing)[:a.missing]
		clear(a.have)
	}
	place, i := a.data[p.Offset:int(p.Offset)+len(p.Data)], p.Offset/PieceData
	if a.have[i] {
		if !bytes.Equal(place, p.Data) {
			*a = Assembly{}
			return nil, ErrBrokenDocument
		}
		return nil, nil
	}
	copy(place, p.Data)
	a.have[i] = true
	if a.missing--; a.missing > 0 {
		return nil, nil
	}
	whole := a.data
	*a = Assembly{}
	if sha256.Sum256(whole) != p.Sum {
		return nil, ErrBrokenDocument
	}
	return whole, nil
}
