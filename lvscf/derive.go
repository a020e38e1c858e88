package lvscf

import (
	"fmt"
	"slices"
	"strings"
)

// Load parses a file of the default dialect and derives its configuration. The configuration is nil
// when there are errors: a bad file is refused whole. The diagnostics hold
// warnings also when there are none.
func Load(name string, src []byte) (*Config, Diagnostics) {
	return Options{}.Load(name, src)
}

// Config derives the typed configuration from the tree and judges it, with
// [Config.Check] as the last step. The configuration is never nil; with errors
// in the diagnostics, or in those of [Parse], it is incomplete and must not be
// run.
func (f *File) Config() (*Config, Diagnostics) {
	c := &collector{file: f.Name, dialect: f.dialect}
	cfg := f.config(c)
	return cfg, c.finish()
}

func (f *File) config(c *collector) *Config { return f.configWith(c, nil) }

func (f *File) configWith(c *collector, inc *includer) *Config {
	d := &deriver{c: c, cfg: NewConfig(), includer: inc}
	d.cfg.Path = f.Name
	d.body(f.Body, &scope{where: inGlobal, c: d.cfg, origins: &d.cfg.Origins})
	d.repeats()
	if d.cfg.BackupActive && d.cfg.Backup.IsZero() && !d.cfg.Origins.refused("backup") {
		at := d.cfg.Origins.Pos("backup_active")
		c.add(codeNoBackup, at, "", "backup_active = 1 without a backup router has no effect", `write its address, "backup = 192.0.2.2", or remove the line`)
		d.cfg.BackupActive = false
	}
	d.cfg.check(c, f.faulty || c.count[Error] > 0 || c.included.HasErrors())
	f.addSources(c)
	return d.cfg
}

// addSources fills in the lines that diagnostics of the typed stage point to.
func (f *File) addSources(c *collector) {
	want := map[int]int{}
	for i, d := range c.diags {
		if d.Source == "" && d.Line > 0 {
			want[i] = d.Line
		}
	}
	if len(want) == 0 {
		return
	}
	lines := map[int]*Line{}
	for l := range f.Lines() {
		if l.Kind != OpaqueLine && l.Kind != BlankLine {
			lines[l.Number] = l
		}
	}
	for i, n := range want {
		if l := lines[n]; l != nil {
			c.diags[i].quoteLine(l)
		}
	}
}

// deriver fills a configuration from a tree.
type deriver struct {
	c   *collector
	cfg *Config
	// again holds the lines whose directive came before in the same body
	// with another value, each with the earlier line.
	again []repeat
	// includer is nil where included files are not read; at is the place of
	// the directive by which the file came in that is being read.
	includer *includer
	at       Pos
	// values serves one line after the other.
	values values
}

type repeat struct{ line, earlier *Line }

func (d *deriver) body(nodes []Node, s *scope) {
	lines, blocks := 0, 0
	for _, n := range nodes {
		switch n := n.(type) {
		case *Line:
			lines++
		case *Block:
			if n.Kind == ServerBlock && s.v != nil || n.Kind == VirtualBlock && s.where == inGlobal {
				blocks++
			}
		}
	}
	switch {
	case s.v != nil:
		s.v.Servers = slices.Grow(s.v.Servers, blocks)
	case s.where == inGlobal:
		s.c.Virtuals = slices.Grow(s.c.Virtuals, blocks)
	}
	if *s.origins == nil {
		*s.origins = make(Origins, 0, min(lines, 32))
	}
	s.seen = make([]*Line, 0, min(lines, 32))
	for _, n := range nodes {
		switch n := n.(type) {
		case *Line:
			if n.Kind == DirectiveLine {
				d.directive(n, s)
			}
		case *Block:
			d.block(n, s)
		}
	}
}

func (d *deriver) block(b *Block, s *scope) {
	var pos Pos
	if b.Open != nil {
		pos = Pos{b.Open.Number, b.Open.Tokens[0].Column}
		if d.at.IsValid() {
			pos = d.at
		}
	}
	if strings.ContainsAny(b.Name, "{<$@[%") && b.Open != nil && !b.Open.faulty && isTemplate(b.Name) {
		d.c.atAs(Warning, codeTemplate, b.Open, b.Open.Tokens[1].Column, "the name "+quote(b.Name)+" looks like a placeholder", "write the name in its place")
	}
	switch {
	case b.Kind == ServerBlock:
		v := s.v
		if v == nil { // outside of a virtual block: judged, then dropped
			stray := NewVirtual("")
			v = &stray
		}
		if s.kind == FailoverBlock && b.Open != nil && !b.Open.faulty {
			d.c.at(codeIdleServer, b.Open, pos.Column, "a server block has no effect in a failover block", "remove it, or make the block a virtual one")
		}
		v.Servers = append(v.Servers, NewServer(b.Name, v.Port))
		srv := &v.Servers[len(v.Servers)-1]
		srv.Pos = pos
		d.body(b.Body, &scope{where: inServer, c: s.c, s: srv, kind: b.Kind, origins: &srv.Origins, virtualPort: v.Port})
		cutOff(b, &srv.Origins)
	case b.Kind == CheckBlock:
		k := NewCheck(b.Name)
		k.Pos = pos
		d.body(b.Body, &scope{where: inCheck, c: s.c, k: &k, kind: b.Kind, origins: &k.Origins})
		switch {
		case b.Open == nil:
		case s.s != nil:
			s.s.Checks = append(s.s.Checks, k)
		case s.v != nil:
			s.v.Checks = append(s.v.Checks, k)
		case s.r != nil:
			s.r.Checks = append(s.r.Checks, k)
		}
	case b.Kind == VRRPBlock:
		r := NewVRRP(b.Name)
		r.Pos = pos
		d.body(b.Body, &scope{where: inVRRP, c: s.c, r: &r, kind: b.Kind, origins: &r.Origins})
		if b.Open != nil {
			s.c.VRRPs = append(s.c.VRRPs, r)
		}
	case b.Kind != UnknownBlock:
		into := &s.c.Virtuals
		switch {
		case b.Open == nil: // assumed after an error
			into = new([]Virtual)
		case b.Kind == FailoverBlock:
			into = &s.c.Failovers
		}
		*into = append(*into, NewVirtual(b.Name))
		v := &(*into)[len(*into)-1]
		v.Pos = pos
		d.body(b.Body, &scope{where: inVirtual, c: s.c, v: v, kind: b.Kind, origins: &v.Origins})
		cutOff(b, &v.Origins)
	}
}

// cutOff marks the address of a block without an end as not judged: the line
// may be what is missing.
func cutOff(b *Block, o *Origins) {
	if b.Close == nil && !o.Has("address") {
		o.set("address", Pos{}, true)
	}
}

func (d *deriver) directive(l *Line, s *scope) {
	first := l.Tokens[0]
	name := first.Text
	pos := Pos{l.Number, first.Column}
	if d.at.IsValid() {
		pos = d.at
	}
	dir := findDirective(name, s.where)
	if l.faulty || dir == nil {
		meant := name
		if dir == nil {
			meant = d.unknown(l, s)
		}
		if meant != "" {
			s.origins.set(meant, pos, true)
		}
		return
	}
	if d.c.dialect == Strict && dir.since != "" {
		d.c.atAs(Error, codeExtension, l, first.Column, "unknown command: "+quote(name)+" is lvskit's own, Piranha does not have it", extensionCure)
		s.origins.set(name, pos, true)
		return
	}
	v := &d.values
	*v = values{c: d.c, line: l, dir: dir}
	if d.form(l, v) {
		v.args = l.Tokens[2:]
		dir.set.read(s, v)
	}
	s.origins.set(name, pos, v.failed)
	if v.failed {
		return
	}
	if name == "include" {
		d.include(l, s)
	}
	i := slices.IndexFunc(s.seen, func(l *Line) bool { return l.Tokens[0].Text == name })
	if i < 0 {
		s.seen = append(s.seen, l)
		return
	}
	if !dir.repeats {
		d.again = append(d.again, repeat{l, s.seen[i]})
	}
	s.seen[i] = l
}

// form judges whether a directive has its sign and the right number of values.
func (d *deriver) form(l *Line, v *values) bool {
	t := l.Tokens
	end := Token{Column: l.endColumn()}
	switch {
	case len(t) > 2 && !curlyQuote(t[1].Text) && curlyQuote(t[2].Text) && v.dir.args == 1:
		what := "the quotes of " + quoteToken(l, t[2]) + " are typographic ones"
		if len(t) > 3 {
			v.fail(codeCurlyQuotes, t[2], "unexpected arguments: "+what, `write plain quotes: "..."`)
			return false
		}
		v.warn(codeCurlyQuotes, t[2], what+", and a part of the text", `write plain quotes: "..."`)
		return true
	case len(t) < 2:
		v.fail(codeNoSign, end, "equal (=) expected after command "+quote(t[0].Text), v.example())
	case t[1].Text != "=":
		code, cure := codeNoSign, v.example()
		if strings.HasPrefix(t[1].Text, "=") {
			code, cure = codeGluedSign, "put blanks on both sides of the sign; "+cure
		}
		v.fail(code, t[1], "equal (=) expected after command "+quote(t[0].Text)+", not "+quoteToken(l, t[1]), cure)
	case v.dir.args == listArgs && len(t) < 3:
		v.fail(codeList, end, "list expected: there is no list", v.example())
	case v.dir.args != listArgs && len(t) < 2+v.dir.args:
		code, what := codeNoValue, "there is no value"
		if len(t) > 2 {
			code, what = codeNoDevice, "a device belongs after the address"
			switch v.dir.name {
			case "heartbeat_path":
				code, what = codeNoValue, "a second host belongs after the first"
			case "track_weight":
				code, what = codeNoValue, "a weight belongs after the device"
			}
		}
		v.fail(code, end, "missing arguments: "+what, v.example())
	case v.dir.args != listArgs && len(t) > 2+v.dir.args:
		extra := t[2+v.dir.args]
		code, cure := codeTooManyWords, `put a value with blanks in quotes: "..."`
		if i := slices.IndexFunc(t[2:], Token.isComment); i >= 0 && i <= v.dir.args {
			extra = t[2+v.dir.args]
			code, cure = codeTrailing, "move the comment to a line of its own, above this one"
		} else if t[2].Quote != 0 {
			cure = "a quoted value ends at the first such quote after its first blank; use the other kind of quote around it"
		} else if !strings.HasPrefix(v.dir.kind, "text") {
			cure = v.example()
		}
		v.fail(code, extra, "unexpected arguments: "+quoteToken(l, extra)+" after the value", cure)
	default:
		return true
	}
	return false
}

// foreign are directives that Piranha's daemons refuse although its web tool
// writes them or its manual page names them.
var foreign = []struct {
	name  string
	where blockMask
	cure  string
}{
	{"expect_program", inVirtual, "only Piranha's web tool knew this; remove the line"},
	{"heartbeat", inVirtual, "only Piranha's web tool wrote this here; remove the line"},
	{"nmask", inServer, "only Piranha's web tool wrote this here; remove the line"},
	{"deadtime", inVirtual, "only Piranha's web tool wrote this here; remove the line"},
	{"debug", inGlobal, "only the manual page names this; write debug_level, or remove the line"},
	{"mode", inGlobal, "only the manual page names this; remove the line"},
	{"heartbeat_dev", inGlobal, "only the manual page names this; remove the line"},
	{"log_file", inGlobal, "only the manual page names this; remove the line"},
}

// unknown reports a directive that does not belong where it stands, and
// returns the one that is likely meant, or "".
func (d *deriver) unknown(l *Line, s *scope) (meant string) {
	t := l.Tokens[0]
	cure := "remove the line"
	if d.c.count[Error] >= maxStructureErrors { // counted, and not shown
		if !l.faulty {
			d.c.atAs(Error, codeUnknown, l, t.Column, "unknown command", cure)
		}
		return ""
	}
	if here := directiveNames(s.where); len(here) <= 4 {
		cure += "; the directives of this block are " + strings.Join(here, ", ")
	}
	code := codeUnknown
	key, _, glued := strings.Cut(t.Text, "=")
	near := nearest(key, directiveNames(s.where))
	switch {
	case l.Number == 1 && strings.HasPrefix(t.Text, "\ufeff"):
		code, meant = codeBOM, strings.TrimPrefix(t.Text, "\ufeff")
		cure = "the file starts with a byte order mark; save it as UTF-8 without one"
	case glued && findDirective(key, s.where) != nil:
		code, meant = codeGluedSign, key
		cure = fmt.Sprintf("put blanks on both sides of the sign: %q", key+" = ...")
	case foreignCure(t.Text, s.where) != "":
		code, cure = codeForeign, foreignCure(t.Text, s.where)
		if d.c.dialect != Strict && !l.faulty {
			d.c.at(code, l, t.Column, quote(t.Text)+" has no effect, and Piranha refuses it", cure)
			return ""
		}
	case strings.ToLower(t.Text) != t.Text && findDirective(strings.ToLower(t.Text), s.where) != nil:
		code, meant = codeCase, strings.ToLower(t.Text)
		cure = fmt.Sprintf("did you mean %q?", meant)
	case blockKind(t.Text) != UnknownBlock:
		cure = fmt.Sprintf("%s opens a block: %q", t.Text, t.Text+" NAME {")
	case isSecretWord(key):
		cure = "secrets are in files of their own: password_file in a check block, key_file in a vrrp block, heartbeat_key_file for the two routers"
		if s.where == inCheck {
			meant, cure = "password_file", `secrets are in files of their own: "password_file = FILE", whose first line is the password`
		}
	case blocksOf(key) != 0:
		code, cure = codeWrongBlock, "it belongs in "+placeOf(blocksOf(key))
	case near != "":
		meant = near
		cure = fmt.Sprintf("did you mean %q?", near)
	default:
		if near = nearest(key, directiveNames(allPlaces)); near != "" {
			cure = fmt.Sprintf("did you mean %q? It belongs in %s", near, placeOf(blocksOf(near)))
		}
	}
	if !l.faulty {
		code, cure = teachLine(l, code, cure)
		d.c.atAs(Error, code, l, t.Column, "unknown command: "+quote(t.Text), cure)
	}
	return meant
}

func foreignCure(name string, where blockMask) string {
	for _, f := range foreign {
		if f.name == name && f.where == where {
			return f.cure
		}
	}
	return ""
}

func placeOf(where blockMask) string {
	var places []string
	if where&inGlobal != 0 {
		places = append(places, "the global section")
	}
	if where&inVirtual != 0 {
		places = append(places, "a virtual block")
	}
	if where&inServer != 0 {
		places = append(places, "a server block")
	}
	if where&inCheck != 0 {
		places = append(places, "a check block")
	}
	if where&inVRRP != 0 {
		places = append(places, "a vrrp block")
	}
	return strings.Join(places, " or ")
}

// repeats warns of directives that stand twice with different values.
func (d *deriver) repeats() {
	for _, r := range d.again {
		same := slices.EqualFunc(r.line.Tokens, r.earlier.Tokens, func(a, b Token) bool { return a.Text == b.Text })
		if !same {
			t := r.line.Tokens[0]
			d.c.at(codeRepeat, r.line, t.Column, fmt.Sprintf("%s stands on line %d already, with another value; this one counts", t.Text, r.earlier.Number), "remove one of the two lines")
		}
	}
}
