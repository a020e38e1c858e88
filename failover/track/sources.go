package track

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Device is a source that succeeds while a device is up and has a carrier.
// It works on Linux only, and hears of changes at once.
type Device struct {
	// Device is its name, as eth1.
	Device string
	// Namespace is the path of a network namespace, as /run/netns/blue; empty
	// means the one of the process.
	Namespace string
}

func (d Device) check() error {
	if d.Device == "" || len(d.Device) > 15 || strings.ContainsAny(d.Device, ":/ ") {
		return fmt.Errorf("device %q: give a device, as eth1", d.Device)
	}
	return nil
}

// Route is a source that succeeds while there is a route to exactly this
// prefix, over a device that has a carrier. It works on Linux only, and hears of
// changes at once.
type Route struct {
	// Prefix is where the route leads; 0.0.0.0/0 is the default route.
	Prefix netip.Prefix
	// Table is the number of the routing table; 0 means the main one.
	Table int
	// Via is the gateway it has to have, Device the device; the zero values are
	// any.
	Via    netip.Addr
	Device string
	// Namespace is that of [Device].
	Namespace string
}

func (r Route) check() error {
	var errs []error
	if !r.Prefix.IsValid() || r.Prefix != r.Prefix.Masked() {
		errs = append(errs, fmt.Errorf("prefix %v: give that of a network, as 198.51.100.0/24", r.Prefix))
	}
	if r.Table < 0 {
		errs = append(errs, fmt.Errorf("table %d: give its number, or 0 for the main one", r.Table))
	}
	if r.Via.IsValid() && r.Via.Is6() != r.Prefix.Addr().Is6() {
		errs = append(errs, fmt.Errorf("via %v: give a gateway of the prefix's family", r.Via))
	}
	return errors.Join(errs...)
}

// String returns the route as ip(8) would be told it.
func (r Route) String() string {
	s := r.Prefix.String()
	if r.Via.IsValid() {
		s += " via " + r.Via.String()
	}
	if r.Device != "" {
		s += " dev " + r.Device
	}
	if r.Table != 0 {
		s += " table " + strconv.Itoa(r.Table)
	}
	return s
}

// File is a source that is the number in a file, written in decimal with or
// without a sign, blanks around it and nothing else. It is read at each look.
type File struct {
	// Path is that of a regular file.
	Path string
}

// maxNumberFile bounds what is read of a File.
const maxNumberFile = 64

func (f File) check() error {
	if !filepath.IsAbs(f.Path) {
		return fmt.Errorf("file %q: give its whole path", f.Path)
	}
	return nil
}

// Look reports whether there is a number.
func (f File) Look(ctx context.Context) error {
	_, err := f.Number(ctx)
	return err
}

// Number reads the number.
func (f File) Number(context.Context) (int, error) {
	// A pipe would keep whoever opens it waiting.
	if info, err := os.Stat(f.Path); err != nil {
		return 0, err
	} else if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is no regular file", f.Path)
	}
	file, err := os.Open(f.Path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxNumberFile+1))
	if err != nil {
		return 0, err
	}
	return parseNumber(f.Path, b)
}

// parseNumber reads what a File holds.
func parseNumber(path string, b []byte) (int, error) {
	n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 32)
	if err != nil || len(b) > maxNumberFile {
		return 0, fmt.Errorf("%s holds %.20q, which is no number", path, b)
	}
	return int(n), nil
}

// Program is a source that runs a program without a shell and succeeds if
// it exits with 0. A program that takes too long is killed, on Linux with all
// that it started and left in its process group.
type Program struct {
	// Path is the program's, whole. Args are its arguments.
	Path string
	Args []string
}

// maxSaid bounds how much of a program's words is told.
const maxSaid = 200

func (p Program) check() error {
	if !filepath.IsAbs(p.Path) {
		return fmt.Errorf("program %q: give its whole path", p.Path)
	}
	return nil
}

// Look runs the program.
func (p Program) Look(ctx context.Context) error {
	var said head
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = 100 * time.Millisecond // for a child that keeps our pipe
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	err := waitAll(ctx, cmd)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("killed: %w", ctx.Err())
	case errors.Is(err, exec.ErrWaitDelay):
		return nil // it exited with 0, and left something behind
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if line := said.line(); line != "" {
			return fmt.Errorf("%w: %s", err, line)
		}
	}
	return err
}

// head keeps the first bytes that are written.
type head struct{ b []byte }

func (h *head) Write(b []byte) (int, error) {
	h.b = append(h.b, b[:min(len(b), maxSaid-len(h.b))]...)
	return len(b), nil
}

// line returns the first line that is not blank, fit for a log.
func (h *head) line() string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(h.b)), "\n")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSpace(line), "?"))
}

var (
	_ Watcher = Device{}
	_ Watcher = Route{}
	_ Number  = File{}
	_ Source  = Program{}
)
