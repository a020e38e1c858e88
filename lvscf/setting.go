package lvscf

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// setting is where the value of a directive goes, both ways.
type setting struct {
	// read sets the field from a line, and reports what is wrong with it.
	read func(s *scope, v *values)
	// write returns the lines that say what the field has, each as its
	// words without the brackets of a list. A zero value that no line can say
	// gives none.
	write func(s *scope) [][]string
}

// to is the setting of a reader and a place for what it reads.
func to[T any](read func(*values) (T, bool), field func(*scope) *T) setting {
	return setting{func(s *scope, v *values) {
		if x, ok := read(v); ok {
			*field(s) = x
		}
	}, from(field)}
}

// from writes a field in its usual form.
func from[T any](field func(*scope) *T) func(*scope) [][]string {
	return func(s *scope) [][]string { return [][]string{wordsFor(*field(s))} }
}

// add is the setting of a reader and a list to add to.
func add[T any](read func(*values) (T, bool), field func(*scope) *[]T) setting {
	return setting{func(s *scope, v *values) {
		if x, ok := read(v); ok {
			list := field(s)
			*list = append(*list, x)
		}
	}, func(s *scope) (lines [][]string) {
		for _, x := range *field(s) {
			lines = append(lines, wordsFor(x))
		}
		return lines
	}}
}

// optional is the setting of a reader and a pointer to set.
func optional[T any](read func(*values) (T, bool), field func(*scope) **T) setting {
	return setting{func(s *scope, v *values) {
		if x, ok := read(v); ok {
			*field(s) = &x
		}
	}, func(s *scope) [][]string {
		if x := *field(s); x != nil {
			return [][]string{wordsFor(*x)}
		}
		return nil
	}}
}

// wordsFor returns the words for a value of any type that readers have.
func wordsFor(x any) []string {
	const none = "0.0.0.0"
	switch x := x.(type) {
	case bool:
		if x {
			return []string{"1"}
		}
		return []string{"0"}
	case string:
		return []string{x}
	case []string:
		return x
	case time.Duration:
		return []string{secondsText(x)}
	case Host:
		if x.IsZero() {
			return []string{none}
		}
		return []string{x.String()}
	case netip.Addr:
		if !x.IsValid() {
			return []string{none}
		}
		return []string{x.String()}
	case DeviceAddress:
		return []string{x.Prefix.String(), x.Device}
	case DeviceWeight:
		return []string{x.Device, strconv.Itoa(x.Weight)}
	case HeartbeatPath:
		return []string{x.Primary.String(), x.Backup.String()}
	}
	return []string{fmt.Sprint(x)} // numbers, and words by their String
}

// secondsText returns a time in seconds, or with a unit where that says it
// shorter.
func secondsText(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10)
	}
	return d.String()
}

func writeNATRouter(s *scope) [][]string {
	return hostAndDevice(s.c.NATRouter.Address, s.c.NATRouter.Device)
}

func writeVirtualAddress(s *scope) [][]string { return hostAndDevice(s.v.Address, s.v.Device) }

// hostAndDevice writes the words that only go together.
func hostAndDevice(host Host, device string) [][]string {
	if host.IsZero() && device == "" {
		return nil
	}
	return [][]string{{wordsFor(host)[0], device}}
}

// writePMask writes 32 as the length of an IPv6 prefix: for IPv4 it would be
// no mask, and the zero value.
func writePMask(s *scope) [][]string {
	if m := s.v.PMask; m == 32 {
		return [][]string{{strconv.Itoa(m.Bits())}}
	}
	return [][]string{wordsFor(s.v.PMask)}
}
