//go:build linux && peers

package health_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/internal/lab"
)

// nobody is who the programs run as when we are root.
const nobody = 65534

// freePort is a port on which nothing listens, over TCP and UDP, on an address
// of loopback that no other test of any process is likely to have: so that
// tests side by side never meet.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	addr := netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(254)), byte(rand.IntN(256)), byte(1 + rand.IntN(254))})
	l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// beside is the same address with another free port.
func beside(t *testing.T, addr netip.AddrPort) netip.AddrPort {
	t.Helper()
	for {
		l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr.Addr(), 0)))
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if got := l.Addr().(*net.TCPAddr).AddrPort(); got != addr {
			return got
		}
	}
}

// installed finds a program of Debian's, wherever its kind of programs is. One
// that is missing fails the test where no test may be skipped.
func installed(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if dir := "/usr/sbin/"; err != nil && !strings.Contains(program, "/") {
		path, err = exec.LookPath(dir + program)
	}
	if err == nil {
		return path
	}
	if os.Getenv(lab.NoSkipVariable) == "1" {
		t.Fatalf("%v: run internal/tools/deps.sh peers", err)
	}
	t.Skipf("%v: run internal/tools/deps.sh peers", err)
	return ""
}

// unprivileged makes a command run without privileges.
func unprivileged(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return cmd
}

// run runs a program to its end, which must be a good one.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", cmd, err, out)
	}
}

// daemon is a real program that a test started, with all its processes that
// stay in its process group.
type daemon struct {
	cmd  *exec.Cmd
	log  string
	gone chan struct{} // closed when the program has ended
}

// peer starts a real program as a child without privileges, in a folder of its
// own, and waits until the check that proves it is up is OK.
func peer(t *testing.T, up health.Checker, addr netip.AddrPort, dir, program string, args ...string) *daemon {
	t.Helper()
	cmd := unprivileged(exec.Command(installed(t, program), args...))
	cmd.Dir = dir
	d := start(t, cmd)
	d.wait(t, up, addr, health.OK)
	return d
}

// start starts a program and sees to its end.
func start(t *testing.T, cmd *exec.Cmd) *daemon {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	d := &daemon{cmd, log.Name(), make(chan struct{})}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.gone)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		d.signal(syscall.SIGKILL)
		<-d.gone
		if t.Failed() {
			t.Logf("%s says: %s", cmd.Path, d.said())
		}
	})
	return d
}

// wait waits until the check says so, or the program ends.
func (d *daemon) wait(t *testing.T, c health.Checker, addr netip.AddrPort, verdict health.Verdict) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		r := c.Check(ctx, health.Target{Addr: addr})
		cancel()
		if r.Verdict == verdict {
			return
		}
		select {
		case <-d.gone:
			t.Fatalf("%s has ended: %v: %s", d.cmd, d.cmd.ProcessState, d.said())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v is not to be had, but %v, %s: %s", d.cmd, verdict, r.Verdict, r.Reason, d.said())
		}
	}
}

// signal signals all processes of the program.
func (d *daemon) signal(s syscall.Signal) { _ = syscall.Kill(-d.cmd.Process.Pid, s) }

// said is what the program wrote, or its end.
func (d *daemon) said() string {
	said, _ := os.ReadFile(d.log)
	return string(said[max(0, len(said)-4096):])
}

// ends stops the program as a debugger or a full disk does, lets it go on, and
// then ends it as an operator does: while it stands still the check must fail
// for want of an answer, in the phase hung, and when it is gone at once.
func (d *daemon) ends(t *testing.T, c health.Checker, addr netip.AddrPort, hung, refused string) {
	t.Helper()
	d.signal(syscall.SIGSTOP)
	r := check(t, c, addr, hang)
	// A thread may still finish what it does.
	for end := time.Now().Add(10 * time.Second); r.Verdict == health.OK && time.Now().Before(end); {
		r = check(t, c, addr, hang)
	}
	want(t, r, health.Fail, hung+": no answer within ")
	d.signal(syscall.SIGCONT)
	d.wait(t, c, addr, health.OK)
	d.signal(syscall.SIGTERM) // to all processes, as systemd does
	select {
	case <-d.gone:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not end by SIGTERM: %s", d.cmd, d.said())
	}
	// Workers may hold the port for a moment longer than their master lives.
	r = check(t, c, addr, short)
	for end := time.Now().Add(10 * time.Second); !strings.HasPrefix(r.Reason, refused+": refused") && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
		r = check(t, c, addr, short)
	}
	want(t, r, health.Fail, refused+": refused; nothing listens there")
}

// openDir is a folder that the programs may write to.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lvskit-peers-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	give(t, dir)
	return dir
}

// give makes a file or folder that of whom the programs run as: many trust no
// other's.
func give(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Fatal(err)
	}
}

// files writes files into a folder; names may have one folder, which is made.
func files(t *testing.T, dir string, all map[string]string) {
	t.Helper()
	for name, content := range all {
		path := filepath.Join(dir, name)
		if sub := filepath.Dir(path); sub != dir {
			if err := os.Mkdir(sub, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
				t.Fatal(err)
			}
			give(t, sub)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		give(t, path)
	}
}

// peerPair writes a certificate for example.com and its key into a folder, as
// "cert" and "key", and returns what trusts it.
func peerPair(t *testing.T, dir string) health.TLSConfig {
	t.Helper()
	server, roots := certificate()
	key, err := x509.MarshalPKCS8PrivateKey(server.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	files(t, dir, map[string]string{
		"cert": string(roots), "key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	})
	return health.TLSConfig{RootsPEM: roots, ServerName: "example.com"}
}

func TestPeersRedis(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	d := peer(t, must(health.NewRedis(nil)), addr, openDir(t), "redis-server",
		"--bind", addr.Addr().String(), "--port", fmt.Sprint(addr.Port()), "--save", "", "--requirepass", "secret")
	type cfg = health.RedisConfig
	for _, tt := range []struct {
		cfg    cfg
		want   health.Verdict
		reason string
	}{
		{cfg{}, health.OK, "ping: alive, wants a password"},
		{cfg{Password: "secret"}, health.OK, "ping: PONG"},
		{cfg{Username: "default", Password: "secret"}, health.OK, "PONG"},
		{cfg{Password: "wrong"}, health.Fail, "WRONGPASS"},
		{cfg{Password: "secret", Role: "master"}, health.OK, "role: role master"},
		{cfg{Password: "secret", Role: "slave"}, health.Fail, `role "master", expected slave`},
		{cfg{Role: "master"}, health.Fail, "NOAUTH"},
	} {
		want(t, check(t, must(health.NewRedis(&tt.cfg)), addr, short), tt.want, tt.reason)
	}
	steps := must(health.NewDialogue(health.DialogueConfig{Steps: []health.DialogueStep{
		{Send: "AUTH secret\r\n", Expect: "+OK\r\n"},
		{Send: "INFO replication\r\n", Expect: "role:master\r\n"},
		{Send: "QUIT\r\n", Expect: "+OK\r\n"},
	}}))
	want(t, check(t, steps, addr, short), health.OK, "step 3: all steps taken")
	// A replica that has never met its master serves nothing.
	replica := freePort(t)
	peer(t, must(health.NewRedis(&cfg{Role: "slave"})), replica, openDir(t), "redis-server",
		"--bind", replica.Addr().String(), "--port", fmt.Sprint(replica.Port()), "--save", "",
		"--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no")
	want(t, check(t, must(health.NewRedis(nil)), replica, short), health.Fail, "MASTERDOWN")
	d.ends(t, must(health.NewRedis(&cfg{Password: "secret"})), addr, "auth", "connect")
}

// A server that reads its data is up and of no use yet: it takes connections
// and says so to all but a few commands.
func TestPeersRedisLoading(t *testing.T) {
	t.Parallel()
	addr, dir := freePort(t), openDir(t)
	args := []string{"--bind", addr.Addr().String(), "--port", fmt.Sprint(addr.Port()), "--dir", dir, "--save", "", "--enable-debug-command", "local"}
	first := peer(t, must(health.NewRedis(nil)), addr, dir, "redis-server", args...)
	fill := exec.Command(installed(t, "redis-cli"), "-h", addr.Addr().String(), "-p", fmt.Sprint(addr.Port()))
	fill.Stdin = strings.NewReader("DEBUG POPULATE 2000 key 10\nSAVE\n")
	run(t, fill)
	first.signal(syscall.SIGKILL)
	<-first.gone
	// A millisecond for each key, so that it takes about two seconds.
	cmd := unprivileged(exec.Command(installed(t, "redis-server"), append(args, "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")...))
	d := start(t, cmd)
	d.wait(t, must(health.NewTCP(nil)), addr, health.OK)
	want(t, check(t, must(health.NewRedis(nil)), addr, short), health.Fail, `ping: answer "-LOADING Redis is loading the dataset in memory", expected +PONG`)
	d.wait(t, must(health.NewRedis(nil)), addr, health.OK)
}

func TestPeersMemcached(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	c := must(health.NewMemcached(nil))
	d := peer(t, c, addr, openDir(t), "memcached", "-l", addr.Addr().String(), "-p", fmt.Sprint(addr.Port()), "-m", "8", "-t", "1")
	want(t, check(t, c, addr, short), health.OK, "version: memcached 1.")
	want(t, check(t, must(health.NewRedis(nil)), addr, short), health.Fail, `ping: answer "ERROR", expected +PONG`)
	d.ends(t, c, addr, "version", "connect")
}

func TestPeersDNS(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	type cfg = health.DNSConfig
	d := peer(t, must(health.NewDNS(&cfg{Name: "www.example.com", Type: "A", TCP: true})), addr, openDir(t), "dnsmasq",
		"--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file", "--log-facility=-", "--port="+fmt.Sprint(addr.Port()),
		"--listen-address="+addr.Addr().String(), "--bind-interfaces", "--user=", "--group=",
		"--address=/www.example.com/192.0.2.7", "--txt-record=t.example.com,hello", "--local=/example.com/",
		"--mx-host=example.com,mx.example.com,10", "--srv-host=_sip._udp.example.com,sip.example.com,5060", "--ptr-record=7.2.0.192.in-addr.arpa,www.example.com")
	for _, tt := range []struct {
		cfg    cfg
		want   health.Verdict
		reason string
	}{
		{cfg{Name: "www.example.com", Type: "A", Answer: "192.0.2.7"}, health.OK, "the answer has 192.0.2.7"},
		{cfg{Name: "www.example.com", Type: "A", Answer: "192.0.2.8"}, health.Fail, `the last one is "192.0.2.7"`},
		{cfg{Name: "t.example.com", Type: "TXT", Answer: "hello"}, health.OK, ""},
		{cfg{Name: "example.com", Type: "MX", Answer: "mx.example.com"}, health.OK, ""},
		{cfg{Name: "_sip._udp.example.com", Type: "SRV", Answer: "sip.example.com."}, health.OK, ""},
		{cfg{Name: "7.2.0.192.in-addr.arpa", Type: "PTR", Answer: "www.example.com"}, health.OK, ""},
		{cfg{Name: "none.example.com", Type: "A"}, health.Fail, "NXDOMAIN"},
		{cfg{Name: "none.example.com", Type: "A", RCodes: []int{0, 3}}, health.OK, "NXDOMAIN"},
		{cfg{}, health.Fail, "REFUSED to . SOA"},
	} {
		for _, tcp := range []bool{false, true} {
			tt.cfg.TCP = tcp
			want(t, check(t, must(health.NewDNS(&tt.cfg)), addr, short), tt.want, tt.reason)
		}
	}
	d.ends(t, must(health.NewDNS(&cfg{Name: "www.example.com", Type: "A"})), addr, "read", "read")
}
