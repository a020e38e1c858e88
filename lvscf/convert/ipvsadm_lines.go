package convert

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvsadm"
	"github.com/lvskit/lvskit/lvscf"
)

// maxBadRules is how many faulty lines a text of rules may have. With more it
// is likely something else.
const maxBadRules = 500

// readRules reads rule text without its faulty lines, which are entered into
// f. The reader of rules takes a text as a whole or not at all, so these lines
// are blanked and the rest is read again, until nothing is wrong with it: each
// turn finds some 20 of them.
func readRules(ctx context.Context, name, text string, resolver ipvsadm.Resolver, f *faults) ([]ipvsadm.Command, ipvs.Table, error) {
	if i := strings.IndexByte(text, 0); i >= 0 { // said once, not of each line
		pos := lvscf.Pos{Line: 1 + strings.Count(text[:i], "\n"), Column: i - strings.LastIndexByte(text[:i], '\n')}
		f.stop(Where{File: name, Pos: pos}, "not a text: there is a zero byte", "convert what ipvsadm -S -n prints")
		return nil, nil, f.err()
	}
	if resolver != nil {
		resolver = &rememberingResolver{resolver, map[string]hostAnswer{}, map[[2]string]portAnswer{}}
	}
	lines := ruleLines{text: strings.SplitAfter(text, "\n")}
	for {
		commands, err := ipvsadm.Parse(ctx, strings.Join(lines.text, ""), ipvsadm.Options{File: name, Resolver: resolver})
		var table ipvs.Table
		if err == nil {
			if table, err = ipvsadm.Table(commands); err == nil {
				return commands, table, nil
			}
		}
		var bad *ipvsadm.Errors
		if !errors.As(err, &bad) {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		blanked := false
		for _, e := range bad.List {
			source := lines.blank(e.Line)
			blanked = blanked || source != ""
			f.add(Where{File: name, Pos: lvscf.Pos{Line: e.Line, Column: e.Column}}, source, e.Msg, "see ipvsadm(8)")
		}
		if len(f.list)+bad.More > maxBadRules || !blanked {
			f.more += bad.More
			return nil, nil, f.err()
		}
	}
}

// ruleLines are the lines of a text with their ends.
type ruleLines struct{ text []string }

// blank empties the line with a number, counted from 1, and those that a
// backslash joins to it, and returns what they were.
func (l ruleLines) blank(number int) string {
	first := number - 1
	if first >= len(l.text) {
		return ""
	}
	for first > 0 && joins(l.text[first-1]) {
		first--
	}
	var was []string
	for i := first; i < len(l.text); i++ {
		line := l.text[i]
		goesOn := joins(line)
		was = append(was, strings.Trim(strings.TrimRight(line, "\r\n"), blanks))
		l.text[i] = line[len(strings.TrimRight(line, "\n")):]
		if !goesOn && i >= number-1 {
			break
		}
	}
	return strings.Join(was, " ")
}

// joins reports whether a line goes on in the next one. A backslash in a
// comment joins nothing.
func joins(line string) bool {
	body, ended := strings.CutSuffix(line, "\n")
	body, joined := strings.CutSuffix(strings.TrimSuffix(body, "\r"), `\`)
	return ended && joined && !strings.HasPrefix(body, "#") && !strings.Contains(body, " #") && !strings.Contains(body, "\t#")
}

// ruleComments counts the comments of a text: what a # begins that begins a
// word. The line that names a shell is none.
func ruleComments(text string) int {
	n := 0
	for line := range strings.Lines(text) {
		for i := range len(line) {
			if line[i] == '#' && (i == 0 || strings.IndexByte(blanks, line[i-1]) >= 0) {
				if isComment(line[i:]) && !strings.HasPrefix(line, "#!") {
					n++
				}
				break
			}
		}
	}
	return n
}

// rememberingResolver asks for each name once, however often a text is read.
type rememberingResolver struct {
	ipvsadm.Resolver
	hosts map[string]hostAnswer
	ports map[[2]string]portAnswer
}

type hostAnswer struct {
	addrs []netip.Addr
	err   error
}

type portAnswer struct {
	port int
	err  error
}

func (r *rememberingResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	a, known := r.hosts[host] // the network is always the same
	if !known {
		a.addrs, a.err = r.Resolver.LookupNetIP(ctx, network, host)
		r.hosts[host] = a
	}
	return a.addrs, a.err
}

func (r *rememberingResolver) LookupPort(ctx context.Context, network, service string) (int, error) {
	a, known := r.ports[[2]string{network, service}]
	if !known {
		a.port, a.err = r.Resolver.LookupPort(ctx, network, service)
		r.ports[[2]string{network, service}] = a
	}
	return a.port, a.err
}
