package director

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/pulse"
)

// PairOptions are what a configuration cannot know of the machine it is on.
type PairOptions struct {
	// Role is "primary", "backup", or "auto" to tell by the local addresses.
	Role string
	// Channels replace the heartbeat paths of the configuration; for pairs
	// whose paths differ in more than the address.
	Channels []failover.Channel
	// KeyFile holds the key that both routers share, in place of the one that
	// the configuration names; DefaultKeyFile counts when neither does.
	KeyFile, DefaultKeyFile string
	// Local lists the addresses of this machine.
	Local func() ([]netip.Addr, error)
	// Legacy is the heartbeat of Piranha's pulse, which has no key.
	Legacy bool
	// Witness and Fence replace those of the configuration; the zero values
	// leave them.
	Witness netip.Addr
	Fence   string
}

// Identities of a node.
const (
	IdentityAlone   = "alone"
	IdentityPrimary = "primary"
	IdentityBackup  = "backup"
)

// Pair works out this node's part in the pair: the failover configuration
// and the identity, "primary", "backup" or "alone".
func (s *Setup) Pair(o PairOptions) (failover.Config, string, error) {
	h := s.Heartbeat
	if !h.Enabled {
		if o.Role == IdentityBackup {
			return failover.Config{}, "", fmt.Errorf("%s: backup_active is 0, so there is no backup router to be: set backup_active = 1 on both routers", s.Source)
		}
		return failover.Config{Primary: true}, IdentityAlone, nil
	}
	identity, err := s.identity(o)
	if err != nil {
		return failover.Config{}, "", err
	}
	keys, err := s.Keys(o)
	if err != nil {
		return failover.Config{}, "", err
	}
	c := failover.Config{
		Primary:   identity == IdentityPrimary,
		Channels:  o.Channels,
		Keys:      keys,
		Legacy:    o.Legacy,
		Interval:  h.Interval,
		DeadAfter: h.DeadAfter,
	}
	if len(c.Channels) == 0 {
		mine, theirs := h.Primary, h.Backup
		if !c.Primary {
			mine, theirs = theirs, mine
		}
		names := []string{"public", "private"}
		for i := range min(len(mine), len(theirs)) {
			name := fmt.Sprintf("path %d", i+1)
			if i < len(names) {
				name = names[i]
			}
			c.Channels = append(c.Channels, failover.Channel{
				Name:  name,
				Local: netip.AddrPortFrom(mine[i], h.Port),
				Peer:  netip.AddrPortFrom(theirs[i], h.Port),
			})
		}
	}
	if err := h.beforeTakingOver(&c, o); err != nil {
		return failover.Config{}, "", err
	}
	return c, identity, nil
}

// identity tells which of the two routers this machine is.
func (s *Setup) identity(o PairOptions) (string, error) {
	switch o.Role {
	case IdentityPrimary, IdentityBackup:
		return o.Role, nil
	case "auto", "":
	default:
		return "", fmt.Errorf("role %q: want auto, primary or backup", o.Role)
	}
	local, err := o.Local()
	if err != nil {
		return "", fmt.Errorf("list the addresses of this machine: %w; name the router with --role primary or --role backup", err)
	}
	here := func(as []netip.Addr) bool {
		return slices.ContainsFunc(as, func(a netip.Addr) bool { return slices.Contains(local, a) })
	}
	p, b := here(s.Heartbeat.Primary), here(s.Heartbeat.Backup)
	switch {
	case p && b:
		return "", fmt.Errorf("%s: this machine has the addresses of both routers, primary %v and backup %v: say which it is with --role primary or --role backup", s.Source, s.Heartbeat.Primary, s.Heartbeat.Backup)
	case p:
		return IdentityPrimary, nil
	case b:
		return IdentityBackup, nil
	}
	return "", fmt.Errorf("%s: this machine has neither the primary's address %v nor the backup's %v: mend the file, or say which it is with --role primary or --role backup", s.Source, s.Heartbeat.Primary, s.Heartbeat.Backup)
}

// A shorter key can be guessed; a longer file is no key.
const (
	minKey = 16
	maxKey = 4096
)

const keyCure = "make one with: (umask 077; head -c 32 /dev/urandom | base64 >FILE), give the same file to both routers, and name it with heartbeat_key_file = FILE or --key-file FILE"

// Keys reads the keys of the heartbeat, none of a legacy one or without a
// partner. A reload reads them anew, so that they can change.
func (s *Setup) Keys(o PairOptions) ([]pulse.Key, error) {
	if !s.Heartbeat.Enabled || o.Legacy {
		return nil, nil
	}
	path := cmp.Or(o.KeyFile, s.Heartbeat.KeyFile, o.DefaultKeyFile)
	text, err := readSecret("heartbeat key", path, minKey, keyCure)
	if err != nil {
		return nil, err
	}
	list, err := keyLines(text, math.MaxUint32)
	if err != nil {
		return nil, fmt.Errorf("heartbeat key %s: %w", path, err)
	}
	if list == nil {
		return []pulse.Key{{Secret: text}}, nil
	}
	keys := make([]pulse.Key, len(list))
	for i, k := range list {
		keys[i] = pulse.Key{ID: k.id, Secret: k.secret}
	}
	if err := pulse.CheckKeys(keys); err != nil {
		return nil, fmt.Errorf("heartbeat key %s: %w", path, err)
	}
	return keys, nil
}

// numbered is a key with its number.
type numbered struct {
	id     uint32
	secret []byte
}

// keyLines reads a file of several keys, a line for each: key NUMBER SECRET. The
// first one signs, and all are believed. It is nil for a file that is one key.
func keyLines(text []byte, most uint64) (keys []numbered, err error) {
	for n, line := range bytes.Split(text, []byte("\n")) {
		words := bytes.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if string(words[0]) != "key" || len(words) != 3 {
			if keys != nil {
				return nil, fmt.Errorf("line %d: want key NUMBER SECRET, as in the lines before", n+1)
			}
			return nil, nil
		}
		id, err := strconv.ParseUint(string(words[1]), 10, 32)
		if err != nil || id == 0 || id > most {
			return nil, fmt.Errorf("line %d: want key NUMBER SECRET with a number of 1 to %d", n+1, most)
		}
		keys = append(keys, numbered{uint32(id), words[2]})
	}
	return keys, nil
}

// readSecret reads a password or key that nobody else may read.
func readSecret(what, path string, least int, cure string) ([]byte, error) {
	if path == "" {
		return nil, fmt.Errorf("no file of the %s is named: %s", what, cure)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s %s is missing: %s", what, path, cure)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s %s: not a regular file: %s", what, path, cure)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s %s: everybody may use it (mode %04o): chmod 600 %s", what, path, info.Mode().Perm(), path)
	}
	if info.Size() > maxKey {
		return nil, fmt.Errorf("%s %s: %d bytes are no key: %s", what, path, info.Size(), cure)
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	secret = bytes.TrimSpace(secret)
	if len(secret) < least {
		return nil, fmt.Errorf("%s %s: %d bytes are too few, at least %d: %s", what, path, len(secret), least, cure)
	}
	return secret, nil
}
