package procfs

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// Name is the name of a sysctl below net.ipv4.vs.
type Name string

// Value is the value of a sysctl in the kernel's text, with single spaces for
// white space: "1", "3 50", "0-3".
type Value string

// BoolValue returns the value that switches a sysctl on or off.
func BoolValue(on bool) Value {
	if on {
		return "1"
	}
	return "0"
}

// IntValue returns the value of a number.
func IntValue(n int64) Value { return Value(strconv.FormatInt(n, 10)) }

// SecondsValue returns the value of a time in seconds, a fraction rounded up.
func SecondsValue(d time.Duration) Value {
	s := d / time.Second
	if d%time.Second > 0 {
		s++
	}
	return IntValue(int64(s))
}

// ThresholdValue returns the value of [SyncThreshold]: the number of packets
// at which a connection is synchronized, and the number after which again.
func ThresholdValue(packets, period int) Value {
	return Value(fmt.Sprintf("%d %d", packets, period))
}

// Int returns the value as a number.
func (v Value) Int() (int64, error) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is no number", v.quoted())
	}
	return n, nil
}

// Bool reports whether the value is a number that is not 0.
func (v Value) Bool() (bool, error) {
	n, err := v.Int()
	return n != 0, err
}

// Seconds returns the value, a number of seconds, as a time.
func (v Value) Seconds() (time.Duration, error) {
	const longest = int64(1<<63-1) / int64(time.Second)
	n, err := v.Int()
	if err == nil && (n > longest || n < -longest) {
		err = fmt.Errorf("%s seconds are too many", v.quoted())
	}
	if err != nil {
		return 0, err
	}
	return time.Duration(n) * time.Second, nil
}

// Threshold returns the two numbers of [ThresholdValue].
func (v Value) Threshold() (packets, period int, err error) {
	a, b, ok := strings.Cut(string(v), " ")
	packets, err1 := strconv.Atoi(a)
	period, err2 := strconv.Atoi(b)
	if !ok || err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("%s are not two numbers", v.quoted())
	}
	return packets, period, nil
}

// String returns the text.
func (v Value) String() string { return string(v) }

// quoted is for messages, where nothing and two numbers would confuse.
func (v Value) quoted() string {
	if v == "" || strings.ContainsAny(string(v), " \t\n\"") {
		return strconv.Quote(string(v))
	}
	return string(v)
}

func normalValue(text string) Value { return Value(strings.Join(strings.Fields(text), " ")) }

// Sysctls are the sysctls of a namespace that are present, by name: what is
// absent is not in it. It may hold names that are not in [KnownSysctls].
//
//	on, err := s[procfs.Conntrack].Bool()
//
// In JSON it is an object of texts.
type Sysctls map[Name]Value

// SysctlChange is a difference between two sets.
type SysctlChange struct {
	Name Name `json:"name"`
	// Old is the value that is there; with Absent there is none.
	Old    Value `json:"old"`
	Absent bool  `json:"absent,omitempty"`
	New    Value `json:"new"`
}

// String returns the change in an operator's words:
// "set net.ipv4.vs.conntrack to 1 (is 0)".
func (c SysctlChange) String() string {
	is := "is " + c.Old.quoted()
	if c.Absent {
		is = "is absent"
	}
	return fmt.Sprintf("set %s to %s (%s)", sysctlName(c.Name), c.New.quoted(), is)
}

// DiffSysctls returns what to set to come from one set to another, ordered by
// name. What is not in want stays. In a [KindMode], 1 and 2 are the same, as
// the kernel goes to and fro between them by itself.
func DiffSysctls(have, want Sysctls) []SysctlChange {
	var changes []SysctlChange
	for _, name := range slices.Sorted(maps.Keys(want)) {
		c := SysctlChange{Name: name, New: want[name]}
		var ok bool
		if c.Old, ok = have[name]; !ok {
			c.Absent = true
		} else if sameValue(name, c.Old, c.New) {
			continue
		}
		changes = append(changes, c)
	}
	return changes
}

func sameValue(name Name, a, b Value) bool {
	if normalValue(string(a)) == normalValue(string(b)) {
		return true
	}
	s, _ := LookupSysctl(name)
	automatic := func(v Value) bool { return v == "1" || v == "2" }
	return s.Kind == KindMode && automatic(a) && automatic(b)
}

// Validate reports a value that is outside what the sysctl takes. The
// kernel's own checks come on top: it knows, for example, its processors.
func (s Sysctl) Validate(v Value) error {
	switch s.Kind {
	case KindText:
		return nil
	case KindCPUList:
		if !isCPUList(v) {
			return fmt.Errorf("want %s", s.takes())
		}
		return nil
	case KindThreshold:
		packets, period, err := v.Threshold()
		if err != nil || packets < 0 || period < 0 || int64(packets) > s.Max || int64(period) > s.Max || period > 0 && packets >= period {
			return fmt.Errorf("want %s", s.takes())
		}
		return nil
	}
	n, err := v.Int()
	if err != nil || n < s.Min || n > s.Max || s.Kind == KindPowerOfTwo && n&(n-1) != 0 {
		return fmt.Errorf("want %s", s.takes())
	}
	return nil
}

// takes says what a sysctl takes.
func (s Sysctl) takes() string {
	switch s.Kind {
	case KindBool:
		return "0 (off) or 1 (on)"
	case KindMode:
		return "0 (off), 1 or 2 (automatic) or 3 (always)"
	case KindPowerOfTwo:
		return fmt.Sprintf("a power of two from %d to %d", s.Min, s.Max)
	case KindSeconds:
		return fmt.Sprintf("seconds from %d to %d", s.Min, s.Max)
	case KindThreshold:
		return "PACKETS PERIOD, two numbers, the first one less unless the second is 0"
	case KindCPUList:
		return "processors like 0,2-5 or 0-31:1/2, all, or nothing"
	case KindText:
		return "a text"
	}
	return fmt.Sprintf("a number from %d to %d", s.Min, s.Max)
}

// isCPUList checks the form of lib/bitmap-str.c: numbers and ranges
// apart by commas ("0,2-5"), a range with a pattern ("0-31:1/2"), "all", and N
// for the last processor. Empty is none.
func isCPUList(v Value) bool {
	number := func(s string) (int, bool) {
		if s == "N" {
			return 1 << 30, true
		}
		n, err := strconv.ParseUint(s, 10, 20)
		return int(n), err == nil
	}
	if v == "" {
		return true
	}
	for part := range strings.SplitSeq(string(v), ",") {
		cpus, pattern, patterned := strings.Cut(part, ":")
		if cpus != "all" {
			first, last, ranged := strings.Cut(cpus, "-")
			if !ranged {
				last = first
			}
			a, ok1 := number(first)
			b, ok2 := number(last)
			if !ok1 || !ok2 || a > b || patterned && !ranged {
				return false
			}
		}
		if patterned {
			used, group, _ := strings.Cut(pattern, "/")
			a, ok1 := number(used)
			b, ok2 := number(group)
			if !ok1 || !ok2 || a > b || b == 0 {
				return false
			}
		}
	}
	return true
}

// invalid makes the error of a value that was refused before it was sent.
func invalid(netns string, name Name, v Value, err error) *Error {
	return &Error{Op: opSet, Name: sysctlName(name), Value: v, NetNS: netns, Err: err, meaning: ipvs.ErrInvalid}
}
