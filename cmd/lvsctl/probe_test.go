package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

var (
	someTime  = regexp.MustCompile(`[0-9]+\.[0-9] ms`)
	someClock = regexp.MustCompile(`[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}`)
	someSpan  = regexp.MustCompile(`for [0-9.]+m?s`)
	someGap   = regexp.MustCompile(` +TIME`)
)

// probe runs a probe and returns what it shows, with the times taken out.
func probe(ctx context.Context, h host, args ...string) (out, errs string, code int) {
	var stdout, stderr bytes.Buffer
	code = h.run(ctx, append([]string{"lvsctl", "probe"}, args...), &stdout, &stderr)
	text := someTime.ReplaceAllString(stdout.String(), "TIME")
	text = someClock.ReplaceAllString(text, "CLOCK")
	text = someSpan.ReplaceAllString(text, "for SPAN")
	return someGap.ReplaceAllString(text, " TIME"), stderr.String(), code
}

// names is a host that knows one name.
func names(t *testing.T) host {
	t.Helper()
	return host{lookup: func(_ context.Context, network, name string) ([]netip.Addr, error) {
		switch {
		case name == "cache.example.net" && network == "ip6":
			return []netip.Addr{netip.IPv6Loopback()}, nil
		case name == "cache.example.net":
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}, nil
		case name == "slow.example.net":
			return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
		}
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}}
}

func TestProbe(t *testing.T) {
	redis := healthtest.NewServer(t, healthtest.Dialogue(healthtest.Step{Hear: "*1\r\n$4\r\nPING\r\n", Say: "+PONG\r\n"})).Addr()
	agent := healthtest.NewServer(t, healthtest.SayAndClose("drain #up\x1b[31mgrade\n")).Addr()
	for _, tt := range []struct {
		name string
		args []string
		want string
		code int
	}{
		{"well, by name", []string{"redis", fmt.Sprint("cache.example.net:", redis.Port())}, `target   cache.example.net (ADDR)
kind     redis
verdict  ok
reason   ping: PONG
phases   connect TIME
         ping TIME
took TIME
seen     +PONG\r\n
`, exitDone},
		{"what it says is made printable", []string{"agent", agent.String()}, `target   ADDR
kind     agent
verdict  ok
reason   read: the agent says drain #up.[31mgrade
phases   connect TIME
         read TIME
took TIME
seen     drain #up\x1b[31mgrade\n
weight   0
`, exitDone},
		{"not well", []string{"tcp", "127.0.0.1:1"}, `target   ADDR
kind     tcp
verdict  fail
reason   connect: refused; nothing listens there
phases   connect TIME
took TIME
`, exitFailed},
		{"could not be asked", []string{"external", "192.0.2.7", "command=/nowhere/check"}, `target   192.0.2.7
kind     external
verdict  no-result
reason   start: fork/exec /nowhere/check: no such file or directory
phases   start TIME
took TIME
`, exitNoResult},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, errs, code := probe(t.Context(), names(t), tt.args...)
			out = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`).ReplaceAllString(out, "ADDR")
			out = strings.Replace(out, "The system cannot find the path specified.", "no such file or directory", 1)
			if diff := cmp.Diff(tt.want, out); diff != "" || errs != "" || code != tt.code {
				t.Errorf("exit %d, want %d; stderr %q; output (-want +got):\n%s", code, tt.code, errs, diff)
			}
		})
	}
}

func TestProbeOfNames(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"tcp", "nobody.example.net:80"}, "lvsctl: target \"nobody.example.net\": there is no such name; write an address or another name\n", exitUsage},
		{[]string{"tcp", "slow.example.net:80"}, "lvsctl: target \"slow.example.net\": cannot look the name up: lookup slow.example.net: server misbehaving: write its address\n", exitNoResult},
	} {
		if _, errs, code := probe(t.Context(), names(t), tt.args...); errs != tt.want || code != tt.code {
			t.Errorf("%v: exit %d, stderr %s; want %d and %s", tt.args, code, errs, tt.code, tt.want)
		}
	}
	// The family is that of the source, and ports are those of the kind.
	for _, tt := range []struct{ args, want string }{
		{"http cache.example.net source=::1 connect-timeout=1ms", "target   cache.example.net ([::1]:80)\n"},
		{"http cache.example.net connect-timeout=1ms", "target   cache.example.net (127.0.0.1:80)\n"},
		{"http cache.example.net tls-skip-verify=true connect-timeout=1ms", "target   cache.example.net (127.0.0.1:443)\n"},
		{"smtp 127.0.0.1 tls=true starttls=true connect-timeout=1ms", "target   127.0.0.1:25\n"},
		{"smtp 127.0.0.1 starttls=true connect-timeout=1ms", "target   127.0.0.1:25\n"},
		{"ldap ::1 connect-timeout=1ms", "target   [::1]:389\n"},
		{"ldap [::1]:3890 connect-timeout=1ms", "target   [::1]:3890\n"},
	} {
		if out, errs, _ := probe(t.Context(), names(t), strings.Fields(tt.args)...); !strings.HasPrefix(out, tt.want) {
			t.Errorf("%s: %s%s, want %s", tt.args, out, errs, tt.want)
		}
	}
}

func TestProbeJSON(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	at := server.Listener.Addr().String()
	out, errs, code := probe(t.Context(), host{}, "http", at, "-o", "json", "path=/up")
	var doc struct {
		Schema, Kind, Check string
		Target              struct{ Addr string }
		Result              struct {
			Verdict, Reason, Seen string
			DurationNS            int64 `json:"duration_ns"`
			Phases                []struct{ Name string }
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatal(err, errs)
	}
	r := doc.Result
	if doc.Schema != "lvskit.probe/v1" || doc.Kind != "http" || doc.Target.Addr != at || !strings.Contains(doc.Check, `"/up"`) || code != exitFailed ||
		r.Verdict != "fail" || !strings.Contains(r.Reason, "503") || !strings.HasPrefix(r.Seen, "HTTP/1.1 503") || r.DurationNS <= 0 || len(r.Phases) != 3 {
		t.Errorf("exit %d, %s", code, out)
	}
}

// flapping answers with the status that was set.
func flapping(t *testing.T) (addr string, status *atomic.Int64) {
	t.Helper()
	status = &atomic.Int64{}
	status.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), status
}

func TestProbeWatch(t *testing.T) {
	addr, status := flapping(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out := &steering{status: status, stop: stop}
	var errs bytes.Buffer
	code := host{}.run(ctx, []string{"lvsctl", "probe", "--watch", "--interval", "20ms", "--timeout", "5s", "--fall", "2", "http", addr}, out, &errs)
	text := out.text.String()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, want := range []string{
		`^http 127\.0\.0\.1:[0-9]+ every 20ms; up after 1, down after 2; a death is noticed within 10\.02s$`,
		`(?m)^[0-9:.]{12}  ok +[0-9.]+ ms  read: status 200 OK$`,
		`(?m)^[0-9:.]{12}  up: read: status 200 OK$`,
		`(?m)^[0-9:.]{12}  fail +[0-9.]+ ms  read: status 500 .*\n(.*fail.*\n)+[0-9:.]{12}  down, was up for [0-9.]+m?s: read: status 500`,
		`(?m)^[0-9:.]{12}  up, was down for [0-9.]+m?s: read: status 200 OK$`,
	} {
		if !regexp.MustCompile(want).MatchString(strings.Join(lines[:1], "")) && !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no %s in:\n%s", want, text)
		}
	}
	if last := lines[len(lines)-1]; !regexp.MustCompile(`^up: [0-9]+ ok, [0-9]+ fail, 0 no result; good answers took [0-9.]+ ms at least, [0-9.]+ ms in the middle, [0-9.]+ ms at most$`).MatchString(last) {
		t.Errorf("summary %q", last)
	}
	if code != exitDone || errs.Len() > 0 {
		t.Errorf("exit %d, %s", code, errs.String())
	}
}

// steering is the screen of somebody who breaks the server once it is up,
// mends it once it is down, and leaves once it is up again.
type steering struct {
	text   bytes.Buffer
	status *atomic.Int64
	stop   func()
}

func (s *steering) Write(b []byte) (int, error) {
	line := string(b)
	switch {
	case strings.Contains(line, "  up: "):
		s.status.Store(http.StatusInternalServerError)
	case strings.Contains(line, "  down, "):
		s.status.Store(http.StatusOK)
	case strings.Contains(line, "  up, "):
		s.stop()
	}
	return s.text.Write(b)
}

func TestProbeCount(t *testing.T) {
	addr, status := flapping(t)
	out, errs, code := probe(t.Context(), host{}, "--count", "3", "--interval", "5ms", "--timeout", "5s", "http", addr)
	if n := strings.Count(out, "  ok"); n != 3 || code != exitDone || !strings.Contains(out, "\nup: 3 ok, 0 fail, 0 no result; ") {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
	status.Store(http.StatusTeapot)
	out, errs, code = probe(t.Context(), host{}, "--count", "2", "--interval", "5ms", "--timeout", "5s", "-o", "json", "http", addr)
	var types []string
	for line := range strings.Lines(out) {
		var doc struct {
			Schema, Type, Verdict, New, State string
			Fail                              int
		}
		if err := json.Unmarshal([]byte(line), &doc); err != nil || doc.Schema != watchSchema {
			t.Fatalf("%s: %v", line, err)
		}
		types = append(types, strings.TrimSpace(doc.Type+" "+doc.Verdict+doc.New+doc.State))
	}
	if diff := cmp.Diff([]string{"start", "result fail", "state down", "result fail", "summary down"}, types); diff != "" || code != exitFailed {
		t.Errorf("exit %d, documents (-want +got):\n%s%s", code, diff, errs)
	}
	out, errs, code = probe(t.Context(), host{}, "--count", "1", "external", "192.0.2.7", "command=/nowhere/check")
	if code != exitNoResult || !strings.HasPrefix(out, "external 192.0.2.7 every 1s") || !strings.HasSuffix(out, "\nunknown: 0 ok, 0 fail, 1 no result\n") {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
}

// A reader that goes away, such as head(1), ends the watch.
func TestProbeWatchEndsWithItsReader(t *testing.T) {
	addr, _ := flapping(t)
	var errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code := host{}.run(ctx, []string{"lvsctl", "probe", "--watch", "--interval", "5ms", "http", addr}, &shortReader{left: 3}, &errs)
	if code != exitFailed || !strings.Contains(errs.String(), "the reader has left") || ctx.Err() != nil {
		t.Errorf("exit %d, %s, %v", code, errs.String(), ctx.Err())
	}
}

type shortReader struct{ left int }

func (r *shortReader) Write(b []byte) (int, error) {
	if r.left--; r.left < 0 {
		return 0, errors.New("the reader has left")
	}
	return len(b), nil
}

func TestProbeConfig(t *testing.T) {
	good, _ := flapping(t)
	port := netip.MustParseAddrPort(good).Port()
	file := filepath.Join(t.TempDir(), "lvs.cf")
	text := fmt.Sprintf(`network = direct
virtual web {
	active = 1
	address = 192.0.2.1 eth0:1
	port = %[1]d
	check page {
		kind = http
		path = /up
	}
	server web1 {
		active = 1
		address = 127.0.0.1
	}
	server web2 {
		active = 1
		address = 127.0.0.2
		check agent {
			kind = tcp
			port = 1
		}
	}
}
virtual mail {
	active = 1
	address = 192.0.2.2 eth0:2
	port = 25
	server mail1 {
		active = 1
		address = 127.0.0.1
		check = none
	}
	server sorry1 {
		active = 1
		address = 127.0.0.3
		sorry = 1
		check page {
			kind = http
			address = 127.0.0.1
			port = %[1]d
		}
	}
	server sorry2 {
		active = 1
		address = 127.0.0.4
		sorry = 1
	}
}
`, port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := probe(t.Context(), host{}, "--config", file)
	want := fmt.Sprintf(`SERVICE  SERVER  ADDRESS          VERDICT  TOOK    REASON
web      web1    127.0.0.1:%[1]d  ok       TIME  read: status 200 OK
web      web2    127.0.0.2:%[1]d  fail     TIME  connect: refused; nothing listens there
mail     mail1   127.0.0.1:25     ok       TIME  not checked, as configured
mail     sorry1  127.0.0.3:25     ok       TIME  read: status 200 OK
`, port)
	squeeze := func(s string) string { return regexp.MustCompile(` +`).ReplaceAllString(s, " ") }
	if diff := cmp.Diff(squeeze(want), squeeze(out)); diff != "" || code != exitFailed || errs != "" {
		t.Errorf("exit %d, %s, output (-want +got):\n%s", code, errs, diff)
	}
	out, errs, code = probe(t.Context(), host{}, "--config", file, "web", "web1")
	if code != exitDone || !strings.Contains(out, `check    http GET "/up"`) || !strings.Contains(out, "phases   connect TIME\n") {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
	out, errs, code = probe(t.Context(), host{}, "--config", file, "-o", "json", "web")
	var doc struct {
		Schema  string
		Servers []struct {
			Service, Server string
			Result          struct{ Verdict string }
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Schema != "lvskit.probe-config/v1" || len(doc.Servers) != 2 || doc.Servers[1].Server != "web2" || doc.Servers[1].Result.Verdict != "fail" || code != exitFailed {
		t.Errorf("exit %d, %v, %s%s", code, err, out, errs)
	}
}

func TestProbeTeachesEveryKind(t *testing.T) {
	list, _, code := probe(t.Context(), host{}, "--kinds")
	for _, k := range health.Kinds() {
		if !strings.Contains(list, "\n"+k.Name+" ") || code != exitDone {
			t.Errorf("no %s in %s", k.Name, list)
		}
		out, errs, code := probe(t.Context(), host{}, k.Name, "--options")
		for _, o := range k.Options {
			if text := o.Summary; o.Repeats != strings.Contains(out, text+", or each as an option of its own\n") || !strings.Contains(out, "\n  "+o.Name+"= ") || !strings.Contains(out, text) || code != exitDone {
				t.Errorf("%s: no %s in %s%s", k.Name, o.Name, out, errs)
			}
		}
	}
}

func TestProbeCompletion(t *testing.T) {
	for _, tt := range []struct{ typed, want string }{{"lvsctl probe", "redis\n"}, {"lvsctl probe redis", "password-file=\n"}} {
		var out, errs bytes.Buffer
		host{}.run(t.Context(), append(strings.Fields(tt.typed), "--generate-bash-completion"), &out, &errs)
		if !strings.Contains(out.String(), tt.want) {
			t.Errorf("%s: %s%s", tt.typed, out.String(), errs.String())
		}
	}
}
