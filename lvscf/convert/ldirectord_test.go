package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/lvscf"
)

// settings writes the values of a configuration that are not the defaults, a
// line each.
func settings(c *lvscf.Config) string {
	var b strings.Builder
	block := func(indent string, block, plain any) {
		have := fields(block)
		for _, name := range changed(block, plain) {
			fmt.Fprintf(&b, "%s%s = %s\n", indent, name, have[name])
		}
	}
	checks := func(indent string, list []lvscf.Check) {
		for _, k := range list {
			fmt.Fprintf(&b, "%scheck %s\n", indent, k.Name)
			block(indent+"  ", k, lvscf.NewCheck(k.Name))
		}
	}
	block("", c, lvscf.NewConfig())
	for _, v := range c.Virtuals {
		fmt.Fprintf(&b, "virtual %s\n", v.Name)
		block("  ", v, lvscf.NewVirtual(v.Name))
		checks("  ", v.Checks)
		for _, s := range v.Servers {
			fmt.Fprintf(&b, "  server %s\n", s.Name)
			block("    ", s, lvscf.NewServer(s.Name, v.Port))
			checks("    ", s.Checks)
		}
	}
	return b.String()
}

// TestImportLdirectordGolden compares the losses and the configuration of each
// ldirectord.cf of testdata with the file beside it.
func TestImportLdirectordGolden(t *testing.T) {
	fixtures(t, "testdata/ldirectord/*.cf", 14, func(t *testing.T, path string, src []byte) {
		cfg, losses, err := FromLdirectord(filepath.Base(path), src, ImportOptions{Device: "eth1"})
		if err != nil {
			t.Fatal(err)
		}
		checkLosses(t, losses)
		if ds := cfg.Check(); ds.HasErrors() {
			t.Errorf("the configuration has errors: %v", ds)
		}
		out := losses.String() + "\n" + settings(cfg)
		golden(t, strings.TrimSuffix(path, ".cf")+".want", []byte(out))
		for _, secret := range []string{"topsecret", "hush-hush"} {
			if strings.Contains(out, secret) {
				t.Errorf("the secret %s is shown", secret)
			}
		}
		writtenAndRead(t, cfg)
	})
}

// writtenAndRead checks that an lvs.cf can say the configuration.
func writtenAndRead(t *testing.T, c *lvscf.Config) {
	t.Helper()
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	back, ds := lvscf.Load("x.cf", f.Bytes())
	if err := ds.Err(); err != nil {
		t.Fatal(err)
	}
	want, err := ToJSON(c)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ToJSON(back); err != nil || !bytes.Equal(got, want) {
		t.Errorf("error %v, configuration (-imported +read from the file):\n%s", err, cmp.Diff(string(want), string(got)))
	}
}

// TestBadLdirectordGolden compares the whole text of the errors.
func TestBadLdirectordGolden(t *testing.T) {
	fixtures(t, "testdata/ldirectord/bad/*.cf", 3, func(t *testing.T, path string, src []byte) {
		cfg, losses, err := FromLdirectord(filepath.Base(path), src, ImportOptions{})
		var bad *lvscf.InvalidFileError
		if cfg != nil || losses != nil || !errors.As(err, &bad) {
			t.Fatalf("config %v, losses %v, error %v", cfg, losses, err)
		}
		golden(t, strings.TrimSuffix(path, ".cf")+".want", []byte(err.Error()+"\n"))
	})
}

// TestEveryLdirectordDirectiveIsImported checks that the fixtures have every
// directive, and every service and type of check.
func TestEveryLdirectordDirectiveIsImported(t *testing.T) {
	files, err := filepath.Glob("testdata/ldirectord/*.cf")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var f faults
		file := parseLdirectord(path, src, &f)
		for _, d := range file.globals {
			seen[d.name] = true
		}
		for _, s := range file.sections {
			seen[s.head.name] = true
			for _, d := range s.lines {
				seen[d.name] = true
				if d.name == "service" || d.name == "checktype" {
					seen[d.name+" "+d.value] = true
				}
			}
			_, port := splitPort(s.head.value)
			if n, ok := ldPort(port); ok {
				seen["service "+ldServiceOf(n)] = true
			}
		}
	}
	want := []string{"virtual", "virtual6"}
	for name := range ldirectordPlaces {
		want = append(want, name)
	}
	for name := range ldServices {
		want = append(want, "service "+name)
	}
	for _, name := range []string{"connect", "external", "external-perl", "negotiate", "off", "on", "ping", "4"} {
		want = append(want, "checktype "+name)
	}
	slices.Sort(want)
	for _, name := range want {
		if !seen[name] {
			t.Errorf("no fixture has %s", name)
		}
	}
}

func TestPosixExpression(t *testing.T) {
	for _, c := range []struct {
		in, want string
		ok       bool
	}{
		{"", "", true},
		{"plain text.", "plain text.", true},
		{`\d+\s\w`, `[0-9]+[[:space:]][[:alnum:]_]`, true},
		{`[\d.]x`, `[0-9.]x`, true},
		{`a\.b\(c\)`, `a\.b\(c\)`, true},
		{`a\\b`, `a\\b`, true},
		{`a\nb`, "a\nb", true},
		{`\bword`, "", false},
		{`(.)\1`, "", false},
		{`(?i)x`, "", false},
		{`a*?b+?[+?]*?`, `a*b+[+?]*`, true},
		{`a++`, "", false},
		{`(open`, "", false},
	} {
		got, ok := posixExpression(c.in)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%q gives %q, %v; want %q, %v", c.in, got, ok, c.want, c.ok)
		}
	}
}

// TestLargeLdirectordRange checks that a range up to the bound takes no longer
// than its length asks for.
func TestLargeLdirectordRange(t *testing.T) {
	src := "virtual = 192.0.2.1:80\n\treal = 10.0.0.0->10.1.134.159:80 gate\n"
	cfg, _, err := FromLdirectord("x.cf", []byte(src), ImportOptions{})
	if err != nil || len(cfg.Virtuals[0].Servers) != MaxLdirectordServers {
		t.Fatalf("error %v", err)
	}
}

func TestReverseName(t *testing.T) {
	im := &ldImport{}
	for _, c := range [][2]string{
		{"10.1.2.3", "3.2.1.10.in-addr.arpa"},
		{"[2001:db8::1]", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
	} {
		h, ok := im.host(c[0], c[0][0] == '[')
		if got := reverseName(h.Addr); !ok || got != c[1] {
			t.Errorf("%s: %s, want %s", c[0], got, c[1])
		}
	}
}

// TestLdirectordCorpus imports every file of the folder that
// LVSKIT_LDIRECTORD_CORPUS names: it comes out as a configuration without
// errors and with each loss explained, or is refused with a place and a cure.
func TestLdirectordCorpus(t *testing.T) {
	for name, src := range corpus(t, "LVSKIT_LDIRECTORD_CORPUS") {
		cfg, losses, err := FromLdirectord(name, src, ImportOptions{})
		var bad *lvscf.InvalidFileError
		switch {
		case errors.As(err, &bad):
			for _, d := range bad.Diagnostics {
				if !d.Pos.IsValid() || d.Message == "" || d.Cure == "" {
					t.Errorf("%s: bad diagnostic %q", name, d.String())
				}
			}
			t.Logf("%-40s refused: %v", name, bad.Diagnostics[0])
			continue
		case err != nil:
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkLosses(t, losses)
		if ds := cfg.Check(); ds.HasErrors() {
			t.Errorf("%s: the configuration has errors: %v", name, ds)
		}
		t.Logf("%-40s %d services, %d losses\n%v", name, len(cfg.Virtuals), len(losses), losses)
	}
}

// FuzzFromLdirectord checks what holds for any input: reading it ends, every
// place is one of the file, and what comes out is a configuration that JSON
// carries.
func FuzzFromLdirectord(f *testing.F) {
	addFixtures(f, "testdata/ldirectord/*.cf", "testdata/ldirectord/bad/*.cf")
	f.Fuzz(takesAnyLdirectord)
}

// takesAnyLdirectord checks what holds for any text.
func takesAnyLdirectord(t *testing.T, src string) {
	lines := strings.Split(strings.TrimPrefix(src, "\ufeff"), "\n")
	inside := func(p lvscf.Pos) bool {
		return p.Line >= 1 && p.Line <= len(lines) && p.Column >= 1 && p.Column <= len(lines[p.Line-1])+1
	}
	cfg, losses, err := FromLdirectord("x.cf", []byte(src), ImportOptions{})
	checkLosses(t, losses)
	for _, l := range losses {
		if l.Where.Pos != (lvscf.Pos{}) && !inside(l.Where.Pos) {
			t.Errorf("%v is out of the file", l)
		}
	}
	var bad *lvscf.InvalidFileError
	if errors.As(err, &bad) {
		for _, d := range bad.Diagnostics {
			if d.Message == "" || d.Cure == "" || strings.ContainsAny(d.String(), "\n\x00") || !inside(d.Pos) {
				t.Errorf("bad diagnostic %q", d.String())
			}
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	servers := 0
	for _, v := range cfg.Virtuals {
		servers += len(v.Servers)
	}
	if servers > 1000 {
		return // a range: the same again, only slower
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	back := lvscf.NewConfig()
	if err := json.Unmarshal(text, back); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if _, err := cfg.File(); err != nil {
		t.Errorf("no lvs.cf can say it: %v", err)
	}
	seen := map[string]bool{}
	for _, v := range cfg.Virtuals {
		if seen[v.Name] || v.Name == "" || strings.ContainsAny(v.Name, " \t{}\"'#") {
			t.Errorf("bad name %q", v.Name)
		}
		seen[v.Name] = true
		for _, c := range slices.Concat(v.Checks, []lvscf.Check{}) {
			for i := range reflect.TypeOf(c).NumField() {
				if s, ok := reflect.ValueOf(c).Field(i).Interface().(string); ok && !lineText(s) {
					t.Errorf("%q is no value of a file", s)
				}
			}
		}
	}
	Table(cfg)
}

// TestGeneratedLdirectordFiles imports files of directives and values by
// chance: what is not refused can be written as an lvs.cf that means the same,
// and every line that is in no loss has had an effect or none in ldirectord.
func TestGeneratedLdirectordFiles(t *testing.T) {
	odd := []string{
		`"plain"`, `"two words"`, `"it's"`, `"say "x" twice"`, `"both ' and ""`, `bare`, `"a#b"`, `"per%cent"`, `"back\slash\n"`, `"ünïcode"`,
		`"{brace}"`, `"tab	inside"`, `"$1"`, `"http://h.example.net:81/p?q=1"`, `"` + strings.Repeat("long", 80) + `"`, `"\d+[^x]?"`, `"(open"`, "\"\x01\"", "\"\xff\"",
	}
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	made := 0
	for n := range 1000 {
		var b strings.Builder
		for _, name := range []string{"checkinterval", "checktimeout", "negotiatetimeout", "failurecount", "checkcount"} {
			if r.IntN(3) == 0 {
				fmt.Fprintf(&b, "%s = %d\n", name, 1+r.IntN(20))
			}
		}
		if r.IntN(3) == 0 {
			fmt.Fprintf(&b, "quiescent = %s\nfork = %s\nfallback = 127.0.0.1%s\n", pick("yes", "no"), pick("yes", "no"), pick("", ":80", ":81 masq"))
		}
		for i := range 1 + r.IntN(3) {
			fmt.Fprintf(&b, "virtual = %s\n", pick(fmt.Sprintf("192.0.2.%d:%d", i+1, []int{80, 53, 21, 443, 7000}[r.IntN(5)]), fmt.Sprint(i+1), fmt.Sprintf("www%d.example.net:http", i)))
			for range r.IntN(4) {
				fmt.Fprintf(&b, "\t%s = %s\n", pick("request", "receive", "login", "passwd", "database", "secret", "virtualhost", "checkcommand", "fallbackcommand", "servicename", "comment"), pick(odd...))
			}
			if r.IntN(2) == 0 {
				fmt.Fprintf(&b, "\tchecktype = %s\n", pick("negotiate", "connect", "ping", "on", "off", "external", "external-perl", "3"))
			}
			if r.IntN(2) == 0 {
				services := slices.Sorted(maps.Keys(ldServices))
				fmt.Fprintf(&b, "\tservice = %s\n", pick(services...))
			}
			if r.IntN(4) == 0 {
				fmt.Fprintf(&b, "\tcheckport = %d\n", 80+r.IntN(3))
			}
			for range r.IntN(4) {
				fmt.Fprintf(&b, "\treal = 10.1.0.%d%s %s %s%s\n", 1+r.IntN(4), pick("", ":80", ":8080", "->10.1.0.9:80"), pick("gate", "masq", "ipip"),
					pick("", "0", "5"), pick("", "", ` "alive", "yes"`, ` 7 l:1 u:9`))
			}
		}
		cfg, losses, err := FromLdirectord("x.cf", []byte(b.String()), ImportOptions{Device: "eth0"})
		if err != nil {
			continue
		}
		made++
		checkLosses(t, losses)
		if ds := cfg.Check(); ds.HasErrors() {
			t.Errorf("file %d: %v\n%s", n, ds.Err(), b.String())
		}
		writtenAndRead(t, cfg)
		if t.Failed() {
			t.Fatalf("file %d:\n%s", n, b.String())
		}
	}
	if made < 300 {
		t.Errorf("only %d files of 1000 were read", made)
	}
}
