package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// version is the module's version as the Go tool recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:      "version",
		Usage:     "print the version of lvsctl",
		ArgsUsage: " ",
		Flags:     []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			asJSON, err := plain(c)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.App.Writer, struct {
					Schema  string `json:"schema"`
					Version string `json:"version"`
					Go      string `json:"go"`
					System  string `json:"system"`
				}{"lvskit.version/v1", version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
			}
			_, err = fmt.Fprintf(c.App.Writer, "lvsctl %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
