package ipvs

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// Op is the kind of one command: a change of a table, or what else a client
// asks of the kernel.
type Op uint8

// The kinds of change.
const (
	OpAddService Op = iota + 1
	OpSetService
	OpDelService
	OpAddDestination
	OpSetDestination
	OpDelDestination
)

// The other commands. They occur in errors and logs, never in a [Change].
const (
	OpGetService Op = iota + 16
	OpListServices
	OpListDestinations
	OpGetTimeouts
	OpSetTimeouts
	OpInfo
	OpZero
	OpZeroAll
	OpDeleteEverything
	OpApply
	OpDial
	OpStartSync
	OpStopSync
	OpListSync
	OpProbe
)

var opNames = map[Op]string{
	OpAddService:       "add service",
	OpSetService:       "set service",
	OpDelService:       "delete service",
	OpAddDestination:   "add destination",
	OpSetDestination:   "set destination",
	OpDelDestination:   "delete destination",
	OpGetService:       "get service",
	OpListServices:     "list services",
	OpListDestinations: "list destinations",
	OpGetTimeouts:      "get timeouts",
	OpSetTimeouts:      "set timeouts",
	OpInfo:             "get info",
	OpZero:             "zero counters",
	OpZeroAll:          "zero all counters",
	OpDeleteEverything: "delete everything",
	OpApply:            "apply changes",
	OpDial:             "open",
	OpStartSync:        "start sync daemon",
	OpStopSync:         "stop sync daemon",
	OpListSync:         "list sync daemons",
	OpProbe:            "probe features",
}

// String returns the command in words ("set destination"), or the number of
// one without a name.
func (o Op) String() string {
	if s, ok := opNames[o]; ok {
		return s
	}
	return strconv.Itoa(int(o))
}

// MarshalText writes the same text as String.
func (o Op) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText writes; a hyphen may stand for a space.
func (o *Op) UnmarshalText(text []byte) error {
	s := strings.ReplaceAll(strings.ToLower(string(text)), "-", " ")
	for op, name := range opNames {
		if s == name {
			*o = op
			return nil
		}
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return fmt.Errorf("operation %q: want words like \"add service\" or a number 0..255", text)
	}
	*o = Op(n)
	return nil
}

// IsChange reports whether o is one of the six kinds of change.
func (o Op) IsChange() bool { return o >= OpAddService && o <= OpDelDestination }

// IsWrite reports whether the command alters something in the kernel.
func (o Op) IsWrite() bool {
	switch o {
	case OpSetTimeouts, OpZero, OpZeroAll, OpDeleteEverything, OpStartSync, OpStopSync:
		return true
	}
	return o.IsChange()
}

// onDestination reports whether o names a destination.
func (o Op) onDestination() bool { return o >= OpAddDestination && o <= OpDelDestination }

// Change is one command that alters a table.
type Change struct {
	Op Op `json:"op"`
	// Service is the service that is changed or that holds the destination;
	// changes of destinations and OpDelService read only its Key. [Diff] tells
	// with OpDelService what is deleted, and so it does of a destination.
	Service Service `json:"service"`
	// Destination is read by the destination changes; OpDelDestination
	// reads only its Key.
	Destination Destination `json:"destination,omitzero"`
	// OldService is what OpSetService replaces, OldDestination what
	// OpSetDestination replaces. [Diff] fills them in; they serve
	// [Change.String] alone, are never sent, and may be nil.
	OldService     *Service     `json:"old_service,omitempty"`
	OldDestination *Destination `json:"old_destination,omitempty"`
}

// String tells the change in an operator's words, for example
// "set destination 10.0.0.1:80 of tcp/192.0.2.1:80: weight 1 -> 0".
func (c Change) String() string {
	var b strings.Builder
	b.WriteString(c.Op.String())
	b.WriteByte(' ')
	if c.Op.onDestination() {
		fmt.Fprintf(&b, "%v of ", c.Destination.Key)
	}
	b.WriteString(c.Service.Key.String())
	var about []string
	switch c.Op {
	case OpAddService:
		about = describeService(c.Service)
	case OpSetService:
		if c.OldService == nil {
			about = describeService(c.Service)
		} else {
			about = compareServices(c.OldService.Normalized(), c.Service.Normalized())
		}
	case OpAddDestination:
		about = describeDestination(c.Destination)
	case OpSetDestination:
		if c.OldDestination == nil {
			about = describeDestination(c.Destination)
		} else {
			about = compareDestinations(c.OldDestination.Normalized(), c.Destination.Normalized())
		}
	}
	if len(about) > 0 {
		b.WriteString(": ")
		b.WriteString(strings.Join(about, ", "))
	}
	return b.String()
}

func describeService(s Service) []string {
	s = s.Normalized()
	about := []string{"scheduler " + s.Scheduler}
	if s.Flags != 0 {
		about = append(about, "flags "+s.Flags.String())
	}
	if s.Persistence != 0 {
		about = append(about, "persistence "+s.Persistence.String())
	}
	if s.PersistencePrefix != 0 {
		about = append(about, "persistence prefix "+prefixText(s.PersistencePrefix))
	}
	if s.Engine != "" {
		about = append(about, "engine "+s.Engine)
	}
	return about
}

func compareServices(old, s Service) []string {
	var l differences
	l.add("scheduler", old.Scheduler, s.Scheduler)
	l.add("flags", orNone(old.Flags.String()), orNone(s.Flags.String()))
	l.add("persistence", old.Persistence.String(), s.Persistence.String())
	l.add("persistence prefix", prefixText(old.PersistencePrefix), prefixText(s.PersistencePrefix))
	l.add("engine", orNone(old.Engine), orNone(s.Engine))
	return l
}

func describeDestination(d Destination) []string {
	d = d.Normalized()
	about := []string{d.Forward.String(), "weight " + strconv.Itoa(d.Weight)}
	if d.Forward == Tunnel && d.Tunnel != (TunnelOptions{}) {
		about[0] += " " + d.Tunnel.text()
	}
	if d.UpperThreshold != 0 {
		about = append(about, fmt.Sprintf("thresholds %d..%d", d.LowerThreshold, d.UpperThreshold))
	}
	return about
}

func compareDestinations(old, d Destination) []string {
	var l differences
	l.add("forward", old.Forward.String(), d.Forward.String())
	l.add("tunnel", old.Tunnel.text(), d.Tunnel.text())
	l.add("weight", strconv.Itoa(old.Weight), strconv.Itoa(d.Weight))
	l.add("upper threshold", uintText(old.UpperThreshold), uintText(d.UpperThreshold))
	l.add("lower threshold", uintText(old.LowerThreshold), uintText(d.LowerThreshold))
	return l
}

type differences []string

func (l *differences) add(what, old, now string) {
	if old != now {
		*l = append(*l, what+" "+old+" -> "+now)
	}
}

func (t TunnelOptions) text() string {
	s := t.Type.String()
	if t.Port != 0 {
		s += " port " + strconv.Itoa(int(t.Port))
	}
	switch t.Flags {
	case 0:
	case 1:
		s += " checksum"
	case 2:
		s += " remote checksum"
	default:
		s += " flags " + strconv.Itoa(int(t.Flags))
	}
	return s
}

func prefixText(n int) string {
	switch {
	case n == 0:
		return "none"
	case n < 0:
		return "odd mask"
	}
	return "/" + strconv.Itoa(n)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func uintText(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// Validate reports what no kernel would take, or would take for something
// else; see [Service.Validate] and [Destination.Validate].
func (c Change) Validate() error {
	switch c.Op {
	case OpAddService, OpSetService:
		return c.Service.Validate()
	case OpDelService:
		// Another program may have made a service of a mapped address, which
		// the kernel takes; it has to be possible to get rid of it.
		key := c.Service.Key
		if ip := key.Addr.Addr(); ip.Is4In6() && ip.Zone() == "" {
			key = key.canonical()
		}
		return validateServiceKey(key)
	case OpAddDestination, OpSetDestination, OpDelDestination:
		if err := validateServiceKey(c.Service.Key); err != nil {
			return err
		}
		if c.Op == OpDelDestination {
			return validateDestinationKey(c.Destination.Key)
		}
		return c.Destination.Validate()
	}
	return fmt.Errorf("%v is not a change of a table: %w", c.Op, syscall.EINVAL)
}

func validateServiceKey(k ServiceKey) error {
	if err := k.Validate(); err != nil {
		return fmt.Errorf("%w: %w", err, syscall.EINVAL)
	}
	return nil
}
