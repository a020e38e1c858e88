// Package guest is the inside of the rig: what the wrapper hands to the guest
// (Spec), and the first process of the guest, which reads it, prepares the
// system, runs the one command and reports how it ended.
package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Names that the wrapper and the guest agree on. Files are relative to the
// result folder, which the guest sees at ResultDir.
const (
	// DirVariable names, on the kernel's command line and so in the first
	// process's environment, the host folder that holds SpecFile.
	DirVariable = "LVSKIT_RIG_DIR"
	// PackedSpec is where a guest without the host's files finds its Spec.
	PackedSpec = "/rig/spec.json"
	// ResultDir is where the guest mounts the result folder.
	ResultDir = "/run/rig"
	// SpecFile holds the Spec as JSON.
	SpecFile = "spec.json"
	// OutputFile receives stdout and stderr of the command.
	OutputFile = "output"
	// ExitFile holds the exit code in decimal; it appears whole or not at all.
	ExitFile = "exit"
	// ExitLine precedes the exit code on the console of a guest that has no
	// result folder. It stands at the start of a line.
	ExitLine = "@@lvskit-rig exit="
	// BeginLine stands on that console before the command begins.
	BeginLine = "@@lvskit-rig begins"
)

// Spec says what a guest has to run.
type Spec struct {
	// Args is the command; Args[0] is the absolute path of the program.
	Args []string `json:"args"`
	// Env is the whole environment of the command, each "KEY=value".
	Env []string `json:"env"`
	// Dir is the absolute working directory.
	Dir string `json:"dir"`
	// Modules are kernel modules to load before the command starts, where the
	// kernel has modules at all.
	Modules []string `json:"modules,omitempty"`
	// ModuleDir is the folder that has a folder of modules named for the
	// release of the kernel; empty means the usual /lib/modules.
	ModuleDir string `json:"module_dir,omitempty"`
	// Show are host folders that the guest's own /tmp, /run and /dev/shm
	// would hide; they are shown read-only at their place.
	Show []string `json:"show,omitempty"`
	// Packed says that everything was packed into the guest: there is no host
	// file system, output goes to OutputDevice and the exit code to the console.
	Packed bool `json:"packed,omitempty"`
}

// OutputDevice is where a packed guest writes the output of the command.
const OutputDevice = "/dev/ttyS1"

// hidden are the places where the guest mounts file systems of its own.
var hidden = []string{"/tmp", "/run", "/dev/shm"}

// Shows returns the folders to show so that the paths are visible in the
// guest: the first folder beneath a hidden place for each path that lies in
// one. Paths are absolute and free of symbolic links. The result is free of
// doubles and in the order of the paths.
func Shows(paths ...string) []string {
	var out []string
	seen := map[string]bool{}
	for _, p := range paths {
		p = filepath.Clean(p)
		for _, h := range hidden {
			rest, ok := strings.CutPrefix(p, h+"/")
			if !ok {
				continue
			}
			first, _, _ := strings.Cut(rest, "/")
			if d := h + "/" + first; !seen[d] {
				seen[d] = true
				out = append(out, d)
			}
		}
	}
	return out
}

// Marshal returns the JSON form of the spec, or an error when the spec could
// not run.
func (s *Spec) Marshal() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return json.Marshal(s)
}

// ParseSpec reads what Marshal wrote.
func ParseSpec(b []byte) (*Spec, error) {
	s := new(Spec)
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("spec of the guest: %w", err)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Spec) check() error {
	switch {
	case len(s.Args) == 0:
		return errors.New("spec of the guest: no command")
	case !strings.HasPrefix(s.Args[0], "/"):
		return fmt.Errorf("spec of the guest: program %q is not an absolute path", s.Args[0])
	case !strings.HasPrefix(s.Dir, "/"):
		return fmt.Errorf("spec of the guest: working directory %q is not an absolute path", s.Dir)
	}
	return nil
}
