package health

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMachine(t *testing.T) {
	// O ok, F fail, N no result; below each the state after it.
	for name, tt := range map[string]struct {
		start      State
		rise, fall int
		verdicts   string
		want       string
	}{
		"the first success decides":                 {Unknown, 3, 3, "O", "u"},
		"the first failure decides":                 {Unknown, 3, 3, "F", "d"},
		"no result decides nothing":                 {Unknown, 1, 1, "NNNO", "???u"},
		"one failure is enough by default":          {Up, 0, 0, "OF", "ud"},
		"one success is enough by default":          {Down, 0, 0, "FO", "du"},
		"three failures in a row":                   {Up, 1, 3, "FFF", "uud"},
		"a success between them starts over":        {Up, 1, 3, "FFOFFF", "uuuuud"},
		"no result between them does not":           {Up, 1, 3, "FNFNF", "uuuud"},
		"two successes in a row":                    {Down, 2, 1, "OO", "du"},
		"a failure between them starts over":        {Down, 2, 1, "OFOO", "dddu"},
		"no result never takes down":                {Up, 1, 1, "NNNNNN", "uuuuuu"},
		"successes before a change count no longer": {Unknown, 2, 1, "OOOFO", "uuudd"},
		"failures before a change count no longer":  {Unknown, 1, 2, "FFFOF", "ddduu"},
	} {
		t.Run(name, func(t *testing.T) {
			p := Policy{Rise: tt.rise, Fall: tt.fall}.withDefaults()
			m := machine{state: tt.start}
			var got strings.Builder
			for _, v := range tt.verdicts {
				was := m.state
				var changed bool
				m, changed = m.step(p, map[rune]Verdict{'O': OK, 'F': Fail, 'N': NoResult}[v])
				if changed != (m.state != was) {
					t.Errorf("changed = %t from %v to %v", changed, was, m.state)
				}
				got.WriteByte("?ud"[m.state])
			}
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMachineInterval(t *testing.T) {
	p := Policy{Interval: 10, FastInterval: 1, DownInterval: 100, Rise: 2, Fall: 2}
	for name, tt := range map[string]struct {
		m    machine
		want time.Duration
	}{
		"unknown":               {machine{}, 10},
		"up and agreed":         {machine{state: Up, oks: 4}, 10},
		"up and doubted":        {machine{state: Up, fails: 1}, 1},
		"down and agreed":       {machine{state: Down, fails: 4}, 100},
		"down and doubted":      {machine{state: Down, oks: 1}, 1},
		"remembered to be up":   {machine{state: Up}, 10},
		"remembered to be down": {machine{state: Down}, 100},
	} {
		t.Run(name, func(t *testing.T) {
			if got, _ := tt.m.interval(p); got != tt.want {
				t.Errorf("interval = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestPolicy(t *testing.T) {
	for name, tt := range map[string]struct {
		p    Policy
		want time.Duration
	}{
		"zero value":                      {Policy{}, 20 * time.Second},
		"three failures":                  {Policy{Interval: 2 * time.Second, Timeout: time.Second, Fall: 3}, 7 * time.Second},
		"fast interval":                   {Policy{Interval: 10 * time.Second, FastInterval: 2 * time.Second, Timeout: time.Second, Fall: 3}, 15 * time.Second},
		"time-out beyond a fast interval": {Policy{Interval: 10 * time.Second, FastInterval: time.Second, Timeout: 3 * time.Second, Fall: 2}, 16 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tt.p.Validate(); err != nil {
				t.Error(err)
			}
			if got := tt.p.WorstDetection(); got != tt.want {
				t.Errorf("WorstDetection = %v, want %v", got, tt.want)
			}
		})
	}
	err := Policy{Interval: 5, FastInterval: -1, Timeout: -time.Hour, Rise: -1, Fall: -2}.Validate()
	for _, word := range []string{"interval 5ns", "fast interval -1ns", "timeout -1h", "rise -1", "fall -2"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not name %q", err, word)
		}
	}
}

func TestEnumTexts(t *testing.T) {
	type enum interface {
		MarshalText() ([]byte, error)
		String() string
	}
	roundTrip := func(in enum, unmarshal func([]byte) (enum, error)) {
		t.Helper()
		text, _ := in.MarshalText()
		out, err := unmarshal(text)
		if err != nil || out != in {
			t.Errorf("%v came back as %v, %v", in, out, err)
		}
	}
	for n := range 256 {
		roundTrip(Verdict(n), func(b []byte) (enum, error) { var v Verdict; err := v.UnmarshalText(b); return v, err })
		roundTrip(State(n), func(b []byte) (enum, error) { var v State; err := v.UnmarshalText(b); return v, err })
		roundTrip(Transport(n), func(b []byte) (enum, error) { var v Transport; err := v.UnmarshalText(b); return v, err })
	}
	for _, bad := range []string{"", "OK", "verdict(3", "verdict(300)", "verdict(3) ", "state(7)", "verdict(03)"} {
		var v Verdict
		if err := v.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("verdict %q was taken for %v", bad, v)
		}
	}
}

func FuzzEnumTexts(f *testing.F) {
	f.Add("ok")
	f.Add("verdict(9)")
	f.Fuzz(func(t *testing.T, text string) {
		var v Verdict
		if v.UnmarshalText([]byte(text)) == nil && v.String() != text && v > Fail {
			t.Errorf("%q became %v", text, v)
		}
	})
}
