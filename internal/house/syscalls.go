package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"path"
	"strconv"
	"strings"
)

// kernelImports are packages that are about one kernel's own interface.
var kernelImports = []string{"golang.org/x/sys/unix", "github.com/vishvananda/netns"}

// kernelNames begin the names of package syscall that are numbers or calls of
// one kernel. Signals and errors are not among them: every system has those.
var kernelNames = []string{"SYS_", "Syscall", "RawSyscall", "AF_NETLINK", "NETLINK_", "SO_", "CLONE_", "PTRACE_"}

// Syscalls returns a complaint for every use of a kernel's own interface in a
// Go file that is not for Linux alone.
func Syscalls(name string, src []byte) ([]string, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution|parser.ParseComments)
	if err != nil {
		return nil, err
	}
	only, err := linuxOnly(name, src)
	if err != nil || only {
		return nil, err
	}
	var out []string
	complain := func(pos token.Pos, what string) {
		out = append(out, fmt.Sprintf("%s: %s in a file that is not for Linux only (name it *_linux.go)", fset.Position(pos), what))
	}
	syscallName := ""
	for _, imp := range f.Imports {
		p, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			return nil, err
		}
		for _, k := range kernelImports {
			if p == k {
				complain(imp.Pos(), "import of "+p)
			}
		}
		if p == "syscall" {
			syscallName = "syscall"
			if imp.Name != nil {
				syscallName = imp.Name.Name
			}
		}
	}
	if syscallName == "" {
		return out, nil
	}
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); !ok || x.Name != syscallName {
			return true
		}
		for _, k := range kernelNames {
			if strings.HasPrefix(sel.Sel.Name, k) {
				complain(sel.Pos(), "syscall."+sel.Sel.Name)
				break
			}
		}
		return true
	})
	return out, nil
}

// linuxOnly reports whether a file is built on no other system, by its name
// or its constraint.
func linuxOnly(name string, src []byte) (bool, error) {
	base := strings.TrimSuffix(strings.TrimSuffix(path.Base(name), ".go"), "_test")
	for part := range strings.SplitSeq(base, "_") {
		// GOOS is the last part, or the last but one before GOARCH.
		if part == "linux" && (strings.HasSuffix(base, "_linux") || strings.Contains(base, "_linux_")) {
			return true, nil
		}
	}
	for line := range bytes.Lines(src) {
		text := strings.TrimSpace(string(line))
		if strings.HasPrefix(text, "package ") {
			break
		}
		if !constraint.IsGoBuild(text) {
			continue
		}
		x, err := constraint.Parse(text)
		if err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		}
		for _, other := range []string{"darwin", "windows", "freebsd"} {
			for _, tags := range []bool{true, false} { // with all other tags, and with none
				if x.Eval(func(t string) bool {
					switch t {
					case "linux", "darwin", "windows", "freebsd":
						return t == other
					case "unix":
						return other != "windows"
					}
					return tags
				}) {
					return false, nil
				}
			}
		}
		return true, nil
	}
	return false, nil
}
