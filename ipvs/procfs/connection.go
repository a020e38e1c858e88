package procfs

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// State is the state of a connection by the kernel's name. A name that is not
// among the constants is kept as it is: kernels are newer than this package.
type State string

// The states of TCP, in net/netfilter/ipvs/ip_vs_proto_tcp.c. SCTP has its
// own NONE and ESTABLISHED under the same names.
const (
	StateNone        State = "NONE"
	StateEstablished State = "ESTABLISHED"
	StateSynSent     State = "SYN_SENT"
	StateSynRecv     State = "SYN_RECV"
	StateFinWait     State = "FIN_WAIT"
	StateTimeWait    State = "TIME_WAIT"
	StateClose       State = "CLOSE"
	StateCloseWait   State = "CLOSE_WAIT"
	StateLastAck     State = "LAST_ACK"
	StateListen      State = "LISTEN"
	StateSynAck      State = "SYNACK"
)

// StateUDP is the one state of UDP (ip_vs_proto_udp.c).
const StateUDP State = "UDP"

// The states of SCTP beside NONE and ESTABLISHED (ip_vs_proto_sctp.c).
const (
	StateInit1           State = "INIT1"
	StateInit            State = "INIT"
	StateCookieSent      State = "C-SENT"
	StateCookieReplied   State = "C-REPLIED"
	StateCookieWait      State = "C-WAIT"
	StateCookie          State = "COOKIE"
	StateCookieEchoed    State = "C-ECHOED"
	StateShutdownSent    State = "S-SENT"
	StateShutdownRecv    State = "S-RECEIVED"
	StateShutdownAckSent State = "S-ACK-SENT"
	StateRejected        State = "REJECTED"
	StateClosed          State = "CLOSED"
)

// StateAssured is that of a persistence template whose client has completed a
// connection; before that it is NONE (ip_vs_proto.c). Older kernels show the
// first state of the protocol instead: NONE, or UDP.
const StateAssured State = "ASSURED"

// What the kernel says when it has no name for a state.
const (
	StateError   State = "ERR!"
	StateBug     State = "BUG!"
	StateUnnamed State = "?"
)

// String returns the kernel's name.
func (s State) String() string { return string(s) }

// Origin tells where a connection came from: from packets, or from the sync
// daemon of another director. Only the sync variant of the table tells; in
// the other it is empty.
type Origin string

// The origins.
const (
	OriginLocal Origin = "LOCAL"
	OriginSync  Origin = "SYNC"
)

// String returns the kernel's name.
func (o Origin) String() string { return string(o) }

// Connection is a row of the connection table: a connection or a persistence
// template.
//
// In JSON, Expires is "expires_seconds".
type Connection struct {
	// Protocol is that of the connection. It is 0, in JSON "0", in a template
	// of a firewall-mark service, which is for all protocols.
	Protocol ipvs.Protocol
	// Client is the client's address and port. In a template the address is
	// masked by the persistence prefix, and the port is 0.
	Client netip.AddrPort
	// Virtual is the address that the client speaks to. In a template of a
	// firewall-mark service it holds the mark: see Mark.
	Virtual netip.AddrPort
	// Destination is the server's; with tunnels it may be of the other
	// family.
	Destination netip.AddrPort
	State       State
	// Expires is the time until the kernel drops the row unless a packet
	// renews it, in whole seconds. It is 0 when the time is up, for which
	// some kernels write an overflowed number.
	Expires time.Duration
	// Origin is set in the sync variant of the table only.
	Origin Origin
	// PEName is the persistence engine ("sip"), PEData what it tells clients
	// apart by (for sip the Call-ID). They are in the templates of services
	// that have one, and in the sync variant of the table in no row.
	PEName string
	PEData string
}

// IsTemplate reports whether the row is a persistence template, which holds
// the server for a client, and not a connection. The table does not say so
// itself: a template has client port 0 and is NONE or ASSURED. Connections
// from port 0 exist too (UDP allows it, and the data connection of passive FTP
// begins so), but have the states of their protocol. The same on kernels so
// old that a template of a UDP service is UDP: there it is missed.
func (c Connection) IsTemplate() bool {
	return c.Client.Port() == 0 && (c.State == StateNone || c.State == StateAssured)
}

// Mark returns the firewall mark in a template of a firewall-mark service.
func (c Connection) Mark() (mark uint32, ok bool) {
	if c.Protocol != 0 || !c.Virtual.IsValid() || !c.IsTemplate() {
		return 0, false
	}
	// The mark stands where an address begins, in network order.
	return binary.BigEndian.Uint32(c.Virtual.Addr().AsSlice()), true
}

// String returns the row in one line: protocol, client, virtual address or
// mark, destination, state and time left.
func (c Connection) String() string {
	var b strings.Builder
	proto := c.Protocol.String()
	virtual := c.Virtual.String()
	if mark, ok := c.Mark(); ok {
		proto, virtual = "any", fmt.Sprintf("fwmark %d", mark)
	}
	fmt.Fprintf(&b, "%s %v -> %s -> %v %s expires in %v", proto, c.Client, virtual, c.Destination, c.State, c.Expires)
	if c.Origin != "" {
		fmt.Fprintf(&b, " origin %s", c.Origin)
	}
	if c.PEName != "" {
		fmt.Fprintf(&b, " %s %q", c.PEName, c.PEData)
	}
	return b.String()
}

type connectionJSON struct {
	Protocol       ipvs.Protocol  `json:"protocol"`
	Client         netip.AddrPort `json:"client"`
	Virtual        netip.AddrPort `json:"virtual"`
	Destination    netip.AddrPort `json:"destination"`
	State          State          `json:"state"`
	ExpiresSeconds uint64         `json:"expires_seconds"`
	Origin         Origin         `json:"origin,omitempty"`
	PEName         string         `json:"pe_name,omitempty"`
	PEData         string         `json:"pe_data,omitempty"`
}

// MarshalJSON writes the row with the time left in whole seconds.
func (c Connection) MarshalJSON() ([]byte, error) {
	return json.Marshal(connectionJSON{
		c.Protocol, c.Client, c.Virtual, c.Destination, c.State,
		uint64(max(c.Expires, 0) / time.Second), c.Origin, c.PEName, c.PEData,
	})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *Connection) UnmarshalJSON(b []byte) error {
	var j connectionJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*c = Connection{
		j.Protocol, j.Client, j.Virtual, j.Destination, j.State,
		expires(j.ExpiresSeconds), j.Origin, j.PEName, j.PEData,
	}
	return nil
}

// expires makes a duration of seconds. The longest timeout is that many
// ticks; what is longer was below zero before the kernel printed it.
func expires(seconds uint64) time.Duration {
	if seconds > math.MaxInt32 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
