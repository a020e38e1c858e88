//go:build linux && netns

package failover_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
)

// onlyAt waits until exactly this one of the two has the address and returns
// how long that took.
func onlyAt(t *testing.T, what string, here, there *daemonProcess) {
	t.Helper()
	took := within(t, patience, what, func() bool { return here.has() && !there.has() })
	t.Logf("%s: the address is there alone after %v", what, took)
}

func TestNetnsDaemonIsKilled(t *testing.T) {
	t.Parallel()
	d1, d2 := routerPair(t, nil)
	beat := d1.beat()
	if d1.count(" real-time 10 locked=true") == 0 && d1.count("beat-limited: ") == 0 {
		t.Errorf("less than all, and no word of it: %q", d1.said())
	}
	d1.kill(d1.cmd.Process.Pid, syscall.SIGKILL)
	onlyAt(t, "the daemon is killed", d2, d1)
	within(t, patience, "the process has ended", func() bool { return !runs(beat) })
	within(t, patience, "its log tells of that", func() bool {
		return d1.log.count(fmt.Sprintf(`msg="the daemon is gone: 1 address released, the others told" daemon=%d`, d1.cmd.Process.Pid)) == 1
	})
	if d2.count("the active router stops") == 0 {
		t.Errorf("the other one was not told: %q", d2.said())
	}
}

// runs reports whether a process is there and is no zombie.
func runs(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

// highestOpen returns what the descriptor of the highest number of a process is.
func highestOpen(t *testing.T, pid int) string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	must(t, err)
	top := -1
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		must(t, err)
		top = max(top, n)
	}
	what, err := os.Readlink(fmt.Sprintf("%s/%d", dir, top))
	must(t, err)
	return what
}

func TestNetnsBeatProcessIsKilled(t *testing.T) {
	t.Parallel()
	d1, d2 := routerPair(t, nil)
	first := d1.beat()
	spared, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", first))
	must(t, err)
	if string(spared) != "-900\n" && os.WriteFile("/proc/self/oom_score_adj", []byte("-900"), 0) == nil {
		t.Errorf("it is as good as any to be killed when memory runs out: %s", spared)
	}
	// The kernel closes it first, before sockets that take their time.
	inode := strings.Trim(highestOpen(t, first), "socket:[]")
	unix, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/unix", first))
	must(t, err)
	if !strings.Contains(string(unix), " "+inode+"\n") {
		t.Errorf("its highest descriptor %q is not the socket to the daemon", inode)
	}
	d1.kill(first, syscall.SIGKILL)
	onlyAt(t, "the beat process is killed", d2, d1)
	within(t, patience, "another one watches", func() bool { return d1.beat() != first && d1.count("init -> backup") > 0 })
	if d1.count("signal: killed") == 0 {
		t.Errorf("no reason in %q", d1.said())
	}
	// It is of full use: it takes over when the other one goes.
	d2.kill(d2.cmd.Process.Pid, syscall.SIGKILL)
	onlyAt(t, "the other daemon is killed", d1, d2)
}

// Nobody is left to remove anything: the other one takes over by silence, and
// who comes back finds the address and gives it up.
func TestNetnsBothAreKilled(t *testing.T) {
	t.Parallel()
	d1, d2 := routerPair(t, nil)
	beat := d1.beat()
	d1.kill(d1.cmd.Process.Pid, syscall.SIGSTOP) // so that it cannot clear up
	d1.kill(beat, syscall.SIGKILL)
	d1.kill(d1.cmd.Process.Pid, syscall.SIGKILL)
	within(t, patience, "the other one takes over", d2.has)
	if !d1.has() {
		t.Error("somebody removed the address")
	}
	again := startDaemon(t, d1.host, daemonConfig{Router: &failover.RouterConfig{
		VRID: 7, Device: eth0, Priority: 200, Interval: 10 * time.Millisecond, NoPreempt: true,
	}})
	onlyAt(t, "it is started again", d2, again)
}

// What keeps the daemon from running costs no heartbeat.
func TestNetnsDaemonStandsStill(t *testing.T) {
	t.Parallel()
	d1, d2 := routerPair(t, func(first bool, c *daemonConfig) {
		if !first { // half a second, so that a busy machine is no news
			c.Router.DownAdverts = 50
		}
	})
	d1.kill(d1.cmd.Process.Pid, syscall.SIGSTOP)
	time.Sleep(1500 * time.Millisecond)
	if d2.count("-> active") > 0 || !d1.has() || d2.has() {
		t.Errorf("taken over: %q", d2.said())
	}
	d1.kill(d1.cmd.Process.Pid, syscall.SIGCONT)
	must(t, d1.cmd.Process.Signal(syscall.SIGTERM))
	onlyAt(t, "it is stopped", d2, d1)
	<-d1.done
	if d1.count(`status {"role":"leaving"`)+d1.count("active -> leaving") == 0 {
		t.Errorf("it did not leave in order: %q", d1.said())
	}
}

// A beat process that is stopped for longer than the others wait is replaced.
func TestNetnsBeatProcessIsStopped(t *testing.T) {
	t.Parallel()
	d1, d2 := routerPair(t, nil)
	first := d1.beat()
	d1.kill(first, syscall.SIGSTOP)
	onlyAt(t, "the beat process is stopped", d2, d1)
	within(t, patience, "another process", func() bool { return d1.beat() != first && d1.count("init -> backup") > 0 })
	if d1.count("it was stopped for 40ms, as by SIGSTOP, and was killed") == 0 {
		t.Errorf("no reason in %q", d1.said())
	}
}

// One that goes on sooner stays, and gives way if it was too late for the others.
func TestNetnsBeatProcessStandsStillForAWhile(t *testing.T) {
	t.Parallel()
	d1, d2 := routerPair(t, func(first bool, c *daemonConfig) {
		if c.Router.Interval = 20 * time.Millisecond; first {
			c.Router.DownAdverts = 100
		}
	})
	first := d1.beat()
	d1.kill(first, syscall.SIGSTOP)
	within(t, patience, "the other one takes over", d2.has)
	d1.kill(first, syscall.SIGCONT)
	// The one of higher priority stays: both spoke, one gives way.
	onlyAt(t, "it goes on", d1, d2)
	if d1.beat() != first || d1.count("beat-lost") > 0 {
		t.Errorf("it was replaced: %q", d1.said())
	}
}

// A hook that hangs keeps nobody from being relieved.
func TestNetnsHookHangs(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	d := startDaemon(t, w.host("d1", "192.0.2.1/24"), daemonConfig{Hang: true, Router: &failover.RouterConfig{
		VRID: 7, Device: eth0, Priority: 100, Interval: 10 * time.Millisecond,
	}})
	within(t, patience, "the hook", func() bool { return d.count("hook active") > 0 })
	other := startDaemon(t, w.host("d2", "192.0.2.2/24"), daemonConfig{Router: &failover.RouterConfig{
		VRID: 7, Device: eth0, Priority: 200, Interval: 10 * time.Millisecond,
	}})
	onlyAt(t, "a better one comes", other, d)
	d.kill(d.cmd.Process.Pid, syscall.SIGKILL) // the hook never ends
}

// nodeConfig is one of a pair of nodes, or one alone.
func nodeConfig(i int, alone bool) daemonConfig {
	at := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:539"), netip.MustParseAddrPort("192.0.2.2:539")}
	c := &failover.Config{Primary: i == 0}
	if !alone {
		c.Key, c.Interval = key, 10*time.Millisecond
		c.Channels = []failover.Channel{{Name: "only", Local: at[i], Peer: at[1-i]}}
	}
	return daemonConfig{Node: c}
}

// A node keeps the address when nobody else would serve.
func TestNetnsNodeKeepsWhatNobodyTakes(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	t.Run("alone", func(t *testing.T) {
		d := startDaemon(t, w.host("d1", "192.0.2.1/24"), nodeConfig(0, true))
		within(t, patience, "it serves", func() bool { return d.has() && d.beat() != 0 })
		first := d.beat()
		d.kill(first, syscall.SIGKILL)
		within(t, patience, "another process serves", func() bool { return d.beat() != first && d.count("init -> active") == 2 })
		second := d.beat()
		d.kill(d.cmd.Process.Pid, syscall.SIGKILL)
		within(t, patience, "the process has ended", func() bool { return !runs(second) })
		if !d.has() {
			t.Error("the address is gone")
		}
		within(t, patience, "its log tells of that", func() bool {
			return d.log.count("the daemon is gone: 1 address left in place, as nobody else would serve") == 1
		})
	})
	t.Run("with a partner", func(t *testing.T) {
		d1 := startDaemon(t, w.host("d3", "192.0.2.1/24"), nodeConfig(0, false))
		d2 := startDaemon(t, w.host("d4", "192.0.2.2/24"), nodeConfig(1, false))
		within(t, patience, "a pair", func() bool { return d1.has() && d1.count("partner-found") > 0 && d2.count("-> backup") > 0 })
		d1.kill(d1.cmd.Process.Pid, syscall.SIGKILL)
		onlyAt(t, "the daemon is killed", d2, d1)
		within(t, patience, "the partner is alone", func() bool { return d2.count("partner-lost") > 0 })
		beat := d2.beat() // told long ago
		d2.kill(d2.cmd.Process.Pid, syscall.SIGKILL)
		within(t, patience, "the process has ended", func() bool { return !runs(beat) })
		if !d2.has() {
			t.Error("the address is gone")
		}
	})
	t.Run("with a partner in fault", func(t *testing.T) {
		d1 := startDaemon(t, w.host("d5", "192.0.2.1/24"), nodeConfig(0, false))
		c := nodeConfig(1, false)
		c.Fault = "a cable"
		d2 := startDaemon(t, w.host("d6", "192.0.2.2/24"), c)
		within(t, patience, "a pair", func() bool {
			return d1.has() && d1.beat() != 0 && d1.count("partner-found") > 0 && d2.count("partner-found") > 0
		})
		first := d1.beat()
		d1.kill(first, syscall.SIGKILL)
		within(t, patience, "another process serves", func() bool { return d1.beat() != first && d1.count("-> active") == 2 })
		second := d1.beat()
		d1.kill(d1.cmd.Process.Pid, syscall.SIGKILL)
		within(t, patience, "the process has ended", func() bool { return !runs(second) })
		if !d1.has() || d2.has() {
			t.Errorf("the address is at the first: %v, at the second: %v", d1.has(), d2.has())
		}
	})
}

// A node goes on in the next process, if that comes before its partner misses a
// beat: the address stays all the time.
func TestNetnsNodeGoesOnInAnotherProcess(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	slow := func(i int) daemonConfig {
		c := nodeConfig(i, false)
		c.Node.DeadAfter = patience
		return c
	}
	d1 := startDaemon(t, w.host("d1", "192.0.2.1/24"), slow(0))
	d2 := startDaemon(t, w.host("d2", "192.0.2.2/24"), slow(1))
	within(t, patience, "a pair", func() bool {
		return d1.has() && d1.beat() != 0 && d1.count("partner-found") > 0 && d2.count("-> backup") > 0
	})
	first := d1.beat()
	d1.kill(first, syscall.SIGKILL)
	within(t, patience, "another process serves", func() bool {
		if !d1.has() {
			t.Fatalf("the address is gone meanwhile: %q", d1.said())
		}
		return d1.beat() != first && d1.count("-> active") == 2
	})
	if d2.count("-> active") > 0 {
		t.Errorf("the other one took over: %q", d2.said())
	}
}

// Routers of a group live in one process, follow each other there, and are
// changed from here.
func TestNetnsGroupInABeatProcess(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	host := w.host("d1", "192.0.2.1/24")
	rec := new(failovertest.Recorder)
	beat, err := failover.NewBeat(&failover.BeatConfig{OnEvent: rec.OnEvent})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	t.Cleanup(func() { cancel(); work.Wait() })
	work.Go(func() {
		if err := beat.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	var routers []*failover.Router
	var owners []*failover.Addresses
	config := func(i int) *failover.RouterConfig {
		return &failover.RouterConfig{
			VRID: uint8(7 + i), Device: eth0, Priority: 100, Interval: 20 * time.Millisecond,
			Addresses: []netip.Addr{netip.MustParseAddr(fmt.Sprintf("192.0.2.10%d", i))},
			Transport: failover.RawIP{Namespace: host.Path()}, Beat: beat,
		}
	}
	for i := range 2 {
		c := config(i)
		owner, err := failover.NewAddresses(&failover.AddressesConfig{
			Addresses: oneAddress(fmt.Sprintf("192.0.2.10%d/24", i)), Namespace: host.Path(),
		})
		must(t, err)
		c.Owner = owner
		r, err := failover.NewRouter(c)
		must(t, err)
		routers, owners = append(routers, r), append(owners, owner)
	}
	group, err := failover.NewGroup("both", routers...)
	must(t, err)
	for _, r := range routers {
		work.Go(func() {
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("beat %+v\nrouters %+v\n%+v", beat.Status(), routers[0].Status(), routers[1].Status())
		}
	})
	both := func(what string, role failover.Role) {
		t.Helper()
		within(t, patience, what, func() bool {
			for _, r := range routers {
				if s := r.Status(); s.Role != role || s.Serving != (role == failover.RoleActive) || s.Group != "both" {
					return false
				}
			}
			return true
		})
	}
	has := func(what string, want ...string) {
		t.Helper()
		var got []string
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			got = host.addresses()
			if slices.Sort(got); slices.Equal(got, want) {
				return
			}
		}
		t.Fatalf("%s: addresses %q, want %q", what, got, want)
	}
	both("start", failover.RoleActive)
	has("start", "192.0.2.1/24 eth0", "192.0.2.100/24 eth0", "192.0.2.101/24 eth0")
	if s := owners[0].Status(); len(s) != 1 || !s[0].Held {
		t.Errorf("status of the owner %+v", s)
	}
	routers[1].SetFault("a cable")
	both("one has a fault", failover.RoleFault)
	if s := routers[0].Status(); s.Reason != `fault: group "both" is held by eth0 8: a cable` {
		t.Errorf("reason %q", s.Reason)
	}
	routers[1].SetFault("")
	both("none has a fault", failover.RoleActive)
	group.SetPriority(50)
	within(t, patience, "the priority", func() bool { return routers[0].Status().Priority == 50 && routers[1].Status().Priority == 50 })

	c := config(0)
	c.Interval = 50 * time.Millisecond
	must(t, routers[0].Reconfigure(ctx, c))
	if s := routers[0].Status(); s.Interval != c.Interval || s.Priority != 50 {
		t.Errorf("reconfigured: %+v", s)
	}
	c.VRID = 9
	if err := routers[0].Reconfigure(ctx, c); err == nil {
		t.Error("another VRID is no other router")
	}
	must(t, routers[0].SetAddresses(ctx, []netip.Addr{netip.MustParseAddr("192.0.2.110")}, oneAddress("192.0.2.110/24")))
	has("other addresses", "192.0.2.1/24 eth0", "192.0.2.101/24 eth0", "192.0.2.110/24 eth0")
	must(t, owners[1].Set(ctx, oneAddress("192.0.2.111/24")))
	has("set by the owner", "192.0.2.1/24 eth0", "192.0.2.110/24 eth0", "192.0.2.111/24 eth0")

	// Another process knows all of that.
	first := beat.Status().Pid
	realTime := strings.HasPrefix(beat.Status().Priority, "real-time")
	must(t, syscall.Kill(first, syscall.SIGABRT)) // as a program ends that has a mistake
	within(t, patience, "its last words", func() bool {
		for _, e := range rec.Events() {
			if e.Kind == failover.EventBeatLost && strings.Contains(e.Err.Error(), "SIGABRT: abort") {
				return true
			}
		}
		return false
	})
	within(t, patience, "another process", func() bool { s := beat.Status(); return s.Pid != first && s.Priority != "" })
	both("again", failover.RoleActive)
	has("again", "192.0.2.1/24 eth0", "192.0.2.110/24 eth0", "192.0.2.111/24 eth0")
	if s := routers[0].Status(); s.Interval != 50*time.Millisecond || s.Priority != 50 {
		t.Errorf("again: %+v", s)
	}
	if realTime { // the kernel says that a thread does not pause
		must(t, syscall.Kill(beat.Status().Pid, syscall.SIGXCPU))
		within(t, patience, "it gives way", func() bool {
			s := beat.Status()
			return s.Priority == "normal" && len(s.Limits) > 0 && rec.Count(failover.EventBeatLimited) > 0
		})
	}
	cancel()
	work.Wait()
	has("stopped", "192.0.2.1/24 eth0")
	if s := routers[0].Status(); s.Role != failover.RoleLeaving {
		t.Errorf("stopped: %+v", s)
	}
}

// Who handed over by order is not taken back by another process.
func TestNetnsYieldOutlivesTheBeatProcess(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	host := w.host("d1", "192.0.2.1/24")
	beat, err := failover.NewBeat(nil)
	must(t, err)
	r, err := failover.NewRouter(&failover.RouterConfig{
		VRID: 7, Device: eth0, Priority: 200, Interval: 20 * time.Millisecond, Beat: beat,
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.100")}, Transport: failover.RawIP{Namespace: host.Path()},
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	t.Cleanup(func() { cancel(); work.Wait() })
	work.Go(func() { _ = beat.Run(ctx) })
	work.Go(func() { _ = r.Run(ctx) })
	within(t, patience, "it serves", func() bool { return r.Status().Serving })
	other := startDaemon(t, w.host("d2", "192.0.2.2/24"), daemonConfig{Router: &failover.RouterConfig{
		VRID: 7, Device: eth0, Priority: 100, Interval: 20 * time.Millisecond,
	}})
	within(t, patience, "the other one watches", func() bool { return other.count("init -> backup") > 0 })
	must(t, r.Yield())
	within(t, patience, "the other one serves", other.has)
	first := beat.Status().Pid
	must(t, syscall.Kill(first, syscall.SIGKILL))
	within(t, patience, "another process watches", func() bool {
		s := r.Status()
		return beat.Status().Pid != first && s.Role == failover.RoleBackup && s.ActivePriority == 100
	})
	time.Sleep(20 * r.Status().Down / 3)
	if s := r.Status(); s.Role != failover.RoleBackup || !other.has() || !r.Yielded() {
		t.Errorf("it is %v: %s", s.Role, s.Reason)
	}
	r.Reclaim()
	within(t, patience, "it serves again", func() bool { return r.Status().Serving && !r.Yielded() })
}

// Thousands of addresses that come and go are no computation without a pause, and
// cost the process nothing.
func TestNetnsManyAddressesInABeatProcess(t *testing.T) {
	t.Parallel()
	host := newWire(t).host("d1", "192.0.2.1/24")
	rec := new(failovertest.Recorder)
	beat, err := failover.NewBeat(&failover.BeatConfig{OnEvent: rec.OnEvent})
	must(t, err)
	var list []failover.VirtualAddress
	for i := range 3000 {
		list = append(list, oneAddress(fmt.Sprintf("2001:db8::%x/128", 0x1000+i))...)
	}
	owner, err := failover.NewAddresses(&failover.AddressesConfig{Namespace: host.Path(), Addresses: list})
	must(t, err)
	n, err := failover.New(&failover.Config{Beat: beat, Owner: owner})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	t.Cleanup(func() { cancel(); work.Wait() })
	work.Go(func() { _ = beat.Run(ctx) })
	work.Go(func() { _ = n.Run(ctx) })
	within(t, patience, "it serves", func() bool { return n.Status().Serving })
	must(t, owner.Set(ctx, oneAddress("192.0.2.100/24")))
	if got := host.addresses(); len(got) != 2 {
		t.Errorf("%d addresses", len(got))
	}
	if s := beat.Status(); s.Starts != 1 || rec.Count(failover.EventBeatLost) > 0 {
		t.Errorf("beat %+v, events %v", s, rec.Events())
	}
	for _, e := range rec.Events() {
		if strings.Contains(e.Reason, "computed for") {
			t.Error(e)
		}
	}
}

// Without privileges it runs all the same, and says what is lost, with the cure.
func TestNetnsBeatProcessWithoutPrivilege(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(daemonConfig{Node: &failover.Config{}})
	must(t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), daemonVariable+"="+string(text))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out := new(lockedBuffer)
	cmd.Stdout, cmd.Stderr = out, out
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended as a rule
		if t.Failed() {
			t.Logf("it said\n%s", out)
		}
	})
	within(t, patience, "it serves", func() bool {
		return strings.Contains(out.String(), "init -> active") && strings.Contains("\n"+out.String(), "\nbeat ")
	})
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		"beat-limited: no real-time priority (operation not permitted), but normal: a busy machine may delay heartbeats; ",
		"RLIMIT_RTPRIO of 10 (systemd: LimitRTPRIO=10)",
		"memory not locked (", "an unlimited RLIMIT_MEMLOCK (systemd: LimitMEMLOCK=infinity)",
		" normal locked=false",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// A program that has rights which its starter has not takes no orders as a beat
// process, and starts none.
func TestNetnsNoBeatProcessBySetuid(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	must(t, err)
	text, err := json.Marshal(daemonConfig{Node: &failover.Config{}})
	must(t, err)
	// Another real user than the effective one is what setuid makes (execve(2)).
	cmd := exec.Command("setpriv", "--ruid", "65534", program)
	cmd.Env = append(os.Environ(), daemonVariable+"="+string(text))
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no beat process for a program that has its rights by setuid") {
		t.Errorf("with the rights of another user: %v\n%s", err, out)
	}
}
