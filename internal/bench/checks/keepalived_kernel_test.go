//go:build linux && kernel

package checks

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
)

// Both are asked the same: so many servers by TCP every interval, one failure
// is a death. The victims are in a virtual service of their own, so that
// looking at it costs little.
const (
	servers  = 500
	victims  = 100
	interval = 2 * time.Second
	timeout  = time.Second
	window   = 2 * interval
)

var (
	mainService   = ipvs.TCPService(netip.MustParseAddrPort("192.0.2.1:80"))
	victimService = ipvs.TCPService(netip.MustParseAddrPort("192.0.2.1:81"))
)

const roleVariable = "LVSKIT_CHECKS_ROLE"

// TestMain lets this binary be the servers, or our checker, as a child.
func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv(roleVariable); role {
	case "":
		os.Exit(m.Run())
	case "server":
		err = serve()
	case "lvskit":
		err = watch(os.Args[1], os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve takes connections at one port of all addresses and tells which.
func serve() error {
	ln, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr().(*net.TCPAddr).Port)
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); os.Exit(0) }()
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		c.Close()
	}
}

// each calls f for every server with its service and address.
func each(alive, dying string, f func(of ipvs.ServiceKey, addr netip.AddrPort) error) error {
	for i := range servers {
		of, port := mainService, alive
		if i%(servers/victims) == 0 {
			of, port = victimService, dying
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return err
		}
		ip := netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)})
		if err := f(of, netip.AddrPortFrom(ip, uint16(n))); err != nil {
			return err
		}
	}
	return nil
}

// watch is our checker: a Monitor that keeps the kernel's table.
func watch(alive, dying string) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); cancel() }()
	c, err := ipvs.Dial(ctx, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, key := range []ipvs.ServiceKey{mainService, victimService} {
		if err := c.AddService(ctx, ipvs.Service{Key: key, Scheduler: "rr"}); err != nil {
			return err
		}
	}
	var ws []health.Watch
	of := map[string]ipvs.ServiceKey{}
	if err := each(alive, dying, func(key ipvs.ServiceKey, addr netip.AddrPort) error {
		of[addr.String()] = key
		ws = append(ws, health.Watch{
			ID: addr.String(), Target: health.Target{Addr: addr}, Checker: new(health.TCP),
			Policy: health.Policy{Interval: interval, Timeout: timeout},
		})
		return nil
	}); err != nil {
		return err
	}
	m := health.NewMonitor(&health.Config{OnEvent: func(e health.Event) {
		d := ipvs.Destination{Key: e.Target.Addr, Weight: 1}
		var err error
		if e.New == health.Up {
			err = c.AddDestination(ctx, of[e.ID], d)
		} else {
			err = c.DelDestination(ctx, of[e.ID], d.Key)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, e.ID, err)
		}
	}})
	if err := m.Set(ws); err != nil {
		return err
	}
	return m.Run(ctx)
}

// keepalivedConfig asks keepalived for the same.
func keepalivedConfig(b *testing.B, alive, dying string) string {
	text := map[ipvs.ServiceKey]*strings.Builder{mainService: {}, victimService: {}}
	for key, s := range text {
		fmt.Fprintf(s, "virtual_server %v %d {\n delay_loop %d\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n", key.Addr.Addr(), key.Addr.Port(), int(interval.Seconds()))
	}
	if err := each(alive, dying, func(of ipvs.ServiceKey, addr netip.AddrPort) error {
		fmt.Fprintf(text[of], " real_server %v %d {\n  weight 1\n  TCP_CHECK {\n   connect_timeout %d\n   retry 0\n  }\n }\n", addr.Addr(), addr.Port(), int(timeout.Seconds()))
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "keepalived.conf")
	if err := os.WriteFile(file, []byte(text[mainService].String()+"}\n"+text[victimService].String()+"}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	return file
}

// start starts a child that ends with the benchmark.
func start(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		b.Fatalf("%v: the peer is installed by internal/tools/deps.sh peers", err)
	}
	b.Cleanup(func() {
		stdin.Close()
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && b.Failed() {
			b.Logf("%s: ...%s", cmd.Path, text[max(0, len(text)-2000):])
		}
	})
}

func self(b *testing.B, role string, args ...string) *exec.Cmd {
	file, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(file, args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	return cmd
}

func startServer(b *testing.B) (port string, cmd *exec.Cmd) {
	cmd = self(b, "server")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	start(b, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line), cmd
}

func BenchmarkKernelChecker(b *testing.B) {
	for _, name := range []string{"lvskit", "keepalived"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				measure(b, name)
			}
		})
	}
}

func measure(b *testing.B, name string) {
	alive, _ := startServer(b)
	dying, victim := startServer(b)
	c, err := ipvs.Dial(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if err := c.DeleteEverything(b.Context()); err != nil {
		b.Fatal(err)
	}
	var cmd *exec.Cmd
	if name == "lvskit" {
		cmd = self(b, name, alive, dying)
	} else {
		dir := b.TempDir()
		cmd = exec.Command("/usr/sbin/keepalived", "-n", "-l", "-C", "-f", keepalivedConfig(b, alive, dying),
			"-p", filepath.Join(dir, "pid"), "-c", filepath.Join(dir, "checkers.pid"))
	}
	start(b, cmd)
	left := func(of ipvs.ServiceKey) (n int) {
		for _, err := range c.Destinations(b.Context(), of) {
			if err != nil {
				return -1
			}
			n++
		}
		return n
	}
	wait := func(what string, long time.Duration, done func() bool) time.Duration {
		began := time.Now()
		for !done() {
			if time.Since(began) > long {
				b.Fatalf("%s: %s takes more than %v; %d servers, %d victims in the table", name, what, long, left(mainService), left(victimService))
			}
			time.Sleep(20 * time.Millisecond)
		}
		return time.Since(began)
	}
	wait("to bring all in", 2*time.Minute, func() bool { return left(victimService) == victims && left(mainService) == servers-victims })
	time.Sleep(interval) // the first checks are over

	before, start := cpu(b, cmd.Process.Pid), time.Now()
	time.Sleep(window)
	used := cpu(b, cmd.Process.Pid) - before
	checks := float64(servers) * float64(time.Since(start)) / float64(interval)
	b.ReportMetric(float64(used.Microseconds())/checks, "cpu-µs/check")
	b.ReportMetric(float64(resident(b, cmd.Process.Pid))/1024, "rss-MiB")

	died := time.Now()
	_ = victim.Process.Kill()
	var sum time.Duration
	last, gone := time.Duration(0), 0
	wait("to see the deaths", time.Minute, func() bool {
		if now := victims - left(victimService); now > gone {
			last = time.Since(died)
			sum += time.Duration(now-gone) * last
			gone = now
		}
		return gone >= victims
	})
	b.ReportMetric((sum / victims).Seconds(), "s-to-removal-mean")
	b.ReportMetric(last.Seconds(), "s-to-removal-last")
}

// family is a process with its children.
func family(b *testing.B, pid int) []int {
	list := []int{pid}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		if f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])); f[1] == strconv.Itoa(pid) {
			child, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err != nil {
				b.Fatal(err)
			}
			list = append(list, child)
		}
	}
	return list
}

// cpu is what a process and its children have used, in ticks of 10 ms
// (proc_pid_stat(5)).
func cpu(b *testing.B, pid int) (sum time.Duration) {
	for _, pid := range family(b, pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			b.Fatal(err)
		}
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		for _, field := range f[11:13] {
			ticks, err := strconv.Atoi(field)
			if err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return sum
}

// resident is the memory of a process and its children in KiB.
func resident(b *testing.B, pid int) (sum int) {
	for _, pid := range family(b, pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				n, err := strconv.Atoi(strings.Fields(rest)[0])
				if err != nil {
					b.Fatal(err)
				}
				sum += n
			}
		}
	}
	return sum
}
