package ipvsadm

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/lvskit/lvskit/ipvs"
)

// Options tell how to read commands. The zero value reads numeric text only.
type Options struct {
	// File is the name of the text in errors; it is never opened.
	File string
	// Resolver looks up the names of hosts and ports, which `ipvsadm -S`
	// writes unless it is called with -n. Nil refuses them
	// with [ErrName].
	Resolver Resolver
}

// Resolver turns names into numbers. [net.DefaultResolver] is one.
type Resolver interface {
	// LookupNetIP returns the addresses of a host; network is "ip".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	// LookupPort returns the port of a service; network is "tcp" or "udp".
	// For SCTP and firewall marks "tcp" is asked.
	LookupPort(ctx context.Context, network, service string) (int, error)
}

// Command is one command line, checked and in numbers.
type Command struct {
	Verb Verb
	// Pos is where the command begins.
	Pos Pos
	// Change is what the verbs do that change one entry of the table
	// ([Verb.Op] is not zero). Edits are whole, as in ipvsadm: what a line
	// leaves out is set to its default, not kept. The configuration is
	// [ipvs.Service.Normalized] and [ipvs.Destination.Normalized].
	Change ipvs.Change
	// Service is what List or Zero is restricted to, zero for everything.
	Service ipvs.ServiceKey
	// List is how List shows what, nil with other verbs.
	List *ListOptions
	// Numeric tells Save to leave out names.
	Numeric bool
	// Timeouts is the argument of SetTimeouts, where zero leaves a value as
	// it is; nil with other verbs.
	Timeouts *ipvs.Timeouts
	// Daemon is what StartDaemon starts, or by its Role alone what
	// StopDaemon stops; nil with other verbs.
	Daemon *ipvs.SyncDaemon

	// Where the service and the server are named, for Table.
	serviceColumn, serviceLine, serverColumn, serverLine int
}

// Parse reads rule text: one command line of ipvsadm on each line, with or
// without the word ipvsadm before it, as `ipvsadm -S` writes and `ipvsadm -R`
// reads. The package comment tells what else is taken.
//
// It reads to the end in any case; if something is wrong the error is an
// [*Errors] and there are no commands. Whether the commands make sense one
// after the other is for [Table] to find. The context is for the resolver.
func Parse(ctx context.Context, text string, o Options) ([]Command, error) {
	p := parser{ctx: ctx, options: o}
	l := lexer{text: strings.TrimPrefix(text, "\ufeff"), line: 1, column: 1}
	commands := make([]Command, 0, min(strings.Count(text, "\n")+1, 1<<16))
	var errs Errors
	var words []word
	for {
		var bad word
		var msg string
		var more bool
		words, bad, msg, more = l.next(words[:0])
		if !more {
			break
		}
		if msg != "" {
			errs.add(p.errorf(bad, "%s", msg))
			continue
		}
		args, err := p.skipProgram(words)
		if err == nil {
			var c Command
			if c, err = p.command(words[0], args); err == nil {
				if c.Verb == Restore {
					err = p.errorf(words[0], "-R cannot be a line of what it reads")
				} else if len(errs.List) == 0 {
					commands = append(commands, c)
				}
			}
		}
		if err != nil {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			errs.add(err)
		}
	}
	if err := errs.orNil(); err != nil {
		return nil, err
	}
	return commands, nil
}

// ParseArgs reads one command from the arguments of a program, without the
// program's name. No arguments are the command List. The error is a
// [*SyntaxError].
func ParseArgs(ctx context.Context, args []string, o Options) (Command, error) {
	p := parser{ctx: ctx, options: o}
	if len(args) == 0 {
		return Command{Verb: List, List: &ListOptions{}, Pos: Pos{Column: 1}}, nil
	}
	words := make([]word, len(args))
	for i, a := range args {
		words[i] = word{text: a, column: i + 1}
	}
	c, err := p.command(words[0], words)
	if err != nil {
		return Command{}, err
	}
	return c, nil
}

// parser reads one command after the other.
type parser struct {
	ctx     context.Context
	options Options
	hosts   map[string]looked

	// What the current command line says.
	verb    *option
	verbAt  word
	verbArg word
	given   [optionIDs]given
	rest    []word
}

// given is an option as it was seen.
type given struct {
	*option      // nil: not seen
	at      word // the option
	value   word
	has     bool // a value
}

func (p *parser) errorf(at word, format string, args ...any) *SyntaxError {
	return &SyntaxError{Pos: p.pos(at), Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) wrap(at word, msg string, err error) *SyntaxError {
	return &SyntaxError{Pos: p.pos(at), Msg: msg, Err: err}
}

func (p *parser) pos(at word) Pos {
	return Pos{File: p.options.File, Line: at.line, Column: at.column}
}

// skipProgram passes over the name of the program as command scripts have it.
func (p *parser) skipProgram(words []word) ([]word, *SyntaxError) {
	rest := words
	if rest[0].text == "sudo" {
		rest = rest[1:]
	}
	if len(rest) > 0 {
		switch w := rest[0].text; {
		case w == "ipvsadm", strings.HasPrefix(w, "/") && strings.HasSuffix(w, "/ipvsadm"),
			w == "$IPVSADM", w == "${IPVSADM}":
			rest = rest[1:]
		case len(rest) < len(words):
			return nil, p.errorf(rest[0], "want ipvsadm after sudo, not %s", quoted(w))
		}
	}
	if len(rest) == 0 {
		return nil, p.errorf(words[len(words)-1], "no command follows: want a line such as -A -t 192.0.2.1:80 -s wlc")
	}
	for _, w := range rest {
		if w.dollar {
			return nil, p.errorf(w, "%s: variables are not replaced, write the value", quoted(w.text))
		}
	}
	return rest, nil
}
