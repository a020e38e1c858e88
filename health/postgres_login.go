package health

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
)

// Kinds of authentication messages (PostgreSQL's "Message Formats").
const (
	pgAuthOK       = 0
	pgAuthClear    = 3
	pgAuthMD5      = 5
	pgAuthSASL     = 10
	pgAuthContinue = 11
	pgAuthFinal    = 12
)

// pgLogin answers what the server asks until it is ready for queries. The
// message at hand is the first answer to the startup packet.
func (c *Postgres) pgLogin(s *session, kind byte, body []byte) error {
	var exchange *scram
	proved := false // that the server knows the password, where SCRAM asks
	for range 64 {  // parameters, notices, and the exchange
		switch {
		case kind == 'E':
			state, text := parsePGError(body)
			return unwanted("error %s %s", state, clipText(text))
		case kind == 'Z':
			return nil
		case kind == 'R' && len(body) < 4:
			return unwanted("a question %s for a password, which is cut off", clip(body))
		case kind == 'R':
			what, rest := binary.BigEndian.Uint32(body), body[4:]
			answer, err := "", error(nil)
			switch {
			case what == pgAuthOK:
				if exchange != nil && !proved {
					return unwanted("the server ends the login without a proof that it knows the password")
				}
			case c.cfg.Password == "":
				return unwanted("the server wants a password, and the check has none")
			case what == pgAuthClear:
				if c.ch.tls == nil {
					return unwanted("the server wants the password in clear, which needs TLS")
				}
				answer = c.cfg.Password + "\x00"
			case what == pgAuthMD5 && len(rest) >= 4:
				answer = pgMD5(c.cfg.User, c.cfg.Password, rest[:4]) + "\x00"
			case what == pgAuthSASL && exchange == nil:
				if !slices.Contains(strings.Split(string(rest), "\x00"), "SCRAM-SHA-256") {
					return unwanted("the server wants to log in by %s, expected SCRAM-SHA-256", clip(rest))
				}
				exchange = newSCRAM(c.cfg.Password)
				first := exchange.first()
				answer = "SCRAM-SHA-256\x00" + string(binary.BigEndian.AppendUint32(nil, uint32(len(first)))) + first
			case what == pgAuthContinue && exchange != nil && exchange.signed == nil: // once: it is work
				answer, err = exchange.final(string(rest))
			case what == pgAuthFinal && exchange != nil:
				err = exchange.verify(string(rest))
				proved = true
			default:
				return unwanted("the server wants to log in by way %d, which this check does not know, or not twice", what)
			}
			if err != nil {
				return err
			}
			if answer != "" {
				if err := s.pgSend('p', answer); err != nil {
					return err
				}
			}
		}
		var err error
		if kind, body, err = s.pgMessage(); err != nil {
			return err
		}
	}
	return unwanted("the server comes to no end with the login")
}

// pgMD5 is the password as the old way of logging in wants it.
func pgMD5(user, password string, salt []byte) string {
	inner := md5.Sum([]byte(password + user))
	outer := md5.Sum(append([]byte(hex.EncodeToString(inner[:])), salt...))
	return "md5" + hex.EncodeToString(outer[:])
}

// pgRow is the first value of the first row of an answer.
type pgRow struct {
	value string
	null  bool
	there bool // that there is a row
}

// pgQuery asks and reads the answer to its end, whatever it is, so that leave
// can be taken.
func (s *session) pgQuery(query string) (row pgRow, err error) {
	if err := s.pgSend('Q', query+"\x00"); err != nil {
		return row, err
	}
	var bad error
	for {
		kind, body, err := s.pgMessage()
		if err != nil {
			return row, err
		}
		switch kind {
		case 'E':
			state, text := parsePGError(body)
			bad = unwanted("error %s %s", state, clipText(text))
		case 'Z':
			return row, bad
		case 'D':
			if !row.there && bad == nil {
				row, bad = parsePGRow(body)
			}
		case 'H', 'W':
			bad = unwanted("the query copies data; want one that returns a row")
		case 'G': // it waits for data
			if err := s.pgSend('f', "a health check has none\x00"); err != nil {
				return row, err
			}
		}
	}
}

// parsePGRow reads the first value of a DataRow.
func parsePGRow(b []byte) (row pgRow, err error) {
	cut := unwanted("the row %s is cut off", clip(b))
	if len(b) < 2 {
		return row, cut
	}
	if binary.BigEndian.Uint16(b) == 0 {
		return pgRow{null: true, there: true}, nil
	}
	if len(b) < 6 {
		return row, cut
	}
	n, rest := int32(binary.BigEndian.Uint32(b[2:])), b[6:]
	switch {
	case n == -1:
		return pgRow{null: true, there: true}, nil
	case n < 0 || int(n) > len(rest):
		return row, cut
	}
	return pgRow{value: string(rest[:n]), there: true}, nil
}

// pgMessage reads one message of the server.
func (s *session) pgMessage() (kind byte, body []byte, err error) {
	head, err := s.full(5)
	if err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > maxLine {
		return 0, nil, unwanted("a message %s of %d bytes, want 4..%d", clip(head[:1]), n, maxLine)
	}
	body, err = s.full(int(n) - 4)
	return head[0], body, err
}

// pgSend sends a message.
func (s *session) pgSend(kind byte, body string) error {
	b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))
	_, err := s.conn.Write(append(b, body...))
	return err
}
