//go:build !linux

package failover

import "runtime"

// BeatMain returns at once: there is no beat process on this system.
func BeatMain() {}

// beatPlatform has nothing to start.
func beatPlatform() (spawn func(*BeatConfig) (*process, error), lost string, err error) {
	return nil, "no beat process on " + runtime.GOOS + ": routers and nodes run in the daemon, what keeps it busy may delay heartbeats, " +
		"and nobody removes the addresses if it is killed", nil
}
