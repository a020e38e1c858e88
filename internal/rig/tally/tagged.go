package main

import (
	"bufio"
	"go/build/constraint"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// tagged lists the packages below a root, as ./dir, that have a test file
// which is built only with the tag.
func tagged(root fs.FS, tag string) ([]string, error) {
	var dirs []string
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := path.Base(name)
			if base == "testdata" || name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return fs.SkipDir
			}
			if _, err := fs.Stat(root, path.Join(name, "go.mod")); name != "." && err == nil {
				return fs.SkipDir // a module of its own
			}
			return nil
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		yes, err := needsTag(root, name, tag)
		if yes {
			dirs = append(dirs, "./"+path.Dir(name))
		}
		return err
	})
	slices.Sort(dirs)
	return slices.Compact(dirs), err
}

// needsTag reports whether a file is left out of a build on Linux unless the
// tag is set, whatever other tags are.
func needsTag(root fs.FS, name, tag string) (bool, error) {
	f, err := root.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "package ") {
			break
		}
		if !constraint.IsGoBuild(line) {
			continue
		}
		x, err := constraint.Parse(line)
		if err != nil {
			return false, err
		}
		with := x.Eval(func(t string) bool { return t == "linux" || t == "unix" || t == "amd64" || t == tag })
		without := x.Eval(func(t string) bool { return t == "linux" || t == "unix" || t == "amd64" })
		return with && !without, nil
	}
	return false, lines.Err()
}
