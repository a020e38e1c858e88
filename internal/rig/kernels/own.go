package kernels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// The kernel "own" is built from this Debian package.
const (
	sourcePackage = "linux-source-6.12"
	sourceArchive = "/usr/src/linux-source-6.12.tar.xz"
)

// BuildPackages are the Debian packages that Build needs.
func BuildPackages() []string {
	return []string{sourcePackage, "gcc", "make", "libc6-dev", "flex", "bison", "bc", "xz-utils"}
}

// buildTimeout bounds Build: ten minutes are usual on two cores.
const buildTimeout = time.Hour

// seedLimit bounds an unpacked kernel.
const seedLimit = 256 << 20

// Build builds the kernel "own" into the cache unless it is there. It reports
// its steps to progress; the whole output of make is in a log file that an
// error names.
func Build(ctx context.Context, progress io.Writer) error {
	version, err := packageVersion(ctx, sourcePackage)
	if err != nil {
		return fmt.Errorf("build the guest kernel: %w: install %s", err, strings.Join(BuildPackages(), " "))
	}
	name := ownPrefix() + version
	if dirs, err := cached(name); err != nil || len(dirs) > 0 {
		if err == nil {
			fmt.Fprintln(progress, "guest kernel already built:", dirs[0])
		}
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	work, err := workDir()
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "building guest kernel %s from %s %s in %s: about ten minutes on two cores, 2 GB of disk\n", name, sourcePackage, version, work)
	if err := build(ctx, work, progress); err != nil {
		return fmt.Errorf("build the guest kernel: %w (log: %s)", err, filepath.Join(work, "log"))
	}
	out := filepath.Join(work, "out")
	kernel, err := os.ReadFile(filepath.Join(out, kernelFile))
	if err != nil {
		return err
	}
	if err := verify(kernel); err != nil {
		return fmt.Errorf("build the guest kernel: %w", err)
	}
	to, err := install(out, name)
	if err != nil {
		return err
	}
	fmt.Fprintln(progress, "guest kernel ready:", to)
	return os.RemoveAll(work)
}

func build(ctx context.Context, work string, progress io.Writer) error {
	log, err := os.Create(filepath.Join(work, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	fragment := filepath.Join(work, "kernel.config")
	if err := os.WriteFile(fragment, []byte(ownConfig), 0o644); err != nil {
		return err
	}
	tree, out := filepath.Join(work, "tree"), filepath.Join(work, "out")
	for _, d := range []string{tree, out} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	steps := []struct {
		say  string
		args []string
	}{
		{"unpack", []string{"tar", "-xf", sourceArchive, "-C", tree, "--strip-components=1"}},
		{"configure", []string{"make", "-C", tree, "ARCH=um", "KCONFIG_ALLCONFIG=" + fragment, "allnoconfig"}},
		{"compile", []string{"make", "-C", tree, "ARCH=um", "-j" + strconv.Itoa(runtime.NumCPU()), "linux"}},
		{"strip", []string{"strip", "-o", filepath.Join(out, kernelFile), filepath.Join(tree, "linux")}},
	}
	for _, s := range steps {
		began := time.Now()
		lines := &lineCounter{w: log}
		cmd := exec.CommandContext(ctx, s.args[0], s.args[1:]...)
		cmd.Stdout, cmd.Stderr = lines, lines
		// A command that is ended leaves children that hold its output.
		cmd.WaitDelay = 5 * time.Second
		stop := report(progress, s.say, lines)
		err := cmd.Run()
		stop()
		if err != nil {
			return fmt.Errorf("%s: %w", s.say, errors.Join(context.Cause(ctx), err))
		}
		fmt.Fprintf(progress, "  %s: %v\n", s.say, time.Since(began).Round(time.Second))
		if s.say == "configure" {
			have, err := os.ReadFile(filepath.Join(tree, ".config"))
			if err != nil {
				return err
			}
			if err := checkConfig(ownConfig, string(have)); err != nil {
				return err
			}
		}
	}
	return nil
}

// report says every half minute how far a step is, until stop is called.
func report(progress io.Writer, step string, lines *lineCounter) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	began := time.Now()
	go func() {
		defer close(ended)
		t := time.NewTicker(30 * time.Second)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
				fmt.Fprintf(progress, "  %s: %v, %d lines of log\n", step, time.Since(began).Round(time.Second), lines.count())
			}
		}
	}()
	return func() { close(done); <-ended }
}

// Seed takes a kernel "own" that was built elsewhere into the cache: an
// xz-packed file. It has to carry a configuration with all our settings.
func Seed(ctx context.Context, file string, progress io.Writer) error {
	fail := func(err error) error { return fmt.Errorf("seed the guest kernel from %s: %w", file, err) }
	name := ownPrefix() + "seed"
	if dirs, err := cached(ownPrefix() + "*"); err != nil || len(dirs) > 0 {
		if err == nil {
			fmt.Fprintln(progress, "guest kernel already there:", dirs[len(dirs)-1])
		}
		return err
	}
	if _, err := os.Stat(file); err != nil {
		return fail(err)
	}
	var kernel, said bytes.Buffer
	cmd := exec.CommandContext(ctx, "xz", "-dc", "--", file)
	cmd.Stderr = &said
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	_, err = io.Copy(&kernel, io.LimitReader(pipe, seedLimit+1))
	if err != nil || kernel.Len() > seedLimit {
		_ = cmd.Process.Kill()
	}
	switch werr := cmd.Wait(); {
	case kernel.Len() > seedLimit:
		return fail(fmt.Errorf("unpacked it is larger than %d bytes", seedLimit))
	case err != nil:
		return fail(err)
	case werr != nil:
		return fail(fmt.Errorf("%w: %s", werr, strings.TrimSpace(said.String())))
	}
	if err := verify(kernel.Bytes()); err != nil {
		return fail(err)
	}
	work, err := workDir()
	if err != nil {
		return fail(err)
	}
	if err := os.WriteFile(filepath.Join(work, kernelFile), kernel.Bytes(), 0o755); err != nil {
		return fail(err)
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return fail(err)
	}
	to, err := install(work, name)
	if err != nil {
		return fail(err)
	}
	fmt.Fprintln(progress, "guest kernel ready:", to)
	return nil
}

// verify checks that a finished user-mode kernel has all settings.
func verify(kernel []byte) error {
	have, err := embeddedConfig(kernel)
	if err != nil {
		return err
	}
	return checkConfig(ownConfig, have)
}

// packageVersion returns the version of an installed Debian package.
func packageVersion(ctx context.Context, name string) (string, error) {
	out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Status}\t${Version}", name).Output()
	status, version, _ := strings.Cut(string(out), "\t")
	if err != nil || !strings.HasSuffix(status, " installed") || version == "" {
		return "", fmt.Errorf("package %s is not installed", name)
	}
	return version, nil
}
