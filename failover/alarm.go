package failover

import "github.com/lvskit/lvskit/failover/internal/alarm"

// punctual is a transport of real sockets, whose loop had better wake in time.
// On a network in memory time may be that of testing/synctest, which only the
// alarms of the runtime keep to.
type punctual interface {
	newAlarm() (alarm.Alarm, error)
}

func (RawIP) newAlarm() (alarm.Alarm, error) { return alarm.Kernel() }

func (UDP) newAlarm() (alarm.Alarm, error) { return alarm.Kernel() }

// newAlarm returns the best alarm that goes with a transport.
func newAlarm(transport any) alarm.Alarm {
	if p, ok := transport.(punctual); ok {
		if a, err := p.newAlarm(); err == nil {
			return a
		}
	}
	return alarm.Runtime()
}
