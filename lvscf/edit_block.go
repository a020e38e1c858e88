package lvscf

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// A unit is a node with the comments right above it, which move and go with
// it. Comments at the very top of a file are about the file.

// unitStart returns the index in the body where the unit of a node starts.
func (b *Block) unitStart(i int) int {
	start := i
	for start > 0 && isLineOf(b.Body[start-1], CommentLine) {
		start--
	}
	if start == 0 && b.Open == nil {
		return i
	}
	return start
}

func isLineOf(n Node, kind LineKind) bool {
	l, ok := n.(*Line)
	return ok && l.Kind == kind
}

func isBlankLine(n Node) bool { return isLineOf(n, BlankLine) }

// indentOf returns the blanks that a line starts with.
func indentOf(text string) string { return text[:len(text)-len(strings.TrimLeft(text, " \t"))] }

// contentEnd returns the index just past the last node that is no blank line.
func (b *Block) contentEnd() int {
	n := len(b.Body)
	for n > 0 && isBlankLine(b.Body[n-1]) {
		n--
	}
	return n
}

// blocks passes the blocks within a block, at any depth, that have a frame.
func (b *Block) blocks() iter.Seq[*Block] {
	return func(yield func(*Block) bool) { b.eachBlock(yield) }
}

func (b *Block) eachBlock(yield func(*Block) bool) bool {
	for _, n := range b.Body {
		if c, ok := n.(*Block); ok && (c.Open != nil && !yield(c) || !c.eachBlock(yield)) {
			return false
		}
	}
	return true
}

// spacing counts the directives of a body that follow another one, at once or
// after blank lines.
func (b *Block) spacing() (tight, spaced int) {
	var last *Line
	for _, n := range b.Body {
		l, ok := n.(*Line)
		switch {
		case !ok || l.Kind == CommentLine:
			last = nil
		case l.Kind == DirectiveLine && last != nil && last.Kind == DirectiveLine:
			tight++
		case l.Kind == DirectiveLine && last != nil:
			spaced++
		}
		if ok && (l.Kind == DirectiveLine || last != nil) {
			last = l
		}
	}
	return tight, spaced
}

// doubleSpaced reports whether blank lines stand between all directives, in
// the block or, when it has not two, in the file.
func (e *editor) doubleSpaced(b *Block) bool {
	tight, spaced := b.spacing()
	if tight+spaced == 0 {
		tight, spaced = e.top.spacing()
		for c := range e.top.blocks() {
			t, s := c.spacing()
			tight, spaced = tight+t, spaced+s
		}
	}
	return tight == 0 && spaced > 0
}

// removeNodes removes a part of a body. Where that leaves blank lines on both
// sides, or at an end of the body, the shorter run of them goes too.
func removeNodes(body []Node, start, end int) []Node {
	first, last := start, end
	for first > 0 && isBlankLine(body[first-1]) {
		first--
	}
	for last < len(body) && isBlankLine(body[last]) {
		last++
	}
	switch above, below := start-first, last-end; {
	case first == 0 && above == 0 || last < len(body) && below > 0 && above >= below:
		end = last
	case last == len(body) && below == 0 || above > 0 && below > 0:
		start = first
	}
	return slices.Delete(body, start, end)
}

// belongs reports whether blocks of a kind may stand within a block.
func (e *editor) belongs(kind BlockKind, b *Block) bool {
	switch kind {
	case VirtualBlock, FailoverBlock, VRRPBlock:
		return b == &e.top
	case ServerBlock:
		return b.Kind == VirtualBlock
	case CheckBlock:
		return b.Kind == VirtualBlock || b.Kind == ServerBlock || b.Kind == VRRPBlock
	}
	return false
}

// checkName judges a new name of a block.
func (b *Block) checkName(kind BlockKind, name string) error {
	switch {
	case name == "":
		return errors.New("a block needs a name")
	case strings.ContainsAny(name, "\r\n\x00") || !utf8.ValidString(name):
		return fmt.Errorf("the name %s is no text of one line", quote(name))
	}
	if _, err := b.child(Step{Kind: kind, Name: name, Index: 1}); err == nil {
		return exists("there is a block " + Step{Kind: kind, Name: name}.String() + " already")
	}
	return nil
}

// openingLine returns the line that build makes of one of the ways to write a
// name: the first that is read as opening such a block.
func (d Dialect) openingLine(kind BlockKind, name string, build func(form string) string) (*Line, error) {
	var forms []string
	if !strings.ContainsAny(name, " \t") {
		forms = append(forms, name)
	}
	forms = append(forms, wordForms(name, 0, true)...)
	for _, form := range forms {
		l, ok := d.split(build(form))
		if t := l.Tokens; ok && len(t) >= 2 && len(t) <= 3 && t[0].is(kind.String()) && t[1].Text == name && t[len(t)-1].is("{") == (len(t) == 3) {
			l.Kind = OpenLine
			return l, nil
		}
	}
	return nil, fmt.Errorf("the language has no way to write the name %s", quote(name))
}

// addBlock writes an empty block behind the last one of its kind.
func (e *editor) addBlock(b *Block, step Step) error {
	if !e.belongs(step.Kind, b) {
		return fmt.Errorf("a %s block does not belong there", step.Kind)
	}
	if err := b.checkName(step.Kind, step.Name); err != nil {
		return err
	}
	room := e.roomForBlock(b, step.Kind)
	openIndent := e.styleFor(b, nil).indent
	closeIndent := openIndent
	if room.model != nil {
		openIndent, closeIndent = indentOf(room.model.Open.Text), indentOf(room.model.Close.Text)
	}
	open, err := e.old.dialect.openingLine(step.Kind, step.Name, func(form string) string {
		return openIndent + step.Kind.String() + " " + form + " {"
	})
	if err != nil {
		return err
	}
	open.End = e.end
	closing, _ := e.old.dialect.split(closeIndent + "}")
	closing.Kind, closing.End = CloseLine, e.end
	add := slices.Repeat([]Node{&Line{End: e.end}}, room.blanks)
	added := &Block{Kind: step.Kind, Name: step.Name, Open: open, Close: closing}
	if room.above {
		add = slices.Insert(add, 0, Node(added))
	} else {
		add = append(add, added)
	}
	b.Body = slices.Insert(b.Body, room.at, add...)
	e.changed = true
	return nil
}

// blockRoom is where a block can be added: the index in the body, whether that
// is above other blocks, how many blank lines belong between, and a block of
// its kind to be followed in form, if there is one.
type blockRoom struct {
	at     int
	above  bool
	blanks int
	model  *Block
}

func (e *editor) roomForBlock(b *Block, kind BlockKind) blockRoom {
	rank := slices.Index(blockOrder, kind)
	sibling, lower, higher := -1, -1, -1
	for i, n := range b.Body {
		c, ok := n.(*Block)
		if !ok {
			continue
		}
		switch r := slices.Index(blockOrder, c.Kind); {
		case c.Kind == kind:
			sibling = i
		case r > rank && higher < 0:
			higher = i
		case r < rank:
			lower = i
		}
	}
	switch {
	case sibling >= 0:
		return blockRoom{at: sibling + 1, blanks: b.blanksAbove(sibling), model: b.Body[sibling].(*Block)}
	case higher >= 0:
		return blockRoom{at: b.unitStart(higher), above: true, blanks: b.blanksAbove(higher)}
	}
	room := blockRoom{at: b.contentEnd()}
	switch {
	case room.at == 0:
	case lower >= 0:
		room.blanks = b.blanksAbove(lower)
	case b.Open == nil:
		room.blanks = 1
	default: // as in another block that has one
		for c := range e.top.blocks() {
			i := slices.IndexFunc(c.Body, func(n Node) bool {
				inner, ok := n.(*Block)
				return ok && inner.Kind == kind
			})
			if i >= 0 {
				room.blanks = c.blanksAbove(i)
				break
			}
		}
	}
	return room
}

// blanksAbove counts the blank lines above the unit of a node. Above the first
// of a file there is nothing to count, and one is usual.
func (b *Block) blanksAbove(i int) int {
	start := b.unitStart(i)
	if start == 0 && b.Open == nil {
		return 1
	}
	n := 0
	for start-n > 0 && isBlankLine(b.Body[start-n-1]) {
		n++
	}
	return n
}

// rename gives the block at an index of the body another name.
func (e *editor) rename(b *Block, at int, name string) error {
	block := *b.Body[at].(*Block)
	if block.Name == name {
		return nil
	}
	if err := b.checkName(block.Kind, name); err != nil {
		return err
	}
	old := block.Open
	t := old.Tokens[1]
	open, err := e.old.dialect.openingLine(block.Kind, name, func(form string) string {
		return old.Text[:t.Column-1] + form + old.Text[t.End()-1:]
	})
	if err != nil {
		return err
	}
	open.End = old.End
	block.Name, block.Open = name, open
	b.Body[at] = &block
	e.changed = true
	return nil
}

// move makes the block at an index of the body the n-th of its kind. The units
// change places; what is between them stays.
func (e *editor) move(b *Block, at, to int) error {
	kind := b.Body[at].(*Block).Kind
	type span struct{ start, end int }
	var places []span
	from := 0
	for i, n := range b.Body {
		if c, ok := n.(*Block); ok && c.Kind == kind {
			if i == at {
				from = len(places)
			}
			places = append(places, span{b.unitStart(i), i + 1})
		}
	}
	to = min(to, len(places)) - 1
	if to == from {
		return nil
	}
	order := slices.Clone(places)
	order = slices.Insert(slices.Delete(order, from, from+1), to, places[from])
	if kind == ServerBlock {
		if err := b.portBetween(places[min(from, to)].start, places[max(from, to)].end); err != nil {
			return err
		}
	}
	var body []Node
	end := 0
	for i, p := range places {
		body = append(body, b.Body[end:p.start]...)
		body = append(body, b.Body[order[i].start:order[i].end]...)
		end = p.end
	}
	b.Body = append(body, b.Body[end:]...)
	e.changed = true
	return nil
}

// portBetween refuses to move servers over a port of their virtual block:
// those without a port of their own have the one that stands above them.
func (b *Block) portBetween(start, end int) error {
	for _, n := range b.Body[start:end] {
		if l, ok := n.(*Line); ok && l.Kind == DirectiveLine && l.Tokens[0].is("port") {
			return errors.New("a port directive of the virtual block stands between the servers, which would change their ports: set or remove it first")
		}
	}
	return nil
}
