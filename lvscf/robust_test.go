package lvscf

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// oddWriter writes odd files that hold together: blocks are closed and lines
// have the form of directives, while blanks, comments, line ends and values
// are any. What they mean does not matter.
type oddWriter struct {
	*rand.Rand
	strings.Builder
	of map[blockMask][]Directive
}

func (g *oddWriter) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g *oddWriter) blanks() string { return g.pick("", "", " ", "\t", "    ", " \t ") }

func (g *oddWriter) end() string {
	return g.pick("\n", "\n", "\n", "\r\n", "\r", "\n\n", " \n", "\t\r\n")
}

func (g *oddWriter) line(text string) {
	g.WriteString(g.blanks() + text)
	if g.IntN(8) == 0 {
		g.WriteString(g.pick(" # why", "\t#", " # \"quoted\"", "  # 期望 }", " #{"))
	}
	g.WriteString(g.end())
}

func (g *oddWriter) filler() {
	for range g.IntN(3) {
		g.WriteString(g.blanks() + g.pick("", "# comment", "#", "#\tvirtual x {", "# été", "##### }") + g.end())
	}
}

func (g *oddWriter) directives(place blockMask, n int) {
	for range n {
		g.filler()
		names := g.of[place]
		d := names[g.IntN(len(names))]
		value := d.Example
		if g.IntN(3) == 0 && d.Default != "" {
			value = d.Default
		}
		name := d.Name
		if g.IntN(10) == 0 {
			name = strings.ToUpper(name)
		}
		g.line(name + g.pick(" = ", " = ", "\t=\t", " =   ", "=", " =", "= ") + value)
	}
}

func (g *oddWriter) block(word string, body func()) {
	g.filler()
	name := g.pick("web", "a.b", "x-1", "1", "[odd]", "ünïcode", "very_long_name_of_a_service_in_a_file", "a=b", "o'clock")
	g.WriteString(g.blanks() + word + g.pick(" ", "\t", "  ") + name + g.pick(" {", "\t{", "{", " { # x"))
	g.WriteString(g.end())
	body()
	g.filler()
	g.WriteString(g.blanks() + g.pick("}", "}", "} # end", "}\t#"+word) + g.end())
}

func (g *oddWriter) file() string {
	g.Reset()
	if g.IntN(10) == 0 {
		g.WriteString(byteOrderMark)
	}
	g.directives(inGlobal, g.IntN(6))
	for range 1 + g.IntN(3) {
		g.block(g.pick("virtual", "virtual", "failover", "VIRTUAL"), func() {
			g.directives(inVirtual, g.IntN(6))
			for range g.IntN(4) {
				g.block(g.pick("server", "server", "Server"), func() { g.directives(inServer, g.IntN(5)) })
			}
			g.directives(inVirtual, g.IntN(3))
		})
		g.directives(inGlobal, g.IntN(3))
	}
	if g.IntN(4) == 0 {
		return strings.TrimRight(g.String(), "\r\n")
	}
	return g.String()
}

// TestGeneratedFilesArePrintedAsTheyWereRead reads 10,000 odd files. All of
// them can be parsed without an error in the default dialect.
func TestGeneratedFilesArePrintedAsTheyWereRead(t *testing.T) {
	const files, every = 10_000, 20 // all that is slow is done with some
	g := &oddWriter{Rand: rand.New(rand.NewPCG(4, 2026)), of: map[blockMask][]Directive{}}
	for _, d := range Directives() {
		for _, place := range []blockMask{inGlobal, inVirtual, inServer} {
			if d.Block == place.String() {
				g.of[place] = append(g.of[place], d)
			}
		}
	}
	accepted, warned := 0, 0
	for i := range files {
		src := g.file()
		f, ds := Parse("g.cf", []byte(src))
		if got := string(f.Bytes()); got != src {
			t.Fatalf("file %d: printing gives other bytes than were read:\nread    %q\nprinted %q", i, src, got)
		}
		if ds.HasErrors() {
			t.Fatalf("file %d: %v\n%s", i, ds.Err(), src)
		}
		if len(ds) > 0 {
			warned++
		}
		if i%every != 0 {
			continue
		}
		checkTokens(t, f)
		if cfg, _ := f.Config(); cfg != nil {
			accepted++
		}
		if strict, _ := (Options{Dialect: Strict}).Parse("g.cf", []byte(src)); string(strict.Bytes()) != src {
			t.Fatalf("file %d: the strict dialect prints other bytes", i)
		}
		if i%(10*every) == 0 {
			checkAnyInput(t, []byte(src))
		}
	}
	if accepted != files/every || warned < files/2 {
		t.Errorf("%d files have a configuration and %d are warned of: the generator is not what it was", accepted, warned)
	}
}

// TestWorkGrowsWithTheInput reads files of twice the size and wants no more
// than about twice the bytes allocated, whatever they are.
func TestWorkGrowsWithTheInput(t *testing.T) {
	repeat := func(s string) func(int) string {
		return func(n int) string { return strings.Repeat(s, n/len(s)) }
	}
	for _, tt := range []struct {
		name string
		make func(size int) string
		// most is the number of bytes allocated for each byte of the input.
		most int64
	}{
		{"a megabyte line of words", repeat("a "), 20},
		{"a megabyte value", func(n int) string { return "virtual v {\nsend = \"" + strings.Repeat("x ", n/2) + "\"\n}\n" }, 20},
		{"a megabyte of quotes", repeat("x = \"\n"), 120},
		{"a megabyte name", func(n int) string { return "virtual " + strings.Repeat("v", n) + " {\n}\n" }, 20},
		{"lines of one brace", repeat("{\n"), 120},
		{"blocks opened and not closed", repeat("virtual v {\n"), 120},
		{"opening lines without brace, and blank lines", repeat("virtual v\n\n\n\n\n\n\n\n"), 120},
		{"quotes that seem to go on", repeat("a = \"x\nb c\n"), 120},
		{"comments", repeat("# comment\n"), 60},
		{"CR line ends", repeat("# comment\r"), 60},
		{"unknown directives", repeat("nonsense = 1\n"), 120},
		{"warnings", repeat("serial_no = 010 # x\n"), 120},
		{"glued signs and comments", repeat("serial_no=1#\n"), 120},
		{"services", func(n int) string { return bigConfig(n/1024+1, 10) }, 120},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const size = 1 << 20
			for _, dialect := range []Dialect{Lenient, Strict} {
				used := func(src string) int64 {
					b := []byte(src)
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					Options{Dialect: dialect}.Load("w.cf", b)
					runtime.ReadMemStats(&after)
					return int64(after.TotalAlloc - before.TotalAlloc)
				}
				one, two := used(tt.make(size)), used(tt.make(2*size))
				if one > tt.most*size || two > one*5/2+1<<20 {
					t.Errorf("%v: %d bytes allocated for 1 MB and %d for 2 MB; want at most %d, and twice as much", dialect, one, two, tt.most*size)
				}
			}
		})
	}
}

// TestCorpusInBothDialects is TestCorpus's other half: all that holds for any
// input holds for the files people wrote.
func TestCorpusInBothDialects(t *testing.T) {
	folder := os.Getenv("LVSKIT_CORPUS")
	if folder == "" {
		t.Skip("LVSKIT_CORPUS names no folder of lvs.cf files")
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files in %s, error %v", len(files), folder, err)
	}
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			checkAnyInput(t, src)
			if cfg, ds := Load(path, src); cfg == nil {
				t.Errorf("refused: %v", ds.Err())
			}
		})
	}
}
