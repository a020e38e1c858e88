//go:build linux && peers

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/internal/lab"
)

// nginxProgram is not in everybody's PATH.
const nginxProgram = "/usr/sbin/nginx"

// nginx is one real web server of Debian's.
type nginx struct {
	t    *testing.T
	addr string
	dir  string
	cmd  *exec.Cmd
}

func newNginx(t *testing.T, addr string) *nginx {
	t.Helper()
	n := &nginx{t: t, addr: addr, dir: t.TempDir()}
	conf := fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3;
  uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
  keepalive_requests 1000000;
  server { listen %[2]s; location / { return 200 "%[2]s\n"; } }
}
`, n.dir, addr)
	if err := os.WriteFile(filepath.Join(n.dir, "nginx.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	n.start()
	t.Cleanup(n.kill)
	return n
}

func (n *nginx) start() {
	n.t.Helper()
	n.cmd = exec.Command(nginxProgram, "-p", n.dir, "-e", filepath.Join(n.dir, "error.log"), "-c", filepath.Join(n.dir, "nginx.conf"))
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatalf("nginx: %v", err)
	}
	for range 500 {
		c, err := net.Dial("tcp", n.addr)
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	n.t.Fatalf("nginx does not listen on %s", n.addr)
}

func (n *nginx) kill() {
	if n.cmd != nil {
		n.cmd.Process.Kill()
		n.cmd.Wait()
		n.cmd = nil
	}
}

// load is what wrk says of one run.
type load struct {
	requests, failures int
	perSecond          float64
	text               string
}

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in`)
	wrkSocket   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
	wrkStatus   = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	wrkRate     = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
)

// wrk runs the load tool to its end, with a new connection for each request
// or with kept ones.
func wrk(t *testing.T, seconds int, kept bool, url string) load {
	t.Helper()
	args := []string{"-t1", "-c16", "-d" + strconv.Itoa(seconds) + "s", "--timeout", "3s"}
	if !kept {
		args = append(args, "-H", "Connection: close")
	}
	out, err := exec.Command("wrk", append(args, url)...).CombinedOutput()
	if err != nil {
		t.Fatalf("wrk: %v\n%s", err, out)
	}
	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	l := load{text: string(out)}
	if m := wrkRequests.FindStringSubmatch(l.text); m != nil {
		l.requests = number(m[1])
	}
	if m := wrkSocket.FindStringSubmatch(l.text); m != nil {
		l.failures += number(m[1]) + number(m[2]) + number(m[3]) + number(m[4])
	}
	if m := wrkStatus.FindStringSubmatch(l.text); m != nil {
		l.failures += number(m[1])
	}
	if m := wrkRate.FindStringSubmatch(l.text); m != nil {
		l.perSecond, _ = strconv.ParseFloat(m[1], 64)
	}
	if l.requests == 0 {
		t.Fatalf("wrk made no request:\n%s", out)
	}
	return l
}

func TestPeersNginxUnderLoad(t *testing.T) {
	for _, program := range []string{nginxProgram, "wrk"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv(lab.NoSkipVariable) == "1" {
				t.Fatalf("%v: install nginx-light and wrk", err)
			}
			t.Skipf("%v: install nginx-light and wrk", err)
		}
	}
	one, two := newNginx(t, freeLoopback(t)), newNginx(t, freeLoopback(t))
	vip := freeLoopback(t)
	d := newDaemon(t, webConf(vip, one.addr, two.addr), "--dataplane", "userspace")
	d.start()
	d.await("both servers are in", serving(2))
	url := "http://" + vip + "/"
	out := func(st *control.Status) bool { return !server(st, "web", "s2").InTable }

	for _, kept := range []bool{false, true} {
		name := map[bool]string{false: "new connections", true: "kept connections"}[kept]
		calm := wrk(t, 2, kept, url)
		if calm.failures > 0 {
			t.Errorf("%s: %d failures with both servers alive\n%s", name, calm.failures, calm.text)
		}

		during := make(chan load)
		go func() { during <- wrk(t, 4, kept, url) }()
		time.Sleep(time.Second)
		killed := time.Now()
		two.kill()
		d.await("the dead server is out", out)
		removal := time.Since(killed)
		disturbed := <-during

		// The server is out and still dead: nothing may fail now.
		after := wrk(t, 2, kept, url)
		if after.failures > 0 {
			t.Errorf("%s: %d failures after the removal\n%s", name, after.failures, after.text)
		}

		go func() { during <- wrk(t, 4, kept, url) }()
		time.Sleep(500 * time.Millisecond)
		two.start()
		d.await("the revived server is in", serving(2))
		revived := <-during
		if revived.failures > 0 {
			t.Errorf("%s: %d failures while the server came back\n%s", name, revived.failures, revived.text)
		}
		t.Logf("%s: calm %d requests, %d failed (%.0f/s); kill under load: %d requests, %d failed, removed after %v; after the removal: %d requests, %d failed; return under load: %d requests, %d failed",
			name, calm.requests, calm.failures, calm.perSecond, disturbed.requests, disturbed.failures, removal.Round(time.Millisecond),
			after.requests, after.failures, revived.requests, revived.failures)
	}
	if err := d.stop(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	if c, err := net.Dial("tcp", vip); err == nil {
		c.Close()
		t.Error("the virtual service still answers after a clean end")
	}
}
