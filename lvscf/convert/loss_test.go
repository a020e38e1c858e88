package convert

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/lvscf"
)

func TestWhereNamesTheParts(t *testing.T) {
	pos := lvscf.Pos{Line: 3, Column: 5}
	for _, c := range []struct {
		name string
		in   Where
		want string
	}{
		{"nothing", Where{}, "the whole file"},
		{"file", Where{File: "a.conf"}, "a.conf"},
		{"place", Where{Pos: pos}, "line 3:5"},
		{"all", Where{File: "a.conf", Pos: pos, Path: "x / y"}, "a.conf:3:5, x / y"},
		{"path", Where{Path: `virtual "web"`}, `virtual "web"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.in.String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestLedgerNumbersAndBounds(t *testing.T) {
	var l ledger
	if l.losses() != nil {
		t.Error("an empty ledger has losses")
	}
	for range MaxLosses + 7 {
		l.lose(Where{File: "a"}, "what\nelse", "why", strings.Repeat("é", 400))
	}
	got := l.losses()
	if len(got) != MaxLosses+1 {
		t.Fatalf("%d losses", len(got))
	}
	for i, loss := range got {
		if loss.Number != i+1 {
			t.Errorf("entry %d has number %d", i, loss.Number)
		}
		if strings.ContainsAny(loss.String(), "\n") || len(loss.Nearest) > 400 {
			t.Errorf("unbounded text %q", loss.String())
		}
	}
	want := "1001. a: and 7 more: only 1000 are listed one by one; nearest: see to the ones above, then convert again"
	if diff := cmp.Diff(want, got[MaxLosses].String()); diff != "" {
		t.Errorf("last entry (-want +got):\n%s", diff)
	}
}

func TestFaultsAreDiagnostics(t *testing.T) {
	var f faults
	if err := f.err(); err != nil {
		t.Errorf("no fault gives %v", err)
	}
	for range lvscf.MaxDiagnostics + 2 {
		f.add(Where{File: "k.conf", Pos: lvscf.Pos{Line: 1, Column: 2}}, "x", "bad", "mend it")
	}
	var invalid *lvscf.InvalidFileError
	if !errors.As(f.err(), &invalid) {
		t.Fatalf("got %v", f.err())
	}
	if n := len(invalid.Diagnostics); n != lvscf.MaxDiagnostics+1 {
		t.Errorf("%d diagnostics", n)
	}
	if got, want := invalid.Diagnostics[0].String(), "k.conf:1:2: bad: mend it"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
