package ipvsadm

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/google/go-cmp/cmp"
)

// hosts is a resolver that knows some names.
type hosts struct{}

func (hosts) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	switch host {
	case "localhost":
		return []netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	case "six.example":
		return []netip.Addr{netip.MustParseAddr("2001:db8::6")}, nil
	case "mapped.example":
		return []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.7")}, nil
	case "empty.example":
		return nil, nil
	}
	return nil, fmt.Errorf("no host %s in %s", host, network)
}

func (hosts) LookupPort(_ context.Context, network, service string) (int, error) {
	switch {
	case service == "http" && network == "tcp":
		return 80, nil
	case service == "domain" && network == "udp":
		return 53, nil
	case service == "huge":
		return 1 << 16, nil
	}
	return 0, fmt.Errorf("no port %s/%s", network, service)
}

// equate lets cmp compare addresses.
var equate = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
}
