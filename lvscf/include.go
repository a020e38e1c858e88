package lvscf

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// The bounds of what include directives may bring in.
const (
	// MaxIncludeDepth is how deep included files may include others.
	MaxIncludeDepth = 8
	// MaxIncludes is how many files may be included in all.
	MaxIncludes = 1000
)

// includer reads included files and keeps to the bounds.
type includer struct {
	read func(path string) ([]byte, error)
	// open are the files that are being read, outermost first.
	open  []string
	files int
	size  int
}

// quotePath is quote for the name of a file, whose end says most.
func quotePath(name string) string {
	const most = 300
	if len(name) > most || hideSecret(name) != name {
		return quote(name)
	}
	return strconv.Quote(name)
}

// include reads the file that a directive of the global section names, as if
// its lines stood there. What its lines say is reported with its own name and
// places; what shows only later, of the configuration as a whole, with the
// place of the directive.
func (d *deriver) include(l *Line, s *scope) {
	t := l.Tokens[2]
	inc := d.includer
	if inc == nil {
		d.c.at(codeInclude, l, t.Column, "the included file "+quote(t.Text)+" is not read here", "check the file that includes it with lvsctl check, which reads both")
		return
	}
	fail := func(what, cure string) {
		d.c.atAs(Error, codeInclude, l, t.Column, what, cure)
	}
	name := t.Text
	if !path.IsAbs(name) {
		name = path.Join(path.Dir(inc.open[len(inc.open)-1]), name)
	}
	switch {
	case slices.Contains(inc.open, path.Clean(name)):
		fail("the included file "+quotePath(name)+" includes itself: "+strings.Join(inc.open, " includes "), "remove one of the include lines")
		return
	case len(inc.open) > MaxIncludeDepth:
		fail(fmt.Sprintf("files are included more than %d deep", MaxIncludeDepth), "include the file from one further up")
		return
	case inc.files == MaxIncludes:
		fail(fmt.Sprintf("more than %d files are included", MaxIncludes), "join some of them")
		return
	}
	src, err := inc.read(name)
	if err != nil && strings.ContainsAny(t.Text, "*?[") {
		fail("the included file "+quotePath(name)+" is a pattern, which an include cannot be", "name each file, with an include line of its own")
		return
	}
	if err != nil {
		fail(fmt.Sprintf("the included file %s cannot be read: %v", quotePath(name), err), "mend the name, or let the file be read")
		return
	}
	if inc.files, inc.size = inc.files+1, inc.size+len(src); inc.size > MaxSize {
		fail(fmt.Sprintf("the included files are too large: more than %d bytes in all", MaxSize), "check that these are the right files")
		return
	}
	s.c.Includes = s.c.Includes[:len(s.c.Includes)-1] // read now

	outer := *d
	d.c = &collector{file: name, dialect: outer.c.dialect}
	d.again = nil
	if !d.at.IsValid() {
		d.at = Pos{l.Number, l.Tokens[0].Column}
	}
	inc.open = append(inc.open, path.Clean(name))
	f := parse(d.c, name, src)
	// A part may be empty, the whole may not.
	d.c.diags = slices.DeleteFunc(d.c.diags, func(x Diagnostic) bool { return x.Code == codeEmpty })
	inner := *s
	d.body(f.Body, &inner)
	d.repeats()
	inc.open = inc.open[:len(inc.open)-1]
	// Bounded, but never at the price of taking a bad file for a good one.
	if found := &outer.c.included; len(*found) < maxStructureErrors || !found.HasErrors() {
		*found = append(*found, d.c.finish()...)
	}
	d.c, d.again, d.at = outer.c, outer.again, outer.at
}
