package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/ipvs"
)

// view is a choice of columns of a list.
type view struct {
	flag, usage string
	columns     []column
}

// column shows something of each service and of each server; nil shows
// nothing of it.
type column struct {
	title   string
	service func(*control.ListEntry, printer) string
	server  func(*control.ListDestination, printer) string
}

// printer writes a large number.
type printer func(uint64) string

// usualColumns are shown when no view is chosen.
func usualColumns() []column {
	return []column{
		{"SCHEDULER", func(e *control.ListEntry, _ printer) string { return scheduling(e.Service) }, func(d *control.ListDestination, _ printer) string { return forwarding(d.Destination) }},
		nameColumn(),
		{"", nil, func(d *control.ListDestination, _ printer) string { return "weight " + strconv.Itoa(d.Weight) }},
		counter("CONNS", func(s *ipvs.Stats, _ printer) string { return exact(s.Connections) }),
		serverNumber("ACTIVE", func(d *control.ListDestination) uint32 { return d.Active }),
		serverNumber("INACTIVE", func(d *control.ListDestination) uint32 { return d.Inactive }),
		counter("IN", func(s *ipvs.Stats, p printer) string { return p(s.InBytes) }),
		counter("OUT", func(s *ipvs.Stats, p printer) string { return p(s.OutBytes) }),
	}
}

// views are those that flags choose.
func views() []view {
	return []view{
		{"stats", "show the counters: connections, packets and bytes", []column{
			counter("CONNS", func(s *ipvs.Stats, p printer) string { return p(s.Connections) }),
			counter("IN PACKETS", func(s *ipvs.Stats, p printer) string { return p(s.InPackets) }),
			counter("OUT PACKETS", func(s *ipvs.Stats, p printer) string { return p(s.OutPackets) }),
			counter("IN BYTES", func(s *ipvs.Stats, p printer) string { return p(s.InBytes) }),
			counter("OUT BYTES", func(s *ipvs.Stats, p printer) string { return p(s.OutBytes) }),
		}},
		{"rates", "show the rates: connections, packets and bytes a second", []column{
			counter("CONNS/S", func(s *ipvs.Stats, p printer) string { return p(s.CPS) }),
			counter("IN PACKETS/S", func(s *ipvs.Stats, p printer) string { return p(s.InPPS) }),
			counter("OUT PACKETS/S", func(s *ipvs.Stats, p printer) string { return p(s.OutPPS) }),
			counter("IN BYTES/S", func(s *ipvs.Stats, p printer) string { return p(s.InBPS) }),
			counter("OUT BYTES/S", func(s *ipvs.Stats, p printer) string { return p(s.OutBPS) }),
		}},
		{"thresholds", "show the limits of connections to a server", []column{
			serverNumber("UPPER", func(d *control.ListDestination) uint32 { return d.UpperThreshold }),
			serverNumber("LOWER", func(d *control.ListDestination) uint32 { return d.LowerThreshold }),
			serverNumber("ACTIVE", func(d *control.ListDestination) uint32 { return d.Active }),
			serverNumber("INACTIVE", func(d *control.ListDestination) uint32 { return d.Inactive }),
		}},
		{"persistence", "show how long, by which prefix and by which engine clients are kept, and how many are", []column{
			ofService("PERSISTENCE", func(s *ipvs.Service) string {
				if s.Persistence == 0 {
					return "off"
				}
				return s.Persistence.String()
			}),
			ofService("PREFIX", func(s *ipvs.Service) string {
				switch {
				case s.Persistence == 0 || s.PersistencePrefix == 0:
					return "-"
				case s.PersistencePrefix < 0:
					return "odd"
				}
				return "/" + strconv.Itoa(s.PersistencePrefix)
			}),
			ofService("ENGINE", func(s *ipvs.Service) string { return orDash(s.Engine) }),
			serverNumber("CLIENTS", func(d *control.ListDestination) uint32 { return d.Persistent }),
			serverNumber("ACTIVE", func(d *control.ListDestination) uint32 { return d.Active }),
			serverNumber("INACTIVE", func(d *control.ListDestination) uint32 { return d.Inactive }),
		}},
	}
}

func nameColumn() column {
	return column{"NAME", func(e *control.ListEntry, _ printer) string { return e.Name }, func(d *control.ListDestination, _ printer) string { return d.Name }}
}

func counter(title string, get func(*ipvs.Stats, printer) string) column {
	return column{
		title,
		func(e *control.ListEntry, p printer) string { return get(&e.Stats, p) },
		func(d *control.ListDestination, p printer) string { return get(&d.Stats, p) },
	}
}

func serverNumber(title string, get func(*control.ListDestination) uint32) column {
	return column{title, nil, func(d *control.ListDestination, _ printer) string { return exact(uint64(get(d))) }}
}

func ofService(title string, get func(*ipvs.Service) string) column {
	return column{title, func(e *control.ListEntry, _ printer) string { return get(&e.Service) }, nil}
}

func viewFlags() []cli.Flag {
	var flags []cli.Flag
	for _, v := range views() {
		flags = append(flags, &cli.BoolFlag{Name: v.flag, Usage: v.usage})
	}
	return flags
}

// chosenViews are the columns that the flags ask for.
func chosenViews(c *cli.Context) []column {
	var columns []column
	for _, v := range views() {
		if c.Bool(v.flag) {
			columns = append(columns, v.columns...)
		}
	}
	if columns == nil {
		return usualColumns()
	}
	return append([]column{nameColumn()}, columns...)
}

func writeList(w io.Writer, l *control.List, columns []column, inFull bool) error {
	print := printer(amount)
	if inFull {
		print = exact
	}
	// A tabwriter writes each cell by itself.
	buffer := bufio.NewWriterSize(w, 64<<10)
	tw := tabwriter.NewWriter(buffer, 0, 0, 2, ' ', 0)
	line := func(first string, cell func(column) string) {
		fmt.Fprint(tw, first)
		for _, col := range columns {
			fmt.Fprint(tw, "\t", cell(col))
		}
		fmt.Fprintln(tw)
	}
	line("SERVICE", func(c column) string { return c.title })
	for i := range l.Services {
		e := &l.Services[i]
		line(e.Key.String(), func(c column) string {
			if c.service == nil {
				return ""
			}
			return c.service(e, print)
		})
		for j := range e.Destinations {
			d := &e.Destinations[j]
			line("  -> "+d.Key.String(), func(c column) string {
				if c.server == nil {
					return ""
				}
				return c.server(d, print)
			})
		}
	}
	if len(l.Services) == 0 {
		fmt.Fprintf(tw, "(the %s table is empty)\n", l.Dataplane)
	}
	return errors.Join(tw.Flush(), buffer.Flush())
}

// scheduling is the scheduler with what modifies it.
func scheduling(s ipvs.Service) string {
	text := s.Scheduler
	if s.Flags != 0 {
		text += " " + flagsText(s)
	}
	if s.Persistence > 0 {
		text += " persistent " + s.Persistence.String()
		if s.PersistencePrefix > 0 {
			text += "/" + strconv.Itoa(s.PersistencePrefix)
		}
	}
	if s.Engine != "" {
		text += " engine " + s.Engine
	}
	return text
}

// flagsText calls the flags of a scheduler what it takes them for.
func flagsText(s ipvs.Service) string {
	text := s.Flags.String()
	if s.Scheduler == "sh" || s.Scheduler == "mh" {
		text = strings.NewReplacer("flag-1", s.Scheduler+"-fallback", "flag-2", s.Scheduler+"-port").Replace(text)
	}
	return text
}

// forwarding is the method with how a tunnel is made.
func forwarding(d ipvs.Destination) string {
	text := d.Forward.String()
	if d.Forward != ipvs.Tunnel || d.Tunnel == (ipvs.TunnelOptions{}) {
		return text
	}
	text += " " + d.Tunnel.Type.String()
	if d.Tunnel.Port != 0 {
		text += ":" + strconv.Itoa(int(d.Tunnel.Port))
	}
	switch d.Tunnel.Flags {
	case 0:
	case 1:
		text += " checksum"
	case 2:
		text += " remote-checksum"
	default:
		text += fmt.Sprintf(" flags %d", d.Tunnel.Flags)
	}
	return text
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func exact(n uint64) string { return strconv.FormatUint(n, 10) }

// amount shortens a number.
func amount(n uint64) string {
	if n < 10_000 {
		return exact(n)
	}
	f, i := float64(n)/1000, 0
	for ; f >= 999.5 && i < 5; i++ { // what rounds to 1000 too
		f /= 1000
	}
	return fmt.Sprintf("%.3g%c", f, "kMGTPE"[i])
}
