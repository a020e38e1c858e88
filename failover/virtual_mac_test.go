package failover

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover/internal/frame"
	"github.com/lvskit/lvskit/failover/vrrp"
)

func TestVirtualDeviceNames(t *testing.T) {
	seen := make(map[string]bool)
	for _, tt := range []struct {
		device string
		vrid   uint8
		six    bool
		want   string
	}{
		{"eth0", 51, false, "vrrp4-51-eth0"},
		{"eth0", 51, true, "vrrp6-51-eth0"},
		{"eth1", 51, false, "vrrp4-51-eth1"},
		{"ens192", 1, false, "vrrp4-1-ens192"},
		{"eth0.1000", 255, false, ""},
		{"eth0.1001", 255, false, ""},
		{"enp129s0f0np0v1", 255, false, ""},
	} {
		got := VirtualDevice(tt.device, tt.vrid, tt.six)
		if tt.want != "" && got != tt.want || len(got) > 15 || seen[got] || strings.ContainsAny(got, "/: ") {
			t.Errorf("%s, %d: %q, want %q", tt.device, tt.vrid, got, tt.want)
		}
		seen[got] = true
	}
	if got := VirtualMAC(51, false).String(); got != "00:00:5e:00:01:33" {
		t.Errorf("MAC %s", got)
	}
}

// The first frame was captured off keepalived, the others are checked by the
// sums that are in them.
func TestEthernetAdvert(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::ff:fe00:1")
	a := vrrp.Advert{Version: 3, VRID: 51, Priority: 150, Interval: 100_000_000, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.100")}}
	payload, err := vrrp.Append(nil, &a, vrrp.Path{Source: four, Destination: vrrp.Group(false)}, vrrp.WithPseudoHeader)
	if err != nil {
		t.Fatal(err)
	}
	got := hex.EncodeToString(ethernetAdvert(nil, VirtualMAC(51, false), four, vrrp.Group(false), 1, payload))
	const captured = "01005e00001200005e0001330800" +
		"45c0002000010000ff701899c0000201e0000012" + "31339601000ad3cbc0000264"
	if diff := cmp.Diff(captured, got); diff != "" {
		t.Errorf("IPv4 (-want +got):\n%s", diff)
	}

	a.Addrs = []netip.Addr{netip.MustParseAddr("fe80::100"), netip.MustParseAddr("2001:db8::100")}
	path := vrrp.Path{Source: six, Destination: vrrp.Group(true)}
	if payload, err = vrrp.Append(nil, &a, path, vrrp.WithPseudoHeader); err != nil {
		t.Fatal(err)
	}
	whole := ethernetAdvert(nil, VirtualMAC(51, true), six, vrrp.Group(true), 1, payload)
	const want = "33330000001200005e00023386dd" +
		"6c000000002870fffe8000000000000000000" + "0fffe000001ff020000000000000000000000000012" +
		"31339602000a0d57fe80000000000000000000000000010020010db8000000000000000000000100"
	if diff := cmp.Diff(want, hex.EncodeToString(whole)); diff != "" {
		t.Errorf("IPv6 (-want +got):\n%s", diff)
	}
	if _, _, _, err := vrrp.Parse(whole[54:], path); err != nil {
		t.Errorf("IPv6: %v", err)
	}

	// A kernel looks at the sum over a trailer as well.
	signed := append(append([]byte(nil), payload...), "a trailer of twenty-eight by."...)
	whole = ethernetAdvert(nil, VirtualMAC(51, true), six, vrrp.Group(true), 1, signed)
	if sum := frame.Checksum(uint32(len(signed))+vrrp.Protocol, whole[22:]); sum != 0 {
		t.Errorf("sum over all %#x", sum)
	}
}

func TestVirtualMACAndNoAcceptNeedRawSockets(t *testing.T) {
	for _, c := range []RouterConfig{{VirtualMAC: true}, {NoAccept: true}} {
		c.VRID, c.Device, c.Addresses, c.Transport = 51, "eth0", []netip.Addr{netip.MustParseAddr("192.0.2.100")}, otherTransport{}
		if _, err := NewRouter(&c); err == nil || !strings.Contains(err.Error(), "needs the transport RawIP") {
			t.Errorf("%v", err)
		}
	}
}

type otherTransport struct{ AdvertTransport }

// What is on the router's device moves to the macvlan, also after the set is
// replaced.
func TestAddressesMoveToTheVirtualDevice(t *testing.T) {
	k := new(fakeKeeper)
	v := func(prefix, device, label string) VirtualAddress {
		return VirtualAddress{Prefix: netip.MustParsePrefix(prefix), Device: device, Label: label}
	}
	a, err := newAddresses(&AddressesConfig{Addresses: []VirtualAddress{
		v("192.0.2.100/32", "eth0", "eth0:1"), v("192.0.2.101/32", "eth0", "eth0:long-label"), v("10.0.0.1/32", "eth1", "eth1:1"),
	}}, k, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.moveTo("eth0", "vrrp4-51-eth0")
	want := []VirtualAddress{v("192.0.2.100/32", "vrrp4-51-eth0", "vrrp4-51-eth0:1"), v("192.0.2.101/32", "vrrp4-51-eth0", ""), v("10.0.0.1/32", "eth1", "eth1:1")}
	if diff := cmp.Diff(want, a.addrs, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("moved (-want +got):\n%s", diff)
	}
	if err := a.Set(t.Context(), []VirtualAddress{v("192.0.2.102/32", "eth0", "")}); err != nil {
		t.Fatal(err)
	}
	if got := a.addrs[0].Device; got != "vrrp4-51-eth0" {
		t.Errorf("set anew: on %q", got)
	}

	// The next router of the same owner has another number, or none of it.
	again := []VirtualAddress{v("192.0.2.102/32", "eth0", "eth0:long-label")}
	if err := a.Set(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	for device, c := range map[string]RouterConfig{"vrrp4-52-eth0": {VRID: 52, VirtualMAC: true}, "eth0": {VRID: 51}} {
		c.Device, c.Addresses, c.Owner = "eth0", []netip.Addr{again[0].Prefix.Addr()}, a
		if _, err := NewRouter(&c); err != nil {
			t.Fatal(err)
		}
		if got := a.addrs[0]; got.Device != device || device == "eth0" && got != again[0] {
			t.Errorf("of the next router: %v, want it on %q", got, device)
		}
	}
}
