//go:build linux && netns

package examples_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/lab"
)

// output is what a program has said so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// machine is a host with a service that says the host's name.
type machine struct {
	*lab.Namespace
	t       *testing.T
	service net.Listener
	cmd     *exec.Cmd
	out     output
}

func (m *machine) serve() {
	m.t.Helper()
	l, err := m.Listen("tcp", "0.0.0.0:80")
	if err != nil {
		m.t.Fatal(err)
	}
	m.service = l
	m.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, m.Name()) // the client may be gone
			c.Close()
		}
	}()
}

// float starts the program.
func (m *machine) float(exe string, args ...string) {
	m.t.Helper()
	m.cmd = exec.Command(exe, args...)
	m.cmd.Stdout, m.cmd.Stderr = &m.out, &m.out
	if err := m.Do(m.cmd.Start); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		m.end()
		if m.t.Failed() {
			m.t.Logf("%s said:\n%s", m.Name(), m.out.String())
		}
	})
}

// end stops the program and waits.
func (m *machine) end() {
	_ = m.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	timer := time.AfterFunc(10*time.Second, func() { _ = m.cmd.Process.Kill() })
	_ = m.cmd.Wait()
	timer.Stop()
}

// Two machines with a service, and a client that finds one of them at the
// address, whatever befalls the other one.
func TestNetnsFloatingAddress(t *testing.T) {
	exe := build(t, "floating-address")
	const vip = "192.0.2.100"
	var all sync.WaitGroup // they mostly wait
	defer all.Wait()
	all.Go(func() { t.Run("without privilege", func(t *testing.T) { withoutPrivilege(t, exe) }) })
	for name, more := range map[string][2][]string{
		"by multicast":       {},
		"by unicast":         {{"-peer", "192.0.2.2"}, {"-peer", "192.0.2.1"}},
		"with a virtual MAC": {{"-virtual-mac"}, {"-virtual-mac"}},
	} {
		all.Go(func() {
			t.Run(name, func(t *testing.T) {
				l := lab.New(t)
				sw := l.Namespace("switch")
				sw.Bridge("br0")
				host := func(name, addr string) *lab.Namespace {
					n := l.Namespace(name)
					l.Veth(n, "eth0", sw, "p-"+name)
					sw.Attach("p-"+name, "br0")
					n.Addr("eth0", netip.MustParsePrefix(addr))
					return n
				}
				one, two := &machine{Namespace: host("one", "192.0.2.1/24"), t: t}, &machine{Namespace: host("two", "192.0.2.2/24"), t: t}
				client := host("client", "192.0.2.9/24")
				await := func(what, want string) {
					t.Helper()
					var got string
					for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
						ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
						c, err := client.DialContext(ctx, "tcp", vip+":80")
						cancel()
						if err != nil {
							got = err.Error()
							continue
						}
						_ = c.SetDeadline(time.Now().Add(500 * time.Millisecond))
						b, _ := io.ReadAll(c)
						c.Close()
						if got = string(b); got == want {
							return
						}
					}
					t.Fatalf("%s: the address answers %q, want %q", what, got, want)
				}
				one.serve()
				two.serve()
				args := []string{"-address", vip + "/32", "-service", "127.0.0.1:80"}
				one.float(exe, append(append(args, "-priority", "200"), more[0]...)...)
				await("start", "one")
				two.float(exe, append(append(args, "-priority", "100"), more[1]...)...)
				await("another one comes", "one")
				one.service.Close()
				await("the service ends", "two")
				if text := one.out.String(); !strings.Contains(text, "the service does not answer: dial tcp 127.0.0.1:80") {
					t.Errorf("no reason in %q", text)
				}
				one.serve()
				await("the service is back", "one")
				one.end()
				await("the program ends", "two")
				if text := two.out.String(); !strings.Contains(text, "role backup -> active") || !strings.Contains(text, "the active router stops") {
					t.Errorf("no reason in %q", text)
				}
			})
		})
	}
}

// Who may not open the socket is told so at once, while the service is watched.
func withoutPrivilege(t *testing.T, exe string) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "-device", "lo", "-address", "192.0.2.100/32", "-service", "127.0.0.1:1")
	// A user namespace of its own: no capability counts in the namespace of the network.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err == nil || ctx.Err() != nil || !strings.Contains(string(out), "CAP_NET_RAW") {
		t.Errorf("it ends with %v, %v: %s", err, ctx.Err(), out)
	}
}
