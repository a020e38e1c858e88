package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/internal/director"
	"github.com/lvskit/lvskit/lvscf"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "tell what is wrong with an lvs.cf, and how to mend it",
		Description: `Reads each FILE and prints a line for everything that is wrong or doubtful:
file:line:column: what: how to mend it [code]. Errors have no word before the
what, warnings and hints do. Nothing is looked up and nothing is changed; that
programs are there is seen by asking the file system, and the files of keys
that it names for failover are read as a start reads them: one that is not
there, or not for this user to read, is a warning, and one that the daemon
would refuse an error. No secret is printed. "-" reads standard input.

With --strict the file is read by Piranha's own grammar: what its daemons
refuse is an error, also what is accepted with a warning otherwise.

--explain CODE tells more of a code, "all" of every one.

The exit code is 1 if a file would be refused; warnings alone leave it at 0.`,
		ArgsUsage: "FILE...",
		Flags: []cli.Flag{
			&cli.StringFlag{
				Name: "output", Aliases: []string{"o"}, Value: "table",
				Usage: "`FORMAT` of what is printed: table for people, json for scripts, sarif for code hosts (SARIF 2.1.0)",
			},
			&cli.BoolFlag{Name: "strict", Usage: "read by Piranha's own grammar"},
			&cli.StringFlag{Name: "explain", Usage: "tell more of a `CODE`, such as LVS042, and read no file"},
		},
		Action: func(c *cli.Context) error {
			write, ok := checkWriters[c.String("output")]
			if !ok {
				return usagef("output format %q: want table, json or sarif", c.String("output"))
			}
			if code := c.String("explain"); code != "" {
				return explainCode(c, code)
			}
			if !c.Args().Present() {
				return usagef(`check needs the file to check (see "lvsctl check --help")`)
			}
			var options lvscf.Options
			if c.Bool("strict") {
				options.Dialect = lvscf.Strict
			}
			var reports []checkReport
			ok = true
			for _, path := range c.Args().Slice() {
				r := checkFile(c.App.Reader, path, options)
				ok = ok && r.OK
				reports = append(reports, r)
			}
			if err := write(c.App.Writer, reports); err != nil {
				return err
			}
			if !ok {
				return &quietError{}
			}
			return nil
		},
	}
}

var checkWriters = map[string]func(io.Writer, []checkReport) error{
	"table": writeCheck, "json": writeCheckJSON, "sarif": writeCheckSARIF,
}

type checkReport struct {
	File        string            `json:"file"`
	OK          bool              `json:"ok"`
	Error       string            `json:"error,omitempty"`
	Diagnostics lvscf.Diagnostics `json:"diagnostics"`
	// Notes are what the file asks for and lvsctl run does not do.
	Notes    []string `json:"notes"`
	virtuals int
	servers  int
}

func checkFile(stdin io.Reader, path string, options lvscf.Options) checkReport {
	r := checkReport{File: path, Diagnostics: lvscf.Diagnostics{}, Notes: []string{}}
	var src []byte
	var err error
	if path == "-" {
		r.File = "<stdin>"
		src, err = io.ReadAll(io.LimitReader(stdin, lvscf.MaxSize+1))
	} else {
		src, err = director.ReadFile(path)
	}
	if err != nil {
		r.Error = err.Error()
		return r
	}
	options.Include = director.ReadIncluded
	conf, diags := options.Load(r.File, src)
	r.Diagnostics = append(r.Diagnostics, diags...)
	r.OK = !diags.HasErrors()
	if !r.OK {
		return r
	}
	r.Diagnostics = append(r.Diagnostics, conf.CheckPrograms(runnable)...)
	r.OK = !r.Diagnostics.HasErrors()
	if setup, err := director.FromLVSCF(conf); err != nil {
		r.Error, r.OK = err.Error(), false
	} else {
		r.Diagnostics = append(r.Diagnostics, setup.CheckKeys()...)
		r.OK = !r.Diagnostics.HasErrors()
		r.Notes = append(r.Notes, setup.Notes...)
		r.virtuals = len(setup.Services)
		for _, v := range setup.Services {
			r.servers += len(v.Servers)
		}
	}
	return r
}

// runnable tells why a program cannot be run, nil if it can.
func runnable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("it is a directory")
	case filepath.Separator == '/' && info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%w: its mode is %v", fs.ErrPermission, info.Mode().Perm())
	}
	return nil
}

func explainCode(c *cli.Context, code string) error {
	infos := lvscf.Codes()
	if !strings.EqualFold(code, "all") {
		info, ok := lvscf.Explain(code)
		if !ok {
			return usagef("there is no code %q: the codes are %s to %s (see %q)", code, infos[0].Code, infos[len(infos)-1].Code, "lvsctl check --explain all")
		}
		infos = []lvscf.CodeInfo{info}
	}
	if c.String("output") == "json" {
		return writeJSON(c.App.Writer, struct {
			Schema string           `json:"schema"`
			Codes  []lvscf.CodeInfo `json:"codes"`
		}{"lvskit.codes/v1", infos})
	}
	for i, info := range infos {
		if i > 0 {
			fmt.Fprintln(c.App.Writer)
		}
		severity := info.Severity.String()
		if info.Strict != info.Severity {
			severity += ", " + info.Strict.String() + " with --strict"
		}
		fmt.Fprintf(c.App.Writer, "%s (%s): %s\n\n%s\n\nCure: %s.\n", info.Code, severity, info.Title, wrap(info.Explanation, 78), wrap(info.Cure, 72))
		if info.Example != "" {
			fmt.Fprint(c.App.Writer, "\nAn example that has it:\n\n")
			for line := range strings.Lines(printable(info.Example)) {
				fmt.Fprint(c.App.Writer, "    "+line)
			}
		}
	}
	return nil
}

// wrap breaks a text into lines of at most width bytes where words allow it.
func wrap(text string, width int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		if column > 0 && column+1+len(word) > width {
			b.WriteByte('\n')
			column = 0
		} else if column > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// printable shows bytes that a terminal would not.
func printable(text string) string {
	return strings.NewReplacer("\ufeff", "<U+FEFF>", "\x00", "<00>", "\xe9", "<E9>", "\r", "<CR>", "\u00a0", "<U+00A0>").Replace(text)
}

func writeCheck(w io.Writer, reports []checkReport) error {
	for _, r := range reports {
		for _, d := range r.Diagnostics {
			fmt.Fprintln(w, d.String())
		}
		if r.Error != "" {
			fmt.Fprintln(w, r.Error)
		}
		for _, n := range r.Notes {
			fmt.Fprintf(w, "%s: note: %s\n", r.File, n)
		}
		if r.OK {
			fmt.Fprintf(w, "%s: ok, %d active virtual services with %d active servers\n", r.File, r.virtuals, r.servers)
		}
	}
	return nil
}

func writeCheckJSON(w io.Writer, reports []checkReport) error {
	// What the codes mean stands once beside the files.
	codes := map[lvscf.Code]lvscf.CodeInfo{}
	for _, r := range reports {
		for _, d := range r.Diagnostics {
			if info, ok := lvscf.Explain(string(d.Code)); ok {
				codes[d.Code] = info
			}
		}
	}
	return writeJSON(w, struct {
		Schema string                        `json:"schema"`
		Files  []checkReport                 `json:"files"`
		Codes  map[lvscf.Code]lvscf.CodeInfo `json:"codes"`
	}{"lvskit.check/v1", reports, codes})
}

// writeCheckSARIF writes one log for all files. That a file cannot be read is
// no finding in it: the exit code and standard error tell.
func writeCheckSARIF(w io.Writer, reports []checkReport) error {
	var all lvscf.Diagnostics
	for _, r := range reports {
		all = append(all, r.Diagnostics...)
	}
	if err := all.WriteSARIF(w, version()); err != nil {
		return err
	}
	for _, r := range reports {
		if r.Error != "" {
			return fmt.Errorf("%s", r.Error)
		}
	}
	return nil
}
