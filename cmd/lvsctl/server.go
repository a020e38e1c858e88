package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/ipvs"
)

// serverTable is what the server verbs need.
type serverTable interface {
	Destinations(context.Context, ipvs.ServiceKey) iter.Seq2[ipvs.DestinationState, error]
	AddDestination(context.Context, ipvs.ServiceKey, ipvs.Destination) error
	UpdateDestination(context.Context, ipvs.ServiceKey, ipvs.DestinationKey, ipvs.DestinationUpdate) error
	DelDestination(context.Context, ipvs.ServiceKey, ipvs.DestinationKey) error
}

const serverNames = `A SERVER is an address with a port (10.0.0.1:8080, [2001:db8::1]:80), or an
address alone, which has the port of its service. With a firewall mark that is
port 0, which keeps the port of each connection.`

func (h host) serverCommand() *cli.Command {
	return group("server", "add, change and delete the real servers of a service",
		serviceNames+"\n\n"+serverNames+`

A verb that succeeds prints nothing; --dry-run prints the change instead of
making it, -o json the change that was made.

  lvsctl server add tcp/192.0.2.1:80 10.0.0.1:8080 --forward masquerade
  lvsctl server edit tcp/192.0.2.1:80 10.0.0.1:8080 --weight 0
  lvsctl server del tcp/192.0.2.1:80 10.0.0.1:8080`,
		h.serverAdd(), h.serverEdit(), h.serverDel())
}

func serverFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "forward", Aliases: []string{"f"}, Usage: "how packets reach the server, a `METHOD`: direct (or dr; the default of a new server), masquerade (or nat), tunnel, local, bypass"},
		&cli.StringFlag{Name: "weight", Aliases: []string{"w"}, Usage: "its share of the connections, a `NUMBER` (a new server has 1); 0 gives it no new ones"},
		&cli.StringFlag{Name: "upper", Aliases: []string{"x"}, Usage: "no new connections above this `NUMBER` of them; 0 is no limit"},
		&cli.StringFlag{Name: "lower", Aliases: []string{"y"}, Usage: "new connections again below this `NUMBER`; 0 is three quarters of the upper one"},
		&cli.StringFlag{Name: "tunnel-type", Usage: "`TYPE` of tunnel: ipip (the default of a new server), gue, gre"},
		&cli.StringFlag{Name: "tunnel-port", Usage: "UDP `PORT` of a gue tunnel"},
		&cli.StringFlag{Name: "tunnel-flags", Usage: "`WORD` for the outer header: none, checksum or remote-checksum"},
		netnsFlag(), dryRunFlag(), outputFlag(),
	}
}

func (h host) serverAdd() *cli.Command {
	return &cli.Command{
		Name:  "add",
		Usage: "add a server to a service",
		Description: serverNames + `

Packets go to the server by direct routing unless --forward says otherwise, as
with ipvsadm. Only masquerading can change the port.

  lvsctl server add tcp/192.0.2.1:80 10.0.0.1
  lvsctl server add tcp/192.0.2.1:80 10.0.0.1:8080 --forward nat --weight 3
  lvsctl server add tcp/192.0.2.1:80 10.0.0.1 --upper 1000 --lower 800
  lvsctl server add tcp/192.0.2.1:80 10.0.0.1 -f tunnel --tunnel-type gue --tunnel-port 6080`,
		ArgsUsage: "SERVICE SERVER",
		Flags:     serverFlags(),
		Action: func(c *cli.Context) error {
			a, err := readServerArgs(c)
			if err != nil {
				return err
			}
			d, err := a.apply(ipvs.Destination{Key: a.server, Forward: ipvs.DirectRoute, Weight: 1}, true)
			if err != nil {
				return err
			}
			return h.one(c, func(ctx context.Context, k kernel) (ipvs.Change, error) {
				switch _, err := a.find(ctx, k, ipvs.OpAddDestination); {
				case err == nil:
					return ipvs.Change{}, a.error(ipvs.OpAddDestination, syscall.EEXIST)
				case !errors.Is(err, ipvs.ErrDestinationNotFound):
					return ipvs.Change{}, err
				}
				return a.change(ipvs.OpAddDestination, d), nil
			}, func(ctx context.Context, k kernel) error { return k.AddDestination(ctx, a.service, d) })
		},
	}
}

func (h host) serverEdit() *cli.Command {
	return &cli.Command{
		Name:  "edit",
		Usage: "change a server; what is not given stays as it is",
		Description: `Its connections go on. Weight 0 lets them end and gives it no new ones.

  lvsctl server edit tcp/192.0.2.1:80 10.0.0.1 --weight 0
  lvsctl server edit tcp/192.0.2.1:80 10.0.0.1 --upper 0 --lower 0`,
		ArgsUsage: "SERVICE SERVER",
		Flags:     serverFlags(),
		Action: func(c *cli.Context) error {
			a, err := readServerArgs(c)
			if err != nil {
				return err
			}
			if a.update == (ipvs.DestinationUpdate{}) && !a.tunnelGiven() {
				return usagef("server edit %v of %v: say what to change (see %q)", a.server, a.service, "lvsctl server edit --help")
			}
			return h.one(c, func(ctx context.Context, k kernel) (ipvs.Change, error) {
				old, err := a.find(ctx, k, ipvs.OpSetDestination)
				if err != nil {
					return ipvs.Change{}, err
				}
				d, err := a.apply(old, a.update.Forward != nil)
				ch := a.change(ipvs.OpSetDestination, d)
				ch.OldDestination = &old
				return ch, err
			}, func(ctx context.Context, k kernel) error {
				return k.UpdateDestination(ctx, a.service, a.server, a.update)
			})
		},
	}
}

func (h host) serverDel() *cli.Command {
	return &cli.Command{
		Name:        "del",
		Aliases:     []string{"delete"},
		Usage:       "delete a server from a service",
		Description: "What flows on its connections is dropped. To let them end first, set its weight to 0 and wait.",
		ArgsUsage:   "SERVICE SERVER",
		Flags:       []cli.Flag{netnsFlag(), dryRunFlag(), outputFlag()},
		Action: func(c *cli.Context) error {
			a, err := readServerArgs(c)
			if err != nil {
				return err
			}
			return h.one(c, func(ctx context.Context, k kernel) (ipvs.Change, error) {
				old, err := a.find(ctx, k, ipvs.OpDelDestination)
				return a.change(ipvs.OpDelDestination, old), err
			}, func(ctx context.Context, k kernel) error { return k.DelDestination(ctx, a.service, a.server) })
		},
	}
}

// serverArgs is the command line of the server verbs.
type serverArgs struct {
	service ipvs.ServiceKey
	server  ipvs.DestinationKey
	update  ipvs.DestinationUpdate
	// The kernel replaces the tunnel as a whole, so parts that were not given
	// come from what is there.
	tunnelType  *ipvs.TunnelType
	tunnelPort  *uint16
	tunnelFlags *uint16
}

func readServerArgs(c *cli.Context) (a serverArgs, err error) {
	if err := wantArgs(c, "a SERVICE", "a SERVER"); err != nil {
		return a, err
	}
	if a.service, err = parseService(c.Args().Get(0)); err != nil {
		return a, err
	}
	if a.server, err = parseServer(c.Args().Get(1), a.service); err != nil {
		return a, err
	}
	v := values{c: c}
	a.update.Forward = given(&v, "forward", parseForward)
	a.update.Weight = given(&v, "weight", number[int](ipvs.MaxWeight))
	a.update.UpperThreshold = given(&v, "upper", number[uint32](ipvs.MaxThreshold))
	a.update.LowerThreshold = given(&v, "lower", number[uint32](ipvs.MaxThreshold))
	a.tunnelType = given(&v, "tunnel-type", textOf[ipvs.TunnelType])
	a.tunnelPort = given(&v, "tunnel-port", number[uint16](65535))
	a.tunnelFlags = given(&v, "tunnel-flags", parseTunnelFlags)
	return a, v.err
}

func (a *serverArgs) tunnelGiven() bool {
	return a.tunnelType != nil || a.tunnelPort != nil || a.tunnelFlags != nil
}

// apply makes the update of what is there, or of a new server, and refuses
// what would not work. checkPort says that the forwarding is the caller's
// choice, and not what was found.
func (a *serverArgs) apply(d ipvs.Destination, checkPort bool) (ipvs.Destination, error) {
	if a.tunnelGiven() {
		t, err := a.tunnel(d.Tunnel)
		if err != nil {
			return d, usagef("server %v of %v: %v", d.Key, a.service, err)
		}
		a.update.Tunnel = &t
	}
	d = a.update.Apply(d)
	if a.tunnelGiven() && d.Forward != ipvs.Tunnel {
		return d, usagef("server %v of %v: forwarding is %v, and tunnel settings need --forward tunnel", d.Key, a.service, d.Forward)
	}
	if checkPort && !a.service.IsMark() && d.Forward != ipvs.Masquerade && d.Key.Port() != a.service.Addr.Port() {
		return d, usagef("server %v of %v: only masquerading changes the port, with %v packets arrive at port %d: leave the server's port out, or use --forward masquerade",
			d.Key, a.service, d.Forward, a.service.Addr.Port())
	}
	return d.Normalized(), refused(d.Validate())
}

// tunnel is the tunnel that there was with what was given. A type brings its
// own settings; those that it would ignore are refused.
func (a *serverArgs) tunnel(t ipvs.TunnelOptions) (ipvs.TunnelOptions, error) {
	if a.tunnelType != nil && *a.tunnelType != t.Type {
		t = ipvs.TunnelOptions{Type: *a.tunnelType}
	}
	if a.tunnelPort != nil {
		t.Port = *a.tunnelPort
	}
	if a.tunnelFlags != nil {
		t.Flags = *a.tunnelFlags
	}
	switch {
	case t.Port != 0 && t.Type != ipvs.GUE:
		return t, fmt.Errorf("only a gue tunnel has a port, not %v", t.Type)
	case t.Flags != 0 && t.Type == ipvs.IPIP:
		return t, errors.New("an ipip tunnel has no checksum: say --tunnel-type gue or gre")
	case t.Flags == remoteChecksum && t.Type != ipvs.GUE:
		return t, fmt.Errorf("remote-checksum is for gue tunnels only, not %v", t.Type)
	}
	return t, nil
}

func (a *serverArgs) change(op ipvs.Op, d ipvs.Destination) ipvs.Change {
	return ipvs.Change{Op: op, Service: ipvs.Service{Key: a.service}, Destination: d}
}

func (a *serverArgs) error(op ipvs.Op, err error) error {
	return &ipvs.OpError{Op: op, Service: a.service, Destination: a.server, Err: err}
}

// find reads the server as it is; the error is that of op.
func (a *serverArgs) find(ctx context.Context, k serverTable, op ipvs.Op) (ipvs.Destination, error) {
	for d, err := range k.Destinations(ctx, a.service) {
		if errors.Is(err, ipvs.ErrServiceNotFound) {
			return ipvs.Destination{}, a.error(op, syscall.ESRCH)
		}
		if err != nil {
			return ipvs.Destination{}, during(op, err)
		}
		if d.Key == a.server {
			return d.Destination, nil
		}
	}
	return ipvs.Destination{}, a.error(op, syscall.ENOENT)
}

// parseForward reads a forwarding method in the words of this project, of
// ipvsadm and of keepalived.
func parseForward(s string) (ipvs.ForwardMethod, error) {
	switch strings.ToLower(s) {
	case "nat", "masq", "masquerading":
		return ipvs.Masquerade, nil
	case "dr", "route", "gateway", "gatewaying":
		return ipvs.DirectRoute, nil
	case "tun", "ipip":
		return ipvs.Tunnel, nil
	case "masquerade", "direct", "tunnel", "local", "bypass":
		return textOf[ipvs.ForwardMethod](s)
	}
	return 0, errors.New("want direct (dr), masquerade (nat), tunnel (tun), local or bypass")
}

// remoteChecksum is the kernel's flag for a gue tunnel.
const remoteChecksum = 2

func parseTunnelFlags(s string) (uint16, error) {
	switch strings.ToLower(s) {
	case "none":
		return 0, nil
	case "checksum":
		return 1, nil
	case "remote-checksum":
		return remoteChecksum, nil
	}
	return 0, errors.New("want none, checksum or remote-checksum")
}
