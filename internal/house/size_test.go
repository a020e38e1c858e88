package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// small is a program that imports the kernel's client and nothing else of ours.
const small = `package main

import (
	"context"
	"fmt"
	"os"

	"github.com/lvskit/lvskit/ipvs"
)

func main() {
	c, err := ipvs.Dial(context.Background(), nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer c.Close()
	snap, err := c.Snapshot(context.Background())
	fmt.Println(len(snap), err)
}
`

// mayLink are the foreign modules that such a program may contain.
var mayLink = []string{
	"github.com/mdlayher/socket", "golang.org/x/net", "golang.org/x/sync", "golang.org/x/sys",
}

// TestIPVSAloneLinksLittle builds a program that imports only ipvs, and looks
// at what is in it.
func TestIPVSAloneLinksLittle(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte(small), 0o644); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "small")
	out := goTool(t, "list", "-deps", "-json=ImportPath,Standard,Module", source)
	modules := map[string]bool{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l struct {
			ImportPath string
			Standard   bool
			Module     *struct{ Path string }
		}
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		switch {
		case l.Standard || l.Module == nil: // the program itself is in no module
		case l.Module.Path == Module:
			if p := relative(l.ImportPath); p != "ipvs" && !strings.HasPrefix(p, "ipvs/") {
				t.Errorf("the program contains %s of ours", l.ImportPath)
			}
		default:
			if modules[l.Module.Path] = true; !slices.Contains(mayLink, l.Module.Path) {
				t.Errorf("the program contains %s of %s", l.ImportPath, l.Module.Path)
			}
		}
	}
	if len(modules) == 0 {
		t.Errorf("no module found in %s", out)
	}
	goTool(t, "build", "-ldflags=-s -w", "-o", binary, source)
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a program with ipvs alone links %d foreign modules (%s) and has %.1f MB without symbols",
		len(modules), strings.Join(slices.Sorted(maps.Keys(modules)), ", "), float64(info.Size())/1e6)
	// Growth by half means that something large came in.
	const limit = 6 << 20
	if info.Size() > limit {
		t.Errorf("it has %d bytes, want at most %d", info.Size(), limit)
	}
}

func goTool(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, said.String())
	}
	return out
}
