package dsr_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/dsr"
	"github.com/lvskit/lvskit/ipvs"
)

// One web server behind direct routing, asked where clients ask.
func Example() {
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	table, err := ipvs.Dial(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer table.Close()
	m, err := dsr.New(table, nil)
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error)
	running, end := context.WithCancel(ctx)
	go func() { ended <- m.Run(running) }()

	check, err := m.Checker(dsr.Path{
		Virtual:     netip.MustParseAddrPort("192.0.2.1:80"),
		Destination: ipvs.Destination{Key: netip.MustParseAddrPort("192.0.2.21:80"), Forward: ipvs.DirectRoute},
	}, func(d health.Dial) (health.Checker, error) {
		return health.NewHTTP(&health.HTTPConfig{Path: "/health", Dial: d})
	})
	if err != nil {
		log.Fatal(err)
	}
	r := check.Check(ctx, health.Target{Name: "web1"})
	fmt.Println(r.Verdict, r.Reason)

	end() // and the private service goes
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
}
