package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/internal/director"
)

// mostAtOnce is how many servers of a file are asked at the same time.
const mostAtOnce = 256

// serverAnswer is what came of the check of one server of a file.
type serverAnswer struct {
	Service string `json:"service"`
	Server  string `json:"server"`
	answer
}

// probeConfig asks what the daemon would ask.
func (h host) probeConfig(c *cli.Context, asJSON bool) error {
	for _, name := range []string{"watch", "count", "options"} {
		if c.IsSet(name) {
			return usagef("--%s and --config do not go together: lvsctl run asks again and again", name)
		}
	}
	if c.NArg() > 2 {
		return usagef("probe --config takes a service and a server of it at most, got %q too", c.Args().Get(2))
	}
	setup, err := director.LoadFile(c.Context, c.String("config"))
	if err != nil {
		return err
	}
	watches, err := chosen(setup, c.Args().Get(0), c.Args().Get(1))
	if err != nil {
		return err
	}
	answers := askAll(c.Context, watches)
	if asJSON {
		err = writeJSON(c.App.Writer, struct {
			Schema  string         `json:"schema"`
			File    string         `json:"file"`
			Servers []serverAnswer `json:"servers"`
		}{"lvskit.probe-config/v1", setup.Source, answers})
	} else {
		err = writeAnswers(c.App.Writer, answers)
	}
	return cmp.Or(err, exitBy(worst(answers)))
}

// worst is the verdict that decides the exit code: a failure is more than not
// knowing.
func worst(answers []serverAnswer) health.Verdict {
	sum := health.OK
	for _, a := range answers {
		switch a.Result.Verdict {
		case health.Fail:
			return health.Fail
		case health.NoResult:
			sum = health.NoResult
		}
	}
	return sum
}

type namedWatch struct {
	service, server string
	watch           health.Watch
}

// chosen are the servers of a setup by the names of the file, each as the
// daemon watches it.
func chosen(setup *director.Setup, service, server string) ([]namedWatch, error) {
	watches := make(map[string]health.Watch)
	for _, w := range setup.Watches() {
		watches[w.ID] = w
	}
	var out []namedWatch
	var services, servers []string
	for _, v := range setup.Services {
		services = append(services, v.Name)
		if service != "" && v.Name != service {
			continue
		}
		for _, r := range slices.Concat(v.Servers, v.Sorry) {
			w, ok := watches[director.WatchID(v.Name, r.Name)]
			if !ok {
				continue // a sorry server that is not checked
			}
			servers = append(servers, r.Name)
			if server == "" || r.Name == server {
				out = append(out, namedWatch{v.Name, r.Name, w})
			}
		}
	}
	switch {
	case len(services) == 0:
		return nil, fmt.Errorf("%s: no service is active: nobody is asked", setup.Source)
	case service != "" && !slices.Contains(services, service):
		return nil, usagef("%s has no active service %q: %s", setup.Source, service, oneOf(services))
	case server != "" && len(out) == 0:
		return nil, usagef("%s: service %q has no server %q to ask: %s", setup.Source, service, server, oneOf(servers))
	case len(out) == 0:
		return nil, fmt.Errorf("%s: no server is active: nobody is asked", setup.Source)
	}
	return out, nil
}

// oneOf lists names, up to a bound.
func oneOf(names []string) string {
	const most = 20
	if len(names) == 0 {
		return "it has none"
	}
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
	}
	return "write one of " + strings.Join(names[:min(len(names), most)], ", ") + more
}

func askAll(ctx context.Context, watches []namedWatch) []serverAnswer {
	answers := make([]serverAnswer, len(watches))
	room := make(chan struct{}, mostAtOnce)
	var work sync.WaitGroup
	for i, n := range watches {
		room <- struct{}{}
		work.Go(func() {
			defer func() { <-room }()
			limit := n.watch.Policy.Timeout
			if limit == 0 {
				limit = cmp.Or(n.watch.Policy.Interval, health.DefaultInterval)
			}
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			w := n.watch
			answers[i] = serverAnswer{n.service, n.server, newAnswer("", w.Checker, w.Target, w.Checker.Check(ctx, w.Target))}
		})
	}
	work.Wait()
	return answers
}

// writeAnswers is a table, or all there is to say of a single server.
func writeAnswers(w io.Writer, answers []serverAnswer) error {
	if len(answers) == 1 {
		return answers[0].write(w)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SERVICE\tSERVER\tADDRESS\tVERDICT\tTOOK\tREASON")
	for _, a := range answers {
		at := a.Target
		at.Name = ""
		fmt.Fprintf(tw, "%s\t%s\t%s\t%v\t%s\t%s\n", a.Service, a.Server, targetText(at), a.Result.Verdict, millis(a.Result.Duration), a.Result.Reason)
	}
	return tw.Flush()
}
