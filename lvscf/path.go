package lvscf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Path names a block or a directive of a file: the blocks around it, outermost
// first, and itself. The empty path is the global section. A path is built
// with its methods, each of which returns a longer one,
//
//	lvscf.Path{}.Virtual("web").Server("a").Directive("weight")
//
// or read from text by [ParsePath]:
//
//	virtual web/server a/weight
type Path []Step

// Step is one part of a [Path].
type Step struct {
	// Kind is that of a block; UnknownBlock, the zero value, is a directive.
	Kind BlockKind
	// Name is that of the block or directive.
	Name string
	// Index tells those of one name apart: 1 is the first in the file. Zero
	// is the only one; where there are several it is an error.
	Index int
}

func (p Path) with(s Step) Path { return append(slices.Clip(p), s) }

// Virtual returns the path of a virtual block.
func (p Path) Virtual(name string) Path { return p.with(Step{Kind: VirtualBlock, Name: name}) }

// Failover returns the path of a failover block.
func (p Path) Failover(name string) Path { return p.with(Step{Kind: FailoverBlock, Name: name}) }

// Server returns the path of a server block within p.
func (p Path) Server(name string) Path { return p.with(Step{Kind: ServerBlock, Name: name}) }

// Block returns the path of a block of any kind within p.
func (p Path) Block(kind BlockKind, name string) Path { return p.with(Step{Kind: kind, Name: name}) }

// Directive returns the path of a directive within p.
func (p Path) Directive(name string) Path { return p.with(Step{Name: name}) }

// Nth returns the path with the index of its last step set. It panics on the
// empty path.
func (p Path) Nth(index int) Path {
	q := slices.Clone(p)
	q[len(q)-1].Index = index
	return q
}

// Parent returns the path without its last step; the empty path is its own.
func (p Path) Parent() Path { return p[:max(len(p)-1, 0)] }

// last returns the last step, of a path that is not empty.
func (p Path) last() Step { return p[len(p)-1] }

// String returns the step as a path has it.
func (s Step) String() string {
	text := s.Name
	if s.Kind != UnknownBlock {
		if !plainName(text) {
			text = strconv.Quote(text)
		}
		text = s.Kind.String() + " " + text
	}
	if s.Index != 0 {
		text += "#" + strconv.Itoa(s.Index)
	}
	return text
}

// String returns the text that [ParsePath] reads.
func (p Path) String() string {
	steps := make([]string, len(p))
	for i, s := range p {
		steps[i] = s.String()
	}
	return strings.Join(steps, "/")
}

// MarshalText writes the same text as String.
func (p Path) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText writes, as [ParsePath] does.
func (p *Path) UnmarshalText(text []byte) error {
	got, err := ParsePath(string(text))
	if err == nil {
		*p = got
	}
	return err
}

// plainName reports whether a name needs no quotes in a path.
func plainName(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') && strings.IndexByte("._-:@+[]", s[i]) < 0 {
			return false
		}
	}
	return true
}

// ParsePath reads a path: steps with slashes between, each a kind of block and
// a name, as in "server a", or the name of a directive, which ends the path.
// Blanks around slashes do not count. Several of one name are told apart by
// "#" and a number from 1 on. A name of a block may be quoted as Go quotes a
// string, and must be if it has blanks or any of / # " in it:
//
//	virtual "a/b"#2 / server a / weight
//
// An empty text is the empty path.
func ParsePath(text string) (Path, error) {
	p, rest, err := cutPath(text)
	if err == nil && rest != "" {
		err = pathError(text, "%q follows its end", rest)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func pathError(text, format string, args ...any) error {
	return fmt.Errorf("path %q: %s: write it like %q", text, fmt.Sprintf(format, args...), "virtual web/server a/weight")
}

// cutPath reads a path up to where it ends, and returns what follows without
// the blanks between.
func cutPath(text string) (p Path, rest string, err error) {
	rest = strings.TrimLeft(text, " \t")
	if rest == "" {
		return nil, "", nil
	}
	for {
		n := 0
		for n < len(rest) && (rest[n] == '_' || rest[n] >= 'a' && rest[n] <= 'z' || n > 0 && rest[n] >= '0' && rest[n] <= '9') {
			n++
		}
		word := rest[:n]
		if word == "" {
			return nil, "", pathError(text, "%q is neither a kind of block nor a directive", rest)
		}
		after := strings.TrimLeft(rest[n:], " \t")
		named := len(after) < len(rest)-n && after != "" && strings.IndexByte("/=#", after[0]) < 0
		step := Step{Name: word}
		if kind := blockKind(word); named && kind != UnknownBlock {
			step.Kind = kind
			if step.Name, after, err = cutName(text, after); err != nil {
				return nil, "", err
			}
		} else {
			after = rest[n:]
		}
		if number, ok := strings.CutPrefix(after, "#"); ok {
			n = len(number) - len(strings.TrimLeft(number, "0123456789"))
			if step.Index, err = strconv.Atoi(number[:n]); err != nil || step.Index < 1 {
				return nil, "", pathError(text, "a number from 1 on belongs after #")
			}
			after = number[n:]
		}
		p = append(p, step)
		rest = strings.TrimLeft(after, " \t")
		if rest == "" || rest[0] != '/' {
			return p, rest, nil
		}
		if step.Kind == UnknownBlock {
			return nil, "", pathError(text, "nothing is within %s, which has no name of a block", step)
		}
		rest = strings.TrimLeft(rest[1:], " \t")
	}
}

// cutName reads the name of a block.
func cutName(text, s string) (name, rest string, err error) {
	if s[0] == '"' || s[0] == '`' {
		quoted, err := strconv.QuotedPrefix(s)
		if err == nil {
			name, err = strconv.Unquote(quoted)
		}
		if err != nil {
			return "", "", pathError(text, "the quotes of %s do not match", s)
		}
		return name, s[len(quoted):], nil
	}
	n := strings.IndexAny(s, " \t/#\"")
	if n < 0 {
		n = len(s)
	}
	return s[:n], s[n:], nil
}
