package failover

import (
	"time"

	"github.com/lvskit/lvskit/failover/pulse"
)

// documents is what two nodes with different digests tell each other. All of
// it is beside the election.
type documents struct {
	own    *pulse.Document
	coming pulse.Assembly
	whole  []byte // the partner's
	over   bool   // the partner's is whole, or broken: do not ask again
}

// SetDocument gives the node what it may tell a partner whose digest differs:
// bytes that it does not look into, at most pulse.MaxDocument, and the digest
// that they belong to. They go out only while that is the node's digest and the
// partner asks, in pieces beside the beats, encrypted with the pair's key. A node
// that has one asks for the partner's in turn; [EventDocument] tells that
// it is there. Empty bytes take the document back.
func (n *Node) SetDocument(digest [32]byte, document []byte) error {
	var own *pulse.Document
	if len(document) > 0 {
		var err error
		if own, err = pulse.NewDocument(digest, append([]byte(nil), document...)); err != nil {
			return err
		}
	}
	if n.remote != nil {
		n.remote.tell(verbDocument, wireDocument{digest, document}, true)
		return nil
	}
	n.mu.Lock()
	n.docs.own = own
	n.mu.Unlock()
	return nil
}

// PartnerDocument returns what the partner's digest stands for, in the
// partner's own words, and nil if it has not told all of it or its digest is
// ours.
func (n *Node) PartnerDocument() []byte {
	if n.remote != nil {
		return n.distantDocument()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]byte(nil), n.docs.whole...)
}

// tells reports whether the node has a document for its present digest. The
// caller holds mu.
func (n *Node) tells() bool { return n.docs.own != nil && n.docs.own.Digest() == n.digest }

// asks reports whether the node wants a piece of the partner's document. The
// caller holds mu.
func (n *Node) asks() bool { return n.mismatch && n.tells() && !n.docs.over }

// Pieces go out at a rate that leaves a slow link free: one every pieceEvery,
// and after a long interval no more than pieceBurst in a row.
const (
	pieceEvery = 50 * time.Millisecond
	pieceBurst = 16
)

// encodePieces seals the pieces that go out with this beat, each for every
// channel in turn, if there is anything to tell. The caller holds mu.
func (n *Node) encodePieces(packets [][]byte, now time.Duration) [][]byte {
	packets = packets[:0]
	if n.cfg.Legacy {
		return packets
	}
	burst := min(int((now-n.lastPiece)/pieceEvery), pieceBurst)
	for i := range burst {
		p, ok := n.nextPiece(i%2 == 0)
		if !ok {
			break
		}
		n.lastPiece = now
		n.pieceSeq++
		p.Boot, p.Seq = n.guard.Boot(), n.pieceSeq
		for c := range n.chans {
			p.Channel = uint8(c)
			packets = append(packets, n.seal.AppendPiece(nil, &p))
		}
	}
	return packets
}

// nextPiece returns what the partner waits for, of both kinds in turn.
func (n *Node) nextPiece(first bool) (pulse.Piece, bool) {
	if first {
		if p, ok := n.verdictPiece(); ok {
			return p, true
		}
		return n.documentPiece()
	}
	if p, ok := n.documentPiece(); ok {
		return p, true
	}
	return n.verdictPiece()
}

// documentPiece returns the next piece of our document if the partner asks.
func (n *Node) documentPiece() (pulse.Piece, bool) {
	if !n.beat.Asks || !n.machine.Hears() || !n.tells() {
		return pulse.Piece{}, false
	}
	return n.docs.own.Next()
}

// heardPiece takes an authentic piece in. One that nobody asked for is
// ignored: the partner has not heard yet that it is enough.
func (n *Node) heardPiece(c *channel, p *pulse.Piece) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if d := n.guard.AcceptPiece(c.index, p); d != pulse.DropNone {
		c.drop(d, n.clock())
		return
	}
	if p.Kind == pulse.PieceVerdicts {
		n.heardVerdicts(p)
		return
	}
	if !n.asks() || p.Digest != n.beat.Digest {
		return
	}
	whole, err := n.docs.coming.Add(p)
	if whole == nil && err == nil {
		return
	}
	n.docs.whole, n.docs.over = whole, true
	n.events.emit(Event{Kind: EventDocument, Err: err})
}
