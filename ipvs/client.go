package ipvs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Config configures [Dial]. A nil *Config is the same as a zero one.
type Config struct {
	// NetNS is the path of the network namespace whose table is meant:
	// /run/netns/NAME or /proc/PID/ns/net. Entering one needs CAP_SYS_ADMIN,
	// and is done on a thread of its own: the caller's stays where it is.
	// Empty is the namespace of the calling thread.
	NetNS string
	// NetNSFile is an open network namespace and takes the place of NetNS. It
	// may be closed after Dial.
	NetNSFile *os.File
	// Logger takes what is worth knowing about the conversation with the
	// kernel, at debug level; nil discards it.
	Logger *slog.Logger
}

// Client speaks with the IPVS of one network namespace over a netlink socket
// of its own. [Dial] makes it.
//
// It is safe for concurrent use; calls take turns, since the kernel does one
// at a time anyway. A context that ends while a call waits for its turn, or
// between two parts of its work, ends the call. The kernel carries out each
// command within the system call that sends it, so a single command that was
// sent is also answered, and the context does not cut it off. An early end
// leaves the client in good order: answers that nobody waits for any more
// are dropped, by their sequence numbers, before the next call.
//
// Errors are [*OpError], of Apply [*ApplyError].
type Client struct {
	t      transport
	log    *slog.Logger
	family uint16
	batch  int           // commands in one send at most
	turn   chan struct{} // holds one token
	closed chan struct{}
	close  func() error

	// These belong to the holder of the token.
	seq   uint32
	wbuf  []byte
	rbuf  []byte
	dirty bool // answers may be queued that nobody waits for
	whole wholeness
	// parts counts the datagrams of the current exchange that brought data.
	parts int
}

const (
	// maxBatch is where larger batches stop being faster.
	maxBatch = 256
	// errorCost is what one queued error may take of the receive buffer: 768
	// bytes were measured on Linux 6.1, 896 on 6.12, and the size follows the
	// build. A batch must fit even if it fails as a whole: at the usual
	// buffer of 212992 bytes it is 208 commands.
	errorCost = 1024
	// readSize is more than the largest datagram of a listing, 32 KiB. The
	// kernel sizes them by the largest buffer that the socket ever received
	// with, so it is used from the first receive on.
	readSize = 64 << 10
	// answerTimeout ends the wait for an answer that was lost. The kernel
	// queues answers before the send returns.
	answerTimeout = 3 * time.Second
	// maxAnswers bounds the datagrams of an answer that is no listing: each of
	// a batch may fail.
	maxAnswers = 2 * maxBatch
	// maxParts bounds those of a listing. At 9 to 80 entries in each it is far
	// above what a kernel can hold.
	maxParts = 1 << 16
	// maxDrain bounds the datagrams that an aborted call can leave behind.
	maxDrain = 1 << 20
)

// newClient finds the family over t and takes t over. readBuffer is the size
// of the socket's receive buffer.
func newClient(ctx context.Context, t transport, readBuffer int, log *slog.Logger) (*Client, error) {
	c := &Client{
		t:      t,
		log:    log,
		batch:  min(max(readBuffer/errorCost, 1), maxBatch),
		turn:   make(chan struct{}, 1),
		closed: make(chan struct{}),
		family: ctrlFamily, // for the look-up
		rbuf:   make([]byte, readSize),
		whole:  newWholeness(),
	}
	c.close = sync.OnceValue(func() error {
		close(c.closed)
		return t.Close()
	})
	c.turn <- struct{}{}
	c.wbuf = appendFamilyRequest(c.wbuf, c.nextSeq())
	var family uint16
	err := c.exchange(ctx, c.seq, c.seq, untilData, func(m message) error {
		v, err := m.find(ctrlAttrFamilyID)
		if err != nil {
			return err
		}
		a := attributes{}
		family = a.uint16(v)
		return a.err
	})
	c.family = family
	if err != nil {
		c.close()
		return nil, &OpError{Op: OpDial, Err: reading(err)}
	}
	return c, nil
}

// Close releases the socket. Calls that wait, and all later ones, end with an
// error that is [net.ErrClosed].
func (c *Client) Close() error { return c.close() }

// begin waits for the caller's turn and clears what an aborted call left.
func (c *Client) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-c.closed:
		return net.ErrClosed
	default:
	}
	select {
	case <-c.closed:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	case <-c.turn:
	}
	c.wbuf = c.wbuf[:0]
	if !c.dirty {
		return nil
	}
	// Each receive also makes the kernel prepare the next part of a listing
	// that was left, so nothing to receive means that none is open any more.
	for range maxDrain {
		_, ok, err := c.t.tryReceive(c.rbuf)
		if err == nil && !ok {
			c.dirty = false
			return nil
		}
		if err != nil && !errors.Is(err, syscall.ENOBUFS) {
			c.end()
			return c.cause(err)
		}
	}
	c.end()
	return fmt.Errorf("the socket has more than %d stale answers: close the client and dial again", maxDrain)
}

func (c *Client) end() { c.turn <- struct{}{} }

// nextSeq returns a number for the next message; zero is never one.
func (c *Client) nextSeq() uint32 {
	c.seq++
	if c.seq == 0 {
		c.seq++
	}
	return c.seq
}

// expect tells what completes an exchange.
type expect uint8

const (
	untilAck  expect = iota // the answer to the last message
	untilData               // one data message
	untilDone               // the end of a listing
)

// unanswered wraps what happened after commands were sent and before their
// answers were complete.
type unanswered struct{ error }

func (u *unanswered) Unwrap() error { return u.error }

// errLost is the cause when the answers to a write are lost.
var errLost = errors.New("the kernel's answer was lost")

// exchange sends c.wbuf, which holds messages first to last, and reads until
// the answer is complete. It calls data for data messages. It returns nil, the
// errno of the last message, why nothing was sent, or an [*unanswered].
func (c *Client) exchange(ctx context.Context, first, last uint32, want expect, data func(message) error) error {
	return c.exchangeBatch(ctx, first, last, want, data, nil)
}

// exchangeBatch is exchange that also tells failed the errors of the messages
// before the last.
func (c *Client) exchangeBatch(ctx context.Context, first, last uint32, want expect, data func(message) error, failed func(seq uint32, errno syscall.Errno)) error {
	if err := c.t.send(c.wbuf); err != nil {
		return c.cause(err)
	}
	c.dirty = true
	limit := maxAnswers
	if want == untilDone {
		limit = maxParts
	}
	c.parts = 0
	for datagrams := 0; ; datagrams++ {
		if datagrams == limit {
			return &unanswered{fmt.Errorf("%w: it did not end after %d datagrams", errMalformed, limit)}
		}
		brought := false
		n, err := c.read(ctx, want)
		if err != nil {
			return &unanswered{err}
		}
		for b := c.rbuf[:n]; len(b) > 0; {
			var m message
			if m, b, err = nextMessage(b); err != nil {
				return &unanswered{err}
			}
			if m.seq-first > last-first {
				c.log.Debug("ipvs: dropped a stale answer", "seq", m.seq, "want", last)
				continue
			}
			switch {
			case m.typ == nlOverrun:
				return &unanswered{errLost}
			case m.typ == nlError || m.typ == nlDone:
				code, err := m.errno()
				if err != nil {
					return &unanswered{err}
				}
				if m.seq == last {
					c.dirty = false
					if code != 0 {
						return syscall.Errno(-code)
					}
					if want == untilData {
						return &unanswered{fmt.Errorf("%w: an answer without data", errMalformed)}
					}
					return nil
				}
				if code != 0 && failed != nil {
					failed(m.seq, syscall.Errno(-code))
				}
			case m.typ == c.family && data != nil:
				if !brought {
					brought = true
					c.parts++
				}
				if err := data(m); err != nil {
					return &unanswered{err}
				}
				if want == untilData {
					c.dirty = false
					return nil
				}
			}
		}
	}
}

// read receives the next datagram. What is there already is taken whatever
// the context says, unless more parts follow.
func (c *Client) read(ctx context.Context, want expect) (int, error) {
	if want == untilDone && ctx.Err() != nil {
		return 0, ctx.Err()
	}
	n, ok, err := c.t.tryReceive(c.rbuf)
	if err == nil && !ok {
		wait, cancel := context.WithTimeout(ctx, answerTimeout)
		n, err = c.t.receive(wait, c.rbuf)
		cancel()
		if err != nil && ctx.Err() == nil && wait.Err() != nil {
			err = fmt.Errorf("%w (none within %v)", errLost, answerTimeout)
		}
	}
	if err != nil {
		return 0, c.cause(err)
	}
	return n, nil
}

// cause tells the error of a closed socket as what it is.
func (c *Client) cause(err error) error {
	select {
	case <-c.closed:
		return net.ErrClosed
	default:
		return err
	}
}

// outcome turns an error of exchange into the cause to report for a write: if
// the answer is missing, nobody knows.
func outcome(err error) error {
	if u, ok := errors.AsType[*unanswered](err); ok {
		return fmt.Errorf("%w: %w", ErrStateUnknown, u.error)
	}
	return err
}

// reading is the cause to report for a read, which has no outcome.
func reading(err error) error {
	if u, ok := errors.AsType[*unanswered](err); ok {
		return u.error
	}
	return err
}
