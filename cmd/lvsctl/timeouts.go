package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/ipvs"
)

// timeoutKeeper is what the timeouts verb needs.
type timeoutKeeper interface {
	Timeouts(context.Context) (ipvs.Timeouts, error)
	SetTimeouts(context.Context, ipvs.Timeouts) error
}

func (h host) timeoutsCommand() *cli.Command {
	return &cli.Command{
		Name:  "timeouts",
		Usage: "show or set after how long idle connections are dropped",
		Description: `Without flags it shows the timeouts. A timeout that is not given stays as it
is; connections get the new ones with their next packet. To set them prints
nothing. They hold for the whole network namespace.

  lvsctl timeouts
  lvsctl timeouts --tcp 15m --tcp-fin 2m --udp 300`,
		ArgsUsage: " ",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "tcp", Usage: "`TIME` for established TCP connections: 900, 15m"},
			&cli.StringFlag{Name: "tcp-fin", Usage: "`TIME` for TCP connections after a FIN"},
			&cli.StringFlag{Name: "udp", Usage: "`TIME` for UDP"},
			netnsFlag(), outputFlag(),
		},
		Action: func(c *cli.Context) error {
			asJSON, err := plain(c)
			if err != nil {
				return err
			}
			v := values{c: c}
			t := ipvs.Timeouts{
				TCP:    or(given(&v, "tcp", positive)),
				TCPFin: or(given(&v, "tcp-fin", positive)),
				UDP:    or(given(&v, "udp", positive)),
			}
			if v.err != nil {
				return v.err
			}
			return h.withKernel(c, func(ctx context.Context, k kernel) error {
				if t != (ipvs.Timeouts{}) {
					if err := k.SetTimeouts(ctx, t); err != nil {
						return err
					}
					if !asJSON {
						return nil
					}
				}
				t, err := k.Timeouts(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(c.App.Writer, struct {
						Schema   string        `json:"schema"`
						Timeouts ipvs.Timeouts `json:"timeouts"`
					}{"lvskit.timeouts/v1", t})
				}
				_, err = fmt.Fprintln(c.App.Writer, timeoutsText(t))
				return err
			})
		},
	}
}

// positive is a duration that is not zero, which would leave the timeout as it is.
func positive(s string) (time.Duration, error) {
	d, err := duration(s)
	if err == nil && d == 0 {
		err = errors.New("want at least a second")
	}
	return d, err
}

// timeoutsText names the timeouts that are not zero.
func timeoutsText(t ipvs.Timeouts) string {
	var parts []string
	for _, p := range []struct {
		name string
		d    time.Duration
	}{{"tcp", t.TCP}, {"tcp-fin", t.TCPFin}, {"udp", t.UDP}} {
		if p.d != 0 {
			parts = append(parts, p.name+" "+p.d.String())
		}
	}
	return strings.Join(parts, ", ")
}
