package lvscf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// File returns a new file that says what the configuration says: its
// [File.Config] is the same again. The layout is that of [File.Format].
//
// Directives stand in the order of Piranha's web tool, with the extensions
// among their kin; vrrp blocks come first, then failover and virtual blocks.
// Values that are the default are left out, but for serial_no and for those
// that Origins says were written. Only addresses that [Config.Resolve] found
// are left out too, in favour of the names.
//
// What the language cannot say, such as a text with quotes of both kinds, an
// address without its device or half a second where only whole ones can be
// written, is an error for each such value, with its place. A file beyond
// [MaxLines] or [MaxSize] is [ErrTooLong]. Whether the configuration makes
// sense is not judged.
func (c *Config) File() (*File, error) {
	w := &writer{}
	s := &scope{where: inGlobal, c: c, origins: &c.Origins}
	w.body(nil, s, &scope{where: inGlobal, c: NewConfig()})
	for i := range c.VRRPs {
		w.vrrp(c, &c.VRRPs[i])
	}
	for i := range c.Failovers {
		w.virtual(c, FailoverBlock, &c.Failovers[i])
	}
	for i := range c.Virtuals {
		w.virtual(c, VirtualBlock, &c.Virtuals[i])
	}
	if err := errors.Join(w.errs...); err != nil {
		return nil, err
	}
	// Said here: the places of a finding would be those of a text that nobody
	// has seen.
	if n := bytes.Count(w.out.Bytes(), []byte("\n")); n > MaxLines || w.out.Len() > MaxSize {
		return nil, fmt.Errorf("%w: it would have %d lines and %d bytes, and at most %d and %d are read: write fewer services or servers, or give many ports and addresses one firewall mark",
			ErrTooLong, n, w.out.Len(), MaxLines, MaxSize)
	}
	f, ds := Parse(c.Path, w.out.Bytes())
	if err := ds.Err(); err != nil {
		return nil, err
	}
	back, _ := f.Config()
	if err := saysSame(c, back); err != nil {
		return nil, err
	}
	return f, nil
}

// ErrTooLong tells that a configuration is more than an lvs.cf may have.
var ErrTooLong = errors.New("the lvs.cf to be written is too long")

// writer prints a configuration.
type writer struct {
	out  bytes.Buffer
	errs []error
}

func (w *writer) line(depth int, text string) {
	w.out.WriteString(strings.Repeat(indentUnit, depth) + text + "\n")
}

func (w *writer) fail(p Path, err error) { w.errs = append(w.errs, fmt.Errorf("%s: %w", p, err)) }

// block prints a block by what prints its body.
func (w *writer) block(p Path, body func()) {
	if w.out.Len() > 0 {
		w.line(0, "")
	}
	depth := len(p) - 1
	step := p.last()
	open, err := Strict.openingLine(step.Kind, step.Name, func(form string) string {
		return step.Kind.String() + " " + form + " {"
	})
	if err != nil || strings.ContainsAny(step.Name, "\r\n\x00") {
		w.fail(p, fmt.Errorf("the language has no way to write the name %s", quote(step.Name)))
		return
	}
	w.line(depth, open.Text)
	body()
	w.line(depth, "}")
}

func (w *writer) vrrp(c *Config, r *VRRP) {
	p := Path{}.Block(VRRPBlock, r.Name)
	w.block(p, func() {
		plain := NewVRRP(r.Name)
		w.body(p, &scope{where: inVRRP, c: c, r: r, kind: VRRPBlock, origins: &r.Origins}, &scope{where: inVRRP, c: c, r: &plain})
		w.checks(p, c, r.Checks)
	})
}

func (w *writer) virtual(c *Config, kind BlockKind, v *Virtual) {
	p := Path{}.Block(kind, v.Name)
	w.block(p, func() {
		plain := NewVirtual(v.Name)
		w.body(p, &scope{where: inVirtual, c: c, v: v, kind: kind, origins: &v.Origins}, &scope{where: inVirtual, c: c, v: &plain})
		w.checks(p, c, v.Checks)
		for i := range v.Servers {
			w.server(p.Server(v.Servers[i].Name), c, v, &v.Servers[i])
		}
	})
}

func (w *writer) server(p Path, c *Config, v *Virtual, s *Server) {
	w.block(p, func() {
		plain := NewServer(s.Name, v.Port)
		w.body(p, &scope{where: inServer, c: c, s: s, kind: ServerBlock, origins: &s.Origins, virtualPort: v.Port},
			&scope{where: inServer, c: c, s: &plain, virtualPort: v.Port})
		w.checks(p, c, s.Checks)
	})
}

func (w *writer) checks(p Path, c *Config, checks []Check) {
	for i := range checks {
		k := &checks[i]
		q := p.Block(CheckBlock, k.Name)
		w.block(q, func() {
			plain := NewCheck(k.Name)
			w.body(q, &scope{where: inCheck, c: c, k: k, kind: CheckBlock, origins: &k.Origins}, &scope{where: inCheck, c: c, k: &plain})
		})
	}
}

// body prints the directives of a body, of which plain has the defaults. In
// plain each value is read back to see whether the line says it.
func (w *writer) body(p Path, s, plain *scope) {
	plain.origins = &Origins{}
	for _, d := range inOrder(s.where) {
		name := d.name
		lines := d.set.write(s)
		isDefault := slices.EqualFunc(lines, d.set.write(plain), slices.Equal)
		written := s.origins.Has(name) && !s.origins.refused(name) || name == "serial_no" && s.where == inGlobal
		if isDefault && !written {
			continue
		}
		texts, err := w.spell(d, lines, plain)
		if err == nil && !slices.EqualFunc(lines, d.set.write(plain), slices.Equal) {
			err = fmt.Errorf("%s would be read as something else", quote(strings.Join(texts, "; ")))
		}
		switch {
		case err == nil:
			for _, text := range texts {
				w.line(len(p), text)
			}
		case !isDefault: // a default that cannot be written need not be
			w.fail(p.Directive(name), err)
		}
	}
}

// spell returns the lines of a directive, and reads them into plain.
func (w *writer) spell(d *directive, lines [][]string, plain *scope) ([]string, error) {
	var texts []string
	for _, values := range lines {
		words, err := d.check(values, Lenient, plain)
		if err != nil {
			return nil, err
		}
		l, err := Strict.writeWords(d.name, words, func(int) (byte, bool) { return 0, d.quotesWanted() }, func(forms []string) string {
			return d.name + " = " + strings.Join(forms, " ")
		})
		if err != nil {
			return nil, err
		}
		texts = append(texts, l.Text)
	}
	return texts, nil
}

// saysSame compares what two configurations are in JSON, but for the
// addresses of hosts that have names.
func saysSame(want, got *Config) error {
	a, err := bareJSON(want)
	if err != nil {
		return err
	}
	b, err := bareJSON(got)
	if err != nil {
		return err
	}
	if bytes.Equal(a, b) {
		return nil
	}
	what := "the configuration cannot be written: it would be read as another one"
	if ds := Diff(want, got); len(ds) > 0 {
		what += ": " + ds[0].String()
	}
	return errors.New(what)
}

func bareJSON(c *Config) ([]byte, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	bare(tree)
	return json.Marshal(tree)
}

// bare removes the addresses of named hosts and empty lists from JSON.
func bare(tree any) {
	switch tree := tree.(type) {
	case []any:
		for _, v := range tree {
			bare(v)
		}
	case map[string]any:
		if tree["name"] != nil && len(tree) == 2 {
			delete(tree, "addr")
		}
		for k, v := range tree {
			if list, ok := v.([]any); ok && len(list) == 0 || v == nil {
				delete(tree, k)
			}
			bare(v)
		}
	}
}
