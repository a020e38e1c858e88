package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/lvskit/lvskit/internal/director"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvsadm"
)

// The formats of a file that says what the table should be.
const (
	formatAuto  = "auto"
	formatLVSCF = "lvscf"
	formatRules = "rules"
)

// maxRules bounds a rule text: a hundred thousand servers take some 10 MB.
const maxRules = 64 << 20

// wanted is what a file says that the table should be.
type wanted struct {
	// name is the file as messages have it.
	name  string
	table ipvs.Table
	// timeouts are those that the file sets; zero leaves one as it is.
	timeouts ipvs.Timeouts
	// notes are what the file asks for and is not done.
	notes []string
}

// readWanted reads the whole of a file and finds all that is wrong with it
// before anything is changed.
// The resolver is for the names in rules, nil to take numbers only.
func readWanted(ctx context.Context, stdin io.Reader, path, format string, names ipvsadm.Resolver) (wanted, error) {
	switch format {
	case formatAuto, formatLVSCF, formatRules:
	default:
		return wanted{}, usagef("format %q: want auto, lvscf or rules", format)
	}
	name := path
	if path == "-" {
		name = "<stdin>"
	}
	text, err := patient(ctx, func() ([]byte, error) { return readText(stdin, path) })
	if err != nil {
		return wanted{}, err
	}
	if format == formatAuto {
		format = formatOf(text)
	}
	if format == formatRules {
		return wantedByRules(ctx, name, text, names)
	}
	setup, err := director.Load(ctx, name, text)
	if err != nil {
		return wanted{}, err
	}
	return wanted{name: name, table: setup.Table(), timeouts: setup.Timeouts, notes: setup.Notes}, nil
}

func readText(stdin io.Reader, path string) ([]byte, error) {
	r := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: name the file to read, or - for standard input", path, reasonOf(err))
		}
		defer f.Close()
		r = f
	}
	text, err := io.ReadAll(io.LimitReader(r, maxRules+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, reasonOf(err))
	case len(text) > maxRules:
		return nil, fmt.Errorf("%s: more than %d MB: split it", path, maxRules>>20)
	}
	return text, nil
}

// reasonOf is the reason alone of an error with a file.
func reasonOf(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// patient waits for what cannot be interrupted, such as a read of a terminal,
// no longer than the context.
func patient[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := do()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

// formatOf tells rule text from an lvs.cf by its first line that says
// something: a rule begins with an option, perhaps after a program's name.
func formatOf(text []byte) string {
	// The rule language takes a byte order mark, an lvs.cf does not.
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		words := strings.Fields(string(line))
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		for _, w := range words {
			if strings.HasPrefix(w, "-") {
				return formatRules
			}
			if w != "sudo" && !strings.HasSuffix(strings.ToLower(strings.Trim(w, `${}"`)), "ipvsadm") {
				return formatLVSCF
			}
		}
	}
	return formatLVSCF
}

func wantedByRules(ctx context.Context, name string, text []byte, names ipvsadm.Resolver) (wanted, error) {
	commands, err := ipvsadm.Parse(ctx, string(text), ipvsadm.Options{File: name, Resolver: names})
	if errors.Is(err, ipvsadm.ErrName) {
		return wanted{}, errors.Join(err, fmt.Errorf("%s has names: --resolve looks them up", name))
	}
	if err != nil {
		return wanted{}, err
	}
	w := wanted{name: name}
	if w.table, err = ipvsadm.Table(commands); err != nil {
		return wanted{}, err
	}
	for i := range commands {
		c := &commands[i]
		switch {
		case c.Verb.Op() != 0:
		case c.Verb == ipvsadm.SetTimeouts:
			w.timeouts = laterTimeouts(w.timeouts, *c.Timeouts)
		case c.Verb == ipvsadm.Clear:
			w.notes = append(w.notes, fmt.Sprintf("%v: --clear empties nothing by itself: add --delete-others to delete what the text does not name", c.Pos))
		case c.Verb == ipvsadm.StartDaemon || c.Verb == ipvsadm.StopDaemon:
			w.notes = append(w.notes, fmt.Sprintf("%v: --%v is not done: see lvsctl syncd", c.Pos, c.Verb))
		default:
			w.notes = append(w.notes, fmt.Sprintf("%v: --%v is no part of a table and is not done", c.Pos, c.Verb))
		}
	}
	return w, nil
}

// laterTimeouts lets the later line count where it says something.
func laterTimeouts(t, later ipvs.Timeouts) ipvs.Timeouts {
	if later.TCP != 0 {
		t.TCP = later.TCP
	}
	if later.TCPFin != 0 {
		t.TCPFin = later.TCPFin
	}
	if later.UDP != 0 {
		t.UDP = later.UDP
	}
	return t
}
