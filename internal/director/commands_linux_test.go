package director

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/pool"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// scribe is a program that writes its arguments into a file, a line for each
// run, and the lines that it wrote.
func scribe(t *testing.T) (program string, lines func() []string) {
	t.Helper()
	dir := t.TempDir()
	file, path := filepath.Join(dir, "lines"), filepath.Join(dir, "scribe")
	script := fmt.Sprintf("#!/bin/sh\nsleep 0.05\necho \"$*\" >> %s\n", file)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path, func() []string {
		text, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
	}
}

// idles waits until all programs have run.
func idles(t *testing.T, c *commands) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c.finish(ctx)
	if !c.idle() {
		t.Fatal("programs are still waiting")
	}
}

func commandSetup(program string) *Setup {
	return webSetup(func(v *VirtualService) {
		v.QuorumUp, v.QuorumDown, v.DownOnStop = program+" quorum up %h %p", program+" quorum down", true
		v.Servers[0].Target = health.Target{Addr: addr("10.0.0.1:8080")}
		v.Servers[0].Up, v.Servers[0].Down = program+" a up %h %p", program+" a down"
		v.Servers[1].Down = program + " b down"
	})
}

func TestCommandsRunInOrder(t *testing.T) {
	program, lines := scribe(t)
	b := newBench(t, ipvstest.New(), "", commandSetup(program))
	defer b.stop()
	steps := func(verdicts ...string) {
		for _, v := range verdicts {
			server, state, _ := strings.Cut(v, "=")
			b.loop.inbox.verdict("web/"+server, map[string]health.State{"up": health.Up, "down": health.Down}[state])
			b.loop.ask(t.Context(), func(context.Context) {})
			idles(t, b.loop.commands)
		}
	}
	// A router that does not serve runs nothing.
	steps("a=up")
	b.role(stanceServe)
	idles(t, b.loop.commands)
	steps("b=up", "a=down", "a=down", "b=down", "a=up")
	b.role(stanceWithdraw)
	idles(t, b.loop.commands)
	b.role(stanceServe) // and tells anew how things stand
	idles(t, b.loop.commands)
	want := []string{
		"quorum up 192.0.2.1 80", "a up 10.0.0.1 8080",
		"a down",
		"quorum down", "b down",
		"quorum up 192.0.2.1 80", "a up 10.0.0.1 8080",
		"a down", "quorum down",
		"quorum up 192.0.2.1 80", "a up 10.0.0.1 8080", "b down",
	}
	if diff := cmp.Diff(want, lines()); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
}

// What changes again before its program has begun is told once, as it stands.
func TestCommandsDoNotPileUp(t *testing.T) {
	program, lines := scribe(t)
	c := newCommands(slog.New(slog.DiscardHandler))
	v := &commandSetup(program).Services[0]
	group := func(q pool.Quorum) *pool.Group { return &pool.Group{Quorum: q} }
	state := func(s health.State) factsOf {
		return func(*VirtualService, *RealServer) facts { return facts{state: s} }
	}
	for range 1000 {
		c.tell(v, group(pool.Gained), state(health.Up))
		c.tell(v, group(pool.Lost), state(health.Down))
	}
	if n := len(c.waiting); n != 3 {
		t.Errorf("%d programs wait, want 3", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { c.run(ctx) })
	idles(t, c)
	cancel()
	work.Wait()
	if diff := cmp.Diff([]string{"quorum down", "a down", "b down"}, lines()); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
	c.keep(func(subject) bool { return false })
	if len(c.stood) != 0 {
		t.Errorf("what is in no configuration is remembered: %v", c.stood)
	}
}

func TestCommandsThatDoNotEndAreKilled(t *testing.T) {
	dir := t.TempDir()
	path, mark := filepath.Join(dir, "stuck"), filepath.Join(dir, "mark")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n(sleep 1; echo alive > "+mark+") &\nyes\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c := newCommands(slog.New(slog.NewTextHandler(&log, nil)))
	c.within = 200 * time.Millisecond
	start := time.Now()
	c.do(t.Context(), job{subject: subject{service: "web"}, command: path})
	c.do(t.Context(), job{subject: subject{service: "web"}, command: filepath.Join(dir, "missing")})
	c.do(t.Context(), job{subject: subject{service: "web"}, command: " "})
	if took := time.Since(start); took > 900*time.Millisecond {
		t.Errorf("took %v", took)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 3 || log.Len() > 4000 {
		t.Errorf("%d errors in %d bytes, want 3:\n%.4000s", n, log.Len(), log.String())
	}
	time.Sleep(1200 * time.Millisecond)
	if _, err := os.Stat(mark); err == nil {
		t.Error("what the program started lives on")
	}
}

// The commands for down are run when the director ends, before it does.
func TestCommandsForDownRunAtTheEnd(t *testing.T) {
	program, lines := scribe(t)
	r := newRig(t, ipvstest.New(), func(c *Config) {
		v := &c.Setup.Services[0]
		v.QuorumUp, v.QuorumDown, v.DownOnStop = program+" quorum up", program+" quorum down", true
		v.Servers[0].Down = program + " a down"
	})
	defer r.stop()
	for deadline := time.Now().Add(20 * time.Second); len(lines()) == 0 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if err := r.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if diff := cmp.Diff([]string{"quorum up", "a down", "quorum down"}, lines()); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
}
