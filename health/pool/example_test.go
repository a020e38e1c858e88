package pool_test

import (
	"fmt"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/pool"
)

// Two servers and a sorry server, and one after the other fails.
func Example() {
	policy := pool.Policy{Quorum: 1}
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	members := []pool.Member{
		{ID: "web1", Weight: 2, State: health.Up},
		{ID: "web2", Weight: 1, State: health.Up, Load: 0.5},
		{ID: "sorry", Weight: 1, State: health.Up, Sorry: 1},
	}
	var group pool.Group
	for _, fails := range []int{-1, 0, 1} {
		if fails >= 0 {
			members[fails].State, members[fails].Reason = health.Down, "connect: connection refused"
		}
		group = policy.Next(group, members, now)
		fmt.Println(group.Why())
		for _, d := range group.Members {
			fmt.Printf("  %-5s in %-5t weight %d  %s\n", d.ID, d.In, d.Weight, d.Why())
		}
	}
	// Output:
	// quorum gained: live weight 3, lost below 1
	//   web1  in true  weight 2  up: configured weight 2
	//   web2  in true  weight 1  up: configured weight 1, x 0.50 for its load
	//   sorry in false weight 0  sorry server, not needed
	// quorum gained: live weight 1, lost below 1
	//   web1  in false weight 0  down: connect: connection refused
	//   web2  in true  weight 1  up: configured weight 1, x 0.50 for its load
	//   sorry in false weight 0  sorry server, not needed
	// quorum lost: live weight 0, gained at 1
	//   web1  in false weight 0  down: connect: connection refused
	//   web2  in false weight 0  down: connect: connection refused
	//   sorry in true  weight 1  sorry server, serves: configured weight 1
}

// Most targets fail at once: before that is believed, a control target is
// asked, which the caller does.
func ExampleWave() {
	alarm := pool.Alarm{Share: 0.5}
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	var wave pool.Wave
	for i := range 4 {
		believed := wave.Fell(alarm, fmt.Sprint("web", i), health.Up, 3-i, now)
		fmt.Println("web", i, "down:", believed)
	}
	wave.Answer(alarm, false, "no answer from the gateway", now)
	fmt.Println(wave.Why())
	// Output:
	// web 0 down: true
	// web 1 down: true
	// web 2 down: false
	// web 3 down: false
	// 3 of 4 targets failed at once, and the control target does not answer either: this router is cut off, and 4 targets keep their states: no answer from the gateway
}
