package failover

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// beatVariable says of a process that it is the beat process of another
	// one, or that BeatMain was called in it.
	beatVariable = "LVSKIT_BEAT"
	// beatSocket is the descriptor of the socket to the daemon.
	beatSocket = 3
	// beatStderr is the daemon's standard error, if tellsObituary ends the
	// variable. What is said there when the daemon is gone reaches the same log.
	beatStderr    = 4
	tellsObituary = " and its last words"
	// obituaryLimit is how long a reader of that log may take.
	obituaryLimit = time.Second
	// normalPriority follows in the variable if no other one is wanted.
	normalPriority = "normal"
	// beatTop is where the descriptors of both ends go to at most, as the table
	// of descriptors has 8 bytes for each below, and beatRoom is for how many.
	beatTop, beatRoom = 1 << 14, 64
	// cldStopped is CLD_STOPPED of asm-generic/siginfo.h.
	cldStopped = 5
	// beatName is what ps and top show for it; the kernel takes 15 bytes.
	beatName = "failover-beat"
	// lastWords bounds what is kept of what a process wrote when it died.
	lastWords = 1 << 10
)

// BeatMain makes a second run of the program the beat process of the first. It
// has to be the first thing in main, and in TestMain of tests that use a
// [Beat], before flags are read or anything is opened. In an ordinary run it
// returns at once. In a beat process, which it recognises by a variable of the
// environment and by an inherited socket that the parent made, it never returns.
// A program that has more rights than who starts it, by setuid or capabilities
// of its file, is never one: anybody could give it orders then.
func BeatMain() {
	value := os.Getenv(beatVariable)
	parent, how, _ := strings.Cut(value, " ")
	if pid, err := strconv.Atoi(parent); err != nil || how == "" || gainsRights() || !isBeatSocket(beatSocket, pid) {
		// What started this program may have called it, too: so the number.
		_ = os.Setenv(beatVariable, readyValue()) // fails for no such name
		return
	}
	_ = os.Unsetenv(beatVariable) // fails for no such name
	// Listings would call it exe, after the link that it was started by. A name
	// without the program's is not met by who kills that by its name.
	_ = os.WriteFile("/proc/self/comm", []byte(beatName), 0) // for eyes alone
	if err := beatProcess(how); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// readyValue is what the variable has in a process that called BeatMain.
func readyValue() string { return "ready " + strconv.Itoa(os.Getpid()) }

// gainsRights reports whether this run has rights that who started it has not
// (AT_SECURE, getauxval(3)).
func gainsRights() bool {
	const atSecure = 23
	entries, _ := unix.Auxv() // fails for no program that the kernel started
	return slices.Contains(entries, [2]uintptr{atSecure, 1})
}

// isBeatSocket reports whether a descriptor is a unix socket that the parent
// made.
func isBeatSocket(fd, parent int) bool {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || domain != unix.AF_UNIX {
		return false
	}
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	return err == nil && int(peer.Pid) == parent
}

// beatProcess is the whole of a beat process.
func beatProcess(how string) error {
	// The daemon says when it is over; a terminal or a supervisor means it.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE, unix.SIGTSTP)
	unix.CloseOnExec(beatSocket) // if it stays there
	var tells bool
	conn, err := above(beatSocket)
	if err != nil {
		return fmt.Errorf("failover: socket of the beat process: %w", err)
	}
	k := newKeeper(conn)
	if how, tells = strings.CutSuffix(how, tellsObituary); tells {
		unix.CloseOnExec(beatStderr)
		daemon := os.Getppid()
		k.obituary = func(active []*ward) { k.write(beatStderr, daemon, active) }
	}
	var report processReport
	if how == normalPriority {
		report.Priority = normalPriority
	} else {
		report = realTime()
		if report.Priority != normalPriority {
			go watchRunaway(k, report)
		}
	}
	return k.run(report)
}

// write says in the log of the daemon what was done after its end. A reader
// that does not read does not keep the process.
func (k *keeper) write(fd, daemon int, active []*ward) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var line bytes.Buffer
		slog.New(slog.NewTextHandler(&line, nil)).Warn("the daemon is gone: "+k.said(active), "daemon", daemon)
		b := line.Bytes()
		if len(b) > lastWords {
			b = append(b[:lastWords-1], '\n')
		}
		_, _ = unix.Write(fd, b) // nobody is left to be told
	}()
	select {
	case <-done:
	case <-time.After(obituaryLimit):
	}
}

// above returns the file of a socket under a number above all others, and gives
// the old one up. The kernel closes the files of a process that was killed from
// the highest on (task_work_run in kernel/task_work.c, which takes what
// exit_files left last first), and each packet socket among them takes 10 to 60
// ms (synchronize_net in packet_release). So who is at the other end hears of the
// end first and not last.
func above(fd int) (*os.File, error) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		if top, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, int(min(limit.Cur, beatTop))-beatRoom); err == nil {
			_ = unix.Close(fd) // the other one is as good
			fd = top
		}
	}
	err := unix.SetNonblock(fd, true) // before NewFile looks
	return os.NewFile(uintptr(fd), "beat"), err
}

// beatPlatform returns what starts a beat process.
func beatPlatform() (spawn func(*BeatConfig) (*process, error), lost string, err error) {
	if os.Getenv(beatVariable) != readyValue() {
		return nil, "", errors.New("failover: a beat process is a second run of this program: call failover.BeatMain first in main (in tests: in TestMain)")
	}
	if gainsRights() {
		return nil, "", errors.New("failover: no beat process for a program that has its rights by setuid or capabilities of its file, as anybody could give it orders: " +
			"start it as root, or with the capabilities (systemd: AmbientCapabilities)")
	}
	return spawnBeat, "", nil
}

// spawnBeat starts the program anew, with one end of a pair of sockets.
func spawnBeat(cfg *BeatConfig) (*process, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "beat")
	defer theirs.Close()
	conn, err := above(pair[0])
	if err != nil {
		return nil, errors.Join(fmt.Errorf("socket: %w", err), conn.Close())
	}
	how := "high"
	if cfg.NormalPriority {
		how = normalPriority
	}
	// The file that runs, also if another version has taken its place.
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{filepath.Base(os.Args[0]) + ": beat"}
	cmd.ExtraFiles = []*os.File{theirs}                                       // is beatSocket
	if _, err := unix.FcntlInt(os.Stderr.Fd(), unix.F_GETFD, 0); err == nil { // it may be closed
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.Stderr) // is beatStderr
		how += tellsObituary
	}
	cmd.Env = append(os.Environ(), beatVariable+"="+strconv.Itoa(os.Getpid())+" "+how)
	last := new(words)
	cmd.Stderr = last
	cmd.WaitDelay = time.Second
	// A session of its own, so that nothing of a terminal reaches it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w; is /proc mounted?", err)
		}
		return nil, errors.Join(err, conn.Close())
	}
	return &process{
		link: linkOver(conn), pid: cmd.Process.Pid,
		kill: func() { _ = cmd.Process.Kill() }, // it may have ended
		wait: func() error {
			err := cmd.Wait()
			if said := last.String(); said != "" && err != nil {
				return fmt.Errorf("%w: %s", err, said)
			}
			return err
		},
		stopped: func(until bool) bool { return stopped(cmd.Process, until) },
	}, nil
}

// stopped reports whether a child is stopped (waitid(2)); with until it waits
// for that, or for its end. It takes no notice of the end away from Wait.
func stopped(child *os.Process, until bool) (is bool) {
	options := unix.WSTOPPED | unix.WEXITED | unix.WNOWAIT
	if !until {
		options |= unix.WNOHANG
	}
	// Without a handle, before Linux 5.4, it is not known.
	_ = child.WithHandle(func(pidfd uintptr) {
		var info unix.Siginfo
		var err error = unix.EINTR
		for errors.Is(err, unix.EINTR) {
			err = unix.Waitid(unix.P_PIDFD, int(pidfd), &info, options, nil)
		}
		is = err == nil && info.Signo == int32(unix.SIGCHLD) && info.Code == cldStopped
	})
	return is
}

// words keep the first of what is written.
type words struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *words) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := lastWords - t.b.Len(); room > 0 {
		t.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (t *words) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(t.b.String())
}

var _ io.Writer = (*words)(nil)
