package main

import (
	"context"
	"fmt"
	"net/netip"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/ipvs"
)

// syncer is what the verbs of the sync daemons need.
type syncer interface {
	SyncDaemons(context.Context) ([]ipvs.SyncDaemon, error)
	StartSync(context.Context, ipvs.SyncDaemon) error
	StopSync(context.Context, ipvs.SyncRole) error
}

func (h host) syncdCommand() *cli.Command {
	list := h.syncdList()
	cmd := group("syncd", "the kernel threads that copy connections to another director",
		`The master multicasts its connections and the backup takes them over, so that
they survive when the other director takes the service. A director can run one
of each. Without a word more it lists what runs; start and stop print nothing
when they succeed.

  lvsctl syncd start master --interface eth0 --id 7
  lvsctl syncd start backup --interface eth0 --id 7
  lvsctl syncd
  lvsctl syncd stop master`,
		list, h.syncdStart(), h.syncdStop())
	cmd.Flags = list.Flags
	other := cmd.Action
	cmd.Action = func(c *cli.Context) error {
		if c.Args().Present() {
			return other(c)
		}
		return list.Action(c)
	}
	return cmd
}

func (h host) syncdList() *cli.Command {
	return &cli.Command{
		Name:      "list",
		Usage:     "the sync daemons that run",
		ArgsUsage: " ",
		Flags:     []cli.Flag{netnsFlag(), outputFlag()},
		Action: func(c *cli.Context) error {
			asJSON, err := plain(c)
			if err != nil {
				return err
			}
			return h.withKernel(c, func(ctx context.Context, k kernel) error {
				if asJSON {
					return writeSyncDaemons(ctx, c, k)
				}
				ds, err := k.SyncDaemons(ctx)
				if err != nil {
					return err
				}
				tw := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
				fmt.Fprintf(tw, "ROLE\tINTERFACE\tID\tGROUP\tPORT\tTTL\tMAX LENGTH\n")
				for _, d := range ds {
					fmt.Fprintf(tw, "%v\t%s\t%d\t%v\t%d\t%d\t%d\n", d.Role, d.Interface, d.SyncID, d.Group, d.Port, d.TTL, d.MaxLength)
				}
				if len(ds) == 0 {
					fmt.Fprintf(tw, "(no sync daemon runs)\n")
				}
				return tw.Flush()
			})
		},
	}
}

// writeSyncDaemons prints the daemons that run, for scripts.
func writeSyncDaemons(ctx context.Context, c *cli.Context, k syncer) error {
	ds, err := k.SyncDaemons(ctx)
	if err != nil {
		return err
	}
	return writeJSON(c.App.Writer, struct {
		Schema  string            `json:"schema"`
		Daemons []ipvs.SyncDaemon `json:"daemons"`
	}{"lvskit.syncd/v1", append([]ipvs.SyncDaemon{}, ds...)})
}

// changeSync starts or stops a daemon, and with JSON tells what runs then.
func (h host) changeSync(c *cli.Context, change func(context.Context, syncer) error) error {
	asJSON, err := wantJSON(c)
	if err != nil {
		return err
	}
	return h.withKernel(c, func(ctx context.Context, k kernel) error {
		if err := change(ctx, k); err != nil || !asJSON {
			return err
		}
		return writeSyncDaemons(ctx, c, k)
	})
}

func (h host) syncdStart() *cli.Command {
	return &cli.Command{
		Name:  "start",
		Usage: "start a sync daemon",
		Description: `Both directors need the same id, group and port.

  lvsctl syncd start master --interface eth0 --id 7
  lvsctl syncd start backup -i eth0 --group ff02::81 --port 8848`,
		ArgsUsage: "master|backup",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "interface", Aliases: []string{"i"}, Usage: "network `DEVICE` to send to or listen on"},
			&cli.StringFlag{Name: "id", Usage: "`NUMBER` 0..255 that tells groups of directors apart; a backup with 0 takes all (default: 0)"},
			&cli.StringFlag{Name: "group", Usage: "multicast `ADDRESS`, IPv4 or IPv6 (default: 224.0.0.81)"},
			&cli.StringFlag{Name: "port", Usage: "UDP `PORT` (default: 8848)"},
			&cli.StringFlag{Name: "ttl", Usage: "the `HOPS` that messages may go (default: 1)"},
			&cli.StringFlag{Name: "max-length", Usage: "the most `BYTES` of a message (default: what the device takes)"},
			netnsFlag(), outputFlag(),
		},
		Action: func(c *cli.Context) error {
			role, err := syncRole(c)
			if err != nil {
				return err
			}
			v := values{c: c}
			d := ipvs.SyncDaemon{
				Role:      role,
				Interface: c.String("interface"),
				SyncID:    or(given(&v, "id", number[uint32](255))),
				Group:     or(given(&v, "group", netip.ParseAddr)),
				Port:      or(given(&v, "port", number[uint16](65535))),
				TTL:       or(given(&v, "ttl", number[uint8](255))),
				MaxLength: or(given(&v, "max-length", number[uint16](65535))),
			}
			if v.err != nil {
				return v.err
			}
			if d.Interface == "" {
				return usagef("syncd start %v needs --interface, the network device between the directors", role)
			}
			if err := d.Validate(); err != nil {
				return refused(err)
			}
			return h.changeSync(c, func(ctx context.Context, k syncer) error { return k.StartSync(ctx, d) })
		},
	}
}

func (h host) syncdStop() *cli.Command {
	return &cli.Command{
		Name:      "stop",
		Usage:     "stop a sync daemon",
		ArgsUsage: "master|backup",
		Flags:     []cli.Flag{netnsFlag(), outputFlag()},
		Action: func(c *cli.Context) error {
			role, err := syncRole(c)
			if err != nil {
				return err
			}
			return h.changeSync(c, func(ctx context.Context, k syncer) error { return k.StopSync(ctx, role) })
		},
	}
}

func syncRole(c *cli.Context) (ipvs.SyncRole, error) {
	if err := wantArgs(c, "a role (master or backup)"); err != nil {
		return 0, err
	}
	role, err := textOf[ipvs.SyncRole](c.Args().First())
	return role, refused(err)
}
