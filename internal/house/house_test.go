package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// root is where the project begins, seen from here.
const root = "../.."

// listed is what go list -json says of a package.
type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// readPackages lists our packages as they are for one system, with all tests.
func readPackages(t *testing.T, goos string) []Package {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-tags", "netns,peers,kernel,simtime,rig,rigguest",
		"-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+goos)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("go list: %v: %s", err, said.String())
	}
	var pkgs []Package
	for d := json.NewDecoder(&out); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		p := Package{Path: relative(l.ImportPath), Imports: ours(l.Imports)}
		for _, imp := range ours(append(l.TestImports, l.XTestImports...)) {
			if !slices.Contains(p.Imports, imp) && imp != p.Path {
				p.TestImports = append(p.TestImports, imp)
			}
		}
		pkgs = append(pkgs, p)
	}
}

func relative(importPath string) string {
	if importPath == Module {
		return "."
	}
	return strings.TrimPrefix(importPath, Module+"/")
}

func ours(imports []string) []string {
	var out []string
	for _, i := range imports {
		if i == Module || strings.HasPrefix(i, Module+"/") {
			out = append(out, relative(i))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestArrowsOfTheProject(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		t.Run(goos, func(t *testing.T) {
			pkgs := readPackages(t, goos)
			if !slices.ContainsFunc(pkgs, func(p Package) bool { return p.Path == "internal/house" }) {
				t.Fatalf("go list does not even find this package: %+v", pkgs)
			}
			for _, c := range Arrows(pkgs) {
				t.Error(c)
			}
		})
	}
}

func TestArrowsComplain(t *testing.T) {
	p := func(path string, imports ...string) Package { return Package{Path: path, Imports: imports} }
	tests := map[string]Package{
		"lvscf imports sched":                     p("lvscf", "sched"),
		"sched imports ipvs":                      p("sched", "ipvs"),
		"sched imports its own part":              p("sched", "sched/feedback"),
		"feedback imports sched":                  p("sched/feedback", "sched"),
		"predict imports ipvs":                    p("sched/predict", "ipvs"),
		"simulate imports predict":                p("sched/simulate", "sched/predict"),
		"ipvs imports its own part":               p("ipvs", "ipvs/ipvstest"),
		"ipvs imports sched":                      p("ipvs", "sched"),
		"userspace imports health":                p("ipvs/userspace", "health"),
		"userspace imports the fake":              p("ipvs/userspace", "ipvs/ipvstest", "ipvs"),
		"ipvstest imports sched":                  p("ipvs/ipvstest", "sched"),
		"health imports ipvs":                     p("health", "ipvs"),
		"health/dsr imports lvscf":                p("health/dsr", "lvscf"),
		"a part of health imports failover":       p("health/healthtest", "failover"),
		"failover imports health":                 p("failover", "health"),
		"pool imports ipvs":                       p("health/pool", "ipvs"),
		"health imports its double":               p("health", "health/healthtest"),
		"a program contains a double":             p("cmd/lvsctl", "ipvs/ipvstest"),
		"a double imports another room":           p("health/healthtest", "ipvs"),
		"failover imports the tracker":            p("failover", "failover/track"),
		"the tracker imports failover":            p("failover/track", "failover"),
		"the tracker imports pulse":               p("failover/track", "failover/pulse"),
		"pulse imports failover":                  p("failover/pulse", "failover"),
		"the root imports internal":               p(".", "internal/director"),
		"ipvs imports internal":                   p("ipvs", "internal/director"),
		"internal imports cmd":                    p("internal/director", "cmd/lvsctl"),
		"a program contains the lab":              p("cmd/lvsctl", "internal/lab"),
		"the director contains the rig":           p("internal/director", "internal/rig/machine"),
		"tests of sched import health":            {Path: "sched", TestImports: []string{"health"}},
		"tests of sched import a double":          {Path: "sched", TestImports: []string{"health/healthtest"}},
		"tests of ipvs import the director":       {Path: "ipvs", TestImports: []string{"internal/director"}},
		"a room is not what begins with its name": p("lvscfx", "internal/x"),
	}
	for name, pkg := range tests {
		t.Run(name, func(t *testing.T) {
			// The others are in order and must not be named.
			got := Arrows([]Package{p("cmd/lvsctl", "internal/director"), pkg, p("sched")})
			if len(got) != 1 {
				t.Errorf("want one complaint, got %q", got)
			}
		})
	}
}

func TestArrowsAllow(t *testing.T) {
	p := func(path string, imports ...string) Package { return Package{Path: path, Imports: imports} }
	got := Arrows([]Package{
		p("lvscf"), p("sched"), p("ipvs"),
		p("sched/feedback"), p("sched/predict", "sched"), p("sched/simulate", "sched", "sched/feedback"),
		p("ipvs/ipvstest", "ipvs"),
		p("ipvs/userspace", "ipvs", "sched"),
		p("ipvs/userspace/splice"), p("ipvs/userspace", "ipvs/userspace/splice"),
		p("health", "health/probe"), p("health/healthtest", "health"), p("failover/failovertest", "failover"), p("failover", "failover/pulse", "failover/announce"),
		p("failover/announce", "failover/wire"), p("failover/track", "failover/vrrp"), p("health/pool", "health"), p("health/dsr", "health", "ipvs"),
		p("internal/director", "lvscf", "ipvs", "ipvs/userspace", "health", "failover", "sched", "internal/state"),
		p("cmd/lvsctl", "internal/director", "ipvs"),
		p("examples/quickstart", "ipvs/userspace", "health"),
		p("internal/rig", "internal/rig/machine"),
		{Path: "ipvs", TestImports: []string{"ipvs/ipvstest", "internal/lab"}},
		{Path: "ipvs/ipvstest", Imports: []string{"ipvs"}, TestImports: []string{"ipvs/userspace"}},
		{Path: "internal/director", TestImports: []string{"ipvs/ipvstest", "health/healthtest"}},
		{Path: "failover/pulse", TestImports: []string{"failover"}},
		{Path: "failover", TestImports: []string{"failover/track"}},
	})
	if diff := cmp.Diff([]string(nil), got); diff != "" {
		t.Errorf("complaints (-want +got):\n%s", diff)
	}
}

// skipped reports whether a folder has no files of the project's module.
func skipped(name string) bool {
	return name == "testdata" || name == "bin" || name == "dist" || strings.HasPrefix(name, ".") && name != ".."
}

func TestSyscallsOfTheProject(t *testing.T) {
	files := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && skipped(d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		files++
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		complaints, err := Syscalls(filepath.ToSlash(name), src)
		for _, c := range complaints {
			t.Error(c)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Error("no files read")
	}
}

func TestSyscalls(t *testing.T) {
	tests := map[string]struct {
		file, src string
		want      int
	}{
		"unix in a file for all":         {"a/x.go", "package a\nimport _ \"golang.org/x/sys/unix\"", 1},
		"unix under a name":              {"a/x.go", "package a\nimport u \"golang.org/x/sys/unix\"\nvar _ = u.EINVAL", 1},
		"namespaces in a test for all":   {"a/x_test.go", "package a\nimport _ \"github.com/vishvananda/netns\"", 1},
		"a number of syscall":            {"a/x.go", "package a\nimport \"syscall\"\nvar _ = syscall.SYS_READ", 1},
		"a call of syscall, renamed":     {"a/x.go", "package a\nimport s \"syscall\"\nvar _ = s.RawSyscall6", 1},
		"for all but Windows":            {"a/x.go", "//go:build !windows\n\npackage a\nimport _ \"golang.org/x/sys/unix\"", 1},
		"for unix":                       {"a/x.go", "//go:build unix\n\npackage a\nimport _ \"golang.org/x/sys/unix\"", 1},
		"linux in the middle of a word":  {"a/notlinux.go", "package a\nimport _ \"golang.org/x/sys/unix\"", 1},
		"a file named linux has no GOOS": {"a/linux.go", "package a\nimport _ \"golang.org/x/sys/unix\"", 1},
		"for Linux by name":              {"a/x_linux.go", "package a\nimport _ \"golang.org/x/sys/unix\"", 0},
		"a test for Linux by name":       {"a/x_linux_test.go", "package a\nimport _ \"golang.org/x/sys/unix\"", 0},
		"for Linux and one processor":    {"a/x_linux_amd64.go", "package a\nimport _ \"golang.org/x/sys/unix\"", 0},
		"for Linux by tag":               {"a/x.go", "// Words.\n\n//go:build linux && (kernel || netns)\n\npackage a\nimport _ \"golang.org/x/sys/unix\"", 0},
		"signals and errors":             {"a/x.go", "package a\nimport \"syscall\"\nvar _ = syscall.SIGTERM\nvar _ = syscall.ENOENT", 0},
		"a field of the same name":       {"a/x.go", "package a\nvar syscall struct{ SYS_READ int }\nvar _ = syscall.SYS_READ", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Syscalls(tt.file, []byte(tt.src))
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != tt.want {
				t.Errorf("want %d complaints, got %q", tt.want, got)
			}
		})
	}
}

func TestFoldersOfTheProject(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	for _, c := range Folders(names) {
		t.Error(c)
	}
	if !slices.Contains(names, "internal") {
		t.Errorf("the root was not read: %q", names)
	}
}

func TestFolders(t *testing.T) {
	if got := Folders([]string{".git", ".ci", "ipvs", "pkg", "internal", "utils"}); len(got) != 2 {
		t.Errorf("want complaints of pkg and utils, got %q", got)
	}
}
