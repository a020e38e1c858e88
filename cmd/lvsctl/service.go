package main

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/ipvs"
)

// serviceTable is what the service verbs need.
type serviceTable interface {
	Service(context.Context, ipvs.ServiceKey) (ipvs.ServiceState, error)
	AddService(context.Context, ipvs.Service) error
	UpdateService(context.Context, ipvs.ServiceKey, ipvs.ServiceUpdate) error
	DelService(context.Context, ipvs.ServiceKey) error
}

const serviceNames = `A SERVICE is a protocol with an address and port, or a firewall mark:

  tcp/192.0.2.1:80   udp/[2001:db8::1]:53   sctp/192.0.2.1:2905
  fwmark/7 (IPv4)    fwmark6/7 (IPv6)`

func (h host) serviceCommand() *cli.Command {
	return group("service", "add, change and delete virtual services",
		serviceNames+`

A verb that succeeds prints nothing; --dry-run prints the change instead of
making it, -o json the change that was made.

  lvsctl service add tcp/192.0.2.1:80 --scheduler wlc
  lvsctl service add fwmark/7 -s sh --flags sh-port --persistence 5m
  lvsctl service edit tcp/192.0.2.1:80 --persistence off
  lvsctl service del tcp/192.0.2.1:80`,
		h.serviceAdd(), h.serviceEdit(), h.serviceDel())
}

// serviceFlags are those that add and edit share; flags are named by the
// caller, since to edit them is to switch some on and leave the others.
func serviceFlags(flags ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "scheduler", Aliases: []string{"s"}, Usage: "the kernel's `NAME` of a scheduler: wlc, rr, wrr, lc, sh, mh, ... (a new service has wlc)"},
		&cli.StringFlag{Name: "persistence", Aliases: []string{"p"}, Usage: "keep a client on its server for a `TIME` after its last connection: 300, 5m, or off"},
		&cli.StringFlag{Name: "prefix", Aliases: []string{"M"}, Usage: "the persistence groups clients by a prefix of this `LENGTH`; 0 is each on its own"},
		&cli.StringFlag{Name: "engine", Usage: "`NAME` of a persistence engine (sip), or none"},
	}, flags...)
}

const flagWords = "one-packet, sh-fallback, sh-port, mh-fallback, mh-port, or flag-1, flag-2, flag-3 of any scheduler"

func (h host) serviceAdd() *cli.Command {
	return &cli.Command{
		Name:  "add",
		Usage: "add a service",
		Description: serviceNames + `

  lvsctl service add tcp/192.0.2.1:80
  lvsctl service add udp/192.0.2.1:53 --scheduler rr --flags one-packet
  lvsctl service add tcp/192.0.2.1:443 -s mh --flags mh-port,mh-fallback
  lvsctl service add tcp/192.0.2.1:21 --persistence 10m --prefix 24`,
		ArgsUsage: "SERVICE",
		Flags: serviceFlags(
			&cli.StringFlag{Name: "flags", Aliases: []string{"b"}, Usage: "`WORDS` with commas between: " + flagWords},
			netnsFlag(), dryRunFlag(), outputFlag(),
		),
		Action: func(c *cli.Context) error {
			key, u, err := serviceArgs(c)
			if err != nil {
				return err
			}
			switch key.Protocol {
			case 0, ipvs.TCP, ipvs.UDP, ipvs.SCTP: // 0: a firewall mark
			default: // the kernel takes it and schedules nothing
				return usagef("service %v: IPVS balances tcp, udp and sctp only", key)
			}
			s := u.Apply(ipvs.Service{Key: key})
			if err := errors.Join(checkService(s, u, true), checkFlags(s, c.String("flags"))); err != nil {
				return err
			}
			return h.one(c, func(ctx context.Context, k kernel) (ipvs.Change, error) {
				switch _, err := k.Service(ctx, key); {
				case err == nil:
					return ipvs.Change{}, &ipvs.OpError{Op: ipvs.OpAddService, Service: key, Err: syscall.EEXIST}
				case !errors.Is(err, ipvs.ErrServiceNotFound):
					return ipvs.Change{}, during(ipvs.OpAddService, err)
				}
				return ipvs.Change{Op: ipvs.OpAddService, Service: s.Normalized()}, nil
			}, func(ctx context.Context, k kernel) error { return k.AddService(ctx, s) })
		},
	}
}

func (h host) serviceEdit() *cli.Command {
	return &cli.Command{
		Name:  "edit",
		Usage: "change a service; what is not given stays as it is",
		Description: `Connections go on. What is as it should be already is not sent to the kernel.

  lvsctl service edit tcp/192.0.2.1:80 --scheduler wrr
  lvsctl service edit tcp/192.0.2.1:80 --persistence 5m
  lvsctl service edit tcp/192.0.2.1:443 --set-flags mh-port --clear-flags mh-fallback`,
		ArgsUsage: "SERVICE",
		Flags: serviceFlags(
			&cli.StringFlag{Name: "set-flags", Aliases: []string{"flags", "b"}, Usage: "switch on these `WORDS`: " + flagWords},
			&cli.StringFlag{Name: "clear-flags", Usage: "switch off these `WORDS`"},
			netnsFlag(), dryRunFlag(), outputFlag(),
		),
		Action: func(c *cli.Context) error {
			key, u, err := serviceArgs(c)
			if err != nil {
				return err
			}
			if u == (ipvs.ServiceUpdate{}) {
				return usagef("service edit %v: say what to change (see %q)", key, "lvsctl service edit --help")
			}
			if err := u.Validate(); err != nil {
				return refused(err)
			}
			return h.one(c, func(ctx context.Context, k kernel) (ipvs.Change, error) {
				have, err := k.Service(ctx, key)
				if err != nil {
					return ipvs.Change{}, during(ipvs.OpSetService, err)
				}
				s := u.Apply(have.Service).Normalized()
				err = errors.Join(checkService(s, u, u.Persistence != nil), checkFlags(s, c.String("flags")))
				return ipvs.Change{Op: ipvs.OpSetService, Service: s, OldService: &have.Service}, err
			}, func(ctx context.Context, k kernel) error { return k.UpdateService(ctx, key, u) })
		},
	}
}

func (h host) serviceDel() *cli.Command {
	return &cli.Command{
		Name:        "del",
		Aliases:     []string{"delete"},
		Usage:       "delete a service with its servers",
		Description: "New connections find no service any more; what flows on old ones is dropped.",
		ArgsUsage:   "SERVICE",
		Flags:       []cli.Flag{netnsFlag(), dryRunFlag(), outputFlag()},
		Action: func(c *cli.Context) error {
			key, _, err := serviceArgs(c)
			if err != nil {
				return err
			}
			return h.one(c, func(ctx context.Context, k kernel) (ipvs.Change, error) {
				have, err := k.Service(ctx, key)
				return ipvs.Change{Op: ipvs.OpDelService, Service: have.Service}, during(ipvs.OpDelService, err)
			}, func(ctx context.Context, k kernel) error { return k.DelService(ctx, key) })
		},
	}
}

// checkService refuses what an update would lead to, if it would not work:
// the kernel takes settings that it then ignores. portZero says that port 0
// without persistence is the caller's choice, and not what was found.
func checkService(s ipvs.Service, u ipvs.ServiceUpdate, portZero bool) error {
	if s.Persistence == 0 {
		switch {
		case or(u.PersistencePrefix) != 0:
			return usagef("service %v: a prefix needs --persistence", s.Key)
		case or(u.Engine) != "":
			return usagef("service %v: an engine needs --persistence", s.Key)
		case !s.Key.IsMark() && s.Key.Addr.Port() == 0 && portZero:
			return usagef("service %v: port 0 is all ports, and the kernel schedules none of them without --persistence", s.Key)
		}
	}
	return refused(s.Validate())
}

// checkFlags refuses words for flags that the service would take and ignore,
// as ipvsadm does. A flag that is there already, or comes by its number, is
// none of its business.
func checkFlags(s ipvs.Service, words string) error {
	for word := range strings.SplitSeq(words, ",") {
		word = strings.ToLower(strings.TrimSpace(word))
		scheduler, _, _ := strings.Cut(word, "-")
		switch {
		case (word == "one-packet" || word == "ops") && !s.Key.IsMark() && s.Key.Protocol != ipvs.UDP:
			return usagef("service %v: one-packet scheduling is for UDP and firewall marks only", s.Key)
		case (scheduler == "sh" || scheduler == "mh") && scheduler != s.Normalized().Scheduler:
			return usagef("service %v: %s is a flag of the scheduler %s, and this one is %s", s.Key, word, scheduler, s.Normalized().Scheduler)
		}
	}
	return nil
}

// serviceArgs reads the command line of the service verbs. To add is to
// update what has nothing yet.
func serviceArgs(c *cli.Context) (ipvs.ServiceKey, ipvs.ServiceUpdate, error) {
	var u ipvs.ServiceUpdate
	if err := wantArgs(c, "a SERVICE"); err != nil {
		return ipvs.ServiceKey{}, u, err
	}
	key, err := parseService(c.Args().First())
	if err != nil {
		return key, u, err
	}
	v := values{c: c}
	u.Scheduler = given(&v, "scheduler", word)
	u.Persistence = given(&v, "persistence", duration)
	u.PersistencePrefix = given(&v, "prefix", number[int](128))
	u.Engine = given(&v, "engine", func(s string) (string, error) {
		if s == "none" {
			s = ""
		}
		return s, nil
	})
	u.SetFlags = or(given(&v, "flags", textOf[ipvs.ServiceFlags]))
	u.ClearFlags = or(given(&v, "clear-flags", textOf[ipvs.ServiceFlags]))
	return key, u, v.err
}
