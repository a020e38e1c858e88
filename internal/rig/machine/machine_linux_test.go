package machine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/internal/rig/guest"
)

func TestParseMemory(t *testing.T) {
	for in, want := range map[string]uint64{
		"512M": 512 << 20, "1G": 1 << 30, "64M": 64 << 20,
		"": 0, "512": 0, "1M": 0, "65G": 0, "G": 0, "-1G": 0, "1GM": 0, "1.5G": 0, "99999999999999999999G": 0, "512M mem=1G": 0,
	} {
		got, err := parseMemory(in)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %v, want %d", in, got, err, want)
		}
	}
}

func TestParseStat(t *testing.T) {
	for in, want := range map[string]process{
		"12 (linux.uml) S 7 12 9 0 -1": {7, 9},
		"12 (a) b (c)) R 1 2 3 4":      {1, 3},
		"":                             {},
		"12 (x) S 7":                   {},
	} {
		got, ok := parseStat([]byte(in))
		if got != want || ok != (want != process{}) {
			t.Errorf("%q: %+v, %v, want %+v", in, got, ok, want)
		}
	}
}

func TestParseLdd(t *testing.T) {
	got, err := parseLdd("\tlinux-vdso.so.1 (0x7ffc)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x7f)\n\t/lib64/ld.so.2 (0x7f)\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/lib/x/libc.so.6", "/lib64/ld.so.2"}, got); diff != "" {
		t.Errorf("libraries (-want +got):\n%s", diff)
	}
	if _, err := parseLdd("\tlibgone.so => not found\n"); err == nil {
		t.Error("accepted a missing library")
	}
}

func TestGuestEnv(t *testing.T) {
	got := guestEnv([]string{"A=1", "TMPDIR=/nowhere", "PATH=/go/bin", "LVSKIT_GUEST=stale", "B=x=y"}, Own)
	want := []string{"A=1", "B=x=y", "PATH=/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LVSKIT_GUEST=own"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestResult(t *testing.T) {
	tests := map[string]struct {
		packed        bool
		file, console string
		code          int
		ok            bool
	}{
		"file":                        {file: "3", code: 3, ok: true},
		"no file":                     {},
		"empty file":                  {file: " "},
		"no number":                   {file: "done"},
		"out of range":                {file: "256"},
		"line on the console":         {packed: true, console: "noise\r\n" + guest.ExitLine + "0\r\n", ok: true},
		"line cut off":                {packed: true, console: guest.ExitLine + "1"},
		"words in the middle of one":  {packed: true, console: "x " + guest.ExitLine + "0\n"},
		"console of a guest with one": {console: guest.ExitLine + "0\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.file != "" {
				if err := os.WriteFile(filepath.Join(dir, guest.ExitFile), []byte(tt.file), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			code, ok := result(dir, &guest.Spec{Packed: tt.packed}, []byte(tt.console))
			if code != tt.code && tt.ok || ok != tt.ok {
				t.Errorf("got %d, %v, want %d, %v", code, ok, tt.code, tt.ok)
			}
		})
	}
}

func TestSlotsAreTwo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "slots")
	var releases []func()
	for range slots {
		release, err := takeSlot(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		releases = append(releases, release)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := takeSlot(ctx, dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one more than there are: %v", err)
	}
	releases[0]()
	release, err := takeSlot(t.Context(), dir)
	if err != nil {
		t.Errorf("after one was given back: %v", err)
	} else {
		release()
	}
	releases[1]()
}

func TestFollower(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out")
	var got bytes.Buffer
	w := &follower{file: file, to: &got}
	defer w.close()
	want := ""
	for _, s := range []string{"", "one\n", "", "two", "\nthree\n"} {
		if s != "" {
			f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(s); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		want += s
		if err := w.step(); err != nil {
			t.Fatal(err)
		}
		if got.String() != want {
			t.Fatalf("after %q: %q, want %q", s, got.String(), want)
		}
	}
	// A sparse file stands for a guest that writes without end.
	if err := os.Truncate(file, OutputLimit+1); err != nil {
		t.Fatal(err)
	}
	w.to = discard{}
	if err := w.step(); err == nil {
		t.Error("no bound on the output")
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
