package pulse

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	// MaxVerdicts is how many verdicts a list may have.
	MaxVerdicts = 4096

	verdictHead  = 8
	verdictSize  = 17
	verdictNever = math.MaxUint32
)

// Verdict is what a node knows of a target that both nodes check.
type Verdict struct {
	// ID names target and check, see [VerdictID].
	ID uint64
	// State is the sender's; this package does not look into it.
	State uint8
	// Age is how long ago the last answer came and Lasts how long ago the state
	// began, in whole milliseconds up to 49 days. Below 0 they say nothing.
	Age, Lasts time.Duration
}

// VerdictID makes an ID from the names of a target and of its check: the same
// on both nodes if the names are, and another one if one of them differs.
func VerdictID(target, check string) uint64 {
	h := sha256.New()
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(target)))
	h.Write(length[:])
	h.Write([]byte(target))
	h.Write([]byte(check))
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// AppendVerdicts appends a list, as it goes out in pieces, to dst: the sender's
// monotonic clock when the list was made, 8 bytes, and for each verdict 8 bytes
// ID, 1 byte state, and 4 bytes each of age and duration of the state in
// milliseconds, all ones if unknown. The error is about too long a list.
func AppendVerdicts(dst []byte, made time.Duration, list []Verdict) ([]byte, error) {
	if len(list) > MaxVerdicts {
		return nil, fmt.Errorf("pulse: %d verdicts; at most %d are possible", len(list), MaxVerdicts)
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(max(made, 0)))
	for _, v := range list {
		dst = binary.BigEndian.AppendUint64(dst, v.ID)
		dst = append(dst, v.State)
		dst = binary.BigEndian.AppendUint32(dst, millis(v.Age))
		dst = binary.BigEndian.AppendUint32(dst, millis(v.Lasts))
	}
	return dst, nil
}

func millis(d time.Duration) uint32 {
	if d < 0 {
		return verdictNever
	}
	return uint32(min(d/time.Millisecond, verdictNever-1))
}

// ErrBrokenVerdicts tells that what came in pieces is no list of verdicts.
var ErrBrokenVerdicts = errors.New("pulse: the pieces are no list of verdicts")

// ParseVerdicts reads what AppendVerdicts wrote. The error is
// ErrBrokenVerdicts.
func ParseVerdicts(p []byte) (made time.Duration, list []Verdict, err error) {
	if len(p) < verdictHead || (len(p)-verdictHead)%verdictSize != 0 || (len(p)-verdictHead)/verdictSize > MaxVerdicts {
		return 0, nil, ErrBrokenVerdicts
	}
	if made = time.Duration(binary.BigEndian.Uint64(p)); made < 0 {
		return 0, nil, ErrBrokenVerdicts
	}
	list = make([]Verdict, 0, (len(p)-verdictHead)/verdictSize)
	for p = p[verdictHead:]; len(p) > 0; p = p[verdictSize:] {
		list = append(list, Verdict{
			ID: binary.BigEndian.Uint64(p), State: p[8],
			Age: duration(binary.BigEndian.Uint32(p[9:])), Lasts: duration(binary.BigEndian.Uint32(p[13:])),
		})
	}
	return made, list, nil
}

func duration(ms uint32) time.Duration {
	if ms == verdictNever {
		return -1
	}
	return time.Duration(ms) * time.Millisecond
}
