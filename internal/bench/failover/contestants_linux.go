package failover

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/internal/lab"
)

// node is one of a pair.
type node interface {
	start() error
	// yield begins a planned move away from it.
	yield() error
	// reclaim ends what yield began, where that has to be said.
	reclaim() error
	// terminate begins a stop in good order; stop also waits for it, and is
	// for one that runs no more, too.
	terminate() error
	stop() error
	// daemon and speaker are the processes that may be killed: the one that
	// was started, and the one that sends the beats.
	daemon() (int, error)
	speaker() (int, error)
	// perish kills all at once, and waits.
	perish() error
	// router reports whether it speaks only while it serves, as routers do.
	router() bool
	said() string
}

// contestant makes nodes.
type contestant struct {
	name string
	// count reports whether it takes part in moves with so many missed beats.
	// Version 2.2.7 of keepalived knows three only.
	count func(int) bool
	node  func(tb testing.TB, ns *lab.Namespace, t tempo, i int) node
}

// The names that the table knows.
const (
	nameRouter     = "Router"
	nameRouterBeat = "Router, beat process"
	nameNode       = "Node"
	nameNodeBeat   = "Node, beat process"
	nameKeepalived = "keepalived"
	// nameRealTime is keepalived with real-time priority and locked memory, as
	// it can be configured.
	nameRealTime = "keepalived, real-time"
)

func anyCount(int) bool { return true }

func contestants() []contestant {
	return []contestant{
		{nameRouter, anyCount, oursNode("router", false)},
		{nameRouterBeat, anyCount, oursNode("router", true)},
		{nameNode, anyCount, oursNode("node", false)},
		{nameNodeBeat, anyCount, oursNode("node", true)},
		{nameKeepalived, func(n int) bool { return n == 3 }, keepalivedNode("")},
		{nameRealTime, func(int) bool { return false }, keepalivedNode("vrrp_rt_priority 50\n vrrp_no_swap\n")},
	}
}

// priorities are those of routers; the first of a pair is preferred.
var priorities = [2]uint8{150, 100}

// program is a process with its output.
type program struct {
	ns  *lab.Namespace
	cmd *exec.Cmd
	mu  sync.Mutex
	log bytes.Buffer
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.log.Len() > 1<<16 {
		p.log.Reset()
	}
	return p.log.Write(b)
}

func (p *program) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func (p *program) run(cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = p, p
	cmd.WaitDelay = 5 * time.Second // a beat process may outlive it, and has the same output
	p.cmd = cmd
	return p.ns.Do(cmd.Start)
}

func (p *program) daemon() (int, error) { return p.cmd.Process.Pid, nil }

func (p *program) terminate() error { return p.cmd.Process.Signal(syscall.SIGTERM) }

func (p *program) stop() error {
	if p.cmd == nil {
		return nil
	}
	_ = p.terminate() // it may be gone
	timer := time.AfterFunc(15*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	err := p.cmd.Wait()
	p.cmd = nil
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() < 0 {
		return nil // killed, as part of the game
	}
	return err
}

// keepalived is Debian's program.
type keepalived struct {
	program
	dir    string
	global string // of its configuration
	t      tempo
	full   int // priority
	now    int
}

func keepalivedNode(global string) func(testing.TB, *lab.Namespace, tempo, int) node {
	return func(tb testing.TB, ns *lab.Namespace, t tempo, i int) node {
		return &keepalived{program: program{ns: ns}, dir: tb.TempDir(), global: global, t: t, full: int(priorities[i])}
	}
}

func (k *keepalived) file(name string) string { return filepath.Join(k.dir, name) }

func (k *keepalived) configure() error {
	return os.WriteFile(k.file("conf"), fmt.Appendf(nil,
		"global_defs {\n %s}\nvrrp_instance bench {\n state BACKUP\n interface %s\n virtual_router_id %d\n priority %d\n version 3\n advert_int %g\n virtual_ipaddress {\n %v dev %s\n }\n}\n",
		k.global, public, vrid, k.now, k.t.interval.Seconds(), vip, public), 0o600)
}

func (k *keepalived) start() error {
	k.now = k.full
	if err := k.configure(); err != nil {
		return err
	}
	for _, f := range []string{"pid", "vrrp.pid"} {
		_ = os.Remove(k.file(f)) // of one that was killed
	}
	return k.run(exec.Command("keepalived", "--dont-fork", "--log-console", "--vrrp", "--no-syslog", "--use-file", k.file("conf"),
		"--pid", k.file("pid"), "--vrrp_pid", k.file("vrrp.pid"), "--checkers_pid", k.file("checkers.pid")))
}

// yield has no order of its own: the way is another priority and a reload.
func (k *keepalived) yield() error {
	k.now = 10
	if err := k.configure(); err != nil {
		return err
	}
	return k.cmd.Process.Signal(syscall.SIGHUP)
}

func (k *keepalived) reclaim() error {
	k.now = k.full
	if err := k.configure(); err != nil {
		return err
	}
	return k.cmd.Process.Signal(syscall.SIGHUP)
}

func (k *keepalived) speaker() (int, error) {
	text, err := os.ReadFile(k.file("vrrp.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func (k *keepalived) router() bool { return true }

func (k *keepalived) perish() error {
	if k.cmd == nil {
		return nil
	}
	_ = k.cmd.Process.Signal(syscall.SIGSTOP) // so that it starts no other child
	pid, err := k.speaker()
	if err == nil {
		if err = syscall.Kill(pid, syscall.SIGKILL); errors.Is(err, syscall.ESRCH) {
			err = nil
		}
	}
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait() // killed
	k.cmd = nil
	return err
}

// spec is the configuration of one of ours.
type spec struct {
	Kind     string
	Beat     bool
	Index    int
	Interval time.Duration
	Count    int
}

// oursVariable has the spec of a process that is one of ours.
const oursVariable = "LVSKIT_BENCH_NODE"

// ours is a process of ours.
type ours struct {
	program
	spec
	orders io.WriteCloser
}

func oursNode(kind string, beat bool) func(testing.TB, *lab.Namespace, tempo, int) node {
	return func(_ testing.TB, ns *lab.Namespace, t tempo, i int) node {
		return &ours{program: program{ns: ns}, spec: spec{kind, beat, i, t.interval, t.count}}
	}
}

func (o *ours) start() error {
	text, err := json.Marshal(o.spec)
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), oursVariable+"="+string(text))
	if o.orders, err = cmd.StdinPipe(); err != nil {
		return err
	}
	return o.run(cmd)
}

func (o *ours) order(what string) error {
	_, err := io.WriteString(o.orders, what+"\n")
	return err
}

func (o *ours) yield() error { return o.order("yield") }

func (o *ours) reclaim() error {
	if o.Kind == "node" {
		return nil // the service stays where it is
	}
	return o.order("reclaim")
}

// beatLine is how one of ours tells which its beat process is.
const beatLine = "BEAT="

func (o *ours) speaker() (int, error) {
	if !o.Beat {
		return o.daemon()
	}
	said := o.said()
	if i := strings.LastIndex(said, beatLine); i >= 0 {
		number, _, _ := strings.Cut(said[i+len(beatLine):], "\n")
		return strconv.Atoi(number)
	}
	return 0, errors.New("it has not told its beat process")
}

func (o *ours) router() bool { return o.Kind == "router" }

func (o *ours) perish() error {
	if o.cmd == nil {
		return nil
	}
	var err error
	if o.Beat {
		_ = o.cmd.Process.Signal(syscall.SIGSTOP) // so that it starts no other one
		var pid int
		if pid, err = o.speaker(); err == nil {
			if err = syscall.Kill(pid, syscall.SIGKILL); errors.Is(err, syscall.ESRCH) {
				err = nil
			}
		}
	}
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait() // killed
	o.cmd = nil
	return err
}

// runOurs is the whole of a process that is one of ours.
func runOurs(text string) error {
	var s spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	owner, err := failover.NewAddresses(&failover.AddressesConfig{Addresses: []failover.VirtualAddress{{Prefix: vip, Device: public}}})
	if err != nil {
		return err
	}
	tell := func(e failover.Event) { fmt.Printf("%s %+v\n", e.Time.Format("15:04:05.000"), e) }
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var beat *failover.Beat
	if s.Beat {
		if beat, err = failover.NewBeat(nil); err != nil {
			return err
		}
		var running sync.WaitGroup
		running.Go(func() { _ = beat.Run(ctx) }) // told as events
		defer running.Wait()
		go tellBeat(ctx, beat)
	}
	var run func(context.Context) error
	orders := make(map[string]func() error)
	if s.Kind == "node" {
		c := failover.Config{
			Primary: s.Index == 0, Key: []byte("the same on both sides"), Interval: s.Interval,
			DeadAfter: time.Duration(s.Count) * s.Interval, Owner: owner, OnEvent: tell, Beat: beat,
		}
		for _, wire := range []struct {
			name  string
			addrs [2]netip.Addr
		}{{public, hosts}, {private, privates}} {
			name, addrs := wire.name, wire.addrs
			c.Channels = append(c.Channels, failover.Channel{
				Name: name, Local: netip.AddrPortFrom(addrs[s.Index], 539), Peer: netip.AddrPortFrom(addrs[1-s.Index], 539),
			})
		}
		n, err := failover.New(&c)
		if err != nil {
			return err
		}
		run, orders["yield"] = n.Run, n.Yield
	} else {
		r, err := failover.NewRouter(&failover.RouterConfig{
			VRID: vrid, Device: public, Addresses: []netip.Addr{vip.Addr()}, Priority: priorities[s.Index],
			Interval: s.Interval, DownAdverts: s.Count, Owner: owner, OnEvent: tell, Beat: beat,
		})
		if err != nil {
			return err
		}
		run, orders["yield"] = r.Run, r.Yield
		orders["reclaim"] = func() error { r.Reclaim(); return nil }
	}
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			if err := orders[in.Text()](); err != nil {
				fmt.Println(in.Text(), err)
			}
		}
	}()
	return run(ctx)
}

// tellBeat tells which the beat process is, and when it is another one.
func tellBeat(ctx context.Context, b *failover.Beat) {
	told := 0
	for ctx.Err() == nil {
		if s := b.Status(); s.Pid != told && s.Priority != "" {
			told = s.Pid
			fmt.Printf("%s, memory locked: %v\n%s%d\n", s.Priority, s.MemoryLocked, beatLine, s.Pid)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
