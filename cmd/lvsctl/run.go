package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/pulse"
	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/internal/director"
	"github.com/lvskit/lvskit/lvscf"
)

// Where things are unless told otherwise.
const (
	defaultConfig = "/etc/sysconfig/ha/lvs.cf"
	defaultKey    = "/etc/lvskit/heartbeat.key"
	defaultState  = "/run/lvskit/state.json"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:  "run",
		Usage: "the daemon: balance as an lvs.cf says, check the servers, stand in for the partner",
		Description: `Loads an lvs.cf as Piranha's daemons did and does the work of pulse, lvsd and
nanny in one process. It stays in the foreground and logs to standard error.

  HUP   read the file again: what is new begins, what is gone ends, and the rest
        goes on; a bad file is refused and nothing changes
  TERM  leave: hand the addresses over and take our services out of the table

After a kill -9 the kernel's table goes on serving, and the next start finds
it and changes nothing that is right already. Where there may be another router
to serve, the beat process takes the addresses away at once so that it can:
with heartbeats where a partner is configured, with VRRP always.

With failover_mode = pulse two routers need a key that both share, so that
nobody else can speak for the partner:

  (umask 077; head -c 32 /dev/urandom | base64 >/etc/lvskit/heartbeat.key)

Two routers that lose sight of each other may both serve. Against that the
file may have more ways for heartbeats (heartbeat_path), somebody who tells
which of the two is cut off (witness), and a program that switches the other
one off (fence_cmd). lvs.cf(5) has an example.

With failover_mode = vrrp each vrrp block is one router of VRRP, which other
programs such as keepalived understand.`,
		ArgsUsage: " ",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Aliases: []string{"c"}, Value: defaultConfig, Usage: "the lvs.cf to run, a `FILE`"},
			&cli.StringFlag{
				Name: "dataplane", Value: director.KindAuto,
				Usage: "what carries the traffic, a `KIND`: kernel (IPVS), userspace (ordinary sockets, no root needed), or auto: the kernel where it can be had",
			},
			&cli.StringFlag{
				Name: "addresses", Value: "auto",
				Usage: "who puts the virtual addresses on the interfaces, a `MODE`: manage (we do, while active), none (they are there), or auto: manage with the kernel data plane",
			},
			&cli.StringFlag{
				Name: "role", Value: "auto",
				Usage: "which router of the file this is, a `ROLE`: primary, backup, or auto: whose address the machine has",
			},
			&cli.StringSliceFlag{
				Name:  "heartbeat",
				Usage: "a heartbeat path `NAME=LOCAL:PORT,PEER:PORT` in place of those of the file; may be given up to eight times",
			},
			&cli.StringFlag{
				Name: "beat", Value: "auto",
				Usage: "where the election runs, a `MODE`: process (a small process beside the daemon that nothing keeps busy, and that gives the addresses back if the daemon is killed), inline (in the daemon), or auto: a process if there are other routers and it can be had",
			},
			&cli.BoolFlag{
				Name:  "legacy",
				Usage: "speak Piranha's own heartbeat, for a pair of which the other router still runs it: it is not authenticated, so end it with the migration; the file has no word for it, as that router refuses a file with words that Piranha did not have",
			},
			&cli.StringFlag{
				Name:  "witness",
				Usage: "ask this `ADDRESS`, as that of the gateway, by ping before taking over from a silent partner: a router that hears neither stays out; in place of witness in the file",
			},
			&cli.StringFlag{
				Name:  "fence",
				Usage: "run this `COMMAND` before taking over from a silent partner, which makes sure that it does not serve; while it fails this router does not serve either; in place of fence_cmd in the file",
			},
			&cli.StringFlag{Name: "key-file", Value: defaultKey, Usage: "the `FILE` with the key that both routers share"},
			&cli.StringFlag{Name: "state", Value: defaultState, Usage: "the `FILE` that remembers which services are ours"},
			socketFlag("unix socket `PATH` to answer lvsctl status and list on"),
			&cli.StringFlag{Name: "log-level", Value: "info", Usage: "the least `LEVEL` that is logged: debug, info, warn or error"},
			&cli.StringFlag{Name: "log-format", Value: "text", Usage: "`FORMAT` of the log: text or json"},
		},
		Action: func(c *cli.Context) error {
			if err := noArgs(c); err != nil {
				return err
			}
			return runDaemon(c)
		},
	}
}

func runDaemon(c *cli.Context) error {
	log, err := newLogger(c.App.ErrWriter, c.String("log-level"), c.String("log-format"))
	if err != nil {
		return err
	}
	channels, err := parseChannels(c.StringSlice("heartbeat"))
	if err != nil {
		return err
	}
	switch c.String("role") {
	case "auto", director.IdentityPrimary, director.IdentityBackup:
	default:
		return usagef("role %q: want auto, primary or backup", c.String("role"))
	}
	switch c.String("addresses") {
	case "auto", "manage", "none":
	default:
		return usagef("addresses %q: want auto, manage or none", c.String("addresses"))
	}
	switch c.String("dataplane") {
	case director.KindAuto, director.KindKernel, director.KindUserspace:
	default:
		return usagef("data plane %q: want auto, kernel or userspace", c.String("dataplane"))
	}

	switch c.String("beat") {
	case "auto", "process", "inline":
	default:
		return usagef("beat %q: want auto, process or inline", c.String("beat"))
	}

	path := c.String("config")
	load := func(ctx context.Context) (*director.Setup, error) { return director.LoadFile(ctx, path) }
	setup, err := load(c.Context)
	if err != nil {
		return err
	}
	options := director.PairOptions{Role: c.String("role"), Channels: channels, Legacy: c.Bool("legacy"), DefaultKeyFile: c.String("key-file"), Local: localAddrs}
	if c.IsSet("key-file") {
		options.KeyFile = c.String("key-file")
	}
	part := func(s *director.Setup) (election, error) {
		o := options
		if err := pairFlags(s, &o, c.String("witness"), c.String("fence")); err != nil {
			return election{}, err
		}
		return elect(s, o)
	}
	elected, err := part(setup)
	if err != nil {
		return err
	}
	plane, err := director.ChooseDataplane(c.Context, c.String("dataplane"), log)
	if err != nil {
		return err
	}
	defer plane.Close()
	if plane.Kind == director.KindUserspace {
		// The loops that relay keep as many processors of the runtime busy as
		// there are; package userspace says why there should be more.
		runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	}
	socket, err := control.Listen(c.String("socket"))
	if err != nil {
		return err
	}
	defer socket.Close()

	// A log whose reader is gone is no reason to end: without anybody to take
	// the signal, a write to a closed pipe would kill the daemon.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	defer signal.Stop(pipe)
	reload := make(chan os.Signal, 1)
	notifyReload(reload)
	defer signal.Stop(reload)
	conf := director.Config{
		Setup: setup, Load: load, Reload: reload,
		Dataplane: plane.Dataplane, DataplaneKind: plane.Kind, DataplaneReason: plane.Reason,
		Failover: elected.node, Identity: elected.identity, BeatAlone: c.String("beat") == "process", Hints: true,
		Keys: func(s *director.Setup) ([]pulse.Key, error) { return s.Keys(options) },
		Pair: func(s *director.Setup) (failover.Config, string, error) {
			e, err := part(s)
			return e.node, e.identity, err
		},
		Elect: func(s *director.Setup) ([]failover.RouterConfig, string, error) {
			e, err := part(s)
			return e.routers, e.identity, err
		},
		StateFile: c.String("state"), Control: socket, Version: version(), Logger: log,
	}
	if c.String("addresses") == "manage" || c.String("addresses") == "auto" && plane.Kind == director.KindKernel {
		conf.NewAddresses = func(c *failover.AddressesConfig) (director.AddressSet, error) {
			owner, err := failover.NewAddresses(c)
			if err != nil {
				return nil, fmt.Errorf("manage the virtual addresses: %w", err)
			}
			return owner, nil
		}
	}
	if conf.Beat, conf.BeatReason, err = newBeat(c.String("beat"), log); err != nil {
		return err
	}
	d, err := director.New(c.Context, conf)
	if err != nil {
		return err
	}
	return d.Run(c.Context)
}

// election is this director's part among its routers: of a pair, or of virtual
// routers of VRRP.
type election struct {
	node     failover.Config
	routers  []failover.RouterConfig // nil: of a pair
	identity string
}

func elect(setup *director.Setup, o director.PairOptions) (e election, err error) {
	if len(setup.Routers) == 0 {
		e.node, e.identity, err = setup.Pair(o)
		return e, err
	}
	if len(o.Channels) > 0 {
		return e, usagef("--heartbeat is for failover_mode = pulse, and %s has failover_mode = vrrp", setup.Source)
	}
	e.routers, e.identity, err = setup.Elect(o)
	return e, err
}

// pairFlags takes the flags that are for a router with a partner.
func pairFlags(setup *director.Setup, o *director.PairOptions, witness, fence string) error {
	const flags = "--legacy, --witness and --fence"
	switch {
	case witness == "" && fence == "" && !o.Legacy:
		return nil
	case len(setup.Routers) > 0:
		return usagef("%s are for failover_mode = pulse, and %s has failover_mode = vrrp", flags, setup.Source)
	case !setup.Heartbeat.Enabled:
		return usagef("%s are for a router with a partner: write backup and backup_active = 1 into %s", flags, setup.Source)
	}
	if fence != "" {
		if err := lvscf.CheckFence(fence); err != nil {
			return usagef("fence %q: %v", fence, err)
		}
		// Told now, and not when the partner is dead.
		if _, err := exec.LookPath(strings.Fields(fence)[0]); err != nil {
			return fmt.Errorf("fence %q: there is no such program that can be run: %w", fence, err)
		}
	}
	o.Fence = fence
	if witness != "" {
		host, err := netip.ParseAddr(witness)
		if err != nil {
			return usagef("witness %q: want an address", witness)
		}
		o.Witness = host
	}
	return nil
}

// newBeat is the process for the election, nil for none, and why.
func newBeat(mode string, log *slog.Logger) (*failover.Beat, string, error) {
	if mode == "inline" {
		return nil, "asked for", nil
	}
	beat, err := failover.NewBeat(&failover.BeatConfig{Logger: log})
	switch {
	case err == nil:
		return beat, "", nil
	case mode == "auto":
		return nil, err.Error(), nil
	}
	return nil, "", err
}

func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("log level %q: want debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, usagef("log format %q: want text or json", format)
}

// parseChannels reads NAME=LOCAL:PORT,PEER:PORT.
func parseChannels(flags []string) ([]failover.Channel, error) {
	var chs []failover.Channel
	for _, f := range flags {
		name, pair, ok := strings.Cut(f, "=")
		local, peer, ok2 := strings.Cut(pair, ",")
		if !ok || !ok2 || name == "" {
			return nil, usagef("heartbeat %q: want NAME=LOCAL:PORT,PEER:PORT, such as public=192.0.2.1:539,192.0.2.2:539", f)
		}
		l, err := netip.ParseAddrPort(local)
		if err != nil {
			return nil, usagef("heartbeat %q: local address: %v", f, err)
		}
		p, err := netip.ParseAddrPort(peer)
		if err != nil {
			return nil, usagef("heartbeat %q: partner's address: %v", f, err)
		}
		chs = append(chs, failover.Channel{Name: name, Local: l, Peer: p})
	}
	return chs, nil
}

// localAddrs lists the machine's addresses.
func localAddrs() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var as []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			as = append(as, p.Addr().Unmap())
		}
	}
	return as, nil
}
