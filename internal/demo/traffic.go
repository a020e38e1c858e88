package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// phase is one stretch of the tour.
type phase struct {
	Name string `json:"name"`
	// Disrupted phases may see failures: they lie between an accident and
	// the directors' answer to it.
	Disrupted bool           `json:"disrupted"`
	Requests  int            `json:"requests"`
	Failures  int            `json:"failures"`
	Served    map[string]int `json:"served"`
	Seconds   float64        `json:"seconds"`
	// FirstError is an example, for the curious.
	FirstError string `json:"first_error,omitempty"`
	started    time.Time
}

// ledger counts what happened to the clients, phase by phase.
type ledger struct {
	mu     sync.Mutex
	phases []*phase
}

func (l *ledger) begin(name string, disrupted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close()
	l.phases = append(l.phases, &phase{
		Name: name, Disrupted: disrupted, Served: make(map[string]int), started: time.Now(),
	})
}

func (l *ledger) close() {
	if n := len(l.phases); n > 0 {
		p := l.phases[n-1]
		p.Seconds = time.Since(p.started).Seconds()
	}
}

func (l *ledger) now() *phase {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.phases[len(l.phases)-1]
}

// record books a request under the phase it began in. A failure belongs to
// the accident that it touched at either end: a request that is under way
// when a server dies fails because of that death.
func (l *ledger) record(began *phase, server string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := began
	if last := l.phases[len(l.phases)-1]; err != nil && !p.Disrupted && last.Disrupted {
		p = last
	}
	p.Requests++
	if err != nil {
		p.Failures++
		if p.FirstError == "" {
			p.FirstError = err.Error()
		}
		return
	}
	p.Served[server]++
}

// served returns a copy of what the phase under way has counted.
func (l *ledger) served() (name string, counts map[string]int, requests, failures int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.phases[len(l.phases)-1]
	counts = make(map[string]int, len(p.Served))
	for k, v := range p.Served {
		counts[k] = v
	}
	return p.Name, counts, p.Requests, p.Failures
}

const (
	webClients  = 4
	echoClients = 2
	pause       = 4 * time.Millisecond
	patience    = 2 * time.Second
)

// drive sends requests to both services until ctx ends.
func drive(ctx context.Context, l *ledger, web, echo string) {
	var wg sync.WaitGroup
	client := &http.Client{
		Timeout: patience,
		// A connection for each request, so that the scheduler is asked
		// each time.
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	loop := func(ask func() (string, error)) {
		wg.Go(func() {
			for ctx.Err() == nil {
				p := l.now()
				who, err := ask()
				if ctx.Err() != nil {
					return
				}
				l.record(p, who, err)
				time.Sleep(pause)
			}
		})
	}
	for range webClients {
		loop(func() (string, error) { return askWeb(client, web) })
	}
	for range echoClients {
		loop(func() (string, error) { return askEcho(echo) })
	}
	wg.Wait()
}

func askWeb(c *http.Client, addr string) (string, error) {
	resp, err := c.Get("http://" + addr + "/")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), "web") {
		return "", fmt.Errorf("unexpected answer %s %q", resp.Status, body)
	}
	return string(body), nil
}

// askEcho asks once and, as clients of UDP do, once more after a silence.
func askEcho(addr string) (string, error) {
	c, err := net.Dial("udp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	buf := make([]byte, 64)
	for try := 0; ; try++ {
		c.SetDeadline(time.Now().Add(patience / 2))
		if _, err = c.Write([]byte("who")); err == nil {
			var n int
			if n, err = c.Read(buf); err == nil {
				return string(buf[:n]), nil
			}
		}
		if try == 1 {
			return "", err
		}
	}
}
