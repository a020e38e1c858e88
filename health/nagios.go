package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// NagiosConfig sets up a [Nagios] check.
type NagiosConfig struct {
	// Command is the plugin and its arguments, as in [ExternalConfig].
	Command string
	// WarningFails makes the state WARNING a Fail rather than an OK.
	WarningFails bool
	// Programs is as in [ExternalConfig].
	Programs *Programs
}

// Nagios runs a plugin of Nagios and its kin (Monitoring Plugins Development
// Guidelines): exit code 0 is OK, 1 WARNING, 2 CRITICAL, and 3 UNKNOWN, which
// is no result. Any other end is a Fail. The first line of its output is the
// reason; the numbers after it ([ParsePerfdata]) are the result's, however the
// plugin ended. The program runs as that of [External] does. It is safe for concurrent use.
type Nagios struct {
	run          *External
	warningFails bool
}

// NewNagios returns a check that runs a plugin, or an error that names the
// field that cannot be used.
func NewNagios(cfg NagiosConfig) (*Nagios, error) {
	run, err := NewExternal(ExternalConfig{Command: cfg.Command, Programs: cfg.Programs})
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
		r := c.judge(a, err, out, stderr)
		r.Perf = ParsePerfdata(string(out))
		return r
	})
}

// judge reads the end and the first line of a plugin.
func (c *Nagios) judge(a *attempt, err error, out []byte, stderr *sink) Result {
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
}
