package ipvs

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestNetlinkSocket speaks with the controller of generic netlink, which any
// Linux has and anyone may ask.
func TestNetlinkSocket(t *testing.T) {
	s, buffer, err := openNetlink(&Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if buffer < errorCost {
		t.Errorf("a receive buffer of %d bytes", buffer)
	}
	buf := make([]byte, readSize)
	if n, ok, err := s.tryReceive(buf); n != 0 || ok || err != nil {
		t.Errorf("with nothing there: %d bytes, %v, %v", n, ok, err)
	}
	// An ended wait must not end the ones after it.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.receive(ctx, buf); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a wait for nothing: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := s.receive(cancelled, buf); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled wait: %v", err)
	}
	for i := range 2 {
		seq := uint32(40 + i)
		if err := s.send(appendFamilyRequest(nil, seq)); err != nil {
			t.Fatal(err)
		}
		var n int
		var err error
		if i == 0 {
			n, _, err = s.tryReceive(buf)
		} else {
			n, err = s.receive(t.Context(), buf)
		}
		if err != nil {
			t.Fatal(err)
		}
		m, rest, err := nextMessage(buf[:n])
		if err != nil || m.seq != seq || len(rest) != 0 {
			t.Errorf("answer %+v, %d bytes after it, %v", m, len(rest), err)
		}
	}
	err = s.send(make([]byte, 1<<24))
	if _, bare := errors.AsType[*os.SyscallError](err); !bare {
		t.Errorf("a send that cannot be: %T %v, want an *os.SyscallError", err, err)
	}
}

// TestDialHere runs on machines with and without IPVS.
func TestDialHere(t *testing.T) {
	for _, path := range []string{"", "/proc/self/ns/net"} {
		c, err := Dial(t.Context(), &Config{NetNS: path})
		if err == nil {
			c.Close()
			continue
		}
		if !errors.Is(err, ErrNoIPVS) && path == "" {
			t.Errorf("error %v, want %v or none", err, ErrNoIPVS)
		}
	}
	if _, err := Dial(t.Context(), &Config{NetNS: "/proc/self/ns/net", NetNSFile: os.Stdin}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a namespace given twice: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := Dial(ctx, nil); err == nil {
		c.Close() // the answer was there
	}
}

// The cure is that of the cause.
func TestDialNoNamespace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/nonexistent/netns": "network namespace /nonexistent/netns: no such file or directory: ip netns lists those that have a name",
		file:                 "network namespace " + file + ": setns: invalid argument: the file is no network namespace",
	} {
		if _, err := Dial(t.Context(), &Config{NetNS: path}); err == nil || err.Error() != "ipvs: open: "+want {
			t.Errorf("got  %v\nwant ipvs: open: %s", err, want)
		}
	}
}
