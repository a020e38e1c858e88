package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/internal/control"
)

// yieldPoll is how often the daemon is asked whether the partner serves.
const yieldPoll = 20 * time.Millisecond

func yieldCommand() *cli.Command {
	return &cli.Command{
		Name:  "yield",
		Usage: "hand the service over to the partner",
		Description: `Orders the running daemon to let its partner take the addresses over, and
waits until the partner serves. Use it before an upgrade or a reboot. Nothing
fails back by itself: order the partner to yield when this router shall serve
again.

The exit code is 0 when the partner serves, 1 when this router is not active,
has no partner that is able to take over, or the partner did not within --wait.`,
		ArgsUsage: " ",
		Flags: []cli.Flag{
			socketFlag("unix socket `PATH` of the daemon to order"),
			&cli.DurationFlag{Name: "wait", Value: 10 * time.Second, Usage: "`TIME` to wait for the partner, 0 does not wait"},
			outputFlag(),
		},
		Action: func(c *cli.Context) error {
			asJSON, err := plain(c)
			if err != nil {
				return err
			}
			wait := c.Duration("wait")
			if wait < 0 {
				return usagef("--wait %v: want 0 or more", wait)
			}
			client := control.NewClient(c.String("socket"))
			begun := time.Now()
			st, err := client.Yield(c.Context)
			for err == nil && wait > 0 && !handedOver(st) {
				if time.Since(begun) >= wait {
					return fmt.Errorf("the partner has not taken over within %v: this router is %s (%s); see lvsctl status", wait, st.Role.Role, st.Role.Reason)
				}
				select {
				case <-c.Context.Done():
					return c.Context.Err()
				case <-time.After(yieldPoll):
				}
				st, err = client.Status(c.Context)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.App.Writer, struct {
					Schema  string       `json:"schema"`
					Role    control.Role `json:"role"`
					Seconds float64      `json:"seconds"`
				}{"lvskit.yield/v1", st.Role, time.Since(begun).Seconds()})
			}
			if !handedOver(st) {
				fmt.Fprintln(c.App.Writer, "ordered")
				return nil
			}
			fmt.Fprintf(c.App.Writer, "the partner is active; this router is %s\n", st.Role.Role)
			return nil
		},
	}
}

// handedOver reports whether the partner serves and this router does not.
func handedOver(st *control.Status) bool {
	p := st.Role.Partner
	return st.Role.Role != "active" && !st.Role.AddressesHeld && p != nil && p.Alive && p.Role == "active"
}
