package sched_test

import (
	"fmt"
	"log"
	"math/rand/v2"
	"net/netip"
	"time"

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

// Ask which clients move when a server is drained: with Maglev hashing only
// its own.
func ExampleScheduler_Edit() {
	s, err := sched.New("mh", &sched.Options{Flags: sched.FlagFallback})
	if err != nil {
		log.Fatal(err)
	}
	var last *sched.Server
	for i := range 4 {
		addr := netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:80", i+1))
		if last, err = s.Add(addr, sched.ServerConfig{Weight: 1}, nil); err != nil {
			log.Fatal(err)
		}
	}
	picks := func() []*sched.Server {
		var picks []*sched.Server
		for i := range 1000 {
			client := netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})
			picks = append(picks, s.Pick(sched.Flow{Client: netip.AddrPortFrom(client, 0)}))
		}
		return picks
	}
	before := picks()
	if err := s.Edit(last, sched.ServerConfig{Weight: 0}); err != nil {
		log.Fatal(err)
	}
	own, others := 0, 0
	for i, server := range picks() {
		switch {
		case server == before[i]:
		case before[i] == last:
			own++
		default:
			others++
		}
	}
	fmt.Println(own, "clients of", last.Addr(), "move, and", others, "others")
	// Output:
	// 242 clients of 10.0.0.4:80 move, and 0 others
}

// A proxy cache sits behind lblc: all that asks for one address goes to one
// server.
func ExampleFlow() {
	s, err := sched.New("lblc", nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, addr := range []string{"10.0.0.1:3128", "10.0.0.2:3128"} {
		if _, err := s.Add(netip.MustParseAddrPort(addr), sched.ServerConfig{Weight: 10}, nil); err != nil {
			log.Fatal(err)
		}
	}
	start := time.Now()
	for _, to := range []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.1:80"} {
		server := s.Pick(sched.Flow{Service: netip.MustParseAddrPort(to), Now: time.Since(start)})
		server.Opened()
		fmt.Println(to, "->", server.Addr())
	}
	// Output:
	// 192.0.2.1:80 -> 10.0.0.2:3128
	// 192.0.2.2:80 -> 10.0.0.1:3128
	// 192.0.2.1:80 -> 10.0.0.2:3128
}

// A scheduler that draws by chance can be made to draw the same again.
func ExampleOptions() {
	rnd := rand.New(rand.NewPCG(1, 2))
	s, err := sched.New("twos", &sched.Options{Rules: sched.NewerRules, Random: rnd.Uint64})
	if err != nil {
		log.Fatal(err)
	}
	for _, addr := range []string{"10.0.0.1:80", "10.0.0.2:80"} {
		if _, err := s.Add(netip.MustParseAddrPort(addr), sched.ServerConfig{Weight: 1}, nil); err != nil {
			log.Fatal(err)
		}
	}
	for range 3 {
		fmt.Println(s.Pick(sched.Flow{}).Addr())
	}
	// Output:
	// 10.0.0.1:80
	// 10.0.0.1:80
	// 10.0.0.2:80
}
