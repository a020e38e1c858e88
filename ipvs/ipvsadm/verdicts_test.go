package ipvsadm

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/ipvs"
)

// baseline is the table in which the command lines of testdata/verdicts.txt
// are run.
const baseline = `
-A -t 10.0.0.1:80 -s rr
-a -t 10.0.0.1:80 -r 10.0.1.1
-A -u 10.0.0.1:53 -s rr -p 100
-A -t [2001:db8::1]:80
-A -f 7
-A -f 7 -6
`

// verdict is a line of testdata/verdicts.txt.
type verdict struct {
	line   int
	mark   byte
	args   []string
	reason string
}

func (v verdict) ours() bool { return v.mark == '+' || v.mark == '~' || v.mark == '>' }

func (v verdict) String() string { return fmt.Sprintf("verdicts.txt:%d: %q", v.line, v.args) }

// verdicts reads testdata/verdicts.txt.
func verdicts(tb testing.TB) (list []verdict) {
	tb.Helper()
	text, err := os.ReadFile("testdata/verdicts.txt")
	if err != nil {
		tb.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		v := verdict{line: i + 1, mark: line[0]}
		command, reason, _ := strings.Cut(line[1:], " ## ")
		v.reason = reason
		if v.args = split(tb, command); len(v.args) == 0 || strings.IndexByte("+-<>~", v.mark) < 0 {
			tb.Fatalf("verdicts.txt:%d: %q", v.line, line)
		}
		if (v.mark != '+' && v.mark != '-') != (v.reason != "") {
			tb.Errorf("verdicts.txt:%d: a difference, and only that, needs a reason: %q", v.line, line)
		}
		list = append(list, v)
	}
	return list
}

// split cuts a line into words.
func split(tb testing.TB, line string) (args []string) {
	tb.Helper()
	l := lexer{text: line, line: 1, column: 1}
	words, _, msg, _ := l.next(nil)
	if msg != "" {
		tb.Fatalf("%q: %s", line, msg)
	}
	for _, w := range words {
		args = append(args, w.text)
	}
	return args
}

// outcome is what we make of a command line in the baseline.
func outcome(tb testing.TB, args []string) (Command, ipvs.Table, error) {
	tb.Helper()
	commands, err := Parse(tb.Context(), baseline, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	c, err := ParseArgs(tb.Context(), args, Options{Resolver: hosts{}})
	if err != nil {
		return c, nil, err
	}
	table, err := Table(append(commands, c))
	if err != nil {
		return c, nil, err
	}
	if c.Service != (ipvs.ServiceKey{}) {
		for _, e := range table {
			if e.Service.Key == c.Service {
				return c, table, nil
			}
		}
		return c, nil, ipvs.ErrServiceNotFound
	}
	return c, table, nil
}

func TestVerdicts(t *testing.T) {
	for _, v := range verdicts(t) {
		if _, _, err := outcome(t, v.args); (err == nil) != v.ours() {
			t.Errorf("%v: error %v, want %q", v, err, v.mark)
		}
	}
}
