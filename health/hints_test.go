package health

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hintsFor are hints about addresses, with next hops of a table, and what they
// said. The clock is the test's.
func hintsFor(t *testing.T, cfg HintsConfig, hops map[string]hop) (*Hints, *[]string) {
	t.Helper()
	var said []string
	cfg.OnHint = func(h Hint) {
		said = append(said, fmt.Sprintf("%v: %s", h.Addr, h.Reason))
		if h.Back != strings.HasSuffix(h.Reason, "is up") {
			t.Errorf("%+v", h)
		}
	}
	h, err := NewHints(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.lookUp = func(a netip.Addr) (hop, error) {
		if to, ok := hops[a.String()]; ok {
			return to, nil
		}
		return hop{}, errors.New("no route")
	}
	return h, &said
}

func addrs(texts ...string) (list []netip.Addr) {
	for _, a := range texts {
		list = append(list, netip.MustParseAddr(a))
	}
	return list
}

func TestHintsOfNeighboursAndLinks(t *testing.T) {
	router := netip.MustParseAddr("10.0.0.1")
	h, said := hintsFor(t, HintsConfig{Pause: time.Minute}, map[string]hop{
		"10.0.0.21": {link: 2}, "10.9.0.1": {link: 2, router: router}, "10.9.0.2": {link: 3, router: router}, "10.0.3.1": {link: 3},
	})
	h.Set(addrs("10.0.0.21", "10.9.0.1", "10.9.0.2", "::ffff:10.0.3.1"))
	now := time.Now()
	event := func(addr string, link int, alive bool) {
		h.neighbour(neighbourEvent{netip.MustParseAddr(addr), link, alive}, now)
	}
	for _, step := range []struct {
		name string
		do   func()
		want []string
	}{
		{"a neighbour fails", func() { event("10.0.0.21", 2, false) }, []string{"10.0.0.21: neighbour 10.0.0.21 does not answer any more"}},
		{"and is still dead when it is asked again", func() { now = now.Add(time.Hour); event("10.0.0.21", 2, false) }, nil},
		{"it comes back", func() { event("10.0.0.21", 2, true) }, nil},
		{"and fails again", func() { event("10.0.0.21", 2, false) }, []string{"10.0.0.21: neighbour 10.0.0.21 does not answer any more"}},
		{"a router fails", func() { event("10.0.0.1", 2, false) }, []string{"10.9.0.1: neighbour 10.0.0.1 does not answer any more"}},
		{"a stranger fails", func() { event("10.0.0.77", 2, false) }, nil},
		{"a link comes up that was not down", func() { h.link(linkEvent{3, "eth3", false}, now) }, nil},
		{"a link goes down", func() { h.link(linkEvent{3, "eth3", true}, now) }, []string{"10.0.3.1: link eth3 is down", "10.9.0.2: link eth3 is down"}},
		{"and is told again", func() { h.link(linkEvent{3, "eth3", true}, now) }, nil},
		{"too soon up again", func() { h.link(linkEvent{3, "eth3", false}, now) }, nil},
		{"and later up", func() {
			now = now.Add(time.Hour)
			h.link(linkEvent{3, "eth3", true}, now)
			*said = nil
			now = now.Add(time.Hour)
			h.link(linkEvent{3, "eth3", false}, now)
		}, []string{"10.0.3.1: link eth3 is up", "10.9.0.2: link eth3 is up"}},
		{"later down again", func() { now = now.Add(time.Hour); h.link(linkEvent{3, "eth3", true}, now) }, []string{"10.0.3.1: link eth3 is down", "10.9.0.2: link eth3 is down"}},
		{"unreachable", func() { h.unreachable(netip.MustParseAddr("10.0.0.21"), "10.0.0.1 says: host unreachable", now) }, []string{"10.0.0.21: 10.0.0.1 says: host unreachable"}},
		{"a stranger is unreachable", func() { h.unreachable(netip.MustParseAddr("10.0.0.77"), "x", now) }, nil},
	} {
		*said = nil
		step.do()
		slices.Sort(*said)
		if diff := cmp.Diff(step.want, *said); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
	want := HintStats{Neighbours: 4, Links: 5, ICMP: 2, Hints: 12, Dropped: 2}
	if diff := cmp.Diff(want, h.Stats()); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

// A flood of events is a bounded number of hints, for one address and for all.
func TestHintsAreFew(t *testing.T) {
	h, said := hintsFor(t, HintsConfig{Rate: 10}, nil)
	var list []netip.Addr
	for i := range 5000 {
		list = append(list, netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}))
	}
	h.Set(list)
	now := time.Now()
	for range 1000 {
		h.unreachable(list[0], "forged", now)
		now = now.Add(time.Millisecond)
	}
	if n := len(*said); n != 1 {
		t.Errorf("%d hints about one address in a second, want 1", n)
	}
	*said = nil
	for i := range 100_000 {
		h.unreachable(list[1+i%4999], "forged", now)
		now = now.Add(100 * time.Microsecond)
	}
	if n := len(*said); n < 100 || n > 130 {
		t.Errorf("%d hints in 10 s, want 10 a second and 20 at once", n)
	}
	*said = nil
	now = now.Add(time.Hour)
	looked := 0
	h.lookUp = func(netip.Addr) (hop, error) { looked++; return hop{link: 2}, nil }
	for range 100 {
		h.link(linkEvent{2, "eth0", true}, now)
		h.link(linkEvent{2, "eth0", false}, now)
	}
	if n := len(*said); n != 20 || looked > 30 {
		t.Errorf("a link that flaps made %d hints and %d look-ups, want 20 and as many", n, looked)
	}
	for i := range 3 * maxHintState {
		h.neighbour(neighbourEvent{netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(i)}), 2, false}, now)
		h.link(linkEvent{1000 + i, "x", true}, now)
	}
	if len(h.failed) > maxHintState || len(h.down) > maxHintState {
		t.Errorf("%d neighbours and %d links are remembered", len(h.failed), len(h.down))
	}
}

// Replacing the addresses keeps the time of those that stay.
func TestHintsSetKeepsThePause(t *testing.T) {
	h, said := hintsFor(t, HintsConfig{}, nil)
	now := time.Now()
	h.Set(addrs("10.0.0.1", "10.0.0.2"))
	h.unreachable(addrs("10.0.0.1")[0], "x", now)
	h.Set(addrs("10.0.0.1", "10.0.0.3"))
	for _, a := range addrs("10.0.0.1", "10.0.0.2", "10.0.0.3") {
		h.unreachable(a, "y", now)
	}
	if diff := cmp.Diff([]string{"10.0.0.1: x", "10.0.0.3: y"}, *said); diff != "" {
		t.Errorf("hints (-want +got):\n%s", diff)
	}
}

func TestNewHintsRefuses(t *testing.T) {
	_, err := NewHints(HintsConfig{Pause: -1, Rate: -1})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("error %v, want three complaints", err)
	}
}

func quoteIn(v6 bool, kind, code byte, to string) []byte {
	b := []byte{kind, code, 0, 0, 0, 0, 0, 0}
	addr := netip.MustParseAddr(to)
	if v6 {
		ip := make([]byte, 48)
		ip[0] = 0x60
		copy(ip[24:], addr.AsSlice())
		return append(b, ip...)
	}
	ip := make([]byte, 28)
	ip[0] = 0x45
	copy(ip[16:], addr.AsSlice())
	return append(b, ip...)
}

func TestDecodeUnreachable(t *testing.T) {
	for name, tt := range map[string]struct {
		b    []byte
		v6   bool
		want string
	}{
		"host":                     {quoteIn(false, 3, 1, "10.0.0.1"), false, "10.0.0.1 host unreachable"},
		"port":                     {quoteIn(false, 3, 3, "10.0.0.1"), false, "10.0.0.1 port unreachable"},
		"too large is not dead":    {quoteIn(false, 3, 4, "10.0.0.1"), false, ""},
		"time exceeded":            {quoteIn(false, 11, 0, "10.0.0.1"), false, ""},
		"cut short":                {quoteIn(false, 3, 1, "10.0.0.1")[:27], false, ""},
		"IPv6 address":             {quoteIn(true, 1, 3, "fd01::1"), true, "fd01::1 address unreachable"},
		"IPv6 cut short":           {quoteIn(true, 1, 3, "fd01::1")[:47], true, ""},
		"IPv6 in IPv4":             {quoteIn(true, 3, 3, "fd01::1"), false, ""},
		"IPv6 time exceeded":       {quoteIn(true, 3, 0, "fd01::1"), true, ""},
		"nothing":                  {nil, false, ""},
		"IPv6 packet is too large": {quoteIn(true, 2, 0, "fd01::1"), true, ""},
	} {
		addr, what, ok := decodeUnreachable(tt.b, tt.v6)
		got := ""
		if ok {
			got = addr.String() + " " + what
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func neighbourMessage(state uint16, addr string) []byte {
	a := netip.MustParseAddr(addr).AsSlice()
	b := make([]byte, neighbourHeader+4)
	binary.NativeEndian.PutUint32(b[4:], 2)
	binary.NativeEndian.PutUint16(b[8:], state)
	binary.NativeEndian.PutUint16(b[12:], uint16(4+len(a)))
	binary.NativeEndian.PutUint16(b[14:], neighbourDst)
	return append(b, a...)
}

func linkMessage(flags uint32, name string) []byte {
	b := make([]byte, linkHeader+4)
	binary.NativeEndian.PutUint32(b[4:], 2)
	binary.NativeEndian.PutUint32(b[8:], flags)
	binary.NativeEndian.PutUint16(b[16:], uint16(4+len(name)+1))
	binary.NativeEndian.PutUint16(b[18:], linkName)
	return append(append(b, name...), 0)
}

func TestDecodeRouteEvents(t *testing.T) {
	for state, want := range map[uint16]string{0x20: "false", 0x02: "true", 0x80: "true", 0x04: "", 0x01: "", 0x10: ""} {
		n, ok := decodeNeighbour(neighbourMessage(state, "10.0.0.1"))
		if got := fmt.Sprint(n.alive); ok != (want != "") || ok && (got != want || n.addr != netip.MustParseAddr("10.0.0.1") || n.link != 2) {
			t.Errorf("neighbour of state %#x: %+v, %v", state, n, ok)
		}
	}
	for flags, down := range map[uint32]bool{linkUp | linkLower: false, linkUp: true, linkLower: true} {
		if l, ok := decodeLink(msgNewLink, linkMessage(flags, "eth0")); !ok || l.down != down || l.name != "eth0" || l.link != 2 {
			t.Errorf("link with flags %#x: %+v, %v", flags, l, ok)
		}
	}
	if l, _ := decodeLink(msgDelLink, linkMessage(linkUp|linkLower, "eth0")); !l.down {
		t.Errorf("a deleted link is up")
	}
}

// No bytes crash the decoders or make them read beyond what is there.
func FuzzHints(f *testing.F) {
	f.Add(quoteIn(false, 3, 1, "10.0.0.1"))
	f.Add(quoteIn(true, 1, 3, "fd01::1"))
	f.Add(neighbourMessage(0x20, "fd01::1"))
	f.Add(linkMessage(linkUp, "eth0"))
	f.Add(append(binary.NativeEndian.AppendUint32(nil, 48), append(make([]byte, 12), neighbourMessage(0x20, "10.0.0.1")...)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := len(b)
		for _, body := range messagesOf(b) {
			if whole -= 16 + len(body); whole < 0 {
				t.Fatalf("messages are longer than the datagram of %d bytes", len(b))
			}
		}
		for _, v6 := range []bool{false, true} {
			if addr, what, ok := decodeUnreachable(b, v6); ok && (!addr.IsValid() || what == "") {
				t.Errorf("unreachable %v: %q", addr, what)
			}
		}
		if n, ok := decodeNeighbour(b); ok && !n.addr.IsValid() {
			t.Errorf("neighbour %+v", n)
		}
		if l, ok := decodeLink(msgNewLink, b); ok && l.name == "" {
			t.Errorf("link %+v", l)
		}
	})
}
