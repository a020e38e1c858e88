package director

import (
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/pool"
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
	// Routers are the virtual routers of VRRP; with none the two routers of
	// the pair exchange heartbeats.
	Routers []RouterSetup
	// Addresses are the floating addresses that the active router of the pair
	// carries; those of VRRP are with its routers.
	Addresses []failover.VirtualAddress
	// Routes move with Addresses.
	Routes []failover.VirtualRoute
	// Announcing is the plan by which neighbours are told of Addresses.
	Announcing failover.Announcing
	// Statics are addresses that every router carries all the time.
	Statics   []failover.VirtualAddress
	Heartbeat Heartbeat
	// Links are the own addresses of the primary and of the backup router
	// whose links are watched, none of them if that is not wanted.
	Links    [2][]netip.Addr
	Timeouts ipvs.Timeouts
	// Sync is the connection synchronisation, nil for none of ours.
	Sync *ipvs.SyncDaemon
	// Active and Inactive are programs to run when this director becomes
	// active and when it is not any more; Notify runs at each change of a
	// router, service or server, and FIFO gets a line for each. Empty is none.
	Active, Inactive string
	Notify, FIFO     string
	// Alarm says when failures are too many at once to be believed before
	// Control has been asked; the zero value never does.
	Alarm   pool.Alarm
	Control ControlTarget
	// Drain is how long a server that leaves the configuration may keep its
	// connections; zero removes it at once. It counts from the start of the
	// director, not from a reload.
	Drain time.Duration
	// Notes are what an operator should know about this configuration, such
	// as directives that have no effect here.
	Notes []string
	// paths is for the checks that ask through the virtual addresses.
	paths *paths
	// programs bounds the programs of all checks together.
	programs *health.Programs
	// asked are the questions made for the service that is being read: most
	// of its servers are asked the same.
	asked []asked
}

// ControlTarget answers as long as this router is well itself.
type ControlTarget struct {
	Target  health.Target
	Checker health.Checker
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
	// Witness is asked by ping, and then Fence run, before the place of a
	// silent partner is taken; the zero values are nobody and nothing. The word
	// %h in Fence stands for the partner's address.
	Witness netip.Addr
	Fence   string
}

// differs tells whether two settings cannot run side by side unnoticed.
func (h Heartbeat) differs(o Heartbeat) bool {
	return h.Enabled != o.Enabled || h.Port != o.Port || h.Interval != o.Interval || h.DeadAfter != o.DeadAfter ||
		h.Witness != o.Witness || h.Fence != o.Fence ||
		!slices.Equal(h.Primary, o.Primary) || !slices.Equal(h.Backup, o.Backup)
}

// VirtualService is one service of the setup with its real servers.
type VirtualService struct {
	Name    string
	Service ipvs.Service
	// Router names the virtual router of VRRP that the service moves with;
	// empty with heartbeats.
	Router string
	// Quiesce keeps a failed server in the table with weight 0 instead of
	// taking it out.
	Quiesce bool
	// Quorum is the sum of the weights of live servers that the service
	// needs; zero is 1. Hysteresis delays its changes; see [pool.Policy].
	Quorum, Hysteresis int
	// Unit is the weight in the table for each 1 of a configured weight; zero
	// is 1. Weights that move have a larger one, for fine steps.
	Unit int
	// QuorumUp and QuorumDown are programs to run when the quorum is gained
	// and lost; empty is none. DownOnStop runs the programs for down, those of
	// the servers too, when this router stops serving.
	QuorumUp, QuorumDown string
	DownOnStop           bool
	// Sorry take the clients while the quorum is lost: the first of them that
	// is up. Those without a checker always are.
	Sorry   []RealServer
	Servers []RealServer
}

// policy is that of the service's group.
func (v *VirtualService) policy() pool.Policy {
	return pool.Policy{Quorum: v.Quorum, Hysteresis: v.Hysteresis, Unit: v.Unit}
}

// each lists the servers with the sorry servers.
func (v *VirtualService) each() iter.Seq[*RealServer] {
	return func(yield func(*RealServer) bool) {
		for _, list := range [][]RealServer{v.Servers, v.Sorry} {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
	}
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
	// Maintenance gives no new clients, whatever the checks say.
	Maintenance bool
	// SlowStart is how long the weight climbs when the server comes up; zero
	// is at once. FollowLoad lets it follow the load as far as that is told,
	// and TellsWeight takes the weight that the check proposes, which with
	// TellsShare is a percentage of the configured one.
	SlowStart   time.Duration
	FollowLoad  bool
	TellsWeight bool
	TellsShare  bool
	// Load is how the load is found out that the weight follows.
	Load LoadSource
	// Up and Down are programs to run when the server comes up and goes down;
	// empty is none.
	Up, Down string
}

// WatchID names the check of a server: "VIRTUAL/SERVER" in the words of the
// configuration, so a reload finds it again.
func WatchID(service, server string) string { return service + "/" + server }

// Watches lists every server of the setup as a health watch.
func (s *Setup) Watches() []health.Watch {
	var ws []health.Watch
	for _, v := range s.Services {
		for r := range v.each() {
			if r.Checker == nil {
				continue // a sorry server that is not checked
			}
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
