package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/internal/director"
	"github.com/lvskit/lvskit/lvscf"
)

func fmtCommand() *cli.Command {
	return &cli.Command{
		Name:  "fmt",
		Usage: "lay an lvs.cf out in the canonical way",
		Description: `Prints each FILE in the canonical layout: four blanks of indentation for each
block, one blank around the sign, a blank line around blocks, no other runs of
blank lines, LF line ends. Comments, quotes and the order of lines stay, and so
does the meaning. "-" reads standard input.

With --write each file that differs is replaced, at once and with its owner and
mode, and nothing is printed. With --diff the differences are printed in place
of the files, with --list the names of files that differ; then, and without
--write, the exit code is 1 if any file differs.

A file with errors is not formatted; they are told, the other files are done,
and the exit code is 1.`,
		ArgsUsage: "FILE...",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "write", Aliases: []string{"w"}, Usage: "replace the files"},
			&cli.BoolFlag{Name: "diff", Aliases: []string{"d"}, Usage: "print differences in the unified form"},
			&cli.BoolFlag{Name: "list", Aliases: []string{"l"}, Usage: "print the names of files that differ"},
			&cli.BoolFlag{Name: "strict", Usage: "read by Piranha's own grammar"},
		},
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return usagef(`fmt needs the file to format (see "lvsctl fmt --help")`)
			}
			f := formatter{stdin: c.App.Reader, stdout: c.App.Writer, write: c.Bool("write"), diff: c.Bool("diff"), list: c.Bool("list")}
			if c.Bool("strict") {
				f.options.Dialect = lvscf.Strict
			}
			failed, differs := false, false
			for _, path := range c.Args().Slice() {
				if path == "-" && f.write {
					return usagef("fmt --write cannot replace standard input: leave --write out")
				}
			}
			for _, path := range c.Args().Slice() {
				changed, err := f.file(path)
				if err != nil {
					failed = true
					writeFailure(c.App.ErrWriter, err)
				}
				differs = differs || changed
			}
			if failed || differs && (f.diff || f.list) && !f.write {
				return &quietError{}
			}
			return nil
		},
	}
}

// writeFailure tells why a file was not formatted: what is found in the file
// begins with its name and line, for editors; anything else is ours to say.
func writeFailure(w io.Writer, err error) {
	text := strings.TrimSuffix(err.Error(), "\n")
	if found := (*lvscf.InvalidFileError)(nil); !errors.As(err, &found) {
		text = "lvsctl: " + text
	}
	fmt.Fprintln(w, text)
}

// formatter formats files as the flags of the command say.
type formatter struct {
	stdin             io.Reader
	stdout            io.Writer
	options           lvscf.Options
	write, diff, list bool
}

// file formats one file and reports whether that changes it.
func (f formatter) file(path string) (changed bool, err error) {
	name := path
	var src []byte
	if path == "-" {
		name = "<stdin>"
		src, err = io.ReadAll(io.LimitReader(f.stdin, lvscf.MaxSize+1))
	} else {
		src, err = director.ReadFile(path)
	}
	if err != nil {
		return false, err
	}
	tree, _ := f.options.Parse(name, src)
	formatted, err := tree.Format()
	if err != nil {
		return false, err
	}
	text := formatted.Bytes()
	changed = string(text) != string(src)
	if changed && f.list {
		if _, err := fmt.Fprintln(f.stdout, name); err != nil {
			return changed, err
		}
	}
	if changed && f.diff {
		if _, err := f.stdout.Write(diff.Diff(name+".orig", src, name, text)); err != nil {
			return changed, err
		}
	}
	switch {
	case f.write && changed:
		err = replaceFile(path, text)
	case !f.write && !f.diff && !f.list:
		_, err = f.stdout.Write(text)
	}
	return changed, err
}
