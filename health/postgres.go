package health

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// PostgresConfig sets up a [Postgres] check.
type PostgresConfig struct {
	// User and Database are those of the startup packet. An empty User is
	// "lvskit-health", of whom no more is asked than whether the server can
	// judge; an empty Database is the one of the user's name.
	User, Database string
	// Password logs in: by SCRAM-SHA-256 without channel binding, MD5, or in
	// clear, which needs TLS. Empty goes no further than to the question for
	// one. Only its ASCII characters are sure to count as the server counts
	// them (no SASLprep). It needs a User.
	Password string
	// Query is asked after the login, which it makes necessary; empty asks
	// nothing. An error fails.
	Query string
	// Expect is what the first value of the query's first row must be, as
	// psql writes it ("t" for true); empty is anything, no row included.
	Expect string
	// TLS asks for TLS (SSLRequest), verifies and encrypts; nil means plain
	// text. A server that offers none then fails.
	TLS *TLSConfig
	// Dial says how to connect. AnswerTimeout is that of each answer. The
	// connection is always closed with a FIN, as the server logs a RST.
	Dial
}

// Postgres begins a session with a PostgreSQL server, up to the point where it
// asks for a password or is ready for a query; with a password or a query it
// logs in, asks and takes leave. A server that starts up, shuts
// down or recovers (SQLSTATE 57P..), or is full (53...) fails. With a User a
// refusal of it (28..., 3D000) fails too; without one it is OK, as the server
// judged. It is safe for concurrent use.
type Postgres struct {
	ch   channel
	cfg  PostgresConfig
	name string
}

// NewPostgres returns a PostgreSQL check, or an error that names every field
// that cannot be used. A nil cfg means the defaults.
func NewPostgres(cfg *PostgresConfig) (*Postgres, error) {
	c := &Postgres{}
	if cfg != nil {
		c.cfg = *cfg
	}
	var err error
	c.ch, err = newChannel(c.cfg.Dial, c.cfg.TLS, c.cfg.TLS != nil)
	if strings.ContainsRune(c.cfg.User+c.cfg.Database, 0) || len(c.cfg.User) > 255 || len(c.cfg.Database) > 255 {
		err = errors.Join(err, errors.New("user, database: want at most 255 bytes, and no zero byte"))
	}
	if strings.ContainsRune(c.cfg.Password+c.cfg.Query+c.cfg.Expect, 0) || len(c.cfg.Password) > 255 || len(c.cfg.Query) > maxLine || len(c.cfg.Expect) > maxLine {
		err = errors.Join(err, fmt.Errorf("password, query, expect: want at most 255, %d and %d bytes, and no zero byte", maxLine, maxLine))
	}
	if c.cfg.User == "" && c.cfg.Password+c.cfg.Query != "" {
		err = errors.Join(err, errors.New("password or query without a user"))
	}
	if c.cfg.Query == "" && c.cfg.Expect != "" {
		err = errors.Join(err, errors.New("expect without a query"))
	}
	if err != nil {
		return nil, fmt.Errorf("postgres check: %w", err)
	}
	login := ""
	if c.cfg.Password+c.cfg.Query != "" {
		login = fmt.Sprintf(" password=%s query=%q expect=%q", fingerprint(c.cfg.Password), c.cfg.Query, c.cfg.Expect)
	}
	c.name = fmt.Sprintf("postgres user=%q database=%q%s%s", c.cfg.User, c.cfg.Database, login, c.ch.identity)
	return c, nil
}

// Identity names the kind and the parameters of the check.
func (c *Postgres) Identity() string { return c.name }

// Numbers in the place of a protocol version (PostgreSQL's "Message Formats").
const (
	pgVersion    = 3 << 16
	pgSSLRequest = 1234<<16 | 5679
)

// Check begins a session.
func (c *Postgres) Check(ctx context.Context, t Target) Result {
	return c.ch.converse(ctx, t, func(s *session) (string, error) {
		s.graceful = true
		if c.ch.tls != nil {
			s.step("sslrequest")
			if err := s.pgStart(pgSSLRequest, ""); err != nil {
				return "", err
			}
			b, err := s.full(1)
			switch {
			case err != nil:
				return "", err
			case b[0] == 'N':
				return "", unwanted("the server does not offer TLS")
			case b[0] != 'S':
				return "", unwanted("answer %s to SSLRequest, expected S", clip(b))
			}
			if err := s.secure(); err != nil {
				return "", err
			}
		}
		s.step("startup")
		user := c.cfg.User
		if user == "" {
			user = stranger
		}
		words := "user\x00" + user + "\x00"
		if c.cfg.Database != "" {
			words += "database\x00" + c.cfg.Database + "\x00"
		}
		if err := s.pgStart(pgVersion, words+"application_name\x00lvskit-health\x00\x00"); err != nil {
			return "", err
		}
		return c.opened(s)
	})
}

// opened reads to where the server waits for a query or for a password. That
// it lets the user in is not enough: only then does it look for the database
// and count the sessions.
func (c *Postgres) opened(s *session) (string, error) {
	in := false
	for {
		head, err := s.full(5)
		if err != nil {
			return "", err
		}
		n := binary.BigEndian.Uint32(head[1:])
		known := "REvN" // authentication, error, another version, notice
		if in {
			known += "SKZ" // parameter, key to cancel, ready
		}
		if n < 4 || n > maxLine || !strings.ContainsRune(known, rune(head[0])) {
			return "", unwanted("answer %s to the startup packet; is this PostgreSQL?", clip(head))
		}
		body, err := s.full(int(n) - 4)
		if err != nil {
			return "", err
		}
		if head[0] == 'R' && c.cfg.Password+c.cfg.Query != "" {
			return c.session(s, head[0], body)
		}
		switch head[0] {
		case 'E':
			state, text := parsePGError(body)
			if c.cfg.User == "" && (strings.HasPrefix(state, "28") || state == "3D000") {
				return "alive, and refuses unknown users", nil
			}
			return "", unwanted("error %s %s", state, clipText(text))
		case 'R': // AuthenticationOk is 0
			if len(body) != 4 || binary.BigEndian.Uint32(body) != 0 {
				return "accepts sessions, and waits for a password", nil
			}
			in = true
		case 'Z':
			// Best effort: the answer has come. Without a farewell the
			// server logs a lost connection.
			_ = s.write("X\x00\x00\x00\x04")
			return "session opened", nil
		}
	}
}

// session logs in, asks and takes leave.
func (c *Postgres) session(s *session, kind byte, body []byte) (string, error) {
	s.step("login")
	if err := c.pgLogin(s, kind, body); err != nil {
		return "", err
	}
	what := "logged in"
	if c.cfg.Query != "" {
		s.step("query")
		var bad unexpected
		row, err := s.pgQuery(c.cfg.Query)
		if err != nil && !errors.As(err, &bad) {
			return "", err
		}
		if err == nil {
			what, err = c.judge(row)
		}
		if err != nil {
			_ = s.pgSend('X', "") // best effort: the answer has come
			s.drain()
			return "", err
		}
	}
	s.step("quit")
	if err := s.pgSend('X', ""); err != nil {
		return "", err
	}
	s.drain()
	return what, nil
}

// judge compares the row with the wanted one.
func (c *Postgres) judge(row pgRow) (string, error) {
	got := clip([]byte(row.value))
	switch {
	case c.cfg.Expect == "":
		return "the query is answered", nil
	case row.there && !row.null && row.value == c.cfg.Expect:
		return "the query returns what is expected", nil
	case !row.there:
		got = "no row"
	case row.null:
		got = "NULL"
	}
	return "", unwanted("the query returns %s, expected %s", got, clip([]byte(c.cfg.Expect)))
}

// pgStart sends a packet of the beginning: a length that counts itself, a
// number, and words that end with zero bytes.
func (s *session) pgStart(number uint32, words string) error {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(words)))
	b = binary.BigEndian.AppendUint32(b, number)
	_, err := s.conn.Write(append(b, words...))
	return err
}

// parsePGError reads an ErrorResponse: fields of a letter and a text, each
// ended by a zero byte, with one more at the end.
func parsePGError(b []byte) (state, text string) {
	state = "?"
	left := string(b)
	for len(left) > 1 && left[0] != 0 {
		value, rest, _ := strings.Cut(left[1:], "\x00")
		switch left[0] {
		case 'C':
			state = clipText(value)
		case 'M':
			text = value
		}
		left = rest
	}
	return state, text
}
