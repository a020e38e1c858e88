package sched

import (
	"fmt"
	"net/netip"
	"testing"
)

func BenchmarkPick(b *testing.B) {
	for _, name := range Names() {
		for _, n := range []int{1, 10, 100, 1000} {
			s := mustNew(b, name, nil)
			for i := range n {
				addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)
				d, err := s.Add(addr, ServerConfig{Weight: i%5 + 1}, nil)
				if err != nil {
					b.Fatal(err)
				}
				for range i % 7 {
					d.Opened()
				}
			}
			b.Run(fmt.Sprintf("%s/servers=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.Pick(Flow{})
				}
			})
			b.Run(fmt.Sprintf("%s/servers=%d/parallel", name, n), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						s.Pick(Flow{})
					}
				})
			})
		}
	}
}

func BenchmarkCount(b *testing.B) {
	s := mustNew(b, "wlc", nil)
	d := mustAdd(b, s, 'a', ServerConfig{Weight: 1, Upper: 100})
	b.ReportAllocs()
	for b.Loop() {
		d.Opened()
		d.Activated()
		d.Closed(true)
	}
}
