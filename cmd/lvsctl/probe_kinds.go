package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/health"
)

type kindOption struct {
	Name    string `json:"name"`
	Summary string `json:"summary"`
}

type kindInfo struct {
	Name    string       `json:"name"`
	Summary string       `json:"summary"`
	Port    uint16       `json:"port,omitempty"`
	TLSPort uint16       `json:"tls_port,omitempty"`
	AnyPort bool         `json:"any_port,omitempty"`
	Options []kindOption `json:"options"`
}

func describeKind(k health.Kind) kindInfo {
	info := kindInfo{Name: k.Name, Summary: k.Summary, Port: k.Port, TLSPort: k.TLSPort, AnyPort: k.AnyPort}
	for _, o := range k.Options {
		info.Options = append(info.Options, kindOption{o.Name, o.Summary})
	}
	return info
}

func writeKindsJSON(w io.Writer, kinds ...health.Kind) error {
	infos := make([]kindInfo, len(kinds))
	for i, k := range kinds {
		infos[i] = describeKind(k)
	}
	return writeJSON(w, struct {
		Schema string     `json:"schema"`
		Kinds  []kindInfo `json:"kinds"`
	}{"lvskit.probe-kinds/v1", infos})
}

func writeKinds(w io.Writer, asJSON bool) error {
	kinds := health.Kinds()
	if asJSON {
		return writeKindsJSON(w, kinds...)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "KIND\tPORT\tWHAT IS ASKED")
	for _, k := range kinds {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", k.Name, portsText(k), k.Summary)
	}
	return tw.Flush()
}

func portsText(k health.Kind) string {
	switch {
	case k.AnyPort:
		return "none"
	case k.TLSPort != 0:
		return fmt.Sprintf("%d, TLS %d", k.Port, k.TLSPort)
	case k.Port != 0:
		return fmt.Sprint(k.Port)
	}
	return "any"
}

func writeOptions(w io.Writer, k health.Kind, asJSON bool) error {
	if asJSON {
		return writeKindsJSON(w, k)
	}
	fmt.Fprintf(w, "%s: %s\n", k.Name, k.Summary)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, o := range k.Options {
		again := ""
		if o.Repeats {
			again = ", or each as an option of its own"
		}
		fmt.Fprintf(tw, "  %s=\t%s%s\n", o.Name, o.Summary, again)
	}
	return tw.Flush()
}

// completeProbe offers the kinds, and then the options of the kind.
func completeProbe(c *cli.Context) {
	if c.NArg() == 0 {
		for _, k := range health.Kinds() {
			fmt.Fprintln(c.App.Writer, k.Name)
		}
		return
	}
	k, err := findKind(c.Args().First())
	if err != nil {
		return
	}
	for _, o := range k.Options {
		fmt.Fprintln(c.App.Writer, o.Name+"=")
	}
}
