package lvscf

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	vimSyntaxFile = "editors/vim/syntax/lvscf.vim"
	vimDetectFile = "editors/vim/ftdetect/lvscf.vim"

	vimDetect = `" lvs.cf files. Made of the table of directives: go test ./lvscf -update
autocmd BufNewFile,BufRead lvs.cf,*.lvs.cf,*/lvs.d/*.cf,*/sysconfig/ha/*.cf setfiletype lvscf
`

	vimHead = `" Vim syntax file
" Language: lvs.cf, see lvs.cf(5)
" Made of the table of directives: go test ./lvscf -update

if exists("b:current_syntax")
  finish
endif

syntax case match
setlocal commentstring=#\ %s

syntax match lvscfComment /#.*$/
syntax match lvscfUnknown /^\s*[^#}[:blank:]=][^=[:blank:]]*\ze\s*=/
syntax region lvscfString start=/"/ end=/"/ oneline contains=lvscfEscape contained
syntax region lvscfString start=/'/ end=/'/ oneline contains=lvscfEscape contained
syntax match lvscfEscape /\\[nrt\\'"]/ contained
syntax match lvscfNumber /\<\d\+\%(\.\d\+\)\=\%(ms\|s\|m\|h\)\=\>/ contained
syntax match lvscfNumber /\<0[xX]\x\+\>/ contained
syntax match lvscfAddress /\<\d\{1,3}\%(\.\d\{1,3}\)\{3}\%(\/\d\+\)\=/ contained
syntax match lvscfAddress /\<\x*:[0-9a-fA-F:.]\+\%(\/\d\+\)\=/ contained
syntax match lvscfValue /=.*$/ contains=lvscfString,lvscfNumber,lvscfAddress,lvscfWord,lvscfComment
`

	vimTail = `
syntax sync fromstart

highlight default link lvscfComment Comment
highlight default link lvscfUnknown Error
highlight default link lvscfString String
highlight default link lvscfEscape SpecialChar
highlight default link lvscfNumber Number
highlight default link lvscfAddress Constant
highlight default link lvscfWord Type
highlight default link lvscfBlock Structure

let b:current_syntax = "lvscf"
`
)

// vimBlocks are the regions, innermost first: in each the blocks that stand in
// it.
var vimBlocks = []struct{ place, opener, inner string }{
	{"check", "check", ""},
	{"server", "server", "lvscfBlockCheck"},
	{"virtual", `\%(virtual\|failover\)`, "lvscfBlockServer,lvscfBlockCheck"},
	{"vrrp", "vrrp", "lvscfBlockCheck"},
}

func vimPlace(place string) string { return strings.ToUpper(place[:1]) + place[1:] }

func vimSyntax() string {
	var out strings.Builder
	out.WriteString(vimHead)
	words := map[string]bool{}
	var list []string
	for _, d := range Directives() {
		for _, w := range d.Words {
			if !words[w] && strings.Trim(w, "0123456789.") != "" {
				words[w] = true
				list = append(list, w)
			}
		}
	}
	fmt.Fprintf(&out, "syntax match lvscfWord /\\%%(^\\|[[:blank:]=,]\\)\\@<=\\%%(%s\\)\\%%($\\|[[:blank:],]\\)\\@=/ contained\n", strings.Join(list, `\|`))
	for _, place := range []string{"global", "virtual", "server", "check", "vrrp"} {
		contained := " contained"
		if place == "global" {
			contained = ""
		}
		for _, extension := range []bool{false, true} {
			group, link := "lvscf"+vimPlace(place), "Keyword"
			if extension {
				group, link = group+"Extension", "PreProc"
			}
			var names []string
			for _, d := range Directives() {
				if d.Block == place && (d.Since != "") == extension {
					names = append(names, d.Name)
				}
			}
			if len(names) > 0 {
				fmt.Fprintf(&out, "\nsyntax match %s /^\\s*\\%%(%s\\)\\ze\\s*=/ nextgroup=lvscfValue skipwhite%s\n", group, strings.Join(names, `\|`), contained)
				fmt.Fprintf(&out, "highlight default link %s %s\n", group, link)
			}
		}
	}
	for _, b := range vimBlocks {
		contained := ""
		if b.place == "server" || b.place == "check" {
			contained = " contained"
		}
		inner := "lvscfComment,lvscfUnknown,lvscfValue,lvscf" + vimPlace(b.place) + ",lvscf" + vimPlace(b.place) + "Extension"
		if b.inner != "" {
			inner += "," + b.inner
		}
		fmt.Fprintf(&out, "\nsyntax region lvscfBlock%s matchgroup=lvscfBlock start=/^\\s*%s\\s\\+\\S\\+\\s*{/ end=/^\\s*}/ fold%s\n\t\\ contains=%s\n",
			vimPlace(b.place), b.opener, contained, inner)
	}
	out.WriteString(vimTail)
	return out.String()
}

func TestVimFiles(t *testing.T) {
	generated(t, vimSyntaxFile, []byte(vimSyntax()))
	generated(t, vimDetectFile, []byte(vimDetect))
}

// TestVimKnowsEveryDirective opens a file with every directive in a real vim,
// and asks it for the group of each.
func TestVimKnowsEveryDirective(t *testing.T) {
	vim, err := exec.LookPath("vim")
	if err == nil {
		err = exec.CommandContext(t.Context(), vim, "-es", "-N", "-u", "NONE", "-c", `if !has("syntax") | cquit | endif`, "-c", "qall!").Run()
	}
	if err != nil {
		t.Skip("no vim with syntax highlighting is installed: internal/tools/deps.sh host")
	}
	type place struct {
		line, column int
		group        string
	}
	var lines []string
	var want []place
	expect := func(column int, group string) { want = append(want, place{len(lines), column, group}) }
	add := func(line string) { lines = append(lines, line) }
	directives := func(block, indent string) {
		for _, d := range Directives() {
			if d.Block != block {
				continue
			}
			add(indent + d.Name + " = " + d.Example)
			group := "lvscf" + vimPlace(block)
			if d.Since != "" {
				group += "Extension"
			}
			expect(len(indent)+1, group)
			switch value := len(indent) + len(d.Name) + 4; {
			case d.Example[0] == '"':
				expect(value+1, "lvscfString")
			case d.Words != nil && strings.Trim(d.Example, "0123456789.") != "":
				expect(value, "lvscfWord")
			case d.Type == "boolean" || d.Type == "seconds" || d.Type == "duration":
				expect(value, "lvscfNumber")
			case d.Type == "host" || d.Type == "netmask":
				expect(value, "lvscfAddress")
			}
		}
		add(indent + "no_such_thing = 1")
		expect(len(indent)+1, "lvscfUnknown")
	}
	add("# a comment")
	expect(1, "lvscfComment")
	directives("global", "")
	add("vrrp r {")
	expect(1, "lvscfBlock")
	directives("vrrp", "\t")
	add("}")
	add("virtual v {")
	directives("virtual", "\t")
	add("\tcheck k {")
	expect(2, "lvscfBlock")
	directives("check", "\t\t")
	add("\t}")
	add("\tserver s {")
	expect(2, "lvscfBlock")
	directives("server", "\t\t")
	add("\t\tcheck k {")
	expect(3, "lvscfBlock")
	add("\t\t\tkind = tcp")
	expect(4, "lvscfCheckExtension")
	add("\t\t}")
	add("\t\tweight = 1")
	expect(3, "lvscfServer")
	add("\t}")
	add("\tscheduler = wlc")
	expect(2, "lvscfVirtual")
	add("}")
	add("network = direct")
	expect(1, "lvscfGlobal")

	dir := t.TempDir()
	file, result := filepath.Join(dir, "lvs.cf"), filepath.Join(dir, "groups")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs("editors/vim")
	if err != nil {
		t.Fatal(err)
	}
	script := "set nocompatible\nset runtimepath^=" + here + "\nfiletype on\nsyntax on\nedit " + file + "\nlet out = [&filetype]\n"
	expected := []string{"lvscf"}
	for _, p := range want {
		script += fmt.Sprintf("call add(out, '%d:%d ' .. synIDattr(synID(%d, %d, 1), 'name'))\n", p.line, p.column, p.line, p.column)
		expected = append(expected, fmt.Sprintf("%d:%d %s", p.line, p.column, p.group))
	}
	script += "call writefile(out, '" + result + "')\nqall!\n"
	source := filepath.Join(dir, "script.vim")
	if err := os.WriteFile(source, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), vim, "-es", "-N", "-u", "NONE", "-i", "NONE", "-n", "-S", source)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	have, err := os.ReadFile(result)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(have)), "\n")
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s\nof\n%s", diff, strings.Join(lines, "\n"))
	}
}
