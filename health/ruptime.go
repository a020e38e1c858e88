package health

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// RuptimeConfig sets up a [Ruptime] check.
type RuptimeConfig struct {
	// RWho hears the packets. Nil is one of the check's own with the
	// defaults: do that once for a network namespace.
	RWho *RWho
	// Name is what the host calls itself, without its domain: under that name
	// an rwhod on this machine keeps its packets, which are read where the
	// port is not to be had. Empty looks for the names of the target's
	// address. A packet that we hear ourselves is known by its address.
	Name string
}

// Ruptime tells a server's load from the newest packet of its rwhod, as the
// program ruptime does. The target's port plays no part.
//
// While [RWho.Run] runs it answers at once: OK with Result.Load; no result as
// long as no packet can be expected; a Fail when none has come for [RWhoDown].
// Otherwise the check itself listens, for as long as it has time: give it more
// than the three minutes between two packets. It is safe for concurrent use.
type Ruptime struct {
	who  *RWho
	name string
}

// NewRuptime returns a load check, or an error that names every field that
// cannot be used. A nil cfg means the defaults.
func NewRuptime(cfg *RuptimeConfig) (*Ruptime, error) {
	c := &Ruptime{}
	if cfg != nil {
		c.who, c.name = cfg.RWho, cfg.Name
	}
	if c.name != "" && !isSpoolName(c.name) {
		return nil, fmt.Errorf("ruptime check: name %q: want the name of a host without its domain, at most %d bytes", c.name, rwhoNameSize)
	}
	if c.who == nil {
		var err error
		if c.who, err = NewRWho(nil); err != nil {
			return nil, fmt.Errorf("ruptime check: %w", err)
		}
	}
	return c, nil
}

// isSpoolName tells whether there can be a spool file for a name.
func isSpoolName(name string) bool {
	return name != "" && len(name) <= rwhoNameSize && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || r == '/' || r == '\\'
	})
}

// Identity names the kind and the parameters of the check.
func (c *Ruptime) Identity() string {
	return fmt.Sprintf("ruptime name=%q%s", c.name, c.who.identity())
}

// Check looks for the newest packet.
func (c *Ruptime) Check(ctx context.Context, t Target) Result {
	a, cancel := begin(ctx, t)
	defer cancel()
	unknown := func(phase, format string, args ...any) Result {
		a.done(phase)
		return a.result(NoResult, phase+": "+fmt.Sprintf(format, args...))
	}
	host := t.Addr.Addr().Unmap()
	if !host.Is4() {
		return unknown("listen", "rwhod speaks IPv4 only")
	}
	if err := c.who.tell(host, time.Now()); err != nil {
		return unknown("listen", "%v", err)
	}
	know := c.who.about(host, time.Now())
	if !know.running {
		c.who.acquire()
		defer c.who.release()
	}
	for {
		now := time.Now()
		know = c.who.about(host, now)
		silent := now.Sub(know.heard)
		switch {
		case !know.heard.IsZero() && silent <= RWhoDown:
			return a.loaded("packet", know.packet.load, tellPacket(know.packet.name, silent))
		case know.err != nil:
			return c.fromSpool(a, host, know.err)
		case know.listening > RWhoDown && know.heard.IsZero():
			return a.wrong("packet", "none for %v, since we listen: is rwhod running there, and on the same network?", know.listening.Round(time.Second))
		case know.listening > RWhoDown:
			return a.wrong("packet", "none for %v: down, as rwhod sends every 3 minutes", silent.Round(time.Second))
		case know.running && know.listening >= 0:
			return unknown("packet", "none yet, listening for %v; rwhod sends every 3 minutes", know.listening.Round(time.Second))
		}
		select {
		case <-know.changed:
		case <-a.ctx.Done():
			if errors.Is(a.ctx.Err(), context.Canceled) {
				return a.failed("packet", a.ctx.Err())
			}
			return unknown("packet", "none within %v; rwhod sends every 3 minutes: give the check more time", time.Since(a.start).Round(10*time.Millisecond))
		}
	}
}

// fromSpool reads what the rwhod of this machine has heard, as we cannot
// listen ourselves.
func (c *Ruptime) fromSpool(a *attempt, host netip.Addr, why error) Result {
	a.done("listen")
	names := []string{c.name}
	if c.name == "" {
		var err error
		if names, err = spoolNames(a.ctx, host); err != nil {
			a.done("name")
			return a.result(NoResult, fmt.Sprintf("name: %v has none, by which to know its file in %s: give it one: %v", host, c.who.cfg.Spool, err))
		}
		a.done("name")
	}
	var packet rwhoPacket
	err := error(fs.ErrNotExist)
	for _, name := range names {
		if packet, err = readSpool(c.who.spoolFile(name)); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	taken := errors.Is(why, syscall.EADDRINUSE)
	if err != nil {
		a.done("spool")
		cannot := fmt.Sprintf("we cannot listen (%v)", why)
		if taken {
			cannot = "the port belongs to the rwhod of this machine"
		}
		return a.result(NoResult, fmt.Sprintf("spool: %s, and %s of %s: %v", cannot, c.who.spoolFile(names[0]), host, reasonOf(err)))
	}
	silent := max(time.Since(time.Unix(int64(packet.received), 0)), 0)
	switch {
	case silent <= RWhoDown:
		return a.loaded("spool", packet.load, tellPacket(packet.name, silent))
	case taken:
		return a.wrong("spool", "no packet for %v: down, as rwhod sends every 3 minutes", silent.Round(time.Second))
	}
	a.done("spool")
	return a.result(NoResult, fmt.Sprintf("spool: we cannot listen (%v), and what rwhod has kept is %v old", why, silent.Round(time.Second)))
}

// reasonOf is an error without the name of the file.
func reasonOf(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// spoolNames are the names that a host of this address may have in the spool:
// rwhod leaves the domain out.
func spoolNames(ctx context.Context, host netip.Addr) ([]string, error) {
	found, err := net.DefaultResolver.LookupAddr(ctx, host.String())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, full := range found[:min(len(found), 8)] {
		full = strings.TrimSuffix(full, ".")
		short, _, _ := strings.Cut(full, ".")
		for _, n := range []string{short, full} {
			if isSpoolName(n) && !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	if len(names) == 0 {
		return nil, errors.New("its names can be no files")
	}
	return names, nil
}

// readSpool reads a packet that rwhod has kept.
func readSpool(path string) (rwhoPacket, error) {
	b, err := readSmall(path, rwhoMax)
	if err != nil {
		return rwhoPacket{}, err
	}
	return parseRWho(b, binary.NativeEndian)
}
