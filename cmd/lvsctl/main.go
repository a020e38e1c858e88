// Command lvsctl runs and inspects Linux Virtual Server load balancers. It is
// a thin customer of the lvskit packages: what it can do, a Go program can do
// by calling them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/failover"
)

// The exit codes, a contract with scripts.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	// exitNoResult is that of a probe that could not ask.
	exitNoResult = 3
)

func main() {
	failover.BeatMain()
	cli.HelpPrinter = func(w io.Writer, text string, data any) {
		cli.HelpPrinterCustom(w, text, data, map[string]any{"wrapAt": func() int { return 100 }})
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A later signal ends at once what does not come to its clean end; one that
	// a supervisor sends to the process and to its group is the first one still.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	os.Exit(run(ctx, os.Args, os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments, so that tests can call it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return thisHost().run(ctx, args, stdout, stderr)
}

func (h host) run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	app := h.newApp(stdout, stderr)
	err := app.RunContext(ctx, reorder(app, args))
	if err == nil {
		return exitDone
	}
	var usage *usageError
	var quiet *quietError
	if errors.As(err, &quiet) {
		return exitFailed
	}
	if verdict := (*verdictError)(nil); errors.As(err, &verdict) {
		return verdict.code
	}
	// A file may be refused for several reasons, a line each.
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(stderr, "lvsctl: %s\n", strings.TrimSuffix(line, "\n"))
	}
	if errors.As(err, &usage) {
		return exitUsage
	}
	if unasked := (*unaskedError)(nil); errors.As(err, &unasked) {
		return exitNoResult
	}
	return exitFailed
}

func (h host) newApp(stdout, stderr io.Writer) *cli.App {
	commands := []*cli.Command{
		demoCommand(), runCommand(), statusCommand(), yieldCommand(),
		h.probeCommand(), checkCommand(), fmtCommand(), convertCommand(), h.predictCommand(), simulateCommand(), h.planCommand(), h.applyCommand(),
		h.listCommand(), h.serviceCommand(), h.serverCommand(), h.saveCommand(), h.restoreCommand(),
		h.zeroCommand(), h.flushCommand(), h.timeoutsCommand(), h.syncdCommand(), announceCommand(), versionCommand(),
	}
	prepare(commands)
	return &cli.App{
		Name:  "lvsctl",
		Usage: "run and inspect Linux Virtual Server load balancers",
		Description: `lvsctl balances traffic as an lvs.cf says, in the kernel's IPVS or over
ordinary sockets, checks the real servers, and hands the service from one
router to the other when one dies.

Start with "lvsctl demo": it needs no root and shows all of it in half a
minute. Then "lvsctl check FILE" and "lvsctl run --config FILE".

The kernel's table by hand: "lvsctl list" shows it, "service" and "server"
change it, "save" and "restore" keep it, "plan" and "apply" make it what a
file says. Flags may stand before or after arguments.

"lvsctl probe" asks a server as a health check does, and says what it saw.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 could not ask (probe).`,
		Version:              version(),
		HideVersion:          true,
		EnableBashCompletion: true,
		// A heartbeat has a comma of its own.
		DisableSliceFlagSeparator: true,
		UseShortOptionHandling:    true,
		Suggest:                   true,
		Reader:                    h.stdin,
		Writer:                    stdout,
		ErrWriter:                 stderr,
		// The codes are run's business.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   onUsageError,
		Commands:       commands,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return unknownCommand(c)
			}
			return cli.ShowAppHelp(c)
		},
	}
}

// prepare gives all commands what they have in common.
func prepare(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = onUsageError
		c.HideHelpCommand = true
		prepare(c.Subcommands)
	}
}

// usageError is a command line that cannot be meant.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// quietError is a failure whose reasons are printed already.
type quietError struct{}

func (*quietError) Error() string { return "failed" }

// onUsageError turns what the flag parser says into one line with a hint.
func onUsageError(c *cli.Context, err error, _ bool) error {
	text := err.Error()
	hint := "lvsctl --help"
	var flags []cli.Flag
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != c.App.Name {
		hint = c.Command.HelpName + " --help"
		flags = c.Command.Flags
	}
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: "); ok {
		name = strings.TrimLeft(name, "-")
		text = "unknown flag " + hyphens(name)
		if word := fromIPVSAdm(name); word != "" {
			text += ": " + word
		} else if near := cli.SuggestFlag(flags, name, false); near != "" {
			text += ", did you mean " + near + "?"
		}
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: "); ok {
		text = "flag " + hyphens(strings.TrimLeft(name, "-")) + " needs a value"
	}
	return usagef("%s (see %q)", text, hint)
}

// hyphens is a flag as it is written.
func hyphens(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// fromIPVSAdm tells who has ipvsadm in the fingers how to say it here; empty
// for what ipvsadm has not either.
func fromIPVSAdm(flag string) string {
	switch flag {
	case "t", "tcp-service":
		return "a TCP service is an argument: tcp/192.0.2.1:80"
	case "u", "udp-service":
		return "a UDP service is an argument: udp/192.0.2.1:53"
	case "f", "fwmark-service":
		return "a service by firewall mark is an argument: fwmark/7"
	case "r", "real-server":
		return "the server is the second argument: lvsctl server add tcp/192.0.2.1:80 10.0.0.1:80"
	case "g", "gatewaying":
		return "say --forward direct"
	case "m", "masquerading":
		return "say --forward masquerade"
	case "i", "ipip":
		return "say --forward tunnel"
	case "A", "E", "D":
		return "services are changed by lvsctl service add, edit and del"
	case "a", "e", "d":
		return "servers are changed by lvsctl server add, edit and del"
	case "n", "numeric":
		return "addresses and ports are numbers in any case"
	case "L", "l", "nL", "Ln", "ln", "Lnc", "lnc":
		return "the table is shown by lvsctl list"
	case "C":
		return "everything is deleted by lvsctl flush"
	case "S":
		return "the table is printed as rules by lvsctl save"
	case "R":
		return "rules are read by lvsctl restore"
	case "Z":
		return "counters are set to zero by lvsctl zero"
	case "pe":
		return "say --engine"
	}
	return ""
}

func unknownCommand(c *cli.Context) error {
	name := c.Args().First()
	text := fmt.Sprintf("unknown command %q", name)
	if near := suggestion(c.App.Commands, name); near != "" {
		text += ". " + near
	}
	return usagef(`%s (see "lvsctl --help")`, text)
}

// suggestion asks whether one of the commands is meant, and is empty if none is
// like the name.
func suggestion(commands []*cli.Command, name string) string {
	near := cli.SuggestCommand(commands, strings.ToLower(name))
	if strings.Contains(near, `""`) { // how the package says none
		return ""
	}
	return near
}

// noArgs refuses arguments where a command takes none.
func noArgs(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("%s takes no arguments, got %q (see %q)", strings.TrimPrefix(c.Command.HelpName, "lvsctl "), c.Args().First(), c.Command.HelpName+" --help")
	}
	return nil
}
