package failover

import (
	"fmt"
	"strconv"

	"github.com/lvskit/lvskit/failover/pulse"
)

// Role is what a node does at the moment. The zero value is RoleInit.
type Role uint8

// Roles of a node.
const (
	// RoleInit has not decided yet: it listens for the partner.
	RoleInit Role = iota
	// RoleBackup leaves the service to the partner and watches it.
	RoleBackup
	// RoleActive serves.
	RoleActive
	// RoleFault is kept from serving by [Node.SetFault].
	RoleFault
	// RoleLeaving is stopping.
	RoleLeaving
)

var roleNames = [...]string{
	RoleInit:    "init",
	RoleBackup:  "backup",
	RoleActive:  "active",
	RoleFault:   "fault",
	RoleLeaving: "leaving",
}

// String returns the name in lower case, or role(N) for unknown ones.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return "role(" + strconv.Itoa(int(r)) + ")"
}

// MarshalText returns the same as String.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote, unknown numbers included.
func (r *Role) UnmarshalText(text []byte) error {
	for i, n := range roleNames {
		if n == string(text) {
			*r = Role(i)
			return nil
		}
	}
	var v uint8
	if _, err := fmt.Sscanf(string(text), "role(%d)", &v); err == nil && Role(v).String() == string(text) {
		*r = Role(v)
		return nil
	}
	return fmt.Errorf("failover: unknown role %.40q", text)
}

// role translates a state of the heartbeat.
func role(s pulse.State) Role {
	switch s {
	case pulse.StateBackup:
		return RoleBackup
	case pulse.StateActive:
		return RoleActive
	case pulse.StateFault:
		return RoleFault
	case pulse.StateLeaving:
		return RoleLeaving
	}
	return RoleInit
}
