package lvscf

import (
	"math"
)

// serverDirectives are those of server blocks that Piranha has.
var serverDirectives = []directive{
	{
		name: "address", where: inServer, kind: "host", example: "192.0.2.21", args: 1,
		doc: "address of the real server",
		set: to(mayHost, func(s *scope) *Host { return &s.s.Address }),
	},
	{
		name: "active", where: inServer, kind: "boolean", def: "0", example: "1", args: 1,
		doc: "1: check and use the server",
		set: to(boolean, func(s *scope) *bool { return &s.s.Active }),
	},
	{
		name: "port", where: inServer, kind: "port", example: "8080", args: 1,
		doc: "real port; without it the virtual port set so far",
		set: setting{setServerPort, from(func(s *scope) *uint16 { return &s.s.Port })},
	},
	{
		name: "weight", where: inServer, kind: "integer", def: "1", example: "1", args: 1,
		doc: "share of the connections; 0 takes no new ones",
		set: to(func(v *values) (int, bool) {
			n, ok := v.number(0, math.MaxInt32)
			return int(n), ok
		}, func(s *scope) *int { return &s.s.Weight }),
	},
}
