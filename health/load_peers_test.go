//go:build linux && peers

package health_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/internal/lab"
)

// daemons runs a shell script in a namespace as the first process of a
// machine of its own, which has the namespace's name, and with folders for
// what daemons write that nobody else sees. They end with the test, those that
// went into the background included. It returns the number of the process.
func daemons(t *testing.T, n *lab.Namespace, script string) (pid string) {
	t.Helper()
	cmd := exec.Command("sh", "-ec", `
		mount --make-rprivate /
		mount -t tmpfs -o mode=0755 tmpfs /run
		touch /run/utmp
		hostname `+n.Name()+`
		`+script+`
		read -r end`)
	// It reads to the end of us, whatever that is; a signal at the end of the
	// parent would come with the end of the thread that started it.
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS}
	// Whoever went into the background may hold the pipe.
	cmd.WaitDelay = time.Second
	if err := n.Start(cmd); err != nil {
		t.Fatal(err)
	}
	// Cleanups run last first: this one sees the end of it.
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the daemons said: %s", said.String())
		}
	})
	return fmt.Sprint(cmd.Process.Pid)
}

// comesUp asks until the answer is OK.
func comesUp(t *testing.T, c health.Checker, addr netip.AddrPort) health.Result {
	t.Helper()
	var r health.Result
	for end := time.Now().Add(short); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if r = check(t, c, addr, time.Second); r.Verdict == health.OK {
			return r
		}
	}
	t.Fatalf("it does not come up: %s", r.Reason)
	return r
}

// sameLoad has a program of Debian's tell the load, too, until it did not
// move meanwhile, and compares. The pattern finds the three numbers.
func sameLoad(t *testing.T, ask func() health.Result, program func() string, pattern string) {
	t.Helper()
	numbers := regexp.MustCompile(pattern)
	for range 50 {
		before, text, after := ask(), program(), ask()
		if before.Load == nil || after.Load == nil {
			t.Fatalf("no load: %s; %s", before.Reason, after.Reason)
		}
		if *before.Load != *after.Load {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		found := numbers.FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("no load in %q", text)
		}
		l := *after.Load
		if ours, theirs := fmt.Sprintf("%.2f %.2f %.2f", l.One, l.Five, l.Fifteen), strings.Join(found[1:], " "); ours != theirs {
			t.Errorf("we say %s, Debian's program %s: %q", ours, theirs, text)
		}
		return
	}
	t.Error("the load never rests")
}

// A server whose rwhod is heard by us on one network, and by another rwhod on
// another, whose spool we read.
func TestPeersRuptime(t *testing.T) {
	l := lab.New(t)
	web, listener, director := l.Namespace("web7"), l.Namespace("listener"), l.Namespace("director")
	for i, other := range []*lab.Namespace{listener, director} {
		near := fmt.Sprintf("eth%d", i)
		l.Veth(web, near, other, "eth0")
		web.Addr(near, netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/26", 64*i+1)))
		other.Addr("eth0", netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/26", 64*i+2)))
	}
	spool := openDir(t)
	pid := daemons(t, director, "mount --bind "+spool+" /var/spool/rwho; chmod 0777 /var/spool/rwho; rwhod -b")
	// It must have the port (513 is 0x0201) before we try.
	for !strings.Contains(director.Run("cat", "/proc/self/net/udp"), ":0201 ") {
		time.Sleep(10 * time.Millisecond)
	}

	heard := rwho(&health.RWhoConfig{Namespace: listener.Path()})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- heard.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	hears := must(health.NewRuptime(&health.RuptimeConfig{RWho: heard}))
	at := netip.MustParseAddrPort("192.0.2.1:80")
	want(t, check(t, hears, at, short), health.NoResult, "packet: none yet, listening for")
	// It sends once at its start, and then after three minutes.
	daemons(t, web, "mount -t tmpfs -o mode=0777 tmpfs /var/spool/rwho; rwhod -b")
	r := comesUp(t, hears, at)
	want(t, r, health.OK, `packet: load `)
	want(t, r, health.OK, `(of "web7", `)

	reads := must(health.NewRuptime(&health.RuptimeConfig{
		Name: "web7", RWho: rwho(&health.RWhoConfig{Namespace: director.Path(), Spool: spool}),
	}))
	at = netip.MustParseAddrPort("192.0.2.65:80")
	want(t, comesUp(t, reads, at), health.OK, "spool: load ")
	sameLoad(t, func() health.Result { return check(t, reads, at, short) },
		func() string { return director.Run("nsenter", "--mount", "-t", pid, "ruptime", "-a") },
		`web7 .*load +([0-9.]+), +([0-9.]+), +([0-9.]+)`)
}

func TestPeersRup(t *testing.T) {
	n := lab.New(t).Namespace("server")
	daemons(t, n, "rpcbind -w; rpc.rstatd")
	addr := netip.MustParseAddrPort("127.0.0.1:80")
	dial := health.Dial{Namespace: n.Path()}
	c := must(health.NewRup(&health.RupConfig{Dial: dial}))
	comesUp(t, c, addr)
	want(t, check(t, c, addr, short), health.OK, "(version 3, port ", "portmapper", "stats")
	want(t, check(t, must(health.NewRup(&health.RupConfig{Version: 2, Dial: dial})), addr, short), health.OK, "(version 2, ")
	want(t, check(t, must(health.NewRup(&health.RupConfig{Version: 4, Dial: dial})), addr, short), health.Fail, "stats: the server has versions 1 to 5 of the program only")
	sameLoad(t, func() health.Result { return check(t, c, addr, short) },
		func() string { return n.Run("rup", "127.0.0.1") }, `load ([0-9.]+) ([0-9.]+) ([0-9.]+)`)
}

// The same numbers as in /proc/loadavg, by way of node_exporter.
func TestPeersNodeExporter(t *testing.T) {
	addr := freePort(t)
	c := must(health.NewLoadHTTP(nil))
	peer(t, c, addr, openDir(t), "prometheus-node-exporter", "--web.listen-address="+addr.String())
	r := check(t, c, addr, short)
	if want(t, r, health.OK, "read: load "); r.Load == nil || r.Load.Cores != runtime.NumCPU() {
		t.Errorf("load %v, want it on %d cores", r.Load, runtime.NumCPU())
	}
	sameLoad(t, func() health.Result { return check(t, c, addr, short) }, func() string {
		b, err := os.ReadFile("/proc/loadavg")
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}, `^([0-9.]+) ([0-9.]+) ([0-9.]+) `)
	// All of its metrics, as it tells them to others.
	all := must(health.NewLoadHTTP(&health.LoadHTTPConfig{HTTPConfig: health.HTTPConfig{Path: "/metrics"}}))
	want(t, check(t, all, addr, short), health.OK, fmt.Sprintf(" on %d core", runtime.NumCPU()))
}

func TestPeersUptime(t *testing.T) {
	addr := netip.MustParseAddrPort("127.0.0.1:80")
	for _, command := range []string{"uptime", "cat /proc/loadavg"} {
		c := must(health.NewLoadCommand(health.LoadCommandConfig{Command: command}))
		sameLoad(t, func() health.Result { return check(t, c, addr, short) }, func() string {
			out, err := exec.Command("uptime").Output()
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		}, `average: ([0-9.]+), ([0-9.]+), ([0-9.]+)`)
	}
}
