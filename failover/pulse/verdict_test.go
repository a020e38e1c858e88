package pulse

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestVerdictsOnTheWireAreAsDocumented(t *testing.T) {
	list := []Verdict{
		{ID: 0x1122334455667788, State: 2, Age: 1500*time.Millisecond + 7, Lasts: time.Hour},
		{ID: 1, State: 255, Age: -time.Second, Lasts: 100 * 24 * time.Hour},
	}
	got, err := AppendVerdicts([]byte("before"), 3*time.Second, list)
	if err != nil {
		t.Fatal(err)
	}
	const want = "0000000" + "0b2d05e00" +
		"1122334455667788" + "02" + "000005dc" + "0036ee80" +
		"0000000000000001" + "ff" + "ffffffff" + "fffffffe"
	if diff := cmp.Diff(want, hex.EncodeToString(got[6:])); diff != "" || !bytes.HasPrefix(got, []byte("before")) {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	made, back, err := ParseVerdicts(got[6:])
	if err != nil || made != 3*time.Second {
		t.Fatalf("made at %v, %v", made, err)
	}
	list[0].Age, list[1].Age, list[1].Lasts = 1500*time.Millisecond, -1, (1<<32-2)*time.Millisecond
	if diff := cmp.Diff(list, back); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

func TestVerdictsHaveBounds(t *testing.T) {
	longest, err := AppendVerdicts(nil, 0, make([]Verdict, MaxVerdicts))
	if err != nil || len(longest) > MaxDocument {
		t.Errorf("%d bytes, %v", len(longest), err)
	}
	if _, list, err := ParseVerdicts(longest); err != nil || len(list) != MaxVerdicts {
		t.Errorf("%d verdicts, %v", len(list), err)
	}
	if _, err := AppendVerdicts(nil, 0, make([]Verdict, MaxVerdicts+1)); err == nil {
		t.Error("one more was taken")
	}
	for name, p := range map[string][]byte{
		"nothing":               nil,
		"a head cut short":      longest[:7],
		"a verdict cut short":   longest[:30],
		"one verdict too many":  append(bytes.Clone(longest), make([]byte, verdictSize)...),
		"a clock before itself": bytes.Repeat([]byte{0xff}, 8),
	} {
		if _, _, err := ParseVerdicts(p); !errors.Is(err, ErrBrokenVerdicts) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerdictIDsTellTargetsAndChecksApart(t *testing.T) {
	seen := make(map[uint64]string)
	for _, names := range [][2]string{{"a", "b"}, {"ab", ""}, {"", "ab"}, {"b", "a"}, {"a", "bc"}, {"ab", "c"}} {
		id := VerdictID(names[0], names[1])
		if was, ok := seen[id]; ok {
			t.Errorf("%q and %s are the same", names, was)
		}
		seen[id] = names[0] + "," + names[1]
		if id != VerdictID(names[0], names[1]) {
			t.Errorf("%q is not what it was", names)
		}
	}
}

func FuzzVerdicts(f *testing.F) {
	p, err := AppendVerdicts(nil, time.Second, []Verdict{{1, 2, 3 * time.Second, -1}, {4, 5, 0, time.Hour}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p)
	f.Add(p[:8])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		made, list, err := ParseVerdicts(p)
		if err != nil {
			return
		}
		back, err := AppendVerdicts(nil, made, list)
		if err != nil || !bytes.Equal(back, p) {
			t.Fatalf("%x came back as %x, %v", p, back, err)
		}
	})
}
