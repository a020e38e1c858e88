package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/internal/director"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/lvscf/convert"
	"github.com/lvskit/lvskit/sched"
	"github.com/lvskit/lvskit/sched/predict"
)

// predictable is a service of a file or of the kernel.
type predictable struct {
	key  ipvs.ServiceKey
	name string
	of   predict.Service
	// persistence is how long templates last, for a note.
	persistence string
	// fromFile tells that the order of the servers is the file's.
	fromFile bool
}

func (h host) predictCommand() *cli.Command {
	return &cli.Command{
		Name:  "predict",
		Usage: "tell where clients go, and who moves when a server changes",
		Description: `Asks the schedulers where clients would go under FILE, an lvs.cf or rules of
ipvsadm, or under the kernel's running table. Nothing is sent or changed.

The hashing schedulers (sh, mh, dh) and fo answer for a client alone: their
rows are certain, and MOVED says how many clients get another server, NEEDLESS
how many of them although their own would still take them. The others answer by what
is open and whose turn it is: their rows are the shares that clients with one
connection each end up with, and no open connection of theirs moves unless its
server is removed.

  lvsctl predict --client 198.51.100.7 lvs.cf          # which server has it?
  lvsctl predict --change "drain web2" lvs.cf          # who moves, under which scheduler
  lvsctl predict --change "weight web2 3" --clients access.txt lvs.cf
  lvsctl predict --running --service tcp/192.0.2.1:80 --change "add 10.0.0.9:80 2"

--clients is a file with an address or prefix a line, a prefix, or a number of
made-up ones; 10000 by default. Servers are named as in the file, or by
address. The order of servers in the table matters to sh and mh: FILE's own is
taken, but a server that failed and came back stands first in the running one.`,
		ArgsUsage: "[FILE]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "running", Usage: "read the kernel's table in place of FILE"},
			&cli.StringFlag{Name: "service", Usage: "`SERVICE` by key or by its name in the file; not needed when there is only one"},
			&cli.StringSliceFlag{Name: "client", Usage: "tell the server of this `ADDRESS`, with a port or without; may be repeated"},
			&cli.StringFlag{Name: "clients", Value: "10000", Usage: "`FILE`, PREFIX or NUMBER of clients to count"},
			&cli.StringFlag{Name: "change", Usage: "`\"WHAT SERVER\"`: drain B, remove B, weight B 3, add ADDR:PORT [WEIGHT]"},
			&cli.StringSliceFlag{Name: "scheduler", Aliases: []string{"s"}, Usage: "`NAMES` to compare, with commas; the service's own and the usual ones by default"},
			&cli.StringFlag{Name: "flags", Usage: "`FLAGS` of the schedulers that --scheduler names: fallback, port"},
			&cli.StringFlag{Name: "rules", Usage: "`GENERATION` of kernels to follow: older or newer"},
			netnsFlag(), outputFlag(),
		},
		Action: h.runPredict,
	}
}

func (h host) runPredict(c *cli.Context) error {
	asJSON, err := wantJSON(c)
	if err != nil {
		return err
	}
	all, err := h.predictables(c)
	if err != nil {
		return err
	}
	p, err := chooseService(all, c.String("service"), c.IsSet("service"))
	if err != nil {
		return err
	}
	if c.IsSet("rules") {
		if p.of.Rules, err = textOf[sched.Rules](c.String("rules")); err != nil {
			return usagef("--rules: %v", err)
		}
	}
	doc := prediction{
		Schema: "lvskit.prediction/v1", Service: p.key, Name: p.name, Scheduler: p.of.Scheduler, Flags: p.of.Flags.String(),
		Certain: p.of.Certain(), Notes: p.notes(),
	}
	for _, s := range p.of.Servers {
		doc.Servers = append(doc.Servers, predictedServer{s.Name, s.Addr, s.Weight})
	}
	var change *predict.Change
	if text := c.String("change"); text != "" {
		got, err := predict.ParseChange(text)
		if err != nil {
			return usagef("--%v", err)
		}
		change, doc.Change = &got, got.String()
		if got.Op == predict.Add {
			doc.added = []predictedServer{{got.Server, got.Addr, got.Weight}}
		}
	}
	candidates, err := candidatesOf(c, p.of)
	if err != nil {
		return err
	}
	asked := candidates
	if !c.IsSet("scheduler") { // A single client wants to know of what is.
		asked = []predict.Candidate{{Scheduler: p.of.Scheduler, Flags: p.of.Flags}}
	}
	if err := doc.answer(p.of, change, asked, c.StringSlice("client")); err != nil {
		return err
	}
	if len(doc.Answers) == 0 || change != nil || c.IsSet("clients") {
		clients, err := clientsOf(c, p.key.Is6())
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(clients, func(a netip.AddrPort) bool { return !p.of.Takes(a) }); i >= 0 {
			return usagef("--clients: %v: the service is for clients of the other family of addresses, as its address is %v", clients[i].Addr(), p.of.Addr.Addr())
		}
		if err := doc.compare(p.of, change, candidates, clients); err != nil {
			return err
		}
	}
	if asJSON {
		return writeJSON(c.App.Writer, doc)
	}
	return doc.write(c.App.Writer)
}

// predictables reads the services of the file or of the kernel.
func (h host) predictables(c *cli.Context) ([]predictable, error) {
	switch {
	case c.Bool("running") && c.Args().Present():
		return nil, usagef("predict reads FILE or the running table: leave %q or --running out", c.Args().First())
	case c.Bool("running"):
		var all []predictable
		err := h.withKernel(c, func(ctx context.Context, k kernel) error {
			snap, err := k.Snapshot(ctx)
			all = predictablesOf(snap.Table())
			return err
		})
		return all, err
	case c.Args().Len() != 1:
		return nil, usagef("predict needs one FILE, or --running for the kernel's table (see %q)", "lvsctl predict --help")
	}
	path := c.Args().First()
	text, err := readText(c.App.Reader, path)
	if err != nil {
		return nil, err
	}
	if formatOf(text) == formatRules {
		w, err := wantedByRules(c.Context, nameOf(path), text, nil)
		return predictablesOf(w.table), err
	}
	setup, err := director.Load(c.Context, nameOf(path), text)
	if err != nil {
		return nil, err
	}
	services, _ := convert.Services(setup.Config)
	var all []predictable
	for _, s := range services {
		p := predictableOf(s.Service)
		p.name, p.fromFile = s.Virtual.Name, true
		for _, r := range s.Servers {
			p.add(r.Server.Name, r.Destination)
		}
		all = append(all, p)
	}
	return all, nil
}

func predictablesOf(t ipvs.Table) []predictable {
	var all []predictable
	for _, e := range t {
		p := predictableOf(e.Service)
		for _, d := range e.Destinations {
			p.add(d.Key.String(), d)
		}
		all = append(all, p)
	}
	return all
}

func predictableOf(s ipvs.Service) predictable {
	s = s.Normalized()
	p := predictable{key: s.Key, of: predict.Service{
		Addr: s.Key.Addr, Scheduler: s.Scheduler, Persistent: s.Persistence > 0, Prefix: max(s.PersistencePrefix, 0), UDP: s.Key.Protocol == ipvs.UDP,
	}}
	if s.Persistence > 0 {
		p.persistence = s.Persistence.String()
	}
	if s.Flags&ipvs.Sched1 != 0 {
		p.of.Flags |= sched.FlagFallback
	}
	if s.Flags&ipvs.Sched2 != 0 {
		p.of.Flags |= sched.FlagPort
	}
	return p
}

// add takes a server; one that has another's name goes by its address.
func (p *predictable) add(name string, d ipvs.Destination) {
	for _, s := range p.of.Servers {
		if s.Name == name {
			name = d.Key.String()
		}
	}
	p.of.Servers = append(p.of.Servers, predict.Server{Name: name, Addr: d.Key, Weight: d.Weight, Upper: d.UpperThreshold, Lower: d.LowerThreshold})
}

// chooseService finds the service that is meant.
func chooseService(all []predictable, word string, said bool) (predictable, error) {
	var known []string
	for _, p := range all {
		if said && (p.name == word && word != "" || p.key.String() == word) {
			return p, nil
		}
		known = append(known, strings.TrimSpace(p.key.String()+" "+p.name))
	}
	switch {
	case len(all) == 0:
		return predictable{}, fmt.Errorf("there is no active service to predict")
	case said:
		return predictable{}, usagef("--service %q: there is no such one: there are %s", word, strings.Join(known, ", "))
	case len(all) > 1:
		return predictable{}, usagef("there are %d services: choose one with --service: %s", len(all), strings.Join(known, ", "))
	}
	return all[0], nil
}

// notes say what the answers leave out.
func (p *predictable) notes() []string {
	notes := []string{}
	add := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if !p.of.Certain() {
		add("%s answers by what came before: what is said of it are shares, not single clients", p.of.Scheduler)
	}
	if p.of.Persistent {
		by := "each client"
		if p.of.Prefix > 0 {
			by = fmt.Sprintf("each group of clients with the same first %d bits", p.of.Prefix)
		}
		add("persistence: %s stays on its server for %s after its last connection, also while that server is drained; what is said here is for those that are not there yet, and the first of a group decides for it", by, p.persistence)
	}
	if p.of.Flags&sched.FlagPort != 0 {
		add("the client's port is hashed too: clients without a port are tried with 16 of them")
	}
	if p.fromFile && (p.of.Scheduler == "sh" || p.of.Scheduler == "mh") {
		add("the order of the servers is the file's; after a server has failed and returned, ask --running")
	}
	return notes
}

// portsTried is how many ports stand for a client that has none, where ports
// are hashed.
const portsTried = 16

func candidatesOf(c *cli.Context, of predict.Service) ([]predict.Candidate, error) {
	if !c.IsSet("scheduler") {
		if c.IsSet("flags") {
			return nil, usagef("--flags are those of the schedulers that --scheduler names: name them")
		}
		return predict.Candidates(of), nil
	}
	flags, err := textOf[sched.Flags](c.String("flags"))
	if err != nil {
		return nil, usagef("--flags: %v", err)
	}
	var out []predict.Candidate
	for _, name := range list(c.StringSlice("scheduler")) {
		if _, err := sched.New(name, nil); err != nil {
			return nil, usagef("--scheduler: %v", err)
		}
		out = append(out, predict.Candidate{Scheduler: name, Flags: flags})
	}
	return out, nil
}

// clientsOf reads the clients: a number, a prefix or a file.
func clientsOf(c *cli.Context, is6 bool) ([]netip.AddrPort, error) {
	word := c.String("clients")
	if n, err := strconv.Atoi(word); err == nil {
		if n < 1 || n > predict.MaxClients {
			return nil, usagef("--clients %d: want 1 to %d", n, predict.MaxClients)
		}
		return predict.Generate(n, is6), nil
	}
	if p, err := netip.ParsePrefix(word); err == nil {
		clients, err := predict.Prefix(p)
		if err != nil {
			return nil, usagef("--clients: %v", err)
		}
		return clients, nil
	}
	if word == "-" {
		return predict.ReadClients("<stdin>", c.App.Reader)
	}
	f, err := os.Open(word)
	if err != nil {
		return nil, fmt.Errorf("--clients %s: %w: name a file, a prefix or a number", word, reasonOf(err))
	}
	defer f.Close()
	return predict.ReadClients(word, f)
}
