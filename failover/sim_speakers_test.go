//go:build linux && simtime

package failover_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/internal/lab"
)

// simSpeaker is a router of VRRP on a host, ours or keepalived.
type simSpeaker interface {
	start()
	// begin begins what stop ends: an orderly stop.
	begin()
	stop()
	// perish ends it without another word: a host whose power is cut.
	perish()
}

// simDialect is what both routers of a pair have in common.
type simDialect struct {
	version  uint8
	interval time.Duration
	vips     []netip.Prefix
}

func (d *simDialect) vip() netip.Addr { return d.vips[len(d.vips)-1].Addr() }

// simRouter is one of ours, in a process of its own: in that of the client its
// timers would ring whenever the client wakes.
type simRouter struct {
	t    *testing.T
	host *peer
	spec []byte
	cmd  *exec.Cmd
	tell io.WriteCloser
	log  simSaid
}

// simRouterVariable has the simRouterSpec of a process that is a router.
const simRouterVariable = "LVSKIT_SIM_ROUTER"

// simRouterSpec is the configuration of a simRouter.
type simRouterSpec struct {
	Version     uint8
	Priority    uint8
	DownAdverts int
	Interval    time.Duration
	Addresses   []netip.Prefix
	Beat        bool // it has a beat process
}

func newSimRouter(t *testing.T, d *simDialect, host *peer, priority uint8, downAdverts int, beat bool) *simRouter {
	t.Helper()
	r := &simRouter{t: t, host: host}
	var err error
	r.spec, err = json.Marshal(simRouterSpec{d.version, priority, downAdverts, d.interval, d.vips, beat})
	must(t, err)
	t.Cleanup(r.stop)
	t.Cleanup(func() { r.log.show(t, host.Name()) })
	return r
}

// runSimRouter is the whole of a process that is a router: it serves until it
// gets SIGTERM, and takes orders line by line.
func runSimRouter(text string) error {
	var spec simRouterSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	c := failover.RouterConfig{
		VRID: 51, Version: spec.Version, Device: eth0, Interval: spec.Interval, Priority: spec.Priority, DownAdverts: spec.DownAdverts,
		OnEvent: func(e failover.Event) { fmt.Printf("%+v\n", e) },
	}
	var own []failover.VirtualAddress
	for _, p := range spec.Addresses {
		c.Addresses = append(c.Addresses, p.Addr())
		own = append(own, failover.VirtualAddress{Prefix: p, Device: eth0})
	}
	var err error
	if c.Owner, err = failover.NewAddresses(&failover.AddressesConfig{Addresses: own}); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if spec.Beat {
		if c.Beat, err = failover.NewBeat(nil); err != nil {
			return err
		}
		var beating sync.WaitGroup
		beating.Go(func() { _ = c.Beat.Run(ctx) }) // told as events
		defer beating.Wait()
	}
	r, err := failover.NewRouter(&c)
	if err != nil {
		return err
	}
	go func() {
		for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
			switch orders.Text() {
			case "yield":
				if err := r.Yield(); err != nil {
					fmt.Println(err)
				}
			case "reclaim":
				r.Reclaim()
			}
		}
	}()
	return r.Run(ctx)
}

func (r *simRouter) start() {
	r.t.Helper()
	r.cmd = exec.Command("/proc/self/exe")
	r.cmd.Env = append(os.Environ(), simRouterVariable+"="+string(r.spec))
	r.cmd.Stdout, r.cmd.Stderr = &r.log, &r.log
	var err error
	r.tell, err = r.cmd.StdinPipe()
	must(r.t, err)
	must(r.t, r.host.Do(r.cmd.Start))
}

func (r *simRouter) order(what string) {
	r.t.Helper()
	_, err := io.WriteString(r.tell, what+"\n")
	must(r.t, err)
}

func (r *simRouter) begin() { _ = r.cmd.Process.Signal(syscall.SIGTERM) } // it may be gone

func (r *simRouter) stop() {
	if r.cmd == nil {
		return
	}
	r.begin()
	if err := r.cmd.Wait(); err != nil {
		r.t.Errorf("router of %s: %v", r.host.Name(), err)
	}
	r.cmd = nil
}

// perish kills the daemon; its beat process, if it has one, ends by itself.
func (r *simRouter) perish() {
	must(r.t, r.cmd.Process.Kill())
	_, _ = r.cmd.Process.Wait() // killed
	said := make(chan struct{})
	go func(cmd *exec.Cmd) {
		defer close(said)
		_ = cmd.Wait() // for what a beat process writes yet
	}(r.cmd)
	r.t.Cleanup(func() { <-said })
	r.cmd = nil
}

func (r *simRouter) kill() { must(r.t, r.cmd.Process.Kill()) }

// simSaid is what a program says, while it is running.
type simSaid struct{ lockedBuffer }

// show shows it if the test failed.
func (s *simSaid) show(t *testing.T, who string) {
	if t.Failed() {
		t.Logf("%s says\n%s", who, s.String())
	}
}

// simKeepalived is Debian's program.
type simKeepalived struct {
	t    *testing.T
	host *peer
	dir  string
	cmd  *exec.Cmd
	log  simSaid
}

func newSimKeepalived(t *testing.T, d *simDialect, host *peer, priority uint8) *simKeepalived {
	t.Helper()
	if _, err := exec.LookPath("keepalived"); err != nil {
		if os.Getenv(lab.NoSkipVariable) == "1" {
			t.Fatalf("%v: run internal/tools/deps.sh own", err)
		}
		t.Skipf("%v: run internal/tools/deps.sh own", err)
	}
	k := &simKeepalived{t: t, host: host, dir: t.TempDir()}
	var vips strings.Builder
	for _, p := range d.vips {
		fmt.Fprintf(&vips, " %v dev %s\n", p, eth0)
	}
	text := fmt.Sprintf("vrrp_instance test {\n state BACKUP\n interface %s\n virtual_router_id 51\n priority %d\n version %d\n advert_int %g\n virtual_ipaddress {\n%s }\n}\n",
		eth0, priority, d.version, d.interval.Seconds(), vips.String())
	must(t, os.WriteFile(filepath.Join(k.dir, "conf"), []byte(text), 0o600))
	t.Cleanup(k.stop)
	t.Cleanup(func() { k.log.show(t, host.Name()+" with\n"+text) })
	return k
}

func (k *simKeepalived) start() {
	k.t.Helper()
	file := func(name string) string { return filepath.Join(k.dir, name) }
	k.cmd = exec.Command("keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp", "--no-syslog", "--use-file", file("conf"),
		"--pid", file("pid"), "--vrrp_pid", file("vrrp.pid"), "--checkers_pid", file("checkers.pid"))
	k.cmd.Stdout, k.cmd.Stderr = &k.log, &k.log
	must(k.t, k.host.Do(k.cmd.Start))
}

func (k *simKeepalived) begin() { _ = k.cmd.Process.Signal(syscall.SIGTERM) } // it may be gone

func (k *simKeepalived) stop() {
	if k.cmd == nil {
		return
	}
	k.begin()
	timer := time.AfterFunc(patience, func() { _ = k.cmd.Process.Kill() })
	_ = k.cmd.Wait()
	timer.Stop()
	k.cmd = nil
}

// perish kills the child that speaks before its parent, which could restart it.
func (k *simKeepalived) perish() {
	k.t.Helper()
	_ = k.cmd.Process.Signal(syscall.SIGSTOP)
	text, err := os.ReadFile(filepath.Join(k.dir, "vrrp.pid"))
	must(k.t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(k.t, err)
	must(k.t, syscall.Kill(pid, syscall.SIGKILL))
	must(k.t, k.cmd.Process.Kill())
	_ = k.cmd.Wait() // killed
	k.cmd = nil
	_ = os.Remove(filepath.Join(k.dir, "vrrp.pid"))
	_ = os.Remove(filepath.Join(k.dir, "pid"))
}

// lacks demands that the host has none of the addresses.
func (p *peer) lacks(vips []netip.Prefix) {
	p.w.t.Helper()
	for _, a := range p.kernelAddresses() {
		ip, _ := netip.AddrFromSlice(a.IP)
		if slices.ContainsFunc(vips, func(v netip.Prefix) bool { return v.Addr() == ip.Unmap() }) {
			p.w.t.Errorf("%s still has %v", p.Name(), a.IPNet)
		}
	}
}

// forget removes the addresses from a host, as a new start of it does.
func (p *peer) forget(vips []netip.Prefix) {
	p.w.t.Helper()
	link, err := p.Handle().LinkByName(eth0)
	must(p.w.t, err)
	for _, a := range p.kernelAddresses() {
		ip, _ := netip.AddrFromSlice(a.IP)
		if slices.ContainsFunc(vips, func(v netip.Prefix) bool { return v.Addr() == ip.Unmap() }) {
			must(p.w.t, p.Handle().AddrDel(link, &netlink.Addr{IPNet: a.IPNet}))
		}
	}
}
