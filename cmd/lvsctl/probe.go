package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/health"
)

func (h host) probeCommand() *cli.Command {
	return &cli.Command{
		Name:  "probe",
		Usage: "ask a server as a health check does, and tell what came of it",
		Description: `Asks TARGET once with a check of the KIND, and prints the verdict, its reason,
how long each phase took and the beginning of what the server said.

TARGET is an address or a name, with a port unless the kind has one:
192.0.2.7:6379, [2001:db8::7]:6379, cache.example.net. A name is looked up
once, and its first address asked.

OPTIONS are words such as path=/health or tls=true. --kinds lists the kinds,
"lvsctl probe KIND --options" explains the options of one. A password on a
command line can be seen by any user of this machine: password-file=FILE takes
it from the first line of a file, and secret-file=FILE that of a RADIUS server.

--watch goes on asking, as the daemon does, and prints each answer and each
change of the state; Ctrl-C ends it with a summary. --count N does the same N
times. With -o json each is an object on a line of its own.

--config FILE asks what the daemon asks of the servers of an lvs.cf, once: all
of them, those of one SERVICE, or one SERVER of it by the names in the file.

The exit code is 0 for a server that is well, 1 for one that is not, 2 for
wrong usage, and 3 if it could not be asked (no route, no permission, no
program). With --watch and --count the last state counts; with --config the
worst answer.

  lvsctl probe http www.example.net path=/health status=200
  lvsctl probe tls 192.0.2.7:8443 tls-name=www.example.net
  lvsctl probe redis 192.0.2.7 password-file=/etc/lvs/probe.secret role=master
  lvsctl probe --watch --interval 1s --fall 3 tcp 192.0.2.7:25
  lvsctl probe --config /etc/sysconfig/ha/lvs.cf web`,
		ArgsUsage: "KIND TARGET [OPTION=VALUE...] | --config FILE [SERVICE [SERVER]]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "kinds", Usage: "list the kinds of check, and ask nobody"},
			&cli.BoolFlag{Name: "options", Usage: "explain the options of KIND, and ask nobody"},
			&cli.DurationFlag{Name: "timeout", Value: health.DefaultTimeout, DefaultText: "10s", Usage: "limit of one check, the looking up of a name apart; with --watch and --count the interval"},
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "go on asking until Ctrl-C"},
			&cli.IntFlag{Name: "count", Aliases: []string{"c"}, Usage: "ask `N` times"},
			&cli.DurationFlag{Name: "interval", Value: time.Second, Usage: "time from one check to the next"},
			&cli.DurationFlag{Name: "fast-interval", Usage: "that time while answers contradict the state; --interval without it"},
			&cli.IntFlag{Name: "rise", Value: 1, Usage: "good answers in a row that bring a server up"},
			&cli.IntFlag{Name: "fall", Value: 1, Usage: "bad answers in a row that bring it down"},
			&cli.StringFlag{Name: "config", Usage: "ask what the daemon asks by this lvs.cf, a `FILE`"},
			outputFlag(),
		},
		BashComplete: completeProbe,
		Action:       h.probe,
	}
}

func (h host) probe(c *cli.Context) error {
	asJSON, err := wantJSON(c)
	if err != nil {
		return err
	}
	if c.Bool("kinds") {
		return writeKinds(c.App.Writer, asJSON)
	}
	if c.IsSet("config") {
		return h.probeConfig(c, asJSON)
	}
	words, err := splitProbe(c.Args().Slice())
	if err != nil {
		return err
	}
	kind, err := findKind(words.kind)
	if err != nil {
		return err
	}
	if c.Bool("options") {
		return writeOptions(c.App.Writer, kind, asJSON)
	}
	policy, err := probePolicy(c)
	if err != nil {
		return err
	}
	checker, err := words.checker(kind)
	if err != nil {
		return err
	}
	target, err := h.target(c.Context, kind, words)
	if err != nil {
		return err
	}
	if c.Bool("watch") || c.IsSet("count") {
		if !c.IsSet("timeout") {
			policy.Timeout = 0
		}
		return watchTarget(c, kind.Name, checker, target, policy, asJSON)
	}
	ctx, cancel := context.WithTimeout(c.Context, policy.Timeout)
	defer cancel()
	got := newAnswer(kind.Name, checker, target, checker.Check(ctx, target))
	if asJSON {
		err = writeJSON(c.App.Writer, struct {
			Schema string `json:"schema"`
			answer
		}{"lvskit.probe/v1", got})
	} else {
		err = got.write(c.App.Writer)
	}
	return cmp.Or(err, exitBy(got.Result.Verdict))
}

// probePolicy reads the times and counts of the command line.
func probePolicy(c *cli.Context) (health.Policy, error) {
	p := health.Policy{
		Interval: c.Duration("interval"), FastInterval: c.Duration("fast-interval"), Timeout: c.Duration("timeout"),
		Rise: c.Int("rise"), Fall: c.Int("fall"),
	}
	for _, f := range []struct {
		name  string
		value int
	}{{"rise", p.Rise}, {"fall", p.Fall}} {
		if f.value < 1 {
			return p, usagef("--%s %d: want 1 or more", f.name, f.value)
		}
	}
	if c.IsSet("count") && c.Int("count") < 1 {
		return p, usagef("--count %d: want 1 or more", c.Int("count"))
	}
	for _, name := range []string{"timeout", "interval"} {
		if d := c.Duration(name); d <= 0 {
			return p, usagef("--%s %v: want a duration such as 2s", name, d)
		}
	}
	if err := p.Validate(); err != nil {
		return p, usagef("%v", err)
	}
	return p, nil
}

// verdictError ends the command with the exit code of a verdict; all there is
// to say is printed already.
type verdictError struct{ code int }

func (e *verdictError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func exitBy(v health.Verdict) error {
	switch v {
	case health.OK:
		return nil
	case health.Fail:
		return &verdictError{exitFailed}
	}
	return &verdictError{exitNoResult}
}

// lookupHost finds the addresses of a name.
type lookupHost func(ctx context.Context, network, name string) ([]netip.Addr, error)
