package health

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func bfdBetween(t *testing.T, us, them string) (*BFD, Target) {
	t.Helper()
	c, err := NewBFD(&BFDConfig{Interval: 100 * time.Millisecond, Dial: Dial{Source: netip.MustParseAddr(us)}})
	if err != nil {
		t.Fatal(err)
	}
	return c, Target{Addr: netip.AddrPortFrom(netip.MustParseAddr(them), 80)}
}

// bfdChild prints what a session tells until its standard input closes.
func bfdChild(t *testing.T, us, them string) {
	c, target := bfdBetween(t, us, them)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.Stand(ctx, target, func(r Result) { fmt.Println("report", r.Verdict, r.Reason) }); err != nil {
			fmt.Println("error", err)
		}
	}()
	gone()
	cancel()
	<-ended
}

// A session falls when one of its ends stands still; the end that did so knows
// that it was its own fault.
func TestBFDStopped(t *testing.T) {
	t.Parallel()
	address := func() string {
		return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250))
	}
	us, them := address(), address()
	c, target := bfdBetween(t, us, them)
	reports, ended := make(chan Result, 100), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- c.Stand(ctx, target, func(r Result) { reports <- r }) }()
	defer func() {
		cancel()
		<-ended
	}()
	child := startChild(t, "bfd", them, us)
	says := func(want string) {
		t.Helper()
		if line := child.line(t); !strings.HasPrefix(line, want) {
			t.Fatalf("the child says %q, want %q", line, want)
		}
	}
	tells := func(want Verdict) {
		t.Helper()
		select {
		case r := <-reports:
			if r.Verdict != want {
				t.Fatalf("%v, %s; want %v", r.Verdict, r.Reason, want)
			}
		case <-time.After(DefaultTimeout):
			t.Fatalf("nothing is told; want %v", want)
		}
	}
	says("report ok session: Up")
	tells(OK)
	if err := child.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	tells(Fail)
	time.Sleep(time.Second)
	if err := child.Process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	tells(OK)
	// The session falls and comes up again within a moment, which the child may
	// have been too slow to see; that the server failed it must never say.
	for quiet := false; !quiet; {
		select {
		case line := <-child.lines:
			if !strings.HasPrefix(line, "report no-result session: this process stood still; ") && line != "report ok session: Up" {
				t.Fatalf("the child says %q", line)
			}
		case <-time.After(500 * time.Millisecond):
			quiet = true
		}
	}
}
