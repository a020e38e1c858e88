package lvscf

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// EditOp is what an [Edit] does.
type EditOp uint8

// The operations. The zero value is none, and refused.
const (
	_ EditOp = iota
	// SetOp gives a directive its value, and writes it if it is not there.
	SetOp
	// AddOp writes a new block, a directive that is not there, or one more
	// line of a directive of which each line counts.
	AddOp
	// RemoveOp removes a block or directive.
	RemoveOp
	// RenameOp gives a block another name.
	RenameOp
	// MoveOp gives a block another place among those of its kind.
	MoveOp
)

var editOpWords = []string{SetOp: "set", AddOp: "add", RemoveOp: "remove", RenameOp: "rename", MoveOp: "move"}

// String returns the word of the operation, or the number of an unknown value.
func (o EditOp) String() string { return wordOf(editOpWords, int(o)) }

// MarshalText writes the same text as String.
func (o EditOp) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (o *EditOp) UnmarshalText(text []byte) error {
	n, err := parseWord("edit", editOpWords, text)
	if err == nil {
		*o = EditOp(n)
	}
	return err
}

// Edit is one change of a file, for [File.Apply]. It is made by [Set], [Add],
// [Remove], [Rename] and [Move], or read from text by [ParseEdit].
type Edit struct {
	Op EditOp `json:"op"`
	// Path is what to change.
	Path Path `json:"path"`
	// Values are the words of a directive that is set or added, without
	// quotes; those of a list are without its brackets.
	Values []string `json:"values,omitempty"`
	// Name is the new name of a block.
	Name string `json:"name,omitempty"`
	// To is the new place of a block among those of its kind, 1 for the
	// first. Beyond the last it is the last.
	To int `json:"to,omitempty"`
}

// Set returns the edit that gives a directive its value, of one word or more.
// Where the directive stands several times and only the last line counts, that
// one is changed. A directive that is not there is added.
func Set(directive Path, values ...string) Edit {
	return Edit{Op: SetOp, Path: directive, Values: values}
}

// Add returns the edit that adds an empty block, with no values, or a line of
// a directive. A block or directive that is there already is an error, but for
// directives of which each line counts.
func Add(path Path, values ...string) Edit { return Edit{Op: AddOp, Path: path, Values: values} }

// Remove returns the edit that removes a block with all that is in it and the
// comment right above it, or all lines of a directive in its block. A path
// with an index removes one line of a directive.
func Remove(path Path) Edit { return Edit{Op: RemoveOp, Path: path} }

// Rename returns the edit that gives a block another name.
func Rename(block Path, name string) Edit { return Edit{Op: RenameOp, Path: block, Name: name} }

// Move returns the edit that makes a block the n-th of its kind within the
// block around it, counted from 1, with the comment right above it.
func Move(block Path, to int) Edit { return Edit{Op: MoveOp, Path: block, To: to} }

// String returns the text that [ParseEdit] reads.
func (e Edit) String() string {
	text := e.Op.String() + " " + e.Path.String()
	switch {
	case len(e.Values) > 0:
		text += " ="
		for _, v := range e.Values {
			if forms := wordForms(v, 0, false); len(forms) > 0 {
				v = forms[0]
			} else {
				v = strconv.Quote(v)
			}
			text += " " + v
		}
	case e.Op == RenameOp:
		name := e.Name
		if !plainName(name) {
			name = strconv.Quote(name)
		}
		text += " to " + name
	case e.Op == MoveOp:
		text += " to " + strconv.Itoa(e.To)
	}
	return text
}

// ParseEdit reads an edit from one line of text. Values are written as in a
// file, paths as [ParsePath] reads them:
//
//	set virtual web/send = "GET / HTTP/1.0\r\n\r\n"
//	add virtual web/server c
//	remove virtual web/persistent
//	rename virtual web to www
//	move virtual web/server c to 1
func ParseEdit(text string) (Edit, error) {
	fail := func(format string, args ...any) (Edit, error) {
		return Edit{}, fmt.Errorf("edit %q: %w", text, fmt.Errorf(format, args...))
	}
	verb, rest, _ := strings.Cut(strings.Trim(text, " \t"), " ")
	var e Edit
	for op, w := range editOpWords {
		if w != "" && w == verb {
			e.Op = EditOp(op)
		}
	}
	if e.Op == 0 {
		return fail("%q is no edit: begin with set, add, remove, rename or move", verb)
	}
	var err error
	if e.Path, rest, err = cutPath(rest); err != nil {
		return fail("%w", err)
	}
	if value, ok := strings.CutPrefix(rest, "="); ok && (e.Op == SetOp || e.Op == AddOp) {
		l := Line{Text: "x = " + strings.Trim(value, " \t")}
		if bad := (&lexer{dialect: Strict}).split(&l); bad != 0 {
			return fail("the quotes of the value do not match")
		}
		for _, t := range l.Tokens[2:] {
			e.Values = append(e.Values, t.Text)
		}
		if n := len(l.Tokens); n > 3 && l.Tokens[2].is("[") && l.Tokens[n-1].is("]") {
			e.Values = e.Values[1 : n-3]
		}
		rest = ""
	}
	if to, ok := strings.CutPrefix(rest, "to "); ok {
		to = strings.Trim(to, " \t")
		switch {
		case e.Op == RenameOp && to != "":
			if e.Name, rest, err = cutName(text, to); err != nil {
				return fail("the quotes of the name do not match")
			}
		case e.Op == MoveOp:
			if e.To, err = strconv.Atoi(to); err != nil {
				return fail("%q is no place: write a number from 1 on", to)
			}
			rest = ""
		}
	}
	if rest != "" {
		return fail("%q is left over", rest)
	}
	if err := e.check(); err != nil {
		return fail("%w", err)
	}
	return e, nil
}

// check judges the form of an edit.
func (e Edit) check() error {
	if len(e.Path) == 0 {
		return errors.New("the path is empty: name a block or directive")
	}
	for i, s := range e.Path {
		if s.Name == "" && s.Kind == UnknownBlock || i < len(e.Path)-1 && s.Kind == UnknownBlock || s.Index < 0 {
			return fmt.Errorf("path %q: only the last step may be a directive, with a name", e.Path)
		}
	}
	last := e.Path.last()
	isBlock := last.Kind != UnknownBlock
	switch e.Op {
	case SetOp:
		if isBlock {
			return fmt.Errorf("%s is a block: only a directive is set", e.Path)
		}
		return nil
	case AddOp:
		if last.Index != 0 {
			return fmt.Errorf("%s: what is added has no index yet", e.Path)
		}
		if isBlock && len(e.Values) > 0 {
			return fmt.Errorf("%s is a block: it has no value", e.Path)
		}
		return nil
	case RemoveOp:
		return nil
	case RenameOp:
		if !isBlock {
			return fmt.Errorf("%s is a directive: only a block is renamed", e.Path)
		}
		if e.Name == "" {
			return errors.New("there is no new name")
		}
		return nil
	case MoveOp:
		if !isBlock {
			return fmt.Errorf("%s is a directive: only a block is moved", e.Path)
		}
		if e.To < 1 {
			return errors.New("there is no place: give a number from 1 on")
		}
		return nil
	}
	return fmt.Errorf("edit %d does nothing: make it with Set, Add, Remove, Rename or Move", e.Op)
}

// EditError tells which of several edits could not be made, and why. It wraps
// [fs.ErrNotExist] for a path that leads nowhere, [fs.ErrExist] for what is
// there already, and [InvalidFileError] for a value that the file must not
// have.
type EditError struct {
	// Index counts the edits of the call from 0. It is -1 when only all of
	// them together are at fault.
	Index int
	Edit  Edit
	Err   error
}

// Error returns the edit and what is wrong with it.
func (e *EditError) Error() string {
	if e.Index < 0 {
		return "edits refused: " + e.Err.Error()
	}
	return e.Edit.String() + ": " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *EditError) Unwrap() error { return e.Err }

// placeError is a path that leads nowhere, or to what is there already.
type placeError struct {
	text string
	is   error
}

func (e *placeError) Error() string { return e.text }

func (e *placeError) Unwrap() error { return e.is }

func notFound(text string) error { return &placeError{text, fs.ErrNotExist} }

func exists(text string) error { return &placeError{text, fs.ErrExist} }
