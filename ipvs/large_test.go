package ipvs

import (
	"net/netip"
	"testing"
)

// TestOneChangeOfALargeTableIsOneSend goes the whole way from two tables of
// 100,000 destinations to the kernel.
func TestOneChangeOfALargeTableIsOneSend(t *testing.T) {
	tables := [2]Table{}
	for k := range tables {
		tables[k] = make(Table, 1000)
		for i := range tables[k] {
			e := &tables[k][i]
			e.Service.Key = TCPService(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(1+i)))
			for j := range 100 {
				e.Destinations = append(e.Destinations, Destination{Key: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(j)}), 80), Weight: 1})
			}
		}
	}
	tables[1][500].Destinations[50].Weight = 0
	var got []message
	c, s := scripted(t, func(requests []message) [][]byte {
		got = append(got, requests...)
		return [][]byte{ack(last(requests).seq, 0)}
	})
	before := s.sends
	if err := c.Apply(t.Context(), Diff(tables[0], tables[1], nil)); err != nil {
		t.Fatal(err)
	}
	if n := s.sends - before; n != 1 || len(got) != 1 || got[0].body[0] != cmdSetDest {
		t.Errorf("%d sends of %d messages, want one that sets a destination", n, len(got))
	}
}
