// Package picks compares the schedulers of package sched with those of other
// Go libraries: what one pick among a hundred servers takes, and allocates.
//
//	go test -C internal/bench -run '^$' -bench Pick -cpu 1,2 ./picks
//
// The libraries that count requests do so within the pick, and are told of its
// end at once. Ours has the counts apart from the pick, as the kernel has, so
// some of its schedulers are there twice.
//
// What is beside ours: go-kratos (weighted round robin, two choices by load),
// grpc-go (round robin, least request of two choices),
// and for the hashes stathat.com/c/consistent and serialx/hashring.
package picks
