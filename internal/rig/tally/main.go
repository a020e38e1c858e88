// Command tally runs the tiers of tests and keeps the count: it reads what
// go test -json says, prints failures in full and the rest in a line a
// package, and adds up what passed, failed and was skipped, and why.
//
//	tally run -tier NAME [-tag TAG] [-v] -- go test -json ...
//	tally skip -tier NAME REASON
//	tally summary [-short] [DIR...]
//
// Run and skip append to the results folder (-dir), summary adds them up, of
// that folder or of those given, and exits with 1 if anything failed. Run itself exits with 0 even if tests
// failed, so that the other tiers have their turn. With LVSKIT_NO_SKIP=1
// whatever was skipped counts as failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

const usage = `usage:
  tally run [-dir D] -tier NAME [-tag TAG] [-v] -- COMMAND [ARG...]
  tally skip [-dir D] -tier NAME REASON
  tally summary [-short] [DIR...]
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
	}
	stop()
	os.Exit(code)
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	if len(args) == 0 {
		return wrongUsage(stderr, "say what to do")
	}
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	fs.SetOutput(stderr)
	dir := fs.String("dir", "dist/tally", "folder of the results")
	tier := fs.String("tier", "", "name of the tier")
	tag := fs.String("tag", "", "add the packages that have tests with this build tag, and do nothing if there are none")
	verbose := fs.Bool("v", false, "print all output")
	short := fs.Bool("short", false, "print one line of passed and failed")
	if err := fs.Parse(args[1:]); err != nil {
		return 2, err
	}
	rest := fs.Args()
	switch args[0] {
	case "run", "skip":
		if *tier == "" || len(rest) == 0 {
			return wrongUsage(stderr, "want a tier and what to run, or why not")
		}
	case "summary":
		if len(rest) == 0 {
			rest = []string{*dir}
		}
	default:
		return wrongUsage(stderr, fmt.Sprintf("unknown command %q", args[0]))
	}

	switch args[0] {
	case "skip":
		fmt.Fprintf(stdout, "== %s: skipped: %s\n", *tier, rest[0])
		return done(record(*dir, &Tier{Name: *tier, Reason: rest[0]}))
	case "summary":
		tiers, err := readResults(rest...)
		if err != nil {
			return 1, err
		}
		return summarize(stdout, tiers, os.Getenv("LVSKIT_NO_SKIP") == "1", *short), nil
	}
	if *tag != "" {
		dirs, err := tagged(os.DirFS("."), *tag)
		if err != nil {
			return 1, err
		}
		if len(dirs) == 0 {
			fmt.Fprintf(stdout, "== %s: there are no tests with the build tag %s\n", *tier, *tag)
			return done(record(*dir, &Tier{Name: *tier}))
		}
		rest = append(rest, dirs...)
	}
	return done(runTier(ctx, *dir, *tier, rest, *verbose, stdout, stderr))
}

func wrongUsage(stderr io.Writer, what string) (int, error) {
	fmt.Fprint(stderr, usage)
	return 2, errors.New(what)
}

func done(err error) (int, error) {
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// runTier runs one command whose output is that of go test -json.
func runTier(ctx context.Context, dir, name string, args []string, verbose bool, stdout, stderr io.Writer) error {
	fmt.Fprintf(stdout, "== %s\n", name)
	began := time.Now()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	// go test passes an interrupt on to what it runs.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Stderr = stderr
	c := newCounter(stdout, verbose)
	r, w := io.Pipe()
	cmd.Stdout = w
	read := make(chan error, 1)
	go func() {
		err := c.read(r)
		r.CloseWithError(err) // whoever still writes must not wait for ever
		read <- err
	}()
	err := cmd.Run()
	w.Close()
	if rerr := <-read; rerr != nil {
		err = errors.Join(err, rerr)
	}
	t := c.tier(name)
	if err != nil && t.Failed == 0 && c.outOfTime == 0 {
		// The command failed without saying which test did.
		fmt.Fprintf(stdout, "FAIL %v: %v\n", args, err)
		t.Failed++
		t.Failures = append(t.Failures, fmt.Sprintf("%v: %v", args[:min(len(args), 3)], err))
	}
	t.Seconds = time.Since(began).Seconds()
	return errors.Join(record(dir, t), ctx.Err())
}
