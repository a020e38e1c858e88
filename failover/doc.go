// Package failover makes two directors a pair of which one serves: it elects
// the active one over authenticated heartbeats, moves the virtual addresses
// to it, and teaches the neighbours where they are.
//
// A [Node] does that by itself. It knows nothing of load balancing: what has
// to be ready before clients come is done in the role hook of its [Config].
// Health checks and the kernel's table live in other packages.
//
// A [Router] does the same by VRRP, package vrrp, among any number of routers
// and beside other programs. What follows on roles and what decides them is of
// a Node; a Router decides as RFC 9568 does, listens for the down interval where
// a Node listens for DeadAfter, and judges by when packets arrived. Safety
// differs: VRRP is not authenticated unless keys are given, and effects are the
// same.
//
// With RouterConfig.VirtualMAC the addresses have one MAC wherever they are: a
// macvlan on the router's device, which is up while the router is active. The
// first advert from that MAC teaches the switches, and neighbours have nothing
// to learn. It needs a network that lets a second MAC through on a port.
//
// # Roles
//
//	init     listens for DeadAfter after the start, or after a fault ended
//	backup   leaves the service to the partner
//	active   serves: hook, then addresses, then announcements
//	fault    kept from serving by SetFault
//	leaving  stopping: serves until the partner does, then releases
//
// What decides, in this order:
//
//   - Without channels there is no partner: active at once.
//   - Neither is active: the primary takes it as soon as it hears the other
//     one, the backup if the primary has not done so within two intervals.
//   - The partner stops, has a fault or hands over: take it at once.
//   - The partner is silent on all channels for DeadAfter: take it, once the
//     witness and the fence of [Config] agree, if there are any. One silent
//     channel is told and changes nothing.
//   - A node that returns and hears an active partner becomes backup, also the
//     primary: nothing fails back by itself. [Node.Yield] and [Node.Take] do.
//   - Both are active, as after a partition: of two that serve, or two that do
//     not yet, the primary stays and announces again, and the other one gives
//     way; and who does not serve yet to who does. If the other one cannot hear
//     us, so that it never will, the primary gives way after DeadAfter instead.
//   - Our own stall is not the partner's silence: a loop that wakes late by
//     more than an interval listens for two intervals before it believes any
//     silence. A packet counts from when it arrived, and every verdict waits for
//     beats that are late, for a quarter of an interval, at least 1 ms and at most
//     10 ms, and until the sockets are drained. Where they are no [ArrivalConn],
//     or the partner is Piranha's, that is 100 ms at most. A node that cannot open
//     any channel is blind and takes nothing over.
//
// Two active nodes that hear each other are one again within two intervals.
// The tests of package pulse prove it for every world that two nodes reach in
// some intervals of losses, stalls, restarts, faults and hand-overs.
//
// # Handing over
//
// A planned move leaves no gap: who hands over, by Yield, by a Take of the
// partner or as it stops, serves until the partner says that its hook and
// addresses are through and the neighbours know. A partner that refuses, falls
// silent or does not come to serve leaves everything as it was. The tests in
// network namespaces lose no packet of a client that sends every half
// millisecond. A fault is no planned move: it releases at once.
//
// # What else the nodes tell each other
//
// Beside the beats, and never a reason for a role: digests of the
// configurations, and what they stand for ([Node.SetDocument]); what each knows
// of targets that both check ([Node.SetVerdicts]); clocks of day, for an alarm
// when they differ.
//
// # A partner that runs Piranha's pulse
//
// For a pair of which one router is new, Config.Legacy speaks the heartbeat of
// Piranha. It is not authenticated; the next section does not hold then.
//
// # Safety
//
// Heartbeats are authenticated and cannot be replayed; package pulse says what
// attacker they withstand. Each refused packet is counted under its reason in
// [Status], and the unusual reasons are events. [Node.SetKeys] changes the keys
// of a running pair.
//
// Packets from the partner's own address that are refused, as with another
// key, are no sign of life: anyone can send them, and a node that waited for
// who cannot prove to be its partner could be kept from serving for ever. So
// after DeadAfter it serves, and if both nodes refuse each other, both do. That
// is never silent: the role's reason and the status name the refusal with its
// cure instead of a silent partner, and EventRefused repeats it every minute
// as a warning. The unproven packets that begin each contact count as refused
// only when no proof has come for DeadAfter.
//
// An active node whose hook or addresses fail keeps its role, says so and
// tries again: the partner may fail for the same reason. Whoever knows better
// calls [Node.SetFault].
//
// # Routers together, and what they need
//
// A [Group] lets Routers of one node be active together or not at all. Package
// track watches what they need, as an uplink, a route, a file or a program, and
// feeds them with a fault or with a priority. [Router.Reconfigure] and
// [Router.SetAddresses] change a router that runs: its adverts go on and its
// role stays.
//
// Routers that are configured in different ways are one all the same: other
// intervals, addresses or versions are an alarm on both nodes (EventMismatch),
// with what differs and the cure, and one serves. As only who is active speaks, a
// backup that differs says so once a minute by an advert of priority 0, which an
// active router answers and nothing else. The exception is what decides
// whether a packet can be believed, which are password, keys, and multicast or
// unicast: routers that differ there refuse each other, so both serve. Both say
// so, in the role's reason, in the status and by EventRefused once a minute, with
// the cure.
//
// # Effects
//
// Hook, addresses and announcements run one after another beside the beat
// loop, which never waits for them; if roles change faster, only the latest
// counts. Nothing is touched before the first decision, so that a director
// that is killed and started again finds its addresses in place.
//
// [Addresses] owns real addresses on Linux, and routes that need them;
// [NoAddresses] is for directors whose addresses are there anyway. Package
// failovertest has an in-memory network for tests.
//
// # Neighbours
//
// The neighbours are told by the plan of [Announcing] where the addresses are,
// in the forms that move an entry also within a second of its last change. The
// addresses are watched while a Node or Router runs ([AddressWatcher]):
//
//   - what someone else removes is back at once, and slower if he goes on;
//     EventRemoved says what to look for;
//   - who claims an address of an active node is answered by a new plan, at
//     most once a second, and told by EventClaimed;
//   - who hands over lets go when the successor's announcement is heard, and
//     announces nothing meanwhile;
//   - a device that comes back, also another one of the same name or with
//     another hardware address, has its addresses and announces them;
//   - the gateway is asked from each address after a take-over, and
//     EventUnbelieved tells if it answers our own address alone.
//
// # A process of its own
//
// With a [Beat] routers and nodes live in a small process beside the daemon, a
// second run of the same program with real-time priority, locked memory and no
// garbage collection: what keeps the daemon or the machine busy costs no
// heartbeat. Types and methods are the same, callbacks are made in the daemon.
// Each of the two removes the addresses when the other one is killed. What the
// system does not allow is told once, by [EventBeatLimited] and [Beat.Status],
// with what is lost by it and what mends it.
package failover
