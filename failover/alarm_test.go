package failover

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/lvskit/lvskit/failover/internal/alarm"
)

// What works on real sockets wakes in time where the system can.
func TestAlarmOfATransport(t *testing.T) {
	plain := alarm.Runtime()
	defer plain.Stop()
	for _, transport := range []any{nil, RawIP{}, UDP{}} {
		a := newAlarm(transport)
		a.Stop()
		if punctual := fmt.Sprintf("%T", a) != fmt.Sprintf("%T", plain); punctual != (transport != nil && runtime.GOOS == "linux") {
			t.Errorf("%T has a %T", transport, a)
		}
	}
}
