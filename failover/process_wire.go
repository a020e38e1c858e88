package failover

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
)

// The daemon and its beat process speak over one socket, in messages with their
// length before them. One of length 0 is a sign of life: the beat process
// returns it. All others are a note in JSON.
const (
	// maxNote bounds a message: what a group of 64 full routers is configured
	// with, and the status of 4096 addresses, take 2 MiB.
	maxNote = 8 << 20
	// maxOutbox bounds the messages that wait for a reader, and maxLogs those
	// with which there is still room for a line of a log.
	maxOutbox, maxLogs = 1024, 512
	// maxQuestions bounds the questions that wait for an answer.
	maxQuestions = 64
)

// Kinds of notes. Member is the number of the router or node that it is about.
const (
	noteHello  = "hello"  // to the daemon: the process is ready; Body is a processReport
	noteReport = "report" // to the daemon: Body is a processReport that says something new
	noteRun    = "run"    // to the process: run what Body describes
	noteGroup  = "group"  // to the process: Body describes members that move together, before any of them runs
	noteStop   = "stop"   // to the process: end it in order
	noteEnded  = "ended"  // to the daemon: it has ended
	noteEvent  = "event"  // to the daemon: Body is an event
	// To the daemon: Body is whether the partner of a node would serve without it.
	noteRelieved = "relieved"
	noteLog      = "log"    // to the daemon: Body is a line of a log
	noteAsk      = "ask"    // both ways: do Verb; with a Serial it is a question
	noteAnswer   = "answer" // both ways: the answer to Serial
	noteNever    = "never"  // to the daemon: the answer to Serial is not awaited any more
)

// note is one message.
type note struct {
	Kind   string          `json:"kind"`
	Member uint64          `json:"member,omitempty"`
	Serial uint64          `json:"serial,omitempty"`
	Verb   string          `json:"verb,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
	Err    *distantError   `json:"error,omitempty"`
}

// errOutbox: the other side does not read.
var errOutbox = errors.New("failover: the other process does not read its messages")

// link carries notes over one stream. Writers never wait.
type link struct {
	conn io.ReadWriteCloser
	in   *bufio.Reader
	buf  []byte // of read

	mu     sync.Mutex
	queue  [][]byte
	spare  [][]byte
	closed bool
	wake   chan struct{}

	asking sync.Mutex
	serial uint64
	open   map[uint64]chan note
}

func linkOver(conn io.ReadWriteCloser) *link {
	return &link{conn: conn, in: bufio.NewReader(conn), wake: make(chan struct{}, 1), open: make(map[uint64]chan note)}
}

// signOfLife is the empty message.
var signOfLife = [4]byte{}

// put leaves a note for the other side. nil is a sign of life.
func (l *link) put(n *note) error {
	frame := signOfLife[:]
	if n != nil {
		body, err := json.Marshal(n)
		if err != nil {
			return fmt.Errorf("failover: message %q: %w", n.Kind, err)
		}
		if len(body) > maxNote {
			return fmt.Errorf("failover: message %q of %d bytes; at most %d are possible", n.Kind, len(body), maxNote)
		}
		frame = append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body))), body...)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return io.ErrClosedPipe
	case len(l.queue) >= maxOutbox, n != nil && n.Kind == noteLog && len(l.queue) >= maxLogs:
		return errOutbox
	}
	l.queue = append(l.queue, frame)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

// pump writes what was put until the link is closed.
func (l *link) pump() {
	for range l.wake {
		l.mu.Lock()
		batch := l.queue
		l.queue, l.spare = l.spare[:0], nil
		l.mu.Unlock()
		for _, frame := range batch {
			if _, err := l.conn.Write(frame); err != nil {
				l.close()
				return
			}
		}
		clear(batch)
		l.mu.Lock()
		l.spare = batch[:0]
		l.mu.Unlock()
	}
}

// close ends the link; all questions are answered with an error.
func (l *link) close() {
	l.mu.Lock()
	was := l.closed
	l.closed = true
	if !was {
		close(l.wake)
	}
	l.mu.Unlock()
	if was {
		return
	}
	_ = l.conn.Close() // what is left in it is for nobody
	l.asking.Lock()
	defer l.asking.Unlock()
	for serial, c := range l.open {
		delete(l.open, serial)
		c <- note{Err: distant(io.ErrClosedPipe)}
	}
}

// errBroken: one message could not be read, and the next one can be.
var errBroken = errors.New("failover: broken message from the other process")

// read returns the next message, nil for a sign of life. After an error that is
// errBroken it may be called again.
func (l *link) read() (*note, error) {
	var head [4]byte
	if _, err := io.ReadFull(l.in, head[:]); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(head[:]))
	switch {
	case size == 0:
		return nil, nil
	case size > maxNote:
		return nil, fmt.Errorf("failover: a message of %d bytes from the other process; at most %d are possible", size, maxNote)
	}
	// In steps, so that a length without its bytes costs nothing.
	l.buf = l.buf[:0]
	for len(l.buf) < size {
		at := len(l.buf)
		l.buf = append(l.buf, make([]byte, min(size-at, 1<<14))...)
		if _, err := io.ReadFull(l.in, l.buf[at:]); err != nil {
			return nil, io.ErrUnexpectedEOF
		}
	}
	n := new(note)
	if err := json.Unmarshal(l.buf, n); err != nil {
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	return n, nil
}

// question sends a note with a new serial, and returns where the answer comes.
// forget has to be called at the end.
func (l *link) question(n note) (answer <-chan note, forget func(), err error) {
	l.asking.Lock()
	if len(l.open) >= maxQuestions {
		l.asking.Unlock()
		return nil, nil, fmt.Errorf("failover: %d questions to the other process are open already: %w", maxQuestions, errOutbox)
	}
	l.serial++
	n.Serial = l.serial
	c := make(chan note, 1)
	l.open[n.Serial] = c
	l.asking.Unlock()
	forget = func() {
		l.asking.Lock()
		_, waits := l.open[n.Serial]
		delete(l.open, n.Serial)
		l.asking.Unlock()
		if waits && n.Kind == noteAsk {
			_ = l.put(&note{Kind: noteNever, Member: n.Member, Serial: n.Serial}) // it will be told by the end of the link, else
		}
	}
	if err := l.put(&n); err != nil {
		l.asking.Lock()
		delete(l.open, n.Serial)
		l.asking.Unlock()
		return nil, nil, err
	}
	return c, forget, nil
}

// answered hands an answer to who asked. One that nobody awaits is ignored.
func (l *link) answered(n *note) {
	l.asking.Lock()
	defer l.asking.Unlock()
	if c, ok := l.open[n.Serial]; ok {
		delete(l.open, n.Serial)
		c <- *n
	}
}

// distantError is an error of the other process: its text, and what callers
// ask for with errors.Is.
type distantError struct {
	Text  string   `json:"text"`
	Kinds []string `json:"kinds,omitempty"`
}

// keptErrors are the errors that keep their meaning on the way.
var keptErrors = [...]struct {
	name string
	err  error
}{
	{"permission", fs.ErrPermission},
	{"not-exist", fs.ErrNotExist},
	{"unsupported", errors.ErrUnsupported},
	{"not-active", ErrNotActive},
	{"no-partner", ErrNoPartner},
	{"active", ErrActive},
	{"fault", ErrFault},
}

// distant makes an error ready for the way; nil stays nil.
func distant(err error) *distantError {
	if err == nil {
		return nil
	}
	d := &distantError{Text: err.Error()}
	for _, k := range keptErrors {
		if errors.Is(err, k.err) {
			d.Kinds = append(d.Kinds, k.name)
		}
	}
	return d
}

// Error returns the text.
func (d *distantError) Error() string { return d.Text }

// Is reports whether the error was target at its home.
func (d *distantError) Is(target error) bool {
	for _, k := range keptErrors {
		if k.err == target && slices.Contains(d.Kinds, k.name) {
			return true
		}
	}
	return false
}

// err returns a plain nil for none.
func (d *distantError) err() error {
	if d == nil {
		return nil
	}
	return d
}
