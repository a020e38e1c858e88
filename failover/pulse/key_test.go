package pulse

import (
	"errors"
	"strings"
	"testing"
)

func TestKeysAreChecked(t *testing.T) {
	secret := func(b byte) []byte { return []byte(strings.Repeat(string(rune('a'+b)), MinKey)) }
	many := make([]Key, MaxKeys+1)
	for i := range many {
		many[i] = Key{ID: uint32(i), Secret: secret(0)}
	}
	for _, tt := range []struct {
		name string
		keys []Key
		want string // in the error
	}{
		{"none", nil, "no key"},
		{"a short one", []Key{{ID: 3, Secret: secret(0)[1:]}}, "key 3: the key has 15 bytes"},
		{"two of one number", []Key{{3, secret(0)}, {3, secret(1)}}, "two keys have the id 3"},
		{"too many", many, "at most 8"},
		{"as many as there may be", many[1:], ""},
	} {
		_, err := NewCodec(tt.keys...)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "aaaa") {
			t.Errorf("%s: the error tells the secret: %v", tt.name, err)
		}
	}
}

// The steps of a change of keys: after each of them, whatever the order of the
// nodes, both open what the other one seals.
func TestKeysAreChangedWithoutARefusal(t *testing.T) {
	old, fresh := Key{1, []byte("the old key of a pair")}, Key{2, []byte("the new key of a pair")}
	steps := [][]Key{{old}, {old, fresh}, {fresh, old}, {fresh}}
	for i := range steps {
		for _, j := range []int{i, i + 1} {
			if j == len(steps) {
				continue
			}
			a, err := NewCodec(steps[i]...)
			if err != nil {
				t.Fatal(err)
			}
			b, err := NewCodec(steps[j]...)
			if err != nil {
				t.Fatal(err)
			}
			for _, pair := range [][2]*Codec{{a, b}, {b, a}} {
				beat, piece := testBeat(), testPiece()
				var gotBeat Beat
				if err := pair[1].Open(pair[0].Append(nil, &beat), &gotBeat); err != nil || gotBeat.Key != pair[0].seals[0].id {
					t.Errorf("steps %d and %d: beat of key %d: %v", i, j, gotBeat.Key, err)
				}
				var gotPiece Piece
				if err := pair[1].OpenPiece(pair[0].AppendPiece(nil, &piece), &gotPiece); err != nil {
					t.Errorf("steps %d and %d: piece: %v", i, j, err)
				}
			}
		}
	}
	// Two steps at once are one too many.
	a, _ := NewCodec(steps[0]...)
	b, _ := NewCodec(steps[2]...)
	beat := testBeat()
	var d Drop
	if err := a.Open(b.Append(nil, &beat), &beat); !errors.As(err, &d) || d != DropUnknownKey {
		t.Errorf("a key that is not there: %v", err)
	}
}
