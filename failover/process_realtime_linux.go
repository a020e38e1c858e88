package failover

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// beatPriority is that of SCHED_FIFO: below the kernel's own threads for
	// interrupts (50), so that packets arrive.
	beatPriority = 10
	// beatNice is what is tried where real-time priority is not allowed.
	beatNice = -20
	// beatMemory is the memory at which garbage is collected after all. What
	// goes on all the time makes none, so it is reached by questions only.
	beatMemory = 64 << 20
	// beatOOM is the oom_score_adj (proc_pid_oom_score_adj(5)): when memory runs
	// out the process, which is small and bounded, is the last to be killed, and
	// would be one of the first for its locked memory.
	beatOOM = "-900"
	// A thread that computes for runawaySoft without a pause has the process
	// give up its priority, and one that goes on to runawayHard is the end of
	// it: by RLIMIT_RTTIME (getrlimit(2)), in microseconds.
	runawaySoft = 200_000
	runawayHard = 2_000_000
	// runawayPause is how long it does without priority then.
	runawayPause = time.Minute
)

// realTime gives this process what keeps a busy machine from stopping it, as
// far as that is allowed, and says what it got.
func realTime() processReport {
	var r processReport
	// SCHED_RESET_ON_FORK would take the priority from threads that come
	// later, too, as threads are forked. This process starts no program, so
	// nobody inherits.
	limit := unix.Rlimit{Cur: runawaySoft, Max: runawayHard}
	err := unix.Setrlimit(unix.RLIMIT_RTTIME, &limit)
	if err == nil {
		err = eachThread(realTimeThread)
	}
	switch {
	case err == nil:
		r.Priority = fmt.Sprintf("real-time %d", beatPriority)
	default:
		r.Priority = normalPriority
		if eachThread(func(tid int) error { return unix.Setpriority(unix.PRIO_PROCESS, tid, beatNice) }) == nil {
			r.Priority = fmt.Sprintf("nice %d", beatNice)
		}
		r.Limits = append(r.Limits, fmt.Sprintf("no real-time priority (%v), but %s: a busy machine may delay heartbeats; "+
			"run as root, give CAP_SYS_NICE or an RLIMIT_RTPRIO of %d (systemd: LimitRTPRIO=%[3]d), and where the kernel groups real-time tasks, time in cpu.rt_runtime_us of the group",
			err, r.Priority, beatPriority))
	}
	if err := lockMemory(); err != nil {
		r.Limits = append(r.Limits, fmt.Sprintf("memory not locked (%v): a machine that pages may delay heartbeats; "+
			"run as root, give CAP_IPC_LOCK or an unlimited RLIMIT_MEMLOCK (systemd: LimitMEMLOCK=infinity)", err))
	} else {
		r.MemoryLocked = true
	}
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte(beatOOM), 0) // a help, no need: CAP_SYS_RESOURCE has it
	debug.SetMemoryLimit(beatMemory)
	debug.SetGCPercent(-1)
	return r
}

// eachThread calls f for the threads that there are. Later ones inherit, from
// any of them.
func eachThread(f func(tid int) error) error {
	var done []int
	for {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		found := false
		for _, e := range entries {
			tid, err := strconv.Atoi(e.Name())
			if err != nil || slices.Contains(done, tid) {
				continue
			}
			found, done = true, append(done, tid)
			if err := f(tid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		if !found {
			return nil
		}
	}
}

// lockMemory keeps what is in memory there, and brings in the program itself:
// what is needed at a take-over must not have to come from a disk. Pages that
// were never used are not brought in (mlockall(2), MCL_ONFAULT), as the runtime
// reserves far more than it uses.
func lockMemory() error {
	// With a limit, what is reserved would count against it, and at some time
	// no more memory would be had at all.
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return err
	}
	if limit.Cur != math.MaxUint64 && !capable(unix.CAP_IPC_LOCK) {
		return fmt.Errorf("the limit is %d bytes", limit.Cur)
	}
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return err
	}
	populateProgram()
	return nil
}

// capable reports whether the process has a capability.
func capable(c int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[c/32].Effective&(1<<(c%32)) != 0
}

// populateProgram reads the pages of the program's own file, from Linux 5.14 on
// (madvise(2), MADV_POPULATE_READ); before, they come when they are used.
func populateProgram() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if !strings.HasSuffix(lines.Text(), " "+exe) {
			continue
		}
		var from, to uintptr
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x", &from, &to); err == nil {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_POPULATE_READ) // a help, no need
		}
	}
}

// watchRunaway gives the priority up for a while when the kernel says that a
// thread has computed without a pause: the machine is worth more than a
// heartbeat. It runs as long as the process.
func watchRunaway(k *keeper, r processReport) {
	warned := make(chan os.Signal, 1)
	signal.Notify(warned, unix.SIGXCPU)
	for range warned {
		less := processReport{Priority: normalPriority, MemoryLocked: r.MemoryLocked, Limits: append(slices.Clone(r.Limits), fmt.Sprintf(
			"a thread of the beat process computed for %v without a pause, so it has no real-time priority for %v: look for a flood of packets, and report it if there is none",
			runawaySoft*time.Microsecond, runawayPause))}
		_ = eachThread(normalThread) // those that refuse are stopped at runawayHard
		k.report(noteReport, less)
		time.Sleep(runawayPause)
		select {
		case <-warned: // from before
		default:
		}
		if eachThread(realTimeThread) == nil {
			k.report(noteReport, r)
		}
	}
}

func realTimeThread(tid int) error {
	return unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: beatPriority}, 0)
}

func normalThread(tid int) error {
	return unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0)
}
