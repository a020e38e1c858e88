package convert

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/lvscf"
)

// TestExportKeepalivedGolden compares the losses and the text of each lvs.cf of
// testdata with the file beside it.
func TestExportKeepalivedGolden(t *testing.T) {
	fixtures(t, "testdata/lvscf/*.cf", 3, func(t *testing.T, path string, src []byte) {
		cfg, ds := lvscf.Load(filepath.Base(path), src)
		if cfg == nil {
			t.Fatal(ds)
		}
		text, losses := ToKeepalived(cfg)
		checkLosses(t, losses)
		golden(t, strings.TrimSuffix(path, ".cf")+".want", []byte(losses.String()+string(text)))
		again(t, text)
	})
}

// again checks that an exported text is read and written as itself.
func again(t *testing.T, text []byte) {
	t.Helper()
	back, _, err := FromKeepalived("", text, KeepalivedOptions{ConfigID: configIDPrimary})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	second, losses := ToKeepalived(back)
	drop := func(text []byte) string { // remarks, and what is said of two routers
		var keep []string
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(strings.TrimSpace(line), "#") && !strings.HasPrefix(strings.TrimSpace(line), "@backup") {
				keep = append(keep, strings.Replace(line, "@^backup ", "", 1))
			}
		}
		// A whole length is what an address without one has.
		return strings.NewReplacer("/32 ", " ", "/128 ", " ").Replace(strings.Join(keep, ""))
	}
	if diff := cmp.Diff(drop(text), drop(second)); diff != "" {
		t.Errorf("written again (-first +second):\n%s", diff)
	}
	if len(losses) > 0 {
		t.Errorf("what comes from keepalived.conf cannot go back:\n%s", losses)
	}
}

// TestImportedGoesBack exports what was imported from each keepalived.conf of
// testdata: nothing more is lost on the way back.
func TestImportedGoesBack(t *testing.T) {
	fixtures(t, "testdata/keepalived/*.conf", 6, func(t *testing.T, path string, src []byte) {
		cfg, _, err := FromKeepalived(filepath.Base(path), src, testOptions)
		if err != nil {
			t.Fatal(err)
		}
		text, losses := ToKeepalived(cfg)
		if len(losses) > 0 {
			t.Errorf("lost on the way back:\n%s", losses)
		}
		again(t, text)
		if t.Failed() {
			t.Logf("%s", text)
		}
	})
}
