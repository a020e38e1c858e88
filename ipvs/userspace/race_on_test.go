//go:build race

package userspace

// raceEnabled tells that pools drop what they hold at random.
const raceEnabled = true
