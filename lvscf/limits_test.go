package lvscf

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// The inputs here are built, not kept: they are large.
func TestHopelessInputsGetFewClearErrors(t *testing.T) {
	repeat := func(s string, size int) []byte { return bytes.Repeat([]byte(s), size/len(s)) }
	const tenMB = 10 << 20
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(i * i >> 3)
	}
	for _, tt := range []struct {
		name   string
		src    []byte
		want   string
		atMost int // number of diagnostics
	}{
		{"10 MB of opening braces on one line", repeat("{", tenMB), "opens no block", 3},
		{"10 MB of closing braces on one line", repeat("}", tenMB), "more than one }", 2},
		{"10 MB of opening braces on lines", repeat("{\n", tenMB), "unknown command: the brace stands alone", 2},
		{"10 MB of closing braces on lines", repeat("}\n", tenMB), "unknown command: } closes nothing", MaxDiagnostics + 1},
		{"10 MB of virtual blocks never closed", repeat("virtual v {\n", tenMB), `unknown command: "virtual" within the virtual block of line 1`, 2*MaxDiagnostics + 1},
		{"10 MB of server blocks", repeat("server v {\n}\n", tenMB), `unknown command: "server"`, MaxDiagnostics + 1},
		{"10 MB of unknown directives", repeat("nonsense_word = 1\n", tenMB), `unknown command: "nonsense_word"`, MaxDiagnostics + 1},
		{"2 MB of different unknown directives", distinctLines(2 << 20), `unknown command: "adres0"`, MaxDiagnostics + 1},
		{"10 MB of one directive", repeat("port = 80\n", tenMB), "too many lines", MaxDiagnostics + 2},
		{"100,000 warnings", repeat("serial_no = 010\n", 100_000*16), "is octal", MaxDiagnostics + 4},
		{"10 MB of words on one line", repeat("a ", tenMB), `unknown command: "a"`, 1},
		{"10 MB of quotes", repeat("a = \"\n", tenMB), "quotation mismatch", MaxDiagnostics + 1},
		{"10 MB in one quoted value", append(append([]byte(`virtual v {`+"\n"+`send = "`), repeat("x ", tenMB)...), "\"\n}\n"...), "more than Piranha's limit of 255", 3},
		{"line ends only", repeat("\n", tenMB), "too many lines", 1},
		{"beyond the size limit", repeat("# comment\n", MaxSize+20), "file too large", 1},
		{"binary noise", noise, "not a text file", 1},
		{"a program", append([]byte("\x7fELF\x02\x01\x01\x00"), noise...), "not a text file", 1},
		{"invalid UTF-8 only", repeat("\xff", 1000), "not a text file: byte 0xff", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &collector{file: "big.cf", dialect: Strict}
			f := parse(c, "big.cf", tt.src)
			if !bytes.Equal(f.Bytes(), tt.src) {
				t.Error("printing gives other bytes than were read")
			}
			f.config(c)
			ds := c.finish()
			if len(ds) == 0 || len(ds) > tt.atMost {
				t.Fatalf("%d diagnostics, want 1..%d; the first: %.3v", len(ds), tt.atMost, ds)
			}
			found := false
			for _, d := range ds {
				found = found || strings.Contains(d.Message, tt.want)
				if n := len(d.String()); n > 500 {
					t.Errorf("a diagnostic of %d bytes: %.100s", n, d)
				}
			}
			if !found {
				t.Errorf("no diagnostic says %q; the first: %v", tt.want, ds[0])
			}
		})
	}
}

func distinctLines(size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size && i < MaxLines; i++ {
		fmt.Fprintf(&b, "adres%d = 1\n", i)
	}
	return b.Bytes()
}

func TestTheRestOfManyErrorsIsCounted(t *testing.T) {
	src := strings.Repeat("nonsense = 1\n", 137) + strings.Repeat("serial_no = 010\n", 104)
	_, ds := strict.Load("many.cf", []byte(src))
	if len(ds) != 2*MaxDiagnostics+1 {
		t.Fatalf("%d diagnostics, want %d", len(ds), 2*MaxDiagnostics+1)
	}
	last := ds[len(ds)-1]
	if want := "and 37 more errors and 4 more warnings"; last.Message != want || last.Severity != Error || last.Line != 101 {
		t.Errorf("the last entry is %q (%v) on line %d, want %q on line 101", last.Message, last.Severity, last.Line, want)
	}
}

func TestErrorsAreReachable(t *testing.T) {
	_, ds := strict.Load("a.cf", []byte("network = direct\nbogus = 1\nkeepalive = 010\n"))
	var invalid *InvalidFileError
	err := fmt.Errorf("reload: %w", ds.Err())
	if !errors.As(err, &invalid) || len(invalid.Diagnostics) != len(ds) {
		t.Fatalf("%v does not lead to its diagnostics", err)
	}
	if got := invalid.Error(); strings.Contains(got, "warning") || !strings.HasPrefix(got, "a.cf:2:1: unknown command") {
		t.Errorf("error text %q, want the errors only", got)
	}
	if got := (Diagnostic{Pos: Pos{3, 1}, Severity: Warning, Message: "what", Cure: "how"}).String(); got != "lvs.cf:3:1: warning: what: how" {
		t.Errorf("diagnostic of a file without name: %q", got)
	}
	if err := ds[1:].Err(); err != nil {
		t.Errorf("warnings alone give the error %v", err)
	}
}

func TestExcerptsAreShortAndPrintable(t *testing.T) {
	src := "bogus\x1b[31m" + strings.Repeat("é", 500) + "\tx = 1\n"
	_, ds := strict.Load("a.cf", []byte(src))
	if len(ds) == 0 {
		t.Fatal("no diagnostic")
	}
	for _, text := range []string{ds[0].String(), ds[0].Source} {
		if len(text) > 400 || strings.ContainsAny(text, "\x1b\t\n") || !strings.Contains(text, "...") {
			t.Errorf("excerpt %q", text)
		}
	}
}
