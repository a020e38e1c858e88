// Health-page watches a list of servers and shows their states on a page of
// its own: package health inside a program that balances nothing.
//
//	health-page -listen 127.0.0.1:8090 -list targets.txt
//
// A line of the list is a name, a kind of check, an address with a port, and
// options of the kind: "shop http 192.0.2.7:80 path=/health status=200-399".
// POST /reload reads the list again and keeps what is known; /states.json is
// the page for programs.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/lvskit/lvskit/health"
)

//go:embed page.html
var pageText string

// The template escapes what it is given: what servers say stands on the page,
// and must not become a part of it.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"ago": func(t time.Time) time.Duration { return time.Since(t).Round(time.Second) },
}).Parse(pageText))

func main() {
	listen := flag.String("listen", "127.0.0.1:8090", "address and port of the page")
	list := flag.String("list", "targets.txt", "file with the servers to watch")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *listen, *list); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, listen, list string) error {
	monitor := health.NewMonitor(&health.Config{OnEvent: func(e health.Event) { log.Printf("%s is %v: %s", e.ID, e.New, e.Reason) }})
	reload := func() error {
		watches, err := read(list)
		if err != nil {
			return err
		}
		return monitor.Set(watches) // on error nothing has changed
	}
	if err := reload(); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'")
		if err := page.Execute(w, states(monitor)); err != nil {
			log.Print(err)
		}
	})
	mux.HandleFunc("GET /states.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(states(monitor)); err != nil {
			log.Print(err)
		}
	})
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) {
		if err := reload(); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	ran := make(chan error, 1)
	go func() { ran <- monitor.Run(ctx) }()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ran
}

// states are all watches with their histories, the newest answer first.
func states(m *health.Monitor) []health.WatchState {
	all := m.States()
	for i := range all {
		if s, ok := m.State(all[i].ID); ok {
			slices.Reverse(s.History)
			all[i] = s
		}
	}
	return all
}

// read makes watches of the lines of a file.
func read(path string) ([]health.Watch, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var watches []health.Watch
	for i, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		w, err := parse(words)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
		watches = append(watches, w)
	}
	return watches, nil
}

func parse(words []string) (w health.Watch, err error) {
	if len(words) < 3 {
		return w, errors.New("want a name, a kind of check, and an address with a port")
	}
	kinds := health.Kinds()
	at := slices.IndexFunc(kinds, func(k health.Kind) bool { return k.Name == words[1] })
	if at < 0 {
		return w, fmt.Errorf("there is no kind of check %q", words[1])
	}
	options := make(map[string]string)
	for _, word := range words[3:] {
		name, value, _ := strings.Cut(word, "=")
		if other, again := options[name]; again {
			value = other + "\n" + value // as options with several values have them
		}
		options[name] = value
	}
	w.ID = words[0]
	w.Policy = health.Policy{Interval: 2 * time.Second, FastInterval: 500 * time.Millisecond, Fall: 2}
	if w.Checker, err = kinds[at].New(options); err != nil {
		return w, err
	}
	w.Target.Addr, err = netip.ParseAddrPort(words[2])
	return w, err
}
