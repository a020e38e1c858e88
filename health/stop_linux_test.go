package health

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// watcher runs a Monitor in a child. The arguments are ports of 127.0.0.1:
// those with an h are asked by HTTP, the others by a greeting. It tells of
// each event, and of its counters once its standard input closes.
func watcher(t *testing.T, ports []string) {
	web, err := NewHTTP(nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := NewSendExpect(&SendExpectConfig{Expect: "220"})
	if err != nil {
		t.Fatal(err)
	}
	m := NewMonitor(&Config{OnEvent: func(e Event) { fmt.Printf("event %s %v %s\n", e.ID, e.New, e.Reason) }})
	for _, port := range ports {
		var c Checker = text
		port, isWeb := strings.CutPrefix(port, "h")
		if isWeb {
			c = web
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Put(Watch{
			ID: port, Target: Target{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(n))},
			Checker: c, Policy: Policy{Interval: 500 * time.Millisecond, Timeout: time.Second},
		}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	gone()
	s := m.Stats()
	fmt.Printf("stats stalls %d excused %d\n", s.Stalls, s.Excused)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A director that is stopped by a signal, or paused with its whole machine,
// takes no server out for it. Some of these servers answer late, so that
// checks are under way when it comes, and some hang up on whoever is silent,
// so that what the check finds afterwards is no time-out.
func TestStoppedBySignal(t *testing.T) {
	t.Parallel()
	const each, stop = 8, 3 * time.Second
	var ports []string
	serve := func(prefix string, handle func(net.Conn)) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					handle(c)
				}()
			}
		}()
		ports = append(ports, prefix+fmt.Sprint(ln.Addr().(*net.TCPAddr).Port))
	}
	for range each {
		serve("", func(c net.Conn) {
			time.Sleep(300 * time.Millisecond)
			_, _ = c.Write([]byte("220 ready\r\n"))
			_, _ = c.Read(make([]byte, 1))
		})
		serve("h", func(c net.Conn) {
			// Half an answer, then the other half if somebody listens.
			_ = c.SetDeadline(time.Now().Add(stop / 2))
			if _, err := c.Read(make([]byte, 4096)); err != nil {
				return
			}
			time.Sleep(300 * time.Millisecond)
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
		})
	}
	c := startChild(t, "watcher", ports...)
	for range ports {
		if line := c.line(t); !strings.HasPrefix(line, "event ") || !strings.Contains(line, " up ") {
			t.Fatalf("at the start: %s", line)
		}
	}
	for _, d := range []time.Duration{stop, 10 * time.Second} { // at two points of the turns
		if err := c.Process.Signal(unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(d)
		if err := c.Process.Signal(unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1700 * time.Millisecond)
	}
	c.stdin.Close()
	line := c.line(t)
	var stalls, excused int
	if _, err := fmt.Sscanf(line, "stats stalls %d excused %d", &stalls, &excused); err != nil {
		t.Fatalf("while it was stopped: %s", line)
	}
	if stalls < 2 || excused == 0 {
		t.Errorf("%s: want both stops noticed, and checks under way excused", line)
	}
	t.Log(line)
}
