package pulse

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

func TestLegacyInBothByteOrders(t *testing.T) {
	seen := make(map[string]Legacy)
	for l := LegacyActive; l <= LegacyHeld; l++ {
		for _, little := range []bool{false, true} {
			p := AppendLegacy([]byte("before"), l, little)[6:]
			if was, ok := seen[string(p)]; ok {
				t.Errorf("%v and %v are both % x", l, was, p)
			}
			seen[string(p)] = l
			got, order, err := ParseLegacy(p)
			if got != l || order != little {
				t.Errorf("%v, little endian %v, came back as %v, %v", l, little, got, order)
			}
			var d Drop
			if balances := l <= LegacyInactive; balances != (err == nil) || !balances && (!errors.As(err, &d) || d != DropMode) {
				t.Errorf("%v: %v", l, err)
			}
		}
	}
	// The bytes on the wire, between two machines of x86.
	if got := hex.EncodeToString(AppendLegacy(nil, LegacyActive, true)); got != "dadbadbd" {
		t.Errorf("active is %s", got)
	}
	for _, tt := range []struct {
		p    []byte
		want Drop
	}{
		{nil, DropSize},
		{[]byte{0xbd, 0xad, 0xdb}, DropSize},
		{[]byte{0xbd, 0xad, 0xdb, 0xda, 0}, DropSize},
		{[]byte{0, 0, 0, 0}, DropMagic},
		{[]byte{0xbd, 0xad, 0xdb, 0xdb}, DropMagic},
	} {
		var d Drop
		if _, _, err := ParseLegacy(tt.p); !errors.As(err, &d) || d != tt.want {
			t.Errorf("% x: %v, want %v", tt.p, err, tt.want)
		}
	}
}

func FuzzLegacy(f *testing.F) {
	for l := LegacyActive; l <= LegacyHeld; l++ {
		f.Add(AppendLegacy(nil, l, false))
		f.Add(AppendLegacy(nil, l, true))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		l, little, err := ParseLegacy(p)
		if l != 0 && !bytes.Equal(AppendLegacy(nil, l, little), p) || l == 0 && err == nil {
			t.Fatalf("% x was read as %v, %v, %v", p, l, little, err)
		}
	})
}
