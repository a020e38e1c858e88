package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lvskit/lvskit/internal/rig/guest"
)

// packLimit bounds what is packed into a guest.
const packLimit = 512 << 20

// qemu prepares a virtual machine whose whole file system is packed into the
// archive that the kernel unpacks into memory.
func qemu(ctx context.Context, cfg *Config, spec *guest.Spec, work string) (*exec.Cmd, error) {
	program, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return nil, fmt.Errorf("%w: install the package qemu-system-x86", err)
	}
	if _, err := parseMemory(cfg.Memory); err != nil {
		return nil, err
	}
	spec.Modules = loadedModules
	initrd := filepath.Join(work, "initrd")
	if err := pack(ctx, cfg, spec, initrd); err != nil {
		return nil, fmt.Errorf("pack the guest: %w", err)
	}
	out := filepath.Join(work, guest.OutputFile)
	return exec.Command(program,
		"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", cfg.Memory,
		"-no-reboot", "-nodefaults", "-display", "none",
		"-kernel", filepath.Join(cfg.KernelPath, "vmlinuz"), "-initrd", initrd,
		// Without no_timer_check a guest panics at boot when a busy host
		// leaves its emulated timer late.
		"-append", "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off tsc=reliable no_timer_check",
		"-serial", "stdio", "-serial", "file:"+out,
	), nil
}

// pack writes the archive: the first process, the spec, the program, what it
// is linked with, its testdata, the modules, and what FilesVariable names.
func pack(ctx context.Context, cfg *Config, spec *guest.Spec, to string) error {
	b, err := spec.Marshal()
	if err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	p := &packer{archive: newArchive(f)}
	for _, dir := range []string{"/proc", "/sys", "/dev", "/run", "/tmp", "/etc", spec.Dir} {
		if err := p.folder(dir); err != nil {
			return err
		}
	}
	if err := p.file(guest.PackedSpec, 0o644, int64(len(b)), bytes.NewReader(b)); err != nil {
		return err
	}
	if err := p.add(cfg.Init, "/init"); err != nil {
		return err
	}
	if err := p.tree(ctx, spec.Args[0]); err != nil {
		return err
	}
	// kmod's modprobe reads packed modules, which other ones cannot.
	if err := p.tree(ctx, "/sbin/modprobe"); err != nil {
		return err
	}
	optional := []string{
		filepath.Join(spec.Dir, "testdata"),
		"/etc/passwd", "/etc/group", "/etc/hosts", "/etc/protocols", "/etc/services", "/etc/nsswitch.conf",
	}
	for _, name := range optional {
		if err := p.tree(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, name := range filepath.SplitList(lookup(cfg.Env, FilesVariable)) {
		if !filepath.IsAbs(name) {
			return fmt.Errorf("%s: %q is not an absolute path", FilesVariable, name)
		}
		if err := p.tree(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", FilesVariable, err)
		}
	}
	if err := p.modules(cfg.KernelPath); err != nil {
		return err
	}
	if err := p.close(); err != nil {
		return err
	}
	return f.Close()
}

type packer struct {
	*archive
	size int64
}

// add packs one file under a name.
func (p *packer) add(file, as string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", file)
	}
	if p.size += st.Size(); p.size > packLimit {
		return fmt.Errorf("%s: more than %d bytes to pack", file, int64(packLimit))
	}
	return p.file(as, st.Mode(), st.Size(), f)
}

// tree packs a file, or all files of a folder, at the same place, with the
// libraries of the programs among them.
func (p *packer) tree(ctx context.Context, root string) error {
	// Symbolic links become what they point to.
	st, err := os.Stat(root)
	if err != nil {
		return err
	}
	if st.IsDir() {
		if err := p.folder(root); err != nil {
			return err
		}
		entries, err := os.ReadDir(root)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Type()&fs.ModeSymlink != 0 {
				// Only to files: a link to a folder may lead round in a circle.
				if st, err := os.Stat(filepath.Join(root, e.Name())); err != nil || !st.Mode().IsRegular() {
					continue
				}
			}
			if err := p.tree(ctx, filepath.Join(root, e.Name())); err != nil {
				return err
			}
		}
		return nil
	}
	if !st.Mode().IsRegular() {
		return nil
	}
	if err := p.add(root, root); err != nil {
		return err
	}
	if st.Mode()&0o111 == 0 {
		return nil
	}
	libs, err := libraries(ctx, root)
	if err != nil {
		return err
	}
	for _, lib := range libs {
		if err := p.add(lib, lib); err != nil {
			return err
		}
	}
	return nil
}

// modules packs the kernel's modules that packedModules names and the tables
// by which modprobe finds them.
func (p *packer) modules(kernel string) error {
	dirs, err := filepath.Glob(filepath.Join(kernel, "lib/modules/*"))
	if err != nil || len(dirs) != 1 {
		return fmt.Errorf("want one folder in %s/lib/modules, found %d %w", kernel, len(dirs), err)
	}
	dep, err := os.ReadFile(filepath.Join(dirs[0], "modules.dep"))
	if err != nil {
		return err
	}
	names, err := moduleClosure(string(dep), packedModules)
	if err != nil {
		return err
	}
	tables, err := filepath.Glob(filepath.Join(dirs[0], "modules.*"))
	if err != nil {
		return err
	}
	for _, t := range tables {
		names = append(names, filepath.Base(t))
	}
	release := filepath.Base(dirs[0])
	for _, name := range names {
		if err := p.add(filepath.Join(dirs[0], name), filepath.Join("/lib/modules", release, name)); err != nil {
			return err
		}
	}
	return nil
}

// libraries lists what a program is dynamically linked with, by asking the
// dynamic loader; a static program or a script has none.
func libraries(ctx context.Context, program string) ([]string, error) {
	if !isELF(program) {
		return nil, nil
	}
	out, err := exec.CommandContext(ctx, "ldd", program).CombinedOutput()
	if err != nil {
		if bytes.Contains(out, []byte("not a dynamic executable")) || bytes.Contains(out, []byte("statically linked")) {
			return nil, nil
		}
		return nil, fmt.Errorf("ldd %s: %w: %s", program, err, bytes.TrimSpace(out))
	}
	return parseLdd(string(out))
}

// parseLdd reads lines such as
//
//	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f...)
//	/lib64/ld-linux-x86-64.so.2 (0x00007f...)
func parseLdd(out string) ([]string, error) {
	var libs []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, "=> not found") {
			return nil, fmt.Errorf("library missing: %s", strings.TrimSpace(line))
		}
		f := strings.Fields(line)
		if i := slices.IndexFunc(f, func(s string) bool { return strings.HasPrefix(s, "/") }); i >= 0 {
			libs = append(libs, f[i])
		}
	}
	return libs, nil
}

func isELF(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	n, _ := f.Read(magic[:])
	return string(magic[:n]) == "\x7fELF"
}
