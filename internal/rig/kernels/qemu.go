package kernels

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode"
)

// The kernel "qemu" is the newest package of this kind: the same version of
// Linux that "own" is built from, as Debian builds it for virtual machines.
const (
	cloudBegin = "linux-image-6.12."
	cloudEnd   = "-cloud-amd64-unsigned"
)

// Fetch downloads Debian's kernel for virtual machines and unpacks it into
// the cache, unless one is there. Nothing is installed, so no rights are
// needed; apt's package lists have to be there (apt-get update).
func Fetch(ctx context.Context, progress io.Writer) error {
	if dirs, err := cached("qemu-*"); err != nil || len(dirs) > 0 {
		if err == nil {
			fmt.Fprintln(progress, "guest kernel already there:", dirs[len(dirs)-1])
		}
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if err := fetch(ctx, progress); err != nil {
		return fmt.Errorf("fetch the guest kernel: %w", err)
	}
	return nil
}

func fetch(ctx context.Context, progress io.Writer) error {
	names, err := output(ctx, "", "apt-cache", "pkgnames", cloudBegin)
	if err != nil {
		return err
	}
	newest := newestCloud(strings.Fields(names))
	if newest == "" {
		return errors.New("apt knows no package " + cloudBegin + "*" + cloudEnd + ": run 'apt-get update' as root, on Debian 12 with its security archive")
	}
	work, err := workDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	fmt.Fprintln(progress, "downloading", newest, "(30 MB)")
	if _, err := output(ctx, work, "apt-get", "-q", "download", newest); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt-get download left %d packages in %s", len(debs), work)
	}
	if _, err := output(ctx, work, "dpkg", "-x", debs[0], "k"); err != nil {
		return err
	}
	out := filepath.Join(work, "out")
	if err := os.MkdirAll(filepath.Join(out, "lib"), 0o755); err != nil {
		return err
	}
	images, err := filepath.Glob(filepath.Join(work, "k/boot/vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return fmt.Errorf("%s holds %d kernels", newest, len(images))
	}
	release := strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")
	if err := os.Rename(images[0], filepath.Join(out, "vmlinuz")); err != nil {
		return err
	}
	modules := filepath.Join(work, "k/lib/modules")
	if _, err := os.Stat(modules); err != nil {
		modules = filepath.Join(work, "k/usr/lib/modules")
	}
	if err := os.Rename(modules, filepath.Join(out, "lib/modules")); err != nil {
		return err
	}
	if _, err := output(ctx, work, "/sbin/depmod", "-b", out, release); err != nil {
		return fmt.Errorf("%w (package kmod)", err)
	}
	to, err := install(out, "qemu-"+release)
	if err != nil {
		return err
	}
	fmt.Fprintln(progress, "guest kernel ready:", to)
	return nil
}

// newestCloud picks the package with the highest version.
func newestCloud(names []string) string {
	best := ""
	for _, n := range names {
		if strings.HasPrefix(n, cloudBegin) && strings.HasSuffix(n, cloudEnd) && (best == "" || natural(best, n) < 0) {
			best = n
		}
	}
	return best
}

// natural compares so that numbers within names count as numbers: 9 before 10.
func natural(a, b string) int {
	for a != "" && b != "" {
		na, ra := leadingNumber(a)
		nb, rb := leadingNumber(b)
		if na != "" && nb != "" {
			na, nb = strings.TrimLeft(na, "0"), strings.TrimLeft(nb, "0")
			if len(na) != len(nb) {
				return len(na) - len(nb)
			}
			if c := strings.Compare(na, nb); c != 0 {
				return c
			}
			a, b = ra, rb
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

func leadingNumber(s string) (number, rest string) {
	i := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsDigit(r) || r > '9' })
	if i < 0 {
		i = len(s)
	}
	return s[:i], s[i:]
}

// output runs a program and returns what it printed; an error has what it
// complained about.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}
