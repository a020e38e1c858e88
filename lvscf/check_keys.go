package lvscf

import (
	"errors"
	"fmt"
	"io/fs"
)

// CheckKeys asks for each file with a key or password that the running
// configuration names for its failover whether it can be used, and reports
// those that cannot. The function does the work, as packages that know the
// protocols do: r is the vrrp block whose file it is, nil for that of the
// heartbeats. It returns nil for a good one, and otherwise what is wrong, with
// the file's name, and how to mend it; an error that is [fs.ErrNotExist] or
// [fs.ErrPermission] is a warning, as the file may be there for another user or
// on another machine, and all others are errors.
func (c *Config) CheckKeys(usable func(r *VRRP) (cure string, err error)) Diagnostics {
	col := &collector{file: c.Path}
	ask := func(r *VRRP, pos Pos) {
		cure, err := usable(r)
		if !pos.IsValid() {
			pos = Pos{1, 1}
		}
		switch {
		case err == nil:
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			col.add(codeNoKey, pos, "", err.Error(), cure)
		default:
			col.add(codeBadKey, pos, "", err.Error(), cure)
		}
	}
	if c.FailoverMode == PulseMode {
		if c.BackupActive && c.HeartbeatKeyFile != "" {
			ask(nil, c.Origins.Pos("heartbeat_key_file"))
		}
		return col.finish()
	}
	for i := range c.VRRPs {
		if r := &c.VRRPs[i]; r.Auth != VRRPNoAuth {
			ask(r, firstPos(r.Origins.Pos("key_file"), r.Origins.Pos("auth"), r.Pos))
		}
	}
	return col.finish()
}

// idleKeys judges files of keys that nothing uses.
func (k *checker) idleKeys() {
	o := k.c.Origins
	if k.c.FailoverMode == VRRPMode && o.Has("heartbeat_key_file") && !o.refused("heartbeat_key_file") {
		k.add(codeIdleKey, o.Pos("heartbeat_key_file"), "heartbeat_key_file has no effect with failover_mode = vrrp, which has no heartbeats", "remove the line, and write auth and key_file into the vrrp blocks")
	}
	for i := range k.c.VRRPs {
		r := &k.c.VRRPs[i]
		if r.KeyFile != "" && r.Auth == VRRPNoAuth && !r.Origins.refused("auth") && k.c.FailoverMode == VRRPMode {
			k.add(codeIdleKey, r.Origins.Pos("key_file"), fmt.Sprintf("vrrp block %s names a key_file and no auth: its packets are not signed, and anybody's are believed", quote(r.Name)), "write auth = hmac, or auth = password with version = 2, or remove the line")
		}
	}
}
