package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/rig/guest"
)

// debianModules is where Debian's user-mode kernel keeps its modules.
const debianModules = "/usr/lib/uml/modules"

// userMode prepares a user-mode kernel: a process of this machine whose root
// is the host's file system, read-only.
func userMode(cfg *Config, spec *guest.Spec, work string) (*exec.Cmd, error) {
	if cfg.Kernel == Debian {
		spec.ModuleDir = debianModules
		spec.Modules = loadedModules
	}
	b, err := spec.Marshal()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(work, guest.SpecFile), b, 0o644); err != nil {
		return nil, err
	}
	// A link with a plain name, for the kernel's command line knows no quotes.
	init := filepath.Join(work, "init")
	if err := os.Symlink(cfg.Init, init); err != nil {
		return nil, err
	}
	args := []string{
		"mem=" + cfg.Memory,
		"umid=guest", "uml_dir=" + work + "/",
		"root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
		"init=" + init, guest.DirVariable + "=" + work,
		"con=null", "con0=null,fd:1", "con1=null", "console=tty0",
		"quiet", "loglevel=3", "noreboot", "panic=-1",
	}
	if cfg.SimulatedTime {
		args = append(args, "time-travel=inf-cpu")
	}
	cmd := exec.Command(cfg.KernelPath, args...)
	// The kernel puts its memory into an unlinked file in TMPDIR, else in
	// /dev/shm. A small /dev/shm, usual in containers, would kill it later.
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"}
	memory, err := parseMemory(cfg.Memory)
	if err != nil {
		return nil, err
	}
	var st unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &st); err != nil || st.Bavail*uint64(st.Bsize) < memory+memory/8 {
		cmd.Env = append(cmd.Env, "TMPDIR="+work)
	}
	return cmd, nil
}

// parseMemory reads a size such as 512M or 1G, in bytes.
func parseMemory(s string) (uint64, error) {
	shift := 0
	switch {
	case strings.HasSuffix(s, "M"):
		shift = 20
	case strings.HasSuffix(s, "G"):
		shift = 30
	}
	n, err := strconv.ParseUint(strings.TrimRight(s, "MG"), 10, 16)
	if err != nil || shift == 0 || n == 0 || n<<shift > 64<<30 || n<<shift < 64<<20 {
		return 0, fmt.Errorf("memory %q: want a number from 64M to 64G, such as 512M or 1G", s)
	}
	return n << shift, nil
}
