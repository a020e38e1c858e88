package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/ipvs"
)

// counters is what zero needs.
type counters interface {
	Zero(context.Context, ipvs.ServiceKey) error
	ZeroAll(context.Context) error
}

func (h host) zeroCommand() *cli.Command {
	return &cli.Command{
		Name:  "zero",
		Usage: "set the counters of services and their servers to zero",
		Description: `Counters and rates start at zero again; connections and their numbers stay.
It prints nothing when it succeeds.

  lvsctl zero tcp/192.0.2.1:80
  lvsctl zero --all`,
		ArgsUsage: "SERVICE... | --all",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "the counters of all services, and the totals"},
			netnsFlag(), outputFlag(),
		},
		Action: func(c *cli.Context) error {
			keys, err := services(c.Args().Slice())
			if err != nil {
				return err
			}
			if c.Bool("all") != (len(keys) == 0) {
				return usagef(`zero needs services, or --all alone (see "lvsctl zero --help")`)
			}
			asJSON, err := wantJSON(c)
			if err != nil {
				return err
			}
			return h.withKernel(c, func(ctx context.Context, k kernel) error {
				if err := zero(ctx, k, keys); err != nil || !asJSON {
					return err
				}
				return writeJSON(c.App.Writer, struct {
					Schema   string            `json:"schema"`
					All      bool              `json:"all"`
					Services []ipvs.ServiceKey `json:"services"`
				}{"lvskit.zero/v1", len(keys) == 0, append([]ipvs.ServiceKey{}, keys...)})
			})
		},
	}
}

// zero does all it can, whatever fails.
func zero(ctx context.Context, k counters, keys []ipvs.ServiceKey) error {
	if len(keys) == 0 {
		return k.ZeroAll(ctx)
	}
	var errs []error
	for _, key := range keys {
		errs = append(errs, k.Zero(ctx, key))
	}
	return errors.Join(errs...)
}

func (h host) flushCommand() *cli.Command {
	return &cli.Command{
		Name:  "flush",
		Usage: "delete all services, whoever made them",
		Description: `Says what will be deleted and asks; where nobody can be asked it needs --yes.
Think twice: other programs (kube-proxy, keepalived) keep services in the same
table. To delete one service: lvsctl service del.`,
		ArgsUsage: " ",
		Flags:     []cli.Flag{yesFlag(), netnsFlag(), dryRunFlag(), outputFlag()},
		Action: func(c *cli.Context) error {
			asJSON, err := plain(c)
			if err != nil {
				return err
			}
			return h.withKernel(c, func(ctx context.Context, k kernel) error {
				snap, err := k.Snapshot(ctx)
				if err != nil {
					return err
				}
				doc := newChangesDoc(c.Bool("dry-run"), ipvs.Diff(snap.Table(), nil, func(ipvs.ServiceKey) bool { return true })...)
				if !doc.DryRun && len(snap) > 0 {
					if err := h.confirm(c, fmt.Sprintf("flush deletes %s", contents(snap))); err != nil {
						return err
					}
					if err := k.DeleteEverything(ctx); err != nil {
						return err
					}
				}
				if !doc.DryRun && !asJSON {
					return nil
				}
				return doc.write(c.App.Writer, asJSON)
			})
		},
	}
}

// contents counts what a table holds.
func contents(snap ipvs.Snapshot) string {
	servers, conns := 0, uint64(0)
	for _, e := range snap {
		servers += len(e.Destinations)
		for _, d := range e.Destinations {
			conns += uint64(d.Active) + uint64(d.Inactive)
		}
	}
	return fmt.Sprintf("%d services with %d servers and %d connections", len(snap), servers, conns)
}
