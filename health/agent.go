package health

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// AgentConfig sets up an [Agent] check.
type AgentConfig struct {
	// Send is written after connecting, as it is; empty sends nothing.
	Send string
	// Weight is the weight that 100 % stands for, 1..65535; 0 means 100.
	Weight int
	// Dial says how to connect.
	Dial
}

// Agent reads one line from an agent that runs beside the server, in the
// words of HAProxy's agent-check (HAProxy Configuration Manual): "75%" is a
// weight, "up" and "ready" are OK, "drain" is OK with a weight of 0, "down",
// "failed", "stopped" and "maint" fail, each with an optional "#reason".
// "maxconn:N" is read over. The last word of its sort counts; a line
// without any word that we know fails.
//
// An agent alone never proves that the server serves: combine it by [NewAll]
// with a check that does. It is safe for concurrent use.
type Agent struct {
	ch     channel
	send   string
	weight int
}

// NewAgent returns an agent check, or an error that names every field that
// cannot be used. A nil cfg means the defaults.
func NewAgent(cfg *AgentConfig) (*Agent, error) {
	if cfg == nil {
		cfg = &AgentConfig{}
	}
	c := &Agent{send: cfg.Send, weight: cfg.Weight}
	if c.weight == 0 {
		c.weight = 100
	}
	var err error
	c.ch, err = newChannel(cfg.Dial, nil, false)
	if c.weight < 0 || c.weight > 65535 {
		err = errors.Join(err, fmt.Errorf("weight %d: want 1..65535, or 0 for 100", cfg.Weight))
	}
	if len(c.send) > maxLine {
		err = errors.Join(err, fmt.Errorf("send has %d bytes, want at most %d", len(c.send), maxLine))
	}
	if err != nil {
		return nil, fmt.Errorf("agent check: %w", err)
	}
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *Agent) Identity() string {
	return fmt.Sprintf("agent send=%q weight=%d%s", c.send, c.weight, c.ch.identity)
}

// Check reads the agent's line.
func (c *Agent) Check(ctx context.Context, t Target) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		s.step("read")
		if c.send != "" {
			if err := s.write(c.send); err != nil {
				return "", err
			}
		}
		line, err := s.line()
		if err != nil {
			return "", err
		}
		said, err := parseAgent(line)
		if err != nil {
			return "", err
		}
		if said.down {
			return "", unwanted("the agent says %s", clipText(line))
		}
		if said.drain {
			said.percent = new(int)
		}
		if said.percent != nil {
			w := (c.weight**said.percent + 50) / 100
			if w == 0 && *said.percent > 0 {
				w = 1 // little is not none
			}
			s.weight = &w
		}
		return "the agent says " + clipText(line), nil
	})
}

// agentWords is what an agent's line comes to.
type agentWords struct {
	percent     *int
	drain, down bool
}

// parseAgent reads a line: words with blanks or commas between, the text
// after # up to the end being a reason.
func parseAgent(line string) (said agentWords, err error) {
	words, _, _ := strings.Cut(line, "#")
	known, down, maint := false, false, false
	for _, w := range strings.FieldsFunc(words, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		switch lower := strings.ToLower(w); {
		case strings.HasSuffix(lower, "%"):
			n, err := strconv.Atoi(strings.TrimSuffix(lower, "%"))
			if err != nil || n < 0 || n > 25600 {
				return said, unwanted("the agent gives the weight %s, expected 0%% to 25600%%", clip([]byte(w)))
			}
			said.percent = &n
		case lower == "up":
			down = false
		case lower == "down", lower == "failed", lower == "stopped", lower == "fail":
			down = true
		case lower == "ready":
			maint, said.drain = false, false
		case lower == "maint":
			maint = true
		case lower == "drain":
			maint, said.drain = false, true
		case strings.HasPrefix(lower, "maxconn:"):
		default:
			continue
		}
		known = true
	}
	if !known {
		return said, unwanted("the agent says %s, which has no word that we know", clip([]byte(line)))
	}
	said.down = down || maint
	return said, nil
}
