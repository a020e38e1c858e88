//go:build linux && simtime

package schedlab

import (
	"flag"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain switches off go test's limit of ten minutes, which would count
// simulated time; the limit that counts real time is the guest's.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.timeout", "0"); err != nil {
		panic(err)
	}
	m.Run()
}

// TestSimLocality lets hours pass in the lives of lblc and lblcr, so that
// what they remember expires, and wants the picks of package sched.
//
//	CGO_ENABLED=0 go test -v -exec "$PWD/bin/rig -kernel own -simulated-time -mem 1G" -tags simtime -run Sim ./internal/schedlab
func TestSimLocality(t *testing.T) {
	const cases = 8
	g := &Generator{Seed: testSeed(t), Schedulers: []string{"lblc", "lblcr"}, Steps: 90, Ends: 1, Waits: true}
	t.Logf("%s=%d", seedVariable, g.Seed)
	agreed := tally{}
	// No multiples of the time between two looks of the kernel: where work
	// takes no time, ends would tie.
	for i, expiration := range []time.Duration{617 * time.Second, 1867 * time.Second} {
		g.Expiration = expiration
		passed := time.Duration(0)
		err := inGround(t, expiration, func(ground *ground) error {
			for n := range cases {
				awaitWheel()
				r := ground.start(g.Case(cases*i + n))
				began := time.Now()
				r.awaitWheel = awaitWheel
				r.clock = func() time.Duration { return time.Since(began) }
				for again := true; again; again = r.settling && r.err == nil {
					r.proceed()
				}
				if r.err == nil {
					r.fail(r.kernel.settle(r.model))
				}
				passed += time.Since(began)
				agreed.add(r)
				if r.err != nil {
					t.Errorf("case %s: %v\n%v", r.c.Name, r.err, r.record())
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("expiration %v: %v passed", expiration, passed.Round(time.Second))
	}
	t.Logf("%d picks agreed\n%v", agreed.total(), agreed)
}

// awaitWheel sleeps until the kernel's timer wheel is at the beginning of a
// bucket of 512 ticks. The first timer of 60 seconds then ends 61.44 seconds
// later, as all others do, instead of somewhere from 60 to 65.12.
func awaitWheel() {
	const bucket = 512 * 10 * time.Millisecond
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	// Ticks are counted from 300 seconds before the boot.
	since := (time.Duration(now.Nano()) - 300*time.Second) % bucket
	time.Sleep((2*bucket-since)%bucket + 10*time.Millisecond)
}
