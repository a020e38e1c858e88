//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/lvskit/lvskit/internal/control"
)

// webConf is an lvs.cf with one web service on vip and the given servers.
func webConf(vip string, servers ...string) string {
	_, port, _ := net.SplitHostPort(vip)
	var b strings.Builder
	fmt.Fprintf(&b, `serial_no = 1
primary = 127.0.0.1
service = lvs
network = nat
nat_router = 127.0.0.1 lo:1
virtual web {
     active = 1
     address = 127.0.0.1 lo:1
     port = %s
     scheduler = rr
     send = "GET / HTTP/1.0\r\n\r\n"
     expect = "HTTP"
     timeout = 1
     reentry = 1
`, port)
	for i, s := range servers {
		host, port, _ := net.SplitHostPort(s)
		fmt.Fprintf(&b, "     server s%d {\n         address = %s\n         active = 1\n         port = %s\n     }\n", i+1, host, port)
	}
	b.WriteString("}\n")
	return b.String()
}

func namedServer(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func freeLoopback(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// fetch asks the service n times, each on a connection of its own, and
// counts who answered.
func fetch(t *testing.T, client *http.Client, vip string, n int) map[string]int {
	t.Helper()
	got := make(map[string]int)
	for range n {
		resp, err := client.Get("http://" + vip + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		got[string(body)]++
	}
	return got
}

func oneShotClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
}

func TestReload(t *testing.T) {
	one, two := namedServer(t, "one"), namedServer(t, "two")
	vip := freeLoopback(t)
	d := newDaemon(t, webConf(vip, one), "--dataplane", "userspace")
	d.start()
	d.await("one server is in", serving(1))

	for name, bad := range map[string]string{
		"unknown directive": webConf(vip, one) + "colour = blue\n",
		"half a file":       webConf(vip, one)[:300],
		"empty":             "",
		"noise":             "\x00\x01\x02\xff",
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			d.write(bad)
			d.signal(syscall.SIGHUP)
			before := d.status().Config.Loaded
			st := d.await("the reload is refused", func(st *control.Status) bool { return st.Config.ReloadError != "" })
			if !strings.Contains(st.Config.ReloadError, d.conf+":") {
				t.Errorf("the reason has no place: %s", st.Config.ReloadError)
			}
			if !st.Config.Loaded.Equal(before) {
				t.Error("the configuration in force changed")
			}
			if got := fetch(t, oneShotClient(), vip, 4); got["one"] != 4 {
				t.Errorf("answers %v, want 4 from one", got)
			}
			d.write(webConf(vip, one))
			d.signal(syscall.SIGHUP)
			d.await("the mended file is taken", func(st *control.Status) bool { return st.Config.ReloadError == "" })
		})
	}

	changes := d.status().Dataplane.Changes
	d.write(webConf(vip, one, two))
	d.signal(syscall.SIGHUP)
	st := d.await("the new server is in", serving(2))
	if n := st.Dataplane.Changes - changes; n != 1 {
		t.Errorf("a new server cost %d changes, want 1", n)
	}
	if got := fetch(t, oneShotClient(), vip, 10); got["one"] != 5 || got["two"] != 5 {
		t.Errorf("answers %v, want 5 from each", got)
	}

	if err := d.stop(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	if c, err := net.Dial("tcp", vip); err == nil {
		c.Close()
		t.Error("the service still answers after a clean end")
	}
}
