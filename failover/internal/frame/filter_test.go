package frame

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"
)

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
		f, err := GratuitousARP(hw, netip.MustParseAddr(addr))
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
			if got := passes(t, ARPFilter(four, [6]byte(own)), r.frame); got != r.want {
				t.Errorf("ARP %d of %d addresses passes: %t", i, n, got)
			}
		}
		ping := Advertisement(other, six[0], false)
		ping[54] = 128
		tcp := Advertisement(other, six[0], false)
		tcp[20] = 6
		for i, r := range []row{
			{Advertisement(other, six[0], false), true},
			{Advertisement(other, netip.MustParseAddr(last6), true), true},
			{Advertisement(other, netip.MustParseAddr("2001:db8::ffff"), false), false},
			{ping, false},
			{tcp, false},
			{tcp[:30], false},
		} {
			if got := passes(t, AdvertisementFilter(six), r.frame); got != r.want {
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
