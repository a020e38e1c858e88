package userspace

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"github.com/lvskit/lvskit/ipvs"
)

// Of documentation addresses, which are on no machine, a service takes those
// that it was told to wait for.
func TestServicesAtAddressesThatAreNotHereYet(t *testing.T) {
	for _, key := range []ipvs.ServiceKey{
		ipvs.TCPService(netip.MustParseAddrPort("192.0.2.1:8080")), ipvs.UDPService(netip.MustParseAddrPort("192.0.2.1:8080")),
		ipvs.TCPService(netip.MustParseAddrPort("[2001:db8::1]:8080")), ipvs.UDPService(netip.MustParseAddrPort("[2001:db8::1]:8080")),
	} {
		t.Run(key.String(), func(t *testing.T) {
			b := newBalancer(t, nil)
			configure := func(c ServiceConfig) error {
				return b.Configure(t.Context(), map[ipvs.ServiceKey]ServiceConfig{key: c})
			}
			add := addService(ipvs.Service{Key: key, Scheduler: "rr"})
			if err := b.Apply(t.Context(), []ipvs.Change{add}); !errors.Is(err, syscall.EADDRNOTAVAIL) {
				t.Errorf("without: %v", err)
			}
			if err := configure(ServiceConfig{FreeBind: true}); err != nil {
				t.Fatal(err)
			}
			if err := b.Apply(t.Context(), []ipvs.Change{add}); err != nil {
				t.Fatal(err)
			}
			if n := len(b.services[key].fronts); n != 1 {
				t.Errorf("it listens at %d addresses", n)
			}
			more := []Listen{{First: 8080, Last: 8081}}
			if err := configure(ServiceConfig{Listen: more}); !errors.Is(err, syscall.EADDRNOTAVAIL) {
				t.Errorf("one more without: %v", err)
			}
			if err := configure(ServiceConfig{Listen: more, FreeBind: true}); err != nil {
				t.Errorf("one more: %v", err)
			}
		})
	}
}
