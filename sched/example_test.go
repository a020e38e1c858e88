package sched_test

import (
	"fmt"
	"log"
	"net/netip"

	"github.com/lvskit/lvskit/sched"
)

// Predict where the next clients of a weighted round robin go.
func Example() {
	s, err := sched.New("wrr", nil)
	if err != nil {
		log.Fatal(err)
	}
	for i, weight := range []int{1, 3} {
		addr := netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:80", i+1))
		if _, err := s.Add(addr, sched.ServerConfig{Weight: weight}, nil); err != nil {
			log.Fatal(err)
		}
	}
	for range 5 {
		fmt.Println(s.Pick(sched.Flow{}).Addr())
	}
	// Output:
	// 10.0.0.2:80
	// 10.0.0.1:80
	// 10.0.0.2:80
	// 10.0.0.2:80
	// 10.0.0.2:80
}

// Tell the server what becomes of its connections, for the schedulers that
// count them.
func ExampleServer_Opened() {
	s, err := sched.New("wlc", nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, addr := range []string{"10.0.0.1:80", "10.0.0.2:80"} {
		if _, err := s.Add(netip.MustParseAddrPort(addr), sched.ServerConfig{Weight: 1}, nil); err != nil {
			log.Fatal(err)
		}
	}
	first := s.Pick(sched.Flow{})
	first.Opened()
	first.Activated()
	fmt.Println(first.Addr(), "has", first.Active(), "connection")
	fmt.Println("next is", s.Pick(sched.Flow{}).Addr())
	first.Closed(true)
	fmt.Println("and then", s.Pick(sched.Flow{}).Addr())
	// Output:
	// 10.0.0.2:80 has 1 connection
	// next is 10.0.0.1:80
	// and then 10.0.0.2:80
}
