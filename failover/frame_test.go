package failover

import (
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"
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
			binary.BigEndian.PutUint16(f[56:], ^sum6(f[22:38], f[38:54], f[54:]))
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
			for _, read := range []func([]byte) (netip.Addr, [6]byte, bool){readARP, readAdvertisement} {
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
	arp, err := gratuitousARP(hw, netip.MustParseAddr("192.0.2.100"))
	if err != nil {
		t.Fatal(err)
	}
	na := neighbourAdvertisement(hw, netip.MustParseAddr("2001:db8::100"), true)
	notice := make([]byte, noticeSize)
	binary.NativeEndian.PutUint32(notice, noticeSize)
	binary.NativeEndian.PutUint16(notice[4:], newLink)
	if n := testing.AllocsPerRun(100, func() {
		_, _, ok4 := readARP(arp)
		_, _, ok6 := readAdvertisement(na)
		_, _, ok := nextNotice(notice)
		if !ok4 || !ok6 || !ok {
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
			if again, err = gratuitousARP(mac[:], addr); err != nil {
				t.Fatal(err)
			}
		} else {
			again = neighbourAdvertisement(mac[:], addr, false)
		}
		if a, m, ok := read(again); !ok || a != addr || m != mac {
			t.Fatalf("%v at %x is read as %v at %x, %t", addr, mac, a, m, ok)
		}
	})
}

func FuzzARP(f *testing.F) { fuzzClaim(f, readARP) }

func FuzzNA(f *testing.F) { fuzzClaim(f, readAdvertisement) }

func FuzzNotices(f *testing.F) {
	f.Add([]byte("\x20\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x07\x00\x00\x00\x43\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for n := 0; ; n++ {
			m, rest, ok := nextNotice(b)
			if !ok {
				return
			}
			if len(rest) > len(b)-noticeHead {
				t.Fatalf("message %d, %+v, does not end", n, m)
			}
			b = rest
		}
	})
}

// passes runs a filter as the kernel does.
func passes(t *testing.T, filter []bpf.Instruction, frame []byte) bool {
	t.Helper()
	vm, err := bpf.NewVM(filter)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(frame)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

func TestFiltersPassOthersClaimsAlone(t *testing.T) {
	own, other := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	arp := func(hw net.HardwareAddr, addr string) []byte {
		f, err := gratuitousARP(hw, netip.MustParseAddr(addr))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	// Every third one, so that they are no range.
	many := func(n int, first string) (out []netip.Addr) {
		for a := netip.MustParseAddr(first); len(out) < n; a = a.Next().Next().Next() {
			out = append(out, a)
		}
		return out
	}
	type row struct {
		frame []byte
		want  bool
	}
	for _, n := range []int{1, 2, maxRanges, maxRanges + 1, 1000} {
		four, six := many(n, "192.0.2.1"), many(n, "2001:db8::1")
		last4, last6 := four[n-1].String(), six[n-1].String()
		for i, r := range []row{
			{arp(other, "192.0.2.1"), true},
			{arp(other, last4), true},
			{arp(own, "192.0.2.1"), false},
			{arp(own, last4), false},
			{arp(net.HardwareAddr{2, 0, 0, 0, 9, 1}, last4), true},
			{arp(other, "192.0.2.0"), false},
			{arp(other, "192.0.14.1"), false},
			{arp(other, "10.0.0.1"), false},
		} {
			if got := passes(t, arpFilter(four, [6]byte(own)), r.frame); got != r.want {
				t.Errorf("ARP %d of %d addresses passes: %t", i, n, got)
			}
		}
		ping := neighbourAdvertisement(other, six[0], false)
		ping[54] = 128
		tcp := neighbourAdvertisement(other, six[0], false)
		tcp[20] = 6
		for i, r := range []row{
			{neighbourAdvertisement(other, six[0], false), true},
			{neighbourAdvertisement(other, netip.MustParseAddr(last6), true), true},
			{neighbourAdvertisement(other, netip.MustParseAddr("2001:db8::ffff"), false), false},
			{ping, false},
			{tcp, false},
			{tcp[:30], false},
		} {
			if got := passes(t, naFilter(six), r.frame); got != r.want {
				t.Errorf("advertisement %d of %d addresses passes: %t", i, n, got)
			}
		}
	}
}

func TestRangesHoldAllAddresses(t *testing.T) {
	tests := []struct {
		name  string
		words []uint32
		most  int
		want  [][2]uint32
	}{
		{"none", nil, 100, nil},
		{"one", []uint32{7}, 100, [][2]uint32{{7, 7}}},
		{"a block, in any order and twice", []uint32{9, 7, 8, 7}, 100, [][2]uint32{{7, 9}}},
		{"some", []uint32{0, 2, 0xffffffff}, 100, [][2]uint32{{0, 0}, {2, 2}, {0xffffffff, 0xffffffff}}},
		{"too many: the smallest gaps are filled", []uint32{1, 10, 12, 40, 45, 47}, 3, [][2]uint32{{1, 1}, {10, 12}, {40, 47}}},
		{"one for all", []uint32{1, 10, 1000}, 1, [][2]uint32{{1, 1000}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, rangesOf(tt.words, tt.most)); diff != "" {
				t.Errorf("ranges (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoticesAreFiltered(t *testing.T) {
	message := func(kind uint16, set ...int) []byte {
		b := make([]byte, noticeSize)
		binary.NativeEndian.PutUint32(b, noticeSize)
		binary.NativeEndian.PutUint16(b[4:], kind)
		for i := 0; i < len(set); i += 2 {
			b[noticeHead+set[i]] = byte(set[i+1])
		}
		return b
	}
	const flags, protocol = 2, 5
	got := map[string]bool{}
	for name, m := range map[string][]byte{
		"link": message(newLink), "link gone": message(delLink), "address": message(newAddr, flags, 0x80),
		"duplicate": message(newAddr, flags, 0x88), "address gone": message(delAddr),
		"route": message(24, protocol, RouteProtocol), "route gone": message(delRoute, protocol, 3),
		"our route gone": message(delRoute, protocol, RouteProtocol), "neighbour": message(28),
	} {
		got[name] = passes(t, noticeFilter(), m)
	}
	want := map[string]bool{
		"link": true, "link gone": true, "address": false, "duplicate": true, "address gone": true,
		"route": false, "route gone": false, "our route gone": true, "neighbour": false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("passed (-want +got):\n%s", diff)
	}
}

func TestCarrierChangesAreRead(t *testing.T) {
	attr := func(kind uint16, value ...byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
		b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
		for len(b)%4 > 0 {
			b = append(b, 0)
		}
		return b
	}
	seven := binary.NativeEndian.AppendUint32(nil, 7)
	message := func(attrs ...[]byte) []byte {
		b := linkQuestion(3)
		b = append(b, slices.Concat(attrs...)...)
		binary.NativeEndian.PutUint32(b, uint32(len(b)))
		binary.NativeEndian.PutUint16(b[4:], newLink)
		binary.NativeEndian.PutUint32(b[noticeHead+8:], linkUp|linkRuns)
		return b
	}
	broken := message(attr(3, 'e', 't', 'h', '0', 0), attr(changesOf, seven...))
	broken[noticeHead+linkHead] = 1 // shorter than itself
	for name, tt := range map[string]struct {
		b    []byte
		want uint32
	}{
		"there":       {message(attr(3, 'e', 't', 'h', '0', 0), attr(changesOf, seven...)), 7},
		"not there":   {message(attr(3, 'e', 't', 'h', '0', 0)), 0},
		"no length":   {message(attr(changesOf)), 0},
		"no attrs":    {message(), 0},
		"broken":      {broken, 0},
		"header only": {message()[:noticeHead+12], 0},
	} {
		b := tt.b
		binary.NativeEndian.PutUint32(b, uint32(len(b)))
		n, rest, ok := nextNotice(b)
		if want := (notice{newLink, 3, linkUp | linkRuns, tt.want}); !ok || n != want || len(rest) > 0 {
			t.Errorf("%s: %+v, %d octets left, %t; want %+v", name, n, len(rest), ok, want)
		}
	}
}

func TestSightingKindsAreWrittenAndRead(t *testing.T) {
	for k := range SightingUnbelieved + 3 {
		text, err := k.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var again SightingKind
		if err := again.UnmarshalText(text); err != nil || again != k {
			t.Errorf("%s is read as %v, %v", text, again, err)
		}
	}
	s := Sighting{Kind: SightingRemoved, Device: "eth0", Route: netip.MustParsePrefix("0.0.0.0/0")}
	if got := s.String(); got != "removed route to 0.0.0.0/0 on eth0" {
		t.Error(got)
	}
}
