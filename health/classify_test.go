package health

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestClassify(t *testing.T) {
	alive := context.Background()
	cancelled, cancel := context.WithCancel(alive)
	cancel()
	expired, cancel := context.WithTimeout(alive, -1)
	defer cancel()
	wrap := func(err error) error {
		return fmt.Errorf("around: %w", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)})
	}
	loopback := &attempt{ctx: alive, target: Target{Addr: netip.MustParseAddrPort("127.0.0.1:9")}}
	for name, tt := range map[string]struct {
		ctx  context.Context
		err  error
		want Verdict
		text string
	}{
		"no descriptor in the process": {alive, wrap(syscall.EMFILE), NoResult, "RLIMIT_NOFILE"},
		"no descriptor in the system":  {alive, wrap(syscall.ENFILE), NoResult, "fs.file-max"},
		"no buffers":                   {alive, wrap(syscall.ENOBUFS), NoResult, "buffers"},
		"no memory":                    {alive, wrap(syscall.ENOMEM), NoResult, "memory"},
		"no port":                      {alive, wrap(syscall.EADDRNOTAVAIL), NoResult, "ip_local_port_range"},
		"no such source":               {alive, os.NewSyscallError("bind", syscall.EADDRNOTAVAIL), NoResult, "the source is no address of this machine"},
		"protocol not in the kernel":   {alive, wrap(syscall.EPROTONOSUPPORT), NoResult, "does not have the protocol"},
		"too long for the way":         {alive, wrap(syscall.EMSGSIZE), NoResult, "too long"},
		"no roots on this machine":     {alive, fmt.Errorf("tls: %w", x509.SystemRootsError{}), NoResult, "no certificates to trust"},
		"protocol not in the host":     {alive, wrap(syscall.ENOPROTOOPT), Fail, "does not have the protocol"},
		"port taken":                   {alive, wrap(syscall.EADDRINUSE), NoResult, "taken"},
		"own firewall":                 {alive, wrap(syscall.EPERM), NoResult, "forbidden"},
		"no such family":               {alive, wrap(syscall.EAFNOSUPPORT), NoResult, "family"},
		"interface down":               {alive, wrap(syscall.ENETDOWN), NoResult, "down on this machine"},
		"unusable address":             {alive, wrap(syscall.EINVAL), NoResult, "cannot be used"},
		// There is a local route to loopback, so somebody else must have said it.
		"a router: network unreachable": {alive, wrap(syscall.ENETUNREACH), Fail, "a router says so"},
		"a router: host unreachable":    {alive, wrap(syscall.EHOSTUNREACH), Fail, "ARP"},
		"a router: prohibited":          {alive, wrap(syscall.EACCES), Fail, "prohibited"},
		"refused":                       {alive, wrap(syscall.ECONNREFUSED), Fail, "nothing listens"},
		"reset":                         {alive, wrap(syscall.ECONNRESET), Fail, "reset"},
		"aborted":                       {alive, wrap(syscall.ECONNABORTED), Fail, "aborted"},
		"broken pipe":                   {alive, wrap(syscall.EPIPE), Fail, "closed"},
		"the kernel's own time-out":     {alive, wrap(syscall.ETIMEDOUT), Fail, "no answer"},
		"socket deadline":               {alive, wrap(os.ErrDeadlineExceeded), Fail, "no answer within 3s"},
		"end of file":                   {alive, io.EOF, Fail, "closed by the server"},
		"half an answer":                {alive, io.ErrUnexpectedEOF, Fail, "closed by the server"},
		"we cancelled":                  {cancelled, wrap(syscall.ECONNREFUSED), NoResult, "cancelled"},
		"cancelled inside":              {alive, context.Canceled, NoResult, "cancelled"},
		"time is over":                  {expired, wrap(syscall.EPERM), Fail, "no answer within 3s"},
		"anything else":                 {alive, errors.New("odd thing"), Fail, "odd thing"},
	} {
		t.Run(name, func(t *testing.T) {
			v, text := classify(tt.ctx, loopback.noRoute, tt.err, 3*time.Second)
			if v != tt.want || !strings.Contains(text, tt.text) {
				t.Errorf("classify = %v, %q; want %v with %q", v, text, tt.want, tt.text)
			}
		})
	}
	seen := map[syscall.Errno]bool{}
	for _, row := range errnos {
		if seen[row.errno] {
			t.Errorf("errno %d has two rows", row.errno)
		}
		seen[row.errno] = true
	}
}

func TestOneLine(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{"plain", 10, "plain"},
		{"two\nlines\r\n", 20, "two lines  "},
		{"bell\a, bad \xff.", 20, "bell., bad .."},
		{"gr\u00fc\u00dfe", 10, "gr\u00fc\u00dfe"},
		{"0123456789abcdef", 10, "0123456..."},
		{"12345\u00fc\u00fc\u00fc", 10, "12345\u00fc..."},
		{"123456\u00fc\u00fc\u00fc", 10, "123456..."},
	} {
		if got := oneLine(tt.in, tt.limit); got != tt.want {
			t.Errorf("oneLine(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
		}
	}
}

func TestResultTidy(t *testing.T) {
	start := time.Now()
	r := Result{Verdict: 9, Reason: "a\nb", Seen: make([]byte, 4*MaxSeen)}.tidy(start, time.Second)
	if r.Verdict != NoResult || r.Reason != "checker gave unknown verdict(9): a b" || len(r.Seen) != MaxSeen || r.Start != start || r.Duration != time.Second {
		t.Errorf("tidy = %+v", r)
	}
}
