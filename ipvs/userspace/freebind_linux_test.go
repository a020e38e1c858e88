package userspace

import (
	"net/netip"
	"testing"

	"github.com/lvskit/lvskit/ipvs"
)

// A router that fills its table before it has the virtual addresses listens
// on them already.
func TestServicesBeginBeforeTheirAddresses(t *testing.T) {
	b := newBalancer(t, &Config{FreeBind: true})
	// Documentation addresses are on no machine.
	for _, addr := range []string{"192.0.2.1:8080", "[2001:db8::1]:8080"} {
		at := netip.MustParseAddrPort(addr)
		apply(t, b, addService(ipvs.Service{Key: ipvs.TCPService(at)}), addService(ipvs.Service{Key: ipvs.UDPService(at)}))
	}
}
