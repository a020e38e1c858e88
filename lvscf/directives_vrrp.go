package lvscf

import (
	"time"
)

// vrrpDirectives are those of vrrp blocks, all extensions; some they share with
// the global section and with check blocks.
var vrrpDirectives = []directive{
	{
		name: "vrid", where: inVRRP, kind: "integer 1..255", example: "51", args: 1, since: sinceExtensions,
		doc: "number of the virtual router, the same on all of its routers",
		set: to(uintTo[uint8](1, 255), func(s *scope) *uint8 { return &s.r.VRID }),
	},
	{
		name: "priority", where: inVRRP, kind: "integer 1..255", def: "100", example: "150", args: 1, since: sinceExtensions,
		doc: "the router of highest priority is active; 255 owns the addresses",
		set: to(uintTo[uint8](1, 255), func(s *scope) *uint8 { return &s.r.Priority }),
	},
	{
		name: "backup_priority", where: inVRRP, kind: "integer 1..255", example: "100", args: 1, since: sinceExtensions,
		doc: "priority of the router that is not the primary one, so that both may have the same file; without it the same",
		set: to(uintTo[uint8](1, 255), func(s *scope) *uint8 { return &s.r.BackupPriority }),
	},
	{
		name: "version", where: inVRRP, kind: "2 or 3", def: "3", example: "2", args: 1, words: []string{"2", "3"}, since: sinceExtensions,
		doc: "version of the protocol; IPv6 needs 3",
		set: to(uintTo[uint8](2, 3), func(s *scope) *uint8 { return &s.r.Version }),
	},
	{
		name: "advert_interval", where: inVRRP, kind: "duration", def: "1", example: "100ms", args: 1, since: sinceExtensions,
		doc: "time between two advertisements: whole seconds with version 2, 10ms to 40.95s with version 3",
		set: to((*values).advertInterval, func(s *scope) *time.Duration { return &s.r.AdvertInterval }),
	},
	{
		name: "down_adverts", where: inVRRP, kind: "integer 1..100", def: "3", example: "5", args: 1, since: sinceExtensions,
		doc: "how many advertisements may be missed before another router takes over",
		set: to(uintTo[uint8](1, 100), func(s *scope) *uint8 { return &s.r.DownAdverts }),
	},
	{
		name: "preempt", where: inVRRP, kind: "boolean", def: "1", example: "0", args: 1, since: sinceExtensions,
		doc: "1: take over from an active router of lower priority",
		set: to(boolean, func(s *scope) *bool { return &s.r.Preempt }),
	},
	{
		name: "preempt_delay", where: inVRRP, kind: "duration", def: "0", example: "30", args: 1, since: sinceExtensions,
		doc: "wait so long before that",
		set: to(duration, func(s *scope) *time.Duration { return &s.r.PreemptDelay }),
	},
	{
		name: "accept", where: inVRRP, kind: "boolean", def: "1", example: "0", args: 1, since: sinceExtensions,
		doc: "1: take packets to the addresses, as a balancer must",
		set: to(boolean, func(s *scope) *bool { return &s.r.Accept }),
	},
	{
		name: "virtual_mac", where: inVRRP, kind: "boolean", def: "0", example: "1", args: 1, since: sinceExtensions,
		doc: "1: use the virtual router's own hardware address, on a device of its own (macvlan) that carries the addresses; clouds often let no second one through",
		set: to(boolean, func(s *scope) *bool { return &s.r.VirtualMAC }),
	},
	{
		name: "checksum", where: inVRRP, kind: "auto, pseudo-header or message", def: "auto", example: "message", args: 1, words: vrrpChecksumWords, since: sinceExtensions,
		doc: "what the checksum of version 3 over IPv4 covers: auto answers as the others do, pseudo-header is keepalived's way, message that of RFC 9568",
		set: to(wordsOf[VRRPChecksum](vrrpChecksumWords), func(s *scope) *VRRPChecksum { return &s.r.Checksum }),
	},
	{
		name: "unicast_peer", where: inVRRP, kind: "host", example: "192.0.2.2", args: 1, repeats: true, since: sinceExtensions,
		doc: "send to this router alone, in place of multicast; a router skips its own address",
		set: add(needHost, func(s *scope) *[]Host { return &s.r.UnicastPeers }),
	},
	{
		name: "unicast_source", where: inVRRP, kind: "host", example: "192.0.2.1", args: 1, since: sinceExtensions,
		doc: "address to send from; without it the device's own",
		set: to(needHost, func(s *scope) *Host { return &s.r.UnicastSource }),
	},
	{
		name: "auth", where: inVRRP, kind: "none, password or hmac", def: "none", example: "hmac", args: 1, words: vrrpAuthWords, since: sinceExtensions,
		doc: "how packets are authenticated: by the plain password of version 2, or by the signature of keepalived 2.4",
		set: to(wordsOf[VRRPAuth](vrrpAuthWords), func(s *scope) *VRRPAuth { return &s.r.Auth }),
	},
	{
		name: "key_file", where: inVRRP, kind: "text, a file", example: "/etc/lvs/vrrp.key", args: 1, since: sinceExtensions,
		doc: "file whose first line is the password or key of auth; it should be readable by root alone; keys of hmac may be lines of the form key NUMBER SECRET, as in heartbeat_key_file, and one without has the number 1",
		set: to(filePath, func(s *scope) *string { return &s.r.KeyFile }),
	},
	{
		name: "address", where: inVRRP, kind: "address/length and device", example: "192.0.2.10/24 eth0", args: 2, repeats: true, since: sinceExtensions,
		doc: "address that moves with the virtual router, besides those of the virtual blocks",
		set: add((*values).deviceAddress, func(s *scope) *[]DeviceAddress { return &s.r.Addresses }),
	},
	{
		name: "track_interface", where: inVRRP, kind: "text, a device", example: "eth2", args: 1, repeats: true, since: sinceExtensions,
		doc: "one more device that must be up, or the router is faulty",
		set: add(device, func(s *scope) *[]string { return &s.r.TrackInterfaces }),
	},
	{
		name: "track_weight", where: inVRRP, kind: "device and integer -253..253", example: "eth3 -20", args: 2, repeats: true, since: sinceExtensions,
		doc: "one more device whose state changes the priority of the router and is no fault: below 0 so much is taken off while it is down, above 0 added while it is up",
		set: add((*values).deviceWeight, func(s *scope) *[]DeviceWeight { return &s.r.TrackWeights }),
	},
	{
		name: "sync_group", where: inVRRP, kind: "text, a name", example: "gateway", args: 1, since: sinceExtensions,
		doc: "vrrp blocks of the same group change their state together",
		set: to(filePath, func(s *scope) *string { return &s.r.SyncGroup }),
	},
	{
		name: "master_cmd", where: inVRRP, kind: "text, a command", example: "/usr/local/bin/became-master", args: 1, since: sinceExtensions,
		doc: "program to run when the router becomes active; the words of notify_cmd are understood",
		set: to(command, func(s *scope) *string { return &s.r.MasterCmd }),
	},
	{
		name: "backup_cmd", where: inVRRP, kind: "text, a command", example: "/usr/local/bin/became-backup", args: 1, since: sinceExtensions,
		doc: "program to run when the router becomes backup",
		set: to(command, func(s *scope) *string { return &s.r.BackupCmd }),
	},
	{
		name: "fault_cmd", where: inVRRP, kind: "text, a command", example: "/usr/local/bin/became-faulty", args: 1, since: sinceExtensions,
		doc: "program to run when the router becomes faulty",
		set: to(command, func(s *scope) *string { return &s.r.FaultCmd }),
	},
}
