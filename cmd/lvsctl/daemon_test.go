package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/control"
)

// daemon is an "lvsctl run" that a test started as a process of its own.
type daemon struct {
	t      *testing.T
	dir    string
	conf   string
	args   []string
	client *control.Client
	log    *lockedBuffer

	cmd    *exec.Cmd
	exited chan error
	// command makes the process; a test that runs it in a namespace has its
	// own way.
	command func(name string, args ...string) *exec.Cmd
	launch  func(*exec.Cmd) error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newDaemon prepares a daemon for an lvs.cf; start starts it.
func newDaemon(t *testing.T, conf string, args ...string) *daemon {
	t.Helper()
	// A socket's path must be short, and a test's own folder may not be.
	dir, err := os.MkdirTemp("", "lvs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &daemon{t: t, dir: dir, conf: filepath.Join(dir, "lvs.cf"), log: &lockedBuffer{}, command: exec.Command}
	d.launch = (*exec.Cmd).Start
	d.write(conf)
	sock := filepath.Join(dir, "sock")
	d.client = control.NewClient(sock)
	d.args = append([]string{
		"run", "--config", d.conf, "--socket", sock, "--state", filepath.Join(dir, "state.json"),
	}, args...)
	t.Cleanup(func() {
		d.kill()
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", d.log)
		}
	})
	return d
}

func (d *daemon) write(conf string) {
	d.t.Helper()
	if err := os.WriteFile(d.conf, []byte(conf), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d *daemon) start() {
	d.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := d.command(exe, d.args...)
	cmd.Env = append(os.Environ(), asLvsctl+"=1")
	cmd.Stdout, cmd.Stderr = d.log, d.log
	if err := d.launch(cmd); err != nil {
		d.t.Fatal(err)
	}
	exited := make(chan error, 1)
	d.cmd, d.exited = cmd, exited
	go func() { exited <- cmd.Wait() }()
}

// kill is kill -9.
func (d *daemon) kill() {
	if d.cmd != nil {
		d.cmd.Process.Kill()
		<-d.exited
		d.cmd = nil
	}
}

// stop asks the daemon to leave and returns how it ended.
func (d *daemon) stop() error {
	d.t.Helper()
	d.signal(syscall.SIGTERM)
	select {
	case err := <-d.exited:
		d.cmd = nil
		return err
	case <-time.After(30 * time.Second):
		d.t.Fatal("the daemon did not end within 30 s of a TERM")
		return nil
	}
}

func (d *daemon) signal(s os.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.t.Fatal(err)
	}
}

// await polls the status until ok says so, and returns it.
func (d *daemon) await(what string, ok func(*control.Status) bool) *control.Status {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 3*time.Minute)
	defer cancel()
	var last *control.Status
	var err error
	// A status of many servers costs the daemon more than a moment.
	for pause := 10 * time.Millisecond; ; pause = min(pause*5/4, 500*time.Millisecond) {
		var st *control.Status
		if st, err = d.client.Status(ctx); err == nil {
			if last = st; ok(st) {
				return st
			}
		}
		select {
		case werr := <-d.exited:
			d.exited <- werr
			d.t.Fatalf("the daemon ended (%v) while waiting until %s", werr, what)
		case <-ctx.Done():
			text := &bytes.Buffer{}
			if last != nil {
				writeStatus(text, last, true, time.Now())
			}
			d.t.Fatalf("waited in vain until %s: %v\nlast status:\n%s", what, err, text)
		case <-time.After(pause):
		}
	}
}

// status asks once.
func (d *daemon) status() *control.Status {
	d.t.Helper()
	st, err := d.client.Status(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return st
}

// serving tells that a daemon is active with n servers in its table.
func serving(n int) func(*control.Status) bool {
	return func(st *control.Status) bool {
		in := 0
		for _, v := range st.Services {
			for _, s := range v.Servers {
				if s.InTable && s.Weight > 0 {
					in++
				}
			}
		}
		return st.Role.Role == "active" && in == n
	}
}

// server finds one server of a status.
func server(st *control.Status, service, name string) control.Server {
	for _, v := range st.Services {
		for _, s := range v.Servers {
			if v.Name == service && s.Name == name {
				return s
			}
		}
	}
	panic(fmt.Sprintf("no server %s/%s in the status", service, name))
}
