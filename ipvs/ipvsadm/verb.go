package ipvsadm

import (
	"fmt"
	"strings"

	"github.com/lvskit/lvskit/ipvs"
)

// Verb is what a command line asks for.
type Verb uint8

// The verbs of ipvsadm 1.31, with their short form where they have one.
const (
	AddService    Verb = iota + 1 // -A
	EditService                   // -E
	DeleteService                 // -D
	Clear                         // -C
	AddServer                     // -a
	EditServer                    // -e
	DeleteServer                  // -d
	List                          // -L, -l
	Zero                          // -Z
	Save                          // -S
	Restore                       // -R
	SetTimeouts                   // --set
	StartDaemon                   // --start-daemon
	StopDaemon                    // --stop-daemon
	Help                          // -h
	Version                       // -v
)

// String returns the long option of the verb without its dashes
// ("add-service"), or "verb N" for a number without a name.
func (v Verb) String() string {
	if o := v.option(); o != nil {
		return o.long
	}
	return fmt.Sprintf("verb %d", uint8(v))
}

// MarshalText writes the same text as String.
func (v Verb) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the long option of a verb, without its dashes.
func (v *Verb) UnmarshalText(text []byte) error {
	for i := range options {
		if o := &options[i]; o.verb != 0 && strings.EqualFold(o.long, string(text)) {
			*v = o.verb
			return nil
		}
	}
	return fmt.Errorf("verb %q: want the long option of a command, such as add-service", text)
}

// Op returns the change of a table that the verb stands for, zero for a verb
// that stands for none. Clear is no single change: it deletes every service.
func (v Verb) Op() ipvs.Op {
	switch v {
	case AddService:
		return ipvs.OpAddService
	case EditService:
		return ipvs.OpSetService
	case DeleteService:
		return ipvs.OpDelService
	case AddServer:
		return ipvs.OpAddDestination
	case EditServer:
		return ipvs.OpSetDestination
	case DeleteServer:
		return ipvs.OpDelDestination
	}
	return 0
}

func (v Verb) option() *option {
	for i := range options {
		if options[i].verb == v && v != 0 {
			return &options[i]
		}
	}
	return nil
}

// verbs is a set of verbs.
type verbs uint32

func (s verbs) has(v Verb) bool { return s&(1<<v) != 0 }

// String lists the options of the verbs: "-a or -e".
func (s verbs) String() string {
	var names []string
	for v := AddService; v <= Version; v++ {
		if s.has(v) {
			names = append(names, v.option().flag())
		}
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " or " + names[n-1]
	}
	return strings.Join(names, "")
}
