package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/internal/control"
)

func TestAnnounceAndYieldUsedWrongly(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "s")
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no address":              {[]string{"announce"}, exitUsage, "needs an address"},
		"no such address":         {[]string{"announce", "web1"}, exitUsage, `"web1" is no address`},
		"an address of others":    {[]string{"announce", "192.0.2.77"}, exitFailed, "192.0.2.77 is not on this machine"},
		"no such device":          {[]string{"announce", "--device", "nowhere7", "192.0.2.77"}, exitFailed, "--device nowhere7: no such network interface; there are lo"},
		"absent without a device": {[]string{"announce", "--absent", "192.0.2.77"}, exitUsage, "--absent needs --device"},
		"nobody to tell":          {[]string{"announce", "127.0.0.1"}, exitFailed, "no neighbours to tell"},
		"no times":                {[]string{"announce", "--count", "0", "127.0.0.1"}, exitUsage, "want 1 to 1000"},
		"without a pause":         {[]string{"announce", "--interval", "0s", "127.0.0.1"}, exitUsage, "want 10ms to 1h"},
		"yield to nobody":         {[]string{"yield", "--socket", gone}, exitFailed, "lvsctl run"},
		"yield an address":        {[]string{"yield", "192.0.2.1"}, exitUsage, ""},
		"yield back in time":      {[]string{"yield", "--wait", "-1s"}, exitUsage, "want 0 or more"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(t.Context(), append([]string{"lvsctl"}, tt.args...), &out, &errs)
			if code != tt.code || !strings.Contains(errs.String(), tt.want) || strings.Count(errs.String(), "\n") != 1 {
				t.Errorf("code %d, said %q; want %d and one line with %q", code, errs.String(), tt.code, tt.want)
			}
			if out.Len() > 0 {
				t.Errorf("printed %q", out.String())
			}
		})
	}
}

// Who reclaims is told how long that may take.
func TestReclaimTellsHowLong(t *testing.T) {
	got := reclaimText(&control.Role{Routers: []control.Router{{DownMS: 341.4}, {DownMS: 3609}}})
	if want := "ordered: this router takes over where its priority is the highest, within 3.609s; see lvsctl status"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
