package convert

import (
	"strings"
	"testing"

	"github.com/lvskit/lvskit/lvscf"
)

// TestKeepalivedCorpus imports every file of the folder that
// LVSKIT_KEEPALIVED_CORPUS names: each loss must be explained, and what comes
// out must be a configuration without errors.
func TestKeepalivedCorpus(t *testing.T) {
	for name, src := range corpus(t, "LVSKIT_KEEPALIVED_CORPUS") {
		cfg, losses, err := FromKeepalived(name, src, KeepalivedOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkLosses(t, losses)
		if ds := cfg.Check(); ds.HasErrors() {
			t.Errorf("%s: the configuration has errors: %v", name, ds)
		}
		if file, err := cfg.File(); err != nil {
			t.Errorf("%s: cannot be written: %v", name, err)
		} else if _, ds := lvscf.Load(name, file.Bytes()); ds.HasErrors() {
			t.Errorf("%s: what is written has errors: %v", name, ds)
		}
		if want := strings.Count(string(src), "\nvirtual_server "); len(cfg.Virtuals) < want {
			t.Errorf("%s: %d virtual services of %d", name, len(cfg.Virtuals), want)
		}
		t.Logf("%-40s %d services, %d vrrp blocks, %d losses", name, len(cfg.Virtuals), len(cfg.VRRPs), len(losses))
		if testing.Verbose() {
			for _, l := range losses {
				t.Log("    " + l.String())
			}
		}
	}
}

// checkLosses checks that each loss says what, where, why and what is nearest,
// and that they are numbered.
func checkLosses(t *testing.T, losses Losses) {
	t.Helper()
	for i, l := range losses {
		if l.Number != i+1 || l.What == "" || l.Why == "" || l.Nearest == "" || l.Where == (Where{}) || strings.ContainsAny(l.String(), "\n\r\x00") {
			t.Errorf("bad loss %q", l.String())
		}
	}
}
