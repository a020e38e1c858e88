package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/procfs"
)

// host is the machine that the verbs work on. Tests have one of their own.
type host struct {
	// dial opens the kernel's table in a network namespace; an empty path is
	// the namespace of the process.
	dial func(ctx context.Context, netns string) (kernel, error)
	// connections reads the connection table of a network namespace.
	connections func(netns string) iter.Seq2[procfs.Connection, error]
	// lookup finds the addresses of a name; nil asks the system.
	lookup lookupHost
	stdin  io.Reader
	// terminal tells that a person sits at stdin, who can be asked.
	terminal bool
}

// kernel is all that the verbs ask of IPVS; each verb takes only the part it
// needs. [*ipvs.Client] is one.
type kernel interface {
	serviceTable
	serverTable
	ipvs.Plane
	counters
	timeoutKeeper
	syncer
	DeleteEverything(context.Context) error
	Close() error
}

var _ kernel = (*ipvs.Client)(nil)

func thisHost() host {
	return host{dial: dialKernel, connections: connectionRows, stdin: os.Stdin, terminal: isPerson(os.Stdin)}
}

// isPerson tells whether a file is a device at which somebody may sit, which
// the null device is not.
func isPerson(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// netnsPath is the file of a network namespace that is given as a path or, as
// ip-netns(8) knows it, by name.
func netnsPath(netns string) string {
	if netns == "" || strings.Contains(netns, "/") {
		return netns
	}
	return "/run/netns/" + netns
}

func dialKernel(ctx context.Context, netns string) (kernel, error) {
	k, err := ipvs.Dial(ctx, &ipvs.Config{NetNS: netnsPath(netns)})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// netnsOf reads the flag. Empty it is an unset variable of a script, which
// means another namespace than the one it would work in.
func netnsOf(c *cli.Context) (string, error) {
	netns := c.String("netns")
	if netns == "" && c.IsSet("netns") {
		return "", usagef("--netns is empty: name a network namespace, or leave it out to work in this one")
	}
	return netns, nil
}

func (h host) withKernel(c *cli.Context, do func(context.Context, kernel) error) error {
	netns, err := netnsOf(c)
	if err != nil {
		return err
	}
	k, err := h.dial(c.Context, netns)
	if err != nil {
		return err
	}
	defer k.Close()
	return do(c.Context, k)
}

// confirm asks before something that cannot be undone. Where nobody can be
// asked, only --yes says yes.
func (h host) confirm(c *cli.Context, what string) error {
	if c.Bool("yes") {
		return nil
	}
	if !h.terminal {
		return usagef("%s: nobody is there to ask, so add --yes if it is meant", what)
	}
	fmt.Fprintf(c.App.ErrWriter, "%s. Type yes to go on: ", what)
	line, err := patient(c.Context, func() (string, error) { return bufio.NewReader(h.stdin).ReadString('\n') })
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	case "":
		return errors.New("nobody answered, so nothing was changed: add --yes if it is meant")
	}
	return errors.New("nothing was changed")
}

func netnsFlag() cli.Flag {
	return &cli.StringFlag{Name: "netns", Usage: "work in another network namespace, a `PATH` or a name of ip-netns(8)"}
}

func yesFlag() cli.Flag {
	return &cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"}
}

func dryRunFlag() cli.Flag {
	return &cli.BoolFlag{Name: "dry-run", Usage: "print what would be changed, and change nothing"}
}
