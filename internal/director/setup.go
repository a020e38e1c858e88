package director

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/userspace"
	"github.com/lvskit/lvskit/lvscf"
)

// Setup is what the director needs of a configuration, in the terms of the
// packages it drives. [FromLVSCF] makes one from an lvs.cf; it is a value
// that nobody changes once it is made.
type Setup struct {
	// Source names where it came from, for people: a file name.
	Source string
	// Serial is the configuration's own change counter.
	Serial int
	// Digest covers the meaning of the configuration; the two routers
	// compare theirs over the heartbeat.
	Digest [32]byte
	// Config is what it was made of, nil if it was made by hand.
	Config   *lvscf.Config
	Services []VirtualService
	// Declared is what a data plane of sockets needs to know beside the
	// table: what firewall marks stand for.
	Declared map[ipvs.ServiceKey]userspace.ServiceConfig
	// Addresses are the floating addresses the active router carries.
	Addresses []failover.VirtualAddress
	Heartbeat Heartbeat
	Timeouts  ipvs.Timeouts
	// Drain is how long a server that leaves the configuration may keep its
	// connections; zero removes it at once. It counts from the start of the
	// director, not from a reload.
	Drain time.Duration
	// Notes are what an operator should know about this configuration, such
	// as directives that have no effect here.
	Notes []string
}

// Heartbeat is how the two routers watch each other.
type Heartbeat struct {
	// Enabled is false for a router without a partner.
	Enabled bool
	// Primary and Backup are the routers' addresses, one for each channel,
	// public before private.
	Primary, Backup []netip.Addr
	Port            uint16
	Interval        time.Duration
	DeadAfter       time.Duration
	// KeyFile holds the key that both routers share, if the configuration
	// names one.
	KeyFile string
}

// differs tells whether two settings cannot run side by side unnoticed.
func (h Heartbeat) differs(o Heartbeat) bool {
	return h.Enabled != o.Enabled || h.Port != o.Port || h.Interval != o.Interval || h.DeadAfter != o.DeadAfter || h.KeyFile != o.KeyFile ||
		!slices.Equal(h.Primary, o.Primary) || !slices.Equal(h.Backup, o.Backup)
}

// VirtualService is one service of the setup with its real servers.
type VirtualService struct {
	Name    string
	Service ipvs.Service
	// Quiesce keeps a failed server in the table with weight 0 instead of
	// taking it out.
	Quiesce bool
	// Quorum is the sum of the weights of live servers that the service
	// needs; zero is 1.
	Quorum int
	// Sorry take the clients while the quorum is lost, unchecked.
	Sorry   []ipvs.Destination
	Servers []RealServer
}

// RealServer is one server of a virtual service and how it is checked.
type RealServer struct {
	Name string
	// Destination as it stands in the table while the server is up.
	Destination ipvs.Destination
	Target      health.Target
	Checker     health.Checker
	Policy      health.Policy
	// Initial counts before the first answer.
	Initial health.State
	// Quiesce is that of the service if nil.
	Quiesce *bool
}

// WatchID names the check of a server: "VIRTUAL/SERVER" in the words of the
// configuration, so a reload finds it again.
func WatchID(service, server string) string { return service + "/" + server }

// Watches lists every server of the setup as a health watch.
func (s *Setup) Watches() []health.Watch {
	var ws []health.Watch
	for _, v := range s.Services {
		for _, r := range v.Servers {
			ws = append(ws, health.Watch{
				ID:      WatchID(v.Name, r.Name),
				Target:  r.Target,
				Checker: r.Checker,
				Policy:  r.Policy,
				Initial: r.Initial,
			})
		}
	}
	return ws
}
