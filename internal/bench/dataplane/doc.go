// Package dataplane compares the data plane of package userspace with those
// of HAProxy and nginx: same machine, same real servers, same clients,
// interleaved rounds.
//
// Everything runs in a network namespace of its own, with reno: the pacing of
// BBR on loopback would falsify every bulk figure. The contestants are
// processes of their own, fresh for each measurement, so that their processor
// seconds, memory and descriptors can be told from those of the clients and
// the servers, which are loops of epoll in the process of the benchmark. They
// take turns within each round, another one first each time, so that a busy
// machine treats them alike. Ours has one configuration for everything: the defaults.
// HAProxy takes part in two, with and without splicing, and the better one of
// each line is what ours is compared with.
//
// In the folder of the project, as root:
//
//	internal/tools/deps.sh dataplane
//	go test -C internal/bench -tags peers -run '^$' -bench Peers -benchtime 1x ./dataplane
//	go test -C internal/bench -tags peers -run '^$' -bench Peers -benchtime 7x ./dataplane -args -span 3s -idle 9000
//
// The first is a look of a quarter of a minute, the second one for the record. There
// -benchtime counts rounds, -span is the time of each measurement, and -idle
// the number of idle connections, the figures
// of which are scaled to 10,000; each takes two descriptors of a process. With -also NAME=PROGRAM another program
// takes part that understands the arguments of the command balancer, for
// example that command built from another state of the project, and with
// -balancer PROGRAM such a one is measured as ours. -only takes a
// regular expression of rows, such as kept or bulk, -who one of contestants.
//
// The kernel's own IPVS runs in a guest, beside no balancer, with
// BenchmarkKernelDataplane; its figures cannot be compared with those here.
//
// What is measured is in the table that it prints: rates are what both
// processors do together, clients and servers included, so processor seconds
// are the steadier figures.
package dataplane
