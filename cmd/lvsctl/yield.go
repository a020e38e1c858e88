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
		Usage: "hand the service over to another router",
		Description: `Orders the running daemon to let its partner take the addresses over, and
waits until the partner serves. Use it before an upgrade or a reboot. Nothing
fails back by itself: with heartbeats order the partner to yield when this
router shall serve again. With VRRP every router of this daemon hands over, and
leaves the service to whoever took it until --reclaim, its priority and preempt
notwithstanding.

The exit code is 0 when another router serves, 1 when this router is not active,
has no partner that is able to take over, or nobody did within --wait.`,
		ArgsUsage: " ",
		Flags: []cli.Flag{
			socketFlag("unix socket `PATH` of the daemon to order"),
			&cli.BoolFlag{Name: "reclaim", Usage: "with VRRP: end what an earlier yield began, so that the router of the highest priority takes over again"},
			&cli.DurationFlag{Name: "wait", Value: 10 * time.Second, Usage: "`TIME` to wait for the other router, 0 does not wait"},
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
			if c.Bool("reclaim") {
				return reclaim(c, client, asJSON)
			}
			st, err := client.Yield(c.Context)
			for err == nil && wait > 0 && !handedOver(st) {
				if time.Since(begun) >= wait {
					return fmt.Errorf("nobody has taken over within %v: this router is %s (%s); see lvsctl status", wait, st.Role.Role, st.Role.Reason)
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
			fmt.Fprintf(c.App.Writer, "%s is active; this router is %s\n", successor(st), st.Role.Role)
			return nil
		},
	}
}

// reclaim orders the routers of a daemon to take over again, and does not wait:
// whether they do is a matter of priorities. They need their down interval for
// it, as at any time at which nobody of a higher priority is heard.
func reclaim(c *cli.Context, client *control.Client, asJSON bool) error {
	st, err := client.Reclaim(c.Context)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(c.App.Writer, struct {
			Schema  string       `json:"schema"`
			Role    control.Role `json:"role"`
			Seconds float64      `json:"seconds"`
		}{"lvskit.yield/v1", st.Role, 0})
	}
	fmt.Fprintln(c.App.Writer, reclaimText(&st.Role))
	return nil
}

// reclaimText says what the order brings about, and how long that takes.
func reclaimText(r *control.Role) string {
	var down float64
	for _, x := range r.Routers {
		down = max(down, x.DownMS)
	}
	return fmt.Sprintf("ordered: this router takes over where its priority is the highest, within %v; see lvsctl status", msText(down))
}

// handedOver reports whether others serve and this router does not.
func handedOver(st *control.Status) bool {
	if st.Role.Role == "active" || st.Role.AddressesHeld {
		return false
	}
	for _, r := range st.Role.Routers {
		if r.Active == "" || r.AddressesHeld {
			return false
		}
	}
	p := st.Role.Partner
	return len(st.Role.Routers) > 0 || p != nil && p.Alive && p.Role == "active"
}

// successor names who serves now.
func successor(st *control.Status) string {
	if len(st.Role.Routers) == 0 {
		return "the partner"
	}
	return st.Role.Routers[0].Active
}
