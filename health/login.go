package health

import (
	"errors"
	"fmt"
	"strings"
)

// login is a user of a line protocol; without a name there is none.
type login struct{ user, password string }

// validate refuses what cannot stand in a line: it would begin another
// command.
func (l login) validate() error {
	var errs []error
	if l.user == "" && l.password != "" {
		errs = append(errs, errors.New("password without a user"))
	}
	for what, text := range map[string]string{"user": l.user, "password": l.password} {
		if len(text) > 255 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
			errs = append(errs, fmt.Errorf("%s: want at most 255 printable characters of ASCII", what))
		}
	}
	return errors.Join(errs...)
}

// identity is what of it matters to the answer, after a blank.
func (l login) identity() string {
	if l.user == "" {
		return ""
	}
	return fmt.Sprintf(" user=%q password=%s", l.user, fingerprint(l.password))
}

// done says how far a conversation came.
func (l login) done() string {
	if l.user == "" {
		return "greeted, and left"
	}
	return "logged in, and left"
}

// pop3 logs in by USER and PASS (RFC 1939, section 7).
func (l login) pop3(s *session) error {
	if err := s.popOK("user", "USER "+l.user+"\r\n"); err != nil {
		return err
	}
	return s.popOK("pass", "PASS "+l.password+"\r\n")
}

// imap logs in by LOGIN (RFC 9051, section 6.2.3).
func (l login) imap(s *session) error {
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	return s.imapOK("login", "a3", fmt.Sprintf(`LOGIN "%s" "%s"`, quoted.Replace(l.user), quoted.Replace(l.password)))
}

// ftp logs in by USER and, where it is asked for, PASS (RFC 959, section 4.1.1).
func (l login) ftp(s *session) error {
	s.step("user")
	if err := s.write("USER " + l.user + "\r\n"); err != nil {
		return err
	}
	code, lines, err := s.reply()
	switch {
	case err != nil:
		return err
	case code == 230: // no password needed
		return nil
	case code != 331:
		return unwanted("answer %d %s, expected 331 or 230", code, clipText(lines[len(lines)-1]))
	}
	_, err = s.ask("pass", "PASS "+l.password, 230, 202)
	return err
}
