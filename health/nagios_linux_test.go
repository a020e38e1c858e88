package health_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

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
	}{
		"ok":            {"echo 'HTTP OK: 200 | time=0.1s'", false, false, health.OK, "run: OK: HTTP OK: 200"},
		"target":        {`echo "$1:$2"`, false, false, health.OK, "192.0.2.1:80"},
		"warning":       {"echo 'slow|x=1'; exit 1", false, false, health.OK, "run: WARNING: slow"},
		"strict":        {"echo slow; exit 1", true, false, health.Fail, "run: WARNING: slow"},
		"critical":      {"echo down; exit 2", false, false, health.Fail, "run: CRITICAL: down"},
		"unknown":       {"echo 'bad arguments'; exit 3", false, false, health.NoResult, "run: UNKNOWN: bad arguments"},
		"other code":    {"exit 4", false, false, health.Fail, "exit status 4, expected a code of 0..3: no text"},
		"killed":        {"kill -9 $$", false, false, health.Fail, "signal: killed"},
		"says on error": {"echo oops >&2; exit 2", false, false, health.Fail, `CRITICAL: it says "oops"`},
		"hangs":         {"sleep 60", false, true, health.Fail, "no answer within"},
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
			want(t, check(t, c, addr, limit), tt.want, tt.reason)
		})
	}
	if _, err := health.NewNagios(health.NagiosConfig{}); err == nil {
		t.Error("an empty command is taken")
	}
}
