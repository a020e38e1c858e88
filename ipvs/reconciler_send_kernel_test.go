//go:build linux && kernel

package ipvs

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"github.com/lvskit/lvskit/internal/lab"
)

// tapped counts what a client sends.
type tapped struct {
	transport
	sends, messages int
}

func (c *tapped) send(b []byte) error {
	c.sends++
	for rest := b; len(rest) >= 4; {
		n := int(binary.NativeEndian.Uint32(rest)+3) &^ 3
		c.messages++
		rest = rest[min(n, len(rest)):]
	}
	return c.transport.send(b)
}

// sized is a kernel's table of services with two servers each, and a
// reconciler on it.
func sized(tb testing.TB, services int) (*Reconciler, *tapped, [2]Entry) {
	tb.Helper()
	c, err := Dial(tb.Context(), &Config{NetNS: lab.New(tb).Namespace("sized").Path()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	table := make(Table, services)
	for i := range table {
		key := TCPService(netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, byte(16 + i>>16), byte(i >> 8), byte(i)}), 80))
		table[i] = Entry{Service: Service{Key: key, Scheduler: "wlc"}, Destinations: []Destination{
			{Key: ap("10.0.0.1:80"), Weight: 1}, {Key: ap("10.0.0.2:80"), Weight: 1},
		}}
	}
	r := NewReconciler(c, nil)
	if err := r.Set(tb.Context(), table); err != nil {
		tb.Fatal(err)
	}
	up := table[services/2]
	down := up.normalized()
	down.Destinations[1].Weight = 0
	tap := &tapped{transport: c.t}
	c.t = tap
	return r, tap, [2]Entry{down, up}
}

func TestKernelOneFlipIsOneSend(t *testing.T) {
	r, tap, flip := sized(t, 10_000)
	for i := range 4 {
		if err := r.Put(t.Context(), flip[i%2]); err != nil {
			t.Fatal(err)
		}
	}
	if tap.sends != 4 || tap.messages != 4 {
		t.Errorf("four flips of a server were %d sends with %d commands", tap.sends, tap.messages)
	}
}

// BenchmarkKernelReconcilerPut is what the change of one server costs with
// the kernel's part, and beside it the kernel's part: the same command, ready
// made. The kernel's hash of services had 256 chains until Linux 7.1, so its
// part grows with the table.
func BenchmarkKernelReconcilerPut(b *testing.B) {
	for _, services := range []int{100, 10_000, 100_000} {
		r, tap, flip := sized(b, services)
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			before, n := tap.sends, 0
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Put(b.Context(), flip[n%2]); err != nil {
					b.Fatal(err)
				}
				n++
			}
			b.ReportMetric(float64(tap.sends-before)/float64(n), "sends/op")
		})
		b.Run(fmt.Sprintf("services=%d/command alone", services), func(b *testing.B) {
			changes := Diff(Table{flip[1]}, Table{flip[0]}, nil)
			b.ReportAllocs()
			for b.Loop() {
				if err := r.plane.Apply(b.Context(), changes); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
