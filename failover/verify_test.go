package failover

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/failover/internal/frame"
)

func TestWhatAnswersMean(t *testing.T) {
	own := netip.MustParseAddr("192.0.2.1")
	ask := func(tries, ownHeard int, own netip.Addr) question {
		return question{
			device: "eth0", address: netip.MustParseAddr("192.0.2.100"), neighbour: netip.MustParseAddr("192.0.2.254"),
			own: own, tries: tries, ownHeard: ownHeard,
		}
	}
	believed, failed := ask(1, 0, own), ask(3, 0, own)
	believed.believed = true
	failed.trouble = errors.New("no route")
	for _, tt := range []struct {
		name   string
		q      question
		want   Belief
		reason string
	}{
		{"the address is answered", believed, BeliefVerified, ""},
		{"only our own is, once", ask(1, 1, own), BeliefUnknown, "not yet"},
		{"only our own is, twice of two", ask(2, 2, own), BeliefUnknown, "not yet"},
		{"only our own is, always", ask(3, 3, own), BeliefDoubted, "still sends that to another machine"},
		{"only our own is, mostly", ask(3, 2, own), BeliefDoubted, "still sends that to another machine"},
		{"only our own is, once of three", ask(3, 1, own), BeliefUnknown, "not yet"},
		{"neither is", ask(3, 0, own), BeliefUnknown, "answers no echo requests"},
		{"there is no own", ask(3, 0, netip.Addr{}), BeliefUnknown, "no other address on eth0 to compare"},
		{"asking fails", failed, BeliefUnknown, "no route"},
	} {
		if got, reason := tt.q.judge(); got != tt.want || !strings.Contains(reason, tt.reason) || (reason == "") != (tt.reason == "") {
			t.Errorf("%s: %v, %q", tt.name, got, reason)
		}
	}
}

func TestEchoesAreWrittenAndRead(t *testing.T) {
	token := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	reply4 := func() []byte {
		m := echoMessage(false, 0x1234, 77, token)
		if frame.Checksum(0, m) != 0 {
			t.Fatal("the checksum is wrong")
		}
		m[0], m[2], m[3] = echoReply4, 0, 0
		sum := frame.Checksum(0, m)
		m[2], m[3] = byte(sum>>8), byte(sum)
		return append([]byte{0x45, 0, 0, 36, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 254, 192, 0, 2, 100}, m...)
	}
	reply6 := func() []byte {
		m := echoMessage(true, 0x1234, 77, token)
		m[0] = echoReply6
		return m
	}
	if n, ok := readEcho(reply4(), false, 0x1234, token); !ok || n != 77 {
		t.Errorf("IPv4: %d, %t", n, ok)
	}
	if n, ok := readEcho(reply6(), true, 0x1234, token); !ok || n != 77 {
		t.Errorf("IPv6: %d, %t", n, ok)
	}
	for name, change := range map[string]func(b []byte){
		"a request":     func(b []byte) { b[0] = 9 },
		"a code":        func(b []byte) { b[1] = 1 },
		"another one's": func(b []byte) { b[4]++ },
		"a guess":       func(b []byte) { b[15]++ },
	} {
		b := reply4()
		change(b[20:])
		if _, ok := readEcho(b, false, 0x1234, token); ok {
			t.Errorf("%s is read with IPv4", name)
		}
		b = reply6()
		change(b)
		if _, ok := readEcho(b, true, 0x1234, token); ok {
			t.Errorf("%s is read with IPv6", name)
		}
	}
}

func FuzzEcho(f *testing.F) {
	token := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	f.Add(echoMessage(true, 0x1234, 7, token), true)
	f.Add([]byte{0x45, 0, 0, 36, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 254, 192, 0, 2, 100, 0, 0, 0, 0}, false)
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		if _, ok := readEcho(b, six, 0x1234, token); ok && len(b) < echoLength {
			t.Fatalf("%x is read", b)
		}
	})
}

func TestBeliefsAreWrittenAndRead(t *testing.T) {
	for b := range BeliefDoubted + 3 {
		text, err := json.Marshal(AddressStatus{Belief: b})
		if err != nil {
			t.Fatal(err)
		}
		var again AddressStatus
		if err := json.Unmarshal(text, &again); err != nil || again.Belief != b {
			t.Errorf("%s is read as %v, %v", text, again.Belief, err)
		}
	}
}
