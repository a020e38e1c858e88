//go:build simtime

package failover_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// TestMain switches off go test's limit of ten minutes, which would count
// simulated time; the limit that counts real time is the guest's.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.timeout", "0"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
