package health_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
)

func TestFileStands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "watched")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	target := health.Target{Addr: netip.MustParseAddrPort("192.0.2.1:80")}
	path := filepath.Join(dir, "192.0.2.1")
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := must(health.NewFile(health.FileConfig{Path: dir + "/%h", Weight: true})).(*health.File)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reports, ended := make(chan health.Result, 100), make(chan error, 1)
	begin := func() {
		go func() { ended <- c.Stand(ctx, target, func(r health.Result) { reports <- r }) }()
	}
	begin()
	want(t, next(t, reports, "first report"), health.NoResult, "no such file")
	start := time.Now()
	for _, content := range []string{"10", "0", "20\n", "30"} {
		write(path, content)
		r := next(t, reports, "change")
		want(t, r, health.OK, "says "+strings.TrimSpace(content))
		if r.Weight == nil {
			t.Error("no weight")
		}
	}
	// Ten changes cannot have waited for the turn of each second.
	for i, content := range []string{"1", "2", "3", "4", "5", "6"} {
		// As careful programs write.
		write(path+".new", content)
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		want(t, next(t, reports, "replacement"), health.OK, "says "+content)
		if i == 5 && time.Since(start) > 8*time.Second {
			t.Errorf("10 changes took %v", time.Since(start))
		}
	}
	write(path, "6 ") // no news
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	want(t, next(t, reports, "removal"), health.NoResult, "no such file")
	// Behind a link, which nobody tells of.
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	write(elsewhere, "7")
	if err := os.Symlink(elsewhere, path); err != nil {
		t.Fatal(err)
	}
	want(t, next(t, reports, "link"), health.OK, "says 7")
	write(elsewhere, "-1")
	want(t, next(t, reports, "change behind the link"), health.Fail, "says -1")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := next(t, ended, "end"); err == nil || !strings.Contains(err.Error(), "the folder is gone") {
		t.Errorf("error %v", err)
	}
	begin()
	if err := next(t, ended, "end"); err == nil || !strings.Contains(err.Error(), "watch "+dir+": no such file or directory") {
		t.Errorf("error %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for len(reports) > 0 {
		<-reports
	}
	begin()
	want(t, next(t, reports, "report"), health.NoResult, "no such file")
	cancel()
	if err := next(t, ended, "end"); err != nil {
		t.Errorf("cancelled: %v", err)
	}
}
