package convert

import (
	"strings"
	"testing"
)

// FuzzParseKeepalived checks what holds for any input: reading it ends, within
// bounds, and every place is one of the input.
func FuzzParseKeepalived(f *testing.F) {
	for _, s := range []string{
		"a 1 {\n b \"2\" 3\n}\n", "$A= \\\n x { \\\n }\n@m $A\n", "~SEQx(A, 0x9, -1, 0) ~LST({B,C},{1,2}) a ${A}${B} ${_RANDOM 1 2}\n",
		"include x\n", "a 'b {\n}", "\"a\" {}{", "$A=$A\n$A ${A}\n", "a\\\"b \\\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		lines := strings.Split(strings.TrimPrefix(src, "\ufeff"), "\n")
		var l ledger
		var fs faults
		opt := KeepalivedOptions{ConfigID: "m", Include: func(string, string) ([]Included, error) { return []Included{{"inc", []byte("x {\n}\n")}}, nil }}
		count := 0
		var walk func(body []*statement, depth int)
		walk = func(body []*statement, depth int) {
			for _, s := range body {
				if depth > MaxKeepalivedDepth {
					t.Fatal("too deep")
				}
				count++
				if s.where.File == "k.conf" && (s.where.Line < 1 || s.where.Line > len(lines) || s.where.Column < 1 || s.where.Column > len(lines[s.where.Line-1])+1) {
					t.Errorf("%q at %v is out of the file", s.name, s.where)
				}
				quotedWords(s.raw)
				walk(s.body, depth+1)
			}
		}
		walk(parseKeepalived("k.conf", []byte(src), opt, &l, &fs), 0)
		for _, d := range fs.list {
			if d.message == "" || d.cure == "" || strings.ContainsAny(d.message+d.cure+d.source, "\n\x00") {
				t.Errorf("bad fault %+v", d)
			}
		}
	})
}
