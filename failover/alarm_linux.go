package failover

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
}

// newAlarm returns an alarm of the kernel's.
func (RawIP) newAlarm() (alarm, error) {
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

func (a *kernelAlarm) rings() <-chan time.Time { return a.c }

func (a *kernelAlarm) set(d time.Duration) {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))} // 0 would disarm it
	_ = a.raw.Control(func(fd uintptr) {
		_ = unix.TimerfdSettime(int(fd), 0, &spec, nil) // fails for times that are none
	})
}

func (a *kernelAlarm) stop() {
	_ = a.file.Close()
	<-a.done
}
