package convert

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/lvscf"
)

// TestBrokenLineCostsOnlyItself puts a line that nobody can read at each place
// of each fixture: it is one more loss, and the rest means what it did.
func TestBrokenLineCostsOnlyItself(t *testing.T) {
	read := map[string]func([]byte) (*lvscf.Config, Losses, error){
		"testdata/ldirectord/*.cf": func(src []byte) (*lvscf.Config, Losses, error) {
			return FromLdirectord("x", src, ImportOptions{Device: "eth0"})
		},
		"testdata/ipvsadm/*.rules": func(src []byte) (*lvscf.Config, Losses, error) {
			return FromIPVSAdm(t.Context(), "x", src, RuleOptions{ImportOptions: ImportOptions{Device: "eth0"}})
		},
	}
	broken := map[string]string{"testdata/ldirectord/*.cf": "\tnobody knows", "testdata/ipvsadm/*.rules": "--nobody knows"}
	tried := 0
	for pattern, from := range read {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			before, losses, err := from(src)
			if err != nil {
				continue // one in which nothing can be read
			}
			lines := strings.SplitAfter(string(src), "\n")
			for i := range lines {
				if i > 0 && joins(lines[i-1]) {
					continue
				}
				tried++
				text := strings.Join(lines[:i], "") + broken[pattern] + "\n" + strings.Join(lines[i:], "")
				after, more, err := from([]byte(text))
				if err != nil {
					t.Fatalf("%s with line %d broken: %v", path, i+1, err)
				}
				checkLosses(t, more)
				if len(more) != len(losses)+1 || !strings.Contains(more.String(), fmt.Sprintf("x:%d:", i+1)) {
					t.Errorf("%s with line %d broken: %d losses, want %d:\n%s", path, i+1, len(more), len(losses)+1, more)
				}
				if diff := cmp.Diff(settings(before), settings(after)); diff != "" {
					t.Fatalf("%s with line %d broken (-before +after):\n%s", path, i+1, diff)
				}
			}
		}
	}
	if tried < 300 {
		t.Errorf("only %d places were tried", tried)
	}
}

// TestBrokenRulesAreBounded reads texts of many broken lines: up to the bound
// each is listed, beyond it the text is refused.
func TestBrokenRulesAreBounded(t *testing.T) {
	for _, c := range []struct {
		broken int
		ok     bool
	}{{maxBadRules, true}, {maxBadRules + 1, false}, {100_000, false}} {
		text := strings.Repeat("what is this\n", c.broken) + "-A -t 192.0.2.1:80\n"
		cfg, losses, err := FromIPVSAdm(t.Context(), "x", []byte(text), RuleOptions{ImportOptions: ImportOptions{Device: "eth0"}})
		var bad *lvscf.InvalidFileError
		switch {
		case c.ok && (err != nil || len(losses) != c.broken || len(cfg.Virtuals) != 1):
			t.Errorf("%d broken lines: %d losses, error %v", c.broken, len(losses), err)
		case !c.ok && (!errors.As(err, &bad) || len(bad.Diagnostics) > lvscf.MaxDiagnostics+1):
			t.Errorf("%d broken lines: error %.200v", c.broken, err)
		}
	}
}

// TestBrokenRuleTakesItsLines blanks a command on several lines as a whole, and
// no other one.
func TestBrokenRuleTakesItsLines(t *testing.T) {
	for _, c := range []struct {
		name, text string
		line       int
		was, left  string
	}{
		{"one line", "a\nb\nc\n", 2, "b", "a\n\nc\n"},
		{"the last one without an end", "a\nb", 2, "b", "a\n"},
		{"first of two", "a \\\nb\nc\n", 1, `a \ b`, "\n\nc\n"},
		{"second of three", "a \\\nb \\\nc\nd\n", 2, `a \ b \ c`, "\n\n\nd\n"},
		{"with carriage returns", "a \\\r\nb\r\nc\r\n", 2, `a \ b`, "\n\nc\r\n"},
		{"a backslash in a comment", "# a \\\nb # c \\\nd\n", 2, `b # c \`, "# a \\\n\nd\n"},
		{"a backslash at the end of all", "a\nb \\\n", 2, `b \`, "a\n\n"},
		{"no such line", "a\n", 9, "", "a\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := ruleLines{strings.SplitAfter(c.text, "\n")}
			was := strings.TrimRight(l.blank(c.line), " ")
			if left := strings.Join(l.text, ""); was != c.was || left != c.left {
				t.Errorf("took %q and left %q, want %q and %q", was, left, c.was, c.left)
			}
		})
	}
}

// countingResolver knows one host and one port.
type countingResolver struct{ hosts, ports int }

func (r *countingResolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	r.hosts++
	if host != "www.example.net" {
		return nil, errors.New("no such host")
	}
	return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
}

func (r *countingResolver) LookupPort(context.Context, string, string) (int, error) {
	r.ports++
	return 8088, nil
}

// TestNamesInBrokenRulesAreLookedUpOnce reads a text that takes many turns.
func TestNamesInBrokenRulesAreLookedUpOnce(t *testing.T) {
	text := "-A -t www.example.net:special\n-A -t gone.example.net:80\n" + strings.Repeat("what is this\n", 100)
	var r countingResolver
	cfg, losses, err := FromIPVSAdm(t.Context(), "x", []byte(text), RuleOptions{Resolver: &r, ImportOptions: ImportOptions{Device: "eth0"}})
	if err != nil || len(losses) != 101 || len(cfg.Virtuals) != 1 || cfg.Virtuals[0].Port != 8088 {
		t.Fatalf("error %v, losses:\n%s", err, losses)
	}
	if r.hosts != 2 || r.ports != 1 {
		t.Errorf("looked up %d hosts and %d ports, want 2 and 1", r.hosts, r.ports)
	}
}
