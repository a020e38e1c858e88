package lvscf

import (
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var sameConfig = []cmp.Option{cmpopts.IgnoreTypes(Origins{}, Pos{}), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})}

func TestEveryFieldSurvivesJSON(t *testing.T) {
	want := newFiller(1).config()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := &Config{Path: want.Path}
	if err := json.Unmarshal(text, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, sameConfig...); diff != "" {
		t.Errorf("after JSON (-want +got):\n%s", diff)
	}
	if again, err := json.Marshal(got); err != nil || string(again) != string(text) {
		t.Errorf("written again it differs, error %v:\n%s\n%s", err, text, again)
	}
	// A duration that is not hidden by its twin would be in nanoseconds.
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, x any)
	walk = func(path string, x any) {
		switch x := x.(type) {
		case map[string]any:
			for k, e := range x {
				walk(path+"/"+k, e)
			}
		case []any:
			for _, e := range x {
				walk(path, e)
			}
		case float64:
			if x > 1e6 {
				t.Errorf("%s = %v", path, x)
			}
		}
	}
	walk("", tree)
}

func TestDurationsInJSON(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		text string
	}{
		{0, "0"},
		{5 * time.Second, "5"},
		{-3 * time.Second, "-3"},
		{500 * time.Millisecond, "0.5"},
		{1250 * time.Millisecond, "1.25"},
		{-1500 * time.Millisecond, "-1.5"},
		{time.Nanosecond, "0.000000001"},
	} {
		text, err := json.Marshal(seconds(tt.d))
		if err != nil || string(text) != tt.text {
			t.Errorf("%v is written %s, error %v; want %s", tt.d, text, err, tt.text)
		}
		var back seconds
		if err := json.Unmarshal([]byte(tt.text), &back); err != nil || time.Duration(back) != tt.d {
			t.Errorf("%s is read as %v, error %v; want %v", tt.text, time.Duration(back), err, tt.d)
		}
	}
	for _, text := range []string{`"5"`, `true`, `1e3`, `99999999999`, `-99999999999.5`, `[1]`} {
		var s seconds
		if err := json.Unmarshal([]byte(text), &s); err == nil || !errors.Is(err, errSeconds) {
			t.Errorf("%s is read as %v, error %v; want %v", text, time.Duration(s), err, errSeconds)
		}
	}
}

func TestMissingLinesOfABlockAreDefaultsInJSON(t *testing.T) {
	var v Virtual
	if err := json.Unmarshal([]byte(`{"checks": [{"name": "web", "kind": "https"}]}`), &v); err != nil {
		t.Fatal(err)
	}
	if !v.Checks[0].Verify || v.Checks[0].Kind != CheckHTTPS {
		t.Errorf("%+v: certificates are taken unseen", v.Checks[0])
	}
	var c Config
	if err := json.Unmarshal([]byte(`{"vrrps": [{"name": "a", "preempt": false}]}`), &c); err != nil {
		t.Fatal(err)
	}
	if r := c.VRRPs[0]; r.Preempt || !r.Accept || r.Priority != 100 || r.AdvertInterval != time.Second {
		t.Errorf("%+v, want the defaults without preempt", r)
	}
}

// TestJSONNamesAreDirectives knows that a value has the same name in both
// languages.
func TestJSONNamesAreDirectives(t *testing.T) {
	notDirectives := map[string]bool{"name": true, "device": true, "virtuals": true, "failovers": true, "servers": true, "checks": true, "vrrps": true}
	for place, x := range map[string]any{"global": Config{}, "virtual": Virtual{}, "server": Server{}, "check": Check{}, "vrrp": VRRP{}} {
		have := map[string]bool{}
		var walk func(t reflect.Type)
		walk = func(t reflect.Type) {
			for f := range t.Fields() {
				if f.Anonymous {
					walk(f.Type)
				} else if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "-" {
					have[name] = true
				}
			}
		}
		walk(reflect.TypeOf(x))
		for _, d := range Directives() {
			if d.Block == place && !have[d.Name] {
				t.Errorf("%s: directive %s has no field", place, d.Name)
			}
			if d.Block == place {
				delete(have, d.Name)
			}
		}
		for name := range have {
			if !notDirectives[name] {
				t.Errorf("%s: field %s has no directive", place, name)
			}
		}
	}
}

func FuzzConfigJSON(f *testing.F) {
	full, err := json.Marshal(newFiller(3).config())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Add([]byte(`{"keepalive": 0.5, "virtuals": [{"name": "v", "checks": [{}], "servers": [{"forward": "direct"}]}], "vrrps": [{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := NewConfig()
		if json.Unmarshal(text, c) != nil {
			return
		}
		out, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		back := NewConfig()
		if err := json.Unmarshal(out, back); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if again, err := json.Marshal(back); err != nil || string(again) != string(out) {
			t.Fatalf("%v\n%s\n%s", err, out, again)
		}
		if ds := Diff(c, back); len(ds) > 0 || c.Digest() != back.Digest() {
			t.Fatalf("differences %v", ds)
		}
		c.Check()
	})
}
