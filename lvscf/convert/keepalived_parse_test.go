package convert

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/lvscf"
)

// outline writes a tree with its places, one statement a line.
func outline(body []*statement, indent string, b *strings.Builder) {
	for _, s := range body {
		fmt.Fprintf(b, "%s%s", indent, s.name)
		for _, w := range s.words {
			fmt.Fprintf(b, " <%s>", w)
		}
		file := ""
		if s.where.File != "k.conf" {
			file = s.where.File + ":"
		}
		fmt.Fprintf(b, " %s%s\n", file, s.where.Pos)
		if s.block {
			outline(s.body, indent+"  ", b)
		}
	}
}

func parsed(t *testing.T, src string, opt KeepalivedOptions) (string, Losses, error) {
	t.Helper()
	var l ledger
	var f faults
	var b strings.Builder
	outline(parseKeepalived("k.conf", []byte(src), opt, &l, &f), "", &b)
	return b.String(), l.losses(), f.err()
}

func TestKeepalivedLanguage(t *testing.T) {
	for _, c := range []struct {
		name, id, in, want string
	}{
		{"blocks with the brace on their line or the next", "", "a 1 {\n b 2\n}\nc\n\n{\n  d\n}\n", "a <1> 1:1\n  b <2> 2:2\nc 4:1\n  d 7:3\n"},
		{"blocks on one line", "", "a 1{b 2 {c} d}\ne", "a <1> 1:1\n  b <2> 1:5\n    c 1:10\n  d 1:13\ne 2:1\n"},
		{"comments at the start, the end and within a word", "", "! x\n# y\na b#c\nd e ! f\n\"g#h\" i", "a <b> 3:1\nd <e> 4:1\ng#h <i> 5:1\n"},
		{"braces and comments in quotes are text", "", "a \"b{c}#d\" 'e{ f'", "a <b{c}#d> <'e{> <f'> 1:1\n"},
		{"an apostrophe is no quote", "", "a it's {\nb\n}", "a <it's> 1:1\n  b 2:1\n"},
		{"definitions by both forms", "", "$A=1\n$B=two words\n$C=\nx $A ${A}${B}y $AB $A.z $C", "x <1> <1two> <wordsy> <$AB> <$A.z> 4:1\n"},
		{"definitions are put in when used", "", "$X=10.2.${Y}\n$Y=0\na ${X}.1\n$Y=10\na ${X}.1", "a <10.2.0.1> 3:1\na <10.2.10.1> 5:1\n"},
		{"what is not defined stays", "", "a ${NONE} \"${NO}\" $NIX", "a <${NONE}> <${NO}> <$NIX> 1:1\n"},
		{"conditions", "m", "@m a\n@^m b\n@n c\n@^n d\n@n $A=1\n@m $A=2\nx $A\n$IF=@n\n$IF y", "a 1:4\nd 4:5\nx <2> 7:1\n"},
		{"definitions of several lines, one in another", "", "$S= \\\n s ${N} { \\\n  w $N \\\n\n }\n\n$V= \\\n v { \\\n $N=1 \\\n $S \\\n $N=2 \\\n $S \\\n }\n$V\n", "v 14:1\n  s <1> 14:1\n    w <1> 14:1\n  s <2> 14:1\n    w <2> 14:1\n"},
		{"a definition for others is left out whole", "m", "@n $A= \\\n x { \\\n }\ny", "y 4:1\n"},
		{"sequences", "", "~SEQ(A, 3) a ${A}\n~SEQ(B,8,6) b ${B}\n~SEQx(C,0x90,0x10,0xa0) c ${C}\n~SEQ(D,-2) d ${D}", "a <1> 1:1\na <2> 1:1\na <3> 1:1\nb <8> 2:1\nb <7> 2:1\nb <6> 2:1\nc <90> 3:1\nc <a0> 3:1\nd <-1> 4:1\nd <-2> 4:1\n"},
		{"lists, groups and one in another", "", "~LST({A,B},{1,2},{3,4}) ~LST(C,x,y) a ${A} ${B} ${C}", "a <1> <2> <x> 1:1\na <1> <2> <y> 1:1\na <3> <4> <x> 1:1\na <3> <4> <y> 1:1\n"},
		{"a sequence over a definition of several lines", "", "$R= \\\n r ${N} { \\\n w \\\n }\n~SEQ(N,2) $R", "r <1> 5:1\n  w 5:1\nr <2> 5:1\n  w 5:1\n"},
		{"predefined names", "me", "a ${_PWD} ${_INSTANCE} ${_HASH} ${_BANG}", "a <.> <me> <#> <!> 1:1\n"},
		{"line ends and marks of other systems", "", "\ufeffa {\r\n\tb\r\n}\r\n", "a 1:1\n  b 2:2\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, losses, err := parsed(t, c.in, KeepalivedOptions{ConfigID: c.id})
			if err != nil || losses != nil {
				t.Errorf("error %v, losses %v", err, losses)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("tree (-want +got):\n%s", diff)
			}
		})
	}
}

func TestQuotedWords(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"a b", []string{"a", "b"}},
		{`abcd" efg h jkl "mnop`, []string{"abcd efg h jkl mnop"}},
		{`abcd "efg h jkl" mnop`, []string{"abcd", "efg h jkl", "mnop"}},
		{`'a "b" c' ""`, []string{`a "b" c`, ""}},
		{`\x41\101\n\cC\"\\ \q`, []string{"AA\n\x03\"\\", "q"}},
		{`"\d+" \`, []string{"d+", `\`}},
		{`\xg \1`, []string{"xg", "\x01"}},
	} {
		if diff := cmp.Diff(c.want, quotedWords(c.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.in, diff)
		}
	}
}

func TestIncludes(t *testing.T) {
	fsys := fstest.MapFS{
		"etc/k/one.conf":      {Data: []byte("one\ninclude sub/*.conf\n")},
		"etc/k/sub/a.conf":    {Data: []byte("a ${_PWD}\n")},
		"etc/k/sub/b.conf":    {Data: []byte("b {\n")},
		"etc/k/sub/c.txt":     {Data: []byte("c\n")},
		"etc/k/circle.conf":   {Data: []byte("include circle.conf\n")},
		"etc/k/sub/not/x.con": {Data: []byte("c\n")},
	}
	read := func(src string) (string, Losses, error) {
		var l ledger
		var f faults
		var b strings.Builder
		opt := KeepalivedOptions{Include: IncludeFrom(fsys)}
		outline(parseKeepalived("/etc/k/k.conf", []byte(src), opt, &l, &f), "", &b)
		return b.String(), l.losses(), f.err()
	}
	got, losses, err := read("include {one,two}.conf\n}\ninclude none/*\nincluder \"sub/c.txt\"\n")
	want := "one /etc/k/one.conf:1:1\na </etc/k/sub> /etc/k/sub/a.conf:1:1\nb /etc/k/sub/b.conf:1:1\nc /etc/k/sub/c.txt:1:1\n"
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, tree (-want +got):\n%s", err, diff)
	}
	if len(losses) != 1 || losses[0].What != `include "none/*"` {
		t.Errorf("losses %v", losses)
	}
	for _, c := range []struct{ src, want string }{
		{"includem none/*\n", `/etc/k/k.conf:1:1: include "none/*": no file matches: add the file, or remove the line`},
		{"include\n", "/etc/k/k.conf:1:1: an include without a file name: name a file, or remove the line"},
		{"include circle.conf\n", "/etc/k/circle.conf:1:1: includes nested more than 32 deep: a file may include itself; break the circle"},
		{"include [\n", `/etc/k/k.conf:1:1: include "[": pattern "/etc/k/[": syntax error in pattern: make the file readable, or remove the line`},
	} {
		if _, _, err := read(c.src); err == nil || err.Error() != c.want {
			t.Errorf("%q: got %v, want %s", c.src, err, c.want)
		}
	}
	if _, losses, err := parsed(t, "include x\n", KeepalivedOptions{}); err != nil || len(losses) != 1 {
		t.Errorf("no way to read files: losses %v, error %v", losses, err)
	}
}

func TestKeepalivedFaults(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"a block that is not closed", "a 1 {\n b {\n }\n", "k.conf:1:1: the block a 1 is not closed: add a } at its end"},
		{"a brace too many", "a {\n}\n }\n", "k.conf:3:2: a } without a { before it: remove it, or look for a { that is missing above"},
		{"a brace without a name", "{\n}\n", "k.conf:1:1: a { without a word before it: remove it, or write what the block is"},
		{"a quote without its end", "a \"b\nc\n", "k.conf:1:3: a quote without its end: close the text with a second \""},
		{"a definition within itself", "$A=${A}b\nx ${A}\n", "k.conf:2:1: definitions make too much text of this line: a definition may contain itself; break the circle"},
		{"a definition of lines within itself", "$A= \\\nx \\\n$A\n$A\n", "k.conf:4:1: definitions nested more than 32 deep: a definition may contain itself; break the circle"},
		{"a sequence without an end", "~SEQ(A, 1 x\n", "k.conf:1:1: ~SEQ without a closing parenthesis: write ~SEQ(NAME, ...) and the line to repeat"},
		{"a sequence of words", "~SEQ(A, b) x\n", `k.conf:1:1: ~SEQ: "b" is no number: see keepalived.conf(5) for its form`},
		{"a step of nothing", "~SEQ(A, 1, 0, 3) x\n", "k.conf:1:1: ~SEQ: a step of 0 never ends: see keepalived.conf(5) for its form"},
		{"too many turns", "~SEQ(A, 1, 1000000) x\n", "k.conf:1:1: ~SEQ: more than 200000 turns: see keepalived.conf(5) for its form"},
		{"a list that does not match", "~LST({A,B}, {1}) x\n", "k.conf:1:1: ~LST: 1 values for 2 variables: see keepalived.conf(5) for its form"},
		{"no text", "a\x00b\n", "k.conf:1:1: not a text: there is a zero byte: convert a keepalived.conf"},
		{"too deep", strings.Repeat("a {\n", 33) + strings.Repeat("}\n", 32), "k.conf:33:3: blocks nested more than 32 deep: close the blocks above"},
		{"too long a line", strings.Repeat("x", 65<<10), "k.conf:1:1: a line of more than 65536 bytes: break the line"},
		{"too many lines", "~SEQ(A, 1, 2000) ~SEQ(B, 1, 2000) x\n", "k.conf:1:1: more than 200000 lines: shorten the sequences"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := parsed(t, c.in, KeepalivedOptions{})
			var invalid *lvscf.InvalidFileError
			if !errors.As(err, &invalid) || err.Error() != c.want {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestConditionsWithoutAMachine(t *testing.T) {
	got, losses, err := parsed(t, "@m a\n@^m b ${_INSTANCE} ${_RANDOM 1 2}\n@m auth_pass secret\n", KeepalivedOptions{})
	if want := "b <${_INSTANCE}> <${_RANDOM> <1> <2}> 2:5\n"; got != want || err != nil {
		t.Errorf("got %q, error %v, want %q", got, err, want)
	}
	want := `1. k.conf:1:1: @m a: the line is meant for some machines only, and none was named; nearest: convert again with the config id of a machine; without one only lines with @^ were read (this one: no)
2. k.conf:2:1: @^m b ${_INSTANCE} ${_RANDOM 1 2}: the line is meant for some machines only, and none was named; nearest: convert again with the config id of a machine; without one only lines with @^ were read (this one: yes)
3. k.conf:2:5: ${_INSTANCE}: it is the name of a machine, and none was named; nearest: convert again with the config id of a machine; the text was left as it is
4. k.conf:2:5: ${_RANDOM 1 2}: lvs.cf has no random numbers; nearest: put a number of your own in its place; the text was left as it is
5. k.conf:3:1: @m auth_pass ...: the line is meant for some machines only, and none was named; nearest: convert again with the config id of a machine; without one only lines with @^ were read (this one: no)
`
	if diff := cmp.Diff(want, losses.String()); diff != "" {
		t.Errorf("losses (-want +got):\n%s", diff)
	}
}

func TestFaultsShowNoSecrets(t *testing.T) {
	_, _, err := parsed(t, "a {\nauth_pass \"hidden\n", KeepalivedOptions{})
	var invalid *lvscf.InvalidFileError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v", err)
	}
	for _, d := range invalid.Diagnostics {
		if strings.Contains(d.String()+d.Source, "hidden") {
			t.Errorf("the password is shown: %s (%s)", d, d.Source)
		}
	}
}
