package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/internal/control"
)

// defaultSocket is where a daemon listens and the other commands ask.
const defaultSocket = "/run/lvskit/lvsctl.sock"

func socketFlag(usage string) cli.Flag {
	return &cli.StringFlag{
		Name:    "socket",
		Value:   defaultSocket,
		EnvVars: []string{"LVSCTL_SOCKET"},
		Usage:   usage,
	}
}

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "what the running daemon does, and why",
		Description: `Asks the daemon over its socket and prints its role, its heartbeats or its
routers of VRRP with all that keeps two of them from agreeing and what they
depend on, and each service and server with the reason of its state. Of a
server that is not up it shows the check, the last answer with its phases, and
what the server said. When the partner's configuration differs, it says in
what: texts that may hold a secret, as what is sent to a server or a program's
arguments, are shown as digits.
--history shows the check and the last answers of every server.`,
		ArgsUsage: " ",
		Flags: []cli.Flag{
			socketFlag("unix socket `PATH` of the daemon to ask"),
			&cli.BoolFlag{Name: "history", Usage: "show the last results of each check"},
			outputFlag(),
		},
		Action: func(c *cli.Context) error {
			asJSON, err := plain(c)
			if err != nil {
				return err
			}
			st, err := control.NewClient(c.String("socket")).Status(c.Context)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.App.Writer, st)
			}
			return writeStatus(c.App.Writer, st, c.Bool("history"), time.Now())
		},
	}
}

func writeStatus(w io.Writer, st *control.Status, history bool, now time.Time) error {
	ago := func(t time.Time) string { return "since " + now.Sub(t).Round(time.Second).String() }
	// A tabwriter writes each cell by itself.
	buffer := bufio.NewWriterSize(w, 64<<10)
	tw := tabwriter.NewWriter(buffer, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "role\t%s (%s)\t%s: %s\n", st.Role.Role, st.Role.Identity, ago(st.Role.Since), st.Role.Reason)
	if p := st.Role.Partner; p != nil {
		fmt.Fprintf(tw, "partner\t%s\t%s\n", p.Role, strings.Join(partnerTroubles(p), ", "))
		writeDifferences(tw, p)
	}
	writeElection(tw, &st.Role, now)
	if len(st.Role.Addresses) > 0 && len(st.Role.Routers) == 0 {
		held := "not held here"
		if st.Role.AddressesHeld {
			held = "held here"
		}
		fmt.Fprintf(tw, "addresses\t%s\t%s\n", held, strings.Join(st.Role.Addresses, ", "))
	}
	for _, u := range st.Role.Unreachable {
		fmt.Fprintf(tw, "\tTROUBLE\t%s\n", u)
	}
	for _, route := range st.Role.Routes {
		fmt.Fprintf(tw, "\troute\t%s\n", route)
	}
	for _, d := range st.Role.SyncDaemons {
		fmt.Fprintf(tw, "sync daemon\truns\t%s\n", d)
	}
	if st.Role.SyncError != "" {
		fmt.Fprintf(tw, "sync daemon\tTROUBLE\t%s\n", st.Role.SyncError)
	}
	fmt.Fprintf(tw, "data plane\t%s\t%s\n", st.Dataplane.Kind, st.Dataplane.Reason)
	if st.Dataplane.Error != "" {
		fmt.Fprintf(tw, "\tTROUBLE\t%s\n", st.Dataplane.Error)
	}
	fmt.Fprintf(tw, "configuration\t%s\tserial %d, digest %.12s, loaded %s\n", st.Config.Source, st.Config.Serial, st.Config.Digest, st.Config.Loaded.Format(time.DateTime))
	if st.Config.ReloadError != "" {
		state := "RELOAD REFUSED"
		for line := range strings.Lines(st.Config.ReloadError) { // one for each fault of the file
			fmt.Fprintf(tw, "\t%s\t%s\n", state, strings.TrimSuffix(line, "\n"))
			state = ""
		}
	}
	for _, n := range st.Notes {
		fmt.Fprintf(tw, "note\t\t%s\n", n)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, v := range st.Services {
		fmt.Fprintf(tw, "\n%s\t%s\t%s\n", v.Name, v.Key, v.Reason)
		if q := v.Quorum; q.State != "" {
			fmt.Fprintf(tw, "  quorum\t%s\t\t%s%s\n", q.State, sinceOf(q.Since, ago), strings.TrimPrefix(q.Why, "quorum "+q.State+": "))
		}
		for _, s := range v.Servers {
			writeServer(tw, &s, history, ago)
		}
		for _, s := range v.SorryServers {
			s.Name = "sorry: " + s.Name
			writeServer(tw, &s, history, ago)
		}
	}
	return errors.Join(tw.Flush(), buffer.Flush())
}

// writeCheckOf says what a server is asked and what it answered: all that is
// known, or the last answer alone.
func writeCheckOf(w io.Writer, s *control.Server, history bool) {
	check := s.Check
	if s.NoticedMS > 0 {
		check += fmt.Sprintf("; a death is noticed within %v", time.Duration(s.NoticedMS*float64(time.Millisecond)))
	}
	fmt.Fprintf(w, "    check\t\t\t%s\n", check)
	switch {
	case s.Bad > 1:
		fmt.Fprintf(w, "    answers\t\t\t%d bad ones in a row\n", s.Bad)
	case s.Good > 0 && s.State != "up":
		fmt.Fprintf(w, "    answers\t\t\t%d good ones in a row, not yet enough\n", s.Good)
	}
	results := s.Results
	if !history {
		results = results[max(0, len(results)-1):]
	}
	for _, r := range results {
		fmt.Fprintf(w, "    %s\t%s\t%.1f ms\t%s%s\n", r.At.Format("15:04:05.000"), r.Verdict, r.TookMS, r.Reason, phasesText(r.Phases))
	}
	if n := len(results); n > 0 && results[n-1].Seen != "" {
		fmt.Fprintf(w, "    seen\t\t\t%s\n", results[n-1].Seen)
	}
}

// phasesText is where the time of an answer went.
func phasesText(phases []control.Phase) string {
	if len(phases) == 0 {
		return ""
	}
	texts := make([]string, len(phases))
	for i, p := range phases {
		texts[i] = fmt.Sprintf("%s %.1f", p.Name, p.TookMS)
	}
	return " (ms: " + strings.Join(texts, ", ") + ")"
}

// writeServer says how a server stands, why it has its weight where that does
// not follow from its state, and what it was asked where it is not up.
func writeServer(w io.Writer, s *control.Server, history bool, ago func(time.Time) string) {
	weight := "out"
	if s.InTable {
		weight = fmt.Sprintf("weight %d", s.Weight)
	}
	fmt.Fprintf(w, "  %s\t%s\t%s, %s\t%s%s\n", s.Name, s.Address, s.State, weight, sinceOf(s.Since, ago), s.Reason)
	switch s.Why {
	case "", fmt.Sprintf("up: configured weight %d", s.Weight), "down: " + s.Reason:
	default:
		fmt.Fprintf(w, "    why\t\t\t%s%s\n", sinceOf(s.WhySince, ago), s.Why)
	}
	if s.LoadReason != "" {
		fmt.Fprintf(w, "    load\t\t\t%s\n", s.LoadReason)
	}
	if s.Check != "" && (history || s.State != "up") {
		writeCheckOf(w, s, history)
	}
}

func sinceOf(t *time.Time, ago func(time.Time) string) string {
	if t == nil {
		return ""
	}
	return ago(*t) + ": "
}

// partnerTroubles says what is wrong between the two routers.
func partnerTroubles(p *control.Partner) []string {
	var ts []string
	if !p.Alive {
		ts = append(ts, "SILENT")
	} else if !p.HearsUs {
		ts = append(ts, "DOES NOT HEAR US")
	}
	if p.ClocksDiffer {
		ts = append(ts, fmt.Sprintf("ITS CLOCK IS %v FROM OURS", msText(p.ClockOffsetMS).Round(time.Millisecond)))
	}
	if p.ConfigDiffers {
		ts = append(ts, "ITS CONFIGURATION DIFFERS FROM OURS")
	}
	return ts
}

// writeDifferences says in what the partner's configuration differs.
func writeDifferences(w io.Writer, p *control.Partner) {
	if p.DifferencesUnknown != "" {
		fmt.Fprintf(w, "\t\t%s\n", p.DifferencesUnknown)
	}
	for i, d := range p.Differences {
		label := ""
		if i == 0 {
			label = "ours -> its"
		}
		fmt.Fprintf(w, "\t%s\t%s\n", label, d)
	}
	if p.MoreDifferences > 0 {
		fmt.Fprintf(w, "\t\tand %d more\n", p.MoreDifferences)
	}
}
