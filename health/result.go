package health

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Verdict is the answer of one check.
type Verdict uint8

// The verdicts. The zero value is NoResult, so that a forgotten verdict
// changes nothing.
const (
	// NoResult means that we could not ask; see [Result].
	NoResult Verdict = iota
	// OK means that new connections may go to the target.
	OK
	// Fail means that the target did not answer as wanted.
	Fail
)

var verdictNames = [...]string{NoResult: "no-result", OK: "ok", Fail: "fail"}

// String returns "no-result", "ok", "fail", or "verdict(N)" for a number
// that this version does not know.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// MarshalText writes the same text as String.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (v *Verdict) UnmarshalText(text []byte) error {
	n, err := parseEnum(string(text), verdictNames[:], "verdict")
	if err == nil {
		*v = Verdict(n)
	}
	return err
}

// parseEnum finds text among names, or reads the "kind(N)" form that String
// gives to numbers without a name.
func parseEnum(text string, names []string, kind string) (uint8, error) {
	for i, name := range names {
		if text == name {
			return uint8(i), nil
		}
	}
	var n uint8
	if _, err := fmt.Sscanf(text, kind+"(%d)", &n); err == nil && text == fmt.Sprintf("%s(%d)", kind, n) {
		return n, nil
	}
	return 0, fmt.Errorf("%s %q: want one of %s", kind, text, strings.Join(names, ", "))
}

// Phase is one step of a check and how long it took.
type Phase struct {
	// Name is one of "connect", "tls", "send", "read", "start", "run", or the
	// step of a protocol, such as "greeting" or "quit".
	Name     string        `json:"name"`
	Duration time.Duration `json:"duration_ns"`
}

// Bounds of what a Result carries, so that no server can make us grow.
const (
	// MaxSeen is the most bytes of an answer that a Result keeps.
	MaxSeen = 256
	// MaxReason is the longest Reason in bytes that a Monitor keeps.
	MaxReason = 512
	// MaxPerf is the most numbers that a Result carries, and maxPerfText the
	// longest text of one in bytes.
	MaxPerf     = 64
	maxPerfText = 128
)

// Result is what one check found out. It is not changed after Check returned
// it, and so may be shared.
type Result struct {
	// Verdict is the answer. NoResult means that the question could not be
	// asked for a reason on our side: out of file descriptors, memory or
	// ports, no local route, forbidden by our own firewall, a program that
	// could not be started, or a check that we cancelled ourselves.
	Verdict Verdict `json:"verdict"`
	// Reason is one line: the phase and what happened in it.
	Reason string `json:"reason"`
	// Phases are the steps in the order they were taken, the failed one
	// included.
	Phases []Phase `json:"phases,omitempty"`
	// Seen is the beginning of the answer, at most MaxSeen bytes.
	Seen []byte `json:"seen,omitempty"`
	// Start is when the check began, with its monotonic reading.
	Start time.Time `json:"start"`
	// Duration is how long the whole check took.
	Duration time.Duration `json:"duration_ns"`
	// Weight is a weight that the check proposes for the target; nil when it
	// has no opinion. Zero is a real value: no new connections.
	Weight *int `json:"weight,omitempty"`
	// Load is how much the target has to do; nil when the check did not find
	// it out.
	Load *Load `json:"load,omitempty"`
	// Perf are numbers that the check measured or was told, such as the
	// performance data of a plugin or the days that a certificate is good
	// for; at most MaxPerf.
	Perf []Perfdatum `json:"perf,omitempty"`
}

// tidy bounds and completes a result of a Checker that we did not write.
func (r Result) tidy(start time.Time, took time.Duration) Result {
	if r.Verdict > Fail {
		r.Reason = fmt.Sprintf("checker gave unknown %v: %s", r.Verdict, r.Reason)
		r.Verdict = NoResult
	}
	r.Reason = oneLine(r.Reason, MaxReason)
	if len(r.Seen) > MaxSeen {
		r.Seen = r.Seen[:MaxSeen:MaxSeen]
	}
	if len(r.Perf) > MaxPerf {
		r.Perf = r.Perf[:MaxPerf:MaxPerf]
	}
	if r.Start.IsZero() {
		r.Start = start
	}
	if r.Duration == 0 {
		r.Duration = took
	}
	return r
}

// oneLine returns s as one printable line of at most limit bytes.
func oneLine(s string, limit int) string {
	clean := true
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f {
			clean = false
			break
		}
	}
	if !clean {
		s = strings.Map(func(r rune) rune {
			switch {
			case r == '\n', r == '\r', r == '\t':
				return ' '
			case r < ' ', r == 0x7f, r == utf8.RuneError, r >= 0x80 && r < 0xa0:
				return '.'
			}
			return r
		}, s)
	}
	if len(s) <= limit {
		return s
	}
	const dots = "..."
	cut := max(limit-len(dots), 0)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + dots
}
