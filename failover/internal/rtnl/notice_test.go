package rtnl

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"
)

func FuzzNotices(f *testing.F) {
	f.Add([]byte("\x20\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x07\x00\x00\x00\x43\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for n := 0; ; n++ {
			m, rest, ok := NextNotice(b)
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

func TestNoticesAreReadWithoutGarbage(t *testing.T) {
	b := make([]byte, noticeSize)
	binary.NativeEndian.PutUint32(b, noticeSize)
	binary.NativeEndian.PutUint16(b[4:], newLink)
	if n := testing.AllocsPerRun(100, func() {
		if _, _, ok := NextNotice(b); !ok {
			t.Fatal("not read")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
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
		"route": message(24, protocol, 112), "route gone": message(delRoute, protocol, 3),
		"our route gone": message(delRoute, protocol, 112), "neighbour": message(28),
	} {
		got[name] = passes(t, NoticeFilter(112), m)
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
	const upAndRunning = 0x41
	seven := binary.NativeEndian.AppendUint32(nil, 7)
	message := func(attrs ...[]byte) []byte {
		b := LinkQuestion(3)
		b = append(b, slices.Concat(attrs...)...)
		binary.NativeEndian.PutUint32(b, uint32(len(b)))
		binary.NativeEndian.PutUint16(b[4:], newLink)
		binary.NativeEndian.PutUint32(b[noticeHead+8:], upAndRunning)
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
		n, rest, ok := NextNotice(b)
		if want := (Notice{newLink, 3, upAndRunning, tt.want}); !ok || n != want || len(rest) > 0 {
			t.Errorf("%s: %+v, %d octets left, %t; want %+v", name, n, len(rest), ok, want)
		}
	}
}
