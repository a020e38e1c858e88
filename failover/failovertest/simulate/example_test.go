package simulate_test

import (
	"fmt"

	"github.com/lvskit/lvskit/failover/failovertest/simulate"
)

func ExamplePlayer() {
	var p simulate.Player
	for seed := range uint64(100) {
		if f := p.Play(simulate.VRRP, seed); f != nil {
			fmt.Println(f)
			return
		}
	}
	fmt.Println("all rules were kept")
	// Output: all rules were kept
}
