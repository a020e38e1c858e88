package health

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"
)

// answerOf is a segment from one end to the other, with a right checksum.
func answerOf(from, to netip.AddrPort, ack uint32, flags byte) []byte {
	b := synSegment(from, to, 77)
	binary.BigEndian.PutUint32(b[8:], ack)
	b[13] = flags
	seal(b, from.Addr(), to.Addr())
	return b
}

func seal(b []byte, from, to netip.Addr) {
	b[16], b[17] = 0, 0
	binary.BigEndian.PutUint16(b[16:], checksum(append(pseudoHeader(from, to, len(b)), b...)))
}

// The bytes of a SYN as tcpdump showed those of another program, but for the
// number: ports 40000 and 80, window 64240, MSS 1460.
func TestSYNSegment(t *testing.T) {
	from, to := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("192.0.2.21:80")
	b := synSegment(from, to, 0x01020304)
	want := "\x9c\x40\x00\x50\x01\x02\x03\x04\x00\x00\x00\x00\x60\x02\xfa\xf0"
	if string(b[:16]) != want || string(b[18:]) != "\x00\x00\x02\x04\x05\xb4" {
		t.Errorf("segment % x", b)
	}
	if checksum(append(pseudoHeader(from.Addr(), to.Addr(), len(b)), b...)) != 0 {
		t.Errorf("wrong checksum in % x", b)
	}
}

func TestAnswerToSYN(t *testing.T) {
	for _, ends := range [][2]string{{"192.0.2.21:80", "192.0.2.1:40000"}, {"[fd01::21]:80", "[fd01::1]:40000"}} {
		from, to := netip.MustParseAddrPort(ends[0]), netip.MustParseAddrPort(ends[1])
		const seq = 0xffffffff // the acknowledgement wraps
		flip := func(i int, bit byte) func([]byte) { return func(b []byte) { b[i] ^= bit } }
		for name, tt := range map[string]struct {
			ack    uint32
			flags  byte
			change func([]byte)
			want   synAnswer
		}{
			"open":                        {0, flagSYN | flagACK, nil, synOpen},
			"refused":                     {0, flagRST | flagACK, nil, synRefused},
			"another's acknowledgement":   {1, flagSYN | flagACK, nil, synOther},
			"a reset of another":          {1, flagRST | flagACK, nil, synOther},
			"a reset without a number":    {0, flagRST, nil, synOther},
			"our own SYN":                 {0, flagSYN, nil, synOther},
			"a mere acknowledgement":      {0, flagACK, nil, synOther},
			"a wrong checksum":            {0, flagSYN | flagACK, flip(16, 1), synOther},
			"a bit flipped under way":     {0, flagSYN | flagACK, flip(4, 1), synOther},
			"from another port":           {0, flagSYN | flagACK, func(b []byte) { b[1]++; seal(b, from.Addr(), to.Addr()) }, synOther},
			"to another port":             {0, flagSYN | flagACK, func(b []byte) { b[3]++; seal(b, from.Addr(), to.Addr()) }, synOther},
			"a header beyond the segment": {0, flagSYN | flagACK, func(b []byte) { b[12] = 0xf0; seal(b, from.Addr(), to.Addr()) }, synOther},
			"a header that is too short":  {0, flagSYN | flagACK, func(b []byte) { b[12] = 0x40; seal(b, from.Addr(), to.Addr()) }, synOther},
			"a checksum left to the card": {0, flagSYN | flagACK, func(b []byte) {
				binary.BigEndian.PutUint16(b[16:], ^checksum(pseudoHeader(from.Addr(), to.Addr(), len(b))))
			}, synOpen},
			"a checksum for other parties": {0, flagSYN | flagACK, func(b []byte) { seal(b, to.Addr().Next(), to.Addr()) }, synOther},
		} {
			b := answerOf(from, to, tt.ack, tt.flags)
			if tt.change != nil {
				tt.change(b)
			}
			if got := answerToSYN(b, from, to, seq); got != tt.want {
				t.Errorf("%v: %s: %d, want %d", from, name, got, tt.want)
			}
		}
	}
}

func ipv4Packet(from, to netip.Addr, options int, segment []byte) []byte {
	b := make([]byte, 20+options)
	b[0], b[9] = 0x40|byte(len(b)/4), syscall.IPPROTO_TCP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(segment)))
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	return append(b, segment...)
}

func TestSegmentOf(t *testing.T) {
	from, to := netip.MustParseAddr("192.0.2.21"), netip.MustParseAddr("192.0.2.1")
	for name, tt := range map[string]struct {
		packet []byte
		want   string
	}{
		"plain":              {ipv4Packet(from, to, 0, []byte("segment")), "segment"},
		"with options":       {ipv4Packet(from, to, 8, []byte("segment")), "segment"},
		"padded":             {append(ipv4Packet(from, to, 0, []byte("segment")), 0, 0), "segment"},
		"from another":       {ipv4Packet(to, to, 0, []byte("segment")), ""},
		"to another":         {ipv4Packet(from, from, 0, []byte("segment")), ""},
		"a header cut short": {ipv4Packet(from, to, 8, nil)[:24], ""},
		"cut short":          {ipv4Packet(from, to, 0, nil)[:19], ""},
	} {
		if got := string(segmentOf(tt.packet, from, to)); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// No packet crashes the decoder, and one that is taken for an answer has our
// number in it.
func FuzzSYNAnswer(f *testing.F) {
	from, to := netip.MustParseAddrPort("192.0.2.21:80"), netip.MustParseAddrPort("192.0.2.1:40000")
	from6, to6 := netip.MustParseAddrPort("[fd01::21]:80"), netip.MustParseAddrPort("[fd01::1]:40000")
	const seq = 0x01020304
	f.Add(ipv4Packet(from.Addr(), to.Addr(), 0, answerOf(from, to, seq+1, flagSYN|flagACK)))
	f.Add(ipv4Packet(from.Addr(), to.Addr(), 4, answerOf(from, to, seq+1, flagRST|flagACK)))
	f.Add(answerOf(from6, to6, seq+1, flagSYN|flagACK))
	f.Add(synSegment(to6, from6, seq))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, ends := range [][2]netip.AddrPort{{from, to}, {from6, to6}} {
			segment := segmentOf(b, ends[0].Addr(), ends[1].Addr())
			if len(segment) > len(b) {
				t.Fatalf("a segment of %d bytes in %d", len(segment), len(b))
			}
			if answerToSYN(segment, ends[0], ends[1], seq) != synOther && binary.BigEndian.Uint32(segment[8:]) != seq+1 {
				t.Errorf("% x is taken for an answer", segment)
			}
			if isOurs(b, ends[0], ends[1], seq) && len(b) < 8 {
				t.Errorf("% x is taken for our SYN", b)
			}
		}
	})
}
