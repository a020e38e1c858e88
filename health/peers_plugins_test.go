//go:build linux && peers

package health_test

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
)

// plugins is where Debian has the plugins of Nagios.
const plugins = "/usr/lib/nagios/plugins/"

func TestPeersPlugins(t *testing.T) {
	t.Parallel()
	installed(t, plugins+"check_tcp")
	addr := freePort(t)
	l, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, tt := range []struct {
		command string
		want    health.Verdict
		reason  string
		perf    []string // labels
	}{
		{"check_tcp -H %h -p %p", health.OK, "run: OK: TCP OK - ", []string{"time"}},
		{"check_tcp -H %h -p 1", health.Fail, "run: CRITICAL: connect to address ", nil},
		{"check_load -w 10000,10000,10000 -c 10000,10000,10000", health.OK, "run: OK: LOAD OK - ", []string{"load1", "load5", "load15"}},
		{"check_procs -c 0:0", health.Fail, "run: CRITICAL: PROCS CRITICAL: ", []string{"procs"}},
		{"check_procs -w 1: -c 1:", health.OK, "run: OK: PROCS OK: ", []string{"procs"}},
		{"check_dummy 1 worn", health.OK, "run: WARNING: WARNING: worn", nil},
		{"check_dummy 3 lost", health.NoResult, "run: UNKNOWN: UNKNOWN: lost", nil},
		{"check_tcp", health.NoResult, "run: UNKNOWN: ", nil},
	} {
		r := check(t, must(health.NewNagios(health.NagiosConfig{Command: plugins + tt.command})), addr, short)
		want(t, r, tt.want, tt.reason, "start", "run")
		var perf []string
		for _, p := range health.ParsePerfdata(string(r.Seen)) {
			perf = append(perf, p.Label)
		}
		if diff := cmp.Diff(tt.perf, perf); diff != "" {
			t.Errorf("%s: performance data (-want +got):\n%s", tt.command, diff)
		}
	}
	worn := must(health.NewNagios(health.NagiosConfig{Command: plugins + "check_dummy 1 worn", WarningFails: true}))
	want(t, check(t, worn, addr, short), health.Fail, "run: WARNING: WARNING: worn")
}

// A script that somebody really has: it asks with one tool and greps with
// another.
func TestPeersScript(t *testing.T) {
	t.Parallel()
	addr, dir := freePort(t), openDir(t)
	peer(t, must(health.NewRedis(nil)), addr, dir, "redis-server", "--bind", addr.Addr().String(), "--port", fmt.Sprint(addr.Port()), "--save", "")
	files(t, dir, map[string]string{"check": "#!/bin/sh\nredis-cli -h \"$1\" -p \"$2\" info replication | grep -q '^role:'\"$3\" && echo OK\n"})
	if err := os.Chmod(dir+"/check", 0o755); err != nil {
		t.Fatal(err)
	}
	script := func(role, expect string) health.Checker {
		return must(health.NewExternal(health.ExternalConfig{Command: dir + "/check %h %p " + role, Expect: expect}))
	}
	want(t, check(t, script("master", "OK"), addr, short), health.OK, "run: output as expected", "start", "run")
	want(t, check(t, script("slave", "OK"), addr, short), health.Fail, "ended with exit status 1")
	want(t, check(t, script("master", "UP"), addr, short), health.Fail, `printed "OK\n" (3 bytes), expected exactly "UP"`)
}
