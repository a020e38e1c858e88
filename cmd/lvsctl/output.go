package main

import (
	"encoding/json"
	"io"
	"os"

	"github.com/urfave/cli/v2"
)

// outputFlag is the same for every command that shows something.
func outputFlag() cli.Flag {
	return &cli.StringFlag{
		Name:    "output",
		Aliases: []string{"o"},
		Value:   "table",
		Usage:   "`FORMAT` of what is printed: table for people, json for scripts (fields keep their names; see its schema)",
	}
}

// wantJSON reads the output flag.
func wantJSON(c *cli.Context) (bool, error) {
	switch f := c.String("output"); f {
	case "table":
		return false, nil
	case "json":
		return true, nil
	default:
		return false, usagef("output format %q: want table or json", f)
	}
}

// plain reads the command line of a command that shows something and takes
// no arguments.
func plain(c *cli.Context) (asJSON bool, err error) {
	if err := noArgs(c); err != nil {
		return false, err
	}
	return wantJSON(c)
}

func writeJSON(w io.Writer, doc any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}

// isTerminal tells whether w is a screen that may be redrawn.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
