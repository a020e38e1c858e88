package health

import (
	"encoding/binary"
	"errors"
)

// Commands after the login, by their first byte (MySQL's "Command Phase").
const (
	mysqlInitDB = 0x02
	mysqlQuery  = 0x03
)

// question chooses the database and runs the statement, as far as the check
// has them, and says what came of it.
func (c *MySQL) question(s *session) (string, error) {
	what := ""
	if c.cfg.Database != "" {
		s.step("database")
		answer, err := s.mysqlCommand(mysqlInitDB, c.cfg.Database)
		if err != nil {
			return "", err
		}
		if answer[0] != mysqlOK {
			return "", unwanted("answer %s to the choice of the database", clip(answer))
		}
		what = ", database " + clipText(c.cfg.Database)
	}
	if c.cfg.Query == "" {
		return what, nil
	}
	s.step("query")
	answer, err := s.mysqlCommand(mysqlQuery, c.cfg.Query)
	if err != nil {
		return "", err
	}
	columns, ok := mysqlColumns(answer)
	if !ok {
		return "", unwanted("the statement gives no rows by its nature; ask with SELECT")
	}
	// The definitions of the columns, a packet of their end, and the first row
	// or again the end (Protocol::ResultSet).
	for range columns + 1 {
		if answer, err = s.mysqlAnswer(); err != nil {
			return "", err
		}
	}
	if !mysqlEnd(answer) {
		return "", unwanted("answer %s after the columns of a result", clip(answer))
	}
	if answer, err = s.mysqlAnswer(); err != nil {
		return "", err
	}
	if mysqlEnd(answer) {
		return "", unwanted("the statement gives no row")
	}
	return what + ", the statement gives a row", nil
}

// mysqlCommand sends a command and reads the first packet of its answer.
func (s *session) mysqlCommand(command byte, text string) ([]byte, error) {
	if err := s.mysqlSend(0, append([]byte{command}, text...)); err != nil {
		return nil, err
	}
	return s.mysqlAnswer()
}

// mysqlAnswer reads a packet that is not empty; an error packet is an error.
func (s *session) mysqlAnswer() ([]byte, error) {
	_, body, err := s.mysqlPacket()
	switch {
	case err != nil:
		return nil, err
	case len(body) == 0:
		return nil, unwanted("an empty answer")
	case body[0] == mysqlError:
		var refusal mysqlRefusal
		if err := parseMySQLError(body); errors.As(err, &refusal) {
			return nil, unwanted("%s", refusal.Error())
		}
	}
	return body, nil
}

// mysqlColumns reads how many columns a result has; false if the answer
// begins none. MySQL's own limit is 4096.
func mysqlColumns(answer []byte) (int, bool) {
	n := 0
	switch {
	case len(answer) == 1 && answer[0] < 0xfb:
		n = int(answer[0])
	case len(answer) == 3 && answer[0] == 0xfc: // a length-encoded integer
		n = int(binary.LittleEndian.Uint16(answer[1:]))
	}
	return n, n > 0 && n <= 4096
}

// mysqlEnd tells the packet of an end from a row.
func mysqlEnd(answer []byte) bool {
	return len(answer) < 9 && len(answer) > 0 && answer[0] == mysqlSwitch
}
