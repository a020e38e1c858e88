package vrrp_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, vrrp.MinKey) }

func keys(t testing.TB, window time.Duration, ks ...vrrp.Key) *vrrp.Keys {
	t.Helper()
	k, err := vrrp.NewKeys(window, ks...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestTrailerIsWhatKeepalivedDescribes builds the signed bytes a second time,
// one field after another.
func TestTrailerIsWhatKeepalivedDescribes(t *testing.T) {
	message := bytesOf(t, golden[3].message)
	now := time.Unix(1_700_000_000, 500_000_000)
	got := keys(t, 0, vrrp.Key{ID: 7, Secret: secret(1)}).Sign(bytes.Clone(message), addr("192.0.2.1"), now)
	head := bytesOf(t, "01070000 6553f100 8000 0000")
	if !bytes.Equal(got[len(message):len(message)+12], head) {
		t.Errorf("trailer begins with %x, want %x", got[len(message):len(message)+12], head)
	}
	h := hmac.New(sha256.New, secret(1))
	h.Write(bytesOf(t, "04 03 33 00 c0000201 000000000000000000000000"))
	h.Write(message[:6])
	h.Write([]byte{0, 0})
	h.Write(message[8:])
	h.Write(head)
	h.Write(make([]byte, 16))
	if want := h.Sum(nil)[:16]; !bytes.Equal(got[len(got)-16:], want) {
		t.Errorf("signature %x, want %x", got[len(got)-16:], want)
	}
}

func TestTrailersAreCheckedByReason(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	src := addr("192.0.2.1")
	message := bytesOf(t, golden[3].message)
	one, two := vrrp.Key{ID: 1, Secret: secret(1)}, vrrp.Key{ID: 2, Secret: secret(2)}
	sign := func(at time.Time, ks ...vrrp.Key) []byte {
		return keys(t, 0, ks...).Sign(bytes.Clone(message), src, at)[len(message):]
	}
	damaged := sign(now, one)
	damaged[20] ^= 1
	unknown := sign(now, one)
	unknown[0] = 9
	for _, c := range []struct {
		name    string
		trailer []byte
		source  netip.Addr
		want    error
	}{
		{"right", sign(now, one), src, nil},
		{"the key of a change to come", sign(now, two), src, nil},
		{"none", nil, src, vrrp.DropUnsigned},
		{"cut", sign(now, one)[:20], src, vrrp.DropTrailer},
		{"another kind", unknown, src, vrrp.DropTrailer},
		{"a key that we have not", sign(now, vrrp.Key{ID: 3, Secret: secret(3)}), src, vrrp.DropKey},
		{"another secret of the same number", sign(now, vrrp.Key{ID: 1, Secret: secret(3)}), src, vrrp.DropMAC},
		{"a damaged signature", damaged, src, vrrp.DropMAC},
		{"another sender", sign(now, one), addr("192.0.2.9"), vrrp.DropMAC},
		{"from yesterday", sign(now.Add(-24*time.Hour), one), src, vrrp.DropClock},
		{"from tomorrow", sign(now.Add(24*time.Hour), one), src, vrrp.DropClock},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := keys(t, 5*time.Second, one, two).Open(message, c.trailer, c.source, now, 1)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestReplayedAdvertsAreRefused(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	src := addr("fe80::1")
	message := bytesOf(t, golden[6].message)
	key := vrrp.Key{ID: 1, Secret: secret(1)}
	sender, receiver := keys(t, 0, key), keys(t, 0, key)
	var sent [][]byte
	for range 5 { // a clock that stands still
		sent = append(sent, sender.Sign(bytes.Clone(message), src, now)[len(message):])
	}
	for i, trailer := range sent {
		if err := receiver.Open(message, trailer, src, now, 0); err != nil {
			t.Errorf("packet %d: %v", i, err)
		}
		for _, old := range sent[:i+1] {
			if err := receiver.Open(message, old, src, now, 0); !errors.Is(err, vrrp.DropReplay) {
				t.Errorf("after packet %d: an old one gives %v, want %v", i, err, vrrp.DropReplay)
			}
		}
	}
}

func TestSendersAreBounded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	message := bytesOf(t, golden[3].message)
	key := vrrp.Key{ID: 1, Secret: secret(1)}
	receiver := keys(t, 0, key)
	first := addr("192.0.2.1")
	old := keys(t, 0, key).Sign(bytes.Clone(message), first, now)[len(message):]
	for i := range 100 {
		from := netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})
		at := now.Add(time.Duration(i) * time.Second)
		if err := receiver.Open(message, keys(t, 0, key).Sign(bytes.Clone(message), from, at)[len(message):], from, at, 0); err != nil {
			t.Fatal(err)
		}
	}
	// The price of the bound, where clocks are not looked at.
	if err := receiver.Open(message, old, first, now, 0); err != nil {
		t.Errorf("a sender that was forgotten: %v", err)
	}
	// With its number of peers given, none is forgotten.
	receiver = keys(t, 0, key)
	for i := range 100 {
		from := netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})
		at := now.Add(time.Duration(i) * time.Second)
		if err := receiver.Open(message, keys(t, 0, key).Sign(bytes.Clone(message), from, at)[len(message):], from, at, 100); err != nil {
			t.Fatal(err)
		}
	}
	if err := receiver.Open(message, old, first, now, 100); !errors.Is(err, vrrp.DropReplay) {
		t.Errorf("a configured sender: %v, want %v", err, vrrp.DropReplay)
	}
}

func TestKeysAreRefused(t *testing.T) {
	good := vrrp.Key{ID: 1, Secret: secret(1)}
	for name, bad := range map[string]func() (*vrrp.Keys, error){
		"none":      func() (*vrrp.Keys, error) { return vrrp.NewKeys(0) },
		"number 0":  func() (*vrrp.Keys, error) { return vrrp.NewKeys(0, vrrp.Key{Secret: secret(1)}) },
		"twice":     func() (*vrrp.Keys, error) { return vrrp.NewKeys(0, good, good) },
		"short":     func() (*vrrp.Keys, error) { return vrrp.NewKeys(0, vrrp.Key{ID: 1, Secret: []byte("short")}) },
		"long":      func() (*vrrp.Keys, error) { return vrrp.NewKeys(0, vrrp.Key{ID: 1, Secret: make([]byte, 65)}) },
		"no window": func() (*vrrp.Keys, error) { return vrrp.NewKeys(-1, good) },
	} {
		if _, err := bad(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestStampIsAMoment(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 250_000_000, time.UTC)
	if got := vrrp.StampOf(at).Time(); !got.Equal(at) {
		t.Errorf("got %v, want %v", got, at)
	}
}

func FuzzOpen(f *testing.F) {
	key := vrrp.Key{ID: 1, Secret: secret(1)}
	message := bytesOf(f, golden[3].message)
	now := time.Unix(1_700_000_000, 0)
	f.Add(message, keys(f, 0, key).Sign(bytes.Clone(message), addr("192.0.2.1"), now)[len(message):])
	f.Fuzz(func(t *testing.T, message, trailer []byte) {
		receiver := keys(t, time.Minute, key)
		err := receiver.Open(message, trailer, addr("192.0.2.1"), now, 0)
		var drop vrrp.Drop
		if err != nil && (!errors.As(err, &drop) || drop == vrrp.DropNone) {
			t.Fatalf("refused for %v", err)
		}
		if err == nil && !errors.Is(receiver.Open(message, trailer, addr("192.0.2.1"), now, 0), vrrp.DropReplay) {
			t.Fatal("the same packet was believed twice")
		}
	})
}

// With IPV6_CHECKSUM a kernel covers all that it is given, and so the trailer.
func TestChecksumOfIPv6MayCoverTheTrailer(t *testing.T) {
	p := vrrp.Path{Source: addr("fe80::1"), Destination: vrrp.Group(true)}
	a := vrrp.Advert{Version: 3, VRID: 1, Priority: 100, Interval: time.Second, Addrs: []netip.Addr{addr("fe80::100")}}
	message, err := vrrp.Append(nil, &a, p, vrrp.MessageOnly)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	k := keys(t, 0, vrrp.Key{ID: 1, Secret: secret(1)})
	whole := k.Sign(bytes.Clone(message), p.Source, now)
	// One's complement: what the trailer and the longer length add, the
	// checksum has less.
	sum := uint32(^(uint16(message[6])<<8 | uint16(message[7]))) + vrrp.TrailerSize
	for i := len(message); i < len(whole); i += 2 {
		sum += uint32(whole[i])<<8 | uint32(whole[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	whole[6], whole[7] = byte(^sum>>8), byte(^sum)
	if bytes.Equal(whole[:len(message)], message) {
		t.Fatal("the two checksums are the same")
	}
	_, _, rest, err := vrrp.Parse(whole, p)
	if err != nil || len(rest) != vrrp.TrailerSize {
		t.Fatalf("trailer of %d bytes, %v", len(rest), err)
	}
	if err := k.Open(whole[:len(message)], rest, p.Source, now, 1); err != nil {
		t.Error(err)
	}
	whole[7] ^= 1
	if _, _, _, err := vrrp.Parse(whole, p); !errors.Is(err, vrrp.DropChecksum) {
		t.Errorf("with a damaged checksum: %v", err)
	}
}

// A ring that takes another's place knows what was heard with it, and goes on
// from its stamps.
func TestKeysInherit(t *testing.T) {
	key := vrrp.Key{ID: 1, Secret: []byte("0123456789abcdef0123456789abcdef")}
	ring := func() *vrrp.Keys {
		k, err := vrrp.NewKeys(0, key)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	sender, old, next := ring(), ring(), ring()
	from := netip.MustParseAddr("192.0.2.3")
	now := time.Unix(1_700_000_000, 0)
	message := []byte{0x31, 1, 100, 1, 0, 100, 0, 0, 192, 0, 2, 100}
	packet := sender.Sign(append([]byte(nil), message...), from, now)
	open := func(k *vrrp.Keys, packet []byte) error {
		return k.Open(packet[:len(message)], packet[len(message):], from, now, 0)
	}
	if err := open(old, packet); err != nil {
		t.Fatal(err)
	}
	next.Inherit(old)
	if err := open(next, packet); !errors.Is(err, vrrp.DropReplay) {
		t.Errorf("replayed: %v", err)
	}
	after := ring()
	after.Inherit(sender)
	if err := open(next, after.Sign(append([]byte(nil), message...), from, now)); err != nil {
		t.Errorf("the next one of the same moment: %v", err)
	}
	if o := (vrrp.Key{ID: 1, Secret: []byte("other")}); key.Equal(o) || !key.Equal(vrrp.Key{ID: 1, Secret: append([]byte(nil), key.Secret...)}) || key.Equal(vrrp.Key{ID: 2, Secret: key.Secret}) {
		t.Error("keys are compared wrongly")
	}
}

// A sender that started again, and was silent while the clocks were set back, is
// believed when they have come near the time that it had signed with.
func TestSilentWhileClocksAreSetBack(t *testing.T) {
	const window = 5 * time.Second
	now := time.Unix(1_700_000_000, 0)
	silent, other := addr("192.0.2.1"), addr("192.0.2.2")
	message, key := bytesOf(t, golden[3].message), vrrp.Key{ID: 1, Secret: secret(1)}
	rival := keys(t, window, key)
	for name, looks := range map[string]func(k *vrrp.Keys, now time.Time){
		"to sign": func(k *vrrp.Keys, now time.Time) { k.Sign(bytes.Clone(message), addr("192.0.2.3"), now) },
		"to check": func(k *vrrp.Keys, now time.Time) {
			b := rival.Sign(bytes.Clone(message), other, now)
			if err := k.Open(message, b[len(message):], other, now, 2); err != nil {
				t.Error(err)
			}
		},
	} {
		receiver := keys(t, window, key)
		open := func(now time.Time) error {
			b := keys(t, window, key).Sign(bytes.Clone(message), silent, now)
			return receiver.Open(message, b[len(message):], silent, now, 2)
		}
		if err := open(now); err != nil {
			t.Fatal(err)
		}
		looks(receiver, now.Add(-time.Minute))
		if err := open(now.Add(-window / 2)); err != nil {
			t.Errorf("it looked at its clock %s: %v", name, err)
		}
	}
}

// Clocks that were an hour fast and are set right, together or one after another,
// keep the routers from each other no longer than they differ.
func TestClocksAreSetBack(t *testing.T) {
	const window = 5 * time.Second
	now := time.Unix(1_700_000_000, 0)
	src, message, key := addr("192.0.2.1"), bytesOf(t, golden[3].message), vrrp.Key{ID: 1, Secret: secret(1)}
	sender, receiver := keys(t, window, key), keys(t, window, key)
	var old []byte
	step := func(what string, its, ours time.Time, want error) {
		t.Helper()
		old = sender.Sign(bytes.Clone(message), src, its)[len(message):]
		if err := receiver.Open(message, old, src, ours, 1); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	step("before", now, now, nil)
	now = now.Add(-time.Hour)
	step("set back by an hour", now, now, nil)
	step("a moment later", now.Add(time.Millisecond), now.Add(time.Millisecond), nil)
	if err := receiver.Open(message, old, src, now, 1); !errors.Is(err, vrrp.DropReplay) {
		t.Errorf("the same again: %v", err)
	}
	step("by less than the window", now.Add(-time.Second), now.Add(-time.Second), nil)
	step("ours alone", now, now.Add(-time.Hour), vrrp.DropClock)
	now = now.Add(-time.Hour)
	step("the sender's, too", now, now, nil)
}
