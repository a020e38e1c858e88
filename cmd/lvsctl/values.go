package main

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/ipvs"
)

// values reads flags that were given; the first that makes no sense is err.
type values struct {
	c   *cli.Context
	err error
}

// given reads a flag, nil if it was left out.
func given[T any](v *values, name string, parse func(string) (T, error)) *T {
	if v.err != nil || !v.c.IsSet(name) {
		return nil
	}
	got, err := parse(v.c.String(name))
	if err != nil {
		v.err = usagef("--%s %s: %v", name, v.c.String(name), err)
		return nil
	}
	return &got
}

// or is what a flag says, or the zero value.
func or[T any](p *T) (t T) {
	if p != nil {
		t = *p
	}
	return t
}

func word(s string) (string, error) {
	if s == "" {
		return "", errors.New("want a name")
	}
	return s, nil
}

// textOf reads a value by its own UnmarshalText.
func textOf[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](s string) (T, error) {
	var t T
	err := P(&t).UnmarshalText([]byte(s))
	return t, err
}

// duration takes whole seconds, as ipvsadm does, and Go's durations.
func duration(s string) (time.Duration, error) {
	if s == "off" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errors.New("want seconds (300) or a duration (5m)")
	}
	if d%time.Second != 0 {
		return 0, errors.New("want whole seconds, the kernel has no parts of one")
	}
	return d, nil
}

// number takes 0..most.
func number[T int | uint8 | uint16 | uint32](most uint64) func(string) (T, error) {
	return func(s string) (T, error) {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil || n > most {
			return 0, fmt.Errorf("want a number 0..%d", most)
		}
		return T(n), nil
	}
}

// parseService reads a service as it stands on the command line, and knows
// what people write instead.
func parseService(s string) (ipvs.ServiceKey, error) {
	if err := zoneless("service", s); err != nil {
		return ipvs.ServiceKey{}, err
	}
	key, err := ipvs.ParseServiceKey(s)
	if err == nil {
		return key, nil
	}
	kind, rest, ok := strings.Cut(s, "/")
	if !ok {
		if a, err := netip.ParseAddrPort(s); err == nil {
			return key, usagef("service %q: say its protocol too: tcp/%v or udp/%v", s, a, a)
		}
		return key, usagef("service %q: want tcp/192.0.2.1:80, udp/[2001:db8::1]:53, sctp/..., fwmark/7 or fwmark6/7", s)
	}
	if a, err := netip.ParseAddrPort(kind); err == nil {
		return key, usagef("service %q: the protocol comes first: %s/%v", s, rest, a)
	}
	var p ipvs.Protocol
	if p.UnmarshalText([]byte(kind)) != nil {
		if strings.HasPrefix(kind, "fwm") {
			return key, usagef("%v", err)
		}
		return key, usagef("service %q: no protocol %q: want tcp, udp or sctp, or fwmark or fwmark6 with a mark", s, kind)
	}
	if a, err := netip.ParseAddr(strings.Trim(rest, "[]")); err == nil {
		return key, usagef("service %q: the port is missing: %v/%v", s, p, netip.AddrPortFrom(a, 80))
	}
	return key, usagef("service %q: want an address in numbers with a port: %v/192.0.2.1:80 or %v/[2001:db8::1]:80", s, p, p)
}

// parseServer reads a server of a service; without a port it has the
// service's.
func parseServer(s string, of ipvs.ServiceKey) (ipvs.DestinationKey, error) {
	if err := zoneless("server", s); err != nil {
		return ipvs.DestinationKey{}, err
	}
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return netip.AddrPortFrom(a.Unmap(), of.Addr.Port()), nil
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return a, usagef("server %q: want an address in numbers, with a port or without: 10.0.0.1:80, 10.0.0.1 or [2001:db8::1]:80", s)
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
}

// zoneless refuses a zone, which would be lost on the way to the kernel.
func zoneless(what, s string) error {
	if before, zone, ok := strings.Cut(s, "%"); ok {
		zone, after, _ := strings.Cut(zone, "]")
		if after != "" || strings.Contains(before, "[") {
			before += "]" + after
		}
		return usagef("%s %q: IPVS knows no zones, leave %%%s out: %s", what, s, zone, before)
	}
	return nil
}

// services reads arguments that are all services.
func services(args []string) ([]ipvs.ServiceKey, error) {
	keys := make([]ipvs.ServiceKey, 0, len(args))
	for _, a := range args {
		key, err := parseService(a)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// wantArgs checks the number of arguments against their names.
func wantArgs(c *cli.Context, names ...string) error {
	if c.Args().Len() == len(names) {
		return nil
	}
	verb := strings.TrimPrefix(c.Command.HelpName, "lvsctl ")
	if c.Args().Len() < len(names) {
		return usagef("%s needs %s (see %q)", verb, strings.Join(names, " and "), c.Command.HelpName+" --help")
	}
	return usagef("%s takes %s, and not %q too (see %q)", verb, strings.Join(names, " and "), c.Args().Get(len(names)), c.Command.HelpName+" --help")
}
