package ipvs

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOwnershipSurvivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "state.json")
	o, err := OpenOwnership(path)
	if err != nil {
		t.Fatalf("an absent file: %v", err)
	}
	web, mark := TCPService(ap("192.0.2.1:80")), MarkService6(7)
	if err := o.claim([]ServiceKey{web, mark}); err != nil {
		t.Fatal(err)
	}
	again, err := OpenOwnership(path)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Has(web) || !again.Has(mark) || again.Has(MarkService(7)) {
		t.Errorf("after a restart: %v", again.keys)
	}
	if err := again.forget([]ServiceKey{web}); err != nil {
		t.Fatal(err)
	}
	third, err := OpenOwnership(path)
	if err != nil || third.Has(web) || !third.Has(mark) {
		t.Errorf("after forgetting one: %v, %v", third.keys, err)
	}
	left, err := filepath.Glob(path + ".*")
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files stay behind: %v", left)
	}
}

// A disk that was full for a moment must not leave the file without a service
// for good.
func TestOwnershipWritesLaterWhatFailed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // no folder can be there
		t.Fatal(err)
	}
	o, err := OpenOwnership("")
	if err != nil {
		t.Fatal(err)
	}
	o.path = filepath.Join(dir, "state.json")
	web := TCPService(ap("192.0.2.1:80"))
	synctest.Test(t, func(t *testing.T) {
		failed := o.claim([]ServiceKey{web})
		if failed == nil {
			t.Fatal("a file was written below a file")
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		// Each attempt costs what the table costs, so they are not made with
		// each change.
		if err := o.claim([]ServiceKey{web}); err != failed {
			t.Errorf("at once, with nothing new: %v, want the error of before", err)
		}
		time.Sleep(ownershipRetry)
		if err := o.claim([]ServiceKey{web}); err != nil {
			t.Fatal(err)
		}
	})
	again, err := OpenOwnership(o.path)
	if err != nil || !again.Has(web) {
		t.Errorf("the file has %v, %v", again.keys, err)
	}
}

// Whoever asks what is ours, a reconciler with a lock of its own among them,
// does not wait for the disk.
func TestOwnershipAnswersWhileItWrites(t *testing.T) {
	o, err := OpenOwnership(filepath.Join(t.TempDir(), "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	web := TCPService(ap("192.0.2.1:80"))
	o.writing.Lock() // a disk that takes its time
	claimed := make(chan error)
	go func() { claimed <- o.claim([]ServiceKey{web}) }()
	for !o.Has(web) {
		runtime.Gosched()
	}
	select {
	case <-claimed:
		t.Error("a claim did not wait for the file")
	default:
	}
	o.writing.Unlock()
	if err := <-claimed; err != nil {
		t.Error(err)
	}
}

func TestOwnershipOfABadFile(t *testing.T) {
	for name, content := range map[string]string{
		"noise":            "\x00\x01",
		"half a file":      `{"schema": "lvskit.state/v1", "services": ["tcp/`,
		"another schema":   `{"schema": "lvskit.state/v9"}`,
		"no service's key": `{"schema": "lvskit.state/v1", "services": ["nonsense"]}`,
		"too large":        strings.Repeat(" ", maxOwnershipFile+1),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.json")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			o, err := OpenOwnership(path)
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v does not name the file", err)
			}
			if len(o.keys) != 0 {
				t.Errorf("keys %v from a bad file", o.keys)
			}
			if err := o.claim([]ServiceKey{MarkService(1)}); err != nil {
				t.Errorf("a bad file cannot be replaced: %v", err)
			}
		})
	}
}

func TestOwnershipWritesOnlyWhatIsNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	o, err := OpenOwnership(path)
	if err != nil {
		t.Fatal(err)
	}
	web := []ServiceKey{TCPService(ap("192.0.2.1:80"))}
	if err := o.claim(web); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := o.claim(web); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a claim of nothing new wrote the file")
	}
	if err := o.forget([]ServiceKey{MarkService(1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("forgetting what was not known wrote the file")
	}
}

// The present form of the file, as earlier versions wrote it.
func TestOwnershipReadsTheFirstSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	text := "{\n  \"schema\": \"lvskit.state/v1\",\n  \"services\": [\n    \"tcp/192.0.2.1:80\",\n    \"fwmark6/7\"\n  ]\n}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := OpenOwnership(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []ServiceKey{TCPService(ap("192.0.2.1:80")), MarkService6(7)}
	if got := o.Services(); !slices.Equal(want, got) {
		t.Errorf("services %v, want %v", got, want)
	}
	if err := o.claim([]ServiceKey{MarkService(9)}); err != nil {
		t.Fatal(err)
	}
	if err := o.forget([]ServiceKey{MarkService(9)}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("written again it is %q, %v; want %q", got, err, text)
	}
}

func FuzzOwnership(f *testing.F) {
	f.Add([]byte(`{"schema": "lvskit.state/v1", "services": ["tcp/192.0.2.1:80", "fwmark6/7"]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parseOwnership(data)
		if err != nil {
			return
		}
		for _, k := range keys {
			if k.Validate() != nil {
				t.Errorf("took the key %v", k)
			}
		}
		text, err := formatOwnership(keys)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseOwnership(text); err != nil || !slices.Equal(keys, again) {
			t.Errorf("%v reads back as %v, %v", keys, again, err)
		}
	})
}
