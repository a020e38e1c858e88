package health_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
)

func TestNagios(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.1:80")
	for name, tt := range map[string]struct {
		script  string
		strict  bool
		timeout bool
		want    health.Verdict
		reason  string
		perf    []health.Perfdatum
	}{
		"ok":            {"echo 'HTTP OK: 200 | time=0.1s'", false, false, health.OK, "run: OK: HTTP OK: 200", []health.Perfdatum{{Label: "time", Value: 0.1, Unit: "s"}}},
		"target":        {`echo "$1:$2"`, false, false, health.OK, "192.0.2.1:80", nil},
		"warning":       {"echo 'slow|x=1'; exit 1", false, false, health.OK, "run: WARNING: slow", []health.Perfdatum{{Label: "x", Value: 1}}},
		"strict":        {"echo slow; exit 1", true, false, health.Fail, "run: WARNING: slow", nil},
		"critical":      {"echo down; exit 2", false, false, health.Fail, "run: CRITICAL: down", nil},
		"unknown":       {"echo 'bad arguments'; exit 3", false, false, health.NoResult, "run: UNKNOWN: bad arguments", nil},
		"other code":    {"exit 4", false, false, health.Fail, "exit status 4, expected a code of 0..3: no text", nil},
		"killed":        {"kill -9 $$", false, false, health.Fail, "signal: killed", nil},
		"says on error": {"echo oops >&2; exit 2", false, false, health.Fail, `CRITICAL: it says "oops"`, nil},
		"hangs":         {"sleep 60", false, true, health.Fail, "no answer within", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "check")
			if err := os.WriteFile(path, []byte(tt.script+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			c := must(health.NewNagios(health.NagiosConfig{Command: "sh " + path + " %h %p", WarningFails: tt.strict}))
			limit := short
			if tt.timeout {
				limit = hang
			}
			r := check(t, c, addr, limit)
			want(t, r, tt.want, tt.reason)
			if diff := cmp.Diff(tt.perf, r.Perf); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := health.NewNagios(health.NagiosConfig{}); err == nil {
		t.Error("an empty command is taken")
	}
}
