package health

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// LoadCommandConfig sets up a [LoadCommand] check.
type LoadCommandConfig struct {
	// Command is a program and its arguments, as in [ExternalConfig]: %h is
	// the target's address. "ssh %h uptime" asks as Piranha did with
	// load_monitor = uptime and rsh_command = ssh.
	Command string
	// Programs is as in [ExternalConfig].
	Programs *Programs
}

// LoadCommand runs a program that prints a load: uptime(1), rup or ruptime,
// whose numbers come after the word "load"; /proc/loadavg; or a number alone.
// Commas may stand between the numbers, or in them as the decimal sign of some
// languages. A program that fails, or prints no load, is a Fail; one that
// cannot be started is no result. It is safe for concurrent use.
type LoadCommand struct{ run *External }

// NewLoadCommand returns a load check, or an error that names the field that
// cannot be used.
func NewLoadCommand(cfg LoadCommandConfig) (*LoadCommand, error) {
	run, err := NewExternal(ExternalConfig{Command: cfg.Command, Programs: cfg.Programs})
	if err != nil {
		return nil, fmt.Errorf("load-command check: %w", err)
	}
	return &LoadCommand{run}, nil
}

// Identity names the kind and the parameters of the check.
func (c *LoadCommand) Identity() string { return fmt.Sprintf("load-command %q", c.run.words) }

// Check runs the program once.
func (c *LoadCommand) Check(ctx context.Context, t Target) Result {
	return c.run.check(ctx, t, func(a *attempt, err error, out []byte, size int64, stderr *sink) Result {
		r := c.run.judge(a, err, out, size, stderr)
		if r.Verdict != OK {
			return r
		}
		l, err := parseUptime(string(out))
		if err != nil {
			r.Verdict, r.Reason = Fail, oneLine("run: "+err.Error(), MaxReason)
			return r
		}
		r.Reason, r.Load = "run: "+l.String(), &l
		return r
	})
}

var (
	// afterLoad is what comes between the word and the numbers: "average:",
	// "averages:", or nothing at all.
	afterLoad = regexp.MustCompile(`(?i)load(?: averages?)?:?[ \t]+[0-9]`)
	plainLoad = regexp.MustCompile(`^[0-9]+(?:\.[0-9]+)?$`)
	commaLoad = regexp.MustCompile(`^[0-9]+,[0-9]{2}$`)
	// procLoad is the whole of /proc/loadavg (proc_loadavg(5)).
	procLoad = regexp.MustCompile(`^[0-9.]+ [0-9.]+ [0-9.]+ [0-9]+/[0-9]+ [0-9]+$`)
)

// parseUptime finds the load in what a program has printed. The last "load"
// that is followed by a number counts: names of hosts and users come before.
func parseUptime(out string) (Load, error) {
	text := strings.TrimSpace(out)
	if found := afterLoad.FindAllStringIndex(text, -1); len(found) > 0 {
		text = text[found[len(found)-1][1]-1:]
		text, _, _ = strings.Cut(text, "\n")
	} else if !procLoad.MatchString(text) && (strings.ContainsAny(text, " \t\n") || text == "") {
		return Load{}, unwanted("there is no load in %s: want the word load and numbers after it, or one number", clip([]byte(text)))
	}
	numbers, err := loadNumbers(text)
	if err != nil {
		return Load{}, err
	}
	l := Load{One: numbers[0]}
	if len(numbers) == 3 {
		l.Five, l.Fifteen = numbers[1], numbers[2]
	}
	return l, l.check()
}

// loadNumbers reads the first numbers of a text, one to three.
func loadNumbers(text string) ([]float64, error) {
	bad := func() ([]float64, error) {
		return nil, unwanted("%s is no load that can be read for certain: have the program print 0.52, 0.41, 0.30 (LC_ALL=C)", clip([]byte(text)))
	}
	var words []string
	comma := true // as the decimal sign of every word
	for i, word := range strings.Fields(text) {
		word = strings.TrimSuffix(word, ",")
		if i == 3 || word == "" || word[0] < '0' || word[0] > '9' {
			break
		}
		words = append(words, word)
		comma = comma && commaLoad.MatchString(word)
	}
	var numbers []float64
	for _, word := range words {
		parts := []string{word}
		switch {
		case comma:
			parts[0] = strings.Replace(word, ",", ".", 1)
		case strings.Contains(word, ".") || len(words) == 3:
			// Only between numbers then, without blanks.
			parts = strings.Split(word, ",")
		}
		for _, part := range parts {
			if !plainLoad.MatchString(part) {
				return bad()
			}
			v, err := strconv.ParseFloat(part, 64)
			if err != nil {
				return bad()
			}
			if numbers = append(numbers, v); len(numbers) == 3 {
				return numbers, nil
			}
		}
	}
	if len(numbers) == 0 {
		return bad()
	}
	return numbers, nil
}
