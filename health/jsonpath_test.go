package health

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseJSONPath(t *testing.T) {
	name := func(key string) jsonStep { return jsonStep{key: key} }
	at := func(i int) jsonStep { return jsonStep{index: i, array: true} }
	for path, want := range map[string][]jsonStep{
		"":                    nil,
		"a":                   {name("a")},
		"a.b-c":               {name("a"), name("b-c")},
		"[0]":                 {at(0)},
		"status.db[0].ok":     {name("status"), name("db"), at(0), name("ok")},
		`a["b.c\"]"][12]`:     {name("a"), name(`b.c"]`), at(12)},
		`["\u00e9"]["x"].y z`: {name("é"), name("x"), name("y z")},
	} {
		got, err := parseJSONPath(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(jsonStep{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	for _, path := range []string{".a", "a.", "a..b", "a[", "a[]", "a[-1]", "a[1", "a]b", `a["b]`, `a["b"`, `a"b`, "a[0]b", "a[99999999999]", strings.Repeat("a", 257), strings.Repeat("[0]", 33)} {
		if steps, err := parseJSONPath(path); err == nil {
			t.Errorf("%s is read as %v", path, steps)
		}
	}
}

func TestJSONEqual(t *testing.T) {
	for _, tt := range []struct {
		text, want string
		equal      bool
	}{
		{"1", "1.0", true},
		{"1e3", "1000", true},
		{"-0", "0", true},
		{"0.1", "0.10", true},
		{"1", "0x1", false},
		{"10", "1_0", false},
		{"1", "", false},
		{`"1"`, "1", true},
		{`"1"`, "1.0", false},
		{"true", "true", true},
		{"true", "1", false},
		{"null", "null", true},
		{`"a\n"`, "a\n", true},
		{"9007199254740993", "9007199254740992", false},
	} {
		value, number, err := jsonScalar(json.RawMessage(tt.text))
		if err != nil || jsonEqual(value, number, tt.want) != tt.equal {
			t.Errorf("%s and %q: %q %t %v, want equal %t", tt.text, tt.want, value, number, err, tt.equal)
		}
	}
}

// FuzzJSON walks down any text by any path.
func FuzzJSON(f *testing.F) {
	f.Add("a.b[0]", `{"a":{"b":[{"ok":true}]}}`)
	f.Add(`["x.y"]`, `{"x.y":1e5,"x.y":"\ud800"}`)
	f.Add("", ` "text" `)
	f.Add("[1][2]", `[0,[1,2,`)
	f.Fuzz(func(t *testing.T, path, text string) {
		steps, err := parseJSONPath(path)
		if err != nil {
			return
		}
		if len(steps) > maxJSONSteps {
			t.Fatalf("%d steps", len(steps))
		}
		at, err := jsonAt([]byte(text), steps)
		if err != nil {
			return
		}
		if len(at) > len(text) || !json.Valid(at) {
			t.Fatalf("%q leads to %q", path, at)
		}
		value, number, err := jsonScalar(at)
		if err == nil && !jsonEqual(value, number, value) {
			t.Errorf("%q is not equal to itself", value)
		}
	})
}

// However many elements a server sends, none is kept that is not asked for.
func TestJSONOfManyElements(t *testing.T) {
	text := []byte(`{"a\u0062": [` + strings.Repeat("0,", 1<<15) + `[{"}]": "]"}, 7] ] }`)
	steps, err := parseJSONPath("ab[32768][1]")
	if err != nil {
		t.Fatal(err)
	}
	var got json.RawMessage
	allocs := testing.AllocsPerRun(3, func() { got, err = jsonAt(text, steps) })
	if string(got) != "7" || err != nil || allocs > 20 {
		t.Errorf("%s, %v, %v allocations", got, err, allocs)
	}
}
