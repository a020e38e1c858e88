package kernels

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/internal/rig/machine"
)

// fakeKernel is a file that carries a configuration as a kernel does.
func fakeKernel(t *testing.T, config string) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("\x7fELF code IKCFG_ST")
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(config)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	b.WriteString("IKCFG_ED more code")
	return b.Bytes()
}

func TestConfigIsWhole(t *testing.T) {
	for _, need := range []string{"CONFIG_IP_VS=y", "CONFIG_HOSTFS=y", "CONFIG_UML_TIME_TRAVEL_SUPPORT=y", "CONFIG_IKCONFIG=y"} {
		if !strings.Contains(ownConfig, need+"\n") {
			t.Errorf("kernel.config has no %s", need)
		}
	}
	for line := range strings.Lines(ownConfig) {
		line = strings.TrimSpace(line)
		ok := line == "" || strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "CONFIG_") && strings.HasSuffix(line, "=y")
		if !ok {
			t.Errorf("kernel.config: %q", line)
		}
	}
}

func TestEmbeddedConfig(t *testing.T) {
	want := "CONFIG_A=y\nCONFIG_B=y\n"
	got, err := embeddedConfig(fakeKernel(t, want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	whole := fakeKernel(t, want)
	for name, b := range map[string][]byte{
		"no configuration": []byte("\x7fELF"),
		"no end":           whole[:len(whole)-20],
		"not packed":       []byte("IKCFG_STplainIKCFG_ED"),
		"too long":         fakeKernel(t, strings.Repeat("#", configLimit+1)),
	} {
		if got, err := embeddedConfig(b); err == nil {
			t.Errorf("%s: read %d bytes", name, len(got))
		}
	}
}

func TestCheckConfigNamesWhatIsLost(t *testing.T) {
	have := "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=m\nCONFIG_AA=y\n"
	if err := checkConfig("# words\nCONFIG_A=y\nCONFIG_AA=y\n", have); err != nil {
		t.Error(err)
	}
	err := checkConfig("CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=y\n", have)
	if err == nil || !strings.Contains(err.Error(), "CONFIG_B=y CONFIG_C=y") {
		t.Errorf("%v, want both lost settings named", err)
	}
}

func FuzzEmbeddedConfig(f *testing.F) {
	f.Add([]byte("IKCFG_ST\x1f\x8bIKCFG_ED"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := embeddedConfig(b); err == nil && len(s) > configLimit {
			t.Errorf("%d bytes", len(s))
		}
	})
}

func TestNewestCloud(t *testing.T) {
	got := newestCloud([]string{
		"linux-image-6.12.9+deb12-cloud-amd64-unsigned",
		"linux-image-6.12.117+deb12-cloud-amd64-unsigned",
		"linux-image-6.12.85+deb12-cloud-amd64-unsigned",
		"linux-image-6.12.200+deb12-rt-amd64-unsigned",
		"linux-image-6.1.0-56-cloud-amd64-unsigned",
		"linux-image-6.12.117+deb12-cloud-amd64-unsigned-dbg",
	})
	if want := "linux-image-6.12.117+deb12-cloud-amd64-unsigned"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := newestCloud(nil); got != "" {
		t.Errorf("none: got %q", got)
	}
}

// useCache gives the test a cache of its own.
func useCache(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	// One of these is where os.UserCacheDir looks, whatever the system.
	for _, v := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(v, dir)
	}
	cache, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

func TestFind(t *testing.T) {
	cache := useCache(t)
	for _, k := range []machine.Kernel{machine.Own, machine.Qemu} {
		if got, err := Find(k); !errors.Is(err, ErrMissing) {
			t.Errorf("%s in an empty cache: %q, %v", k, got, err)
		}
	}
	old := filepath.Join(cache, "kernels", ownPrefix()+"1")
	newer := filepath.Join(cache, "kernels", ownPrefix()+"2")
	other := filepath.Join(cache, "kernels", "uml-000000000000-amd64-3") // another configuration
	for i, dir := range []string{other, newer, old} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(-i) * time.Hour)
		if err := os.Chtimes(dir, at, at); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Find(machine.Own)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(newer, "linux"); got != want {
		t.Errorf("got %q, want the newest of our configuration, %q", got, want)
	}
}

func TestSeed(t *testing.T) {
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("needs xz: ", err)
	}
	pack := func(b []byte) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "kernel.xz")
		cmd := exec.Command("xz", "-c", "-0")
		cmd.Stdin = bytes.NewReader(b)
		packed, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, packed, 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	notPacked := filepath.Join(t.TempDir(), "plain.xz")
	if err := os.WriteFile(notPacked, []byte("not xz"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ file, says string }{
		"lacks settings": {pack(fakeKernel(t, strings.Replace(ownConfig, "CONFIG_IP_VS=y", "", 1))), "CONFIG_IP_VS=y"},
		"not a kernel":   {pack([]byte("hello")), "does not carry its configuration"},
		"not packed":     {notPacked, "format"},
		"no file":        {"/nonexistent", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			useCache(t)
			err := Seed(t.Context(), tt.file, &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want an error with %q", err, tt.says)
			}
			if got, err := Find(machine.Own); err == nil {
				t.Errorf("it is in the cache: %s", got)
			}
		})
	}
	t.Run("right, and only once", func(t *testing.T) {
		useCache(t)
		kernel := fakeKernel(t, ownConfig)
		for _, file := range []string{pack(kernel), "/nonexistent"} {
			if err := Seed(t.Context(), file, &bytes.Buffer{}); err != nil {
				t.Fatal(err)
			}
		}
		path, err := Find(machine.Own)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, kernel) {
			t.Errorf("the cache has %d bytes, %v, want %d", len(got), err, len(kernel))
		}
	})
}
