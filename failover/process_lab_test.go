//go:build linux && (netns || peers)

package failover_test

import (
	"bufio"
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
)

// daemonProcess is a daemon with its beat process on a host.
type daemonProcess struct {
	t    *testing.T
	host *peer
	cmd  *exec.Cmd
	done chan struct{}

	mu    sync.Mutex
	lines []string
	log   logged // what the daemon and its beat process wrote to their standard error
}

// startDaemon starts one for the address 192.0.2.100.
func startDaemon(t *testing.T, host *peer, c daemonConfig) *daemonProcess {
	t.Helper()
	c.Namespace, c.Addresses = host.Path(), oneAddress("192.0.2.100/24")
	text, err := json.Marshal(c)
	must(t, err)
	d := &daemonProcess{t: t, host: host, done: make(chan struct{})}
	d.cmd = exec.Command("/proc/self/exe")
	d.cmd.Env = append(os.Environ(), daemonVariable+"="+string(text))
	out, err := d.cmd.StdoutPipe()
	must(t, err)
	d.cmd.Stderr = &d.log
	d.cmd.WaitDelay = patience
	must(t, d.cmd.Start())
	go func() {
		defer close(d.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			d.mu.Lock()
			d.lines = append(d.lines, lines.Text())
			d.mu.Unlock()
		}
		_ = d.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
		_ = d.cmd.Process.Signal(syscall.SIGCONT)
		timer := time.AfterFunc(patience, func() { _ = d.cmd.Process.Kill() })
		<-d.done
		timer.Stop()
		if t.Failed() {
			t.Logf("%s said\n%s\n%s", host.Name(), strings.Join(d.said(), "\n"), d.log.String())
		}
	})
	return d
}

func (d *daemonProcess) said() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.lines...)
}

// count is how many lines have this in them.
func (d *daemonProcess) count(text string) (n int) {
	for _, l := range d.said() {
		if strings.Contains(l, text) {
			n++
		}
	}
	return n
}

// beat returns the number of the beat process that was told last, 0 if none was.
func (d *daemonProcess) beat() (pid int) {
	for _, l := range d.said() {
		if f := strings.Fields(l); len(f) > 1 && f[0] == "beat" {
			pid, _ = strconv.Atoi(f[1])
		}
	}
	return pid
}

// has reports whether the host has the address.
func (d *daemonProcess) has() bool {
	return d.host.holds([]netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")})
}

func (d *daemonProcess) kill(pid int, s syscall.Signal) {
	d.t.Helper()
	if pid <= 0 {
		d.t.Fatalf("process %d", pid)
	}
	must(d.t, syscall.Kill(pid, s))
}

// routerPair starts two daemons with a router each, adverts every 10 ms, and
// waits until the first serves and the second watches.
func routerPair(t *testing.T, change func(first bool, c *daemonConfig)) (d1, d2 *daemonProcess) {
	t.Helper()
	w := newWire(t)
	hosts := [2]*peer{w.host("d1", "192.0.2.1/24"), w.host("d2", "192.0.2.2/24")}
	var d [2]*daemonProcess
	for i, priority := range []uint8{200, 100} {
		c := daemonConfig{Router: &failover.RouterConfig{
			VRID: 7, Device: eth0, Priority: priority, Interval: 10 * time.Millisecond, NoPreempt: true,
		}}
		if change != nil {
			change(i == 0, &c)
		}
		d[i] = startDaemon(t, hosts[i], c)
		if i == 0 {
			within(t, patience, "the first serves", func() bool { return d[0].count("-> active") > 0 && d[0].has() && d[0].beat() != 0 })
		}
	}
	within(t, patience, "the second watches", func() bool { return d[1].count("init -> backup") > 0 && d[1].beat() != 0 })
	return d[0], d[1]
}

// oneAddress is a virtual address on eth0.
func oneAddress(s string) []failover.VirtualAddress {
	return []failover.VirtualAddress{{Prefix: netip.MustParsePrefix(s), Device: "eth0"}}
}
