//go:build linux && kernel

package dataplane

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

// inKernel gives a job to IPVS and returns what takes it away again.
func inKernel(b *testing.B, ns *lab.Namespace, j job) (undo func()) {
	b.Helper()
	c, err := ipvs.Dial(b.Context(), &ipvs.Config{NetNS: ns.Path()})
	if err != nil {
		b.Fatal(err)
	}
	want := ipvs.Entry{Service: ipvs.Service{Key: ipvs.TCPService(j.vip), Scheduler: "rr"}}
	if j.kind == datagram {
		want.Service.Key = ipvs.UDPService(j.vip)
	}
	for i := range serverCount {
		want.Destinations = append(want.Destinations, ipvs.Destination{Key: serverAddr(i, j.kind), Weight: 1})
	}
	if err := c.Apply(b.Context(), ipvs.Diff(nil, ipvs.Table{want}, nil)); err != nil {
		b.Fatal(err)
	}
	return func() {
		defer c.Close()
		if err := c.DeleteEverything(b.Context()); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkKernelDataplane gives the same work to the kernel's IPVS, with
// NAT, in a guest: for orientation only. A guest's system calls have other
// prices, so only what is left of the rate without a balancer tells anything.
func BenchmarkKernelDataplane(b *testing.B) {
	const nameIPVS = "IPVS"
	ns := network(b)
	bn := &bench{ns: ns, length: time.Second}
	res := results{}
	port := uint16(1024)
	for b.Loop() {
		for _, row := range rows() {
			switch row.name {
			case "half", "idle", "calls": // of processes
				continue
			case "bulk", "upload": // hardly more than copying here
				continue
			}
			for _, name := range []string{nameIPVS, nameDirect} {
				port++
				j := job{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), row.kind}
				r, undo := &running{at: serverAddr(0, row.kind)}, func() {}
				if name == nameIPVS {
					r.at, undo = j.vip, inKernel(b, ns, j)
				}
				err := row.measure(bn, r, func(f figure, v float64) { res.note(f, name, v) })
				undo()
				if err != nil {
					b.Fatalf("%s, %s: %v", row.name, name, err)
				}
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of all together: means nothing
	show(res.write([]string{nameIPVS, nameDirect}, []string{nameDirect}, nameDirect))
	for f, by := range res {
		if f == newFailed && by[nameIPVS][0] != 0 {
			b.Errorf("%v new connections failed", by[nameIPVS])
		}
	}
}
