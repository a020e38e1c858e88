//go:build !linux

package userspace

import (
	"context"
	"net/netip"
)

// loopSet is for systems without loops of our own.
type loopSet struct{}

func (*loopSet) close() {}
func (*loopSet) sweep() {}
func (*loopSet) flush() {}

func listenTCP(ctx context.Context, s *service, at netip.AddrPort) (frontend, error) {
	return listenRelay(ctx, s, at)
}
