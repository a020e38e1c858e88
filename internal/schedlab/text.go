package schedlab

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/lvskit/lvskit/sched"
)

// Cases are kept as lines: one that begins with "case" opens a case, each
// other one is a step, "#" begins a comment.
//
//	case wlc-3 wlc tcp newer mark=7 inet6 flags=fallback,port expiration=1m0s
//	add 1 10.0.0.1:80 5 20/15          server, address, weight, thresholds
//	edit 1 0 20/15
//	pick 1 192.0.2.1:5000 10.9.9.9:80 > 1   flow, client, service, server
//	pick 2 192.0.2.1:5001 = > -        the service as before, nobody
//	half 1
//	end 1 2 3
//	flags port                         or "flags" for none
//	use rr
//	wait 1m0s
//	remove 1

// String returns the step's line.
func (s Step) String() string {
	config := func() string { return fmt.Sprintf("%d %d/%d", s.Config.Weight, s.Config.Upper, s.Config.Lower) }
	switch s.Op {
	case Add:
		return fmt.Sprintf("add %d %v %s", s.Server, s.Addr, config())
	case Edit:
		return fmt.Sprintf("edit %d %s", s.Server, config())
	case Remove:
		return fmt.Sprintf("remove %d", s.Server)
	case Pick:
		got := "-"
		if s.Got != 0 {
			got = strconv.Itoa(s.Got)
		}
		return fmt.Sprintf("pick %d %v %v > %s", s.Flow, s.Client, s.Service, got)
	case Half:
		return fmt.Sprintf("half %d", s.Flow)
	case End:
		return strings.TrimSuffix("end "+strings.Trim(fmt.Sprint(s.Flows), "[]"), " ")
	case SetFlags:
		return strings.TrimSuffix(fmt.Sprintf("flags %v", s.Flags), " ")
	case Use:
		return "use " + s.Name
	case Wait:
		return fmt.Sprintf("wait %v", s.Wait)
	}
	return string(s.Op)
}

// head returns the line that opens a case.
func (c Case) head() string {
	h := fmt.Sprintf("case %s %s %s %v", c.Name, c.Scheduler, c.Protocol, c.Rules)
	if c.Mark != 0 {
		h += fmt.Sprintf(" mark=%d", c.Mark)
	}
	if c.Is6 {
		h += " inet6"
	}
	if c.Flags != 0 {
		h += fmt.Sprintf(" flags=%v", c.Flags)
	}
	if c.Expiration != 0 {
		h += fmt.Sprintf(" expiration=%v", c.Expiration)
	}
	return h
}

// String returns the case as text.
func (c Case) String() string {
	var b strings.Builder
	fmt.Fprintln(&b, c.head())
	var last netip.AddrPort
	for _, s := range c.Steps {
		line := s.String()
		if s.Op == Pick {
			if s.Service == last {
				line = strings.Replace(line, " "+last.String()+" > ", " = > ", 1)
			}
			last = s.Service
		}
		fmt.Fprintln(&b, line)
	}
	return b.String()
}

// WriteCases writes cases as text.
func WriteCases(w io.Writer, cases ...Case) error {
	for _, c := range cases {
		if _, err := io.WriteString(w, c.String()); err != nil {
			return err
		}
	}
	return nil
}

// ReadCases reads what WriteCases writes. An error names the line.
func ReadCases(text []byte) ([]Case, error) {
	var cases []Case
	var last netip.AddrPort // service of the last pick
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		var err error
		switch words := strings.Fields(line); {
		case line == "" || line[0] == '#':
		case words[0] == "case":
			var c Case
			c, err = readHead(words[1:])
			cases = append(cases, c)
			last = netip.AddrPort{}
		case len(cases) == 0:
			err = fmt.Errorf("a step before the first case")
		default:
			var s Step
			s, err = readStep(words, last)
			if s.Op == Pick {
				last = s.Service
			}
			c := &cases[len(cases)-1]
			c.Steps = append(c.Steps, s)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %q: %w", n, line, err)
		}
	}
	return cases, lines.Err()
}

func readHead(words []string) (Case, error) {
	if len(words) < 4 {
		return Case{}, fmt.Errorf("want a name, a scheduler, a protocol and the kernel's rules")
	}
	c := Case{Name: words[0], Scheduler: words[1], Protocol: Protocol(words[2])}
	if c.Protocol != TCP && c.Protocol != UDP && c.Protocol != OnePacket {
		return c, fmt.Errorf("protocol %q: want tcp, udp or ops", words[2])
	}
	if err := c.Rules.UnmarshalText([]byte(words[3])); err != nil {
		return c, err
	}
	for _, w := range words[4:] {
		key, value, _ := strings.Cut(w, "=")
		var err error
		switch key {
		case "mark":
			var n uint64
			n, err = strconv.ParseUint(value, 10, 32)
			c.Mark = uint32(n)
		case "inet6":
			c.Is6 = true
		case "flags":
			err = c.Flags.UnmarshalText([]byte(value))
		case "expiration":
			c.Expiration, err = time.ParseDuration(value)
		default:
			err = fmt.Errorf("want mark, inet6, flags or expiration")
		}
		if err != nil {
			return c, fmt.Errorf("%s: %w", key, err)
		}
	}
	return c, nil
}

// words takes a line apart, remembering the first error.
type words struct {
	left []string
	err  error
}

func (w *words) next() string {
	if len(w.left) == 0 {
		w.fail(fmt.Errorf("a word is missing at the end"))
		return ""
	}
	word := w.left[0]
	w.left = w.left[1:]
	return word
}

func (w *words) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// number reads a number of servers or flows, which begin at 1.
func (w *words) number() int {
	n, err := strconv.ParseUint(w.next(), 10, 31)
	if err == nil && n == 0 {
		err = fmt.Errorf("numbers begin at 1")
	}
	if err != nil {
		w.fail(err)
	}
	return int(n)
}

func (w *words) addr() netip.AddrPort {
	a, err := netip.ParseAddrPort(w.next())
	if err != nil {
		w.fail(err)
	}
	return a
}

func (w *words) config() sched.ServerConfig {
	weight, err := strconv.ParseUint(w.next(), 10, 31)
	if err != nil {
		w.fail(err)
	}
	limits := [2]uint32{}
	upper, lower, _ := strings.Cut(w.next(), "/")
	for i, text := range []string{upper, lower} {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			w.fail(fmt.Errorf("thresholds: %w", err))
		}
		limits[i] = uint32(n)
	}
	return sched.ServerConfig{Weight: int(weight), Upper: limits[0], Lower: limits[1]}
}

// readStep reads a step, given the service of the pick before it.
func readStep(line []string, last netip.AddrPort) (Step, error) {
	w := &words{left: line}
	s := Step{Op: Op(w.next())}
	switch s.Op {
	case Add:
		s.Server, s.Addr, s.Config = w.number(), w.addr(), w.config()
	case Edit:
		s.Server, s.Config = w.number(), w.config()
	case Remove:
		s.Server = w.number()
	case Pick:
		s.Flow, s.Client = w.number(), w.addr()
		if s.Service = last; last.IsValid() && len(w.left) > 0 && w.left[0] == "=" {
			w.left = w.left[1:]
		} else {
			s.Service = w.addr()
		}
		if w.next() != ">" {
			w.fail(fmt.Errorf("want > and the server behind the addresses"))
		}
		if len(w.left) > 0 && w.left[0] == "-" {
			w.left = w.left[1:]
		} else {
			s.Got = w.number()
		}
	case Half:
		s.Flow = w.number()
	case End:
		for len(w.left) > 0 {
			s.Flows = append(s.Flows, w.number())
		}
	case SetFlags:
		if len(w.left) > 0 {
			if err := s.Flags.UnmarshalText([]byte(w.next())); err != nil {
				w.fail(err)
			}
		}
	case Use:
		s.Name = w.next()
	case Wait:
		var err error
		if s.Wait, err = time.ParseDuration(w.next()); err != nil {
			w.fail(err)
		}
	default:
		w.fail(fmt.Errorf("unknown step"))
	}
	if w.err == nil && len(w.left) > 0 {
		w.fail(fmt.Errorf("%q is too much", w.left))
	}
	return s, w.err
}
