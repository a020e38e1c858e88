//go:build !linux

package userspace

import (
	"context"
	"net/netip"
)

// udpLoops are for Linux alone.
type udpLoops struct{ want int }

func (*udpLoops) close() {}

func listenUDP(ctx context.Context, s *service, at netip.AddrPort) (frontend, error) {
	return listenUDPNet(ctx, s, at)
}
