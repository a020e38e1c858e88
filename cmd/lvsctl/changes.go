package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/ipvs"
)

// changesDoc is what a verb did to the table, or would do.
type changesDoc struct {
	Schema  string        `json:"schema"`
	DryRun  bool          `json:"dry_run"`
	Changes []ipvs.Change `json:"changes"`
	// Timeouts are set as far as they are not zero.
	Timeouts *ipvs.Timeouts `json:"timeouts,omitempty"`
}

func newChangesDoc(dryRun bool, changes ...ipvs.Change) changesDoc {
	return changesDoc{Schema: "lvskit.changes/v1", DryRun: dryRun, Changes: append([]ipvs.Change{}, changes...)}
}

// nothingToChange is said on standard error to who asked what would be done.
const nothingToChange = "lvsctl: nothing to change"

func (d changesDoc) empty() bool { return len(d.Changes) == 0 && d.Timeouts == nil }

// write prints the changes a line each.
func (d changesDoc) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return writeJSON(w, d)
	}
	lines := bufio.NewWriter(w)
	for _, ch := range d.Changes {
		fmt.Fprintln(lines, ch) // Flush has the error
	}
	if d.Timeouts != nil {
		fmt.Fprintf(lines, "set timeouts: %s\n", timeoutsText(*d.Timeouts))
	}
	return lines.Flush()
}

// one is a verb that makes one change: look finds out what it will be, from
// what is there, and do makes it.
func (h host) one(c *cli.Context, look func(context.Context, kernel) (ipvs.Change, error), do func(context.Context, kernel) error) error {
	asJSON, err := wantJSON(c)
	if err != nil {
		return err
	}
	return h.withKernel(c, func(ctx context.Context, k kernel) error {
		ch, err := look(ctx, k)
		if err != nil {
			return err
		}
		doc := newChangesDoc(c.Bool("dry-run"), ch)
		if same(ch) {
			doc.Changes = doc.Changes[:0]
		} else if !doc.DryRun {
			if err := do(ctx, k); err != nil {
				return err
			}
		}
		// Who asked for one change knows what it was.
		if !doc.DryRun && !asJSON {
			return nil
		}
		if doc.empty() && !asJSON {
			_, err := fmt.Fprintln(c.App.ErrWriter, nothingToChange)
			return err
		}
		return doc.write(c.App.Writer, asJSON)
	})
}

// same tells whether a change leaves everything as it was.
func same(ch ipvs.Change) bool {
	switch ch.Op {
	case ipvs.OpSetService:
		return ch.OldService != nil && ch.OldService.Normalized() == ch.Service.Normalized()
	case ipvs.OpSetDestination:
		return ch.OldDestination != nil && ch.OldDestination.Normalized() == ch.Destination.Normalized()
	}
	return false
}

// during tells an error of looking as one of the command that it was for.
func during(op ipvs.Op, err error) error {
	e, ok := errors.AsType[*ipvs.OpError](err)
	if !ok {
		return err
	}
	told := *e
	told.Op = op
	return &told
}

// refused marks what the packages' own checks refuse before anything is sent
// as wrong usage.
func refused(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		text = strings.TrimSuffix(text, ": "+errno.Error())
	}
	return usagef("%s", text)
}

// group is a command that only holds others.
func group(name, usage, description string, commands ...*cli.Command) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, Description: description,
		Subcommands: commands,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				names := make([]string, len(commands))
				for i := range commands {
					names[i] = commands[i].Name
				}
				return usagef("%s has no %q: want %s (see %q)", name, c.Args().First(), strings.Join(names, ", "), c.Command.HelpName+" --help")
			}
			return cli.ShowSubcommandHelp(c)
		},
	}
}
