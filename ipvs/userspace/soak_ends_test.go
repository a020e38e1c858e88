package userspace_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Both ends of the soak. A client asks with a header and up bytes of a
// pattern; the server checks them and answers with who it is and down bytes
// of another pattern.
type soakAsk struct {
	ID       uint64
	Up, Down uint32
	// Bye makes the server close after the answer.
	Bye uint32
}

type soakAnswer struct {
	ID, Life uint64
}

// soakTurn is the length of the pattern, a prime so that no buffer's size
// divides it.
const soakTurn = 65521

// soakPattern is the pattern twice, so that any part of a turn is one slice.
func soakPattern() []byte {
	p := make([]byte, 2*soakTurn)
	rand.NewChaCha8([32]byte{1}).Read(p[:soakTurn])
	copy(p[soakTurn:], p)
	return p
}

// soakStream is n bytes of the pattern that belong to a number.
type soakStream struct {
	pattern []byte
	number  uint64
	n       int
}

// at is a piece from an offset on, as long as a pattern allows.
func (s soakStream) at(offset, size int) []byte {
	from := int((s.number + uint64(offset)) % soakTurn)
	return s.pattern[from : from+min(size, s.n-offset, soakTurn)]
}

func (s soakStream) writeTo(w io.Writer, count *atomic.Int64) error {
	for done := 0; done < s.n; {
		n, err := w.Write(s.at(done, soakTurn))
		count.Add(int64(n))
		if err != nil {
			return err
		}
		done += n
	}
	return nil
}

// errDifferent is of bytes that are not what was sent.
var errDifferent = errors.New("the content is not what was sent")

func (s soakStream) readFrom(r io.Reader, buf []byte, count *atomic.Int64) error {
	for done := 0; done < s.n; {
		n, err := r.Read(buf[:min(len(buf), s.n-done, soakTurn)])
		count.Add(int64(n))
		if !bytes.Equal(buf[:n], s.at(done, n)) {
			return fmt.Errorf("bytes %d to %d of %d: %w", done, done+n, s.n, errDifferent)
		}
		if done += n; err != nil && done < s.n {
			return err
		}
	}
	return nil
}

// soakServer is a real server that can be killed and started again at the
// same address.
type soakServer struct {
	s    *soak
	addr netip.AddrPort
	life atomic.Uint64 // of this or the last time that it lives

	mu    sync.Mutex
	ln    net.Listener
	pc    net.PacketConn
	conns map[net.Conn]bool // nil while it is dead
	wg    sync.WaitGroup
}

// lives tells the lives of all servers apart; the dead ones of a soak.
type lives struct {
	next atomic.Uint64
	dead sync.Map
}

// soakHost is where servers and clients are: loopback has many addresses on
// Linux, and no other program's connection takes a port of these.
func soakHost(n int) netip.Addr {
	if runtime.GOOS != "linux" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.AddrFrom4([4]byte{127, 77, byte(n >> 8), byte(n)})
}

func (v *soakServer) start() {
	at := v.addr
	if !at.IsValid() {
		at = netip.AddrPortFrom(soakHost(1+len(v.s.servers)), 0)
	}
	var ln net.Listener
	var pc net.PacketConn
	for end := time.Now().Add(soakPatience); ; time.Sleep(10 * time.Millisecond) {
		var err error
		if ln, err = net.Listen("tcp4", at.String()); err == nil {
			if pc, err = net.ListenPacket("udp4", ln.Addr().String()); err == nil {
				break
			}
			ln.Close()
		}
		if time.Now().After(end) {
			v.s.fail("start server %v: %v", at, err)
			return
		}
	}
	v.addr = ln.Addr().(*net.TCPAddr).AddrPort()
	life := v.s.lives.next.Add(1)
	v.mu.Lock()
	v.ln, v.pc, v.conns = ln, pc, map[net.Conn]bool{}
	v.mu.Unlock()
	v.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			v.mu.Lock()
			if v.conns == nil {
				reset(c)
			} else {
				v.conns[c] = true
				v.wg.Go(func() { v.serve(c, life) })
			}
			v.mu.Unlock()
		}
	})
	v.wg.Go(func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			pc.WriteTo(buf[:n], from)
		}
	})
	v.life.Store(life)
}

// kill ends a server as the death of its machine's processes does: with
// resets.
func (v *soakServer) kill() {
	v.s.lives.dead.Store(v.life.Load(), true)
	v.mu.Lock()
	for c := range v.conns {
		reset(c)
	}
	v.conns = nil
	v.ln.Close()
	v.pc.Close()
	v.mu.Unlock()
	v.wg.Wait()
}

func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func (v *soakServer) serve(c net.Conn, life uint64) {
	defer func() {
		c.Close()
		v.mu.Lock()
		delete(v.conns, c)
		v.mu.Unlock()
	}()
	buf := make([]byte, 64<<10)
	for {
		var ask soakAsk
		if err := binary.Read(c, binary.BigEndian, &ask); err != nil {
			return
		}
		var discard atomic.Int64
		in := soakStream{v.s.pattern, ask.ID, int(ask.Up)}
		if err := in.readFrom(c, buf, &discard); err != nil {
			if errors.Is(err, errDifferent) {
				v.s.fail("at the server: %v", err)
			}
			return
		}
		out := soakStream{v.s.pattern, ask.ID + 1, int(ask.Down)}
		// Counted before it is written: more is never on its way.
		v.s.served.Add(int64(binary.Size(soakAnswer{})) + int64(ask.Down))
		if err := binary.Write(c, binary.BigEndian, soakAnswer{ask.ID, life}); err != nil {
			return
		}
		if err := out.writeTo(c, &discard); err != nil || ask.Bye != 0 {
			return
		}
	}
}

// client opens one connection after the other until the time is over.
func (s *soak) client(ctx context.Context, i int) {
	chance := rand.New(rand.NewPCG(s.seed, uint64(1+i)))
	buf := make([]byte, 64<<10)
	for ctx.Err() == nil {
		began := time.Now()
		sent, life, err := s.connection(ctx, i, chance, buf)
		if err == nil {
			s.whole.Add(1)
			s.sentWhole.Add(sent)
			continue
		}
		switch {
		case errors.Is(err, errDifferent):
			s.fail("at client %d: %v", i, err)
		case life != 0:
			if _, dead := s.lives.dead.Load(life); !dead {
				s.fail("client %d lost a connection to a server that lives: %v", i, err)
				continue
			}
			s.lost.Add(1)
		case s.excused(began, time.Now()):
			s.caught.Add(1)
		default:
			s.fail("client %d lost a connection while all servers lived: %v", i, err)
		}
	}
}

// connection makes one, asks on it a few times, and ends it in one of the
// orderly ways. It returns what it sent and the server's life, if it is known.
func (s *soak) connection(ctx context.Context, i int, chance *rand.Rand, buf []byte) (sent int64, life uint64, err error) {
	d := net.Dialer{Timeout: soakPatience}
	if runtime.GOOS == "linux" {
		// Different clients for the schedulers that look at them.
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(soakHost(256+chance.IntN(2048)), 0))
	}
	c, err := d.DialContext(context.WithoutCancel(ctx), "tcp4", s.tcp.Key.Addr.String())
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	var mine atomic.Int64
	defer func() {
		sent = mine.Load()
		s.sent.Add(sent)
	}()
	// Some live as long as several changes of the table.
	asks, pause := 1+chance.IntN(8), time.Duration(0)
	if chance.IntN(4) == 0 {
		asks, pause = 20, 20*time.Millisecond
	}
	for n := range asks {
		ask := soakAsk{ID: chance.Uint64() >> 1, Up: soakSize(chance), Down: soakSize(chance)}
		if n == asks-1 && chance.IntN(2) == 0 {
			ask.Bye = 1
		}
		c.SetDeadline(time.Now().Add(soakPatience))
		if err := binary.Write(c, binary.BigEndian, ask); err != nil {
			return 0, life, fmt.Errorf("ask: %w", err)
		}
		mine.Add(int64(binary.Size(ask)))
		if err := (soakStream{s.pattern, ask.ID, int(ask.Up)}).writeTo(c, &mine); err != nil {
			return 0, life, fmt.Errorf("ask with %d bytes: %w", ask.Up, err)
		}
		var answer soakAnswer
		if err := binary.Read(c, binary.BigEndian, &answer); err != nil {
			return 0, life, fmt.Errorf("answer %d of %d: %w", n+1, asks, err)
		}
		s.received.Add(int64(binary.Size(answer)))
		if answer.ID != ask.ID || life != 0 && answer.Life != life {
			return 0, life, fmt.Errorf("answer %d to %d, from server %d after %d: %w", answer.ID, ask.ID, answer.Life, life, errDifferent)
		}
		life = answer.Life
		if err := (soakStream{s.pattern, ask.ID + 1, int(ask.Down)}).readFrom(c, buf, &s.received); err != nil {
			return 0, life, fmt.Errorf("answer of %d bytes: %w", ask.Down, err)
		}
		s.exchanges.Add(1)
		if ctx.Err() != nil {
			break
		}
		time.Sleep(pause)
	}
	// The server ends it, or the client does with a half-close.
	if err := c.(*net.TCPConn).CloseWrite(); err != nil && !errors.Is(err, net.ErrClosed) {
		return 0, life, fmt.Errorf("half-close: %w", err)
	}
	if n, err := io.Copy(io.Discard, c); err != nil || n != 0 {
		return 0, life, fmt.Errorf("end: %d bytes more: %w", n, err)
	}
	return 0, life, nil
}

// soakSize is mostly that of a request, now and then bulk.
func soakSize(chance *rand.Rand) uint32 {
	if chance.IntN(20) == 0 {
		return chance.Uint32N(2 << 20)
	}
	return chance.Uint32N(1000)
}

// datagrams asks over UDP all the time. A datagram may be lost with the
// session of a server that was taken away; what comes must be right.
func (s *soak) datagrams(ctx context.Context) {
	c, err := net.Dial("udp4", s.udp.Key.Addr.String())
	if err != nil {
		s.fail("udp: %v", err)
		return
	}
	defer c.Close()
	buf := make([]byte, 2048)
	for number := uint64(1); ctx.Err() == nil; number++ {
		s.asked.Add(1)
		message := (soakStream{s.pattern, number * 1009, 500}).at(0, 500)
		if _, err := c.Write(message); err != nil {
			continue // refused before: the next one goes
		}
		c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		for {
			n, err := c.Read(buf)
			if err != nil {
				break
			}
			if bytes.Equal(buf[:n], message) {
				s.answered.Add(1)
				break
			}
			// Only a late answer to an earlier one is as good.
			if !s.earlier(buf[:n], number) {
				s.fail("udp: %d bytes that nobody sent", n)
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// earlier reports whether a datagram is one of those before a number.
func (s *soak) earlier(p []byte, number uint64) bool {
	for n := number - 1; n > 0 && n+1000 > number; n-- {
		if bytes.Equal(p, (soakStream{s.pattern, n * 1009, 500}).at(0, 500)) {
			return true
		}
	}
	return false
}
