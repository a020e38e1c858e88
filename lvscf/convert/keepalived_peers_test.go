//go:build linux && peers

package convert

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/lvscf"
)

// keepalived checks files with the real program, in a network namespace that
// has the devices of the fixtures.
type keepalived struct {
	n   *lab.Namespace
	dir string
}

func newKeepalived(t *testing.T) *keepalived {
	t.Helper()
	if _, err := exec.LookPath("keepalived"); err != nil {
		if os.Getenv(lab.NoSkipVariable) == "1" {
			t.Fatalf("%v: run internal/tools/deps.sh peers", err)
		}
		t.Skipf("%v: run internal/tools/deps.sh peers", err)
	}
	n := lab.New(t).Namespace("router")
	for _, device := range []string{"eth0", "eth1", "eth2", "eth9", "eth3", "eth4", "eth5", "eth6", "eth8", "em1", "em2", "ens33"} {
		n.Bridge(device)
		n.Up(device)
	}
	return &keepalived{n, t.TempDir()}
}

// check runs keepalived --config-test.
func (k *keepalived) check(t *testing.T, text []byte, id string) {
	t.Helper()
	path := filepath.Join(k.dir, "keepalived.conf")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("keepalived", "--config-test", "--config-id", id, "--use-file", path)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := k.n.Start(cmd); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	// The programs of others' routers are not on this machine.
	missing, rest := 0, ""
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "Disabling track script ") && strings.Contains(line, "not found/accessible") {
			missing++
		} else {
			rest += line
		}
	}
	if err != nil && missing == 0 || strings.TrimSpace(rest) != "" {
		t.Errorf("keepalived --config-test: %v\n%s\nof\n%s", err, out.String(), text)
	}
}

// TestPeersKeepalivedTakesExports lets the real keepalived judge what is
// exported: from our fixtures, from what was imported from keepalived, and
// from the files that the variables of the corpora name.
func TestPeersKeepalivedTakesExports(t *testing.T) {
	k := newKeepalived(t)
	files := 0
	each := func(pattern string, read func(path string, src []byte) *lvscf.Config) {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			cfg := read(path, src)
			if cfg == nil {
				continue // a fixture of what is refused
			}
			files++
			t.Run(filepath.Base(path), func(t *testing.T) {
				text, losses := ToKeepalived(cfg)
				checkLosses(t, losses)
				k.check(t, text, configIDPrimary)
				if bytes.Contains(text, []byte("@"+configIDBackup)) {
					k.check(t, text, configIDBackup)
				}
			})
		}
	}
	ours := func(path string, src []byte) *lvscf.Config {
		cfg, _ := lvscf.Load(path, src)
		return cfg
	}
	theirs := func(path string, src []byte) *lvscf.Config {
		cfg, _, err := FromKeepalived(filepath.Base(path), src, testOptions)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return cfg
	}
	each("../testdata/*.cf", ours)
	each("testdata/lvscf/*.cf", ours)
	each("testdata/keepalived/*.conf", theirs)
	if folder := os.Getenv("LVSKIT_CORPUS"); folder != "" {
		each(filepath.Join(folder, "*.cf"), ours)
	}
	if folder := os.Getenv("LVSKIT_KEEPALIVED_CORPUS"); folder != "" {
		each(filepath.Join(folder, "*.conf"), theirs)
	}
	if files < 20 {
		t.Errorf("only %d files", files)
	}
	t.Logf("%d exported files judged", files)
}

// TestPeersKeepalivedTakesGenerated lets the real keepalived judge what is
// exported from made configurations.
func TestPeersKeepalivedTakesGenerated(t *testing.T) {
	k := newKeepalived(t)
	for seed := range uint64(60) {
		text, _ := ToKeepalived(expressible(rand.New(rand.NewPCG(seed, 9))))
		if k.check(t, text, configIDPrimary); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
