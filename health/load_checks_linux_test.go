package health_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
)

func TestLoadCommand(t *testing.T) {
	target := netip.MustParseAddrPort("127.0.0.1:80")
	for name, tt := range map[string]struct {
		command string
		want    health.Verdict
		reason  string
		load    *health.Load
	}{
		"a number":      {"echo 0.75", health.OK, "run: load 0.75", &health.Load{One: 0.75}},
		"uptime's line": {"echo %h up 1:23, load average: 1.50, 0.50, 0.25", health.OK, "run: load 1.50 0.50 0.25", &health.Load{One: 1.5, Five: 0.5, Fifteen: 0.25}},
		"no load":       {"echo %h", health.Fail, `run: "127.0.0.1" is no load`, nil},
		"it fails":      {"false", health.Fail, "false ended with exit status 1", nil},
		"no program":    {"/nonexistent/rup", health.NoResult, "start: ", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := check(t, must(health.NewLoadCommand(health.LoadCommandConfig{Command: tt.command})), target, short)
			want(t, r, tt.want, tt.reason)
			if diff := cmp.Diff(tt.load, r.Load); diff != "" {
				t.Errorf("load (-want +got):\n%s", diff)
			}
			if tt.want == health.OK {
				want(t, r, tt.want, "", "start", "run")
			}
		})
	}
	if c, err := health.NewLoadCommand(health.LoadCommandConfig{}); err == nil {
		t.Errorf("no command is taken: %v", c)
	}
}

func TestLoadHTTP(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/metrics":
			if got := r.URL.Query()["collect[]"]; len(got) != 2 || got[0] != "cpu" || got[1] != "loadavg" {
				t.Errorf("collectors %q are asked for", got)
			}
			fmt.Fprint(w, "node_cpu_seconds_total{cpu=\"0\"} 1\nnode_load1 1.5\nnode_load15 0.25\nnode_load5 0.5\n")
		case "/json":
			fmt.Fprint(w, `{"load": [0.75], "cpus": 4}`)
		case "/long":
			fmt.Fprint(w, `{"pad": "`, strings.Repeat("x", 2<<20), `", "load": [0.75]}`)
		default:
			http.NotFound(w, r)
		}
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	addr := netip.MustParseAddrPort(server.Listener.Addr().String())
	for name, tt := range map[string]struct {
		path, value, cores string
		want               health.Verdict
		reason             string
		load               *health.Load
	}{
		"node_exporter":    {"", "", "", health.OK, "read: load 1.50 0.50 0.25 on 1 core", &health.Load{One: 1.5, Five: 0.5, Fifteen: 0.25, Cores: 1}},
		"JSON":             {"/json", "load[0]", "cpus", health.OK, "read: load 0.75 on 4 cores", &health.Load{One: 0.75, Cores: 4}},
		"JSON, in vain":    {"/json", "load[1]", "", health.Fail, "read: json: the load: there is no [1]", nil},
		"another language": {"/json", "", "", health.Fail, "read: there is no node_load1", nil},
		"too long":         {"/long", "load[0]", "", health.Fail, "read: the body has more than 1048576 bytes", nil},
		"not there":        {"/none", "load", "", health.Fail, "read: status 404 Not Found", nil},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/http2=%t", name, http2), func(t *testing.T) {
				cfg := &health.LoadHTTPConfig{HTTPConfig: health.HTTPConfig{Path: tt.path, HTTP2: http2}, Value: tt.value, CoresValue: tt.cores}
				c := must(health.NewLoadHTTP(cfg))
				*cfg = health.LoadHTTPConfig{} // it is the caller's
				r := check(t, c, addr, short)
				want(t, r, tt.want, tt.reason)
				if diff := cmp.Diff(tt.load, r.Load); diff != "" {
					t.Errorf("load (-want +got):\n%s", diff)
				}
			})
		}
	}
	short, long := health.HTTPConfig{MaxBody: 1000}, health.HTTPConfig{MaxBody: 2000}
	if a, b := must(health.NewLoadHTTP(&health.LoadHTTPConfig{HTTPConfig: short})), must(health.NewLoadHTTP(&health.LoadHTTPConfig{HTTPConfig: long})); a.Identity() == b.Identity() {
		t.Errorf("%s whatever of the body is read", a.Identity())
	}
	for name, cfg := range map[string]health.LoadHTTPConfig{
		"path":                  {HTTPConfig: health.HTTPConfig{Path: "metrics"}},
		"value":                 {Value: "a..b"},
		"cores without a value": {CoresValue: "cores"},
	} {
		if c, err := health.NewLoadHTTP(&cfg); err == nil {
			t.Errorf("%s: %v is made of it", name, c.Identity())
		}
	}
}

// A load that one of several checks found out is not lost.
func TestLoadOfSeveralChecks(t *testing.T) {
	load := must(health.NewLoadCommand(health.LoadCommandConfig{Command: "echo 0.75"}))
	yes := must(health.NewExternal(health.ExternalConfig{Command: "true"}))
	no := must(health.NewExternal(health.ExternalConfig{Command: "false"}))
	target := netip.MustParseAddrPort("127.0.0.1:80")
	wanted := &health.Load{One: 0.75}
	for name, tt := range map[string]struct {
		c    health.Checker
		want *health.Load
	}{
		"all of them":    {must(health.NewAll(yes, load)), wanted},
		"any of them":    {must(health.NewAny(load, no)), wanted},
		"one that fails": {must(health.NewAll(load, no)), nil},
		"on a port":      {must(health.NewOnPort(load, 81)), wanted},
	} {
		if diff := cmp.Diff(tt.want, check(t, tt.c, target, short).Load); diff != "" {
			t.Errorf("%s: load (-want +got):\n%s", name, diff)
		}
	}
}
