package convert

import (
	"strings"
	"testing"

	"github.com/lvskit/lvskit/lvscf"
)

// FuzzFromKeepalived checks what holds for any keepalived.conf: losses are
// explained, what comes out can be written as an lvs.cf, and the way back to
// keepalived.conf can be read again.
func FuzzFromKeepalived(f *testing.F) {
	addFixtures(f, "testdata/keepalived/*.conf")
	f.Fuzz(takesAnyKeepalived)
}

// takesAnyKeepalived checks what holds for any text.
func takesAnyKeepalived(t *testing.T, src string) {
	cfg, losses, err := FromKeepalived("k.conf", []byte(src), KeepalivedOptions{ConfigID: "main"})
	if err != nil {
		if cfg != nil || !strings.Contains(err.Error(), ": ") {
			t.Errorf("configuration %v with error %v", cfg != nil, err)
		}
		return
	}
	checkLosses(t, losses)
	if len(cfg.Virtuals) > 100 {
		return // a range of addresses: right, but slow to try
	}
	if _, err := cfg.File(); err != nil {
		t.Errorf("cannot be written: %v", err)
	}
	text, losses := ToKeepalived(cfg)
	checkLosses(t, losses)
	if _, _, err := fromKeepalived("k.conf", text, KeepalivedOptions{ConfigID: configIDPrimary}, true); err != nil {
		t.Errorf("cannot be read again: %v\n%s", err, text)
	}
}

// FuzzToKeepalived checks what holds for any lvs.cf: what is written for it
// can be read again, and the losses are explained.
func FuzzToKeepalived(f *testing.F) {
	addFixtures(f, "testdata/lvscf/*.cf", "../testdata/*.cf")
	f.Fuzz(func(t *testing.T, src string) {
		cfg, _ := lvscf.Load("lvs.cf", []byte(src))
		if cfg == nil {
			return
		}
		text, losses := ToKeepalived(cfg)
		checkLosses(t, losses)
		if _, _, err := fromKeepalived("k.conf", text, KeepalivedOptions{ConfigID: configIDPrimary}, true); err != nil {
			t.Errorf("cannot be read again: %v\n%s", err, text)
		}
	})
}
