package convert

import (
	"strings"
	"testing"

	"github.com/lvskit/lvskit/lvscf"
)

// TestSynchronisationSwitchedOffIsTold says what becomes of parameters beside
// syncdaemon = 0: they mean nothing, and are listed.
func TestSynchronisationSwitchedOffIsTold(t *testing.T) {
	cfg, ds := lvscf.Load("x.cf", []byte("syncdaemon = 0\nsyncd_iface = eth3\nsyncd_id = 7\nsyncd_port = 9000\n"))
	if err := ds.Err(); err != nil {
		t.Fatal(err)
	}
	_, keepalived := ToKeepalived(cfg)
	_, rules, err := ToIPVSAdm(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for form, losses := range map[string]Losses{"keepalived": keepalived, "rules": rules} {
		checkLosses(t, losses)
		for _, word := range []string{"syncd_iface", "syncd_id", "syncd_port", "with syncdaemon = 0 nothing is synchronised"} {
			if !strings.Contains(losses.String(), word) {
				t.Errorf("%s: nothing tells of %s:\n%s", form, word, losses)
			}
		}
	}
	none := lvscf.NewConfig()
	if _, losses := ToKeepalived(none); losses != nil {
		t.Errorf("defaults are lost:\n%s", losses)
	}
}
