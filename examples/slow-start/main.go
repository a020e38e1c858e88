// Slow-start replays a classic of least-connection scheduling: three servers,
// thousands of open connections, and the large one returns after a failure.
// It prints what happens under wlc alone, with Piranha's slow start and load
// formula, and with the gradual feedback of this project, and draws it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/lvskit/lvskit/sched/simulate"
)

func main() {
	picture := flag.String("svg", "", "draw the result into this `FILE`")
	flag.Parse()

	server := func(name string, weight, workers int) simulate.Server {
		return simulate.Server{
			Name: name, Weight: weight, Workers: workers, Queue: 10_000, Service: simulate.Distribution{Mean: 20 * time.Millisecond},
			// Cold caches make it half as fast at first.
			ColdFactor: 2, ColdFor: 20 * time.Second,
		}
	}
	result, err := simulate.Simulate(context.Background(), simulate.Scenario{
		Title:      "Server C returns under wlc: flooded, still flooded with Piranha's slow start, and let in gradually",
		Schedulers: []string{"wlc"},
		Feedback:   []simulate.Feedback{simulate.NoFeedback, simulate.PiranhaLoad, simulate.Gradual},
		Seed:       1,
		Settle:     time.Minute,
		Duration:   2 * time.Minute,
		Arrivals:   simulate.Arrivals{Rate: 700},
		Hold:       simulate.Distribution{Mean: 10 * time.Second}, // connections are kept open
		Servers:    []simulate.Server{server("A", 1, 8), server("B", 1, 8), server("C", 2, 16)},
		Events: []simulate.Event{
			{At: 10 * time.Second, Kind: simulate.Fail, Server: "C"},
			{At: 40 * time.Second, Kind: simulate.Return, Server: "C"},
		},
		DownAfter: 500 * time.Millisecond,
	})
	if err != nil {
		log.Fatal(err)
	}
	for i := range result.Runs {
		run := &result.Runs[i]
		window, c := run.Series.Window, run.Series.Servers[2]
		from := int(40 * time.Second / window)
		got, all, worst := 0, 0, time.Duration(0)
		for k := from; k < from+int(5*time.Second/window); k++ {
			got += c.New[k]
			for _, s := range run.Series.Servers {
				all += s.New[k]
			}
		}
		for _, p99 := range run.Series.P99[from:] {
			worst = max(worst, p99)
		}
		fmt.Printf("%-18s C gets %3.0f %% of the connections in its first 5 s; then one in a hundred waits %v\n",
			run.Label()+":", 100*float64(got)/float64(all), worst.Round(10*time.Millisecond))
	}
	if *picture != "" {
		f, err := os.Create(*picture)
		if err != nil {
			log.Fatal(err)
		}
		if err := result.WriteSVG(f); err != nil {
			log.Fatal(err)
		}
		if err := f.Close(); err != nil {
			log.Fatal(err)
		}
	}
}
