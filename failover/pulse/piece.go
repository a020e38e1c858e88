package pulse

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

const (
	// PieceData is how much of a document a piece carries. With what is around
	// it, it is [MaxPieceSize] bytes, which every path carries whole: IPv6 asks
	// for packets of 1280 bytes (RFC 8200 section 5).
	PieceData = 900
	// MaxPieceSize is the length of the longest packet of a piece.
	MaxPieceSize = pieceHead + nonceSize + pieceFields + PieceData + tagSize
	// MaxDocument is the length of the longest document.
	MaxDocument = 256 << 10

	pieceMagic   = "lvsD"
	pieceVersion = 2
	pieceHead    = 12 // authenticated, not encrypted
	pieceFields  = 92
	nonceSize    = 12
	tagSize      = 16
)

// PieceKind is what a piece is a part of.
type PieceKind uint8

// Kinds of pieces.
const (
	// PieceDocument: what the sender's digest is a digest of.
	PieceDocument PieceKind = iota
	// PieceVerdicts: a list of verdicts, see [AppendVerdicts].
	PieceVerdicts
)

// Piece is a part of what a node tells its partner beside its beats.
type Piece struct {
	Kind PieceKind
	// Boot and Channel are as in the beats. Seq grows from 1 by one a round of
	// pieces.
	Boot, Seq uint64
	Channel   uint8
	// Number is that of the list of verdicts as in the beats, 0 in a document.
	Number uint32
	// Digest is what the document belongs to, as in the beats.
	Digest [32]byte
	// Sum is the SHA-256 of the whole document, and Total its length, 1 to
	// MaxDocument.
	Sum   [32]byte
	Total uint32
	// Offset of Data in the document is a multiple of PieceData. Data has
	// PieceData bytes, or those that are left.
	Offset uint32
	Data   []byte
}

// pieceCipher makes the cipher of pieces from the shared key.
func pieceCipher(key []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, "lvskit pulse piece", 32)
	if err != nil {
		return nil, fmt.Errorf("pulse: derive the key of pieces: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("pulse: cipher of pieces: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("pulse: cipher of pieces: %w", err)
	}
	return aead, nil
}

// IsPiece reports whether a packet begins as a piece, so that it is for
// [Codec.OpenPiece].
func IsPiece(p []byte) bool { return len(p) >= 4 && string(p[:4]) == pieceMagic }

// AppendPiece appends the sealed packet of p to dst.
func (c *Codec) AppendPiece(dst []byte, p *Piece) []byte {
	s := &c.seals[0]
	head := append(make([]byte, 0, pieceHead), pieceMagic...)
	head = append(head, pieceVersion, p.Channel, byte(p.Kind), 0)
	head = binary.BigEndian.AppendUint32(head, s.id)
	body := make([]byte, 0, pieceFields+len(p.Data))
	body = binary.BigEndian.AppendUint64(body, p.Boot)
	body = binary.BigEndian.AppendUint64(body, p.Seq)
	body = append(body, p.Digest[:]...)
	body = append(body, p.Sum[:]...)
	body = binary.BigEndian.AppendUint32(body, p.Number)
	body = binary.BigEndian.AppendUint32(body, p.Total)
	body = binary.BigEndian.AppendUint32(body, p.Offset)
	body = append(body, p.Data...)
	return s.aead.Seal(append(dst, head...), nil, body, head)
}

// OpenPiece checks a packet and reads it into p, whose Data is the codec's until
// the next call. The error is a [Drop]: DropSize, DropMagic, DropVersion,
// DropUnknownKey, DropKey or DropField; p is changed only if it is nil. Freshness
// is for [Guard.AcceptPiece] to judge.
func (c *Codec) OpenPiece(packet []byte, p *Piece) error {
	if d := c.openPiece(packet, p); d != DropNone {
		return d
	}
	return nil
}

func (c *Codec) openPiece(packet []byte, p *Piece) Drop {
	if len(packet) <= MaxPieceSize-PieceData || len(packet) > MaxPieceSize {
		return DropSize
	}
	if !IsPiece(packet) {
		return DropMagic
	}
	if packet[4] != pieceVersion {
		return DropVersion
	}
	s := c.find(binary.BigEndian.Uint32(packet[8:]))
	if s == nil {
		return DropUnknownKey
	}
	body, err := s.aead.Open(c.body[:0], nil, packet[pieceHead:], packet[:pieceHead])
	if err != nil {
		return DropKey
	}
	r := Piece{
		Kind:    PieceKind(packet[6]),
		Boot:    binary.BigEndian.Uint64(body),
		Seq:     binary.BigEndian.Uint64(body[8:]),
		Channel: packet[5],
		Digest:  [32]byte(body[16:48]),
		Sum:     [32]byte(body[48:80]),
		Number:  binary.BigEndian.Uint32(body[80:]),
		Total:   binary.BigEndian.Uint32(body[84:]),
		Offset:  binary.BigEndian.Uint32(body[88:]),
		Data:    body[pieceFields:],
	}
	if r.Kind > PieceVerdicts || r.Boot == 0 || r.Seq == 0 || r.Channel >= MaxChannels || !r.fits() {
		return DropField
	}
	*p = r
	return DropNone
}

// fits reports whether the piece is one of those that a document of its length
// is cut into.
func (p *Piece) fits() bool {
	return p.Total <= MaxDocument && p.Offset < p.Total && p.Offset%PieceData == 0 &&
		len(p.Data) == int(min(PieceData, p.Total-p.Offset))
}
