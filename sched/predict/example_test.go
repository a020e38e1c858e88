package predict_test

import (
	"fmt"
	"log"
	"net/netip"

	"github.com/lvskit/lvskit/sched"
	"github.com/lvskit/lvskit/sched/predict"
)

// Which scheduler disturbs the fewest clients when a server is removed?
func ExampleCompare() {
	service := predict.Service{Addr: netip.MustParseAddrPort("192.0.2.1:443"), Scheduler: "sh"}
	for _, name := range []string{"10.0.0.1:443", "10.0.0.2:443", "10.0.0.3:443", "10.0.0.4:443"} {
		service.Servers = append(service.Servers, predict.Server{Name: name, Addr: netip.MustParseAddrPort(name), Weight: 1})
	}
	change, err := predict.ParseChange("remove 10.0.0.2:443")
	if err != nil {
		log.Fatal(err)
	}
	candidates := []predict.Candidate{{Scheduler: "sh"}, {Scheduler: "mh", Flags: sched.FlagFallback}, {Scheduler: "wlc"}}
	report, err := predict.Compare(service, &change, candidates, predict.Generate(10_000, false))
	if err != nil {
		log.Fatal(err)
	}
	for _, row := range report.Rows {
		if !row.Certain {
			fmt.Printf("%v: shares of %v\n", row.Candidate, row.After)
			continue
		}
		fmt.Printf("%v: %d of %d move, %d of them needlessly\n", row.Candidate, row.Moved, report.Clients, row.Needless)
	}
	// Output:
	// sh: 7497 of 10000 move, 4998 of them needlessly
	// mh (fallback): 2635 of 10000 move, 45 of them needlessly
	// wlc: shares of [3334 0 3333 3333]
}
