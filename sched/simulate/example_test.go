package simulate_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/lvskit/lvskit/sched/simulate"
)

// Two fast servers and a slow one of the same weight: round robin overwhelms
// the slow one, least connections do not.
func ExampleSimulate() {
	server := func(name string, workers int) simulate.Server {
		return simulate.Server{Name: name, Weight: 1, Workers: workers, Service: simulate.Distribution{Mean: 20 * time.Millisecond}}
	}
	result, err := simulate.Simulate(context.Background(), simulate.Scenario{
		Schedulers: []string{"rr", "wlc"},
		Arrivals:   simulate.Arrivals{Rate: 500},
		Servers:    []simulate.Server{server("fast", 8), server("too", 8), server("slow", 3)},
		Duration:   time.Minute,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, run := range result.Runs {
		fmt.Printf("%s: slow has up to %d connections\n", run.Scheduler, run.Servers[2].PeakOpen)
	}
	// Output:
	// rr: slow has up to 1027 connections
	// wlc: slow has up to 14 connections
}
