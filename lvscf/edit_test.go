package lvscf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/diff"
)

// sameElsewhere reports a directive that edits of other paths changed. It
// knows the file as a list of paths with their words, and nothing of how
// edits are made.
func sameElsewhere(before, after *File, edits []Edit) error {
	index := regexp.MustCompile(`#[0-9]+`)
	touched := func(p string) bool {
		p = index.ReplaceAllString(p, "")
		for _, e := range edits {
			named := index.ReplaceAllString(e.Path.String(), "")
			if p == named || strings.HasPrefix(p, named+"/") {
				return true
			}
			if e.Op == RenameOp {
				renamed := slices.Clone(e.Path)
				renamed[len(renamed)-1].Name = e.Name
				if strings.HasPrefix(p, index.ReplaceAllString(renamed.String(), "")+"/") {
					return true
				}
			}
		}
		return p == "serial_no"
	}
	a, b := flat(before), flat(after)
	for p, words := range a {
		if !touched(p) && !slices.Equal(words, b[p]) {
			return fmt.Errorf("%s was %q and is %q", p, words, b[p])
		}
	}
	for p, words := range b {
		if _, ok := a[p]; !ok && !touched(p) {
			return fmt.Errorf("%s is %q and was not there", p, words)
		}
	}
	return nil
}

// flat returns the words of each directive of a file by its path, those of
// all its lines together, and the comments of each body.
func flat(f *File) map[string][]string {
	all := map[string][]string{}
	var walk func(p Path, nodes []Node)
	walk = func(p Path, nodes []Node) {
		seen := map[Step]int{}
		for _, n := range nodes {
			switch n := n.(type) {
			case *Line:
				if n.Kind == DirectiveLine {
					key := p.Directive(n.Tokens[0].Text).String()
					for _, t := range n.Tokens[1:] {
						all[key] = append(all[key], t.Text)
					}
				}
			case *Block:
				s := Step{Kind: n.Kind, Name: n.Name}
				seen[s]++
				q := p.Block(n.Kind, n.Name)
				if seen[s] > 1 {
					q = q.Nth(seen[s])
				}
				all[q.String()+"/"] = nil
				walk(q, n.Body)
			}
		}
	}
	walk(nil, f.Body)
	return all
}

func TestPaths(t *testing.T) {
	tests := []struct {
		text string
		want Path
		as   string // how it is written, if not as read
	}{
		{"", nil, ""},
		{"serial_no", Path{}.Directive("serial_no"), ""},
		{"virtual web", Path{}.Virtual("web"), ""},
		{"virtual web/server a/weight", Path{}.Virtual("web").Server("a").Directive("weight"), ""},
		{` virtual "web" / server "a" / weight `, Path{}.Virtual("web").Server("a").Directive("weight"), "virtual web/server a/weight"},
		{"failover db/start_cmd", Path{}.Failover("db").Directive("start_cmd"), ""},
		{"virtual web#2/port", Path{}.Virtual("web").Nth(2).Directive("port"), ""},
		{"heartbeat_path#3", Path{}.Directive("heartbeat_path").Nth(3), ""},
		{`virtual "10.0.0.0/8"/port`, Path{}.Virtual("10.0.0.0/8").Directive("port"), ""},
		{`virtual "a b#1\"c"#4`, Path{}.Virtual(`a b#1"c`).Nth(4), ""},
		{`virtual [server_name]/server 10.0.0.1:80`, Path{}.Virtual("[server_name]").Server("10.0.0.1:80"), ""},
		{`virtual "ünï"`, Path{}.Virtual("ünï"), ""},
		{`virtual ünï`, Path{}.Virtual("ünï"), `virtual "ünï"`},
		{"virtual virtual/server server/check", Path{}.Virtual("virtual").Server("server").Directive("check"), ""},
		{"virtual web/check http/kind", Path{}.Virtual("web").Block(CheckBlock, "http").Directive("kind"), ""},
		{`virtual ""`, Path{}.Virtual(""), ""},
	}
	for _, tt := range tests {
		got, err := ParsePath(tt.text)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
		as := tt.as
		if as == "" {
			as = tt.text
		}
		if got.String() != as {
			t.Errorf("%q is written %q", tt.text, got)
		}
		var back Path
		if text, err := json.Marshal(got); err != nil || json.Unmarshal(text, &back) != nil || back.String() != as {
			t.Errorf("%q comes out of JSON as %q, error %v", tt.text, back, err)
		}
	}
	for _, bad := range []string{
		"/", "virtual web/", "weight/port", "virtual web server", "virtual web#0", "virtual web#", "virtual web#x",
		`virtual "web`, "virtual web//port", "Port", "virtual web = 1", "virtual/port",
	} {
		if p, err := ParsePath(bad); err == nil {
			t.Errorf("%q is read as %#v", bad, p)
		}
	}
}

// Building on a path never changes a longer one that was built on it before.
func TestPathsDoNotShare(t *testing.T) {
	web := Path{}.Virtual("web")
	a, b := web.Server("a").Directive("weight"), web.Server("b").Directive("port")
	if a.String() != "virtual web/server a/weight" || b.String() != "virtual web/server b/port" || web.Nth(2).Parent() == nil || web[0].Index != 0 {
		t.Errorf("%s, %s, %s", web, a, b)
	}
}

func TestEditText(t *testing.T) {
	for _, text := range []string{
		`set virtual web/send = "GET / HTTP/1.0\r\n\r\n"`,
		`set nat_router = 10.0.0.254 eth1:1`,
		`set virtual web/expect = 'say "hello"'`,
		`set virtual web/dirs = /var/www /etc/httpd`,
		`set active_cmd = ""`,
		`add virtual web/server c`,
		`add heartbeat_path = 10.0.0.1 10.0.0.2`,
		`remove virtual web/persistent`,
		`rename virtual web to "a/b"`,
		`move virtual web/server c to 1`,
	} {
		e, err := ParseEdit(text)
		if err != nil {
			t.Error(err)
			continue
		}
		if e.String() != text {
			t.Errorf("%q is written %q", text, e)
		}
		js, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back Edit
		if err := json.Unmarshal(js, &back); err != nil {
			t.Fatalf("%s: %v", js, err)
		}
		if diff := cmp.Diff(e, back); diff != "" {
			t.Errorf("%s (-want +got):\n%s", js, diff)
		}
	}
	if e, err := ParseEdit("set virtual web/dirs = [ /a /b ]"); err != nil || !slices.Equal(e.Values, []string{"/a", "/b"}) {
		t.Errorf("a list in brackets: %v, error %v", e, err)
	}
	for _, bad := range []string{
		"", "set", "put port = 1", "set virtual web", "rename virtual web", "move virtual web to x", "move virtual web to 0", "move port to 1",
		"rename port to x", "add virtual web = 1", "add virtual web#2", "set port = \"x", "remove virtual web to x", "set weight/port = 1", "remove",
	} {
		if e, err := ParseEdit(bad); err == nil {
			t.Errorf("%q is read as %#v", bad, e)
		}
	}
}

const editedFile = `serial_no = 1
network = direct
virtual web {
    active = 1
    address = 192.0.2.10 eth0:1
    server one {
        address = 192.0.2.21
        active = 1
    }
}
`

func TestEditErrors(t *testing.T) {
	f, _ := Parse("lvs.cf", []byte(editedFile))
	web := Path{}.Virtual("web")
	tests := []struct {
		name string
		edit Edit
		want string
		is   error
	}{
		{"a block that is not there", Set(Path{}.Virtual("mail").Directive("port"), "25"), "no such block", fs.ErrNotExist},
		{"an index beyond the last", Remove(web.Nth(2)), "no such block", fs.ErrNotExist},
		{"a line that is not there", Remove(web.Directive("fwmark")), "no such line", fs.ErrNotExist},
		{"a block that is there", Add(web), "virtual web already", fs.ErrExist},
		{"a line that is there", Add(web.Directive("active"), "0"), "already", fs.ErrExist},
		{"a misspelt directive", Set(web.Directive("adress"), "x"), `did you mean "address"`, nil},
		{"a directive of another place", Set(web.Directive("weight"), "1"), "belongs in a server block", nil},
		{"too few words", Set(web.Directive("address"), "192.0.2.1"), "needs 2 values, not 1", nil},
		{"too many words", Set(web.Directive("port"), "80", "81"), "needs 1 value, not 2", nil},
		{"a value out of range", Set(web.Directive("port"), "99999"), "99999", nil},
		{"a line end", Set(web.Directive("send"), "a\nb"), "line end", nil},
		{"a zero byte", Set(web.Directive("send"), "a\x00b"), "no UTF-8", nil},
		{"both quotes and a blank", Set(web.Directive("expect"), `it's "ok"`), "quotes of both kinds", nil},
		{"a name with a line end", Rename(web, "a\nb"), "one line", nil},
		{"a name with both quotes and a blank", Rename(web, `a 'b" c`), "no way to write the name", nil},
		{"a server in no service", Add(Path{}.Server("a")), "does not belong there", nil},
		{"a service in a server", Add(web.Server("one").Virtual("x")), "does not belong there", nil},
		{"an empty path", Remove(nil), "path is empty", nil},
		{"no operation", Edit{Path: web}, "does nothing", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// A good edit first: nothing of it may stay.
			g, err := f.Apply(Set(web.Directive("port"), "8080"), tt.edit)
			if err == nil || g != nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want an error with %q", err, tt.want)
			}
			var at *EditError
			if !errors.As(err, &at) || at.Index != 1 {
				t.Errorf("%v does not tell that the second edit is at fault", err)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is no %v", err, tt.is)
			}
			if string(f.Bytes()) != editedFile {
				t.Error("the file changed")
			}
		})
	}
	broken, _ := Parse("lvs.cf", []byte("virtual web {\n"))
	if _, err := broken.Apply(Remove(web)); err == nil {
		t.Error("a broken file was edited")
	}
	// What breaks only the whole is refused as a whole.
	_, err := f.Apply(Remove(Path{}.Directive("serial_no")), Remove(Path{}.Directive("network")), Remove(web))
	var at *EditError
	if !errors.As(err, &at) || at.Index != -1 || !strings.Contains(err.Error(), "Empty configuration") {
		t.Errorf("emptying a file: %v", err)
	}
}

func TestValues(t *testing.T) {
	f, _ := Parse("lvs.cf", []byte(editedFile+"heartbeat_path = 10.0.0.1 10.0.0.2\nheartbeat_path = 10.1.0.1 10.1.0.2\n"))
	for text, want := range map[string]string{
		"virtual web/address": "192.0.2.10 eth0:1", "virtual web/server one/active": "1",
		"heartbeat_path": "10.1.0.1 10.1.0.2", "heartbeat_path#1": "10.0.0.1 10.0.0.2",
	} {
		p, err := ParsePath(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Values(p); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, error %v", text, got, err)
		}
	}
	for _, text := range []string{"virtual web/port", "virtual mail/port", "heartbeat_path#3"} {
		p, err := ParsePath(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Values(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %q, error %v", text, got, err)
		}
	}
	if _, err := f.Values(Path{}.Virtual("web")); err == nil {
		t.Error("a block has values")
	}
}

// editSamples passes the fixtures, the files of the corpus and generated ones.
func editSamples(t testing.TB, generated uint64, yield func(name string, src []byte)) {
	t.Helper()
	folders := []string{"testdata"}
	if corpus := os.Getenv("LVSKIT_CORPUS"); corpus != "" {
		folders = append(folders, corpus)
	}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.cf"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s, error %v", folder, err)
		}
		for _, path := range files {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			yield(filepath.Base(path), src)
		}
	}
	for seed := range generated {
		yield(fmt.Sprintf("seed %d", seed), generate(seed))
	}
}

// directivePaths returns the path of each directive line of a file that is
// without fault, with indexes wherever there are several, and its words.
func directivePaths(f *File) (paths []Path, values [][]string) {
	faulty := map[int]bool{}
	_, ds := f.Config()
	for _, d := range ds {
		faulty[d.Line] = faulty[d.Line] || d.Severity == Error
	}
	var walk func(p Path, nodes []Node)
	walk = func(p Path, nodes []Node) {
		seen, all := map[Step]int{}, map[Step]int{}
		step := func(n Node) (s Step, ok bool) {
			switch n := n.(type) {
			case *Block:
				return Step{Kind: n.Kind, Name: n.Name}, true
			case *Line:
				if n.Kind == DirectiveLine {
					return Step{Name: n.Tokens[0].Text}, true
				}
			}
			return Step{}, false
		}
		for _, n := range nodes {
			if s, ok := step(n); ok {
				all[s]++
			}
		}
		for _, n := range nodes {
			s, ok := step(n)
			if !ok {
				continue
			}
			seen[s]++
			q := p.with(s)
			if all[s] > 1 {
				q = q.Nth(seen[s])
			}
			switch n := n.(type) {
			case *Block:
				walk(q, n.Body)
			case *Line:
				if faulty[n.Number] {
					continue
				}
				var words []string
				for _, t := range n.values() {
					words = append(words, t.Text)
				}
				paths, values = append(paths, q), append(values, words)
			}
		}
	}
	walk(nil, f.Body)
	return paths, values
}

// Setting what is there changes no byte, and setting a directive and removing
// it again changes none but those of serial_no.
func TestEditsBackAndForth(t *testing.T) {
	n := uint64(80)
	if testing.Short() {
		n = 20
	}
	edited := 0
	editSamples(t, n, func(name string, src []byte) {
		f, ds := Parse(name, src)
		if ds.HasErrors() {
			return
		}
		before, doubts := f.Config()
		var same []Edit
		paths, values := directivePaths(f)
		for i, p := range paths {
			if e := Set(p, values[i]...); setable(f, e) {
				same = append(same, e)
			}
		}
		if g, err := f.Apply(same...); err != nil || g != f {
			t.Fatalf("%s: setting what is there: changed %v, error %v", name, g != f, err)
		}
		// In each block, one directive that is not there.
		for p := range blockPaths(f) {
			b := blockOf(t, f, p)
			for _, d := range inOrder(placeOfPath(p)) {
				if len(b.directives(d.name)) > 0 || d.name == "serial_no" || d.args != 1 || strings.Contains(d.example, `"`) {
					continue
				}
				edited++
				path := p.Directive(d.name)
				g, err := f.Apply(Set(path, d.example))
				var invalid *InvalidFileError
				if errors.As(err, &invalid) {
					continue // it does not go with the rest of the file
				}
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if got, err := g.Values(path); err != nil || len(got) != 1 || got[0] != d.example {
					t.Fatalf("%s: %s is %q, error %v", name, path, got, err)
				}
				if err := sameElsewhere(f, g, []Edit{Set(path)}); err != nil {
					t.Fatalf("%s: setting %s: %v", name, path, err)
				}
				edits := []Edit{Remove(path)}
				if before.Origins.Has("serial_no") && !before.Origins.refused("serial_no") {
					values, err := f.Values(Path{}.Directive("serial_no"))
					if err != nil {
						t.Fatal(err)
					}
					edits = append(edits, Set(Path{}.Directive("serial_no"), values...))
				}
				h, err := g.Apply(edits...)
				if doubts.HasErrors() && errors.As(err, &invalid) {
					continue // it mended what was wrong before
				}
				if err != nil {
					t.Fatalf("%s: removing %s: %v", name, path, err)
				}
				if changed := diff.Diff("before", src, "after", h.Bytes()); changed != nil {
					t.Fatalf("%s: setting and removing %s changed\n%q", name, path, changed)
				}
				break
			}
		}
	})
	if edited < 100 {
		t.Errorf("only %d directives set and removed", edited)
	}
}

// setable reports whether the value of a line can be set: whether the language
// has the directive and the value is no fault.
func setable(f *File, e Edit) bool {
	d := findDirective(e.Path.last().Name, placeOfPath(e.Path.Parent()))
	if d == nil {
		return false
	}
	_, err := d.check(e.Values, f.dialect, scratchScope(d.where))
	return err == nil
}

func placeOfPath(p Path) blockMask {
	if len(p) == 0 {
		return inGlobal
	}
	return p.last().Kind.mask()
}

// blockPaths passes the paths of the blocks of a file, the empty one first.
func blockPaths(f *File) iter.Seq[Path] {
	return func(yield func(Path) bool) {
		var walk func(p Path, nodes []Node) bool
		walk = func(p Path, nodes []Node) bool {
			if !yield(p) {
				return false
			}
			seen := map[Step]int{}
			for _, n := range nodes {
				if b, ok := n.(*Block); ok {
					s := Step{Kind: b.Kind, Name: b.Name}
					seen[s]++
					s.Index = seen[s]
					if !walk(p.with(s), b.Body) {
						return false
					}
				}
			}
			return true
		}
		walk(nil, f.Body)
	}
}

func blockOf(t testing.TB, f *File, p Path) *Block {
	t.Helper()
	b, err := newEditor(f).block(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGeneratedFilesAreKept(t *testing.T) {
	n := uint64(10_000)
	if testing.Short() {
		n = 500
	}
	lines := 0
	for seed := range n {
		src := generate(seed)
		f, ds := Parse("lvs.cf", src)
		if ds.HasErrors() {
			t.Fatalf("seed %d: %v", seed, ds)
		}
		if !bytes.Equal(f.Bytes(), src) {
			t.Fatalf("seed %d: other bytes are printed than were read:\n%q\n%q", seed, src, f.Bytes())
		}
		lines += bytes.Count(src, []byte("\n"))
	}
	t.Logf("%d files of %d lines on average", n, lines/int(n))
}
