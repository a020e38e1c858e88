package main

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/sched"
	"github.com/lvskit/lvskit/sched/predict"
)

// prediction is the document of -o json.
type prediction struct {
	Schema    string            `json:"schema"`
	Service   ipvs.ServiceKey   `json:"service"`
	Name      string            `json:"name,omitempty"`
	Scheduler string            `json:"scheduler"`
	Flags     string            `json:"flags,omitempty"`
	Certain   bool              `json:"certain"`
	Servers   []predictedServer `json:"servers"`
	Answers   []predictedAnswer `json:"answers,omitempty"`
	Change    string            `json:"change,omitempty"`
	// columns are the names of the servers, and of one that is added.
	columns  []string
	added    []predictedServer
	Clients  int                `json:"clients,omitempty"`
	Compared []predictedCompare `json:"compared,omitempty"`
	Notes    []string           `json:"notes"`
}

type predictedServer struct {
	Name    string         `json:"name"`
	Address netip.AddrPort `json:"address"`
	Weight  int            `json:"weight"`
}

type predictedAnswer struct {
	Client    string `json:"client"`
	Scheduler string `json:"scheduler"`
	Flags     string `json:"flags,omitempty"`
	// Servers are the server of the client, or the shares of several.
	Servers map[string]float64 `json:"servers"`
	Refused float64            `json:"refused"`
	After   map[string]float64 `json:"after,omitempty"`
}

type predictedCompare struct {
	Scheduler     string         `json:"scheduler"`
	Flags         string         `json:"flags,omitempty"`
	Certain       bool           `json:"certain"`
	Moved         *int           `json:"moved"`
	Needless      *int           `json:"needless"`
	Before        map[string]int `json:"before"`
	After         map[string]int `json:"after"`
	RefusedBefore int            `json:"refused_before"`
	RefusedAfter  int            `json:"refused_after"`
}

// answer fills in the servers of single clients, with each of the candidates.
func (d *prediction) answer(of predict.Service, change *predict.Change, candidates []predict.Candidate, clients []string) error {
	for _, text := range clients {
		client, err := predict.ParseClient(text)
		if err != nil {
			return usagef("--client: %v", err)
		}
		if !of.Takes(client) {
			return usagef("--client %s: the service is for clients of the other family of addresses, as its address is %v", text, of.Addr.Addr())
		}
		for _, c := range candidates {
			with := of
			with.Scheduler, with.Flags = c.Scheduler, c.Flags
			a, err := answerOf(with, change, client)
			if err != nil {
				return err
			}
			a.Client, a.Scheduler, a.Flags = text, c.Scheduler, c.Flags.String()
			d.Answers = append(d.Answers, a)
		}
	}
	return nil
}

// answerOf is the server of one client, or the shares of several.
func answerOf(of predict.Service, change *predict.Change, client netip.AddrPort) (predictedAnswer, error) {
	asked := []netip.AddrPort{client}
	if of.Flags&sched.FlagPort != 0 && of.Certain() {
		asked = predict.Ports(asked, portsTried)
	}
	if !of.Certain() {
		// Its chances are the shares of all.
		asked = predict.Generate(10_000, client.Addr().Is6())
	}
	rep, err := predict.Compare(of, change, nil, asked)
	if err != nil {
		return predictedAnswer{}, err
	}
	a := predictedAnswer{Servers: map[string]float64{}}
	if change != nil {
		a.After = map[string]float64{}
	}
	row, n := rep.Rows[0], float64(len(asked))
	a.Refused = float64(row.RefusedBefore) / n
	for i, name := range rep.Servers {
		if row.Before[i] > 0 {
			a.Servers[name] = float64(row.Before[i]) / n
		}
		if row.After[i] > 0 && change != nil {
			a.After[name] = float64(row.After[i]) / n
		}
	}
	return a, nil
}

func (d *prediction) compare(of predict.Service, change *predict.Change, candidates []predict.Candidate, clients []netip.AddrPort) error {
	for _, c := range candidates {
		if c.Flags&sched.FlagPort != 0 {
			clients = predict.Ports(clients, portsTried)
			break
		}
	}
	rep, err := predict.Compare(of, change, candidates, clients)
	if err != nil {
		return err
	}
	d.Clients, d.columns = rep.Clients, rep.Servers
	for i := range rep.Rows {
		row := &rep.Rows[i]
		p := predictedCompare{
			Scheduler: row.Scheduler, Flags: row.Flags.String(), Certain: row.Certain, Before: map[string]int{}, After: map[string]int{},
			RefusedBefore: row.RefusedBefore, RefusedAfter: row.RefusedAfter,
		}
		if row.Certain {
			p.Moved, p.Needless = &row.Moved, &row.Needless
		}
		for k, name := range rep.Servers {
			p.Before[name], p.After[name] = row.Before[k], row.After[k]
		}
		d.Compared = append(d.Compared, p)
	}
	return nil
}

func (d *prediction) write(w io.Writer) error {
	scheduler := d.Scheduler
	if d.Flags != "" {
		scheduler += " (" + d.Flags + ")"
	}
	head := d.Service.String()
	if d.Name != "" {
		head += " " + d.Name
	}
	fmt.Fprintf(w, "%s, %s, servers %s\n", head, scheduler, d.list())
	for _, n := range d.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(d.Answers) > 0 {
		fmt.Fprint(t, "\nCLIENT\tSCHEDULER\tSERVER")
		if d.Change != "" {
			fmt.Fprintf(t, "\tAFTER: %s", d.Change)
		}
		fmt.Fprintln(t)
		for _, a := range d.Answers {
			name := a.Scheduler
			if a.Flags != "" {
				name += " (" + a.Flags + ")"
			}
			fmt.Fprintf(t, "%s\t%s\t%s", a.Client, name, d.shares(a.Servers))
			if d.Change != "" {
				fmt.Fprintf(t, "\t%s", d.shares(a.After))
			}
			fmt.Fprintln(t)
		}
	}
	if len(d.Compared) > 0 {
		d.writeCompared(t)
	}
	return t.Flush()
}

func (d *prediction) writeCompared(t io.Writer) {
	fmt.Fprintf(t, "\n%d clients", d.Clients)
	if d.Change != "" {
		fmt.Fprintf(t, ", before -> after: %s", d.Change)
	}
	fmt.Fprint(t, "\nSCHEDULER\tANSWER")
	if d.Change != "" {
		fmt.Fprint(t, "\tMOVED\tNEEDLESS")
	}
	const most = 8
	columns := d.columns[:min(len(d.columns), most)]
	for _, name := range columns {
		fmt.Fprintf(t, "\t%s", name)
	}
	fmt.Fprint(t, "\tREFUSED\n")
	part := func(n int) string { return fmt.Sprintf("%.1f%%", 100*float64(n)/float64(max(d.Clients, 1))) }
	both := func(before, after int) string {
		if d.Change == "" || part(before) == part(after) {
			return part(before)
		}
		return part(before) + " -> " + part(after)
	}
	for _, r := range d.Compared {
		name := r.Scheduler
		if r.Flags != "" {
			name += " (" + r.Flags + ")"
		}
		fmt.Fprintf(t, "%s\t%s", name, map[bool]string{true: "certain", false: "shares"}[r.Certain])
		if d.Change != "" && r.Certain {
			fmt.Fprintf(t, "\t%s\t%s", part(*r.Moved), part(*r.Needless))
		} else if d.Change != "" {
			fmt.Fprint(t, "\t-\t-")
		}
		for _, name := range columns {
			fmt.Fprintf(t, "\t%s", both(r.Before[name], r.After[name]))
		}
		fmt.Fprintf(t, "\t%s\n", both(r.RefusedBefore, r.RefusedAfter))
	}
	if n := len(d.columns) - most; n > 0 {
		fmt.Fprintf(t, "(%d more servers: -o json has them)\n", n)
	}
}

// list names the servers with their weights, in the order of the table.
func (d *prediction) list() string {
	var out []string
	for _, s := range d.Servers {
		if len(out) == 12 {
			out = append(out, fmt.Sprintf("and %d more", len(d.Servers)-12))
			break
		}
		out = append(out, fmt.Sprintf("%s (weight %d)", s.Name, s.Weight))
	}
	return cmp.Or(strings.Join(out, ", "), "none")
}

// shares is one server, or several with their shares, in the order of the
// table.
func (d *prediction) shares(of map[string]float64) string {
	var out []string
	for _, s := range append(slices.Clone(d.Servers), d.added...) {
		switch v := of[s.Name]; {
		case v == 1 && s.Name == s.Address.String():
			return s.Name
		case v == 1:
			return fmt.Sprintf("%s (%v)", s.Name, s.Address)
		case v > 0:
			out = append(out, fmt.Sprintf("%s %.0f%%", s.Name, 100*v))
		}
	}
	if len(out) == 0 {
		return "refused"
	}
	return strings.Join(out, ", ")
}
