package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// NagiosConfig sets up a [Nagios] check.
type NagiosConfig struct {
	// Command is the plugin and its arguments, as in [ExternalConfig].
	Command string
	// WarningFails makes the state WARNING a Fail rather than an OK.
	WarningFails bool
}

// Nagios runs a plugin of Nagios and its kin (Monitoring Plugins Development
// Guidelines): exit code 0 is OK, 1 WARNING, 2 CRITICAL, and 3 UNKNOWN, which
// is no result. Any other end is a Fail. The first line of its output is the
// reason; [ParsePerfdata] reads the numbers after it. The program runs as that
// of [External] does. It is safe for concurrent use.
type Nagios struct {
	run          *External
	warningFails bool
}

// NewNagios returns a check that runs a plugin, or an error that names the
// field that cannot be used.
func NewNagios(cfg NagiosConfig) (*Nagios, error) {
	run, err := NewExternal(ExternalConfig{Command: cfg.Command})
	if err != nil {
		return nil, fmt.Errorf("nagios check: %w", err)
	}
	return &Nagios{run, cfg.WarningFails}, nil
}

// Identity names the kind and the parameters of the check.
func (c *Nagios) Identity() string {
	return fmt.Sprintf("nagios %q warning-fails=%t", c.run.words, c.warningFails)
}

// Check runs the plugin once.
func (c *Nagios) Check(ctx context.Context, t Target) Result {
	return c.run.check(ctx, t, func(a *attempt, err error, out []byte, _ int64, stderr *sink) Result {
		if a.ctx.Err() != nil {
			return a.failed("run", a.ctx.Err())
		}
		first, _, _ := bytes.Cut(out, []byte("\n"))
		text, _, _ := strings.Cut(string(first), "|")
		if text = strings.TrimSpace(text); text == "" {
			text = "no text"
			if b, n := stderr.get(); n > 0 {
				text = "it says " + clip(bytes.TrimSpace(b))
			}
		}
		var exit *exec.ExitError
		code := 0
		switch {
		case errors.As(err, &exit):
			code = exit.ExitCode()
		case err != nil && !errors.Is(err, exec.ErrWaitDelay):
			a.done("run")
			return a.result(NoResult, "run: "+err.Error())
		}
		switch {
		case code == 0:
			return a.ok("run", "OK: "+text)
		case code == 1 && c.warningFails:
			return a.wrong("run", "WARNING: %s", text)
		case code == 1:
			return a.ok("run", "WARNING: "+text)
		case code == 2:
			return a.wrong("run", "CRITICAL: %s", text)
		case code == 3:
			a.done("run")
			return a.result(NoResult, "run: UNKNOWN: "+text)
		case exit != nil:
			return a.wrong("run", "%s ended with %v, expected a code of 0..3: %s", c.run.words[0], exit, text)
		}
		return a.failed("run", err)
	})
}

// Perfdatum is one number that a plugin measured. Texts are as the plugin
// wrote them, empty where it left them out.
type Perfdatum struct {
	// Label says what was measured.
	Label string `json:"label"`
	// Value is in Unit, such as "s", "%", "B", or "c" for a counter.
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	// Warn and Critical are ranges, Min and Max the least and the most.
	Warn     string `json:"warn,omitempty"`
	Critical string `json:"critical,omitempty"`
	Min      string `json:"min,omitempty"`
	Max      string `json:"max,omitempty"`
}

// ParsePerfdata reads the performance data of a plugin's output: what follows
// the first | of a line, as 'label'=value[unit];warn;critical;min;max with
// blanks between, a quote in a label being written twice. It passes over what
// it cannot read, as "U" for an unknown value, and returns at most 64.
func ParsePerfdata(output string) []Perfdatum {
	var all []Perfdatum
	for line := range strings.Lines(output) {
		_, data, _ := strings.Cut(line, "|")
		for data = strings.TrimSpace(data); data != ""; data = strings.TrimLeft(data, " \t") {
			label, rest, ok := cutLabel(data)
			if !ok {
				break
			}
			var fields string
			fields, data, _ = strings.Cut(rest, " ")
			p, ok := parsePerfdatum(label, strings.TrimSpace(fields))
			if ok {
				all = append(all, p)
			}
			if len(all) == 64 {
				return all
			}
		}
	}
	return all
}

// cutLabel takes a label and the = after it off the beginning.
func cutLabel(s string) (label, rest string, ok bool) {
	if s[0] != '\'' {
		label, rest, ok = strings.Cut(s, "=")
		return label, rest, ok && label != ""
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '\'':
			b.WriteByte(s[i])
		case strings.HasPrefix(s[i:], "''"):
			b.WriteByte('\'')
			i++
		default:
			rest, ok = strings.CutPrefix(s[i+1:], "=")
			return b.String(), rest, ok && b.Len() > 0
		}
	}
	return "", "", false
}

func parsePerfdatum(label, fields string) (p Perfdatum, ok bool) {
	parts := append(strings.Split(fields, ";"), "", "", "", "")
	number := strings.TrimRightFunc(parts[0], func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	value, err := strconv.ParseFloat(number, 64)
	return Perfdatum{
		Label: label, Value: value, Unit: parts[0][len(number):],
		Warn: parts[1], Critical: parts[2], Min: parts[3], Max: parts[4],
	}, err == nil
}
