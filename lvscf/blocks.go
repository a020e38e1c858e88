package lvscf

import (
	"fmt"
	"strings"
)

// blockWords are the words that open a block.
var blockWords = []string{"virtual", "failover", "server", "check", "vrrp"}

func blockKind(word string) BlockKind {
	switch word {
	case "virtual":
		return VirtualBlock
	case "failover":
		return FailoverBlock
	case "server":
		return ServerBlock
	case "check":
		return CheckBlock
	case "vrrp":
		return VRRPBlock
	}
	return UnknownBlock
}

// extension reports whether Piranha has no such blocks.
func (k BlockKind) extension() bool { return k == CheckBlock || k == VRRPBlock }

const extensionCure = "remove it, or read the file without the strict dialect"

// opensBlock reports whether a line is meant to open a block, well formed or
// not. Where a directive has the name of a block, the brace tells them apart.
func (p *parser) opensBlock(l *Line) bool {
	t := l.Tokens
	if len(t) > 1 && t[1].is("=") {
		return false
	}
	last := t[len(t)-1]
	braced := last.Quote == 0 && strings.HasSuffix(last.Text, "{")
	if blockKind(t[0].Text) != UnknownBlock {
		if b := p.top(); !braced && b != nil && findDirective(t[0].Text, b.Kind.mask()) != nil {
			return false
		}
		return !l.oneLineBlock()
	}
	return braced && len(t) <= 4
}

// oneLineBlock reports whether a block is opened and closed on the line.
func (l *Line) oneLineBlock() bool {
	last := l.Tokens[len(l.Tokens)-1]
	return last.Quote == 0 && strings.HasSuffix(last.Text, "}")
}

func (p *parser) openLine(l *Line) {
	word := strings.TrimSuffix(l.Tokens[0].Text, "{")
	b := &Block{Kind: blockKind(word), Open: l}
	l.Kind = OpenLine
	if len(l.Tokens) > 1 {
		b.Name = l.Tokens[1].Text
		if l.Tokens[1].Quote == 0 {
			b.Name = strings.TrimSuffix(b.Name, "{")
		}
	}
	switch {
	case b.Kind == UnknownBlock:
		p.unknownBlock(l, b, word)
	case p.c.dialect == Strict && b.Kind.extension():
		p.errorAt(codeExtension, l, l.Tokens[0].Column, fmt.Sprintf("unknown command: %q: such blocks are lvskit's own, Piranha has none", word), extensionCure)
		b.Kind = UnknownBlock
	default:
		p.frame(l)
		p.place(l, b)
	}
	if len(p.open) == MaxDepth {
		p.c.at(codeTooDeep, l, l.Tokens[0].Column, fmt.Sprintf("blocks nest more than %d deep; the rest was not read", MaxDepth),
			"close blocks with } on a line of its own")
		p.file.faulty, p.giveUp = true, true
	}
	p.keep(b)
	p.open = append(p.open, b)
	switch b.Kind {
	case ServerBlock:
		b.Body = make([]Node, 0, 4)
	case VirtualBlock:
		b.Body = make([]Node, 0, 16)
	}
}

// unknownBlock reports a block that the language does not have, and takes it
// for the one that was likely meant.
func (p *parser) unknownBlock(l *Line, b *Block, word string) {
	cure := `blocks are "virtual NAME {", "failover NAME {" and, within them, "server NAME {"`
	if word == "" && len(l.Tokens) == 1 {
		p.errorAt(codeBraceAlone, l, l.Tokens[0].Column, "unknown command: the brace stands alone", "put { on the line that opens the block, after its name and a blank")
		return
	}
	near := nearest(word, blockWords)
	if near != "" {
		cure = fmt.Sprintf("did you mean %q?", near)
	}
	p.errorAt(codeNoSuchBlock, l, l.Tokens[0].Column, "unknown command: "+quote(l.Tokens[0].Text)+" opens no block", cure)
	if b.Kind = blockKind(near); b.Kind != UnknownBlock {
		p.place(l, b)
	}
}

// frame judges the form of an opening line: a word, a name and a brace.
func (p *parser) frame(l *Line) {
	if l.faulty {
		return
	}
	t := l.Tokens
	word := strings.TrimSuffix(t[0].Text, "{")
	want := fmt.Sprintf("write %q", word+" NAME {")
	switch {
	case len(t) == 2 && p.c.dialect != Strict && !t[1].is("{") && p.braceFollows():
		p.c.at(codeBraceNext, l, l.endColumn(), "{ stands on the next line, where Piranha does not look for it", want)
		p.braceless, p.accepted = true, true
	case len(t) < 3:
		code, what := codeBlockFrame, "the line needs a name and {"
		if last := t[len(t)-1]; last.Quote == 0 && strings.HasSuffix(last.Text, "{") && last.Text != "{" {
			code, want = codeGluedBrace, want+", with a blank before {"
			what = "{ must be a word of its own"
		} else if len(t) == 2 && !last.is("{") {
			p.braceless = true
			if p.braceFollows() {
				code = codeBraceNext
			}
			want += ", all on one line"
			what = "{ is missing on this line"
		} else if len(t) == 1 {
			p.braceless = true
		}
		p.errorAt(code, l, l.endColumn(), "missing arguments: "+what, want)
	case len(t) > 3:
		extra := t[3]
		code, cure := codeBlockWords, want+"; a name is one word, join its parts with _"
		if extra.isComment() {
			code, cure = codeTrailing, "move the comment to a line of its own, above this one"
		} else if t[2].is("{") {
			cure = want + " and put what follows on lines of its own"
		}
		p.errorAt(code, l, extra.Column, "unexpected arguments: "+quote(extra.Text), cure)
	case t[2].Text != "{":
		code := codeBlockFrame
		if t[2].isComment() {
			p.braceless = true
			code, want = codeTrailing, want+" and put the comment on a line of its own"
		}
		p.errorAt(code, l, t[2].Column, "missing arguments: "+quote(t[2].Text)+" stands where { belongs", want)
	}
}

// braceFollows reports whether the next line with anything on it is the brace.
func (p *parser) braceFollows() bool {
	for rest := p.rest; rest != ""; {
		var line string
		line, _, rest = cutLine(rest)
		line = strings.Trim(line, " \t")
		if line != "" && line[0] != '#' {
			after, ok := strings.CutPrefix(line, "{")
			comment := strings.TrimLeft(after, " \t")
			return ok && (comment == "" || comment[0] == '#' && comment != after)
		}
	}
	return false
}

// place judges where a block stands, and closes or assumes blocks around it so
// that what follows is read as it was meant.
func (p *parser) place(l *Line, b *Block) {
	if p.inUnknown() {
		return
	}
	column := l.Tokens[0].Column
	if b.Kind == CheckBlock {
		p.placeCheck(l)
		return
	}
	if p.top() != nil && p.top().Kind == CheckBlock && b.Kind == ServerBlock {
		if !l.faulty && p.top().Open != nil {
			p.errorAt(codeBlockInBlock, l, column, fmt.Sprintf(`unknown command: "server" within the check block of line %d`, p.top().Open.Number),
				"close that block first, with } on a line of its own")
		}
		for p.top() != nil && p.top().Kind == CheckBlock {
			p.forgive++
			p.pop(nil)
		}
	}
	if b.Kind != ServerBlock {
		p.suspended = p.suspended[:0]
		if len(p.open) == 0 {
			return
		}
		told := l.faulty
		for p.top() != nil {
			if outer := p.top(); outer.Open != nil {
				if !told {
					p.errorAt(codeBlockInBlock, l, column, fmt.Sprintf("unknown command: %q within the %s block of line %d", b.Kind.String(), outer.Kind, outer.Open.Number),
						"close that block first, with } on a line of its own")
					told = true
				}
				p.forgive++
			}
			p.pop(nil)
		}
		return
	}
	if p.resume() {
		if p.top().Kind == ServerBlock {
			p.pop(nil)
		}
		return
	}
	switch outer := p.top(); {
	case outer == nil:
		if !l.faulty {
			what := "it stands outside of a virtual block"
			if p.lastVirtual != nil && p.lastVirtual.Close != nil {
				what = fmt.Sprintf("the } of line %d already closed the virtual block", p.lastVirtual.Close.Number)
			}
			p.errorAt(codeServerAlone, l, column, `unknown command: "server": `+what, "move the server block into its virtual block, before the last }")
		}
		if p.lastVirtual != nil {
			p.reopen()
		}
	case outer.Kind == VRRPBlock:
		if !l.faulty {
			p.errorAt(codeServerAlone, l, column, `unknown command: "server": it stands in a vrrp block`, "move the server block into its virtual block")
		}
	case outer.Kind == ServerBlock:
		if !l.faulty && outer.Open != nil {
			p.errorAt(codeBlockInBlock, l, column, fmt.Sprintf(`unknown command: "server" within the server block of line %d`, outer.Open.Number),
				"close that block first, with } on a line of its own")
		}
		p.forgive++
		p.pop(nil)
	}
}

// placeCheck judges where a check block stands.
func (p *parser) placeCheck(l *Line) {
	column := l.Tokens[0].Column
	switch outer := p.top(); {
	case outer == nil && p.resume():
	case outer == nil:
		if !l.faulty {
			p.errorAt(codeServerAlone, l, column, `unknown command: "check": it stands outside of a block`, "move the check block into the virtual, server or vrrp block that it belongs to")
		}
	case outer.Kind == CheckBlock:
		if !l.faulty && outer.Open != nil {
			p.errorAt(codeBlockInBlock, l, column, fmt.Sprintf(`unknown command: "check" within the check block of line %d`, outer.Open.Number),
				"close that block first, with } on a line of its own")
		}
		p.forgive++
		p.pop(nil)
	}
}

// pop closes the innermost block; the closing line may be missing.
func (p *parser) pop(l *Line) {
	b := p.top()
	b.Close = l
	p.open = p.open[:len(p.open)-1]
	if b.Kind == VirtualBlock || b.Kind == FailoverBlock {
		p.lastVirtual = b
	}
}

func (p *parser) closeLine(l *Line) {
	l.Kind = CloseLine
	braces, words := 0, 0
	for _, t := range l.Tokens {
		if t.Quote != 0 || strings.Trim(t.Text, "}") != "" {
			break
		}
		braces += len(t.Text)
		words++
	}
	first := l.Tokens[0]
	switch {
	case l.faulty:
	case words == 0:
		p.errorAt(codeAfterBrace, l, first.Column+1, "unexpected arguments: "+quote(first.Text[1:])+" follows }", "put what follows on the next line")
	case braces > 1:
		column := first.Column + 1
		if len(first.Text) == 1 {
			column = l.Tokens[1].Column
		}
		p.errorAt(codeManyBraces, l, column, "unexpected arguments: more than one } on the line", "put each } on a line of its own")
	case len(l.Tokens) > 1:
		t := l.Tokens[1]
		code, cure := codeAfterBrace, "put what follows on the next line"
		if t.isComment() {
			code, cure = codeTrailing, "move the comment to a line of its own"
		}
		p.errorAt(code, l, t.Column, "unexpected arguments: "+quote(t.Text)+" follows }", cure)
	}
	kept := false
	for i := range max(braces, 1) {
		if i == 1 {
			p.suspend() // more than one brace on a line: perhaps not meant
		}
		if len(p.open) > 0 || i == 0 && p.resume() {
			if kept {
				p.pop(nil)
			} else {
				p.pop(l)
				kept = true
			}
			continue
		}
		if !kept {
			p.keep(l)
			kept = true
		}
		switch {
		case p.forgive > 0:
			p.forgive--
		case !l.faulty:
			p.errorAt(codeStrayBrace, l, first.Column, "unknown command: } closes nothing, no block is open", "remove this line, or the } too many above it")
		default:
			return // already told of on this line
		}
	}
}

// directiveLine keeps a line that is no part of a block's frame, after a look
// at the braces it may hide and at the block it likely belongs to.
func (p *parser) directiveLine(l *Line) {
	first, last := l.Tokens[0], l.Tokens[len(l.Tokens)-1]
	kind := blockKind(first.Text)
	where := blocksOf(first.Text)
	switch outer := p.top(); {
	case l.faulty:
	case kind != UnknownBlock && l.oneLineBlock():
		p.errorAt(codeOneLine, l, l.Tokens[min(3, len(l.Tokens)-1)].Column, "unexpected arguments: the block is written on one line",
			fmt.Sprintf("write %q, then each directive and } on lines of their own", kind.String()+" NAME {"))
	case last.is(`\`) && len(l.Tokens) > 3:
		p.errorAt(codeWrapped, l, last.Column, `unexpected arguments: a \ does not join lines`, "write the directive on one line")
		if p.rest != "" {
			p.skip = 1
		}
	case last.is("}") && len(l.Tokens) > 1:
		p.errorAt(codeBraceAtEnd, l, last.Column, "unexpected arguments: } follows a directive", "put } on a line of its own")
		p.keep(l)
		if outer != nil {
			p.pop(nil)
		}
		return
	case outer == nil && where != 0 && where&inGlobal == 0 && p.resume():
	case outer == nil && where&(inGlobal|inVirtual) == inVirtual:
		what, cure := "it stands outside of a virtual block", "open its block above, with \"virtual NAME {\", or move the line into one"
		if p.lastVirtual != nil && p.lastVirtual.Close != nil {
			what = fmt.Sprintf("the } of line %d already closed the %s block", p.lastVirtual.Close.Number, p.lastVirtual.Kind)
			cure = "move the line into its block, before the last }"
		}
		p.errorAt(codeOutside, l, first.Column, fmt.Sprintf("unknown command: %s: %s", quote(first.Text), what), cure)
		p.reopen()
	case outer != nil && where == inGlobal && !p.inUnknown() && foreignCure(first.Text, outer.Kind.mask()) == "":
		if b := p.open[0]; b.Open != nil {
			p.errorAt(codeGlobalInside, l, first.Column, "unknown command: "+quote(first.Text)+": it belongs in the global section",
				fmt.Sprintf("move the line out of the %s block of line %d, or close that above it with } on a line of its own", b.Kind, b.Open.Number))
		}
		p.suspend()
		for len(p.open) > 0 {
			p.pop(nil)
		}
	}
	p.keep(l)
}

// suspend remembers the open blocks before they are closed in doubt.
func (p *parser) suspend() {
	p.suspended = p.suspended[:0]
	for _, b := range p.open {
		p.suspended = append(p.suspended, b.Kind)
	}
}

// resume opens the suspended blocks again if no other is open, and reports
// whether it did.
func (p *parser) resume() bool {
	if len(p.open) > 0 || len(p.suspended) == 0 {
		return false
	}
	for _, kind := range p.suspended {
		again := &Block{Kind: kind}
		p.keep(again)
		p.open = append(p.open, again)
	}
	p.suspended = p.suspended[:0]
	return true
}

// reopen goes on as if the block closed last were still open, or as if one had
// been opened.
func (p *parser) reopen() {
	again := &Block{Kind: VirtualBlock}
	if p.lastVirtual != nil {
		again.Kind = p.lastVirtual.Kind
	}
	p.keep(again)
	p.open = append(p.open, again)
	p.lastVirtual = nil
}
