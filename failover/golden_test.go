package failover

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// TestWholeFramesOfKeepalived: what keepalived 2.2.7 puts on an Ethernet is read
// from the first byte to the last.
func TestWholeFramesOfKeepalived(t *testing.T) {
	addr := netip.MustParseAddr
	vip, second := addr("192.0.2.100"), addr("192.0.2.101")
	advert := func(version uint8, every time.Duration, addrs ...netip.Addr) vrrp.Advert {
		return vrrp.Advert{Version: version, VRID: 51, Priority: 150, Interval: every, Addrs: addrs}
	}
	group, peer := addr("224.0.0.18"), addr("192.0.2.2")
	for _, c := range []struct {
		name  string
		frame string
		to    netip.Addr
		want  vrrp.Advert
	}{
		{"version 2", "01005e000012 020000000001 0800 45c0002800010000ff701891c0000201e0000012 2133960100018665 c0000264 0000000000000000", group, advert(2, time.Second, vip)},
		{"version 3, two addresses", "01005e000012 020000000001 0800 45c0002400010000ff701895c0000201e0000012 31339602000a1161 c0000264 c0000265", group, advert(3, 100*time.Millisecond, vip, second)},
		{"from the virtual MAC", "01005e000012 00005e000133 0800 45c0002000010000ff701899c0000201e0000012 31339601000ad3cb c0000264", group, advert(3, 100*time.Millisecond, vip)},
		{"unicast", "020000000002 020000000001 0800 45c0002000010000ff7036a9c0000201c0000202 31339601000af1db c0000264", peer, advert(3, 100*time.Millisecond, vip)},
		{"version 3 over IPv6", "333300000012 020000000001 86dd 6c080acf002870ff fe80000000000000000000fffe000001 ff020000000000000000000000000012 " +
			"31339602000a0d57 fe800000000000000000000000000100 20010db8000000000000000000000100", addr("ff02::12"), advert(3, 100*time.Millisecond, addr("fe80::100"), addr("2001:db8::100"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := hex.DecodeString(strings.ReplaceAll(c.frame, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			const ethernet, ipv6 = 14, 40
			padded := append(b[ethernet:], make([]byte, max(0, 60-len(b)))...)
			p, ok := cutIPv4(padded)
			if padded[0]>>4 == 6 { // the kernel takes this header off itself
				p = AdvertPacket{Source: netip.AddrFrom16([16]byte(padded[8:])), Destination: netip.AddrFrom16([16]byte(padded[24:])), TTL: padded[7], Payload: padded[ipv6:]}
				ok = true
			}
			if !ok || p.TTL != vrrp.TTL || p.Destination != c.to {
				t.Fatalf("%+v, %v", p, ok)
			}
			a, form, rest, err := vrrp.Parse(p.Payload, vrrp.Path{Source: p.Source, Destination: p.Destination})
			if err != nil || len(rest) != 0 || a.Version == 3 && form != vrrp.WithPseudoHeader {
				t.Errorf("form %v, %d bytes left, %v", form, len(rest), err)
			}
			if diff := cmp.Diff(c.want, a, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
