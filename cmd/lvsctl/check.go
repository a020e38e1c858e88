package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/internal/director"
	"github.com/lvskit/lvskit/lvscf"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "tell what is wrong with an lvs.cf, and how to mend it",
		Description: `Reads each FILE by Piranha's own grammar and prints a line for everything that
is wrong or doubtful: file:line:column: what: how to mend it. Nothing is
looked up and nothing is changed. "-" reads standard input.

The exit code is 1 if a file would be refused; warnings alone leave it at 0.`,
		ArgsUsage: "FILE...",
		Flags:     []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			asJSON, err := wantJSON(c)
			if err != nil {
				return err
			}
			if !c.Args().Present() {
				return usagef(`check needs the file to check (see "lvsctl check --help")`)
			}
			var reports []checkReport
			ok := true
			for _, path := range c.Args().Slice() {
				r := checkFile(c.App.Reader, path)
				ok = ok && r.OK
				reports = append(reports, r)
			}
			if asJSON {
				err = writeJSON(c.App.Writer, struct {
					Schema string        `json:"schema"`
					Files  []checkReport `json:"files"`
				}{"lvskit.check/v1", reports})
			} else {
				err = writeCheck(c.App.Writer, reports)
			}
			if err == nil && !ok {
				return &quietError{}
			}
			return err
		},
	}
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

func checkFile(stdin io.Reader, path string) checkReport {
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
	conf, diags := lvscf.Load(r.File, src)
	r.Diagnostics = append(r.Diagnostics, diags...)
	r.OK = !diags.HasErrors()
	if !r.OK {
		return r
	}
	if setup, err := director.FromLVSCF(conf); err != nil {
		r.Error, r.OK = err.Error(), false
	} else {
		r.Notes = append(r.Notes, setup.Notes...)
		r.virtuals = len(setup.Services)
		for _, v := range setup.Services {
			r.servers += len(v.Servers)
		}
	}
	return r
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
