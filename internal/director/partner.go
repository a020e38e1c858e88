package director

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"unicode"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/pulse"
	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/lvscf"
)

// Bounds of a partner's configuration: its text, the braces in it, for a block
// of a few bytes becomes a large value, and the differences that are told.
const (
	maxAccount     = 4 << 20
	maxBraces      = 1 << 16
	maxDifferences = 20
)

var errNotFromFile = errors.New("it is not from a file")

// account writes a configuration for the partner to read: as a file without
// what may be a secret, compressed.
func account(c *lvscf.Config, key []byte) ([]byte, error) {
	f, err := c.Concealed(key).File()
	if err != nil {
		return nil, err
	}
	if n := len(f.Bytes()); n > maxAccount {
		return nil, fmt.Errorf("its %d bytes are more than the %d that can be compared", n, maxAccount)
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(f.Bytes()); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if out.Len() > pulse.MaxDocument {
		return nil, fmt.Errorf("its %d bytes, compressed, are more than the %d that can be sent", out.Len(), pulse.MaxDocument)
	}
	return out.Bytes(), nil
}

// readAccount reads what account wrote. unread counts the lines that this
// version does not understand, so that the configuration lacks them.
func readAccount(document []byte) (c *lvscf.Config, unread int, err error) {
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(document)), maxAccount+1))
	if err != nil {
		return nil, 0, fmt.Errorf("it cannot be unpacked: %w", err)
	}
	if len(text) > maxAccount || bytes.Count(text, []byte("{")) > maxBraces {
		return nil, 0, errors.New("it is too large to be compared")
	}
	f, ds := lvscf.Parse("the partner's configuration", text)
	c, more := f.Config()
	for _, d := range append(ds, more...) {
		if d.Severity == lvscf.Error {
			unread++
		}
	}
	return c, unread, nil
}

// partner knows how the partner's configuration differs from ours. The nodes
// tell each other by heartbeats when they do; this is what is told, and the
// comparison. It works on the goroutine of the node's events, so that neither
// heartbeats nor the table wait for it.
type partner struct {
	log  *slog.Logger
	key  []byte // also hides what may be a secret
	node *failover.Node

	mu    sync.Mutex
	own   *Setup
	found []string // what differs, in the operator's words
	more  int      // differences beyond found
	why   string   // why they are not known
}

// setOwn takes a new configuration of ours in; the node's digest is to be set
// after it.
func (p *partner) setOwn(s *Setup) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.own = s
}

// onEvent follows the node.
func (p *partner) onEvent(e failover.Event) {
	switch e.Kind {
	case failover.EventDigestMismatch:
		if err := p.tell(); err != nil {
			p.log.Warn("the partner cannot be told our configuration", "err", err)
			p.conclude(nil, 0, "ours cannot be told to the partner, so it is not asked either: "+err.Error())
			return
		}
		// The partner's may be here and only ours be new.
		p.compare(p.node.PartnerDocument())
	case failover.EventDocument:
		if e.Err != nil {
			p.conclude(nil, 0, "what the partner told of it is broken: "+e.Err.Error())
			return
		}
		p.compare(p.node.PartnerDocument())
	case failover.EventDigestMatch:
		p.conclude(nil, 0, "")
	}
}

// tell readies our configuration for the partner.
func (p *partner) tell() error {
	p.mu.Lock()
	own := p.own
	p.mu.Unlock()
	if own.Config == nil {
		return errNotFromFile
	}
	document, err := account(own.Config, p.key)
	if err != nil {
		return err
	}
	return p.node.SetDocument(own.Digest, document)
}

// compare finds what differs in the partner's configuration, if it is there.
func (p *partner) compare(document []byte) {
	p.mu.Lock()
	own := p.own
	p.mu.Unlock()
	if own.Config == nil {
		p.conclude(nil, 0, "ours cannot be compared: "+errNotFromFile.Error())
		return
	}
	if document == nil {
		p.conclude(nil, 0, "the partner has not told its configuration yet; an older version never does")
		return
	}
	theirs, unread, err := readAccount(document)
	if err != nil {
		p.conclude(nil, 0, "the partner told its configuration, and "+err.Error())
		return
	}
	ds := lvscf.Diff(own.Config.Concealed(p.key), theirs)
	var found []string
	if unread > 0 {
		found = append(found, fmt.Sprintf("%d lines that this version does not understand: run the same version on both routers", unread))
	}
	for _, d := range ds[:min(len(ds), maxDifferences)] {
		found = append(found, oneLine(d.String()))
	}
	if len(found) == 0 {
		p.conclude(nil, 0, "this version finds no difference: run the same version on both routers")
		return
	}
	for _, what := range found {
		p.log.Warn("the partner's configuration differs, ours -> the partner's", "what", what)
	}
	more := max(0, len(ds)-maxDifferences)
	if more > 0 {
		p.log.Warn("the partner's configuration differs, ours -> the partner's", "what", fmt.Sprintf("and %d more", more))
	}
	p.conclude(found, more, "")
}

func (p *partner) conclude(found []string, more int, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found, p.more, p.why = found, more, why
}

// describe fills in what the status document says of a partner that differs.
func (p *partner) describe(st *control.Partner) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if st.ConfigDiffers {
		st.Differences, st.MoreDifferences, st.DifferencesUnknown = p.found, p.more, p.why
	}
}

// oneLine makes what the partner wrote fit for a terminal.
func oneLine(s string) string {
	const most = 300
	runes := []rune(s)
	if len(runes) > most {
		runes = append(runes[:most], '…')
	}
	for i, r := range runes {
		if !unicode.IsPrint(r) {
			runes[i] = unicode.ReplacementChar
		}
	}
	return string(runes)
}
