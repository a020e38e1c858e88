package director

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"strconv"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/pulse"
	"github.com/lvskit/lvskit/failover/vrrp"
	"github.com/lvskit/lvskit/lvscf"
)

// A shorter key can be guessed; a longer file is no key.
const (
	minKey = 16
	maxKey = 4096
)

// How to mend the files of the three kinds.
const (
	makeKey      = "make one with: (umask 077; head -c 32 /dev/urandom | base64 >FILE), "
	keyCure      = makeKey + "give the same file to both routers, and name it with heartbeat_key_file = FILE or --key-file FILE"
	hmacCure     = makeKey + "give the same file to all its routers, and name it with key_file = FILE"
	passwordCure = "write the password that all its routers share into that file, and name it with key_file = FILE"
)

// keyError is what is wrong with a file of a key, and how to mend it.
type keyError struct {
	err  error
	cure string
}

func (e *keyError) Error() string { return e.err.Error() + ": " + e.cure }
func (e *keyError) Unwrap() error { return e.err }

// Keys reads the keys of the heartbeat, none of a legacy one or without a
// partner. A reload reads them anew, so that they can change.
func (s *Setup) Keys(o PairOptions) ([]pulse.Key, error) {
	if !s.Heartbeat.Enabled || o.Legacy {
		return nil, nil
	}
	return heartbeatKeys(cmp.Or(o.KeyFile, s.Heartbeat.KeyFile, o.DefaultKeyFile))
}

func heartbeatKeys(path string) ([]pulse.Key, error) {
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

// secrets reads the password or the keys of a router.
func (r *RouterSetup) secrets(c *failover.RouterConfig) error {
	switch r.Auth {
	case lvscf.VRRPPassword:
		text, err := readSecret("password", r.KeyFile, 1, passwordCure)
		if err != nil {
			return err
		}
		c.Password = string(firstLine(text))
	case lvscf.VRRPHMAC:
		text, err := readSecret("key", r.KeyFile, vrrp.MinKey, hmacCure)
		if err != nil {
			return err
		}
		list, err := keyLines(text, math.MaxUint8)
		if err != nil {
			return fmt.Errorf("key %s: %w", r.KeyFile, err)
		}
		for _, k := range list {
			c.Keys = append(c.Keys, vrrp.Key{ID: uint8(k.id), Secret: k.secret})
		}
		if list == nil {
			c.Keys = []vrrp.Key{{ID: 1, Secret: firstLine(text)}}
		}
	}
	return nil
}

// CheckKeys reads the files of keys and passwords that the configuration names
// for its failover, as a start does, and tells what is wrong with them.
func (s *Setup) CheckKeys() lvscf.Diagnostics {
	if s.Config == nil {
		return nil
	}
	return s.Config.CheckKeys(func(b *lvscf.VRRP) (cure string, err error) {
		var r *RouterSetup
		if b == nil {
			_, err = heartbeatKeys(s.Heartbeat.KeyFile)
			cure = "mend the file, and copy it to the other router"
		} else if r = s.router(b.Name); r != nil {
			cure = "mend the file, and copy it to the other routers"
			c := r.Config
			if err = r.secrets(&c); err == nil {
				if _, err = failover.NewRouter(&c); err != nil {
					err = fmt.Errorf("%v %s: %w", r.Auth, r.KeyFile, onOneLine{err})
				}
			}
		}
		if e := (*keyError)(nil); errors.As(err, &e) {
			return e.cure, e.err
		}
		return cure, err
	})
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

// readSecret reads a password or key that nobody else may read. Its error is a
// [*keyError].
func readSecret(what, path string, least int, cure string) ([]byte, error) {
	wrong := func(cure, format string, a ...any) ([]byte, error) {
		return nil, &keyError{fmt.Errorf(what+" "+format, a...), cure}
	}
	if path == "" {
		return nil, &keyError{fmt.Errorf("no file of the %s is named", what), cure}
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return wrong(cure, "%s: %w", path, reasonOf(err))
	case err != nil:
		return wrong("let the user of the daemon read it", "%s: %w", path, reasonOf(err))
	case !info.Mode().IsRegular():
		return wrong(cure, "%s: not a regular file", path)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0:
		return wrong("chmod 600 "+path, "%s: everybody may use it (mode %04o)", path, info.Mode().Perm())
	case info.Size() > maxKey:
		return wrong(cure, "%s: %d bytes are no key", path, info.Size())
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		return wrong("let the user of the daemon read it", "%s: %w", path, reasonOf(err))
	}
	secret = bytes.TrimSpace(secret)
	if len(secret) < least {
		return wrong(cure, "%s: %d bytes are too few, at least %d", path, len(secret), least)
	}
	return secret, nil
}

func firstLine(text []byte) []byte {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return bytes.TrimSpace(line)
}
