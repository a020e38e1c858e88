//go:build linux && kernel

package dsr

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
)

// childVariable makes this program the child of a test that kills it; it
// holds the file of the network namespace.
const childVariable = "LVSKIT_DSR_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		beKilled()
		return
	}
	goleak.VerifyTestMain(m)
}

// beKilled is a manager with a private service that waits for its end.
func beKilled() {
	ctx := context.Background()
	namespace := os.Getenv(childVariable)
	plane, err := ipvs.Dial(ctx, &ipvs.Config{NetNS: namespace})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := New(plane, &Config{Namespace: namespace})
	if err != nil {
		fmt.Println(err)
		return
	}
	go m.Run(ctx)
	c, err := m.Checker(Path{
		Virtual:     netip.MustParseAddrPort("10.1.0.100:80"),
		Destination: ipvs.Destination{Key: netip.MustParseAddrPort("10.1.0.22:80"), Forward: ipvs.DirectRoute},
	}, tcp)
	if err != nil {
		fmt.Println(err)
		return
	}
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	c.Check(short, health.Target{})
	cancel()
	fmt.Println("ready")
	time.Sleep(time.Hour)
}

// A manager that was killed leaves its services, and the next one finds and
// removes them before its first check.
func TestKernelKilledManagerLeavesNothing(t *testing.T) {
	g := newGround(t)
	g.end()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+g.director.Path())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		t.Errorf("child: %q, %v", line, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if got := g.services(t); len(got) != 1 {
		t.Errorf("table after the kill: %v, want one private service", got)
	}
	m, end := g.manage(t)
	<-m.ready
	if got := g.services(t); len(got) != 0 {
		t.Errorf("table after the next start: %v", got)
	}
	end()
}
