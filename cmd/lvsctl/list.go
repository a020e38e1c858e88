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
and may be combined; -o json has everything.

  lvsctl list
  lvsctl list --stats --rates tcp/192.0.2.1:80
  lvsctl list --kernel --thresholds --exact`,
		ArgsUsage: "[SERVICE...]",
		Flags: append(viewFlags(),
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
			list, err := h.readList(c)
			if err != nil {
				return err
			}
			if err := choose(list, keys); err != nil {
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

// choose leaves the named services in a list, all if none is named.
func choose(list *control.List, keys []ipvs.ServiceKey) error {
	if len(keys) == 0 {
		return nil
	}
	for _, key := range keys {
		if !slices.ContainsFunc(list.Services, func(e control.ListEntry) bool { return e.Key == key }) {
			return &ipvs.OpError{Op: ipvs.OpGetService, Service: key, Err: syscall.ESRCH}
		}
	}
	list.Services = slices.DeleteFunc(list.Services, func(e control.ListEntry) bool { return !slices.Contains(keys, e.Key) })
	return nil
}
