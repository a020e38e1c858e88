package guest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// moduleHelper is the program the kernel calls to load a module by itself. It
// is a link to the first process's own program.
const moduleHelper = "/run/modprobe"

// moduleRoot is a made-up root that has lib/modules/RELEASE where modprobe
// looks for it.
const moduleRoot = "/run/modroot"

// Is reports whether this process is the first one of a guest of the rig, or
// the kernel's call for a module in one. Then Main is all it has to do.
func Is() bool {
	if os.Args[0] == moduleHelper {
		return true
	}
	if os.Getpid() != 1 {
		return false
	}
	if os.Getenv(DirVariable) != "" {
		return true
	}
	_, err := os.Stat(PackedSpec)
	return err == nil
}

// Main runs the guest and ends it; it returns only if the power cannot be
// switched off.
func Main() {
	if os.Args[0] == moduleHelper {
		err := unix.Exec("/sbin/modprobe", append([]string{"modprobe", "-d", moduleRoot}, os.Args[1:]...), os.Environ())
		fmt.Fprintln(os.Stderr, "rig guest: modprobe:", err)
		os.Exit(127)
	}
	if err := run(); err != nil {
		// No exit file: the wrapper takes that as the failure it is, and
		// shows the console, where this line stands.
		fmt.Fprintln(os.Stderr, "rig guest:", err)
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Fprintln(os.Stderr, "rig guest: power off:", err)
	}
}

func run() error {
	spec, err := readSpec()
	if err != nil {
		return err
	}
	if err := mountAll(spec); err != nil {
		return err
	}
	// A root without /dev/console leaves the first process without one.
	if console, err := os.OpenFile("/dev/console", os.O_WRONLY|syscall.O_NOCTTY, 0); err == nil {
		_ = unix.Dup3(int(console.Fd()), 2, 0)
		console.Close()
	}
	if err := unix.Sethostname([]byte("guest")); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := loadModules(spec); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	var code int
	if spec.Packed {
		code, err = runPacked(spec)
	} else {
		code, err = runShared(spec)
	}
	if err != nil {
		return err
	}
	if spec.Packed {
		_, err := fmt.Fprintf(os.Stderr, "\n%s%d\n", ExitLine, code)
		drain(os.Stderr)
		return err
	}
	return writeExit(code)
}

func readSpec() (*Spec, error) {
	file := PackedSpec
	if dir := os.Getenv(DirVariable); dir != "" {
		file = filepath.Join(dir, SpecFile)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ParseSpec(b)
}

func mountAll(spec *Spec) error {
	type mount struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}
	mounts := []mount{
		{"proc", "/proc", "proc", 0, ""},
		{"sysfs", "/sys", "sysfs", 0, ""},
		{"devtmpfs", "/dev", "devtmpfs", 0, ""},
		{"devpts", "/dev/pts", "devpts", 0, ""},
		{"tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777"},
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", 0, ""},
	}
	if !spec.Packed { // else the root is in memory, and /tmp may hold packed files
		mounts = append(mounts,
			mount{"tmpfs", "/run", "tmpfs", 0, "mode=755"},
			mount{"tmpfs", "/tmp", "tmpfs", 0, "mode=1777"},
			mount{"none", ResultDir, "hostfs", 0, os.Getenv(DirVariable)},
		)
		for _, dir := range spec.Show {
			mounts = append(mounts, mount{"none", dir, "hostfs", unix.MS_RDONLY, dir})
		}
	}
	for _, m := range mounts {
		// The root may be read-only, where the folder has to be there already.
		if err := os.MkdirAll(m.target, 0o755); err != nil && m.kind != "cgroup2" {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
		err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data)
		switch {
		case err == nil:
		case m.kind == "devtmpfs" && errors.Is(err, unix.EBUSY): // the kernel was first
		case m.kind == "cgroup2": // not every kernel has it, nothing here needs it
		default:
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.target, err)
		}
	}
	for _, dir := range []string{"/run/lock", "/run/netns"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// loadModules loads what the spec names and lets the kernel load the rest by
// itself. A kernel without modules has all of it built in.
func loadModules(spec *Spec) error {
	const setting = "/proc/sys/kernel/modprobe"
	if _, err := os.Stat(setting); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	release := unix.ByteSliceToString(uts.Release[:])
	from := spec.ModuleDir
	if from == "" {
		from = "/lib/modules"
	}
	if err := os.MkdirAll(moduleRoot+"/lib/modules", 0o755); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join(from, release), filepath.Join(moduleRoot, "lib/modules", release)); err != nil {
		return err
	}
	// The program's own path may be hidden by now; this link never is.
	if err := os.Symlink("/proc/1/exe", moduleHelper); err != nil {
		return err
	}
	if err := os.WriteFile(setting, []byte(moduleHelper), 0o644); err != nil {
		return err
	}
	if len(spec.Modules) == 0 {
		return nil
	}
	args := append([]string{"/sbin/modprobe", "-d", moduleRoot, "-a"}, spec.Modules...)
	p, err := os.StartProcess(args[0], args, &os.ProcAttr{Env: os.Environ(), Files: []*os.File{nil, os.Stderr, os.Stderr}})
	if err != nil {
		return fmt.Errorf("load kernel modules: %w", err)
	}
	st, err := p.Wait()
	if err != nil || !st.Success() {
		return fmt.Errorf("load kernel modules %q of %s: %v %w", spec.Modules, release, st, err)
	}
	return nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	req.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("loopback up: %w", err)
	}
	return nil
}

// runShared runs the command with a file of the result folder as its output.
func runShared(spec *Spec) (int, error) {
	out, err := os.OpenFile(filepath.Join(ResultDir, OutputFile), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	pid, code := start(spec, out)
	if pid == 0 {
		return code, nil
	}
	return wait(pid)
}

// runPacked runs the command with a pipe as its output, which is copied to a
// serial line: a terminal would make some programs write differently.
func runPacked(spec *Spec) (int, error) {
	line, err := os.OpenFile(OutputDevice, os.O_WRONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return 0, err
	}
	defer line.Close()
	if err := raw(line); err != nil {
		return 0, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	fmt.Fprintf(os.Stderr, "\n%s\n", BeginLine)
	drain(os.Stderr)
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(line, r)
	}()
	pid, code := start(spec, w)
	w.Close()
	if pid != 0 {
		if code, err = wait(pid); err != nil {
			return 0, err
		}
	}
	// A grandchild may hold the pipe open; what it still writes is of no
	// interest, but what the command wrote has to be out, and the line is slow.
	_ = r.SetReadDeadline(time.Now().Add(10 * time.Second))
	<-copied
	drain(line)
	return code, nil
}

// start starts the command. When it cannot, it says so on the command's
// output and returns the code a shell gives then.
func start(spec *Spec, out *os.File) (pid, code int) {
	null, err := os.Open(os.DevNull)
	if err == nil {
		defer null.Close()
		var p *os.Process
		p, err = os.StartProcess(spec.Args[0], spec.Args, &os.ProcAttr{
			Dir:   spec.Dir,
			Env:   spec.Env,
			Files: []*os.File{null, out, out},
			Sys:   &syscall.SysProcAttr{Setsid: true},
		})
		if err == nil {
			return p.Pid, 0
		}
	}
	fmt.Fprintln(out, "rig guest:", err)
	if errors.Is(err, os.ErrNotExist) {
		return 0, 127
	}
	return 0, 126
}

// wait reaps whatever ends, as the first process must, until the command has
// ended. A signal counts as 128 plus its number.
func wait(pid int) (int, error) {
	for {
		var st unix.WaitStatus
		got, err := unix.Wait4(-1, &st, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, fmt.Errorf("wait: %w", err)
		case got != pid:
			continue
		case st.Signaled():
			return 128 + int(st.Signal()), nil
		case st.Exited():
			return st.ExitStatus(), nil
		}
	}
}

func writeExit(code int) error {
	final := filepath.Join(ResultDir, ExitFile)
	if err := os.WriteFile(final+".new", []byte(strconv.Itoa(code)), 0o644); err != nil {
		return err
	}
	return os.Rename(final+".new", final)
}

// raw switches off everything a terminal does to bytes.
func raw(f *os.File) error {
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG | unix.IEXTEN
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	return nil
}

// drain waits until what was written to a terminal has left the machine.
func drain(f *os.File) {
	_ = unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1)
}
