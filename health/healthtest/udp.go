package healthtest

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// Datagram is one question that a [UDPServer] has received.
type Datagram struct {
	// Data is what came; it is the receiver's to keep.
	Data []byte

	server *UDPServer
	from   netip.AddrPort
}

// Answer sends a datagram back and tells whether the server still runs.
func (d Datagram) Answer(b []byte) bool {
	_, err := d.server.conn.WriteToUDPAddrPort(b, d.from)
	return err == nil
}

// AnswerFromElsewhere sends a datagram to the asker from another port than the
// one that was asked, as somebody does who meddles.
func (d Datagram) AnswerFromElsewhere(b []byte) {
	if c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err == nil {
		_, _ = c.WriteToUDPAddrPort(b, d.from)
		c.Close()
	}
}

// DatagramBehavior is what a server does with one datagram, in a goroutine of
// its own. It must return when ctx is done.
type DatagramBehavior func(ctx context.Context, d Datagram)

// AnswerEach answers each datagram with what answer makes of it, or not at all
// if that is nil.
func AnswerEach(answer func(datagram []byte) []byte) DatagramBehavior {
	return func(_ context.Context, d Datagram) {
		if b := answer(d.Data); b != nil {
			d.Answer(b)
		}
	}
}

// DatagramMisbehaviors are the ways in which a server answers nothing of use
// over UDP, by their names, for a right answer that tells which question it
// answers: no check that knows its answers may find any of them OK.
func DatagramMisbehaviors(right func(datagram []byte) []byte) map[string]DatagramBehavior {
	return map[string]DatagramBehavior{
		"says nothing":                AnswerEach(func([]byte) []byte { return nil }),
		"answers empty":               AnswerEach(func([]byte) []byte { return []byte{} }),
		"answers with garbage":        AnswerEach(func([]byte) []byte { return []byte(garbage) }),
		"answers with a lot":          AnswerEach(func([]byte) []byte { return bytes.Repeat([]byte("y"), 60_000) }),
		"echoes":                      AnswerEach(func(b []byte) []byte { return b }),
		"echoes the first half":       AnswerEach(func(b []byte) []byte { return b[:len(b)/2] }),
		"answers cut off":             AnswerEach(func(b []byte) []byte { b = right(b); return b[:min(len(b), 10)] }),
		"floods":                      Floods(func([]byte) []byte { return bytes.Repeat([]byte("z"), 1400) }),
		"answers the question before": before(right),
		"answers from elsewhere": func(_ context.Context, d Datagram) {
			if b := right(d.Data); b != nil {
				d.AnswerFromElsewhere(b)
			}
		},
	}
}

// before answers each question with the answer to the one before it, and the
// first not at all.
func before(right func([]byte) []byte) DatagramBehavior {
	var mu sync.Mutex
	var last []byte
	return func(_ context.Context, d Datagram) {
		mu.Lock()
		defer mu.Unlock()
		if last != nil {
			d.Answer(last)
		}
		last = right(d.Data)
	}
}

// Floods answers each datagram for a second with as many as go.
func Floods(answer func(datagram []byte) []byte) DatagramBehavior {
	return func(ctx context.Context, d Datagram) {
		b := answer(d.Data)
		for end := time.Now().Add(time.Second); b != nil && ctx.Err() == nil && time.Now().Before(end); {
			for range 20 {
				if !d.Answer(b) {
					return
				}
			}
			if !sleep(ctx, time.Millisecond) { // others want the processor too
				return
			}
		}
	}
}

// UDPServer answers datagrams on 127.0.0.1. It is safe for concurrent use.
type UDPServer struct {
	conn   *net.UDPConn
	answer DatagramBehavior

	mu       sync.Mutex
	behavior DatagramBehavior // nil: answer
	received int
}

// NewUDPServer starts a server that sends back what answer makes of a
// datagram, one after the other, or nothing if that is nil. It ends with the
// test.
func NewUDPServer(tb testing.TB, answer func(datagram []byte) []byte) *UDPServer {
	tb.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatalf("healthtest: %v", err)
	}
	s := &UDPServer{conn: conn, answer: AnswerEach(answer)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.received++
			behave := s.behavior
			s.mu.Unlock()
			d := Datagram{Data: bytes.Clone(buf[:n]), server: s, from: from}
			if behave == nil {
				s.answer(ctx, d) // one after the other, so that answer needs no lock
				continue
			}
			running.Go(func() { behave(ctx, d) })
		}
	})
	tb.Cleanup(func() { cancel(); conn.Close(); running.Wait() })
	return s
}

// Addr is where the server listens.
func (s *UDPServer) Addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Set changes the behaviour for the datagrams that come.
func (s *UDPServer) Set(b DatagramBehavior) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behavior = b
}

// Received is how many datagrams have come.
func (s *UDPServer) Received() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received
}
