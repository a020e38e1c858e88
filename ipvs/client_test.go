package ipvs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// script is a transport that answers by a function.
type script struct {
	// answer gets the messages of each send and returns datagrams to queue.
	// A nil datagram is a receive that ends with ENOBUFS.
	answer  func(requests []message) [][]byte
	sendErr error
	queue   chan []byte
	closed  chan struct{}
	once    sync.Once
	sends   int
}

const testFamily = 0x1c

func newScript() *script {
	return &script{queue: make(chan []byte, 1000), closed: make(chan struct{})}
}

func (s *script) send(b []byte) error {
	if s.sendErr != nil {
		return s.sendErr
	}
	s.sends++
	var requests []message
	for b = bytes.Clone(b); len(b) > 0; {
		m, rest, err := nextMessage(b)
		if err != nil {
			return err
		}
		requests, b = append(requests, m), rest
	}
	if requests[0].typ == ctrlFamily {
		s.queue <- reply(ctrlFamily, requests[0].seq, appendUint16(nil, ctrlAttrFamilyID, testFamily))
		return nil
	}
	for _, d := range s.answer(requests) {
		s.queue <- d
	}
	return nil
}

func (s *script) tryReceive(b []byte) (int, bool, error) {
	select {
	case d := <-s.queue:
		n, err := s.take(b, d)
		return n, true, err
	default:
		return 0, false, nil
	}
}

func (s *script) take(b, d []byte) (int, error) {
	if d == nil {
		return 0, os.NewSyscallError("receive", syscall.ENOBUFS)
	}
	return copy(b, d), nil
}

func (s *script) receive(ctx context.Context, b []byte) (int, error) {
	select {
	case d := <-s.queue:
		return s.take(b, d)
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-s.closed:
		return 0, errors.New("bad file descriptor")
	}
}

func (s *script) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// reply is a data message.
func reply(typ uint16, seq uint32, attrs []byte) []byte {
	b := appendMessage(nil, typ, 0, 1, 0, seq)
	return endMessage(append(b, attrs...), 0)
}

// ack is an error message; zero is success.
func ack(seq uint32, errno syscall.Errno) []byte { return control(nlError, seq, errno) }

func done(seq uint32) []byte { return control(nlDone, seq, 0) }

func control(typ uint16, seq uint32, errno syscall.Errno) []byte {
	b := make([]byte, nlHeaderLen, nlHeaderLen+4)
	binary.NativeEndian.PutUint16(b[4:], typ)
	binary.NativeEndian.PutUint32(b[8:], seq)
	b = binary.NativeEndian.AppendUint32(b, uint32(-int32(errno)))
	return endMessage(b, 0)
}

func last(requests []message) message { return requests[len(requests)-1] }

func scripted(t *testing.T, answer func([]message) [][]byte) (*Client, *script) {
	t.Helper()
	s := newScript()
	s.answer = answer
	c, err := newClient(t.Context(), s, 1<<20, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, s
}

func infoReply(seq uint32) []byte {
	return reply(testFamily, seq, appendUint32(appendUint32(nil, infoVersion, 0x010201), infoConnTableSize, 4096))
}

// works fails the test if the client cannot do another call.
func works(t *testing.T, c *Client, s *script) {
	t.Helper()
	s.answer = func(r []message) [][]byte { return [][]byte{infoReply(r[0].seq)} }
	i, err := c.Info(context.Background())
	if err != nil || i.ConnTableSize != 4096 {
		t.Errorf("the next call gives %+v, %v", i, err)
	}
}

func TestALostAnswerLeavesTheOutcomeUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked uint32
		c, s := scripted(t, func(r []message) [][]byte {
			asked = r[0].seq
			return nil
		})
		err := c.AddService(t.Context(), Service{Key: MarkService(1)})
		if !errors.Is(err, ErrStateUnknown) || !errors.Is(err, errLost) {
			t.Errorf("error %v, want an unknown outcome", err)
		}
		s.queue <- ack(asked, syscall.EEXIST) // late, and nobody's any more
		works(t, c, s)
		if _, err := c.Info(t.Context()); err != nil {
			t.Error(err)
		}
		s.answer = func([]message) [][]byte { return nil }
		if _, err = c.Info(t.Context()); !errors.Is(err, errLost) || errors.Is(err, ErrStateUnknown) {
			t.Errorf("a read: error %v, want a lost answer and no word of an outcome", err)
		}
	})
}

func TestAnAnswerThatIsThereIsReadWhateverTheContextSays(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, s := scripted(t, func(r []message) [][]byte {
		cancel()
		return [][]byte{ack(r[0].seq, 0)}
	})
	if err := c.AddService(ctx, Service{Key: MarkService(1)}); err != nil {
		t.Errorf("error %v for a command that was carried out", err)
	}
	works(t, c, s)
}

func TestACancelledWaitLeavesTheOutcomeUnknown(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, s := scripted(t, func([]message) [][]byte { cancel(); return nil })
	err := c.AddService(ctx, Service{Key: MarkService(1)})
	if !errors.Is(err, ErrStateUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want an unknown outcome by a cancel", err)
	}
	works(t, c, s)
}

func serviceReply(t *testing.T, seq uint32, marks ...uint32) []byte {
	t.Helper()
	var b []byte
	for _, mark := range marks {
		s := Service{Key: MarkService(mark)}.Normalized()
		b = append(b, reply(testFamily, seq, appendService(nil, &s))...)
	}
	return b
}

func TestACancelledListingDoesNotDisturbTheNextCall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, s := scripted(t, nil)
	s.answer = func(r []message) [][]byte {
		cancel()
		q := r[0].seq
		return [][]byte{serviceReply(t, q, 1, 2), serviceReply(t, q, 3), done(q)}
	}
	for _, err := range c.Services(ctx) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the cancel", err)
		}
	}
	works(t, c, s)
	if n := len(s.queue); n != 0 {
		t.Errorf("%d stale datagrams are left", n)
	}
}

func TestStaleAnswersAreSkippedByNumber(t *testing.T) {
	c, s := scripted(t, func(r []message) [][]byte {
		q := r[0].seq
		return [][]byte{ack(q-1, syscall.EPERM), serviceReply(t, q-1, 9), append(done(q-1), infoReply(q)...)}
	})
	i, err := c.Info(t.Context())
	if err != nil || i.Version != 0x010201 {
		t.Errorf("info %+v, %v", i, err)
	}
	works(t, c, s)
}

func TestMalformedAnswers(t *testing.T) {
	for name, f := range map[string]func(q uint32) []byte{
		"noise":            func(uint32) []byte { return []byte("noise") },
		"length past end":  func(q uint32) []byte { b := ack(q, 0); b[0] = 99; return b },
		"error sans code":  func(q uint32) []byte { return endMessage(ack(q, 0)[:nlHeaderLen], 0) },
		"cut attributes":   func(q uint32) []byte { return reply(testFamily, q, []byte{9, 0, 1, 0}) },
		"nothing for data": func(q uint32) []byte { return ack(q, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			c, s := scripted(t, func(r []message) [][]byte { return [][]byte{f(r[0].seq)} })
			if _, err := c.Service(t.Context(), MarkService(1)); !errors.Is(err, errMalformed) {
				t.Errorf("error %v, want %v", err, errMalformed)
			}
			works(t, c, s)
		})
	}
}

func addChanges(n int) []Change {
	changes := make([]Change, n)
	for i := range changes {
		changes[i] = Change{
			Op: OpAddDestination, Service: Service{Key: MarkService(1)},
			Destination: Destination{Key: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(i)), Weight: 1},
		}
	}
	return changes
}

func TestApplyAsksOneAcknowledgementABatch(t *testing.T) {
	var sizes []int
	c, s := scripted(t, func(r []message) [][]byte {
		sizes = append(sizes, len(r))
		for i, m := range r {
			if wantAck := i == len(r)-1; m.flags&nlAck != 0 != wantAck {
				t.Errorf("message %d of %d: flags %#x", i, len(r), m.flags)
			}
			if m.seq != r[0].seq+uint32(i) || m.seq == 0 {
				t.Errorf("message %d of %d: number %d after %d", i, len(r), m.seq, r[0].seq)
			}
		}
		return [][]byte{ack(last(r).seq, 0)}
	})
	c.seq = math.MaxUint32 - 300 // the numbers wrap on the way
	if err := c.Apply(t.Context(), addChanges(600)); err != nil {
		t.Error(err)
	}
	if want := []int{256, 256, 88}; !slices.Equal(sizes, want) {
		t.Errorf("batches of %v, want %v", sizes, want)
	}
	works(t, c, s)
}

func TestApplyWithASmallReceiveBuffer(t *testing.T) {
	s := newScript()
	largest := 0
	s.answer = func(r []message) [][]byte {
		largest = max(largest, len(r))
		return [][]byte{ack(last(r).seq, 0)}
	}
	c, err := newClient(t.Context(), s, 8000, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Apply(t.Context(), addChanges(100)); err != nil || largest != 8000/errorCost {
		t.Errorf("batches up to %d, %v; want %d", largest, err, 8000/errorCost)
	}
}

func TestApplyThatLosesAnswers(t *testing.T) {
	c, s := scripted(t, func(r []message) [][]byte {
		return [][]byte{ack(r[3].seq, syscall.EEXIST), ack(r[5].seq, syscall.ESRCH), nil}
	})
	changes := addChanges(600)
	changes[1].Destination.Weight = -1 // not sent
	err := c.Apply(t.Context(), changes)
	e, ok := errors.AsType[*ApplyError](err)
	if !ok || !errors.Is(err, ErrStateUnknown) || !errors.Is(err, syscall.ENOBUFS) {
		t.Fatalf("error %v, want an unknown outcome by ENOBUFS", err)
	}
	if e.Applied != 0 || len(e.Failed) != 3 || e.Unknown != 253 || e.Unsent != 344 {
		t.Errorf("applied %d, failed %d, unknown %d, unsent %d; want 0, 3, 253, 344", e.Applied, len(e.Failed), e.Unknown, e.Unsent)
	}
	for i, want := range []uint16{1, 4, 6} {
		if got := e.Failed[i].Destination.Port(); got != want {
			t.Errorf("failure %d is of port %d, want %d", i, got, want)
		}
	}
	works(t, c, s)
}

func TestApplyThatCannotSend(t *testing.T) {
	c, s := scripted(t, nil)
	s.sendErr = os.NewSyscallError("send", syscall.EMSGSIZE)
	err := c.Apply(t.Context(), addChanges(300))
	e, ok := errors.AsType[*ApplyError](err)
	if !ok || errors.Is(err, ErrStateUnknown) || !errors.Is(err, syscall.EMSGSIZE) {
		t.Fatalf("error %v, want EMSGSIZE and a known outcome", err)
	}
	if e.Applied != 0 || e.Unknown != 0 || e.Unsent != 300 || len(e.Failed) != 0 {
		t.Errorf("applied %d, failed %d, unknown %d, unsent %d; want all 300 unsent", e.Applied, len(e.Failed), e.Unknown, e.Unsent)
	}
	s.sendErr = nil
	works(t, c, s)
}

func TestApplyStopsBetweenBatches(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, s := scripted(t, func(r []message) [][]byte {
		cancel()
		return [][]byte{ack(last(r).seq, 0)}
	})
	err := c.Apply(ctx, addChanges(600))
	e, ok := errors.AsType[*ApplyError](err)
	if !ok || e.Applied != 256 || e.Unsent != 344 || e.Unknown != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want 256 applied and 344 not sent", err)
	}
	works(t, c, s)
}

// listings scripts the readings of a listing of services: each is a list of
// datagrams of marks, and the last one repeats. It returns a reader that tells
// what came and how many readings it took.
func listings(t *testing.T, c *Client, s *script) func(readings ...[][]uint32) ([]uint32, int, error) {
	return func(readings ...[][]uint32) (marks []uint32, rounds int, err error) {
		s.answer = func(r []message) (out [][]byte) {
			for _, part := range readings[min(rounds, len(readings)-1)] {
				out = append(out, serviceReply(t, r[0].seq, part...))
			}
			rounds++
			return append(out, done(r[0].seq))
		}
		for st, e := range c.Services(t.Context()) {
			marks, err = append(marks, st.Key.Mark), e
		}
		return marks, rounds, err
	}
}

func TestALongListingIsReadUntilItIsWhole(t *testing.T) {
	c, s := scripted(t, nil)
	read := listings(t, c, s)
	type reading = [][]uint32
	for _, test := range []struct {
		name     string
		readings []reading
		want     []uint32
		rounds   int
	}{
		{"one part is whole by itself", []reading{{{1, 2, 3}}}, []uint32{1, 2, 3}, 1},
		{"a long one the first time", []reading{{{1, 2}, {3}}}, []uint32{1, 2, 3}, 2},
		{"and when nothing changed since", []reading{{{1, 2}, {3}}}, []uint32{1, 2, 3}, 1},
		{"with other parts", []reading{{{1}, {2, 3}}}, []uint32{1, 2, 3}, 1},
		{"an entry comes and shows another twice", []reading{{{1, 2}, {2, 3}}, {{4, 1}, {2, 3}}}, []uint32{4, 1, 2, 3}, 3},
		{"an entry goes and hides another", []reading{{{4, 1}, {3}}, {{1, 2}, {3}}}, []uint32{1, 2, 3}, 3},
		{"the same entry shows twice two times", []reading{{{1, 2}, {2, 3}}, {{1, 2}, {2, 3}}, {{1, 2}, {3}}}, []uint32{1, 2, 3}, 4},
		{"another order is another listing", []reading{{{2, 1}, {3}}}, []uint32{2, 1, 3}, 2},
	} {
		marks, rounds, err := read(test.readings...)
		if err != nil || !slices.Equal(marks, test.want) || rounds != test.rounds {
			t.Errorf("%s: services %v in %d readings, %v; want %v in %d", test.name, marks, rounds, err, test.want, test.rounds)
		}
	}
	_, rounds, err := read([][]uint32{{1}, {1}})
	if !errors.Is(err, ErrTableChanging) || rounds != maxReads {
		t.Errorf("error %v after %d readings, want %v after %d", err, rounds, ErrTableChanging, maxReads)
	}
	works(t, c, s)
}

func TestServicesThatNoKeyCanNameArePassedOver(t *testing.T) {
	littleEndianOnly(t)
	var log bytes.Buffer
	c, s := scripted(t, nil)
	c.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	odd := func(seq uint32) (b []byte) {
		for _, text := range []string{oddProtocol, oddFamily} {
			nest := append(appendNest(nil, attrService), hexBytes(t, text)...)
			b = append(b, reply(testFamily, seq, endNest(nest, 0))...)
		}
		return b
	}
	s.answer = func(r []message) [][]byte {
		q := r[0].seq
		if r[0].body[0] == cmdGetDest {
			return [][]byte{reply(testFamily, q, appendDestination(nil, MarkService(1), &Destination{Key: ap("10.0.0.1:80"), Weight: 1})), done(q)}
		}
		// More than one datagram, so that doubles would be looked for.
		return [][]byte{append(odd(q), serviceReply(t, q, 1)...), append(serviceReply(t, q, 2), odd(q)...), done(q)}
	}
	var marks []uint32
	for st, err := range c.Services(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		marks = append(marks, st.Key.Mark)
	}
	if want := []uint32{1, 2}; !slices.Equal(marks, want) {
		t.Errorf("services %v, want %v", marks, want)
	}
	if !strings.Contains(log.String(), "services=4") {
		t.Errorf("the log does not count them: %s", log.String())
	}
	snap, err := c.Snapshot(t.Context())
	if err != nil || len(snap) != 2 || len(snap[0].Destinations) != 1 {
		t.Errorf("snapshot %+v, %v, want both marks with a destination", snap, err)
	}
	s.answer = func(r []message) [][]byte { return [][]byte{odd(r[0].seq), ack(r[0].seq, 0)} }
	if st, err := c.Service(t.Context(), MarkService(1)); !errors.Is(err, errNoKey) {
		t.Errorf("a single one gives %+v, %v, want %v", st, err, errNoKey)
	}
	works(t, c, s)
}

func TestCloseEndsAWaitingCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, func([]message) [][]byte { return nil })
		errs := make(chan error, 2)
		for range 2 { // one waits for the answer, one for its turn
			go func() {
				_, err := c.Info(t.Context())
				errs <- err
			}()
		}
		synctest.Wait()
		c.Close()
		for range 2 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("error %v, want %v", err, net.ErrClosed)
			}
		}
	})
}

// closedMeanwhile is a transport whose client is closed while it receives.
type closedMeanwhile struct {
	transport
	c *Client
}

func (m *closedMeanwhile) tryReceive([]byte) (int, bool, error) {
	m.c.Close()
	return 0, false, os.ErrClosed
}

func TestCloseWhileStaleAnswersAreCleared(t *testing.T) {
	c, s := scripted(t, nil)
	c.t, c.dirty = &closedMeanwhile{s, c}, true
	if _, err := c.Info(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v, want %v", err, net.ErrClosed)
	}
}

func TestAContextEndsTheWaitForATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, func([]message) [][]byte { return nil })
		go c.Info(t.Context())
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Info(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the deadline", err)
		}
		c.Close()
		synctest.Wait()
	})
}

func TestDialWithoutIPVS(t *testing.T) {
	s := newScript()
	q := uint32(1)
	s.queue <- ack(q, syscall.ENOENT)
	refuse := &refusing{s}
	_, err := newClient(t.Context(), refuse, 1<<20, slog.New(slog.DiscardHandler))
	if !errors.Is(err, ErrNoIPVS) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v, want %v", err, ErrNoIPVS)
	}
	select {
	case <-s.closed:
	default:
		t.Error("the transport stays open")
	}
}

// refusing sends nowhere, so that only what is queued answers.
type refusing struct{ *script }

func (*refusing) send([]byte) error { return nil }

func TestDialIntoANamespaceThatIsNot(t *testing.T) {
	_, err := Dial(t.Context(), &Config{NetNS: "/nonexistent/netns"})
	if err == nil || errors.Is(err, ErrNoIPVS) && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("error %v", err)
	}
	if !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want one that says that the path does not exist", err)
	}
}

// TestStopSyncWithoutAnAnswer is what Linux does for a daemon that is stopped
// before it first ran: it stops it and answers nothing.
func TestStopSyncWithoutAnAnswer(t *testing.T) {
	refuse := syscall.Errno(0)
	c, s := scripted(t, func(requests []message) [][]byte {
		if len(requests) == 1 {
			return [][]byte{infoReply(requests[0].seq)}
		}
		var answers [][]byte
		if refuse != 0 {
			answers = append(answers, ack(requests[0].seq, refuse))
		}
		return append(answers, infoReply(requests[1].seq))
	})
	if err := c.StopSync(t.Context(), SyncMaster); err != nil {
		t.Error(err)
	}
	refuse = syscall.ESRCH
	if err := c.StopSync(t.Context(), SyncMaster); !errors.Is(err, ErrSyncNotRunning) {
		t.Errorf("error %v, want %v", err, ErrSyncNotRunning)
	}
	works(t, c, s)
}
