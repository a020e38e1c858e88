package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	// maxLine is the longest line that is read, without its end. The longest
	// that the kernel writes is about 450 bytes: three IPv6 addresses, and
	// the data of a persistence engine, which it limits to 255.
	maxLine = 2048
	// lineBuffer holds several reads of a seq_file, which gives a page each.
	lineBuffer = 32 << 10
	// maxEmptyReads ends the reading from an io.Reader that gives neither
	// data nor an error.
	maxEmptyReads = 100
	// maxQuoted bounds what an error shows of a line.
	maxQuoted = 120
)

// LineError is a line that cannot be read. The lines after it may be in
// order.
type LineError struct {
	// Line is the number of the line, counted from 1, headings included.
	Line int
	// Text is the line, or its beginning.
	Text string
	// Err is what is wrong with it.
	Err error
}

// Error returns number, fault and text of the line.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v: %q", e.Line, e.Err, e.Text) }

// Unwrap returns Err.
func (e *LineError) Unwrap() error { return e.Err }

var (
	errLongLine = fmt.Errorf("longer than %d bytes", maxLine)
	errCut      = fmt.Errorf("cut off before its end: %w", io.ErrUnexpectedEOF)
)

// lines reads lines from r through one buffer, however many there are.
type lines struct {
	r          io.Reader
	buf        []byte
	start, end int
	number     int // of the line last returned
	err        error
}

func newLines(r io.Reader) *lines { return &lines{r: r, buf: make([]byte, lineBuffer)} }

// next returns the next line without its end, valid until the next call. The
// error is io.EOF at the end, a *LineError for a line to skip, and otherwise
// that of the reader.
func (l *lines) next() ([]byte, error) {
	searched := 0
	for {
		if i := bytes.IndexByte(l.buf[l.start+searched:l.end], '\n'); i >= 0 {
			line := l.buf[l.start : l.start+searched+i]
			l.start += searched + i + 1
			l.number++
			if len(line) > maxLine {
				return nil, l.fault(line, errLongLine)
			}
			return line, nil
		}
		if searched = l.end - l.start; searched > maxLine {
			return nil, l.skip()
		}
		if l.err != nil {
			return nil, l.last()
		}
		l.fill()
	}
}

// fill moves what is left to the front and reads more behind it.
func (l *lines) fill() {
	l.end = copy(l.buf, l.buf[l.start:l.end])
	l.start = 0
	for range maxEmptyReads {
		n, err := l.r.Read(l.buf[l.end:])
		l.end += n
		if l.err = err; n > 0 || err != nil {
			return
		}
	}
	l.err = io.ErrNoProgress
}

// last ends the reading: with the reader's error, but first with what an
// unfinished line tells. It could be read as a whole one with other values.
func (l *lines) last() error {
	if l.start == l.end || l.err != io.EOF {
		return l.err
	}
	line := l.buf[l.start:l.end]
	l.start = l.end
	l.number++
	return l.fault(line, errCut)
}

// skip drops a line that is too long, up to its end.
func (l *lines) skip() error {
	l.number++
	fault := l.fault(l.buf[l.start:l.end], errLongLine)
	for {
		if i := bytes.IndexByte(l.buf[l.start:l.end], '\n'); i >= 0 {
			l.start += i + 1
			return fault
		}
		l.start = l.end
		if l.err != nil {
			return fault
		}
		l.fill()
	}
}

func (l *lines) fault(line []byte, err error) error {
	return &LineError{Line: l.number, Text: quotable(line), Err: err}
}

func quotable(line []byte) string {
	if len(line) <= maxQuoted {
		return string(line)
	}
	return string(line[:maxQuoted]) + "..."
}

func isLineError(err error) bool {
	var e *LineError
	return errors.As(err, &e)
}

// cutField returns the first field of a line and what follows it. Fields are
// apart by white space, as long values move whatever stands behind them.
func cutField(b []byte) (field, rest []byte) {
	i := 0
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	j := i
	for j < len(b) && b[j] != ' ' && b[j] != '\t' {
		j++
	}
	return b[i:j], b[j:]
}

// notHex is outside the value of any digit.
const notHex = 0x80

// unhex returns the value of a hexadecimal digit, or notHex.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return notHex
}

// parseHex reads 1..16 hexadecimal digits.
func parseHex(b []byte) (v uint64, ok bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	var bad byte
	for _, c := range b {
		d := unhex(c)
		bad |= d
		v = v<<4 | uint64(d&0xf)
	}
	return v, bad&notHex == 0
}

// parseDecimal reads a decimal number that fits 64 bits.
func parseDecimal(b []byte) (v uint64, ok bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || v > (1<<64-1-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, true
}
