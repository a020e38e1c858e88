package health

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPerfdatumString(t *testing.T) {
	for _, s := range []string{"rta=0.8ms;3000;5000;0", "'C:\\ it''s used'=3GB;@10:20;~:5;0;9", "a=-1.5", "n=1;;;0", "certificate=30;14:;0:"} {
		all := ParsePerfdata("x|" + s)
		if len(all) != 1 || all[0].String() != s {
			t.Errorf("%q is read as %+v", s, all)
		}
	}
}

// FuzzPerfdata holds that what is read is bounded, and is read again as it is
// printed.
func FuzzPerfdata(f *testing.F) {
	for _, s := range []string{
		"OK|'a b'=1.5s;1;2;0;9 c=U d=1e3B", "x|a=1\nlong\nmore|b=2\n'c''d'=3%;@1:2", "x|a=1e999 =1 '=2 'e'f", "x|" + strings.Repeat("a=1 ", 70),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		all := ParsePerfdata(s)
		if len(all) > MaxPerf {
			t.Fatalf("%d numbers", len(all))
		}
		for _, p := range all {
			for _, text := range []string{p.Label, p.Unit, p.Warn, p.Critical, p.Min, p.Max} {
				if len(text) > maxPerfText {
					t.Errorf("a text of %d bytes", len(text))
				}
			}
			if p.Label == "" {
				t.Errorf("%q: a number without a name", s)
			}
		}
		// A unit that looks like the end of the number cannot be told apart.
		for _, p := range all {
			if strings.Trim(p.Unit, "%abcdfghijklmnopqrstuvwxyz") != "" || len(p.Label) > maxPerfText/2 || strings.ContainsAny(p.Label, "\u0085\u00a0") {
				continue
			}
			again := ParsePerfdata("x|" + p.String())
			if len(again) != 1 {
				t.Fatalf("%+v is printed as %q and read as %+v", p, p, again)
			}
			if diff := cmp.Diff(p, again[0]); diff != "" {
				t.Errorf("printed as %q (-want +got):\n%s", p, diff)
			}
		}
	})
}
