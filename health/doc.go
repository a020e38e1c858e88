// Package health asks servers whether new connections may go to them.
//
// A [Checker] asks one question about one [Target] and answers with a
// [Result]: OK, fail, or no result. The third is the important one: "we could
// not ask" (no file descriptor left, no route of ours, no port, a cancelled
// check) is never taken for "the server is down", and changes no state.
//
// The checks are
//
//   - of hosts and connections: [TCP], [SYN] (half of one), [TLS], [ICMP], [BFD];
//   - of any protocol: [SendExpect] (one text each way, over TCP or UDP),
//     [Dialogue] (several steps);
//   - of the web: [HTTP] (1.1 and 2), [GRPC], [AJP];
//   - of mail and files: [SMTP], [POP3], [IMAP], [FTP], [NNTP];
//   - of stores: [Redis], [Memcached], [MySQL], [Postgres], [LDAP];
//   - of the network's own services: [DNS], [NTP], [RADIUS], [SIP];
//   - by others: [Agent], [External], [Nagios], [File];
//   - of the load, for weights: [Rup], [Ruptime] (which hears of it by an [RWho]),
//     [LoadHTTP], [LoadCommand];
//   - of several: [NewAll], [NewAny], [NewNot], [NewOnPort].
//
// [NewPiranha] picks among them as Piranha's nanny did for an lvs.cf, and
// [Kinds] makes them from options with names. Each is one file, each works
// alone with nothing but a context:
//
//	r := new(health.TCP).Check(ctx, health.Target{Addr: addr})
//	fmt.Println(r.Verdict, r.Reason)
//
// A [Monitor] runs many of them for ever. It is told the whole set of watches
// at once ([Monitor.Set]) and works out what changed: state survives as long
// as the question stays the same. Watches that ask the same question of the
// same server share one check. [Policy] says how often to ask and how many
// answers in a row change a watch's [State].
//
// [Hints] listens to what the kernel tells of the ways to the targets: a
// neighbour that fails, a link, an unreachable destination. It is for asking at
// once ([Monitor.Trigger]). Package dsr asks at a virtual address, through
// direct routing and tunnels.
//
// Out of scope: what follows from a state. This package knows no load
// balancer, no configuration file and no failover; package healthtest has
// misbehaving servers and a scripted checker for tests.
package health
