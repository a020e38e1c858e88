package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

func TestFormatOf(t *testing.T) {
	for text, want := range map[string]string{
		"":                               formatLVSCF,
		"# comment\n\n-A -t x":           formatRules,
		"  --add-service":                formatRules,
		"ipvsadm -A":                     formatRules,
		"sudo /sbin/ipvsadm -A":          formatRules,
		"$IPVSADM -A":                    formatRules,
		"${IPVSADM} -A":                  formatRules,
		"serial_no = 1\n-A":              formatLVSCF,
		"virtual web {":                  formatLVSCF,
		"# made by ipvsadm\nservice=lvs": formatLVSCF,
		"\ufeff-A -t x":                  formatRules,
		"\x00\xff":                       formatLVSCF,
	} {
		if got := formatOf([]byte(text)); got != want {
			t.Errorf("formatOf(%q) = %s, want %s", text, got, want)
		}
	}
}

// Reading what never comes ends with the context.
func TestWaitingForInputEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		hang := make(chan struct{})
		defer close(hang)
		_, err := patient(ctx, func() (int, error) { <-hang; return 0, nil })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

// applyTo applies a rule text with a kernel that a test prepared.
func applyTo(t *testing.T, k *ipvstest.Kernel, rules string) (code int, out, errs string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(path, []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	h := host{dial: func(context.Context, string) (kernel, error) { return fake{k}, nil }}
	var o, e strings.Builder
	code = h.run(t.Context(), []string{"lvsctl", "apply", path}, &o, &e)
	return code, o.String(), e.String()
}

const twoRules = "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g\n"

func TestApplyRepairsWhatWasLost(t *testing.T) {
	k := ipvstest.New()
	lost := true
	k.SetHook(func(c ipvstest.Command) error {
		if c.Op == ipvs.OpAddDestination && lost {
			lost = false
			return syscall.ENOBUFS
		}
		return nil
	})
	code, out, errs := applyTo(t, k, twoRules)
	if code != exitDone || strings.Count(out, "\n") != 2 || !strings.Contains(errs, "1 changes were made in a later round") {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
}

func TestApplyWithoutRights(t *testing.T) {
	k := ipvstest.New()
	k.FailNext(syscall.EPERM)
	code, out, errs := applyTo(t, k, twoRules)
	if code != exitFailed || out != "" || !strings.Contains(errs, "CAP_NET_ADMIN") {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
}

func TestApplyTellsManyFailures(t *testing.T) {
	k := ipvstest.New()
	k.SetHook(func(c ipvstest.Command) error {
		if c.Op == ipvs.OpAddDestination {
			return syscall.EINVAL
		}
		return nil
	})
	var rules strings.Builder
	rules.WriteString("-A -f 1\n")
	for i := range 30 {
		fmt.Fprintf(&rules, "-a -f 1 -r 10.0.0.%d\n", i+1)
	}
	code, out, errs := applyTo(t, k, rules.String())
	if code != exitFailed || strings.Count(out, "\n") != 1 || strings.Count(errs, "\n") != 21 || !strings.HasSuffix(errs, "lvsctl: and 10 more\n") {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
}

func TestApplyRefusesAHugeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(path, []byte("-A -f 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, maxRules+1); err != nil {
		t.Fatal(err)
	}
	if got, want := playCommand(t, fakeHost(), "lvsctl apply "+path), "! lvsctl: "+path+": more than 64 MB: split it\nexit 1\n"; got != want {
		t.Errorf("apply shows %q, want %q", got, want)
	}
}
