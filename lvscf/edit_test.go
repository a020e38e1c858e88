package lvscf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
