package main

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the man page anew")

// The man page is made from the same text as --help, so the two cannot drift.
func TestManPage(t *testing.T) {
	app := newApp(os.Stdout, os.Stderr)
	app.Version = ""
	page, err := app.ToManWithSection(8)
	if err != nil {
		t.Fatal(err)
	}
	const path = "lvsctl.8"
	if *update {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	have = bytes.ReplaceAll(have, []byte("\r\n"), []byte("\n"))
	if string(have) != page {
		t.Errorf("%s is not what --help says: run go test ./cmd/lvsctl -run ManPage -update", path)
	}
}
