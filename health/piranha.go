package health

import "fmt"

// piranhaWebPort is the virtual port for which nanny assumes a web server
// when an lvs.cf names no check.
const piranhaWebPort = 80

// PiranhaConfig are the directives of an lvs.cf virtual block that choose its
// check, with their quotes taken off. The zero value is a block without any.
type PiranhaConfig struct {
	// Transport is the directive protocol.
	Transport Transport
	// VirtualPort is the directive port: the virtual service's port, not
	// the real server's. 0 means Piranha's default, 80.
	VirtualPort uint16
	// Send, Expect and SendProgram are the directives of those names; empty
	// means not given. Escapes in Send and Expect are converted here.
	Send, Expect, SendProgram string
	// UseRegex is the directive use_regex. It has no effect on SendProgram.
	UseRegex bool
	// Programs is for a SendProgram as in [ExternalConfig].
	Programs *Programs
	// Dial says how to connect, which Piranha left to the system; a
	// SendProgram connects by itself.
	Dial
}

// NewPiranha returns the check that Piranha's nanny would run:
//
//   - a send_program wins over send, and its output must equal expect;
//   - with send or expect it is the text check;
//   - with none of the three, TCP port 80 gets "GET / HTTP/1.0" and must
//     answer "HTTP";
//   - anything else is a connect. Over UDP, where nanny would wait in vain
//     for an answer that it never asked for, only a refusal fails.
//
// The error names the directive that cannot be used.
func NewPiranha(cfg PiranhaConfig) (Checker, error) {
	if cfg.SendProgram != "" {
		c, err := NewExternal(ExternalConfig{Command: cfg.SendProgram, Expect: Unescape(cfg.Expect), Programs: cfg.Programs})
		if err != nil {
			return nil, fmt.Errorf("send_program: %w", err)
		}
		return c, nil
	}
	text := SendExpectConfig{Transport: cfg.Transport, Send: cfg.Send, Expect: cfg.Expect, Regex: cfg.UseRegex, Dial: cfg.Dial}
	if cfg.Send == "" && cfg.Expect == "" && cfg.Transport == OverTCP {
		if cfg.VirtualPort != piranhaWebPort && cfg.VirtualPort != 0 {
			c, err := NewTCP(&TCPConfig{Dial: cfg.Dial})
			if err != nil {
				return nil, err
			}
			return c, nil
		}
		text.Send, text.Expect, text.Regex = `GET / HTTP/1.0\r\n\r\n`, "HTTP", false
	}
	c, err := NewSendExpect(&text)
	if err != nil {
		return nil, fmt.Errorf("send, expect: %w", err)
	}
	return c, nil
}
