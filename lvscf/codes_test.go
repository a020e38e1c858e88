package lvscf

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheTableOfCodesIsWhole(t *testing.T) {
	form := regexp.MustCompile(`^LVS[0-9]{3}$`)
	seen := map[Code]bool{}
	titles := map[string]Code{}
	last := Code("")
	for _, info := range Codes() {
		if !form.MatchString(string(info.Code)) || seen[info.Code] || info.Code <= last {
			t.Errorf("%s: badly formed, used twice, or out of order", info.Code)
		}
		if other := titles[info.Title]; other != "" {
			t.Errorf("%s has the title of %s", info.Code, other)
		}
		seen[info.Code], titles[info.Title], last = true, info.Code, info.Code
		if info.Title == "" || info.Explanation == "" || info.Cure == "" || strings.HasSuffix(info.Title, ".") || strings.HasSuffix(info.Cure, ".") ||
			!strings.HasSuffix(info.Explanation, ".") {
			t.Errorf("%s: a text is missing or has the wrong end: %+v", info.Code, info)
		}
		if info.Strict > info.Severity {
			t.Errorf("%s: %v in the strict dialect and %v in the default one", info.Code, info.Strict, info.Severity)
		}
		for _, ask := range []string{string(info.Code), strings.ToLower(string(info.Code)), strings.TrimLeft(string(info.Code)[3:], "0")} {
			if got, ok := Explain(ask); !ok || got != info {
				t.Errorf("Explain(%q) = %v, %v", ask, got, ok)
			}
		}
	}
	for _, ask := range []string{"", "0", "LVS", "LVS999", "LVS1000", "42x", "ABC012"} {
		if got, ok := Explain(ask); ok {
			t.Errorf("Explain(%q) = %v", ask, got.Code)
		}
	}
}

// TestCodesKeepTheirMeaning compares the table with a list that may only grow:
// a code that is given out means the same for ever.
func TestCodesKeepTheirMeaning(t *testing.T) {
	const path = "testdata/codes.txt"
	have, err := os.ReadFile(path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	known := map[string]string{}
	for line := range strings.Lines(string(have)) {
		code, title, _ := strings.Cut(strings.TrimSpace(line), " ")
		known[code] = title
	}
	var list strings.Builder
	for _, info := range Codes() {
		fmt.Fprintf(&list, "%s %s\n", info.Code, info.Title)
		if title, ok := known[string(info.Code)]; ok && title != info.Title {
			t.Errorf("%s means %q and meant %q: give the new meaning a new code, or mend the list if the words alone changed", info.Code, info.Title, title)
		}
		delete(known, string(info.Code))
	}
	for code, title := range known {
		t.Errorf("%s %q is gone: keep codes that were given out", code, title)
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(path, []byte(list.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(have) != list.String() {
		t.Errorf("%s lacks new codes: run go test -update", path)
	}
}

func TestEveryExampleHasItsFault(t *testing.T) {
	for _, info := range Codes() {
		t.Run(string(info.Code), func(t *testing.T) {
			if info.Example == "" {
				if !slices.Contains(builtCodes, info.Code) && info.Code != codeMore {
					t.Error("no example")
				}
				return
			}
			for dialect, want := range map[Dialect]Severity{Lenient: info.Severity, Strict: info.Strict} {
				_, ds := allDiagnostics("example.cf", []byte(info.Example), dialect)
				i := slices.IndexFunc(ds, func(d Diagnostic) bool { return d.Code == info.Code })
				switch {
				case i < 0 && dialect == Lenient && info.Code == codeExtension:
				case i < 0 && dialect == Strict && slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Code == codeExtension }):
					// An example with an extension.
				case i < 0:
					t.Errorf("%v: not found in its example: %v", dialect, ds)
				case ds[i].Severity != want:
					t.Errorf("%v: %v, want severity %v", dialect, ds[i], want)
				}
			}
		})
	}
}

// TestEveryCodeHasACase wants each code in a golden text of bad inputs, and no
// code in them that is not of the table.
func TestEveryCodeHasACase(t *testing.T) {
	form := regexp.MustCompile(`\[(LVS[0-9]+)\]\n`)
	cases := map[Code]int{}
	files, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(strings.TrimSuffix(path, ".txt") + ".cf"); err != nil {
			t.Errorf("%s: a text without its input", path)
		}
		for _, m := range form.FindAllSubmatch(text, -1) {
			cases[Code(m[1])]++
		}
	}
	var without []Code
	for _, info := range Codes() {
		if cases[info.Code] == 0 && !slices.Contains(builtCodes, info.Code) {
			without = append(without, info.Code)
		}
		delete(cases, info.Code)
	}
	if len(without) > 0 {
		t.Errorf("codes without a file in testdata/bad: %v", without)
	}
	for code, n := range cases {
		t.Errorf("%s occurs %d times and is not in the table", code, n)
	}
}

// TestSourceUsesEveryCodeOnce reads the package: a code is declared in one
// place, and reported in at least one.
func TestSourceUsesEveryCodeOnce(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	declaration := regexp.MustCompile(`(?m)^\t(code[A-Za-z0-9]+) +Code = "(LVS[0-9]+)"$`)
	use := regexp.MustCompile(`\bcode[A-Z][A-Za-z0-9]*\b`)
	declared := map[string]string{}
	used := map[string]int{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range declaration.FindAllSubmatch(src, -1) {
			declared[string(m[1])] = string(m[2])
		}
		for _, name := range use.FindAll(src, -1) {
			used[string(name)]++
		}
	}
	var codes, table []string
	for name, code := range declared {
		codes = append(codes, code)
		if used[name] < 3 { // declared, in the table, reported
			t.Errorf("%s (%s) is never reported", code, name)
		}
	}
	for _, info := range Codes() {
		table = append(table, string(info.Code))
	}
	slices.Sort(codes)
	if diff := cmp.Diff(table, codes); diff != "" {
		t.Errorf("table and declarations (-table +declared):\n%s", diff)
	}
}
