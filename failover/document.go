package failover

import "github.com/lvskit/lvskit/failover/pulse"

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
// partner asks, one piece with each beat, encrypted with the pair's key. A node
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

// encodePiece seals the next piece for each channel if the partner asks for
// one; otherwise the packets become empty. The caller holds mu.
func (n *Node) encodePiece(packets [][]byte) {
	for i := range packets {
		packets[i] = packets[i][:0]
	}
	if !n.beat.Asks || !n.machine.Hears() || !n.tells() {
		return
	}
	p, ok := n.docs.own.Next()
	if !ok {
		return
	}
	n.pieceSeq++
	p.Boot, p.Seq = n.guard.Boot(), n.pieceSeq
	for i := range packets {
		p.Channel = uint8(i)
		packets[i] = n.seal.AppendPiece(packets[i], &p)
	}
}

// heardPiece takes an authentic piece in. One that nobody asked for is
// ignored: the partner has not heard yet that it is enough.
func (n *Node) heardPiece(c *channel, p *pulse.Piece) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if d := n.guard.AcceptPiece(c.index, p); d != pulse.DropNone {
		c.drops[d].Add(1)
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
