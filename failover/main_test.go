//go:build !simtime

package failover_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/lvskit/lvskit/failover"
)

func TestMain(m *testing.M) {
	failover.BeatMain()
	daemonMain()
	goleak.VerifyTestMain(m)
}
