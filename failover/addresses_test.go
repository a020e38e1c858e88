package failover

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeKeeper holds addresses as a kernel would.
type fakeKeeper struct {
	have  []string
	calls []string
	fail  error
}

func (k *fakeKeeper) ensure(_ context.Context, addrs []VirtualAddress) (added, failed []VirtualAddress, err error) {
	for _, v := range addrs {
		if s := v.Prefix.String(); !slices.Contains(k.have, s) {
			k.have = append(k.have, s)
			k.calls = append(k.calls, "+"+s)
			added = append(added, v)
		}
	}
	return added, nil, k.fail
}

func (k *fakeKeeper) remove(_ context.Context, addrs []VirtualAddress) error {
	if k.fail != nil {
		return k.fail
	}
	for _, v := range addrs {
		if i := slices.Index(k.have, v.Prefix.String()); i >= 0 {
			k.have = slices.Delete(k.have, i, i+1)
			k.calls = append(k.calls, "-"+v.Prefix.String())
		}
	}
	return nil
}

func (k *fakeKeeper) Announce(_ context.Context, addrs []VirtualAddress) error {
	for _, v := range addrs {
		k.calls = append(k.calls, "!"+v.Prefix.String())
	}
	return nil
}

func (k *fakeKeeper) ensureRoutes(_ context.Context, routes []VirtualRoute) (added []VirtualRoute, err error) {
	for _, r := range routes {
		if s := r.String(); !slices.Contains(k.have, s) {
			k.have = append(k.have, s)
			k.calls = append(k.calls, "+"+s)
			added = append(added, r)
		}
	}
	return added, k.fail
}

func (k *fakeKeeper) removeRoutes(_ context.Context, routes []VirtualRoute) error {
	if k.fail != nil {
		return k.fail
	}
	for _, r := range slices.Backward(routes) {
		if i := slices.Index(k.have, r.String()); i >= 0 {
			k.have = slices.Delete(k.have, i, i+1)
			k.calls = append(k.calls, "-"+r.String())
		}
	}
	return nil
}

func vips(list ...string) (out []VirtualAddress) {
	for _, s := range list {
		out = append(out, VirtualAddress{Prefix: netip.MustParsePrefix(s), Device: "eth0"})
	}
	return out
}

func TestAddressesChangeByDifference(t *testing.T) {
	const a, b, c = "192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"
	ctx := t.Context()
	k := &fakeKeeper{have: []string{"10.0.0.1/8", b}} // b was left behind
	o, err := newAddresses(&AddressesConfig{Addresses: vips(a, b)}, k, k)
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
	set := func(list ...string) func() error { return func() error { return o.Set(ctx, vips(list...)) } }
	step("acquire", func() error { return o.Acquire(ctx) }, "+"+a)
	step("acquire again", func() error { return o.Acquire(ctx) })
	step("announce", func() error { return o.Announce(ctx) }, "!"+a, "!"+b)
	step("set while held", set(b, c), "-"+a, "+"+c, "!"+c)
	k.have = slices.DeleteFunc(k.have, func(s string) bool { return s == c })
	step("acquire after others removed one", func() error { return o.Acquire(ctx) }, "+"+c)
	step("release", func() error { return o.Release(ctx) }, "-"+b, "-"+c)
	step("release again", func() error { return o.Release(ctx) })
	step("set while not held", set(a))
	step("acquire the new set", func() error { return o.Acquire(ctx) }, "+"+a)

	// What could not be removed is not forgotten.
	k.fail = errors.New("busy")
	if err := o.Set(ctx, nil); !errors.Is(err, k.fail) {
		t.Fatalf("got %v", err)
	}
	k.fail = nil
	step("release afterwards", func() error { return o.Release(ctx) }, "-"+a)
	if diff := cmp.Diff([]string{"10.0.0.1/8"}, k.have); diff != "" {
		t.Errorf("a stranger's address (-want +got):\n%s", diff)
	}
}

// slowAnnouncer tells until it is told to stop.
type slowAnnouncer struct{ began chan struct{} }

func (s slowAnnouncer) Announce(ctx context.Context, _ []VirtualAddress) error {
	close(s.began)
	<-ctx.Done()
	return ctx.Err()
}

// Another one may serve by then, and has told the neighbours.
func TestReleaseEndsTheAnnouncementOfASet(t *testing.T) {
	s := slowAnnouncer{make(chan struct{})}
	o, err := newAddresses(&AddressesConfig{Addresses: vips("192.0.2.1/32")}, new(fakeKeeper), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	set := make(chan error)
	go func() { set <- o.Set(ctx, vips("192.0.2.1/32", "192.0.2.2/32")) }()
	<-s.began
	if err := o.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-set; err != nil || ctx.Err() != nil {
		t.Errorf("got %v, and it was ended by %v", err, ctx.Err())
	}
}

func TestAddressesAreRefusedWithAReason(t *testing.T) {
	p := netip.MustParsePrefix
	tests := []struct {
		name string
		in   []VirtualAddress
		want string
	}{
		{"no address", []VirtualAddress{{Device: "eth0"}}, "not an address"},
		{"no device", []VirtualAddress{{Prefix: p("192.0.2.1/32")}}, "is not a device"},
		{"an alias as device", []VirtualAddress{{Prefix: p("192.0.2.1/32"), Device: "eth0:1"}}, "the alias as label"},
		{"a label of another device", []VirtualAddress{{Prefix: p("192.0.2.1/32"), Device: "eth0", Label: "eth1:1"}}, `must begin with "eth0:"`},
		{"a long label", []VirtualAddress{{Prefix: p("192.0.2.1/32"), Device: "eth0", Label: "eth0:0123456789a"}}, "at most 15 bytes"},
		{"no name of a device", []VirtualAddress{{Prefix: p("192.0.2.1/32"), Device: "enp129s0f0np0.1234"}}, "is not a device"},
		{"the network of all", []VirtualAddress{{Prefix: p("192.0.2.1/0"), Device: "eth0"}}, "/32 is right for most"},
		{"multicast", []VirtualAddress{{Prefix: p("224.0.0.1/32"), Device: "eth0"}}, "unicast"},
		{"twice with other lengths", vips("192.0.2.1/32", "192.0.2.1/24"), "given twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newAddresses(&AddressesConfig{Addresses: tt.in}, &fakeKeeper{}, &fakeKeeper{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	o, err := newAddresses(&AddressesConfig{Addresses: vips("192.0.2.1/32", "192.0.2.1/32")}, &fakeKeeper{}, &fakeKeeper{})
	if err != nil || len(o.addrs) != 1 {
		t.Errorf("the same address twice: %v, %v", o, err)
	}
}

func TestSplitAlias(t *testing.T) {
	for in, want := range map[string][2]string{"eth0": {"eth0", ""}, "eth0:1": {"eth0", "eth0:1"}, "": {"", ""}} {
		if d, l := SplitAlias(in); d != want[0] || l != want[1] {
			t.Errorf("%q gives %q and %q", in, d, l)
		}
	}
}
