package lvscf

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// FuzzEdits makes random edits in any file. Whatever they are, the file itself
// stays, the result is read as it was meant, and what no edit names keeps its
// words.
func FuzzEdits(f *testing.F) {
	n := uint64(0)
	editSamples(f, 5, func(_ string, src []byte) {
		f.Add(src, n, "x", false)
		f.Add(src, n+1, `a "b" c`, true)
		n++
	})
	f.Fuzz(func(t *testing.T, src []byte, seed uint64, word string, strict bool) {
		o := Options{}
		if strict {
			o.Dialect = Strict
		}
		file, ds := o.Parse("lvs.cf", src)
		rng := rand.New(rand.NewPCG(seed, 3))
		edits := randomEdits(rng, file, word)
		g, err := file.Apply(edits...)
		if !bytes.Equal(file.Bytes(), src) {
			t.Fatal("the file that was edited changed")
		}
		if err != nil {
			var at *EditError
			if g != nil || !errors.As(err, &at) || at.Index >= len(edits) {
				t.Fatalf("result %v with error %v", g != nil, err)
			}
			return
		}
		if g == file {
			return
		}
		if ds.HasErrors() {
			t.Fatal("a broken file was edited")
		}
		again, ds := o.Parse("lvs.cf", g.Bytes())
		if ds.HasErrors() || differs(g.Body, again.Body) != nil {
			t.Fatalf("the result is not what is read from its text: %v\n%q", ds, g.Bytes())
		}
		if err := sameElsewhere(file, g, edits); err != nil {
			t.Fatalf("%v\nby %v in\n%q\nwhich gives\n%q", err, edits, src, g.Bytes())
		}
		// The last edit of all shows in the result.
		switch e := edits[len(edits)-1]; e.Op {
		case SetOp:
			if got, err := g.Values(e.Path); err != nil || len(got) != len(e.Values) || len(got) > 0 && got[0] != e.Values[0] {
				t.Fatalf("%v gives %q, error %v", e, got, err)
			}
		case RemoveOp:
			if _, err := g.Values(e.Path); err == nil && e.Path.last().Index == 0 {
				t.Fatalf("%v is still there", e)
			}
		}
	})
}

// randomEdits returns a few edits of what is in a file and what is not.
func randomEdits(rng *rand.Rand, f *File, word string) []Edit {
	var blocks []Path
	for p := range blockPaths(f) {
		blocks = append(blocks, p)
		if len(blocks) == 50 {
			break
		}
	}
	lines, values := directivePaths(f)
	var edits []Edit
	for range 1 + rng.IntN(3) {
		p := blocks[rng.IntN(len(blocks))]
		inside := inOrder(placeOfPath(p))
		op := rng.IntN(8)
		switch {
		case op <= 1 && len(lines) > 0:
			i := rng.IntN(len(lines))
			v := make([]string, len(values[i]))
			for j := range v {
				v[j] = []string{word, "1", "192.0.2.9", values[i][j]}[rng.IntN(4)]
			}
			edits = append(edits, Set(lines[i], v...))
		case op == 2 && len(lines) > 0:
			edits = append(edits, Remove(lines[rng.IntN(len(lines))]))
		case op <= 4 && len(inside) > 0:
			d := inside[rng.IntN(len(inside))]
			v := []string{word}
			if rng.IntN(2) == 0 {
				l := &Line{Text: "x = " + d.example}
				new(lexer).split(l)
				v = nil
				for _, t := range l.values() {
					v = append(v, t.Text)
				}
			}
			if rng.IntN(3) == 0 {
				edits = append(edits, Add(p.Directive(d.name), v...))
			} else {
				edits = append(edits, Set(p.Directive(d.name), v...))
			}
		case op == 5:
			kind := blockOrder[rng.IntN(len(blockOrder))]
			edits = append(edits, Add(p.Block(kind, word)))
		case len(p) > 0 && op == 6:
			edits = append(edits, Rename(p, word))
		case len(p) > 0 && rng.IntN(2) == 0:
			edits = append(edits, Move(p, 1+rng.IntN(4)))
		case len(p) > 0:
			edits = append(edits, Remove(p))
		}
	}
	if len(edits) == 0 {
		edits = append(edits, Set(Path{}.Directive("keepalive"), "3"))
	}
	return edits
}

// FuzzParseEdit checks that an edit that is read comes out of its own text
// again, and its path too.
func FuzzParseEdit(f *testing.F) {
	for _, text := range []string{
		`set virtual web/send = "GET / HTTP/1.0\r\n\r\n"`, `add virtual "a b"/server c`, `remove heartbeat_path#2`,
		`rename virtual web to "x/y"`, `move virtual web/server c to 3`, "set virtual web/dirs = [ /a /b ]", `set a = "b" 'c`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseEdit(text)
		if err != nil {
			return
		}
		p, err := ParsePath(e.Path.String())
		if err != nil || p.String() != e.Path.String() {
			t.Fatalf("path %q of %q is read as %q, error %v", e.Path, text, p, err)
		}
		for _, v := range e.Values {
			if len(wordForms(v, 0, false)) == 0 {
				return // no file can have it
			}
		}
		again, err := ParseEdit(e.String())
		if len(e.Values) < 2 && (err != nil || again.String() != e.String()) {
			t.Fatalf("%q is written %q, and read as %v, error %v", text, e, again, err)
		}
	})
}
