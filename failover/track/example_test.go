package track_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/lvskit/lvskit/failover/track"
)

// A tracker alone, that is told what it tracks.
func ExampleTracker() {
	tracker, err := track.New(&track.Config{
		Priority: 150, Tracks: []track.Track{{Name: "pool", Weight: -20}, {Name: "disk"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for name, result := range map[string]error{"pool": errors.New("2 of 8 servers"), "disk": nil} {
		if err := tracker.Tell(name, result); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(tracker.Status().Reason)
	_ = tracker.Tell("disk", errors.New("full"))
	fmt.Println(tracker.Status().Fault)
	// Output:
	// track pool: 2 of 8 servers, priority 150 - 20 = 130
	// track disk: full
}
