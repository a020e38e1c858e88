package userspace

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestShortage(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string // part of the cure; empty: not of our own making
	}{
		{"descriptors of the process", syscall.EMFILE, "RLIMIT_NOFILE"},
		{"descriptors on Windows", wsaManyFiles, "RLIMIT_NOFILE"},
		{"descriptors of the machine", syscall.ENFILE, "fs.file-max"},
		{"watched descriptors", syscall.ENOSPC, "max_user_watches"},
		{"buffers", syscall.ENOBUFS, "memory"},
		{"buffers on Windows", wsaNoBuffers, "memory"},
		{"memory", syscall.ENOMEM, "memory"},
		{"local ports", syscall.EADDRNOTAVAIL, "ip_local_port_range"},
		{"local ports on Windows", wsaAddrNotAvail, "ip_local_port_range"},
		{"local ports of UDP", syscall.EAGAIN, "ip_local_port_range"},
		{"refused", syscall.ECONNREFUSED, ""},
		{"reset", syscall.ECONNRESET, ""},
		{"timed out", syscall.ETIMEDOUT, ""},
		{"no route to the host", syscall.EHOSTUNREACH, ""},
		{"no route to the network", syscall.ENETUNREACH, ""},
		{"the dialler's timeout", os.ErrDeadlineExceeded, ""},
		{"canceled", context.Canceled, ""},
		{"end", io.EOF, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// As the net package wraps it.
			err := &net.OpError{Op: "dial", Net: "tcp4", Err: os.NewSyscallError("connect", tt.err)}
			got := shortage(err)
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want a text with %q", got, tt.want)
			}
			if got != "" && isRefusal(err) {
				t.Error("it is a refusal too")
			}
		})
	}
}

// Errors of our own are counted apart and logged once in a while, whoever
// meets them.
func TestConnectFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		b, err := New(&Config{Logger: slog.New(slog.NewTextHandler(&text, nil))})
		if err != nil {
			t.Fatal(err)
		}
		s, d := &service{b: b}, &destination{}
		lines := func() int { return strings.Count(text.String(), "RLIMIT_NOFILE") }
		if s.connectFailed(d, syscall.ECONNREFUSED) {
			t.Error("a refusal counts as ours")
		}
		for range 100 {
			if !s.connectFailed(d, syscall.EMFILE) {
				t.Fatal("a lack of descriptors does not count as ours")
			}
		}
		if got := lines(); got != 1 {
			t.Errorf("%d lines for a hundred errors at once, want 1", got)
		}
		time.Sleep(shortageInterval)
		s.connectFailed(d, fmt.Errorf("dial: %w", syscall.EMFILE))
		if got := lines(); got != 2 {
			t.Errorf("%d lines a minute later, want 2:\n%s", got, &text)
		}
		if k := b.Counters(); k.LocalErrors != 101 || k.ConnectErrors != 1 || k.Retries != 0 {
			t.Errorf("counters %+v, want 101 errors of our own and one of the destination", k)
		}
	})
}
