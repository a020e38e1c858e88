package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Bounds of an [External] check.
const (
	// MaxOutput is how many bytes of a program's standard output are kept;
	// the rest is read and thrown away, so that the program never blocks.
	MaxOutput = 4095
	// maxStderr is how much of standard error a reason may quote from.
	maxStderr = 200
	// stragglers is how long output is awaited at most after the program and
	// its process group are gone: only a process that left the group can
	// still hold the pipe.
	stragglers = 200 * time.Millisecond
)

// ExternalConfig sets up an [External] check.
type ExternalConfig struct {
	// Command is the program and its arguments, split at blanks. There is
	// no shell and there are no quotes. Words that are exactly %h or %p
	// become the target's address and port. The program is looked for in
	// PATH.
	Command string
	// Expect is what the program must print on standard output, apart from
	// one newline at the end; it must also exit with 0. Empty means that an
	// exit code of 0 is enough.
	Expect string
	// Weight takes an exit code of 2..255 for a weight of 0..253, which is OK
	// whatever Expect says; 0 leaves the weight alone and 1 fails. It is the
	// way of keepalived's dynamic MISC_CHECK (keepalived.conf(5)).
	Weight bool
	// Programs bounds what several checks run together; nil means the default
	// bounds for this check alone.
	Programs *Programs
}

// External runs a program: the external check of Piranha's nanny, put right.
// A program that crashes, exits with another code than 0, runs into the
// time-out or prints nothing where something is expected is a Fail, never an
// OK. Without Expect an exit code of 0 is OK, where nanny saw a failure. A
// program that cannot be started is NoResult.
//
// The program gets /dev/null as standard input and this process's
// environment, with LVSKIT_ADDRESS, LVSKIT_PORT and LVSKIT_NAME set to what is
// known of the target: its address, with a zone where it has one, its port, 0
// for none, and its name, which may be empty. [Programs] bounds how many
// run at once and are started in a second; a check that does not come to it is
// no result. On Linux it runs in a process group of its own, and whatever is
// left of the group is killed when the check ends, for whatever reason; on
// other systems only the program itself is killed. It is safe for concurrent
// use.
type External struct {
	words    []string
	expect   string
	weight   bool
	programs *Programs
	identity string
}

// NewExternal returns a check that runs a program, or an error if the
// configuration cannot work.
func NewExternal(cfg ExternalConfig) (*External, error) {
	words := strings.Fields(cfg.Command)
	switch {
	case len(words) == 0:
		return nil, errors.New("external check: the command is empty")
	case strings.ContainsRune(cfg.Command, 0):
		return nil, fmt.Errorf("external check: command %q has a zero byte", cfg.Command)
	case len(cfg.Expect) > MaxOutput-1:
		return nil, fmt.Errorf("external check: expect has %d bytes, but only %d bytes of output are kept", len(cfg.Expect), MaxOutput)
	}
	identity := fmt.Sprintf("external %q expect=%q", words, cfg.Expect)
	if cfg.Weight {
		identity += " weight"
	}
	if cfg.Programs == nil {
		var err error
		if cfg.Programs, err = NewPrograms(nil); err != nil {
			return nil, err
		}
	}
	return &External{
		words: words, expect: cfg.Expect, weight: cfg.Weight, programs: cfg.Programs,
		identity: identity,
	}, nil
}

// Identity names the kind and the parameters of the check.
func (c *External) Identity() string { return c.identity }

// Check runs the program once. Performance data in its output, as plugins of
// Nagios print them, are those of the result.
func (c *External) Check(ctx context.Context, t Target) Result {
	return c.check(ctx, t, func(a *attempt, err error, out []byte, size int64, stderr *sink) Result {
		r := c.judge(a, err, out, size, stderr)
		r.Perf = ParsePerfdata(string(out))
		return r
	})
}

// check runs the program and has its end judged.
func (c *External) check(ctx context.Context, t Target, judge func(a *attempt, err error, out []byte, size int64, stderr *sink) Result) Result {
	a, cancel := begin(ctx, t)
	defer cancel()
	args := make([]string, len(c.words))
	for i, w := range c.words {
		switch w {
		case "%h":
			w = t.Addr.Addr().String()
		case "%p":
			w = fmt.Sprint(t.Addr.Port())
		}
		args[i] = w
	}
	if err := a.ctx.Err(); err != nil {
		return a.failed("start", err)
	}
	end, _ := a.ctx.Deadline()
	if err := c.programs.enter(a.ctx, time.Until(end)/4); errors.Is(err, errNoTurn) {
		a.done("start")
		return a.result(NoResult, "start: "+err.Error())
	} else if err != nil {
		return a.failed("start", err)
	}
	defer c.programs.leave()
	stdout, stderr := &sink{limit: MaxOutput}, &sink{limit: maxStderr}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Env = append(cmd.Environ(),
		"LVSKIT_ADDRESS="+t.Addr.Addr().String(), fmt.Sprintf("LVSKIT_PORT=%d", t.Addr.Port()), "LVSKIT_NAME="+strings.ReplaceAll(t.Name, "\x00", ""))
	cmd.WaitDelay = stragglers
	prepareGroup(cmd)
	if err := cmd.Start(); err != nil {
		// Everything that stops us from starting it is on our side: no such
		// program, no permission, no process or memory left.
		a.done("start")
		return a.result(NoResult, "start: "+err.Error())
	}
	a.done("start")
	err := waitGroup(a.ctx, cmd)
	out, size := stdout.get()
	a.see(out)
	return judge(a, err, out, size, stderr)
}

// judge compares what the program did with what was wanted. size is how much
// it printed, of which out was kept.
func (c *External) judge(a *attempt, err error, out []byte, size int64, stderr *sink) Result {
	if a.ctx.Err() != nil {
		return a.failed("run", a.ctx.Err())
	}
	said := func() string {
		if text, n := stderr.get(); n > 0 {
			return fmt.Sprintf("; it says %s", clip(bytes.TrimSpace(text)))
		}
		return ""
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && c.weight && exit.ExitCode() >= 2:
		weight := exit.ExitCode() - 2
		r := a.ok("run", fmt.Sprintf("exit code %d is a weight of %d", weight+2, weight))
		r.Weight = &weight
		return r
	case errors.As(err, &exit):
		return a.wrong("run", "%s ended with %v%s", c.words[0], exit, said())
	case errors.Is(err, exec.ErrWaitDelay):
		// It exited with 0, but a process that left its group holds its
		// output open. What it printed itself has arrived.
	case err != nil:
		a.done("run")
		return a.result(NoResult, "run: "+err.Error())
	}
	if c.expect == "" {
		return a.ok("run", "exit code 0")
	}
	text := string(bytes.TrimSuffix(out, []byte("\n")))
	switch {
	case size == 0:
		return a.wrong("run", "%s printed nothing, expected %s%s", c.words[0], clip([]byte(c.expect)), said())
	case size > int64(len(out)) || text != c.expect:
		return a.wrong("run", "%s printed %s (%d bytes), expected exactly %s", c.words[0], clip(out), size, clip([]byte(c.expect)))
	}
	return a.ok("run", "output as expected")
}

// sink keeps the first limit bytes and swallows the rest. It has a lock
// because a process that outlives the check may still be written for.
type sink struct {
	mu    sync.Mutex
	limit int
	kept  []byte
	total int64
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total += int64(len(p))
	if n := min(len(p), s.limit-len(s.kept)); n > 0 {
		s.kept = append(s.kept, p[:n]...)
	}
	return len(p), nil
}

// get returns what was kept and how much was written.
func (s *sink) get() ([]byte, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.kept), s.total
}
