package failover

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func via(prefix, gateway string) VirtualRoute {
	return VirtualRoute{Prefix: netip.MustParsePrefix(prefix), Gateway: netip.MustParseAddr(gateway)}
}

func TestRoutesComeAfterTheAddressesAndGoBefore(t *testing.T) {
	ctx := t.Context()
	k := &fakeKeeper{}
	const a, b = "192.0.2.1/32", "192.0.2.2/32"
	r1, r2, r3 := via("10.0.0.0/8", "192.0.2.254"), via("0.0.0.0/0", "10.0.0.1"), via("10.1.0.0/16", "192.0.2.253")
	o, err := newAddresses(&AddressesConfig{Addresses: vips(a), Routes: []VirtualRoute{r1, r2, r1}}, k, k)
	if err != nil {
		t.Fatal(err)
	}
	step := func(what string, do func() error, calls ...string) {
		t.Helper()
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if diff := cmp.Diff(calls, k.calls); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", what, diff)
		}
		k.calls = nil
	}
	routes := func(list ...VirtualRoute) func() error { return func() error { return o.SetRoutes(ctx, list) } }
	step("acquire", func() error { return o.Acquire(ctx) }, "+"+a, "+"+r1.String(), "+"+r2.String())
	step("acquire again", func() error { return o.Acquire(ctx) })
	step("other routes while held", routes(r1, r3), "-"+r2.String(), "+"+r3.String())
	step("other addresses while held", func() error { return o.Set(ctx, vips(b)) }, "-"+a, "+"+b, "!"+b)
	step("release", func() error { return o.Release(ctx) }, "-"+r3.String(), "-"+r1.String(), "-"+b)
	step("routes while not held", routes(r2))
	step("acquire the new ones", func() error { return o.Acquire(ctx) }, "+"+b, "+"+r2.String())
	k.fail = errors.New("busy")
	if err := o.SetRoutes(ctx, nil); !errors.Is(err, k.fail) {
		t.Fatalf("got %v", err)
	}
	k.fail = nil
	step("what could not be removed is not forgotten", func() error { return o.Release(ctx) }, "-"+r2.String(), "-"+b)
}

func TestRoutesFollowTheAddressesToAnotherDevice(t *testing.T) {
	k := &fakeKeeper{}
	onLink := VirtualRoute{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Device: "eth0"}
	inner := VirtualRoute{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Device: "eth1"}
	o, err := newAddresses(&AddressesConfig{Addresses: vips("192.0.2.1/32"), Routes: []VirtualRoute{onLink, inner}}, k, k)
	if err != nil {
		t.Fatal(err)
	}
	o.moveTo("eth0", "vrrp.7")
	if err := errors.Join(o.Acquire(t.Context()), o.SetRoutes(t.Context(), []VirtualRoute{onLink})); err != nil {
		t.Fatal(err)
	}
	want := []string{"+192.0.2.1/32", "+192.0.2.0/24 dev vrrp.7", "+10.0.0.0/8 dev eth1", "-10.0.0.0/8 dev eth1"}
	if diff := cmp.Diff(want, k.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestRoutesAreRefusedWithAReason(t *testing.T) {
	p, a := netip.MustParsePrefix, netip.MustParseAddr
	for want, r := range map[string]VirtualRoute{
		"not a destination":                      {Device: "eth0"},
		"bits are set beyond the prefix; use 10": {Prefix: p("10.1.1.1/8"), Device: "eth0"},
		"must be unicast":                        {Prefix: p("224.0.0.0/4"), Device: "eth0"},
		"give a gateway, a device or both":       {Prefix: p("10.0.0.0/8")},
		"gateway 2001:db8::1: must be a unicast": {Prefix: p("10.0.0.0/8"), Gateway: a("2001:db8::1")},
		"gateway 0.0.0.0: must be a unicast":     {Prefix: p("10.0.0.0/8"), Gateway: a("0.0.0.0")},
		"source 2001:db8::1: must be a unicast":  {Prefix: p("10.0.0.0/8"), Device: "eth0", Source: a("2001:db8::1")},
		`"eth0:1" is not a device`:               {Prefix: p("10.0.0.0/8"), Device: "eth0:1"},
		"is link-local: give its device":         {Prefix: p("::/0"), Gateway: a("fe80::1")},
	} {
		_, err := newAddresses(&AddressesConfig{Routes: []VirtualRoute{r}}, &fakeKeeper{}, &fakeKeeper{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", r, err, want)
		}
	}
	two := []VirtualRoute{via("10.0.0.0/8", "192.0.2.1"), via("10.0.0.0/8", "192.0.2.2")}
	o, err := newAddresses(&AddressesConfig{Routes: two}, &fakeKeeper{}, &fakeKeeper{})
	if err == nil || !strings.Contains(err.Error(), "make the metrics differ") {
		t.Errorf("two of one place: %v, %v", o, err)
	}
	two[1].Metric = 7
	if _, err := newAddresses(&AddressesConfig{Routes: two}, &fakeKeeper{}, &fakeKeeper{}); err != nil {
		t.Error(err)
	}
	// The kernel has a metric of its own where none is given for IPv6.
	two = []VirtualRoute{via("::/0", "2001:db8::1"), via("::/0", "2001:db8::2")}
	two[1].Metric = 1024
	if _, err := newAddresses(&AddressesConfig{Routes: two}, &fakeKeeper{}, &fakeKeeper{}); err == nil {
		t.Error("metric 0 and 1024 of IPv6 are the same place")
	}
	r := VirtualRoute{Prefix: p("::/0"), Gateway: a("fe80::1"), Device: "eth0", Source: a("2001:db8::1"), Metric: 5, Table: 100}
	if got := r.String(); got != "::/0 via fe80::1 dev eth0 src 2001:db8::1 metric 5 table 100" {
		t.Error(got)
	}
}
