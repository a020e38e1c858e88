package health_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
)

// programCells are checks that run a program before programs that go wrong.
func programCells(t *testing.T, kind string) []cell {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("no program"), 0o644); err != nil {
		t.Fatal(err)
	}
	var cells []cell
	add := func(title, command string, timeout time.Duration, wants []health.Verdict, reason string) {
		cells = append(cells, cell{
			name: kind + ", a program that " + title, check: must(kindOf(kind, map[string]string{"command": command})),
			target: health.Target{Addr: realServer}, timeout: timeout, wants: wants, reason: reason, share: 2,
		})
	}
	serves := "true"
	if kind == "load-command" {
		serves = "echo 1.5"
		add("prints no load", "true", short, fails, "run: ")
	}
	add("serves", serves, short, oks, "run: ")
	add("does not exist", "/nowhere/check", short, nones, "start: ")
	add("cannot be executed", plain, short, nones, "start: ")
	add("is a folder", dir, short, nones, "start: ")
	for title, text := range map[string]string{
		"hangs":                        "sleep 100",
		"is deaf":                      "trap '' TERM INT HUP; sleep 100",
		"stops itself":                 "kill -STOP $$",
		"leaves children":              "sleep 100 & sleep 100",
		"leaves a zombie":              "sleep 0.01 & exec sleep 100",
		"has a stray child":            "setsid sleep 1 & sleep 100",
		"closes its output":            "exec >&- 2>&-; sleep 100",
		"prints without an end":        "yes",
		"prints errors without an end": "yes >&2",
	} {
		add(title, script(t, text), little, fails, "run: no answer within")
	}
	add("is killed", script(t, "kill -KILL $$"), short, fails, "run: ")
	add("ends and leaves a child", script(t, "sleep 100 & exit 2"), short, fails, "run: ")
	add("fails", script(t, "echo no disk; exit 2"), short, fails, "run: ")
	return cells
}

// fileCells are a check of a file before files that are none.
func fileCells(t *testing.T, kind string) []cell {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	huge, pipe, circle := file("huge", "1"), filepath.Join(dir, "pipe"), filepath.Join(dir, "circle")
	for _, err := range []error{os.Truncate(huge, 1<<30), syscall.Mkfifo(pipe, 0o644), os.Symlink(circle, circle)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var cells []cell
	for title, f := range map[string]struct {
		path  string
		wants []health.Verdict
	}{
		"says 1":          {file("one", "1"), oks},
		"says 0":          {file("zero", "0"), fails},
		"is not there":    {filepath.Join(dir, "none"), nones},
		"is a folder":     {dir, nones},
		"is a pipe":       {pipe, nones},
		"is a device":     {"/dev/zero", nones},
		"is a circle":     {circle, nones},
		"has a gigabyte":  {huge, nones},
		"is empty":        {file("empty", ""), nones},
		"has no number":   {file("text", "\x00\xff"), nones},
		"has two numbers": {file("two", "1 2"), nones},
	} {
		cells = append(cells, cell{
			name: kind + ", a file that " + title, check: must(kindOf(kind, map[string]string{"path": f.path})),
			target: health.Target{Addr: realServer}, timeout: short, wants: f.wants, reason: "read: ",
		})
	}
	return cells
}

// hostCells are a check of a host; those that go wrong are in icmp_test.go, as
// no host on loopback can be made silent.
func hostCells(t *testing.T, kind string) []cell {
	if os.Geteuid() != 0 {
		return nil // TestICMP says what it needs
	}
	return []cell{{
		name: kind + ", a host that is there", check: must(kindOf(kind, nil)), timeout: short, wants: oks, reason: "read: echo reply",
		target: health.Target{Addr: netip.MustParseAddrPort("127.0.0.1:1")},
	}}
}

// sessionCells are a check by sessions before a host that holds none, itself
// among them; bfd_linux_test.go has the servers that go wrong.
func sessionCells(t *testing.T, kind string) []cell {
	var cells []cell
	for title, host := range map[string]string{"holds no session": "127.0.0.9", "is this one": "127.0.0.1"} {
		cells = append(cells, cell{
			name: kind + ", a host that " + title, check: must(kindOf(kind, map[string]string{"interval": "10ms"})),
			target: health.Target{Addr: netip.AddrPortFrom(netip.MustParseAddr(host), 1)}, timeout: little, wants: fails, reason: "session: not Up within",
		})
	}
	return cells
}

// hearingCells are a check that listens to packets which hosts send by
// themselves, all the time.
func hearingCells(t *testing.T, kind string) []cell {
	free, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	free.Close()
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
	c := must(kindOf(kind, map[string]string{"listen": at.String(), "spool": t.TempDir()}))
	packet := make([]byte, 60) // one of rwhod's, without users
	packet[0], packet[1] = 1, 1
	copy(packet[12:], "host")
	packet[47] = 150
	binary.BigEndian.PutUint32(packet[4:], uint32(time.Now().Unix()))
	var cells []cell
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); running.Wait() })
	for i, host := range []struct {
		title, says string
		timeout     time.Duration
		wants       []health.Verdict
	}{
		{"sends", string(packet), short, oks},
		{"is silent", "", little, nones},
		{"sends garbage", "\x01\x01garbage", little, nones},
		{"sends half of it", string(packet[:40]), little, nones},
		{"sends a lot", strings.Repeat("x", 60_000), little, nones},
	} {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(11 + i)}), port)
		cells = append(cells, cell{
			name: kind + ", a host that " + host.title, check: c, target: health.Target{Addr: from},
			timeout: host.timeout, wants: host.wants, reason: "packet: ",
		})
		if host.says == "" {
			continue
		}
		out, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(at))
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			defer out.Close()
			says := []byte(host.says)
			for ctx.Err() == nil {
				_, _ = out.Write(says) // nobody listens between two checks
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	return cells
}

// A pipe that takes the place of a file, again and again, never holds the
// check.
func TestFileThatBecomesAPipe(t *testing.T) {
	dir := t.TempDir()
	path, file, pipe := filepath.Join(dir, "x"), filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
	for _, err := range []error{os.WriteFile(file, []byte("1"), 0o644), syscall.Mkfifo(pipe, 0o644), os.Link(file, path)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := must(kindOf("file", map[string]string{"path": path}))
	var swapping sync.WaitGroup
	stop := make(chan struct{})
	swapping.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			next := filepath.Join(dir, "next")
			_ = os.Remove(next) // of two names of one file rename keeps both
			_ = os.Link([]string{pipe, file}[i%2], next)
			_ = os.Rename(next, path)
		}
	})
	seen := map[health.Verdict]int{}
	for range 3000 {
		seen[check(t, c, realServer, short).Verdict]++
	}
	close(stop)
	swapping.Wait()
	if seen[health.Fail] > 0 || seen[health.OK] == 0 || seen[health.NoResult] == 0 {
		t.Errorf("verdicts %v", seen)
	}
}
