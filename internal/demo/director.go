package demo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/lvskit/lvskit/internal/control"
)

// director is one "lvsctl run" as a process of its own.
type director struct {
	name   string
	args   []string
	log    string
	client *control.Client
	cmd    *exec.Cmd
	exited chan error
}

// newDirector prepares a director; partner is its heartbeat address seen
// from the other one.
func newDirector(dir, name string, beats []string) *director {
	sock := filepath.Join(dir, name+".sock")
	d := &director{name: name, log: filepath.Join(dir, name+".log"), client: control.NewClient(sock)}
	d.args = []string{
		"run", "--config", filepath.Join(dir, "lvs.cf"), "--role", name,
		"--dataplane", "userspace", "--key-file", filepath.Join(dir, "heartbeat.key"),
		"--socket", sock, "--state", filepath.Join(dir, name+".state"),
	}
	for _, b := range beats {
		d.args = append(d.args, "--heartbeat", b)
	}
	return d
}

func (d *director) start() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	d.cmd = exec.Command(exe, d.args...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	prepareChild(d.cmd)
	if err := d.cmd.Start(); err != nil {
		return fmt.Errorf("start director %s: %w", d.name, err)
	}
	cmd, exited := d.cmd, make(chan error, 1)
	d.exited = exited
	go func() { exited <- cmd.Wait() }()
	return nil
}

// kill ends the process without a word of warning.
func (d *director) kill() {
	if d.cmd != nil {
		d.cmd.Process.Kill()
		<-d.exited
		d.cmd = nil
	}
}

// stop asks the process to end and reports how it did.
func (d *director) stop() error {
	if d.cmd == nil {
		return nil
	}
	defer func() { d.cmd = nil }()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-d.exited:
		return err
	case <-time.After(5 * time.Second):
		d.cmd.Process.Kill()
		<-d.exited
		return fmt.Errorf("director %s did not end within 5 s of a TERM", d.name)
	}
}

// await polls the director's status until ok says so.
func (d *director) await(ctx context.Context, limit time.Duration, what string, ok func(*control.Status) bool) (*control.Status, error) {
	tour := ctx
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		st, err := d.client.Status(ctx)
		if err == nil && ok(st) {
			return st, nil
		}
		select {
		case werr := <-d.exited:
			d.exited <- werr
			return nil, fmt.Errorf("director %s ended by itself (%v) while waiting until %s; its log ends:\n%s", d.name, werr, what, d.tail())
		case <-ctx.Done():
			if tour.Err() != nil {
				return nil, errInterrupted
			}
			if err == nil {
				err = fmt.Errorf("role %s (%s)", st.Role.Role, st.Role.Reason)
			}
			return nil, fmt.Errorf("waited %v until %s: %w; the log of director %s ends:\n%s", limit, what, err, d.name, d.tail())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// tail returns the end of the director's log.
func (d *director) tail() []byte {
	data, _ := os.ReadFile(d.log)
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-8):], []byte("\n"))
}
