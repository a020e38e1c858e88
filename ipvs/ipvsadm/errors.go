package ipvsadm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Pos is a place in rule text or among arguments.
type Pos struct {
	// File is the name given in [Options.File], possibly empty.
	File string
	// Line counts from 1. It is 0 when the command came as arguments.
	Line int
	// Column counts the characters of the line from 1; for a command that
	// came as arguments it is the number of the argument.
	Column int
}

// String returns "FILE:LINE:COLUMN" without the parts that are not known, or
// "argument N".
func (p Pos) String() string {
	if p.Line == 0 {
		return "argument " + strconv.Itoa(p.Column)
	}
	s := strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
	if p.File == "" {
		return "line " + s
	}
	return p.File + ":" + s
}

// ErrName tells of a host or port given by name where [Options.Resolver] is nil.
var ErrName = errors.New("names are not looked up")

// SyntaxError is one thing that is wrong with a command: one that cannot be
// read, or one that a kernel would refuse after those before it.
type SyntaxError struct {
	Pos
	// Msg says what was expected, in one line.
	Msg string
	// Err is the meaning for [errors.Is], if there is one: for example
	// [ipvs.ErrServiceNotFound], or what a resolver answered.
	Err error
}

// Error returns place and message.
func (e *SyntaxError) Error() string { return "ipvsadm: " + e.Pos.String() + ": " + e.Msg }

// Unwrap returns Err.
func (e *SyntaxError) Unwrap() error { return e.Err }

// maxErrors is how many errors of a text are kept.
const maxErrors = 20

// Errors are all that is wrong with a text.
type Errors struct {
	// List holds the first errors in the order of the text, at most 20.
	List []*SyntaxError
	// More counts those after them.
	More int
}

// Error returns the errors, one a line.
func (e *Errors) Error() string {
	var b strings.Builder
	for i, err := range e.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(err.Error())
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "\nipvsadm: and %d more", e.More)
	}
	return b.String()
}

// Unwrap returns the errors that were kept.
func (e *Errors) Unwrap() []error {
	list := make([]error, len(e.List))
	for i, err := range e.List {
		list[i] = err
	}
	return list
}

func (e *Errors) add(err *SyntaxError) {
	if len(e.List) < maxErrors {
		e.List = append(e.List, err)
	} else {
		e.More++
	}
}

func (e *Errors) orNil() error {
	if len(e.List) == 0 {
		return nil
	}
	return e
}
