package lvscf

import (
	"slices"
	"strings"
)

// addLine writes a directive on a line of its own, where the canonical order
// has it among those that stand before the nested blocks.
func (e *editor) addLine(b *Block, dir *directive, words []word) error {
	where := e.place(b)
	at, model, follows := b.roomFor(dir.name, where)
	style := e.styleFor(b, model)
	build := func(forms []string) string {
		return style.indent + dir.name + style.sign(dir.name) + strings.Join(forms, " ")
	}
	quotes := func(int) (byte, bool) { return 0, dir.quotesWanted() }
	l, err := e.old.dialect.writeWords(dir.name, words, quotes, build)
	if err != nil { // the neighbours' way may be no way for this value
		style.before, style.after, style.column = " ", " ", 0
		if l, err = e.old.dialect.writeWords(dir.name, words, quotes, build); err != nil {
			return err
		}
	}
	l.End = e.end
	add := []Node{l}
	if e.doubleSpaced(b) {
		blank := &Line{End: e.end}
		switch {
		case len(b.Body) == 0 && b.Open != nil:
			add = []Node{blank, l, blank}
		case follows:
			add = []Node{blank, l}
		case len(b.Body) > 0:
			add = []Node{l, blank}
		}
	}
	b.Body = slices.Insert(b.Body, at, add...)
	e.changed = true
	return nil
}

// roomFor returns where in the body to insert a line of a directive, and the
// line that it follows or precedes, nil if there is none.
func (b *Block) roomFor(name string, where blockMask) (at int, model *Line, follows bool) {
	rank := rankOf(name, where)
	after, before, bestRank := -1, -1, -1
	for i, n := range b.Body {
		l, ok := n.(*Line)
		if !ok && (before >= 0 || after >= 0 || name == "port") {
			break // what stands behind blocks comes too late for a port
		}
		if !ok || l.Kind != DirectiveLine {
			continue
		}
		switch r := rankOf(l.Tokens[0].Text, where); {
		case r <= rank && r >= bestRank:
			after, bestRank = i, r
		case r > rank && before < 0:
			before = i
		}
	}
	// What follows at once and belongs before it in the canonical order stays
	// with the line found.
	for after >= 0 && after+1 < len(b.Body) {
		l, ok := b.Body[after+1].(*Line)
		if !ok || l.Kind != DirectiveLine || rankOf(l.Tokens[0].Text, where) > rank {
			break
		}
		after++
	}
	switch {
	case after >= 0:
		return after + 1, b.Body[after].(*Line), true
	case before >= 0:
		model = b.Body[before].(*Line)
		return b.unitStart(before), model, false
	}
	for i, n := range b.Body { // before the first block
		if _, ok := n.(*Block); ok {
			return b.unitStart(i), nil, false
		}
	}
	return b.contentEnd(), nil, true
}

// lineStyle is how a new line is written.
type lineStyle struct {
	indent string
	// before and after are what stands around the sign. column, when not 0,
	// is that of the sign, which the lines around align.
	before, after string
	column        int
}

// sign returns what stands between a name and its value.
func (s lineStyle) sign(name string) string {
	if s.column > 0 {
		return strings.Repeat(" ", max(s.column-1-len(s.indent)-len(name), 1)) + "=" + s.after
	}
	return s.before + "=" + s.after
}

// styleFor returns how lines are written in a body: like a line of it, or else
// like those of other blocks of the kind.
func (e *editor) styleFor(b *Block, model *Line) lineStyle {
	style := lineStyle{before: " ", after: " "}
	if model == nil {
		model = b.firstDirective()
	}
	if model != nil {
		style.indent = indentOf(model.Text)
		style.column = b.signColumn()
	} else {
		style.indent, model = e.innerIndent(b)
	}
	if model != nil && len(model.Tokens) > 2 && model.Tokens[1].is("=") {
		t := model.Tokens
		style.before = model.Text[t[0].End()-1 : t[1].Column-1]
		style.after = model.Text[t[1].Column : t[2].Column-1]
		if strings.HasPrefix(style.before, "  ") { // padded to a column that is none
			style.before = " "
		}
	}
	return style
}

func (b *Block) firstDirective() *Line {
	for _, n := range b.Body {
		if l, ok := n.(*Line); ok && l.Kind == DirectiveLine {
			return l
		}
	}
	return nil
}

// signColumn returns the column in which all signs of a body stand, or 0 when
// that is not because names of different lengths are padded to it.
func (b *Block) signColumn() int {
	column, padded := 0, false
	for _, n := range b.Body {
		l, ok := n.(*Line)
		if !ok || l.Kind != DirectiveLine {
			continue
		}
		if len(l.Tokens) < 2 || !l.Tokens[1].is("=") || column > 0 && l.Tokens[1].Column != column ||
			strings.Contains(l.Text[:l.Tokens[1].Column], "\t") {
			return 0
		}
		column = l.Tokens[1].Column
		padded = padded || column > l.Tokens[0].End()+1
	}
	if !padded {
		return 0
	}
	return column
}

// innerIndent returns the indentation of the first line of a block that has no
// directive yet, and a line of another block to be followed in the rest.
func (e *editor) innerIndent(b *Block) (indent string, model *Line) {
	if b.Open == nil {
		for other := range e.top.blocks() {
			return indentOf(other.Open.Text), nil
		}
		return "", nil
	}
	own := indentOf(b.Open.Text)
	for _, like := range []func(*Block) bool{
		func(other *Block) bool { return other.Kind == b.Kind },
		func(other *Block) bool { return indentOf(other.Open.Text) == own },
		func(*Block) bool { return true },
	} {
		for other := range e.top.blocks() {
			l := other.firstDirective()
			if l == nil || !like(other) {
				continue
			}
			if unit, ok := strings.CutPrefix(indentOf(l.Text), indentOf(other.Open.Text)); ok {
				return own + unit, l
			}
		}
	}
	return own + indentUnit, nil
}
