// Package kernels finds the guest kernels of the rig and gets those that no
// package installs: one is built, one is fetched, both are kept in the user's
// cache folder.
package kernels

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/lvskit/lvskit/internal/rig/machine"
)

// ErrMissing is the cause when a kernel is not here; the message says how to
// get it.
var ErrMissing = errors.New("no such kernel here")

// CacheDir returns the folder of the rig in the user's cache folder. It may
// not exist yet.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder, set HOME or XDG_CACHE_HOME: %w", err)
	}
	return filepath.Join(dir, "lvskit"), nil
}

// Find returns the path of a kernel as machine.Config.KernelPath wants it, or
// an error that is ErrMissing.
func Find(k machine.Kernel) (string, error) {
	switch k {
	case machine.Debian:
		p, err := exec.LookPath("linux.uml")
		if err != nil {
			return "", fmt.Errorf("%w: %s: install the package user-mode-linux (Debian, amd64)", ErrMissing, k)
		}
		return p, nil
	case machine.Own:
		dirs, err := cached(ownPrefix() + "*")
		if err != nil {
			return "", err
		}
		if len(dirs) == 0 {
			return "", fmt.Errorf("%w: %s: build it once with 'make kernel' (ten minutes on two cores)", ErrMissing, k)
		}
		return filepath.Join(dirs[len(dirs)-1], kernelFile), nil
	case machine.Qemu:
		dirs, err := cached("qemu-*")
		if err != nil {
			return "", err
		}
		if len(dirs) == 0 {
			return "", fmt.Errorf("%w: %s: fetch it once with 'bin/rig fetch-kernel' (30 MB)", ErrMissing, k)
		}
		return dirs[len(dirs)-1], nil
	}
	return "", fmt.Errorf("%w: %q", ErrMissing, k)
}

// kernelFile is the name of a user-mode kernel in its cache folder.
const kernelFile = "linux"

// ownPrefix begins the cache folder's name of every own kernel with the
// present configuration for this machine; the version of the source follows.
func ownPrefix() string {
	return "uml-" + configHash() + "-" + runtime.GOARCH + "-"
}

// cached lists the cache folders that match, oldest first.
func cached(pattern string) ([]string, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	dirs, err := filepath.Glob(filepath.Join(cache, "kernels", pattern))
	if err != nil {
		return nil, err
	}
	age := map[string]int64{}
	dirs = slices.DeleteFunc(dirs, func(d string) bool {
		st, err := os.Stat(d)
		if err != nil || !st.IsDir() {
			return true
		}
		age[d] = st.ModTime().UnixNano()
		return false
	})
	slices.SortFunc(dirs, func(a, b string) int { return int(min(1, max(-1, age[a]-age[b]))) })
	return dirs, nil
}

// install moves a finished folder to its place in the cache, so that a place
// in the cache is always whole. Whoever comes first wins.
func install(from, name string) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	to := filepath.Join(cache, "kernels", name)
	if err := os.Rename(from, to); err != nil {
		if _, serr := os.Stat(to); serr == nil {
			return to, os.RemoveAll(from)
		}
		return "", err
	}
	return to, nil
}

// workDir makes a folder on the cache's file system that install can move.
func workDir() (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "work")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(cache, "kernels"), 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(dir, "kernel-")
}
