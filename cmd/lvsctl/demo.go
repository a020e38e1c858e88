package main

import (
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/internal/demo"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "a guided tour on loopback: two directors, six real servers, and what happens when they die",
		Description: `Writes an lvs.cf with a TCP and a UDP service, starts three small servers for
each, starts a primary and a backup director (each a process running "lvsctl
run" on the user-space data plane), and sends traffic through them. Then a
server is killed and brought back, the active director is killed, and the
other one takes over. Needs no root, no kernel module and no packages, touches
only 127.0.0.1, and ends by itself in under 30 seconds.

The exit code is 0 only if every expectation held.`,
		ArgsUsage: " ",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "hold", Usage: "keep everything running after the tour, until Ctrl-C"},
			&cli.BoolFlag{Name: "json", Usage: "show nothing on the way and print the result as JSON"},
		},
		Action: func(c *cli.Context) error {
			if err := noArgs(c); err != nil {
				return err
			}
			asJSON := c.Bool("json")
			// A reader that goes away ("| head") is an end like Ctrl-C, and
			// leaves nothing behind either.
			ctx, stop := signal.NotifyContext(c.Context, syscall.SIGPIPE)
			defer stop()
			res, err := demo.Run(ctx, demo.Config{
				Out:   c.App.Writer,
				Live:  isTerminal(c.App.Writer),
				Hold:  c.Bool("hold"),
				Quiet: asJSON,
			})
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(c.App.Writer, res)
			} else {
				err = res.Write(c.App.Writer)
			}
			if err == nil && !res.OK {
				return &quietError{}
			}
			return err
		},
	}
}
