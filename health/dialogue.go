package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
)

// DialogueStep is one exchange of a [Dialogue].
type DialogueStep struct {
	// Send is sent first, as it is; empty sends nothing.
	Send string
	// Expect must then come, anywhere in what the server says after the match
	// of the step before; empty waits for nothing.
	Expect string
	// Regex makes Expect a regular expression (RE2 syntax), matched against
	// what has come so far.
	Regex bool
}

// DialogueConfig sets up a [Dialogue] check.
type DialogueConfig struct {
	// Steps are taken in turn; at least one, at most 100.
	Steps []DialogueStep
	// TLS verifies and encrypts; nil means plain text.
	TLS *TLSConfig
	// Dial says how to connect. AnswerTimeout is that of each step.
	Dial
}

// Dialogue talks to a server of any line or byte protocol in several steps,
// each of which sends a text and waits for one: HAProxy's tcp-check in its
// simple form. At most 64 KiB of answers are read. It is safe for concurrent
// use.
type Dialogue struct {
	ch    channel
	steps []DialogueStep
	regex []*regexp.Regexp
	name  string
}

// NewDialogue returns a check of several steps, or an error that names every
// field that cannot be used.
func NewDialogue(cfg DialogueConfig) (*Dialogue, error) {
	c := &Dialogue{steps: append([]DialogueStep(nil), cfg.Steps...)}
	var err error
	c.ch, err = newChannel(cfg.Dial, cfg.TLS, false)
	if len(c.steps) == 0 || len(c.steps) > 100 {
		err = errors.Join(err, fmt.Errorf("%d steps: want 1..100", len(c.steps)))
	}
	var b strings.Builder
	b.WriteString("dialogue")
	for i, step := range c.steps {
		var regex *regexp.Regexp
		switch {
		case step.Send == "" && step.Expect == "":
			err = errors.Join(err, fmt.Errorf("step %d: want something to send or to expect", i+1))
		case len(step.Send) > MaxText || len(step.Expect) > MaxText:
			err = errors.Join(err, fmt.Errorf("step %d: send and expect may have %d bytes at most", i+1, MaxText))
		case step.Regex:
			var bad error
			if regex, bad = regexp.Compile(step.Expect); bad != nil {
				err = errors.Join(err, fmt.Errorf("step %d: expect: %w", i+1, bad))
			}
		}
		c.regex = append(c.regex, regex)
		// What is sent may hold a password.
		fmt.Fprintf(&b, " send=%s expect=%q regex=%t", fingerprint(step.Send), step.Expect, step.Regex)
	}
	if err != nil {
		return nil, fmt.Errorf("dialogue check: %w", err)
	}
	c.name = b.String() + c.ch.identity
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *Dialogue) Identity() string { return c.name }

// Check takes the steps.
func (c *Dialogue) Check(ctx context.Context, t Target) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		var heard []byte
		for i, step := range c.steps {
			s.step(fmt.Sprintf("step %d", i+1))
			if err := s.write(step.Send); err != nil {
				return "", err
			}
			for step.Expect != "" {
				if end := c.find(i, heard); end >= 0 {
					heard = heard[end:]
					break
				}
				n := len(heard)
				heard = append(heard, make([]byte, 4096)...)
				got, err := s.in.Read(heard[n:])
				heard = heard[:n+got]
				s.a.see(heard[n:])
				if err != nil && got == 0 {
					return "", c.short(s, step, heard, err)
				}
			}
		}
		return "all steps taken", nil
	})
}

// find returns where the match of a step ends, or -1.
func (c *Dialogue) find(i int, heard []byte) int {
	if c.regex[i] != nil {
		if at := c.regex[i].FindIndex(heard); at != nil {
			return at[1]
		}
		return -1
	}
	if at := bytes.Index(heard, []byte(c.steps[i].Expect)); at >= 0 {
		return at + len(c.steps[i].Expect)
	}
	return -1
}

// short tells what was missing when the answer ended.
func (c *Dialogue) short(s *session, step DialogueStep, heard []byte, err error) error {
	err = s.broken(err, heard)
	var bad unexpected
	if errors.As(err, &bad) {
		return unwanted("%s, expected %s", string(bad), clip([]byte(step.Expect)))
	}
	if isTimeout(err) && !errors.Is(s.a.ctx.Err(), context.Canceled) && len(heard) > 0 {
		return unwanted("no answer in time, only %s had come, expected %s", clip(heard), clip([]byte(step.Expect)))
	}
	return err
}

// isTimeout tells whether a deadline of the socket ended a read.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
