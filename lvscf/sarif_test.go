package lvscf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// sarifChecker holds a log against the rules of SARIF 2.1.0 that code hosts
// rely on; numbers are sections of the standard. It reads the text by itself
// and not by the types that write it, so that a field of another name shows.
type sarifChecker struct {
	faults []string
}

func (c *sarifChecker) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// has returns a member of an object, which must be there and of this type.
func has[T any](c *sarifChecker, of map[string]any, name string) T {
	v, ok := of[name].(T)
	if !ok {
		c.fault("%s is %v, want a %T", name, of[name], v)
	}
	return v
}

func (c *sarifChecker) check(text []byte) {
	if !utf8.Valid(text) {
		c.fault("not UTF-8")
	}
	var log map[string]any
	if err := json.Unmarshal(text, &log); err != nil {
		c.fault("no JSON: %v", err)
		return
	}
	if v := has[string](c, log, "version"); v != "2.1.0" { // 3.13.2
		c.fault("version %q", v)
	}
	if v := has[string](c, log, "$schema"); !strings.HasPrefix(v, "https://") || !strings.HasSuffix(v, "sarif-schema-2.1.0.json") { // 3.13.3
		c.fault("$schema %q", v)
	}
	runs := has[[]any](c, log, "runs")
	if len(runs) != 1 {
		c.fault("%d runs, want one", len(runs))
	}
	for _, r := range runs {
		c.run(r.(map[string]any))
	}
}

func (c *sarifChecker) run(run map[string]any) {
	if k := has[string](c, run, "columnKind"); k != "unicodeCodePoints" && k != "utf16CodeUnits" { // 3.14.17
		c.fault("columnKind %q", k)
	}
	driver := has[map[string]any](c, has[map[string]any](c, run, "tool"), "driver")
	if has[string](c, driver, "name") == "" { // 3.19.8
		c.fault("the driver has no name")
	}
	if u, err := url.Parse(has[string](c, driver, "informationUri")); err != nil || !u.IsAbs() { // 3.19.17
		c.fault("informationUri %v, %v", u, err)
	}
	var ids []string
	for _, r := range has[[]any](c, driver, "rules") {
		rule := r.(map[string]any)
		id := has[string](c, rule, "id")
		if slices.Contains(ids, id) { // 3.19.23: unique
			c.fault("two rules %s", id)
		}
		ids = append(ids, id)
		if n := has[string](c, rule, "name"); n == "" || strings.ContainsAny(n, " \t.") { // 3.49.7: an identifier
			c.fault("%s: name %q", id, n)
		}
		for _, part := range []string{"shortDescription", "fullDescription", "help"} { // 3.49.9 to 3.49.13
			text := has[string](c, has[map[string]any](c, rule, part), "text")
			if text == "" || part != "help" && !strings.HasSuffix(text, ".") { // 3.11.3: sentences
				c.fault("%s: %s %q", id, part, text)
			}
		}
		c.level(has[map[string]any](c, rule, "defaultConfiguration"))
	}
	// 3.14.23: results may be empty, and not missing, when something was run.
	for i, r := range has[[]any](c, run, "results") {
		result := r.(map[string]any)
		id := has[string](c, result, "ruleId")
		at := has[float64](c, result, "ruleIndex")
		if int(at) < 0 || int(at) >= len(ids) || ids[int(at)] != id { // 3.27.6
			c.fault("result %d: ruleIndex %v is not the rule %s", i, at, id)
		}
		c.level(result)
		if has[string](c, has[map[string]any](c, result, "message"), "text") == "" {
			c.fault("result %d says nothing", i)
		}
		locations := has[[]any](c, result, "locations")
		if len(locations) == 0 {
			c.fault("result %d is nowhere: code hosts leave it out", i)
		}
		for _, l := range locations {
			c.place(has[map[string]any](c, l.(map[string]any), "physicalLocation"))
		}
	}
}

func (c *sarifChecker) level(of map[string]any) { // 3.27.10
	if l := has[string](c, of, "level"); !slices.Contains([]string{"none", "note", "warning", "error"}, l) {
		c.fault("level %q", l)
	}
}

func (c *sarifChecker) place(at map[string]any) {
	uri := has[string](c, has[map[string]any](c, at, "artifactLocation"), "uri")
	u, err := url.Parse(uri)
	if err != nil || uri == "" {
		c.fault("uri %q: %v", uri, err)
		return
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(uri, "./"), "/")
	dotted := !u.IsAbs() && strings.Contains(first, ":")                                                                                                            // RFC 3986 4.2
	if u.IsAbs() != strings.HasPrefix(uri, "file:///") || strings.Contains(uri, `\`) || strings.HasPrefix(uri, "./") != dotted || strings.ContainsAny(uri, " \"") { // 3.4.3
		c.fault("uri %q", uri)
	}
	region := has[map[string]any](c, at, "region")
	line, start, end := has[float64](c, region, "startLine"), has[float64](c, region, "startColumn"), has[float64](c, region, "endColumn")
	if line < 1 || start < 1 || end < start { // 3.30.5 to 3.30.8
		c.fault("region %v", region)
	}
	for _, n := range []float64{line, start, end} {
		if n != float64(int(n)) {
			c.fault("region %v has a fraction", region)
		}
	}
	if snippet, ok := region["snippet"].(map[string]any); ok && has[string](c, snippet, "text") == "" {
		c.fault("an empty snippet")
	}
}

// TestSARIFOfEveryBadInput writes the findings of all bad files, each alone and
// all in one log.
func TestSARIFOfEveryBadInput(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.cf")
	if err != nil || len(files) < 120 {
		t.Fatalf("found %d fixtures, error %v", len(files), err)
	}
	var all Diagnostics
	checkLog := func(what string, ds Diagnostics) {
		t.Helper()
		var out bytes.Buffer
		if err := ds.WriteSARIF(&out, "1.2.3"); err != nil {
			t.Fatal(err)
		}
		var c sarifChecker
		c.check(out.Bytes())
		for _, f := range c.faults[:min(len(c.faults), 5)] {
			t.Errorf("%s: %s", what, f)
		}
	}
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []Dialect{Lenient, Strict} {
			_, ds := Options{Dialect: d}.Load(path, src)
			checkLog(path, ds)
			all = append(all, ds...)
		}
	}
	checkLog("all files", all)
	checkLog("no finding", nil)
	checkLog("a file without a name, and one with all kinds of marks", Diagnostics{
		{Code: codeEmpty, Pos: Pos{Line: 1, Column: 1}, Character: 1, EndCharacter: 1},
		{Code: codeEmpty, File: "/etc/my files/50%#?.cf", Pos: Pos{Line: 1, Column: 1}, Character: 1, EndCharacter: 1},
		{Code: codeEmpty, File: "a:b.cf", Pos: Pos{Line: 1, Column: 1}, Character: 1, EndCharacter: 1},
	})
}

// TestSARIFCheckerSeesFaults breaks a good log in one place after another.
func TestSARIFCheckerSeesFaults(t *testing.T) {
	_, ds := Load("lvs.cf", []byte("colour = blue\n"))
	var out bytes.Buffer
	if err := ds.WriteSARIF(&out, "1"); err != nil {
		t.Fatal(err)
	}
	good := out.String()
	for from, to := range map[string]string{
		`"2.1.0"`:            `"2.0.0"`,
		`"$schema"`:          `"schema"`,
		`"runs"`:             `"run"`,
		`"ruleId": "LVS030"`: `"ruleId": "LVS031"`,
		`"ruleIndex": 0`:     `"ruleIndex": 1`,
		`"level": "error"`:   `"level": "fatal"`,
		`"startLine": 1`:     `"startLine": 0`,
		`"startColumn": 1`:   `"startColumn": 0`,
		`"endColumn": 7`:     `"endColumn": 0`,
		`"uri": "lvs.cf"`:    `"uri": "./lvs.cf"`,
		`"results"`:          `"result"`,
		`"driver"`:           `"Driver"`,
		`"locations"`:        `"location"`,
		`"shortDescription"`: `"short"`,
	} {
		var c sarifChecker
		bad := strings.Replace(good, from, to, 1)
		if c.check([]byte(bad)); bad == good || len(c.faults) == 0 {
			t.Errorf("%s in place of %s is not seen (changed %v) in\n%s", to, from, bad != good, good)
		}
	}
	var c sarifChecker
	if c.check([]byte(good)); len(c.faults) > 0 {
		t.Errorf("the good one has faults: %v", c.faults)
	}
}
