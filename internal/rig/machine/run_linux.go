package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lvskit/lvskit/internal/rig/guest"
)

// consoleTail is how much of a dead guest's console is shown.
const consoleTail = 3000

// boots is how often a guest is started at most, bootTime how long the first
// of them may take until the command begins; each later one gets twice as
// long. A user-mode kernel needs half a second, qemu a few, but once in some
// hundred times one of them hangs or dies on its way up, on which no test
// should hang.
const (
	boots    = 3
	bootTime = time.Minute
)

// errBoot is a guest that was ended because its command did not begin.
var errBoot = errors.New("it did not come up")

// Run runs the command in a guest and returns its exit code, 128 plus the
// number for a signal. Without an exit code it returns an *Error, or
// ErrSetup if it did not come to a guest. A guest that ends or hangs before
// the command has begun is started again, and [Config.Log] says so; the
// command never runs twice. Afterwards no process of the guest is left; to be
// sure of that Run kills every child of the calling process, so it belongs in
// a program of its own.
func Run(ctx context.Context, cfg *Config) (int, error) {
	spec, err := specFor(cfg)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrSetup, err)
	}
	release, err := takeSlot(ctx, cfg.SlotDir)
	if err != nil {
		return 0, fmt.Errorf("%w: wait for a free place: %w", ErrSetup, err)
	}
	defer release()
	left, patience := cfg.Timeout, bootTime
	for boot := 1; ; boot++ {
		began := time.Now()
		code, up, err := runOnce(ctx, cfg, spec, left, patience)
		left -= time.Since(began)
		var e *Error
		if err == nil || up || boot == boots || left <= 0 || !errors.As(err, &e) || errors.Is(err, ErrTimeout) || ctx.Err() != nil {
			return code, err
		}
		fmt.Fprintf(cfg.Log, "rig: %v\nrig: the command had not begun: starting the guest again\n", err)
		patience *= 2
	}
}

// runOnce is one start of the guest; up tells that the command began, or may
// have begun.
func runOnce(ctx context.Context, cfg *Config, spec *guest.Spec, timeout, patience time.Duration) (code int, up bool, err error) {
	work, err := os.MkdirTemp("", "lvskit-rig-")
	if err != nil {
		return 0, false, fmt.Errorf("%w: %w", ErrSetup, err)
	}
	defer os.RemoveAll(work)
	if strings.ContainsAny(work, " \t\n\",") {
		return 0, false, fmt.Errorf("%w: %q cannot stand on a kernel's command line: set TMPDIR to a folder with a plain name", ErrSetup, work)
	}

	var cmd *exec.Cmd
	if cfg.Kernel == Qemu {
		cmd, err = qemu(ctx, cfg, spec, work)
	} else {
		cmd, err = userMode(cfg, spec, work)
	}
	if err != nil {
		return 0, false, fmt.Errorf("%w: %w", ErrSetup, err)
	}
	consoleFile := filepath.Join(work, "console")
	console, err := os.Create(consoleFile)
	if err != nil {
		return 0, false, fmt.Errorf("%w: %w", ErrSetup, err)
	}
	defer console.Close()
	cmd.Stdout, cmd.Stderr = console, console

	out := &follower{file: filepath.Join(work, guest.OutputFile), to: cfg.Output}
	defer out.close()
	began := time.Now()
	// A guest that shares our files makes the one of the output just before
	// the command begins.
	isUp := func() bool {
		if !spec.Packed {
			return out.f != nil
		}
		said, err := os.ReadFile(consoleFile)
		return err != nil || bytes.Contains(said, []byte(guest.BeginLine))
	}
	how, err := supervise(ctx, cmd, cfg.Init, work, timeout, func() error {
		if err := out.step(); err != nil {
			return err
		}
		if !up && time.Since(began) > patience {
			if up = isUp(); !up {
				return fmt.Errorf("%w in %v", errBoot, patience)
			}
		}
		return nil
	})
	after := time.Since(began)
	if oerr := out.step(); oerr != nil && err == nil {
		err = oerr
	}
	up = isUp()
	said, rerr := os.ReadFile(consoleFile)
	if rerr != nil && err == nil {
		err = rerr
	}
	code, ok := result(work, spec, said)
	if ok && (err == nil || errors.Is(err, ErrTimeout)) {
		// The command has ended and its result is whole: how the kernel
		// went down after it does not matter.
		return code, up, nil
	}
	if err == nil {
		err = ErrDied
	}
	return 0, up, &Error{Kernel: cfg.Kernel, After: after, Err: err, Exit: how, Console: tail(said, consoleTail)}
}

// result reads the exit code a guest left.
func result(work string, spec *guest.Spec, console []byte) (code int, ok bool) {
	text := ""
	if spec.Packed {
		for line := range strings.Lines(string(console)) {
			if rest, found := strings.CutPrefix(line, guest.ExitLine); found && strings.HasSuffix(line, "\n") {
				text = rest
			}
		}
	} else {
		b, err := os.ReadFile(filepath.Join(work, guest.ExitFile))
		if err != nil {
			return 0, false
		}
		text = string(b)
	}
	code, err := strconv.Atoi(strings.TrimSpace(text))
	return code, err == nil && code >= 0 && code <= 255
}

// specFor makes the command absolute and adjusts the environment to the guest.
func specFor(cfg *Config) (*guest.Spec, error) {
	if len(cfg.Args) == 0 {
		return nil, errors.New("no command")
	}
	if cfg.SimulatedTime && cfg.Kernel != Own {
		return nil, fmt.Errorf("kernel %s has no simulated time: use -kernel %s", cfg.Kernel, Own)
	}
	program, err := exec.LookPath(cfg.Args[0])
	if err != nil {
		return nil, err
	}
	if program, err = filepath.Abs(program); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	spec := &guest.Spec{
		Args:   append([]string{program}, cfg.Args[1:]...),
		Env:    guestEnv(cfg.Env, cfg.Kernel),
		Dir:    dir,
		Packed: cfg.Kernel == Qemu,
	}
	if spec.Packed {
		return spec, nil
	}
	shown := []string{program, dir}
	for _, p := range []string{program, dir} {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			shown = append(shown, real)
		}
	}
	for _, f := range filepath.SplitList(lookup(cfg.Env, FilesVariable)) {
		if real, err := filepath.EvalSymlinks(f); err == nil {
			shown = append(shown, f, real)
		}
	}
	spec.Show = guest.Shows(shown...)
	return spec, nil
}

// guestEnv is the environment of the caller, but with temporary files in the
// guest's own /tmp, the system's programs in reach, and the kernel's name.
func guestEnv(env []string, k Kernel) []string {
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	var out []string
	for _, kv := range env {
		key, value, _ := strings.Cut(kv, "=")
		switch key {
		case "TMPDIR", Variable:
			continue
		case "PATH":
			path = value + ":" + path
			continue
		}
		out = append(out, kv)
	}
	return append(out, "PATH="+path, Variable+"="+string(k))
}

func lookup(env []string, key string) string {
	for _, kv := range env {
		if k, v, _ := strings.Cut(kv, "="); k == key {
			return v
		}
	}
	return ""
}
