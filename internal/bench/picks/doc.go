// Package picks compares the schedulers of package sched with those of other
// Go libraries: what one pick among a hundred servers takes, and allocates.
//
//	go test -C internal/bench -run '^$' -bench Pick -cpu 1,2 ./picks
//
// A pick of the kinds that count connections or requests is with the end of
// the one before, so that the counts stay what they are: each picking
// goroutine has one open at a time.
//
// What is beside ours: go-kratos (weighted round robin, two choices by load),
// grpc-go (round robin, least request of two choices), and for the
// hashes stathat.com/c/consistent and serialx/hashring.
package picks
