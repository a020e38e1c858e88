package userspace

import (
	"iter"
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// State is the state of a connection, in the kernel's words.
type State string

// The states that a relay can tell apart. A TCP connection whose destination
// has not answered yet is SYN_RECV, as it is in the kernel after the client's
// first packet; after the first end of a side it is FIN_WAIT.
const (
	StateSynRecv     State = "SYN_RECV"
	StateEstablished State = "ESTABLISHED"
	StateFinWait     State = "FIN_WAIT"
	StateUDP         State = "UDP"
	// StateAssured is that of a persistence template.
	StateAssured State = "ASSURED"
)

// String returns the kernel's name.
func (s State) String() string { return string(s) }

// Connection is a connection, a UDP session or a persistence template, in the
// shape of a row of the kernel's table (package ipvs/procfs).
type Connection struct {
	// Service is the service that the connection was made by.
	Service ipvs.ServiceKey
	// Protocol is that of the connection; 0 in a template of a
	// firewall-mark service, which is for all protocols.
	Protocol ipvs.Protocol
	// Client is the client's address and port. In a template the address is
	// masked by the persistence prefix, and the port is 0.
	Client netip.AddrPort
	// Virtual is the address that the client speaks to. It is the zero value
	// in a template of a firewall-mark service.
	Virtual netip.AddrPort
	// Destination is the server's.
	Destination netip.AddrPort
	State       State
	// Expires is the time until the row goes unless something moves, in
	// whole seconds; zero for what no time-out ends.
	Expires time.Duration
}

// IsTemplate reports whether the row is a persistence template, which holds
// the server for a client, and not a connection.
func (c Connection) IsTemplate() bool { return c.State == StateAssured }

// Connections returns the open connections, UDP sessions and persistence
// templates of all services, in no order. It is no snapshot: what comes and
// goes meanwhile may be missed or be there. Connections that have closed and
// still count as inactive are not listed, nor are those of services that have
// been deleted. The loop may call methods of the balancer.
func (b *Balancer) Connections() iter.Seq[Connection] {
	return func(yield func(Connection) bool) {
		b.mu.Lock()
		all := make([]*service, 0, len(b.services))
		var fronts []frontend
		for _, s := range b.services {
			all = append(all, s)
			for _, l := range s.fronts {
				fronts = append(fronts, l.front)
			}
		}
		b.mu.Unlock()
		for _, s := range all {
			if p := s.persist.Load(); p != nil && !p.connections(yield) {
				return
			}
		}
		for _, f := range fronts {
			if !f.connections(yield) {
				return
			}
		}
	}
}

// until returns the whole seconds from now to a time of Balancer.now.
func until(now, end int64) time.Duration {
	return max(0, time.Duration(end-now)).Truncate(time.Second)
}
