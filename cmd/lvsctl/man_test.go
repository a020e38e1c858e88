package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

var update = flag.Bool("update", false, "write the man page anew")

// The man page is made from the same text as --help, so the two cannot drift.
func TestManPage(t *testing.T) {
	app := thisHost().newApp(os.Stdout, os.Stderr)
	app.Version = ""
	describe(app.Commands, "")
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

// describe puts synopsis and description of each command where the generator
// looks, which knows only the one line of its use; what --help indents stays
// as it is laid out.
func describe(commands []*cli.Command, of string) {
	for _, c := range commands {
		c.Name = of + c.Name
		text := c.Description
		if args := strings.TrimSpace(c.ArgsUsage); args != "" {
			text = "Arguments: " + args + "\n\n" + text
		}
		c.Usage += "\n\n" + strings.ReplaceAll("\n"+text, "\n  ", "\n      ")
		describe(c.Subcommands, c.Name+" ")
	}
}
