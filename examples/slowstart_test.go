package examples_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "draw the pictures anew")

// A server that returns under wlc is flooded; the gradual feedback lets it in
// without that.
func TestSlowStart(t *testing.T) {
	const path = "slow-start/returning-server.svg"
	drawn := filepath.Join(t.TempDir(), "drawn.svg")
	out, err := exec.CommandContext(t.Context(), build(t, "slow-start"), "-svg", drawn).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := regexp.MustCompile(`(?m)^(.+): +C gets +(\d+) % .* waits (\S+)$`).FindAllStringSubmatch(string(out), -1)
	if len(lines) != 3 {
		t.Fatalf("want three lines:\n%s", out)
	}
	for i, want := range []struct {
		name          string
		least, most   int
		atLeast, upTo time.Duration
	}{
		{"wlc", 99, 100, 2 * time.Second, time.Minute},
		{"wlc, piranha-load", 80, 95, time.Second, time.Minute},
		// Its fair share is 50; a slow start begins below it.
		{"wlc, gradual", 5, 50, 0, 500 * time.Millisecond},
	} {
		share, err := strconv.Atoi(lines[i][2])
		waits, err2 := time.ParseDuration(lines[i][3])
		if err != nil || err2 != nil || lines[i][1] != want.name || share < want.least || share > want.most || waits < want.atLeast || waits > want.upTo {
			t.Errorf("%q: want %+v", lines[i][0], want)
		}
	}

	picture, err := os.ReadFile(drawn)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Other processors round the last bit of a logarithm otherwise, and one
	// connection that comes a nanosecond later is another picture.
	have = bytes.ReplaceAll(have, []byte("\r\n"), []byte("\n"))
	if runtime.GOARCH == "amd64" && !bytes.Equal(have, picture) {
		t.Errorf("%s is not what the program draws: run go test ./examples -run SlowStart -update", path)
	}
}
