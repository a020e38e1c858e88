// Package house guards the shape of the project: which package may import
// which, which files may speak to the kernel, which folders there are. Its
// tests read the project itself.
package house

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Module is the path of our module.
const Module = "github.com/lvskit/lvskit"

// Package is what the rules look at: a package, or its tests. Paths are below
// Module, the root is ".".
type Package struct {
	// Path is the package's own path.
	Path string
	// Imports and TestImports are the paths of our packages that it imports
	// itself, and that its tests do beyond that.
	Imports, TestImports []string
}

// A room is a part of the house, a folder and all below it, and which of our
// packages its own may import, beside those of the same room.
type room struct {
	name string
	may  []string
}

// rooms are the arrows of the design. What is in no room may import what it
// likes but internal packages.
var rooms = []room{
	{"health/pool", []string{"health"}},
	{"lvscf/convert", []string{"lvscf", "ipvs", "ipvs/ipvsadm"}},
	{"lvscf", nil},
	{"sched/simulate", []string{"sched", "sched/feedback"}},
	{"sched/predict", []string{"sched"}},
	{"sched/feedback", nil},
	{"sched", nil},
	{"health/dsr", []string{"health", "ipvs"}},
	{"health", nil},
	{"failover/track", []string{"failover/vrrp", "failover/internal/rtnl"}},
	{"failover", nil},
	{"ipvs/userspace", []string{"ipvs", "sched"}},
	{"ipvs/ipvstest", []string{"ipvs"}},
	{"ipvs/ipvsadm", []string{"ipvs"}},
	{"ipvs/procfs", []string{"ipvs"}},
	{"ipvs", nil},
}

// alone are packages that import nothing of ours, not even of their room:
// what is below them depends on them, never the other way round. A parent
// of its own small parts, such as failover of failover/pulse, is not alone.
var alone = []string{"ipvs", "sched"}

// isDouble reports whether a package is the test double of the one above it:
// health/healthtest.
func isDouble(p string) bool { return path.Base(p) == path.Base(path.Dir(p))+"test" }

// insiders may import internal packages.
var insiders = []string{"cmd", "examples", "internal"}

// toolRooms are internal packages that serve tests and tools only: no program
// of ours contains them.
var toolRooms = []string{"internal/rig", "internal/lab", "internal/house", "internal/tools", "internal/bench", "internal/schedlab"}

// within reports whether a path is the folder or below it.
func within(p, folder string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

func withinAny(p string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return within(p, f) })
}

// roomOf returns the first room, so the innermost, that a path is in.
func roomOf(p string) (room, bool) {
	i := slices.IndexFunc(rooms, func(r room) bool { return within(p, r.name) })
	if i < 0 {
		return room{}, false
	}
	return rooms[i], true
}

// inRoom reports whether a path is in the room itself, not in one inside of it.
func inRoom(p string, r room) bool {
	own, _ := roomOf(p)
	return own.name == r.name
}

// Arrows returns a complaint for every import that the design forbids.
func Arrows(pkgs []Package) []string {
	var out []string
	for _, p := range pkgs {
		for _, to := range p.Imports {
			if why := arrow(p.Path, to); why != "" {
				out = append(out, fmt.Sprintf("%s imports %s: %s", p.Path, to, why))
			}
		}
		for _, to := range p.TestImports {
			if why := testArrow(p.Path, to); why != "" {
				out = append(out, fmt.Sprintf("tests of %s import %s: %s", p.Path, to, why))
			}
		}
	}
	return out
}

func arrow(from, to string) string {
	if withinAny(to, toolRooms) && !withinAny(from, toolRooms) {
		return "only tests may use the tools of tests"
	}
	if within(to, "internal") && !withinAny(from, insiders) {
		return "only cmd, examples and internal packages may use internal ones"
	}
	if withinAny(to, []string{"cmd", "examples"}) && !withinAny(from, []string{"cmd", "examples"}) {
		return "nothing stands on the programs"
	}
	if isDouble(to) && !isDouble(from) {
		return "only tests may use a test double"
	}
	r, ok := roomOf(from)
	if !ok {
		return ""
	}
	switch {
	case isDouble(from) && to == path.Dir(from):
		return "" // to stand in for it, or to drive it
	case within(to, r.name) && slices.Contains(alone, from):
		return "it imports nothing of ours"
	case within(to, r.name) && !inRoom(to, r):
		return "the room inside of it stands beside it, and it can do without"
	case within(to, r.name) && within(from, to) && from != to && !slices.Contains(r.may, to):
		return "a part may not import the whole it belongs to"
	case within(to, r.name), slices.Contains(r.may, to):
		return ""
	case len(r.may) == 0:
		return "it imports nothing of ours outside of " + r.name
	}
	return "it may import only " + strings.Join(r.may, ", ")
}

// testArrow is laxer: tests may use the tools of tests, and what is above the
// package they belong to within the same room or the fake of it.
func testArrow(from, to string) string {
	if withinAny(to, toolRooms) || isDouble(to) && withinAny(from, insiders) || within(to, from) {
		return ""
	}
	if r, ok := roomOf(from); ok && within(to, strings.SplitN(r.name, "/", 2)[0]) {
		return ""
	}
	return arrow(from, to)
}

// TopLevel are the folders that the root may have.
var TopLevel = []string{
	"cmd", "examples", "failover", "health", "internal", "ipvs", "lvscf", "sched",
	// Not packages, and not always there.
	"bin", "dist", "testdata",
}

// Folders returns a complaint for every folder of the root that is not in
// TopLevel. Hidden ones are left alone.
func Folders(names []string) []string {
	var out []string
	for _, n := range names {
		if !strings.HasPrefix(n, ".") && !slices.Contains(TopLevel, n) {
			out = append(out, fmt.Sprintf("folder %s: not in the design; add it there and to TopLevel, with a reason", n))
		}
	}
	return out
}
