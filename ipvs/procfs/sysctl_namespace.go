package procfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lvskit/lvskit/ipvs"
)

const (
	// maxSysctls bounds the names that are read; 6.12 has 31.
	maxSysctls = 1024
	// maxSysctl bounds a value. The longest is a list of processors.
	maxSysctl = 64 << 10
)

var errBadName = errors.New("no name of a sysctl: want letters, digits and _")

// Sysctls reads all sysctls that are present: on older kernels (6.1) none in a
// network namespace that belongs to another than the initial user namespace.
// With an error it returns those that could be read; one that goes away
// meanwhile, with its module, is not an error.
func (n *Namespace) Sysctls() (Sysctls, error) {
	set := Sysctls{}
	err := n.enter(func() error {
		dir, err := os.Open(n.sysDir)
		if err != nil {
			return n.sysctlError(opRead, "", "", err)
		}
		defer dir.Close()
		names, err := dir.Readdirnames(maxSysctls)
		if err != nil && err != io.EOF {
			return n.sysctlError(opRead, "", "", err)
		}
		var errs []error
		for _, name := range names {
			v, err := readSysctl(filepath.Join(n.sysDir, name))
			switch {
			case err == nil:
				set[Name(name)] = v
			case !errors.Is(err, fs.ErrNotExist):
				errs = append(errs, n.sysctlError(opRead, Name(name), "", err))
			}
		}
		return errors.Join(errs...)
	})
	return set, n.located(opRead, sysctlName(""), "", err)
}

// SetSysctl sets one sysctl. A value outside the range of [KnownSysctls] is
// refused before anything is written; one that is not known there is left to
// the kernel. An absent one is [errors.ErrUnsupported], and the error says
// what it takes.
func (n *Namespace) SetSysctl(name Name, v Value) error {
	v = normalValue(string(v))
	s, known := LookupSysctl(name)
	if err := s.Validate(v); err != nil {
		return invalid(n.path, name, v, err)
	}
	if !known && !validName(name) {
		return invalid(n.path, name, v, errBadName)
	}
	return n.located(opSet, sysctlName(name), v, n.enter(func() error { return n.write(name, v) }))
}

// RestoreSysctls sets what differs from a set, usually one that was read
// before, in the order of the names. It does what it can, and returns the
// errors of what it cannot, joined. Values that the kernel once gave out pass
// even if SetSysctl would refuse them.
func (n *Namespace) RestoreSysctls(saved Sysctls) error {
	have, err := n.Sysctls()
	if err != nil && len(have) == 0 {
		return err
	}
	changes := DiffSysctls(have, saved)
	if len(changes) == 0 {
		return nil
	}
	var errs []error
	err = n.enter(func() error {
		for _, c := range changes {
			if !validName(c.Name) {
				errs = append(errs, invalid(n.path, c.Name, c.New, errBadName))
			} else if err := n.write(c.Name, normalValue(string(c.New))); err != nil {
				errs = append(errs, err)
			}
		}
		return nil
	})
	if err != nil {
		return n.located(opSet, sysctlName(""), "", err)
	}
	return errors.Join(errs...)
}

// write sets a sysctl. It is for threads that are in the namespace.
func (n *Namespace) write(name Name, v Value) error {
	f, err := os.OpenFile(filepath.Join(n.sysDir, string(name)), os.O_WRONLY, 0)
	if err == nil {
		// With its end, as the kernel takes no notice of writing nothing.
		_, err = f.WriteString(string(v) + "\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return n.sysctlError(opSet, name, v, err)
	}
	return nil
}

func readSysctl(path string) (Value, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(&bounded{f, maxSysctl})
	if err != nil {
		return "", err
	}
	return normalValue(string(text)), nil
}

// sysctlError explains an error of a sysctl, or of the folder when name is
// empty. It is for threads that are in the namespace.
func (n *Namespace) sysctlError(op string, name Name, v Value, err error) error {
	e := &Error{Op: op, Name: sysctlName(name), Value: v, NetNS: n.path, Err: err}
	s, known := LookupSysctl(name)
	absent := "this kernel does not know it, check the name"
	if known {
		absent = "this kernel's IPVS does not have it here"
		if s.Since != "" {
			absent += " (it is there: " + s.Since + ")"
		}
	}
	if names, err := os.ReadDir(n.sysDir); err == nil && len(names) == 0 {
		absent = "this kernel hides all sysctls of IPVS where the network namespace is not the initial user's (rootless containers)"
	}
	explain(e, n.loaded, absent)
	if known && errors.Is(e, ipvs.ErrInvalid) {
		e.cure = "want " + s.takes() + "; the kernel may take less"
	}
	return e
}

// located makes an *Error of one that tells nothing of where it comes from.
func (n *Namespace) located(op, name string, v Value, err error) error {
	if e := (*Error)(nil); err == nil || errors.As(err, &e) {
		return err
	}
	return &Error{Op: op, Name: name, Value: v, NetNS: n.path, Err: err}
}
