package director

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/pool"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// runsCommands runs the programs of c until the test ends.
func runsCommands(t *testing.T, c *commands) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { c.run(ctx) })
	t.Cleanup(func() { cancel(); work.Wait() })
}

// fifoLines reads what is in a named pipe.
func fifoLines(t *testing.T, path string) []string {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 64<<10)
	n, err := unix.Read(fd, buf)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(buf[:n])), "\n")
}

// Each change of a role is told to those who asked, one after another, in the
// words of keepalived.
func TestHooksOfRoles(t *testing.T) {
	program, lines := scribe(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	c := newCommands(slog.New(slog.DiscardHandler))
	c.adopt(&Setup{
		Active: program + " director active", Inactive: program + " director inactive", Notify: program + " all %k %n %s %p", FIFO: fifo,
		Routers: []RouterSetup{
			{Name: "out side", Hooks: Hooks{Master: program + " master %n", Backup: program + " backup", Fault: program + " fault", Notify: program + " notify %k %n %s %p %x"}},
			{Name: "inside"},
		},
	})
	defer c.pipe.close()
	runsCommands(t, c)
	var want []string
	step := func(router string, r failover.Role, priority uint8, lines ...string) {
		c.becomes(router, r, priority)
		idles(t, c)
		want = append(want, lines...)
	}
	step("out side", failover.RoleInit, 100)
	// The director as a whole is inactive when all of its routers are.
	step("out side", failover.RoleBackup, 100, "backup", "notify INSTANCE out_side BACKUP 100 %x", "all INSTANCE out_side BACKUP 100")
	step("out side", failover.RoleBackup, 100)
	step("inside", failover.RoleBackup, 90, "director inactive", "all INSTANCE inside BACKUP 90")
	step("out side", failover.RoleActive, 100, "director active", "master out_side", "notify INSTANCE out_side MASTER 100 %x", "all INSTANCE out_side MASTER 100")
	// One more that a reload brought, which listens yet, is not waited for.
	c.setup.Routers = append(c.setup.Routers, RouterSetup{Name: "new"})
	step("inside", failover.RoleActive, 90, "all INSTANCE inside MASTER 90")
	step("out side", failover.RoleFault, 100, "fault", "notify INSTANCE out_side FAULT 100 %x", "all INSTANCE out_side FAULT 100")
	step("inside", failover.RoleLeaving, 90, "director inactive", "all INSTANCE inside STOP 90")
	// One that a reload took away has its programs until it has left.
	c.gone["out side"] = c.setup.router("out side")
	c.setup.Routers = c.setup.Routers[1:]
	step("out side", failover.RoleLeaving, 100, "notify INSTANCE out_side STOP 100 %x", "all INSTANCE out_side STOP 100")
	if diff := cmp.Diff(want, lines()); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
	wantLines := []string{
		`INSTANCE "out side" BACKUP 100`, `INSTANCE "inside" BACKUP 90`, `INSTANCE "out side" MASTER 100`, `INSTANCE "inside" MASTER 90`,
		`INSTANCE "out side" FAULT 100`, `INSTANCE "inside" STOP 90`, `INSTANCE "out side" STOP 100`,
	}
	if diff := cmp.Diff(wantLines, fifoLines(t, fifo)); diff != "" {
		t.Errorf("lines of the pipe (-want +got):\n%s", diff)
	}
}

// A program that hangs delays others, and no role: while it does, only how
// things stand is kept.
func TestHooksDoNotDelayARole(t *testing.T) {
	program, lines := scribe(t)
	hang := filepath.Join(t.TempDir(), "hang")
	if err := os.WriteFile(hang, []byte("#!/bin/sh\nsleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := newCommands(slog.New(slog.DiscardHandler))
	c.within = 300 * time.Millisecond
	c.adopt(&Setup{Notify: hang, Active: program + " active", Inactive: program + " inactive"})
	runsCommands(t, c)
	c.becomes("", failover.RoleFault, 0)
	begun := time.Now()
	for range 1000 {
		c.becomes("", failover.RoleActive, 0)
		c.becomes("", failover.RoleBackup, 0)
	}
	if took := time.Since(begun); took > 20*time.Second || len(c.waiting) > 3 {
		t.Errorf("2000 changes took %v, and %d programs wait", took, len(c.waiting))
	}
	idles(t, c)
	if got := lines(); len(got) == 0 || got[len(got)-1] != "inactive" {
		t.Errorf("programs %q, want the last to be that of how things stand", got)
	}
}

// A director tells of its own role, its services and its servers.
func TestHooksOfADirector(t *testing.T) {
	program, lines := scribe(t)
	r := newRig(t, ipvstest.New(), func(c *Config) {
		c.Setup.Active, c.Setup.Inactive, c.Setup.Notify = program+" active", program+" inactive", program+" %k %n %s"
	})
	defer r.stop()
	for deadline := time.Now().Add(30 * time.Second); len(lines()) < 5 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if err := r.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	got := lines()
	for _, want := range []string{"active", "inactive", "INSTANCE pulse MASTER", "VS web UP", "RS web/a UP", "RS web/b UP", "INSTANCE pulse STOP"} {
		if n := strings.Count("\n"+strings.Join(got, "\n")+"\n", "\n"+want+"\n"); n != 1 {
			t.Errorf("%q was told %d times:\n%s", want, n, strings.Join(got, "\n"))
		}
	}
	if len(got) < 2 || got[len(got)-2] != "inactive" || got[len(got)-1] != "INSTANCE pulse STOP" {
		t.Errorf("the end is not told last: %q", got)
	}
}

func TestPipe(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "fifo")
	var log bytes.Buffer
	p := &pipe{log: slog.New(slog.NewTextHandler(&log, nil))}
	p.write("to nobody\n")
	p.open(path)
	defer p.close()
	// Nobody reads: what does not fit is lost, once told, and nothing waits.
	for range 100_000 {
		p.write("INSTANCE \"one\" MASTER 100\n")
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("that lines are lost was told %d times", n)
	}
	if got := fifoLines(t, path); len(got) < 100 || got[0] != `INSTANCE "one" MASTER 100` {
		t.Errorf("%d lines were kept, the first %q", len(got), got[0])
	}
	// A new place, and one that is taken by something else.
	other := filepath.Join(dir, "other")
	p.open(other)
	p.write("one\n")
	if diff := cmp.Diff([]string{"one"}, fifoLines(t, other)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	log.Reset()
	p.open(file)
	p.write("INSTANCE\n")
	if data, _ := os.ReadFile(file); string(data) != "precious" || !strings.Contains(log.String(), "is no named pipe") {
		t.Errorf("a file in the way has %q; the log has %q", data, log.String())
	}
}

// Who is told of each change is told of services and servers without programs
// of their own.
func TestNotifyOfServices(t *testing.T) {
	program, lines := scribe(t)
	s := webSetup(func(v *VirtualService) { v.Servers[0].Checker = scripted{verdict: health.OK} })
	s.Notify = program + " %k %n %s %p"
	c := newCommands(slog.New(slog.DiscardHandler))
	c.adopt(s)
	runsCommands(t, c)
	v := &s.Services[0]
	state := func(s health.State) factsOf {
		return func(*VirtualService, *RealServer) facts { return facts{state: s} }
	}
	c.tell(v, &pool.Group{Quorum: pool.Gained}, state(health.Up))
	idles(t, c)
	c.tell(v, &pool.Group{Quorum: pool.Gained}, state(health.Down))
	idles(t, c)
	// Server b has no check, so nothing is known of it.
	want := []string{"VS web UP 0", "RS web/a UP 0", "RS web/a DOWN 0"}
	if diff := cmp.Diff(want, lines()); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
}
