//go:build linux && peers

package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/internal/lab"
)

// measured is a real server with Debian's rstatd and node_exporter, whose
// kernel says that its load is the given one. It takes connections at port
// 8080.
func measured(t *testing.T, n *lab.Namespace, load string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "loadavg")
	if err := os.WriteFile(file, []byte(load+" 1/100 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// A machine of its own: what goes into the background ends with it, and
	// what it writes nobody else sees. It lives as long as we hold its input.
	cmd := exec.Command("sh", "-ec", `
		mount --make-rprivate /
		mount -t tmpfs -o mode=0755 tmpfs /run
		mount --bind `+file+` /proc/loadavg
		rpcbind -w
		rpc.rstatd
		prometheus-node-exporter --web.listen-address=:9100 --log.level=error &
		read -r end`)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	cmd.WaitDelay = time.Second
	if err := n.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said: %s", n.Name(), said.String())
		}
	})
	l, err := n.Listen("tcp", "0.0.0.0:8080")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
}

// Two servers of equal weight, one with much to do and one with little: their
// weights in the table part, whichever way the loads are found out.
func TestPeersLoadMonitors(t *testing.T) {
	l := lab.New(t)
	director, busy, idle := l.Namespace("director"), l.Namespace("busy"), l.Namespace("idle")
	for i, n := range []*lab.Namespace{busy, idle} {
		near := fmt.Sprintf("eth%d", i)
		l.Veth(director, near, n, "eth0")
		director.Addr(near, netip.MustParsePrefix(fmt.Sprintf("10.0.%d.1/24", i)))
		n.Addr("eth0", netip.MustParsePrefix(fmt.Sprintf("10.0.%d.2/24", i)))
	}
	measured(t, busy, "400.00 300.00 200.00")
	measured(t, idle, "0.01 0.02 0.05")

	dir := t.TempDir()
	for name, text := range map[string]string{
		"rsh":  "#!/bin/sh\n[ \"$2\" = uptime ] || exit 1\ncase \"$1\" in 10.0.0.2) l=400,00 ;; 10.0.1.2) l=0,01 ;; esac\necho \" 10:00:00 up 1 day,  1 user,  load average: $l, 2,00, 1,00\"\n",
		"load": "#!/bin/sh\ncase \"$1\" in 10.0.0.2) echo 400 ;; 10.0.1.2) echo 0.01 ;; esac\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := "serial_no = 1\nprimary = 127.0.0.1\nservice = lvs\nnetwork = nat\nnat_router = 127.0.0.1 lo:1\nrsh_command = " + filepath.Join(dir, "rsh") + "\n"
	words := []string{"rup", "uptime", filepath.Join(dir, "load"), "http://%h:9100"}
	for i, word := range words {
		conf += fmt.Sprintf(`virtual v%d {
     active = 1
     address = 127.0.0.1 lo:1
     port = %d
     scheduler = wlc
     timeout = 2
     load_monitor = %s
     server busy {
         address = 10.0.0.2
         active = 1
         port = 8080
     }
     server idle {
         address = 10.0.1.2
         active = 1
         port = 8080
     }
}
`, i, 9000+i, word)
	}
	d := newDaemon(t, conf, "--dataplane", "userspace")
	d.launch = func(cmd *exec.Cmd) error { return director.Do(cmd.Start) }
	d.start()
	began := time.Now()
	st := d.await("the weights follow the loads", func(st *control.Status) bool {
		for _, v := range st.Services {
			if b, i := v.Servers[0], v.Servers[1]; !b.InTable || !i.InTable || b.Weight >= 64 || i.Weight <= 64 {
				return false
			}
		}
		return len(st.Services) == len(words)
	})
	t.Logf("after %v", time.Since(began).Round(100*time.Millisecond))
	for i, words := range [][2]string{
		{"stats: load 400.00 300.00 200.00 (version 3, port ", "stats: load 0.01 0.02 0.05 (version 3, port "},
		{"run: load 400.00 2.00 1.00", "run: load 0.01 2.00 1.00"},
		{"run: load 400.00", "run: load 0.01"},
		{"read: load 400.00 300.00 200.00 on ", "read: load 0.01 0.02 0.05 on "},
	} {
		for j, want := range words {
			if s := st.Services[i].Servers[j]; s.State != "up" || s.Load == nil || !strings.HasPrefix(s.LoadReason, want) {
				t.Errorf("service %d: %s: %s, load %v: %q, want %q", i, s.Name, s.State, s.Load, s.LoadReason, want)
			}
		}
	}
	for _, n := range st.Notes {
		if strings.Contains(n, "load_monitor") {
			t.Errorf("note %q", n)
		}
	}
	if err := d.stop(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
}
