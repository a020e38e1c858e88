package failover

import "time"

// alarm wakes a loop. A ring may be left over from before the last set.
type alarm interface {
	// rings returns the channel that is told.
	rings() <-chan time.Time
	// set lets it ring once, at the moment at, instead of what was set before.
	set(at time.Time)
	// stop ends it.
	stop()
}

// punctual is a transport whose system has an alarm that rings in time. Timers
// of the runtime ring up to a millisecond late, as it sleeps in epoll_wait(2),
// which counts milliseconds. They are those of testing/synctest, though, so
// what runs on a network in memory keeps to them.
type punctual interface {
	newAlarm() (alarm, error)
}

// newAlarm returns the best alarm that goes with a transport.
func newAlarm(transport any) alarm {
	if p, ok := transport.(punctual); ok {
		if a, err := p.newAlarm(); err == nil {
			return a
		}
	}
	a := &runtimeAlarm{time.NewTimer(time.Hour)}
	a.stop()
	return a
}

// runtimeAlarm is a timer of the runtime.
type runtimeAlarm struct{ timer *time.Timer }

func (a *runtimeAlarm) rings() <-chan time.Time { return a.timer.C }
func (a *runtimeAlarm) set(at time.Time)        { a.timer.Reset(time.Until(at)) }
func (a *runtimeAlarm) stop()                   { a.timer.Stop() }
