//go:build simtime

package failover_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/lvskit/lvskit/failover"
)

// TestMain switches off go test's limit of ten minutes, which would count
// simulated time; the limit that counts real time is the guest's. The process
// may also be a router.
func TestMain(m *testing.M) {
	failover.BeatMain()
	daemonMain()
	if spec := os.Getenv(simRouterVariable); spec != "" {
		if err := runSimRouter(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	if err := flag.Set("test.timeout", "0"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
