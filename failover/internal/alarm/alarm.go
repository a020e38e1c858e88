// Package alarm wakes a loop at a moment. Timers of the runtime ring up to a
// millisecond late, as it sleeps in epoll_wait(2), which counts milliseconds; those
// of the kernel ring in time, but are not those of testing/synctest.
package alarm

import "time"

// Alarm wakes a loop. A ring may be left over from before the last Set.
type Alarm interface {
	// Rings returns the channel that is told.
	Rings() <-chan time.Time
	// Set lets it ring once, at the moment at, instead of what was set before.
	Set(at time.Time)
	// Stop ends it.
	Stop()
}

// Runtime returns an alarm that is a timer of the runtime.
func Runtime() Alarm {
	a := &runtimeAlarm{time.NewTimer(time.Hour)}
	a.Stop()
	return a
}

type runtimeAlarm struct{ timer *time.Timer }

// Rings is that of Alarm.
func (a *runtimeAlarm) Rings() <-chan time.Time { return a.timer.C }

// Set is that of Alarm.
func (a *runtimeAlarm) Set(at time.Time) { a.timer.Reset(time.Until(at)) }

// Stop is that of Alarm.
func (a *runtimeAlarm) Stop() { a.timer.Stop() }
