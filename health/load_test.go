package health

import (
	"encoding/json"
	"math"
	"testing"
)

func TestLoadInWords(t *testing.T) {
	for want, l := range map[string]Load{
		"load 0.00":                      {},
		"load 1.25":                      {One: 1.25},
		"load 1.25 on 1 core":            {One: 1.25, Cores: 1},
		"load 0.00 0.50 0.25":            {Five: 0.5, Fifteen: 0.25},
		"load 4.67 2.61 1.27 on 8 cores": {One: 4.67, Five: 2.61, Fifteen: 1.27, Cores: 8},
	} {
		if got := l.String(); got != want {
			t.Errorf("%#v is %q, want %q", l, got, want)
		}
	}
}

func TestLoadThatCannotBe(t *testing.T) {
	for _, l := range []Load{{One: -1}, {One: math.NaN()}, {Five: math.Inf(1)}, {Fifteen: 1e9}, {Cores: -1}, {Cores: 1 << 20}} {
		if l.check() == nil {
			t.Errorf("%#v is taken for a load", l)
		}
	}
	for _, l := range []Load{{}, {One: 1000, Five: 0.01, Cores: 4096}} {
		if err := l.check(); err != nil {
			t.Errorf("%#v: %v", l, err)
		}
	}
}

func TestLoadAsJSON(t *testing.T) {
	b, err := json.Marshal(Result{Verdict: OK, Load: &Load{One: 0, Cores: 2}})
	if err != nil {
		t.Fatal(err)
	}
	var r Result
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if r.Load == nil || *r.Load != (Load{Cores: 2}) {
		t.Errorf("load %v after %s", r.Load, b)
	}
}
