// Command rig runs a program inside a guest kernel that has IPVS, as a child
// of the guest's first process, and ends as the program ended. It is made for
//
//	go test -exec 'bin/rig -kernel debian' ./ipvs/...
//
// and is itself the guest's first process, so it has to be linked statically
// (CGO_ENABLED=0).
//
// Exit codes are those of the program, 128 plus the number when a signal
// ended it. Beyond that: 124 when the time is up, 125 when the guest could
// not start or died without a result, 128 plus the number when rig itself was
// interrupted, 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/lvskit/lvskit/internal/rig/guest"
	"github.com/lvskit/lvskit/internal/rig/kernels"
	"github.com/lvskit/lvskit/internal/rig/machine"
)

const usage = `usage:
  rig [flags] PROGRAM [ARG...]   run a program in a guest
  rig which KERNEL               print where a kernel is, or how to get it
  rig build-kernel               build the kernel "own" from Debian's source
  rig seed-kernel FILE           take the kernel "own", ready, from an .xz file
  rig fetch-kernel               fetch the kernel "qemu" with apt-get

flags:
`

func main() {
	if guest.Is() {
		guest.Main()
		return
	}
	if machine.IsGuard() {
		machine.GuardMain()
		return
	}
	os.Exit(run(os.Args[1:]))
}

// interrupted is the cause of a context that a signal ended.
type interrupted struct{ sig syscall.Signal }

func (i interrupted) Error() string { return "interrupted by " + i.sig.String() }

func run(args []string) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	go func() {
		if sig, ok := (<-signals).(syscall.Signal); ok {
			cancel(interrupted{sig})
		}
	}()

	var err error
	code := 0
	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	switch {
	case command == "build-kernel" && len(args) == 1:
		err = kernels.Build(ctx, os.Stderr)
	case command == "seed-kernel" && len(args) == 2:
		err = kernels.Seed(ctx, args[1], os.Stderr)
	case command == "fetch-kernel" && len(args) == 1:
		err = kernels.Fetch(ctx, os.Stderr)
	case command == "which" && len(args) == 2:
		err = which(args[1])
	default:
		code, err = wrap(ctx, args)
	}
	var sig interrupted
	switch {
	case err == nil:
		return code
	case errors.Is(err, errUsage):
		if err != errUsage {
			fmt.Fprintln(os.Stderr, "rig:", err)
		}
		return 2
	}
	fmt.Fprintln(os.Stderr, "rig:", err)
	switch {
	case errors.As(err, &sig):
		return 128 + int(sig.sig)
	case errors.Is(err, machine.ErrTimeout):
		return 124
	case errors.Is(err, machine.ErrDied), errors.Is(err, machine.ErrSetup):
		return 125
	case code != 0:
		return code
	}
	return 1
}

var errUsage = errors.New("wrong usage")

func wrap(ctx context.Context, args []string) (int, error) {
	fs := flag.NewFlagSet("rig", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), usage)
		fs.PrintDefaults()
	}
	cfg := machine.Config{Output: os.Stdout, Log: os.Stderr, Env: os.Environ()}
	fs.TextVar(&cfg.Kernel, "kernel", machine.Debian, "debian, own or qemu")
	fs.BoolVar(&cfg.SimulatedTime, "simulated-time", false, "let the clock jump over idle time (kernel own)")
	fs.StringVar(&cfg.Memory, "mem", "512M", "memory of the guest")
	fs.DurationVar(&cfg.Timeout, "timeout", 2*time.Minute, "longest run of the guest")
	if err := fs.Parse(args); err != nil {
		return 0, errUsage
	}
	if fs.NArg() == 0 {
		fs.Usage()
		return 0, errUsage
	}
	if cfg.Timeout <= 0 {
		return 0, fmt.Errorf("%w: -timeout %v: has to be above zero", errUsage, cfg.Timeout)
	}
	cfg.Args = fs.Args()
	setup := func(err error) (int, error) { return 0, fmt.Errorf("%w: %w", machine.ErrSetup, err) }
	var err error
	if cfg.KernelPath, err = kernels.Find(cfg.Kernel); err != nil {
		return setup(err)
	}
	if cfg.Init, err = os.Executable(); err != nil {
		return setup(err)
	}
	if cfg.Init, err = filepath.EvalSymlinks(cfg.Init); err != nil {
		return setup(err)
	}
	if cfg.Dir, err = os.Getwd(); err != nil {
		return setup(err)
	}
	cache, err := kernels.CacheDir()
	if err != nil {
		return setup(err)
	}
	cfg.SlotDir = filepath.Join(cache, "slots")
	return machine.Run(ctx, &cfg)
}

func which(name string) error {
	var k machine.Kernel
	if err := k.UnmarshalText([]byte(name)); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	path, err := kernels.Find(k)
	if err != nil {
		return err
	}
	fmt.Println(path)
	return nil
}
