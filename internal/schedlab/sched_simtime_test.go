//go:build linux && simtime

package schedlab

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/sched"
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

// simSeedVariable is that of the other games, which are the same in each run
// of CI: a step can fall on the very tick of a look of the kernel (seed
// 6808726002851233945, at 1843.2 s), and is then before it for the one and
// after it for the other.
const simSeedVariable = "LVSKIT_TEST_SEED"

// TestSimLocality lets hours pass in the lives of lblc and lblcr, so that
// what they remember expires, and wants the picks of package sched.
//
//	CGO_ENABLED=0 go test -v -exec "$PWD/bin/rig -kernel own -simulated-time -mem 1G" -tags simtime -run Sim ./internal/schedlab
func TestSimLocality(t *testing.T) {
	const cases = 8
	g := &Generator{Seed: number(t, simSeedVariable, rand.Uint64()), Schedulers: []string{"lblc", "lblcr"}, Steps: 90, Ends: 1, Waits: true}
	t.Logf("%s=%d", simSeedVariable, g.Seed)
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
					t.Errorf("case %s, %v after its begin: %v\n%v", r.c.Name, r.clock(), r.err, r.record())
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

// TestSimFullCache fills the cache of lblc, which is that of lblcr too, beyond
// what it holds, and wants package sched to forget the same addresses. While
// there is one server all go to it; those that are forgotten, or never found
// room, go to the second one later.
func TestSimFullCache(t *testing.T) {
	// More than 16,384, from which on idle ones go, and more than 24,576,
	// the most there may be.
	const addresses = 25_000
	c := Case{Name: "full", Scheduler: "lblc", Protocol: OnePacket, Mark: 1}
	pick := func(n int) {
		c.Steps = append(c.Steps, Step{
			Op: Pick, Flow: len(c.Steps) + 1, Client: netip.MustParseAddrPort("192.0.2.1:1000"),
			Service: netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 16 + byte(n>>16), byte(n >> 8), byte(n)}), 80),
		})
	}
	add := func(n int) {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 80)
		c.Steps = append(c.Steps, Step{Op: Add, Server: n, Addr: addr, Config: sched.ServerConfig{Weight: 1}})
	}
	add(1)
	for n := range addresses {
		pick(n)
	}
	add(2)
	// Idle are those of six minutes; two looks later some are gone.
	c.Steps = append(c.Steps, Step{Op: Wait, Wait: 7*time.Minute + 30*time.Second})
	for n := 0; n < addresses; n += 7 {
		pick(n)
	}
	second := 0
	err := inGround(t, 0, func(ground *ground) error {
		awaitWheel()
		r := ground.start(c)
		began := time.Now()
		r.clock = func() time.Duration { return time.Since(began) }
		r.proceed()
		for _, s := range r.played {
			if s.Got == 2 {
				second++
			}
		}
		return r.err
	})
	if err != nil {
		t.Error(err)
	}
	if second == 0 {
		t.Error("none was forgotten")
	}
	t.Logf("of every seventh of %d addresses %d were forgotten", addresses, second)
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
