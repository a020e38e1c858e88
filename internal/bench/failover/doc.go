// Package failover measures what a client notices when an address moves from
// one machine to the other, with a pair of our routers of VRRP, with a pair of
// our nodes, and with a pair of Debian's keepalived: same machine, same client,
// interleaved rounds.
//
// A pair is two network namespaces with a switch between them, and the client
// a third. It sends a packet each 0.25 ms to the address, and the kernel of
// whoever has that answers (ICMP echo), so that no program stands between
// address and client. The gap is the longest time between two answers, by the
// kernel's clock of their arrival. The client has real-time priority where
// that is allowed, to measure the pairs and not itself; every node is a process
// of its own. Nothing else happens while a pair is measured, but the beats of
// the others.
//
// In the folder of the project, as root:
//
//	internal/tools/deps.sh peers
//	go test -C internal/bench -tags peers -run '^$' -bench Peers -benchtime 1x ./failover
//	go test -C internal/bench -tags peers -run '^$' -bench Peers -benchtime 20x -timeout 20m ./failover -args -busy 20s
//
// The first is a look, the second one for the record: -benchtime counts rounds,
// and -busy is how long each pair beats beside busy loops. -only takes a
// regular expression of moves, -who one of contestants.
package failover
