package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lvskit/lvskit/ipvs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type source struct{ err error }

func (s source) Status(context.Context) (*Status, error) {
	return &Status{Schema: StatusSchema, Role: Role{Role: "active", Reason: "alone"}}, s.err
}

func (s source) Yield(context.Context) (*Status, error) {
	return &Status{Schema: StatusSchema, Role: Role{Role: "backup", Reason: "handed over by order"}}, s.err
}

func (s source) Reclaim(context.Context) (*Status, error) {
	return &Status{Schema: StatusSchema, Role: Role{Role: "active", Reason: "of higher priority"}}, s.err
}

func (s source) List(context.Context) (*List, error) {
	key, dst := ipvs.TCPService(netip.MustParseAddrPort("192.0.2.1:80")), netip.MustParseAddrPort("10.0.0.1:80")
	snap := ipvs.Snapshot{{
		Service:      ipvs.ServiceState{Service: ipvs.Service{Key: key, Scheduler: "rr"}, Stats: ipvs.Stats{Connections: 3}},
		Destinations: []ipvs.DestinationState{{Destination: ipvs.Destination{Key: dst, Weight: 5}, Active: 2}},
	}}
	return NewList("fake", snap, func(s ipvs.ServiceKey, d ipvs.DestinationKey) string {
		if d.IsValid() {
			return "one"
		}
		return "web"
	}), s.err
}

// socketPath is short: the path of a socket has little room.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lvs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "deep", "s")
}

func serve(t *testing.T, path string, src Source) {
	t.Helper()
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, src) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestAskADaemon(t *testing.T) {
	path := socketPath(t)
	serve(t, path, source{})
	c := NewClient(path)
	st, err := c.Status(t.Context())
	if err != nil || st.Role.Role != "active" || st.Schema != StatusSchema {
		t.Errorf("status %+v, %v", st, err)
	}
	// An order is no question: who merely looks changes nothing.
	if st, err = c.Yield(t.Context()); err != nil || st.Role.Role != "backup" {
		t.Errorf("yield %+v, %v", st, err)
	}
	if _, err := ask[Status](t.Context(), c, http.MethodGet, "yield"); err == nil {
		t.Error("a GET hands over")
	}
	if st, err = c.Reclaim(t.Context()); err != nil || st.Role.Reason != "of higher priority" {
		t.Errorf("reclaim %+v, %v", st, err)
	}
	l, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e := l.Services[0]
	if e.Name != "web" || e.Service.Scheduler != "rr" || e.Stats.Connections != 3 ||
		e.Destinations[0].Name != "one" || e.Destinations[0].Weight != 5 || e.Destinations[0].Active != 2 {
		t.Errorf("list lost something on the way: %+v", e)
	}
	// A script reads the same names.
	data, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"schema":"lvskit.list/v1"`, `"name":"one"`, `"weight":5`, `"active":2`, `"connections":3`, `"scheduler":"rr"`, `"key":"tcp/192.0.2.1:80"`} {
		if !bytes.Contains(data, []byte(want)) {
			t.Errorf("%s is not in %s", want, data)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("socket's mode %v, %v: everybody may ask", info.Mode(), err)
	}
}

func TestListen(t *testing.T) {
	t.Run("refuses the place of a living daemon", func(t *testing.T) {
		path := socketPath(t)
		serve(t, path, source{})
		if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another daemon answers") {
			t.Errorf("error %v", err)
		}
		if _, err := NewClient(path).Status(t.Context()); err != nil {
			t.Errorf("the living one was harmed: %v", err)
		}
	})
	t.Run("takes the place of a dead one", func(t *testing.T) {
		path := socketPath(t)
		l, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		l.Close()
		serve(t, path, source{})
		if _, err := NewClient(path).Status(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses a path that is too long", func(t *testing.T) {
		if _, err := Listen("/tmp/" + strings.Repeat("x", 200)); err == nil || !strings.Contains(err.Error(), "too long") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("leaves a file alone", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "precious")
		if err := os.WriteFile(path, []byte("data"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "--socket") {
			t.Errorf("error %v", err)
		}
		if data, _ := os.ReadFile(path); string(data) != "data" {
			t.Errorf("the file now holds %q", data)
		}
	})
}

func TestClientErrors(t *testing.T) {
	path := socketPath(t)
	if _, err := NewClient(path).Status(t.Context()); !errors.Is(err, ErrNoDaemon) || !strings.Contains(err.Error(), path) {
		t.Errorf("nobody there: %v", err)
	}
	serve(t, path, source{err: errors.New("the table is on fire")})
	if _, err := NewClient(path).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "on fire") || errors.Is(err, ErrNoDaemon) {
		t.Errorf("a daemon in trouble: %v", err)
	}
}
