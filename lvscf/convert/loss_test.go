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

// TestCommentsAreCounted says of each form what counts as a comment.
func TestCommentsAreCounted(t *testing.T) {
	const three, none = "3 comments", ""
	for _, c := range []struct {
		name, want string
		read       func() (Losses, error)
	}{
		{"lvs.cf", three, func() (Losses, error) {
			f, ds := lvscf.Parse("x", []byte("# one\n####\nserial_no = 1 # two\n\n  #three\nprimary = 192.0.2.1\n"))
			return Comments(f), ds.Err()
		}},
		{"lvs.cf without", none, func() (Losses, error) {
			f, ds := lvscf.Parse("x", []byte("serial_no = 1\n#\n"))
			return Comments(f), ds.Err()
		}},
		{"keepalived.conf with an include", three, func() (Losses, error) {
			inc := func(string, string) ([]Included, error) { return []Included{{"y", []byte("! two\n")}}, nil }
			_, l, err := FromKeepalived("x", []byte("# one\ninclude y\n!!!!\nvrrp_instance a { # three\n virtual_router_id 1\n}\n"), KeepalivedOptions{Include: inc})
			return l, err
		}},
		{"ldirectord.cf", three, func() (Losses, error) {
			_, l, err := FromLdirectord("x", []byte("# one\nvirtual = 1 # two\n\treal = 10.0.0.1:80 gate # three\n\t#\n\tscheduler = rr\n"), ImportOptions{Device: "eth0"})
			return l, err
		}},
		{"rules", three, func() (Losses, error) {
			_, l, err := FromIPVSAdm(t.Context(), "x", []byte("#!/bin/sh\n# one\n-A -f 1 # two # still two\n#three\n#-------\n-a -f 1 -r 10.0.0.1\n"), RuleOptions{})
			return l, err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			losses, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			checkLosses(t, losses)
			got := ""
			if len(losses) > 0 {
				last := losses[len(losses)-1]
				if got = last.What; !last.Harmless || last.Where.File != "x" {
					t.Errorf("last entry %+v", last)
				}
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if (Losses{{}}).Harmless() || !(Losses{{Harmless: true}}).Harmless() || !(Losses)(nil).Harmless() {
		t.Error("a list is as harmful as its worst entry")
	}
}
