package alarm

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// kernelAlarm is a timer of the kernel's (timerfd_create(2)), which the runtime
// waits for as for a socket: it rings within the time of a wake-up.
type kernelAlarm struct {
	file *os.File
	raw  syscall.RawConn
	c    chan time.Time
	done chan struct{}

	// One moment by both clocks, and what set works on.
	start  time.Time
	zero   time.Duration
	spec   unix.ItimerSpec
	arming func(fd uintptr)
}

// Kernel returns an alarm of the kernel's, which rings in time. Elsewhere than
// on Linux there is none, and the error is errors.ErrUnsupported.
func Kernel() (Alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("failover: make a timer: %w", err)
	}
	a := &kernelAlarm{file: os.NewFile(uintptr(fd), "timer"), c: make(chan time.Time, 1), done: make(chan struct{})}
	if a.raw, err = a.file.SyscallConn(); err == nil {
		// A runtime that could not wait for it would read for ever.
		err = a.file.SetReadDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("failover: make a timer: %w", err), a.file.Close())
	}
	a.arming = func(fd uintptr) {
		_ = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME, &a.spec, nil) // fails for times that are none
	}
	if a.start, a.zero, err = clocksNow(); err != nil {
		return nil, errors.Join(err, a.file.Close())
	}
	go a.run()
	return a, nil
}

func (a *kernelAlarm) run() {
	defer close(a.done)
	expirations := make([]byte, 8)
	for {
		if _, err := a.file.Read(expirations); err != nil {
			return // closed
		}
		select {
		case a.c <- time.Now():
		default: // nobody has looked since the last ring
		}
	}
}

// Rings is that of Alarm.
func (a *kernelAlarm) Rings() <-chan time.Time { return a.c }

// Set is that of Alarm.
func (a *kernelAlarm) Set(at time.Time) {
	// A moment, and no time from now on: what stops this process between here
	// and the kernel makes it no later. 0 would disarm it.
	a.spec.Value = unix.NsecToTimespec(int64(max(a.zero+at.Sub(a.start), 1)))
	_ = a.raw.Control(a.arming) // fails when it is stopped
}

// clocksNow returns one moment by the runtime's clock and by the kernel's, the
// closest of some pairs.
func clocksNow() (now time.Time, kernel time.Duration, err error) {
	least := time.Duration(1<<63 - 1)
	for range 5 {
		var ts unix.Timespec
		before := time.Now()
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			return now, 0, fmt.Errorf("failover: read the clock: %w", err)
		}
		if gap := time.Since(before); gap < least {
			least, now, kernel = gap, before.Add(gap/2), time.Duration(ts.Nano())
		}
	}
	return now, kernel, nil
}

// Stop is that of Alarm.
func (a *kernelAlarm) Stop() {
	_ = a.file.Close()
	<-a.done
}
