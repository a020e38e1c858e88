package sched

import (
	"fmt"
	"strings"
)

// Flags are the scheduler's flags of a virtual service. sh and mh share the
// same two; other schedulers ignore them. The zero value is none.
type Flags uint8

const (
	// FlagFallback looks for another server when the one that the hash
	// names may take no connection (sh-fallback, mh-fallback). It is the
	// kernel's service flag 0x8.
	FlagFallback Flags = 1 << iota
	// FlagPort adds the client's port to what is hashed (sh-port, mh-port).
	// It is the kernel's service flag 0x10.
	FlagPort

	knownFlags = FlagFallback | FlagPort
)

// String returns the flags' names with commas between, as in
// "fallback,port", and an unknown rest as a number; none is "".
func (f Flags) String() string {
	var words []string
	if f&FlagFallback != 0 {
		words = append(words, "fallback")
	}
	if f&FlagPort != 0 {
		words = append(words, "port")
	}
	if rest := f &^ knownFlags; rest != 0 {
		words = append(words, fmt.Sprintf("flags(%#x)", uint8(rest)))
	}
	return strings.Join(words, ",")
}

// MarshalText writes the form of [Flags.String]; unknown flags are an error.
func (f Flags) MarshalText() ([]byte, error) {
	if rest := f &^ knownFlags; rest != 0 {
		return nil, fmt.Errorf("scheduler flags %#x: known are fallback (0x1) and port (0x2)", uint8(f))
	}
	return []byte(f.String()), nil
}

// UnmarshalText reads names with commas between, in any order, each also in
// the form that ipvsadm prints ("sh-fallback", "mh-port"). No text is no flag.
func (f *Flags) UnmarshalText(text []byte) error {
	var flags Flags
	if len(text) > 0 {
		for word := range strings.SplitSeq(string(text), ",") {
			switch word {
			case "fallback", "sh-fallback", "mh-fallback":
				flags |= FlagFallback
			case "port", "sh-port", "mh-port":
				flags |= FlagPort
			default:
				return fmt.Errorf("scheduler flags %q: %q is none of fallback, port", text, word)
			}
		}
	}
	*f = flags
	return nil
}
