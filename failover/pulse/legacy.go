package pulse

import (
	"encoding/binary"

	"github.com/lvskit/lvskit/failover/internal/enum"
)

// LegacySize is the length of every heartbeat of Piranha's pulse.
const LegacySize = 4

// Legacy is a heartbeat of Piranha's pulse: a number of 32 bits in the byte
// order of the sender's machine, and nothing else. It carries no name, sequence,
// time or authentication: whoever can send from the partner's address can say
// all of it.
type Legacy uint8

// What Piranha's pulse says. A director in its fos mode starts whole services
// instead of balancing, and is no partner for one that balances.
const (
	// LegacyActive: balancing, and active.
	LegacyActive Legacy = 1 + iota
	// LegacyInactive: balancing, and not active.
	LegacyInactive
	// LegacyFosActive, LegacyFosInactive: the same in fos mode.
	LegacyFosActive
	LegacyFosInactive
	// LegacyFosTake: in fos mode, I take over.
	LegacyFosTake
	// LegacyHold, LegacyHeld: defined and never used.
	LegacyHold
	LegacyHeld
)

var legacyWords = [...]uint32{
	LegacyActive:      0xbdaddbda,
	LegacyInactive:    0xadbddabd,
	LegacyFosActive:   0xbeefbabe,
	LegacyFosInactive: 0xdeadbeef,
	LegacyFosTake:     0xdeaddada,
	LegacyHold:        0xdeafbabe,
	LegacyHeld:        0xdeafdada,
}

var legacyNames = [...]string{
	LegacyActive:      "active",
	LegacyInactive:    "inactive",
	LegacyFosActive:   "fos-active",
	LegacyFosInactive: "fos-inactive",
	LegacyFosTake:     "fos-take",
	LegacyHold:        "hold",
	LegacyHeld:        "held",
}

// String returns the name in lower case, or legacy(N) for unknown ones.
func (l Legacy) String() string { return enum.Name("legacy", legacyNames[:], uint8(l)) }

// AppendLegacy appends the heartbeat in the byte order of a machine, little
// endian or not, to dst. l must be one of the constants.
func AppendLegacy(dst []byte, l Legacy, little bool) []byte {
	if little {
		return binary.LittleEndian.AppendUint32(dst, legacyWords[l])
	}
	return binary.BigEndian.AppendUint32(dst, legacyWords[l])
}

// ParseLegacy reads a heartbeat in either byte order, and tells which it is: no
// two are the same the other way round. The error is a [Drop]: DropSize,
// DropMagic, or DropMode with what was read.
func ParseLegacy(p []byte) (l Legacy, little bool, err error) {
	if len(p) != LegacySize {
		return 0, false, DropSize
	}
	for l, word := range legacyWords {
		switch {
		case l == 0:
			continue
		case binary.LittleEndian.Uint32(p) == word:
			little = true
		case binary.BigEndian.Uint32(p) != word:
			continue
		}
		if Legacy(l) > LegacyInactive {
			return Legacy(l), little, DropMode
		}
		return Legacy(l), little, nil
	}
	return 0, false, DropMagic
}
