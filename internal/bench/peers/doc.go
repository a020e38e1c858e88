// Package peers holds tests of our checks against servers that are libraries
// of Go rather than programs of Debian's:
//
//	go test -C internal/bench -tags peers -run '^TestPeers' ./peers
package peers
