package sched

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

// The products of the multiplier 0x61C88647, from which the hashes below are
// the upper eight bits:
//
//	1  61C88647   97       4  8721191C  135
//	2  C3910C8E  195       5  E8E99F63  232
//	3  255992D5   37       6  4AB225AA   74
func TestHashesDerivedByHand(t *testing.T) {
	list := "+a3 +b0 +c2" // the list is c b a
	tests := []struct {
		name, sched, script, addrs, want string
		flags                            Flags
	}{
		// Slot k is server k mod 3: 97 is 1, 195 is 0, 37 is 1, 135 is 0.
		{"dh by the destination", "dh", "+a1 +b1 +c1", "0.0.0.0 0.0.0.1 0.0.0.2 0.0.0.3 0.0.0.4", "cbcbc", 0},
		{"dh folds IPv6 by exclusive or", "dh", "+a1 +b1 +c1", "::1 1::1:0:0:1 ::3:0:2 ::1:0:1:0:2", "bbbc", 0},
		{"dh has no way out", "dh", "+a1 +b0 +c1", "0.0.0.0 0.0.0.1", "c-", FlagFallback},
		{"dh is not refilled by an edit", "dh", "+a1 +b1 +c1 c=9", "0.0.0.0 0.0.0.1", "cb", 0},
		{"dh without a server", "dh", "", "0.0.0.0", "-", 0},
		// Slots c c b a a a, again and again: 97 is 1, 195 is 3, 37 is 1,
		// 135 is 3, 232 is 4, 74 is 2: b, which is quiesced.
		{"sh by the source", "sh", list, "0.0.0.0 0.0.0.1 0.0.0.2 0.0.0.3 0.0.0.4 0.0.0.5 0.0.0.6", "ccacaa-", 0},
		// From 74: the search begins at 2*74 = 148, which is 4 mod 6.
		{"sh falls back beginning at twice the hash", "sh", list, "0.0.0.6", "a", FlagFallback},
		// 5+1 is 6, 4+1 is 5.
		{"sh with the port", "sh", list, "0.0.0.5:1 0.0.0.4:1 [::4]:1", "-aa", FlagPort},
		{"sh ignores the port", "sh", list, "0.0.0.5:1 0.0.0.4:1", "aa", 0},
		{"sh with port and fallback", "sh", list, "0.0.0.5:1", "a", FlagPort | FlagFallback},
		// c b a a a: 97 is 2, 74 is 4.
		{"sh is refilled by an edit", "sh", list + " c=1", "0.0.0.0 0.0.0.1 0.0.0.6", "caa", 0},
		{"sh gives a quiesced server its slot", "sh", list + " b=1", "0.0.0.0 0.0.0.1 0.0.0.6", "ccb", 0},
		{"sh with quiesced servers only", "sh", "+a0 +b0", "0.0.0.1", "-", FlagFallback},
		{"sh without a server", "sh", "", "0.0.0.1", "-", FlagFallback},
		{"mh with one server", "mh", "+a7", "0.0.0.1 0.0.0.2 ::3", "aaa", 0},
		{"mh with quiesced servers only", "mh", "+a0 +b0", "0.0.0.1", "-", FlagFallback},
		{"mh without a server", "mh", "", "0.0.0.1", "-", FlagFallback},
		{"mh falls back", "mh", "+a1 +b1 a=0", "0.0.0.1 0.0.0.2 0.0.0.3 0.0.0.4", "bbbb", FlagFallback},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := mustNew(t, tt.sched, nil)
			s.SetFlags(tt.flags)
			play(t, s, tt.script)
			if got := picksFor(t, s, tt.addrs); got != tt.want {
				t.Errorf("%s: %q, want %q", tt.addrs, got, tt.want)
			}
		})
	}
}

// picksFor picks for flows from and to each of the addresses.
func picksFor(t *testing.T, s *Scheduler, addrs string) string {
	t.Helper()
	var got string
	for _, text := range strings.Fields(addrs) {
		at, err := netip.ParseAddrPort(text)
		if err != nil {
			a, err := netip.ParseAddr(text)
			if err != nil {
				t.Fatal(err)
			}
			at = netip.AddrPortFrom(a, 9)
		}
		got += nameOf(s.Pick(Flow{Client: at, Service: at}))
	}
	return got
}

// The vectors of SipHash-1-3 for the key 00 01 .. 0f and messages 00 01 ..,
// cut to 32 bits, are those of the reference implementation, as the kernel's
// own test (lib/siphash_kunit.c) has them; the one of SipHash-2-4 is from the
// paper's appendix.
func TestSipHashVectors(t *testing.T) {
	const k0, k1 = 0x0706050403020100, 0x0f0e0d0c0b0a0908
	short := []uint32{
		0x050fc4dc, 0x7d57ca93, 0x4dc7d44d, 0xe7ddf7fb, 0x88d38328, 0x49533b67, 0xc59f22a7, 0x9bb11140, 0x8d299a8e,
		0x6c063de4, 0x92ff097f, 0xf94dc352, 0x57b4d9a2, 0x1229ffa7, 0xc0f95d34, 0x2a519956, 0x7d908b66,
	}
	var message []byte
	for i, want := range short {
		if got := uint32(naiveSipHash(1, 3, k0, k1, message)); got != want {
			t.Errorf("the test's SipHash-1-3 of %d bytes = %#x, want %#x", i, got, want)
		}
		message = append(message, byte(i))
	}
	if got := naiveSipHash(2, 4, k0, k1, message[:15]); got != 0xa129ca6149be45e5 {
		t.Errorf("the test's SipHash-2-4 of 15 bytes = %#x", got)
	}
	if got := siphash(0x03020100, k0, k1); got != short[4] {
		t.Errorf("siphash = %#x, want %#x", got, short[4])
	}
	for range 1000 {
		v := rand.Uint32()
		for _, key := range []uint64{mhStartKey, mhSkipKey} {
			if got, want := siphash(v, key, key), naiveHSipHash(v, key); got != want {
				t.Errorf("siphash(%#x) under %d = %#x, want %#x", v, key, got, want)
			}
		}
	}
}

// where tells which server each of many clients goes to.
func where(s *Scheduler) []string {
	picks := make([]string, 20000)
	for i := range picks {
		a := netip.AddrFrom4([4]byte{192, byte(i >> 16), byte(i >> 8), byte(i)})
		picks[i] = nameOf(s.Pick(Flow{Client: netip.AddrPortFrom(a, 1)}))
	}
	return picks
}

// Maglev's promises: the load follows the weights, quiescing a server moves
// only its clients, and removing one moves few others.
func TestMHMovesFewClients(t *testing.T) {
	s := mustNew(t, "mh", &Options{Flags: FlagFallback})
	play(t, s, "+a1 +b2 +c3 +d2")
	before := where(s)
	shares := map[string]int{}
	for _, name := range before {
		shares[name]++
	}
	for name, want := range map[string]int{"a": 2500, "b": 5000, "c": 7500, "d": 5000} {
		if n := shares[name]; n < want*9/10 || n > want*11/10 {
			t.Errorf("%s has %d of 20000 clients, want about %d", name, n, want)
		}
	}
	d := s.Servers()[0]
	if err := s.Edit(d, ServerConfig{}); err != nil {
		t.Fatal(err)
	}
	others := 0
	for i, name := range where(s) {
		switch {
		case before[i] == "d" && name == "d":
			t.Fatal("a quiesced server was picked")
		case before[i] != "d" && before[i] != name:
			t.Fatalf("client %d moved from %s to %s", i, before[i], name)
		}
	}
	if err := s.Remove(d); err != nil {
		t.Fatal(err)
	}
	for i, name := range where(s) {
		if before[i] != "d" && before[i] != name {
			others++
		}
	}
	if others > 20000/10 {
		t.Errorf("%d of 20000 clients of other servers moved by a removal", others)
	}
}

func TestMHTableSizes(t *testing.T) {
	for index, size := range map[int]int{8: 251, 9: 509, 12: 4093, 17: 131071} {
		s := mustNew(t, "mh", &Options{MHIndex: index})
		play(t, s, "+a1 +b1")
		if n := len(s.bound.Load().algorithm.(*mh).now.Load().index); n != size {
			t.Errorf("index %d: %d slots, want %d", index, n, size)
		}
	}
}

// Turns are cut to so many bits that a round does not fill the table: index 8
// leaves 4. A weight of 2^31-1 beside 1 has 31 bits, 27 too many, so it takes
// 15 slots in a round and the other 1.
func TestMHScalesHugeWeights(t *testing.T) {
	for _, script := range []string{"+a1 +b2147483647", "+a1 +b2147483647 a=0", "+a1 +b2147483647 b=0"} {
		s := mustNew(t, "mh", &Options{MHIndex: 8})
		play(t, s, script)
		slots := map[uint32]int{}
		for _, i := range s.bound.Load().algorithm.(*mh).now.Load().index {
			slots[i]++
		}
		// 251 slots are 15 rounds of 16 and 11 more for b, the first.
		if slots[0] != 15*15+11 || slots[1] != 15 {
			t.Errorf("%s: slots %v, want 236 and 15", script, slots)
		}
	}
}

func TestMHWithMoreServersThanSlots(t *testing.T) {
	s := mustNew(t, "rr", &Options{MHIndex: 8})
	var last *Server
	add := func(i int) {
		var err error
		last, err = s.Add(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80), ServerConfig{Weight: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 252 {
		add(i)
	}
	err := s.Use("mh")
	if want := "scheduler mh: 252 servers, 251 slots: more servers than slots; raise MHIndex"; fmt.Sprint(err) != want || s.Name() != "rr" {
		t.Fatalf("Use(mh) = %v with %s in use, want %s", err, s.Name(), want)
	}
	if err := s.Remove(last); err != nil {
		t.Fatal(err)
	}
	if err := s.Use("mh"); err != nil {
		t.Fatal(err)
	}
	before := where(s)
	// One more changes nothing: the table stays.
	add(251)
	for i, name := range where(s) {
		if name != before[i] {
			t.Fatalf("client %d moved", i)
		}
	}
}
