package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvsadm"
)

const applied = `Services that the FILE names are made equal to it, servers included: what is
right already is left alone, with its connections and counters. Services that
it does not name are not touched, unless --delete-others says so.`

func (h host) planCommand() *cli.Command {
	return &cli.Command{
		Name:  "plan",
		Usage: "what apply would change",
		Description: `Compares a FILE with the kernel's table and prints the changes that lead from
one to the other, a line each; nothing is changed. The FILE is an lvs.cf, of
which every server counts as up, or rules as ipvsadm and "lvsctl save" write
them. "-" is standard input.

` + applied + `

  lvsctl plan /etc/sysconfig/ha/lvs.cf
  lvsctl plan --as ipvsadm new.rules
  lvsctl save | lvsctl plan -

The exit code is 0 whether there is something to change or not; -o json tells
it to scripts.`,
		ArgsUsage: "FILE",
		Flags: []cli.Flag{
			formatFlag(),
			&cli.StringFlag{Name: "as", Value: "words", Usage: "print the changes as `words` for people or as lines for ipvsadm"},
			resolveFlag(), deleteOthersFlag(), netnsFlag(), outputFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, "a FILE"); err != nil {
				return err
			}
			if as := c.String("as"); as != "words" && as != "ipvsadm" {
				return usagef("--as %s: want words or ipvsadm", as)
			}
			return h.apply(c, c.Args().First(), c.String("format"), true)
		},
	}
}

func (h host) applyCommand() *cli.Command {
	return &cli.Command{
		Name:  "apply",
		Usage: "make the kernel's table what a file says, once",
		Description: `The FILE is an lvs.cf, of which every server counts as up, or rules as ipvsadm
and "lvsctl save" write them. "-" is standard input. The whole FILE is checked
before anything is changed. The changes that were made are printed, a line
each; nothing if there was nothing to change.

` + applied + `

Nothing is checked afterwards and nobody stands in for anybody: that is what
"lvsctl run" does. While it runs, leave its services to it.

  lvsctl apply /etc/sysconfig/ha/lvs.cf
  lvsctl apply --dry-run new.rules`,
		ArgsUsage: "FILE",
		Flags:     append([]cli.Flag{formatFlag()}, applyFlags()...),
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, "a FILE"); err != nil {
				return err
			}
			return h.apply(c, c.Args().First(), c.String("format"), c.Bool("dry-run"))
		},
	}
}

func (h host) restoreCommand() *cli.Command {
	return &cli.Command{
		Name:  "restore",
		Usage: "bring back what lvsctl save or ipvsadm-save has saved",
		Description: `Reads rules from a FILE, or from standard input. All of them are checked before
anything is changed, and it is the difference that is made: unlike with
ipvsadm-restore, nothing is added twice and nothing stays half done over a
wrong line. The changes are printed, a line each.

` + applied + `

  lvsctl save >rules; lvsctl restore rules
  lvsctl restore --delete-others --yes </etc/ipvsadm.rules
  ipvsadm-save | lvsctl restore --resolve`,
		ArgsUsage: "[FILE]",
		Flags:     applyFlags(),
		Action: func(c *cli.Context) error {
			path := "-"
			if c.Args().Present() {
				if err := wantArgs(c, "one FILE"); err != nil {
					return err
				}
				path = c.Args().First()
			}
			return h.apply(c, path, formatRules, c.Bool("dry-run"))
		},
	}
}

func formatFlag() cli.Flag {
	return &cli.StringFlag{Name: "format", Value: formatAuto, Usage: "what the FILE is, a `FORMAT`: lvscf, rules, or auto: what it looks like"}
}

func resolveFlag() cli.Flag {
	return &cli.BoolFlag{Name: "resolve", Usage: "look up the names of hosts and ports in rules, as ipvsadm-save writes them without -n"}
}

func deleteOthersFlag() cli.Flag {
	return &cli.BoolFlag{Name: "delete-others", Usage: "also delete the services that the FILE does not name, whoever made them"}
}

func applyFlags() []cli.Flag {
	return []cli.Flag{resolveFlag(), deleteOthersFlag(), yesFlag(), netnsFlag(), dryRunFlag(), outputFlag()}
}

// apply compares the table with a file, and makes it so unless it is a dry
// run.
func (h host) apply(c *cli.Context, path, format string, dryRun bool) error {
	asJSON, err := wantJSON(c)
	if err != nil {
		return err
	}
	var names ipvsadm.Resolver
	if c.Bool("resolve") {
		names = net.DefaultResolver
	}
	w, err := readWanted(c.Context, h.stdin, path, format, names)
	if err != nil {
		return err
	}
	for _, n := range w.notes {
		fmt.Fprintf(c.App.ErrWriter, "lvsctl: note: %s\n", n)
	}
	// A file is empty more often because what should have written it failed
	// than because somebody wants that.
	if c.Bool("delete-others") && len(w.table) == 0 {
		return fmt.Errorf("%s names no service, so --delete-others would delete all there are: look at what wrote it, or say lvsctl flush if that is meant", w.name)
	}
	return h.withKernel(c, func(ctx context.Context, k kernel) error {
		have, err := k.Snapshot(ctx)
		if err != nil {
			return err
		}
		doomed, others := ipvs.Snapshot(nil), map[ipvs.ServiceKey]bool{}
		if c.Bool("delete-others") {
			doomed = unnamed(have, w.table)
		}
		for _, e := range doomed {
			others[e.Service.Key] = true
		}
		owned := func(key ipvs.ServiceKey) bool { return others[key] }
		timeouts, err := newTimeouts(ctx, k, w.timeouts)
		if err != nil {
			return err
		}
		doc := newChangesDoc(dryRun, ipvs.Diff(have.Table(), w.table, owned)...)
		doc.Timeouts = timeouts
		if dryRun {
			return showPlan(c, doc, asJSON)
		}
		if len(doomed) > 0 {
			if err := h.confirm(c, fmt.Sprintf("--delete-others deletes %s that %s does not name", contents(doomed), w.name)); err != nil {
				return err
			}
		}
		report, err := ipvs.Converge(ctx, k, w.table, owned)
		doc = newChangesDoc(false, report.Changes...)
		if err == nil && timeouts != nil {
			if err = k.SetTimeouts(ctx, *timeouts); err == nil {
				doc.Timeouts = timeouts
			}
		}
		if report.Repaired > 0 {
			fmt.Fprintf(c.App.ErrWriter, "lvsctl: note: something else changed the table meanwhile: %d changes were made in a later round\n", report.Repaired)
		}
		return errors.Join(doc.write(c.App.Writer, asJSON), eachFailure(report.Failed, err))
	})
}

// showPlan prints what would be done, as the flags ask for it.
func showPlan(c *cli.Context, doc changesDoc, asJSON bool) error {
	if doc.empty() && !asJSON {
		_, err := fmt.Fprintln(c.App.ErrWriter, nothingToChange)
		return err
	}
	if asJSON || c.String("as") != "ipvsadm" {
		return doc.write(c.App.Writer, asJSON)
	}
	// What rule text cannot say is an error and no line of it: the real
	// program ends at what it does not know.
	var text []byte
	var errs []error
	for _, ch := range doc.Changes {
		var err error
		if text, err = ipvsadm.AppendChange(text, ch); err != nil {
			errs = append(errs, err)
		}
	}
	if doc.Timeouts != nil {
		var err error
		if text, err = ipvsadm.AppendTimeouts(text, *doc.Timeouts); err != nil {
			errs = append(errs, err)
		}
	}
	_, err := c.App.Writer.Write(text)
	return errors.Join(append(errs, err)...)
}

// unnamed are the services of a snapshot that a table does not have.
func unnamed(have ipvs.Snapshot, want ipvs.Table) ipvs.Snapshot {
	named := make(map[ipvs.ServiceKey]bool, len(want))
	for i := range want {
		named[want[i].Service.Key] = true
	}
	var rest ipvs.Snapshot
	for _, e := range have {
		if !named[e.Service.Key] {
			rest = append(rest, e)
		}
	}
	return rest
}

// newTimeouts are those that have to be set to have the wanted ones, nil if
// none has to.
func newTimeouts(ctx context.Context, k timeoutKeeper, want ipvs.Timeouts) (*ipvs.Timeouts, error) {
	if want == (ipvs.Timeouts{}) {
		return nil, nil
	}
	have, err := k.Timeouts(ctx)
	if err != nil {
		return nil, err
	}
	if want.TCP == have.TCP {
		want.TCP = 0
	}
	if want.TCPFin == have.TCPFin {
		want.TCPFin = 0
	}
	if want.UDP == have.UDP {
		want.UDP = 0
	}
	if want == (ipvs.Timeouts{}) {
		return nil, nil
	}
	return &want, nil
}

// eachFailure tells the refused changes a line each, in place of an error
// that sums them up.
func eachFailure(failed []*ipvs.OpError, err error) error {
	if err == nil || len(failed) == 0 {
		return err
	}
	// Without their service its servers fail too, which says nothing more.
	absent := make(map[ipvs.ServiceKey]bool)
	var all failures
	for _, f := range failed {
		switch {
		case f.Op == ipvs.OpAddDestination && absent[f.Service]:
			continue
		case f.Op == ipvs.OpAddService:
			absent[f.Service] = true
		}
		all.add(f)
	}
	if apply, ok := errors.AsType[*ipvs.ApplyError](err); !ok || apply.Cause != nil {
		all.add(err)
	}
	return all.err()
}

// failures collects errors that are told one by one.
type failures struct {
	errs []error
	more int
}

// maxFailures is how many of them are told.
const maxFailures = 20

func (f *failures) add(err error) {
	if len(f.errs) < maxFailures {
		f.errs = append(f.errs, err)
	} else {
		f.more++
	}
}

func (f *failures) err() error {
	if f.more > 0 {
		return errors.Join(append(f.errs, fmt.Errorf("and %d more", f.more))...)
	}
	return errors.Join(f.errs...)
}
