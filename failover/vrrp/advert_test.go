package vrrp_test

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lvskit/lvskit/failover/vrrp"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func bytesOf(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var sameAddr = cmpopts.EquateComparable(netip.Addr{})

// Messages as keepalived 2.2.7 sent them, from 192.0.2.1 or fe80::ff:fe00:1.
var golden = []struct {
	name    string
	path    vrrp.Path
	form    vrrp.Checksum
	advert  vrrp.Advert
	message string
}{
	{
		"version 2",
		vrrp.Path{Source: addr("192.0.2.1"), Destination: addr("224.0.0.18")},
		vrrp.MessageOnly,
		vrrp.Advert{Version: 2, VRID: 51, Priority: 150, Interval: time.Second, Addrs: []netip.Addr{addr("192.0.2.100")}},
		"2133960100018665 c0000264 0000000000000000",
	},
	{
		"version 2, stopping",
		vrrp.Path{Source: addr("192.0.2.1"), Destination: addr("224.0.0.18")},
		vrrp.MessageOnly,
		vrrp.Advert{Version: 2, VRID: 51, Interval: time.Second, Addrs: []netip.Addr{addr("192.0.2.100")}},
		"2133000100011c66 c0000264 0000000000000000",
	},
	{
		"version 2 with a password",
		vrrp.Path{Source: addr("192.0.2.1"), Destination: addr("224.0.0.18")},
		vrrp.MessageOnly,
		vrrp.Advert{Version: 2, VRID: 51, Priority: 150, Interval: time.Second, Addrs: []netip.Addr{addr("192.0.2.100")}, Password: "s3cret"},
		"213396010101494b c0000264 7333637265740000",
	},
	{
		"version 3, two addresses",
		vrrp.Path{Source: addr("192.0.2.1"), Destination: addr("224.0.0.18")},
		vrrp.WithPseudoHeader,
		vrrp.Advert{Version: 3, VRID: 51, Priority: 150, Interval: 100 * time.Millisecond, Addrs: []netip.Addr{addr("192.0.2.100"), addr("192.0.2.101")}},
		"31339602000a1161 c0000264 c0000265",
	},
	{
		"version 3, two addresses, the message alone",
		vrrp.Path{Source: addr("192.0.2.1"), Destination: addr("224.0.0.18")},
		vrrp.MessageOnly,
		vrrp.Advert{Version: 3, VRID: 51, Priority: 150, Interval: 100 * time.Millisecond, Addrs: []netip.Addr{addr("192.0.2.100"), addr("192.0.2.101")}},
		"31339602000ab3f5 c0000264 c0000265",
	},
	{
		"version 3, unicast",
		vrrp.Path{Source: addr("192.0.2.1"), Destination: addr("192.0.2.2")},
		vrrp.WithPseudoHeader,
		vrrp.Advert{Version: 3, VRID: 51, Priority: 150, Interval: 100 * time.Millisecond, Addrs: []netip.Addr{addr("192.0.2.100")}},
		"31339601000af1db c0000264",
	},
	{
		"version 3 over IPv6",
		vrrp.Path{Source: addr("fe80::ff:fe00:1"), Destination: addr("ff02::12")},
		vrrp.WithPseudoHeader,
		vrrp.Advert{Version: 3, VRID: 51, Priority: 150, Interval: 100 * time.Millisecond, Addrs: []netip.Addr{addr("fe80::100"), addr("2001:db8::100")}},
		"31339602000a0d57 fe800000000000000000000000000100 20010db8000000000000000000000100",
	},
	{
		"version 3, one address, from the virtual MAC",
		vrrp.Path{Source: addr("192.0.2.1"), Destination: addr("224.0.0.18")},
		vrrp.WithPseudoHeader,
		vrrp.Advert{Version: 3, VRID: 51, Priority: 150, Interval: 100 * time.Millisecond, Addrs: []netip.Addr{addr("192.0.2.100")}},
		"31339601000ad3cb c0000264",
	},
	{
		"version 3, one address, the message alone",
		vrrp.Path{Source: addr("192.0.2.1"), Destination: addr("224.0.0.18")},
		vrrp.MessageOnly,
		vrrp.Advert{Version: 3, VRID: 51, Priority: 150, Interval: 100 * time.Millisecond, Addrs: []netip.Addr{addr("192.0.2.100")}},
		"31339601000a765c c0000264",
	},
	{
		"version 3, unicast, the message alone",
		vrrp.Path{Source: addr("192.0.2.1"), Destination: addr("192.0.2.2")},
		vrrp.MessageOnly,
		vrrp.Advert{Version: 3, VRID: 51, Priority: 150, Interval: 100 * time.Millisecond, Addrs: []netip.Addr{addr("192.0.2.100")}},
		"31339601000a765c c0000264",
	},
}

func TestAdvertsAreThoseOfKeepalived(t *testing.T) {
	for _, c := range golden {
		t.Run(c.name, func(t *testing.T) {
			want := bytesOf(t, c.message)
			got, err := vrrp.Append(nil, &c.advert, c.path, c.form)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(hex.EncodeToString(want), hex.EncodeToString(got)); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
			// Ethernet's padding follows and is not ours.
			a, form, rest, err := vrrp.Parse(append(want, 0, 0, 0), c.path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.advert, a, sameAddr); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
			if form != c.form || len(rest) != 3 {
				t.Errorf("form %v, %d bytes after it; want %v and 3", form, len(rest), c.form)
			}
		})
	}
}

func TestBadPacketsAreRefusedByReason(t *testing.T) {
	four := vrrp.Path{Source: addr("192.0.2.1"), Destination: addr("224.0.0.18")}
	six := vrrp.Path{Source: addr("fe80::1"), Destination: addr("ff02::12")}
	// seal puts a right checksum of the form without pseudo-header in.
	seal := func(b []byte) []byte {
		b[6], b[7] = 0, 0
		sum := uint32(0)
		for i := 0; i+1 < len(b); i += 2 {
			sum += uint32(b[i])<<8 | uint32(b[i+1])
		}
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		b[6], b[7] = byte(^sum>>8), byte(^sum)
		return b
	}
	for _, c := range []struct {
		name    string
		message []byte
		path    vrrp.Path
		want    vrrp.Drop
	}{
		{"nothing", nil, four, vrrp.DropSize},
		{"half a header", bytesOf(t, "21339601"), four, vrrp.DropSize},
		{"fewer addresses than counted", seal(bytesOf(t, "31339602000a0000c0000264")), four, vrrp.DropSize},
		{"no room for the password", seal(bytesOf(t, "2133960100010000c0000264")), four, vrrp.DropSize},
		{"version 4", seal(bytesOf(t, "41339601000a0000c0000264")), four, vrrp.DropVersion},
		{"version 2 over IPv6", seal(bytesOf(t, "21339600000100000000000000000000")), six, vrrp.DropVersion},
		{"another type", seal(bytesOf(t, "32339601000a0000c0000264")), four, vrrp.DropType},
		{"a wrong checksum", bytesOf(t, "31339601000a1234c0000264"), four, vrrp.DropChecksum},
		{"VRID 0", seal(bytesOf(t, "31009601000a0000c0000264")), four, vrrp.DropVRID},
		{"authentication by header", seal(bytesOf(t, "2133960102010000c00002640000000000000000")), four, vrrp.DropAuth},
		{"a password of nothing", seal(bytesOf(t, "2133960101010000c00002640000000000000000")), four, vrrp.DropAuth},
		{"an interval of 0", seal(bytesOf(t, "3133960100000000c0000264")), four, vrrp.DropInterval},
		{"reserved bits only", seal(bytesOf(t, "31339601f0000000c0000264")), four, vrrp.DropInterval},
		{"no address", seal(bytesOf(t, "31339600000a0000")), four, vrrp.DropAddresses},
		{"CARP", bytesOf(t, "2101000700010000"+strings.Repeat("00", 28)), four, vrrp.DropCARP},
		{"two families", seal(bytesOf(t, "31339601000a0000c0000264")), vrrp.Path{Source: addr("192.0.2.1"), Destination: addr("ff02::12")}, vrrp.DropSource},
		{"IPv6 without its pseudo-header", seal(bytesOf(t, "31339601000a0000fe800000000000000000000000000100")), six, vrrp.DropChecksum},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, _, err := vrrp.Parse(c.message, c.path)
			var drop vrrp.Drop
			if !errors.As(err, &drop) || drop != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	// Valid in all but the first address.
	global := vrrp.Advert{Version: 3, VRID: 1, Priority: 1, Interval: time.Second, Addrs: []netip.Addr{addr("fe80::5")}}
	b, err := vrrp.Append(nil, &global, six, vrrp.WithPseudoHeader)
	if err != nil {
		t.Fatal(err)
	}
	b[8], b[9] = 0x20, 0x01 // a word of 0xfe80 becomes 0x2001
	sum := (uint32(b[6])<<8 | uint32(b[7])) + 0xfe80 - 0x2001
	sum = sum>>16 + sum&0xffff
	b[6], b[7] = byte(sum>>8), byte(sum)
	if _, _, _, err := vrrp.Parse(b, six); !errors.Is(err, vrrp.DropAddresses) {
		t.Errorf("a first address that is not link-local: %v, want %v", err, vrrp.DropAddresses)
	}
}

func TestAdvertsThatCannotBeSent(t *testing.T) {
	four := vrrp.Path{Source: addr("192.0.2.1"), Destination: addr("224.0.0.18")}
	good := vrrp.Advert{Version: 3, VRID: 1, Priority: 100, Interval: time.Second, Addrs: []netip.Addr{addr("192.0.2.9")}}
	for _, c := range []struct {
		name   string
		change func(*vrrp.Advert)
		path   vrrp.Path
		want   string
	}{
		{"version 1", func(a *vrrp.Advert) { a.Version = 1 }, four, "want 2 or 3"},
		{"no VRID", func(a *vrrp.Advert) { a.VRID = 0 }, four, "VRID 0"},
		{"too slow", func(a *vrrp.Advert) { a.Interval = 41 * time.Second }, four, "multiples of 10ms"},
		{"half a second in version 2", func(a *vrrp.Advert) { a.Version, a.Interval = 2, 500*time.Millisecond }, four, "multiples of 1s"},
		{"no address", func(a *vrrp.Advert) { a.Addrs = nil }, four, "no address"},
		{"another family", func(a *vrrp.Advert) { a.Addrs = []netip.Addr{addr("fe80::1")} }, four, "family"},
		{"password in version 3", func(a *vrrp.Advert) { a.Password = "x" }, four, "no password"},
		{"long password", func(a *vrrp.Advert) { a.Version, a.Password = 2, "123456789" }, four, "at most 8"},
		{"IPv6 without a link-local address", func(a *vrrp.Advert) { a.Addrs = []netip.Addr{addr("2001:db8::1")} }, vrrp.Path{Source: addr("fe80::1"), Destination: addr("ff02::12")}, "link-local"},
		{"version 2 over IPv6", func(a *vrrp.Advert) { a.Version, a.Addrs = 2, []netip.Addr{addr("fe80::1")} }, vrrp.Path{Source: addr("fe80::1"), Destination: addr("ff02::12")}, "no IPv6"},
		{"no path", func(*vrrp.Advert) {}, vrrp.Path{}, "two addresses"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := good
			c.change(&a)
			b, err := vrrp.Append([]byte("before"), &a, c.path, vrrp.WithPseudoHeader)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if string(b) != "before" {
				t.Errorf("%q was written", b)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range golden {
		f.Add(bytesOf(f, c.message), c.path.Source.Is6())
	}
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		p := vrrp.Path{Source: addr("192.0.2.1"), Destination: addr("224.0.0.18")}
		if six {
			p = vrrp.Path{Source: addr("fe80::ff:fe00:1"), Destination: addr("ff02::12")}
		}
		a, form, rest, err := vrrp.Parse(b, p)
		if err != nil {
			var drop vrrp.Drop
			if !errors.As(err, &drop) || drop == vrrp.DropNone {
				t.Fatalf("refused for %v", err)
			}
			return
		}
		if len(a.Addrs) > vrrp.MaxAddrs {
			t.Fatalf("%d addresses", len(a.Addrs))
		}
		// What was read can be written, and is read as the same. What version 2
		// says of a password that is none, and reserved bits, is not kept.
		again, err := vrrp.Append(nil, &a, p, form)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", a, err)
		}
		if len(again) != len(b)-len(rest) {
			t.Fatalf("%d bytes were read and %d written", len(b)-len(rest), len(again))
		}
		b2, form2, _, err := vrrp.Parse(again, p)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, b2, sameAddr); diff != "" {
			t.Fatalf("read again (-first +second):\n%s", diff)
		}
		if a.Version == 3 && !six && form2 != form {
			t.Fatalf("form %v became %v", form, form2)
		}
	})
}
