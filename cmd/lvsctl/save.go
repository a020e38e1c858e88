package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvsadm"
)

func (h host) saveCommand() *cli.Command {
	return &cli.Command{
		Name:  "save",
		Usage: "print the kernel's table as rules that lvsctl restore and ipvsadm read",
		Description: `Prints the services and servers as "ipvsadm -S -n" does, and what that leaves
out too: thresholds and all flags. What has no words there, such as local
forwarding, is left out, told on standard error, and makes the exit code 1;
-o json has it.

  lvsctl save >/etc/ipvsadm.rules
  lvsctl save tcp/192.0.2.1:80 fwmark/7`,
		ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "rules", Usage: "`FORMAT` of what is printed: rules or json"},
			netnsFlag(),
		},
		Action: func(c *cli.Context) error {
			format := c.String("output")
			if format != "rules" && format != "json" {
				return usagef("output format %q: want rules or json", format)
			}
			keys, err := services(c.Args().Slice())
			if err != nil {
				return err
			}
			return h.withKernel(c, func(ctx context.Context, k kernel) error {
				snap, err := k.Snapshot(ctx)
				if err != nil {
					return err
				}
				if snap, err = only(snap, keys, func(e ipvs.EntryState) ipvs.ServiceKey { return e.Service.Key }); err != nil {
					return err
				}
				if format == "json" {
					return writeJSON(c.App.Writer, struct {
						Schema string     `json:"schema"`
						Table  ipvs.Table `json:"table"`
					}{"lvskit.table/v1", append(ipvs.Table{}, snap.Table()...)})
				}
				text, untold := ipvsadm.AppendTable(nil, snap.Table())
				_, err = c.App.Writer.Write(text)
				return errors.Join(err, untold)
			})
		},
	}
}
