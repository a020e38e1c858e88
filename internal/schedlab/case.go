package schedlab

import (
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/sched"
)

// Protocol is that of a case's clients.
type Protocol string

// The protocols of cases. OnePacket is UDP to a service with one-packet
// scheduling: every flow ends as soon as it is placed.
const (
	TCP       Protocol = "tcp"
	UDP       Protocol = "udp"
	OnePacket Protocol = "ops"
)

// Case is one service and its history.
type Case struct {
	// Name tells cases apart in messages; it has no white space.
	Name      string
	Scheduler string
	Flags     sched.Flags
	Protocol  Protocol
	// Rules are those of the kernel that played the case; generated cases
	// leave them to the player.
	Rules sched.Rules
	// Mark is the firewall mark of the service. Zero is a service at the
	// address that all its picks name.
	Mark uint32
	// Is6 tells that clients and servers have IPv6 addresses.
	Is6 bool
	// Expiration is the life of entries that lblc and lblcr remember; zero
	// is the kernel's default.
	Expiration time.Duration
	Steps      []Step
}

// Op is what a step does.
type Op string

// The operations. Servers and flows have numbers that are used once.
const (
	// Add brings Server at Addr with Config.
	Add Op = "add"
	// Edit changes Server to Config.
	Edit Op = "edit"
	// Remove takes Server away. Its flows go nowhere from then on.
	Remove Op = "remove"
	// Pick opens Flow from Client to Service.
	Pick Op = "pick"
	// Half closes Flow on one side: it is inactive from then on.
	Half Op = "half"
	// End ends Flows and waits until they are forgotten.
	End Op = "end"
	// SetFlags changes the flags to Flags.
	SetFlags Op = "flags"
	// Use changes to the scheduler Name.
	Use Op = "use"
	// Wait lets time pass, which only lblc and lblcr see.
	Wait Op = "wait"
)

// Step is one operation with the fields that it needs.
type Step struct {
	Op              Op
	Server          int
	Addr            netip.AddrPort
	Config          sched.ServerConfig
	Flow            int
	Client, Service netip.AddrPort
	// Got is the server that a pick yielded, 0 for nobody, once played.
	Got   int
	Flows []int
	Flags sched.Flags
	Name  string
	Wait  time.Duration
}
