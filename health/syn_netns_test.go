//go:build linux && netns

package health

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/lab"
)

// synLab is a checker and a server on one link.
func synLab(t *testing.T) (here, server *lab.Namespace) {
	l := lab.New(t)
	here, server = l.Namespace("here"), l.Namespace("server")
	l.Veth(here, "eth0", server, "eth0")
	here.Addr("eth0", netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fd00::1/64"))
	server.Addr("eth0", netip.MustParsePrefix("10.0.0.21/24"), netip.MustParsePrefix("fd00::21/64"))
	return here, server
}

func askSYN(t *testing.T, from *lab.Namespace, to string, within time.Duration) Result {
	t.Helper()
	c, err := NewSYN(&SYNConfig{Dial: Dial{Namespace: from.Path()}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return c.Check(ctx, Target{Addr: netip.MustParseAddrPort(to)})
}

// tcpStates are the states of all TCP sockets of a namespace, in the numbers
// of /proc/net/tcp: 0A listens, 03 is half open, 01 is open.
func tcpStates(t *testing.T, n *lab.Namespace) (states []string) {
	t.Helper()
	for _, file := range []string{"tcp", "tcp6"} {
		var text []byte
		if err := n.Do(func() (err error) { text, err = os.ReadFile("/proc/thread-self/net/" + file); return err }); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n")[1:] {
			if fields := strings.Fields(line); len(fields) > 3 {
				states = append(states, fields[3])
			}
		}
	}
	return states
}

// The program behind an open port sees nothing of the checks, and its kernel
// keeps nothing of them.
func TestNetnsSYNIsNotSeen(t *testing.T) {
	here, server := synLab(t)
	var accepted atomic.Int32
	for _, addr := range []string{"10.0.0.21:80", "[fd00::21]:80"} {
		ln, err := server.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				accepted.Add(1)
				c.Close()
			}
		}()
		for range 50 {
			if r := askSYN(t, here, addr, 20*time.Second); r.Verdict != OK || !strings.HasPrefix(r.Reason, "connect: SYN/ACK") {
				t.Fatalf("%s: %v, %q", addr, r.Verdict, r.Reason)
			}
		}
	}
	// The resets follow the answers at once.
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		states := tcpStates(t, server)
		if strings.Join(states, " ") == "0A 0A" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("sockets of the server: %v, want two that listen", states)
		}
	}
	if n := accepted.Load(); n != 0 {
		t.Errorf("the program accepted %d connections", n)
	}
	if states := tcpStates(t, here); len(states) != 0 {
		t.Errorf("sockets of the checker: %v", states)
	}
	// The counter is not blind.
	c, err := here.DialContext(t.Context(), "tcp", "10.0.0.21:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for end := time.Now().Add(10 * time.Second); accepted.Load() != 1 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if n := accepted.Load(); n != 1 {
		t.Errorf("a whole connection was accepted %d times", n)
	}
}

func TestNetnsSYNVerdicts(t *testing.T) {
	here, server := synLab(t)
	fillQueue(t, here, server, "10.0.0.21:81")
	// A black hole: an address whose neighbour is there and drops all.
	server.Addr("eth0", netip.MustParsePrefix("10.0.0.22/24"))
	server.Run("ip", "route", "add", "blackhole", "10.0.0.1/32", "table", "9")
	server.Run("ip", "rule", "add", "from", "10.0.0.22", "lookup", "9")
	// And one behind a router that says so.
	here.Route(netip.MustParsePrefix("10.9.0.0/16"), netip.MustParseAddr("10.0.0.21"))
	here.Route(netip.MustParsePrefix("fd09::/64"), netip.MustParseAddr("fd00::21"))
	server.Forward()
	for _, tt := range []struct {
		name, to string
		within   time.Duration
		want     Verdict
		reason   string
	}{
		{"a full queue", "10.0.0.21:81", 300 * time.Millisecond, Fail, "no answer within"},
		{"a closed port", "10.0.0.21:82", 20 * time.Second, Fail, "connect: refused"},
		{"a closed port of IPv6", "[fd00::21]:82", 20 * time.Second, Fail, "connect: refused"},
		{"a black hole", "10.0.0.22:80", 300 * time.Millisecond, Fail, "no answer within"},
		{"no host there", "10.0.0.99:80", 20 * time.Second, Fail, "host unreachable"},
		{"a router without a way", "10.9.0.1:80", 20 * time.Second, Fail, "network unreachable"},
		{"a router without a way of IPv6", "[fd09::1]:80", 20 * time.Second, Fail, "unreachable"},
		{"no way from here", "192.0.2.1:80", 20 * time.Second, NoResult, "network unreachable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r := askSYN(t, here, tt.to, tt.within); r.Verdict != tt.want || !strings.Contains(r.Reason, tt.reason) {
				t.Errorf("%v, %q; want %v, %q", r.Verdict, r.Reason, tt.want, tt.reason)
			}
		})
	}
	// A SYN that is lost is sent again: this queue has room when the second
	// one comes.
	ln := fillQueue(t, here, server, "10.0.0.21:83")
	time.AfterFunc(200*time.Millisecond, func() {
		if c, err := ln.Accept(); err == nil {
			c.Close()
		}
	})
	if r := askSYN(t, here, "10.0.0.21:83", 20*time.Second); r.Verdict != OK || r.Duration < synAgain {
		t.Errorf("a SYN that was lost: %v, %q after %v", r.Verdict, r.Reason, r.Duration)
	}
}

// An error about a packet of another program to the same server is not ours.
func TestNetnsSYNIgnoresErrorsOfOthers(t *testing.T) {
	here, server := synLab(t)
	server.Sysctl("net.ipv4.icmp_ratelimit", "0")
	server.Sysctl("net.ipv6.icmp.ratelimit", "0")
	for _, tt := range []struct{ full, closed string }{{"10.0.0.21:80", "10.0.0.21:9"}, {"[fd00::21]:80", "[fd00::21]:9"}} {
		fillQueue(t, here, server, tt.full)
		other, err := here.DialContext(t.Context(), "udp", tt.closed)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		var refused atomic.Int32
		done := make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				if _, err := other.Write([]byte("x")); err != nil {
					refused.Add(1)
				}
				select {
				case <-done:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		}()
		r := askSYN(t, here, tt.full, time.Second)
		close(done)
		<-ended
		if r.Verdict != Fail || !strings.Contains(r.Reason, "no answer within") || refused.Load() == 0 {
			t.Errorf("%s, while %d datagrams were refused: %v, %q", tt.full, refused.Load(), r.Verdict, r.Reason)
		}
	}
}

// fillQueue makes a listener whose queue of connections to accept is full.
func fillQueue(t *testing.T, here, server *lab.Namespace, addr string) net.Listener {
	t.Helper()
	full, err := server.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { full.Close() })
	raw, err := full.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { _ = unix.Listen(int(fd), 0) }); err != nil {
		t.Fatal(err)
	}
	held, err := here.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close() })
	return full
}

// Without the privilege there is no result, and the cure.
func TestNetnsSYNNeedsAPrivilege(t *testing.T) {
	result := make(chan Result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&header, &data[0]); err != nil {
			t.Error(err)
		}
		data[0].Effective &^= 1 << unix.CAP_NET_RAW
		if err := unix.Capset(&header, &data[0]); err != nil {
			t.Error(err)
		}
		c, err := NewSYN(nil)
		if err != nil {
			t.Error(err)
		}
		result <- c.Check(t.Context(), Target{Addr: netip.MustParseAddrPort("127.0.0.1:80")})
	}()
	if r := <-result; r.Verdict != NoResult || !strings.Contains(r.Reason, "CAP_NET_RAW") {
		t.Errorf("%v, %q", r.Verdict, r.Reason)
	}
}
