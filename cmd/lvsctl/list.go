package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/ipvs"
)

func listCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "the table of services and servers, with counters",
		Description: `Shows the table of the running daemon with the names of its configuration.
Where no daemon answers, or with --kernel, it reads the kernel's table itself.
The kernel totals its counters every two seconds.`,
		ArgsUsage: " ",
		Flags: []cli.Flag{
			socketFlag("unix socket `PATH` of the daemon to ask"),
			&cli.BoolFlag{Name: "kernel", Usage: "read the kernel's table, whoever made it"},
			outputFlag(),
		},
		Action: func(c *cli.Context) error {
			asJSON, err := plain(c)
			if err != nil {
				return err
			}
			list, err := readList(c)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.App.Writer, list)
			}
			return writeList(c.App.Writer, list)
		},
	}
}

func readList(c *cli.Context) (*control.List, error) {
	if !c.Bool("kernel") {
		list, err := control.NewClient(c.String("socket")).List(c.Context)
		if err == nil || !errors.Is(err, control.ErrNoDaemon) || c.IsSet("socket") {
			return list, err
		}
	}
	k, err := ipvs.Dial(c.Context, nil)
	if err != nil {
		if c.Bool("kernel") {
			return nil, fmt.Errorf("the kernel's table cannot be read: %w", err)
		}
		return nil, fmt.Errorf("no daemon answers on %s, and the kernel's table cannot be read: %w", c.String("socket"), err)
	}
	defer k.Close()
	snap, err := k.Snapshot(c.Context)
	if err != nil {
		return nil, err
	}
	return control.NewList("kernel", snap, nil), nil
}

func writeList(w io.Writer, l *control.List) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "SERVICE\tSCHEDULER\tNAME\t\tCONNS\tACTIVE\tINACTIVE\tIN\tOUT\n")
	for _, e := range l.Services {
		fmt.Fprintf(tw, "%s\t%s\t%s\t\t%d\t\t\t%s\t%s\n", e.Key, scheduling(e.Service), e.Name,
			e.Stats.Connections, amount(e.Stats.InBytes), amount(e.Stats.OutBytes))
		for _, d := range e.Destinations {
			fmt.Fprintf(tw, "  -> %s\t%s\t%s\tweight %d\t%d\t%d\t%d\t%s\t%s\n", d.Key, d.Forward, d.Name, d.Weight,
				d.Stats.Connections, d.Active, d.Inactive, amount(d.Stats.InBytes), amount(d.Stats.OutBytes))
		}
	}
	if len(l.Services) == 0 {
		fmt.Fprintf(tw, "(the %s table is empty)\n", l.Dataplane)
	}
	return tw.Flush()
}

// scheduling is the scheduler with what modifies it.
func scheduling(s ipvs.Service) string {
	text := s.Scheduler
	if s.Flags&ipvs.OnePacket != 0 {
		text += " one-packet"
	}
	if s.Persistence > 0 {
		text += " persistent " + s.Persistence.String()
		if s.PersistencePrefix > 0 {
			text += "/" + strconv.Itoa(s.PersistencePrefix)
		}
	}
	return text
}

// amount shortens a number of bytes.
func amount(n uint64) string {
	if n < 10_000 {
		return strconv.FormatUint(n, 10)
	}
	f, i := float64(n)/1000, 0
	for ; f >= 1000 && i < 4; i++ {
		f /= 1000
	}
	return fmt.Sprintf("%.3g%c", f, "kMGTP"[i])
}
