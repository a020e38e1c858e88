package sched

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
)

// benchFlows are clients of one service, as many as a walk over them without
// order takes no time of its own.
func benchFlows() *[128]Flow {
	var flows [128]Flow
	for i := range flows {
		n := uint32(i) * 2654435761
		a := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		flows[i] = Flow{Client: netip.AddrPortFrom(a, uint16(1024+i)), Service: addrOf('s')}
	}
	return &flows
}

func benchScheduler(b *testing.B, name string, n int) *Scheduler {
	s := mustNew(b, name, nil)
	for i := range n {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)
		d, err := s.Add(addr, ServerConfig{Weight: i%5 + 1}, nil)
		if err != nil {
			b.Fatal(err)
		}
		// None is idle, or nq would find it at once.
		d.Opened()
		d.Activated()
		for range i % 7 {
			d.Opened()
		}
	}
	return s
}

func BenchmarkPick(b *testing.B) {
	flows := benchFlows()
	for _, name := range Names() {
		for _, n := range []int{1, 10, 100, 1000} {
			s := benchScheduler(b, name, n)
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					s.Pick(flows[i&127])
					i++
				}
			})
		}
	}
}

// BenchmarkPickParallel is BenchmarkPick by all processors at once: the time
// is that of the machine, not of one picker.
func BenchmarkPickParallel(b *testing.B) {
	flows := benchFlows()
	for _, name := range Names() {
		for _, n := range []int{1, 10, 100, 1000} {
			s := benchScheduler(b, name, n)
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				var pickers atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					i := pickers.Add(1) * 100
					for pb.Next() {
						s.Pick(flows[i&127])
						i++
					}
				})
			})
		}
	}
}

// BenchmarkFlow is a whole connection: pick, open, establish, close.
func BenchmarkFlow(b *testing.B) {
	flows := benchFlows()
	for _, name := range []string{"rr", "wlc", "mh"} {
		s := benchScheduler(b, name, 100)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				i := 0
				for pb.Next() {
					d := s.Pick(flows[i&127])
					d.Opened()
					d.Activated()
					d.Closed(true)
					i++
				}
			})
		})
	}
}

// BenchmarkEdit is what a change of a weight costs.
func BenchmarkEdit(b *testing.B) {
	for _, name := range []string{"rr", "wrr", "wlc", "sh", "mh"} {
		s := benchScheduler(b, name, 100)
		d := s.Servers()[50]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if err := s.Edit(d, ServerConfig{Weight: i%5 + 1}); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
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
