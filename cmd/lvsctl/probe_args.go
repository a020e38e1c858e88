package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/health"
)

// lookupWithin limits the looking up of a name.
const lookupWithin = 5 * time.Second

// probeWords are the arguments of a probe, sorted.
type probeWords struct {
	kind, target string
	options      map[string][]string
}

// splitProbe tells options from the two other words: they alone have an equal
// sign, and may stand anywhere.
func splitProbe(args []string) (probeWords, error) {
	w := probeWords{options: map[string][]string{}}
	var others []string
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || strings.Contains(name, "/") {
			others = append(others, arg)
			continue
		}
		w.options[name] = append(w.options[name], value)
	}
	if len(others) == 0 {
		return w, usagef(`probe needs the kind of check and a target, such as "lvsctl probe tcp 192.0.2.7:25" (the kinds: lvsctl probe --kinds)`)
	}
	if len(others) > 2 {
		return w, usagef("%q is one word too many: options are written name=value", others[2])
	}
	w.kind = others[0]
	if len(others) == 2 {
		w.target = others[1]
	}
	return w, nil
}

// otherNames are what people call a kind, from an lvs.cf, a keepalived.conf or
// habit.
var otherNames = map[string]string{
	"https":      "http with the option tls=true",
	"ping":       "icmp",
	"script":     "external",
	"misc":       "external",
	"text":       "send-expect",
	"postgresql": "postgres",
	"mariadb":    "mysql",
	"valkey":     "redis",
	"smtps":      "smtp with the option tls=true",
	"imaps":      "imap with the option tls=true",
	"pop3s":      "pop3 with the option tls=true",
	"ldaps":      "ldap with the option tls=true",
	"ftps":       "ftp with the option tls=true",
	"nntps":      "nntp with the option tls=true",
	"ssl":        "tls",
	"tcp_check":  "tcp",
	"http_get":   "http",
	"ssl_get":    "http with the option tls=true",
	"smtp_check": "smtp",
	"dns_check":  "dns",
	"misc_check": "external",
	"file_check": "file",
	"ping_check": "icmp",
	"udp_check":  "udp",
	"bfd_check":  "bfd",
}

func findKind(name string) (health.Kind, error) {
	kinds := health.Kinds()
	at := slices.IndexFunc(kinds, func(k health.Kind) bool { return k.Name == name })
	if at >= 0 {
		return kinds[at], nil
	}
	text := fmt.Sprintf("there is no kind of check %q", name)
	if other := otherNames[strings.ToLower(name)]; other != "" {
		text += ": it is " + other
	} else if near := nearestKind(kinds, name); near != "" {
		text += ": " + near
	}
	return health.Kind{}, usagef("%s (all: lvsctl probe --kinds)", text)
}

// nearestKind asks whether one of the kinds is meant, if any is like the name.
func nearestKind(kinds []health.Kind, name string) string {
	commands := make([]*cli.Command, len(kinds))
	for i, k := range kinds {
		commands[i] = &cli.Command{Name: k.Name}
	}
	return strings.Replace(suggestion(commands, name), "Did you mean", "did you mean", 1)
}

// checker makes the check of the words.
func (w probeWords) checker(kind health.Kind) (health.Checker, error) {
	options := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(w.options)) {
		values := w.options[name]
		at := slices.IndexFunc(kind.Options, func(o health.Option) bool { return o.Name == name })
		switch {
		case at < 0:
			return nil, usagef("a check of the kind %s has no option %q%s (see %q)", kind.Name, name, nearestOption(kind, name), "lvsctl probe "+kind.Name+" --options")
		case len(values) > 1 && !kind.Options[at].Repeats:
			return nil, usagef("option %s is given twice", name)
		}
		options[name] = strings.Join(values, "\n")
	}
	c, err := kind.New(options)
	if err == nil {
		return c, nil
	}
	// Several faults are a line each.
	return nil, usagef("%v\n(see %q)", err, "lvsctl probe "+kind.Name+" --options")
}

func nearestOption(kind health.Kind, name string) string {
	flags := make([]cli.Flag, len(kind.Options))
	for i, o := range kind.Options {
		flags[i] = &cli.StringFlag{Name: o.Name}
	}
	if near := strings.TrimLeft(cli.SuggestFlag(flags, name, true), "-"); near != "" {
		return ", did you mean " + near + "?"
	}
	return ""
}

// speaksTLS tells whether the options turn TLS on from the first byte.
func (w probeWords) speaksTLS() bool {
	on := false
	for name, values := range w.options {
		value := values[0]
		switch name {
		case "starttls":
			if yes, _ := strconv.ParseBool(value); yes {
				return false
			}
		case "tls", "tls-skip-verify":
			yes, _ := strconv.ParseBool(value)
			on = on || yes
		case "tls-name", "tls-roots", "tls-cert", "tls-key":
			on = true
		}
	}
	return on
}

// target reads the target of the words, and looks its name up.
func (h host) target(ctx context.Context, kind health.Kind, w probeWords) (health.Target, error) {
	var t health.Target
	if w.target == "" {
		return t, usagef("probe %s needs a target: an address or a name, such as 192.0.2.7%s", kind.Name, portHint(kind))
	}
	name, port, err := splitTarget(w.target)
	if err != nil {
		return t, err
	}
	if port == 0 {
		if port = kind.Port; w.speaksTLS() && kind.TLSPort != 0 {
			port = kind.TLSPort
		}
		if port == 0 && !kind.AnyPort {
			return t, usagef("target %s has no port, and a check of the kind %s has none of its own: write %s", w.target, kind.Name, net.JoinHostPort(name, "PORT"))
		}
	}
	if a, err := netip.ParseAddr(name); err == nil {
		t.Addr = netip.AddrPortFrom(a.Unmap(), port)
		return t, nil
	}
	a, err := h.addressOf(ctx, name, strings.Join(w.options["source"], ""))
	if err != nil {
		return t, err
	}
	return health.Target{Name: name, Addr: netip.AddrPortFrom(a, port)}, nil
}

func portHint(kind health.Kind) string {
	if kind.Port != 0 || kind.AnyPort {
		return ""
	}
	return ":PORT"
}

// splitTarget cuts the port off; 0 is none.
func splitTarget(text string) (name string, port uint16, err error) {
	if _, rest, ok := strings.Cut(text, "://"); ok {
		place, path, _ := strings.Cut(rest, "/")
		return "", 0, usagef("target %q is an URL: write %s path=/%s", text, place, path)
	}
	if _, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return strings.Trim(text, "[]"), 0, nil
	}
	name, digits, err := net.SplitHostPort(text)
	if err != nil {
		if strings.Contains(text, ":") {
			return "", 0, usagef("target %q: write an IPv6 address with a port as [2001:db8::7]:80", text)
		}
		return text, 0, nil
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 || name == "" {
		return "", 0, usagef("target %q: want an address or a name, and a port of 1 to 65535", text)
	}
	return name, uint16(n), nil
}

// addressOf looks a name up. Where the check comes from an address, one of
// the same family is wanted.
func (h host) addressOf(ctx context.Context, name, source string) (netip.Addr, error) {
	network := "ip"
	if from, err := netip.ParseAddr(source); err == nil {
		network = "ip6"
		if from.Unmap().Is4() {
			network = "ip4"
		}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupWithin)
	defer cancel()
	lookup := h.lookup
	if lookup == nil {
		lookup = net.DefaultResolver.LookupNetIP
	}
	all, err := lookup(ctx, network, name)
	var unknown *net.DNSError
	switch {
	case errors.As(err, &unknown) && unknown.IsNotFound, err == nil && len(all) == 0:
		return netip.Addr{}, usagef("target %q: there is no such name; write an address or another name", name)
	case err != nil:
		return netip.Addr{}, &unaskedError{fmt.Errorf("target %q: cannot look the name up: %w: write its address", name, err)}
	}
	return all[0].Unmap(), nil
}

// unaskedError is why nobody could be asked.
type unaskedError struct{ error }

func (e *unaskedError) Unwrap() error { return e.error }
