package lvscf

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// generator writes random files that Parse and Config accept: any directives
// with any values that they can have, in any of the layouts that people use.
type generator struct {
	*rand.Rand
	out bytes.Buffer
	// tidy leaves the lenient forms out. indent, sign, end and spaced are the
	// layout of a file, sloppy how often a line does not follow it.
	tidy, spaced      bool
	indent, sign, end string
	sloppy            float64
	virtuals          int
}

// generate returns a random file.
func generate(seed uint64) []byte {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 7))}
	g.tidy = g.IntN(3) == 0
	g.spaced = g.IntN(6) == 0
	g.indent = g.pick("", " ", "  ", "    ", "     ", "\t")
	g.sign = g.pick(" = ", " = ", "  =  ", "\t=\t")
	if !g.tidy && g.IntN(3) == 0 {
		g.sign = "="
	}
	g.end = g.pick("\n", "\n", "\n", "\r\n", "\r")
	g.sloppy = g.Float64() * 0.3
	if !g.tidy && g.IntN(8) == 0 {
		g.out.WriteString(byteOrderMark)
	}
	for range g.IntN(3) {
		g.filling(0)
	}
	g.directives(inGlobal, 0)
	for range g.IntN(3) {
		g.block(VRRPBlock, 0, func() {
			g.directives(inVRRP, 1)
			for range g.IntN(3) {
				g.block(CheckBlock, 1, func() { g.directives(inCheck, 2) })
			}
		})
	}
	for range 1 + g.IntN(4) {
		g.block(VirtualBlock, 0, func() { g.service() })
		if g.IntN(4) == 0 {
			g.directives(inGlobal, 0)
		}
	}
	for range g.IntN(2) {
		g.block(FailoverBlock, 0, func() { g.service() })
	}
	for range g.IntN(3) {
		g.filling(0)
	}
	src := g.out.Bytes()
	if g.IntN(4) == 0 {
		src = bytes.TrimRight(src, "\r\n")
	}
	return src
}

func (g *generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g *generator) service() {
	g.directives(inVirtual, 1)
	for range g.IntN(2) {
		g.block(CheckBlock, 1, func() { g.directives(inCheck, 2) })
	}
	for range g.IntN(4) {
		g.block(ServerBlock, 1, func() {
			g.directives(inServer, 2)
			if g.IntN(6) == 0 {
				g.block(CheckBlock, 2, func() { g.directives(inCheck, 3) })
			}
		})
		if g.IntN(6) == 0 {
			g.directives(inVirtual, 1)
		}
	}
}

// line writes a line of a depth, and perhaps what is no directive before it.
func (g *generator) line(depth int, text string) {
	for g.Float64() < g.sloppy {
		g.filling(depth)
	}
	indent := strings.Repeat(g.indent, depth)
	if g.Float64() < g.sloppy {
		indent = g.pick("", " ", "\t", "          ")
	}
	if !g.tidy && g.IntN(10) == 0 {
		text += g.pick(" # note", "   # a longer note", "\t# with a tab", " #")
	} else if !strings.HasSuffix(text, `"`) && !strings.HasSuffix(text, `'`) && g.Float64() < g.sloppy {
		text += g.pick(" ", "\t")
	}
	g.out.WriteString(indent + text + g.end)
	if g.spaced {
		g.out.WriteString(g.end)
	}
}

// filling writes a blank or comment line.
func (g *generator) filling(depth int) {
	g.out.WriteString(g.pick("", "", "  ", "\t", "# note", "#", strings.Repeat(g.indent, depth)+"# inside", "   # server x {") + g.end)
}

func (g *generator) block(kind BlockKind, depth int, body func()) {
	g.virtuals++
	name := g.pick("web", "a", "b", "10.0.0.1:80", "[name]", "ünï", "x/y", "n"+strconv.Itoa(g.virtuals))
	brace := " {"
	if !g.tidy {
		brace = g.pick(" {", " {", "{", "\t{")
		if g.IntN(4) == 0 && kind != CheckBlock { // check = KIND is a directive, so that its brace must be near
			brace = g.pick(g.end+"{", " # above"+g.end+"  {  # behind"+g.end)
		}
	}
	if g.IntN(20) == 0 {
		name = `"two words"`
	}
	if text := kind.String() + g.pick(" ", " ", "  ") + name + brace; strings.HasSuffix(text, g.end) {
		g.out.WriteString(text)
	} else {
		g.line(depth, text)
	}
	body()
	g.line(depth, "}")
}

// directives writes some directives of a place, in any order.
func (g *generator) directives(where blockMask, depth int) {
	few := g.Float64() * 0.7
	var lines []string
	for i := range directives {
		d := &directives[i]
		if d.where&where == 0 || g.Float64() < few {
			continue
		}
		for range 1 + g.IntN(2) {
			lines = append(lines, g.directive(d))
			if !d.repeats {
				break
			}
		}
	}
	if g.IntN(2) == 0 {
		g.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	}
	for _, l := range lines {
		g.line(depth, l)
	}
}

// directive returns a line with a value that the directive can have.
func (g *generator) directive(d *directive) string {
	sign := g.sign
	if g.Float64() < g.sloppy {
		sign = g.pick(" = ", "   = ", " =  ")
	}
	return d.name + sign + g.pick(valueTexts()[d]...)
}

// valueTexts returns for each directive some of the values that it can have, as
// they are written.
var valueTexts = sync.OnceValue(func() map[*directive][]string {
	g := &generator{Rand: rand.New(rand.NewPCG(1, 7))}
	all := map[*directive][]string{}
	for i := range directives {
		d := &directives[i]
		all[d] = []string{d.example}
		for range 150 {
			words, err := d.check(g.values(d), Lenient, scratchScope(d.where))
			if err != nil {
				continue
			}
			quotes := func(int) (byte, bool) { return []byte{0, '"', '\''}[g.IntN(3)], d.quotesWanted() }
			l, err := Strict.writeWords(d.name, words, quotes, func(forms []string) string {
				return d.name + " = " + strings.Join(forms, " ")
			})
			if err != nil {
				continue
			}
			text := strings.TrimPrefix(l.Text, d.name+" = ")
			glued, ok := Lenient.split(d.name + "=" + text)
			if ok && glued.says(d.name, words) && !slices.Contains(all[d], text) {
				all[d] = append(all[d], text)
			}
		}
	}
	return all
})

// values returns words that may be a value of the directive.
func (g *generator) values(d *directive) []string {
	n := d.args
	if n == listArgs {
		n = 1 + g.IntN(3)
	}
	values := make([]string, n)
	for i := range values {
		switch g.IntN(12) {
		case 0:
			values[i] = "1"
		case 1:
			values[i] = strconv.Itoa(g.IntN(300))
		case 2:
			values[i] = strconv.Itoa(g.IntN(1 << 31))
		case 3:
			values[i] = fmt.Sprintf("192.0.2.%d", 1+g.IntN(254))
		case 4:
			values[i] = g.pick("eth0:1", "eth1", "lo", "bond0.7:12", "lb1.example.net", "2001:db8::7", "http")
		case 5:
			values[i] = fmt.Sprintf("10.%d.0.0/%d", g.IntN(256), 8+g.IntN(25))
		case 6:
			values[i] = g.pick("GET / HTTP/1.0\\r\\n\\r\\n", "a b", "", "# no comment", "it's", `say "hello"`, `a"b'c`, "{", "}", "x=y", "=", "\tx", "ünï ©")
		case 7:
			values[i] = g.pick("500ms", "1.5", "2m", "0", "255.255.255.0", "255.255.255.255", "0.0.0.0", "24", "128", "/64")
		case 8, 9:
			if len(d.words) > 0 {
				values[i] = g.pick(d.words...)
				break
			}
			fallthrough
		default:
			l := &Line{Text: "x = " + d.example}
			new(lexer).split(l)
			if t := l.values(); i < len(t) {
				values[i] = t[i].Text
			}
		}
	}
	return slices.Clip(values)
}
