package dataplane

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/lab"
)

// job is what a contestant shall carry: one service to one kind of server.
type job struct {
	vip  netip.AddrPort
	kind kind
}

func (j job) servers() []string {
	var list []string
	for i := range serverCount {
		list = append(list, serverAddr(i, j.kind).String())
	}
	return list
}

// contestant is a way to carry a job.
type contestant struct {
	name string
	// command returns what is to be started, with a folder for its files;
	// nil if it cannot do the job. Without a command the clients go straight
	// to a server.
	command func(j job, dir string) (*exec.Cmd, error)
	// workers is how many processes of its own it starts.
	workers int
}

// balancer is a program with the arguments of the command balancer.
func balancer(name, program string) contestant {
	return contestant{name: name, command: func(j job, _ string) (*exec.Cmd, error) {
		network := "tcp"
		if j.kind == datagram {
			network = "udp"
		}
		return exec.Command(program, append([]string{network, j.vip.String()}, j.servers()...)...), nil
	}}
}

// maxConnections is what everybody is told to expect.
const maxConnections = 9700

// haproxy is Debian's, with two threads as there are processors here.
func haproxy(splicing bool) contestant {
	name, options, global := nameHA, "", ""
	if splicing {
		name, options = nameSplice, "  option splice-response\n  option splice-request\n"
		// The default of 64 KiB takes more than twice the time for a GiB.
		// Room for pipes of all connections would exceed common limits.
		global = "  tune.pipesize 1048576\n  maxpipes 200\n"
	}
	return contestant{name: name, command: func(j job, dir string) (*exec.Cmd, error) {
		if j.kind == datagram {
			return nil, nil // it does not balance UDP
		}
		var conf strings.Builder
		fmt.Fprintf(&conf, `global
  nbthread 2
  maxconn %d
%sdefaults
  mode tcp
  timeout connect 5s
  timeout client 300s
  timeout server 300s
%slisten service
  bind %s backlog %d
  balance roundrobin
`, maxConnections, global, options, j.vip, backlog)
		for i, s := range j.servers() {
			fmt.Fprintf(&conf, "  server s%d %s\n", i, s)
		}
		file := filepath.Join(dir, "haproxy.cfg")
		return exec.Command("/usr/sbin/haproxy", "-db", "-f", file), os.WriteFile(file, []byte(conf.String()), 0o600)
	}}
}

// nginx is Debian's with its module stream, two workers.
func nginx() contestant {
	return contestant{name: nameNginx, workers: 2, command: func(j job, dir string) (*exec.Cmd, error) {
		var servers strings.Builder
		for _, s := range j.servers() {
			fmt.Fprintf(&servers, "    server %s;\n", s)
		}
		options := fmt.Sprintf("reuseport backlog=%d", backlog)
		if j.kind == datagram {
			options = "udp reuseport"
		}
		conf := fmt.Sprintf(`load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
user root;
worker_processes 2;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections %[2]d; }
stream {
  upstream servers {
%[3]s  }
  server {
    listen %[4]s %[5]s;
    proxy_pass servers;
    proxy_timeout 300s;
  }
}
`, dir, 2*maxConnections, servers.String(), j.vip, options)
		file := filepath.Join(dir, "nginx.conf")
		return exec.Command("/usr/sbin/nginx", "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", file),
			os.WriteFile(file, []byte(conf), 0o600)
	}}
}

// running is a contestant at work.
type running struct {
	processes
	at   netip.AddrPort // where the clients go
	cmd  *exec.Cmd
	said *bytes.Buffer
}

// errUnable is of a contestant that cannot do a job.
var errUnable = errors.New("cannot do that")

// start starts a contestant in the namespace and waits until it answers. dir
// is an empty folder.
func (c contestant) start(ns *lab.Namespace, j job, dir string) (*running, error) {
	if c.command == nil {
		return &running{at: serverAddr(0, j.kind), said: &bytes.Buffer{}}, nil
	}
	cmd, err := c.command(j, dir)
	if err != nil {
		return nil, err
	}
	if cmd == nil {
		return nil, errUnable
	}
	r := &running{at: j.vip, cmd: cmd, said: &bytes.Buffer{}}
	cmd.Stdout, cmd.Stderr = r.said, r.said
	// Should the benchmark be killed, nothing of this stays behind; nginx's
	// workers end when the master does. No Pdeathsig: it means the thread,
	// which is not kept.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := ns.Do(cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	if err := ns.Do(func() error { return answers(j) }); err != nil {
		return nil, errors.Join(fmt.Errorf("%s does not answer: %w; it said: %.1000q", c.name, err, r.said), r.stop())
	}
	// A master listens before it has workers.
	for end := time.Now().Add(patience); len(r.processes) < 1+c.workers; time.Sleep(time.Millisecond) {
		if r.processes, err = family(cmd.Process.Pid); err != nil {
			return nil, errors.Join(err, r.stop())
		}
		if time.Now().After(end) {
			return nil, errors.Join(fmt.Errorf("%s has %d processes, want %d", c.name, len(r.processes), 1+c.workers), r.stop())
		}
	}
	return r, nil
}

// patience bounds the start and the end of a contestant.
const patience = 10 * time.Second

// answers waits until a service answers.
func answers(j job) (err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		s := span{length: time.Millisecond, begin: func() error { return nil }, end: func() error { return nil }}
		var d done
		switch j.kind { // something whole, that shows that it has servers
		case datagram:
			s.length = 20 * time.Millisecond
			d, err = datagrams(j.vip, 1, s)
		case once:
			s.length = 20 * time.Millisecond
			d, err = newConnections(j.vip, 1, s)
		case echo:
			var release func()
			if release, err = idle(j.vip, 1); err == nil {
				release()
				return nil
			}
		default:
			if err = lasts(j.vip); err == nil {
				return nil
			}
		}
		if err == nil && d.count > 0 && d.failed == 0 {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%d of %d asked in vain", d.failed, d.count+d.failed)
		}
	}
	return err
}

// lasts reports why a connection does not stay: a balancer may listen before
// it has servers.
func lasts(vip netip.AddrPort) error {
	fd, err := dial(vip)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte{1}); err != nil {
		return err
	}
	time.Sleep(50 * time.Millisecond)
	if _, err := unix.Write(fd, []byte{1}); err != nil {
		return err
	}
	n, err := unix.Read(fd, make([]byte, 1))
	switch {
	case err != nil && !again(err):
		return err
	case err == nil && n == 0:
		return errors.New("the connection was closed")
	}
	return nil
}

// stop ends the contestant.
func (r *running) stop() error {
	if r.cmd == nil {
		return nil
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- r.cmd.Wait() }()
	select {
	case <-ended: // how programs end on a signal differs
		return nil
	case <-time.After(patience):
		_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		return fmt.Errorf("%s did not end within %v of being asked to; it said: %.1000q", r.cmd.Path, patience, r.said)
	}
}
