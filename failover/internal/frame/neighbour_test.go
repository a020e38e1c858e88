package frame

import (
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func frameOf(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Captured from keepalived 2.2.7, as in TestFrames.
const (
	capturedARP = "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 c0000264 ffffffffffff c0000264"
	capturedNA  = "333300000001 020000000001 86dd 60000000 0020 3a ff fe800000000000000000000000000100 ff020000000000000000000000000001" +
		"88 00 559d 20000000 fe800000000000000000000000000100 02 01 020000000001"
)

func TestClaimsAreRead(t *testing.T) {
	arp, na := frameOf(t, capturedARP), frameOf(t, capturedNA)
	// with returns a frame with other octets, and the right checksum if it is
	// an advertisement.
	with := func(f []byte, at int, octets ...byte) []byte {
		f = slices.Clone(f)
		copy(f[at:], octets)
		if f[12] == 0x86 && at != 56 {
			f[56], f[57] = 0, 0
			binary.BigEndian.PutUint16(f[56:], checksum6(f[22:38], f[38:54], f[54:]))
		}
		return f
	}
	const arp100, na100 = "192.0.2.100 02:00:00:00:00:01", "fe80::100 02:00:00:00:00:01"
	tests := []struct {
		name  string
		frame []byte
		want  string // empty: refused
	}{
		{"a gratuitous request", arp, arp100},
		{"a reply", with(arp, 21, 2), arp100},
		{"a request of another one for us tells of the other one", with(arp, 38, 192, 0, 2, 1), arp100},
		{"padding", append(slices.Clone(arp), make([]byte, 18)...), arp100},
		{"a probe has no address", with(arp, 28, 0, 0, 0, 0), ""},
		{"an operation that is neither", with(arp, 21, 3), ""},
		{"not of Ethernet", with(arp, 15, 6), ""},
		{"not of IPv4", with(arp, 16, 0x86), ""},
		{"longer hardware addresses", with(arp, 18, 8), ""},
		{"a group as sender", with(arp, 22, 3), ""},
		{"no sender", with(arp, 22, 0, 0, 0, 0, 0, 0), ""},
		{"ARP cut short", arp[:41], ""},
		{"nothing", nil, ""},
		{"an unsolicited advertisement", na, na100},
		{"without the option the frame's sender", with(with(na[:naLength], 19, 24), 6, 2, 0, 0, 0, 0, 7), "fe80::100 02:00:00:00:00:07"},
		{"the option counts, not the frame's sender", with(na, 6, 2, 0, 0, 0, 0, 7), na100},
		{"another option", with(na, 78, 14), "fe80::100 02:00:00:00:00:01"},
		{"a wrong checksum", with(na, 56, 1, 1), ""},
		{"from behind a router", with(na, 21, 254), ""},
		{"code 1", with(na, 55, 1), ""},
		{"a solicitation", with(na, 54, 135), ""},
		{"an option of no length", with(na, 79, 0), ""},
		{"an option beyond the end", with(na, 79, 2), ""},
		{"a group as target", with(na, 62, 0xff, 2), ""},
		{"longer than the frame", with(na, 19, 40), ""},
		{"an advertisement cut short", na[:80], ""},
		{"an extension header", with(na, 20, 0), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for _, read := range []func([]byte) (netip.Addr, [6]byte, bool){ReadARP, ReadAdvertisement} {
				if addr, mac, ok := read(tt.frame); ok {
					got += addr.String() + " " + net.HardwareAddr(mac[:]).String()
				}
			}
			if got != tt.want {
				t.Errorf("read %q, want %q", got, tt.want)
			}
		})
	}
}

// What we send is read again, and reading allocates nothing.
func TestReadersDoNotAllocate(t *testing.T) {
	hw := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	arp, err := GratuitousARP(hw, netip.MustParseAddr("192.0.2.100"))
	if err != nil {
		t.Fatal(err)
	}
	na := Advertisement(hw, netip.MustParseAddr("2001:db8::100"), true)
	if n := testing.AllocsPerRun(100, func() {
		_, _, ok4 := ReadARP(arp)
		_, _, ok6 := ReadAdvertisement(na)
		if !ok4 || !ok6 {
			t.Fatal("not read")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func fuzzClaim(f *testing.F, read func([]byte) (netip.Addr, [6]byte, bool)) {
	f.Add(frameOf(f, capturedARP))
	f.Add(frameOf(f, capturedNA))
	f.Fuzz(func(t *testing.T, frame []byte) {
		addr, mac, ok := read(frame)
		if !ok {
			return
		}
		if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() && addr.Is6() || mac[0]&1 != 0 || mac == [6]byte{} {
			t.Fatalf("read %v at %x", addr, mac)
		}
		// What was read can be said again, and is read the same.
		var again []byte
		if addr.Is4() {
			var err error
			if again, err = GratuitousARP(mac[:], addr); err != nil {
				t.Fatal(err)
			}
		} else {
			again = Advertisement(mac[:], addr, false)
		}
		if a, m, ok := read(again); !ok || a != addr || m != mac {
			t.Fatalf("%v at %x is read as %v at %x, %t", addr, mac, a, m, ok)
		}
	})
}

func FuzzARP(f *testing.F) { fuzzClaim(f, ReadARP) }

func FuzzNA(f *testing.F) { fuzzClaim(f, ReadAdvertisement) }

// The advertisement was captured from keepalived 2.2.7; the ARP differs from
// its form in the target's hardware address, which is zero here.
func TestFrames(t *testing.T) {
	hw := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	got, err := GratuitousARP(hw, netip.MustParseAddr("192.0.2.100"))
	if err != nil {
		t.Fatal(err)
	}
	const arp = "ffffffffffff" + "020000000001" + "0806" +
		"0001" + "0800" + "0604" + "0001" + "020000000001" + "c0000264" + "000000000000" + "c0000264"
	if diff := cmp.Diff(arp, hex.EncodeToString(got)); diff != "" {
		t.Errorf("ARP (-want +got):\n%s", diff)
	}
	const na = "333300000001" + "020000000001" + "86dd" +
		"60000000" + "0020" + "3a" + "ff" + "fe800000000000000000000000000100" + "ff020000000000000000000000000001" +
		"8800" + "559d" + "20000000" + "fe800000000000000000000000000100" + "0201" + "020000000001"
	if diff := cmp.Diff(na, hex.EncodeToString(Advertisement(hw, netip.MustParseAddr("fe80::100"), false))); diff != "" {
		t.Errorf("advertisement (-want +got):\n%s", diff)
	}
	r := Advertisement(hw, netip.MustParseAddr("fe80::100"), true)
	if r[14+40+4] != 0xa0 {
		t.Errorf("flags of a router %#x", r[14+40+4])
	}
}

// A request to a neighbour, as tcpdump reads it: who-has 192.0.2.254 tell
// 192.0.2.100; who has 2001:db8::12:3456 to ff02::1:ff12:3456.
func TestAskFrames(t *testing.T) {
	hw := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	for _, tt := range []struct{ from, to, want string }{
		{"192.0.2.100", "192.0.2.254", "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 c0000264 000000000000 c00002fe"},
		{
			"2001:db8::100", "2001:db8::12:3456", "3333ff123456 020000000001 86dd 60000000 0020 3a ff 20010db8000000000000000000000100" +
				"ff0200000000000000000001ff123456 8700 b25b 00000000 20010db8000000000000000000123456 0101 020000000001",
		},
	} {
		got, err := Ask(hw, netip.MustParseAddr(tt.from), netip.MustParseAddr(tt.to))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(frameOf(t, tt.want), got); diff != "" {
			t.Errorf("%s asks for %s (-want +got):\n%s", tt.from, tt.to, diff)
		}
	}
}
