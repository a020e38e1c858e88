package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/ipvs"
)

func (h host) listCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "the table of services and servers, with counters",
		Description: `Shows the table of the running daemon with the names of its configuration.
Where no daemon answers, or with --kernel or --netns, it reads the kernel's
table itself. The kernel totals its counters every two seconds.

With arguments it shows these services alone. The flags choose the columns,
and may be combined; -o json has everything. --connections shows the kernel's
connection table instead, a row for each connection and each client that is
kept on a server.

  lvsctl list
  lvsctl list --stats --rates tcp/192.0.2.1:80
  lvsctl list --kernel --thresholds --exact
  lvsctl list --connections tcp/192.0.2.1:80`,
		ArgsUsage: "[SERVICE...]",
		Flags: append(viewFlags(),
			&cli.BoolFlag{Name: "connections", Aliases: []string{"c", "conns"}, Usage: "show the kernel's connection table"},
			&cli.BoolFlag{Name: "exact", Usage: "do not shorten numbers: 123456789 and not 123M"},
			socketFlag("unix socket `PATH` of the daemon to ask"),
			&cli.BoolFlag{Name: "kernel", Usage: "read the kernel's table, whoever made it"},
			netnsFlag(), outputFlag(),
		),
		Action: func(c *cli.Context) error {
			asJSON, err := wantJSON(c)
			if err != nil {
				return err
			}
			keys, err := services(c.Args().Slice())
			if err != nil {
				return err
			}
			if c.Bool("connections") {
				return h.listConnections(c, keys, asJSON)
			}
			list, err := h.readList(c)
			if err != nil {
				return err
			}
			list.Services, err = only(list.Services, keys, func(e control.ListEntry) ipvs.ServiceKey { return e.Key })
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.App.Writer, list)
			}
			return writeList(c.App.Writer, list, chosenViews(c), c.Bool("exact"))
		},
	}
}

func (h host) readList(c *cli.Context) (*control.List, error) {
	fromKernel := c.Bool("kernel") || c.IsSet("netns")
	if !fromKernel {
		list, err := control.NewClient(c.String("socket")).List(c.Context)
		if err == nil || !errors.Is(err, control.ErrNoDaemon) || c.IsSet("socket") {
			return list, err
		}
	}
	var list *control.List
	err := h.withKernel(c, func(ctx context.Context, k kernel) error {
		snap, err := k.Snapshot(ctx)
		list = control.NewList("kernel", snap, nil)
		return err
	})
	switch {
	case err == nil:
		return list, nil
	case fromKernel:
		return nil, fmt.Errorf("the kernel's table cannot be read: %w", err)
	}
	return nil, fmt.Errorf("no daemon answers on %s, and the kernel's table cannot be read: %w", c.String("socket"), err)
}

// only leaves the named services in a list, all if none is named.
func only[T any](list []T, keys []ipvs.ServiceKey, key func(T) ipvs.ServiceKey) ([]T, error) {
	if len(keys) == 0 {
		return list, nil
	}
	for _, k := range keys {
		if !slices.ContainsFunc(list, func(e T) bool { return key(e) == k }) {
			return nil, &ipvs.OpError{Op: ipvs.OpGetService, Service: k, Err: syscall.ESRCH}
		}
	}
	return slices.DeleteFunc(list, func(e T) bool { return !slices.Contains(keys, key(e)) }), nil
}
