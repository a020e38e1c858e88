//go:build linux && peers

package health_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/internal/lab"
)

// bird is Debian's BIRD in a network namespace, with a BFD session for each of
// some neighbours.
type bird struct {
	t   *testing.T
	dir string
	ns  *lab.Namespace
}

func startBIRD(t *testing.T, ns *lab.Namespace, interval time.Duration, neighbors string) *bird {
	t.Helper()
	b := &bird{t, t.TempDir(), ns}
	b.write(interval, neighbors)
	log, err := os.Create(filepath.Join(b.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	// Not with Pdeathsig: that is the death of a thread, and a check in a
	// namespace ends one.
	cmd := exec.Command("/usr/sbin/bird", "-f", "-c", filepath.Join(b.dir, "conf"), "-s", filepath.Join(b.dir, "control"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := ns.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			said, _ := os.ReadFile(log.Name())
			t.Logf("bird says: %s", said)
		}
	})
	for range 500 {
		if _, err := os.Stat(filepath.Join(b.dir, "control")); err == nil {
			return b
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("bird does not come up")
	return nil
}

func (b *bird) write(interval time.Duration, neighbors string) {
	b.t.Helper()
	conf := fmt.Sprintf(`router id 192.0.2.2;
log stderr all;
protocol device {}
protocol bfd {
  interface "*" { min rx interval %[1]d ms; min tx interval %[1]d ms; idle tx interval 1000 ms; multiplier 4; };
  %[2]s
}
`, interval.Milliseconds(), neighbors)
	if err := os.WriteFile(filepath.Join(b.dir, "conf"), []byte(conf), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// ask gives BIRD a command.
func (b *bird) ask(words ...string) string {
	b.t.Helper()
	return b.ns.Run("/usr/sbin/birdc", append([]string{"-s", filepath.Join(b.dir, "control")}, words...)...)
}

// sees waits until BIRD lists a session with an address in a state.
func (b *bird) sees(peer, state string) []string {
	b.t.Helper()
	var out string
	for range 500 {
		out = b.ask("show", "bfd", "sessions")
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); len(f) >= 5 && f[0] == peer && f[2] == state {
				return f
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.t.Fatalf("bird has no session with %s that is %s:\n%s", peer, state, out)
	return nil
}

func TestPeersBFD(t *testing.T) {
	l := lab.New(t)
	us, them := l.Namespace("director"), l.Namespace("server")
	l.Veth(us, "eth0", them, "eth0")
	us.Addr("eth0", netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64"))
	them.Addr("eth0", netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::2/64"))
	us.Up("eth0")
	them.Up("eth0")
	const neighbors = "neighbor 192.0.2.1 dev \"eth0\"; neighbor 2001:db8::1 dev \"eth0\";"
	b := startBIRD(t, them, 100*time.Millisecond, neighbors)
	c := must(health.NewBFD(&health.BFDConfig{Interval: 50 * time.Millisecond, Multiplier: 5, Dial: health.Dial{Namespace: us.Path(), Device: "eth0"}}))
	v4, v6 := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::2")

	// Once, and leave is taken.
	want(t, check(t, c, netip.AddrPortFrom(v4, 80), short), health.OK, "session: Up", "open", "session")
	b.sees("192.0.2.1", "Down")

	four, _, _ := leaveOpen(t, c, v4)
	six, leave, ended := leaveOpen(t, c, v6)
	want(t, next(t, four, "session"), health.OK, "session: Up")
	want(t, next(t, six, "session of IPv6"), health.OK, "session: Up")
	// The pace of both ends, agreed by polls: bird sends no faster than it may.
	b.sees("2001:db8::1", "Up")
	for wait := 0; ; wait++ {
		f := b.sees("192.0.2.1", "Up") // address, interface, state, since, interval, timeout
		if f[len(f)-2] == "0.100" && f[len(f)-1] == "0.500" {
			break
		}
		if wait > 250 {
			t.Fatalf("bird sends every %s s and waits for %s s, want 0.1 and 5 * 0.1", f[len(f)-2], f[len(f)-1])
		}
		time.Sleep(20 * time.Millisecond)
	}
	// A slower pace, while Up: bird polls.
	b.write(400*time.Millisecond, neighbors)
	b.ask("configure")
	for wait := 0; ; wait++ {
		f := b.sees("192.0.2.1", "Up")
		if f[len(f)-2] == "0.400" && f[len(f)-1] == "2.000" {
			break
		}
		if wait > 250 {
			t.Fatalf("bird sends every %s s and waits for %s s, want 0.4 and 5 * 0.4", f[len(f)-2], f[len(f)-1])
		}
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(1200 * time.Millisecond) // more than any detection time from before
	if len(four) > 0 || len(six) > 0 {
		t.Errorf("a session fell when the pace changed: %d, %d", len(four), len(six))
	}
	b.sees("192.0.2.1", "Up")

	leave()
	if err := next(t, ended, "end"); err != nil {
		t.Error(err)
	}
	b.sees("2001:db8::1", "Down")
	b.ask("disable", "bfd1")
	want(t, next(t, four, "end of the session"), health.Fail, "session: ")
	b.ask("enable", "bfd1")
	want(t, next(t, four, "return"), health.OK, "session: Up")
	start := time.Now()
	them.Down("eth0")
	want(t, next(t, four, "loss of the way"), health.Fail, "no packet within ")
	if took := time.Since(start); took < 200*time.Millisecond || took > 8*time.Second {
		t.Errorf("noticed after %v", took)
	}
}
