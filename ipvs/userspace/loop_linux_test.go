package userspace

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/ipvs"
)

// Ten thousand idle connections shall take less than 8 MiB.
func TestPairsAreSmall(t *testing.T) {
	if size := unsafe.Sizeof(pair{}); size > 320 {
		t.Errorf("a pair takes %d bytes, want at most 320", size)
	}
}

// A slot that is used again has other generations, and only a few slots are
// made for connections that come one after another.
func TestPairTableUsesSlotsAgain(t *testing.T) {
	var table pairTable
	seen := map[[2]int32]bool{}
	for i := range 1000 {
		p := table.get()
		key := [2]int32{p.slot, p.generation[0]}
		if seen[key] {
			t.Fatalf("pair %d has slot and generation of another: %v", i, key)
		}
		seen[key] = true
		if table.at(p.slot) != p {
			t.Fatalf("slot %d is not found", p.slot)
		}
		p.half[0].readable, p.tries = true, 2
		table.put(p)
	}
	p := table.get()
	if p.half[0].readable || p.tries != 0 {
		t.Error("a pair has something of another")
	}
	if n := table.slots(); n != pairsPerChunk {
		t.Errorf("%d slots for one at a time, want %d", n, pairsPerChunk)
	}
}

func TestSockaddrRoundTrip(t *testing.T) {
	for _, text := range []string{"192.0.2.7:80", "[2001:db8::1]:65535", "0.0.0.0:0", "[::]:1"} {
		var s sockaddr
		want := netip.MustParseAddrPort(text)
		s.set(want)
		if got := s.get(); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	s := sockaddr{}
	s.set(netip.MustParseAddrPort("[::ffff:192.0.2.7]:80"))
	if got := s.get().String(); got != "192.0.2.7:80" {
		t.Errorf("a mapped address is %s", got)
	}
	s.raw.Family = unix.AF_UNIX
	if got := s.get(); got.IsValid() {
		t.Errorf("another family is %v", got)
	}
}

// inLoops returns the sum of what f finds in each loop.
func inLoops(b *Balancer, f func(*loop) int) (sum int) {
	var mu sync.Mutex
	callAll(b.conns.loops.all, func(_ int, l *loop) {
		mu.Lock()
		defer mu.Unlock()
		sum += f(l)
	})
	return sum
}

// unanswering returns an address that answers no connect: the queue of its
// listener is full.
func unanswering(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*unix.SockaddrInet4).Port))
	for range 16 {
		c, err := net.DialTimeout("tcp4", at.String(), 100*time.Millisecond)
		if err != nil {
			return at
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the queue of a listener is never full")
	return at
}

func TestConnectTimeoutTriesAnother(t *testing.T) { onEngines(t, testConnectTimeoutTriesAnother) }

func testConnectTimeoutTriesAnother(t *testing.T) {
	silent, a := unanswering(t), named(t, "a")
	b := newBalancer(t, &Config{ConnectTimeout: 400 * time.Millisecond})
	s := tcpService(t, b, "rr", dest(a.addr, 1), dest(silent, 1))
	c := dial(t, s) // The newest is asked first.
	// What the client sends meanwhile is kept for whoever takes it.
	io.WriteString(c, "early")
	c.CloseWrite()
	if got, err := io.ReadAll(c); err != nil || string(got) != "aearly" {
		t.Errorf("read %q, %v", got, err)
	}
	if n := b.Counters(); n.Retries != 1 || n.ConnectErrors != 1 {
		t.Errorf("want one error and one retry: %+v", n)
	}
	settled(t, b, s, 1)
	// Nobody else: a reset in the end.
	only := tcpService(t, b, "rr", dest(silent, 1))
	if err := fate(only); !isReset(err) {
		t.Errorf("the client saw %v, want a reset", err)
	}
	if x := state(t, b, only, silent); x.Active+x.Inactive != 0 {
		t.Errorf("%d active and %d inactive connections, want none", x.Active, x.Inactive)
	}
}

// A client that goes while its connect hangs is forgotten at once.
func TestClientLeavesDuringConnect(t *testing.T) {
	b := newBalancer(t, &Config{ConnectTimeout: time.Hour})
	s := tcpService(t, b, "rr", dest(unanswering(t), 1))
	c := dial(t, s)
	eventually(t, "it connects", func() bool { return entry(t, b, s.Key).Destinations[0].Active == 1 })
	c.SetLinger(0)
	c.Close()
	eventually(t, "it is gone", func() bool { return b.limits.connections.Load() == 0 })
	if x := entry(t, b, s.Key).Destinations[0]; x.Active+x.Inactive != 0 {
		t.Errorf("%d active and %d inactive connections, want none", x.Active, x.Inactive)
	}
}

// Bulk takes a pipe; a stream that falls silent or slow gives it back, and
// in the end none is open.
func TestSpliceIsTakenAndLeft(t *testing.T) {
	const part = 32 << 20
	proceed := make(chan struct{})
	srv := serveTCP(t, func(c *net.TCPConn) {
		block := make([]byte, part)
		for range 2 {
			c.Write(block)
			<-proceed
		}
	})
	b := newBalancer(t, &Config{UDPTimeout: 400 * time.Millisecond}) // For frequent sweeps.
	s := tcpService(t, b, "rr", dest(srv.addr, 1))
	listening := b.limits.descriptors.Load()
	c := dial(t, s)
	buf := make([]byte, part)
	used := func() int {
		return inLoops(b, func(l *loop) (n int) {
			for i := range l.pairs.slots() {
				for _, h := range l.pairs.at(int32(i)).half {
					if h.pipe != nil {
						n++
					}
				}
			}
			return n
		})
	}
	open := func() int { return inLoops(b, func(l *loop) int { return l.pipes.open }) }
	for range 2 {
		if _, err := io.ReadFull(c, buf[:part/2]); err != nil {
			t.Fatal(err)
		}
		if n := used(); n != 1 {
			t.Errorf("%d pipes are in use in a bulk transfer, want 1", n)
		}
		if _, err := io.ReadFull(c, buf[part/2:]); err != nil {
			t.Fatal(err)
		}
		eventually(t, "no pipe is held", func() bool { return used() == 0 })
		eventually(t, "no pipe is open", func() bool { return open() == 0 })
		proceed <- struct{}{}
	}
	if n := b.limits.descriptors.Load() - listening; n > descriptorsEach {
		t.Errorf("%d descriptors are counted for one connection", n)
	}
}

// Without pipes a transfer is copied.
func TestBulkWithoutPipes(t *testing.T) {
	srv := serveTCP(t, func(c *net.TCPConn) { io.Copy(c, c) })
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(srv.addr, 1))
	inLoops(b, func(l *loop) int { l.pipes.refused = true; return 0 })
	c := dial(t, s)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	go func() {
		c.Write(data)
		c.CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, %v; want the %d that were sent", len(got), err, len(data))
	}
}

// At the mark of urgent data a read is short although there is more.
func TestUrgentDataStopsNothing(t *testing.T) {
	srv := serveTCP(t, func(c *net.TCPConn) { io.Copy(c, c) })
	b := newBalancer(t, nil)
	c := dial(t, tcpService(t, b, "rr", dest(srv.addr, 1)))
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var want string
	for i := range 50 {
		part := strings.Repeat("a", i+1)
		io.WriteString(c, part)
		raw.Write(func(fd uintptr) bool {
			// The last byte is the urgent one, and out of band.
			err = unix.Sendto(int(fd), []byte("bX"), unix.MSG_OOB, nil)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "c")
		want += part + "bc"
	}
	c.CloseWrite()
	got, err := io.ReadAll(c)
	// A mark that is overtaken by the next stays in the stream.
	if text := strings.ReplaceAll(string(got), "X", ""); err != nil || text != want {
		t.Errorf("read %q, %v; want %q", text, err, want)
	}
}

// A connect that has met its own socket has found no server. By chance that
// takes thousands of connects, so one is put in the place of another.
func TestConnectToItselfIsARefusal(t *testing.T) {
	self, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(self)
	at := freePort(t, "tcp")
	own := &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	if err := errors.Join(unix.Bind(self, own), unix.Connect(self, own)); err != nil {
		t.Fatal(err)
	}
	a := named(t, "a")
	b := newBalancer(t, &Config{ConnectTimeout: time.Hour})
	s := tcpService(t, b, "rr", dest(unanswering(t), 1))
	c := dial(t, s)
	eventually(t, "it connects", func() bool { return entry(t, b, s.Key).Destinations[0].Active == 1 })
	apply(t, b, change(ipvs.OpAddDestination, s, dest(a.addr, 1)))
	inLoops(b, func(l *loop) int {
		if !l.waiting.empty() {
			p := l.waiting.root.next
			p.link.dest = &destination{addr: at}
			if err := unix.Dup3(self, int(p.fd[fromServer]), unix.O_CLOEXEC); err != nil {
				t.Error(err)
			}
			p.half[fromServer].writable = true
			l.answered(p)
		}
		return 0
	})
	var name [1]byte
	if _, err := io.ReadFull(c, name[:]); err != nil || name[0] != 'a' {
		t.Errorf("read %q, %v; want to be served by a", name, err)
	}
	if n := b.Counters(); n.Retries != 1 || n.ConnectErrors != 1 {
		t.Errorf("want one error and one retry: %+v", n)
	}
}

// No splice gets past the mark of urgent data: neither in the midst of a bulk
// transfer nor with the end behind it.
func TestUrgentDataInBulk(t *testing.T) {
	const part = 8 << 20
	for name, parts := range map[string]int{"in the midst": 2, "at the end": 1} {
		t.Run(name, func(t *testing.T) {
			srv := serveTCP(t, func(c *net.TCPConn) {
				block := make([]byte, part)
				raw, err := c.SyscallConn()
				if err != nil {
					t.Error(err)
					return
				}
				for range parts {
					c.Write(block)
					raw.Write(func(fd uintptr) bool {
						err = unix.Sendto(int(fd), []byte("bX"), unix.MSG_OOB, nil)
						return err != unix.EAGAIN
					})
					if err != nil {
						t.Error(err)
					}
					io.WriteString(c, "c")
				}
			})
			b := newBalancer(t, nil)
			c := dial(t, tcpService(t, b, "rr", dest(srv.addr, 1)))
			got, err := io.ReadAll(c)
			// A mark that is overtaken by the next stays in the stream.
			got = bytes.ReplaceAll(got, []byte("X"), nil)
			if want := bytes.Repeat(append(make([]byte, part), "bc"...), parts); err != nil || !bytes.Equal(got, want) {
				t.Errorf("read %d bytes, %v; want %d", len(got), err, len(want))
			}
		})
	}
}

// Clients that come at a time are shared by the loops about evenly, wherever
// the kernel puts them.
func TestLoopsShareClients(t *testing.T) {
	const clients = 64
	a := named(t, "a")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(a.addr, 1))
	for range clients {
		ask(t, s)
	}
	all := b.conns.loops.all
	for i, l := range all {
		if n := int(l.open.Load()); n < clients/len(all)/2 {
			t.Errorf("loop %d has %d of %d connections", i, n, clients)
		}
	}
	if n := inLoops(b, func(l *loop) int { return int(l.open.Load()) }); n != clients {
		t.Errorf("the loops have %d connections, want %d", n, clients)
	}
	var listed int
	for c := range b.Connections() {
		if listed++; c.State != StateEstablished || c.Destination != a.addr || c.Virtual != s.Key.Addr {
			t.Errorf("listed as %+v", c)
		}
	}
	if listed != clients {
		t.Errorf("%d connections are listed, want %d", listed, clients)
	}
}

// With many listening sockets a service has one for all loops.
func TestManyListenersShareLoops(t *testing.T) {
	a := named(t, "a")
	b := newBalancer(t, nil)
	tcpService(t, b, "rr") // The loops begin.
	set := &b.conns.loops
	set.mu.Lock()
	before := set.listening
	set.listening += maxListening
	set.mu.Unlock()
	s := tcpService(t, b, "rr", dest(a.addr, 1))
	if n := len(b.services[s.Key].fronts[0].front.(*loopFrontend).in); n != 1 {
		t.Errorf("the service listens in %d loops, want 1", n)
	}
	if got := asks(t, s, 8); got != "aaaaaaaa" {
		t.Errorf("asked %s", got)
	}
	apply(t, b, change(ipvs.OpDelService, s, ipvs.Destination{}))
	if set.listening != before+maxListening {
		t.Errorf("%d listening sockets are counted, want %d", set.listening, before+maxListening)
	}
}

// A process without a descriptor to spare leaves its clients in the queue,
// does not spin, and serves them later.
func TestListenerWaitsForDescriptors(t *testing.T) {
	const clients = 5
	a := named(t, "a")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(a.addr, 1))
	asks(t, s, 1)
	settled(t, b, s, 1)
	var socks []int
	for range clients {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		socks = append(socks, fd)
	}
	defer func() {
		for _, fd := range socks {
			unix.Close(fd)
		}
	}()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	low := limit
	low.Cur = uint64(socks[clients-1]) + 8
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	restore := sync.OnceFunc(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
	defer restore()
	var fill []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		fill = append(fill, f)
	}
	defer func() {
		for _, f := range fill {
			f.Close()
		}
	}()
	to := &unix.SockaddrInet4{Port: int(s.Key.Addr.Port()), Addr: s.Key.Addr.Addr().As4()}
	for _, fd := range socks {
		if err := unix.Connect(fd, to); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "accept fails", func() bool { return b.Counters().AcceptErrors > 0 })
	time.Sleep(300 * time.Millisecond)
	if n := b.Counters().AcceptErrors; n > 100 {
		t.Errorf("accept failed %d times in 0.3 s, want a few times", n)
	}
	restore()
	for _, fd := range socks {
		var name [1]byte
		wait := unix.NsecToTimeval(int64(patience))
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait)
		if n, err := unix.Read(fd, name[:]); n != 1 || name[0] != 'a' {
			t.Errorf("read %q, %v; want to be served in the end", name[:max(n, 0)], err)
		}
	}
}

// Waits that the runtime is not told of keep neither the garbage collection
// nor other goroutines from going on.
func TestShortWaitsHoldUpNobody(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	a := named(t, "a")
	b := newBalancer(t, nil)
	runtime.GOMAXPROCS(before + runtime.NumCPU())
	defer runtime.GOMAXPROCS(before)
	s := tcpService(t, b, "rr", dest(a.addr, 1))
	for _, l := range b.conns.loops.all {
		if !l.ample {
			t.Fatal("a loop does not know that there are more processors than loops")
		}
	}
	// Now there are not: the loops could hold all of them.
	runtime.GOMAXPROCS(before)
	for range 20 {
		if got := asks(t, s, 3); got != "aaa" {
			t.Fatalf("asked %s", got)
		}
		runtime.GC()
	}
}

// A server that accepts a connection and resets it has taken none: another
// one is tried.
func TestResetInsteadOfAnAnswerTriesAnother(t *testing.T) {
	rude := serveTCP(t, func(c *net.TCPConn) { c.SetLinger(0) })
	a := named(t, "a")
	b := newBalancer(t, nil)
	s := tcpService(t, b, "rr", dest(a.addr, 1), dest(rude.addr, 1))
	// The reset may come before or after the loop looks: then the client
	// sees it.
	var served, reset int
	for range 20 {
		var name [1]byte
		c, err := net.DialTimeout("tcp", s.Key.Addr.String(), patience)
		if err == nil {
			c.SetDeadline(time.Now().Add(patience))
			_, err = io.ReadFull(c, name[:])
			c.Close()
		}
		switch {
		case err == nil && name[0] == 'a':
			served++
		case isReset(err):
			reset++
		default:
			t.Errorf("read %q, %v; want a or a reset", name, err)
		}
	}
	if served < 10 {
		t.Errorf("%d clients of 20 were served, %d reset: want those that were given to a served at least", served, reset)
	}
}

// A server that hangs keeps neither a client that has reset nor, for longer
// than the time of a closing connection, one that has closed.
func TestClientLeavesWhileServerHangs(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn){
		"reset": func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
		"end":   func(c *net.TCPConn) { c.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			proceed, result := make(chan struct{}), make(chan error, 1)
			srv := serveTCP(t, func(c *net.TCPConn) {
				<-proceed
				_, err := io.Copy(io.Discard, c)
				result <- err
			})
			resume := sync.OnceFunc(func() { close(proceed) })
			t.Cleanup(resume) // Before the server is waited for.
			cfg := Config{}
			if name == "end" {
				cfg.FinTimeout = 200 * time.Millisecond
			}
			b := newBalancer(t, &cfg)
			s := tcpService(t, b, "rr", dest(srv.addr, 1))
			c := dial(t, s)
			fillUp(t, b, s, c)
			leave(c)
			eventually(t, "the connection is gone", func() bool { return b.limits.connections.Load() == 0 })
			resume()
			if err := <-result; !isReset(err) {
				t.Errorf("the server read %v, want a reset", err)
			}
		})
	}
}

// fillUp writes until a server that does not read has stopped the client, and
// a little more, which is all sent.
func fillUp(t *testing.T, b *Balancer, s ipvs.Service, c *net.TCPConn) {
	t.Helper()
	moved := func() uint64 { return entry(t, b, s.Key).Service.Stats.InBytes }
	block := make([]byte, 64<<10)
	var before uint64
	for same := 0; same < 8; time.Sleep(5 * time.Millisecond) {
		part := block
		if same > 0 { // What is more must fit the balancer's own buffer.
			part = block[:1]
		}
		if _, err := c.Write(part); err != nil {
			t.Fatal(err)
		}
		same++
		if now := moved(); now != before {
			before, same = now, 0
		}
	}
}
