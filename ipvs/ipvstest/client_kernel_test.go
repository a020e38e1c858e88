//go:build linux && kernel

package ipvstest

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

// onThread runs f on a thread of its own, which ends with it.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

func TestKernelNotPermitted(t *testing.T) {
	onThread(func() {
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		if err := unix.Capget(&hdr, &caps[0]); err != nil {
			t.Error(err)
			return
		}
		caps[0].Effective &^= 1 << unix.CAP_NET_ADMIN
		if err := unix.Capset(&hdr, &caps[0]); err != nil {
			t.Error(err)
			return
		}
		c, err := ipvs.Dial(t.Context(), nil)
		if err != nil {
			t.Errorf("the look-up needs no rights: %v", err)
			return
		}
		defer c.Close()
		expect(t, c.AddService(t.Context(), basic(ipvs.MarkService(1))), ipvs.OpAddService, ipvs.ErrNotPermitted, fs.ErrPermission, unix.EPERM)
		_, err = c.Snapshot(t.Context())
		expect(t, err, ipvs.OpListServices, ipvs.ErrNotPermitted)
		if err != nil && !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
			t.Errorf("error %q does not name the capability", err)
		}
		e := applyError(t, c.Apply(t.Context(), ipvs.Diff(nil, table(1, 300), nil)))
		if len(e.Failed) != 301 {
			t.Errorf("%d failed, want 301: %v", len(e.Failed), e)
		}
	})
}

func TestKernelLoopbackDown(t *testing.T) {
	onThread(func() {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		// Without a path it is the namespace of the calling thread.
		c, err := ipvs.Dial(t.Context(), nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		key := ipvs.TCPService(vip4)
		if err := c.AddService(t.Context(), basic(key)); err != nil {
			t.Error(err)
			return
		}
		err = c.AddDestination(t.Context(), key, ipvs.Destination{Key: real4, Weight: 1})
		expect(t, err, ipvs.OpAddDestination, ipvs.ErrInvalid, unix.EINVAL)
		if err != nil && !strings.Contains(err.Error(), "ip link set lo up") {
			t.Errorf("error %q does not tell the cure", err)
		}
	})
}

func TestKernelNamespacesAreApart(t *testing.T) {
	a, b := dialNew(t), dialNew(t)
	ok(t, a.AddService(t.Context(), basic(ipvs.MarkService(1))))
	ok(t, b.AddService(t.Context(), basic(ipvs.MarkService(2))))
	for mark, c := range map[uint32]*ipvs.Client{1: a, 2: b} {
		states, err := collect(c.Services(t.Context()))
		ok(t, err)
		same(t, "services", []ipvs.ServiceState{{Service: basic(ipvs.MarkService(mark))}}, states)
	}
}

func TestKernelNamespaceByDescriptor(t *testing.T) {
	ns := lab.New(t).Namespace("byfile")
	byPath, err := ipvs.Dial(t.Context(), &ipvs.Config{NetNS: ns.Path()})
	ok(t, err)
	defer byPath.Close()
	onThread(func() {
		before, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil {
			t.Error(err)
			return
		}
		f, err := os.Open(ns.Path())
		if err != nil {
			t.Error(err)
			return
		}
		c, err := ipvs.Dial(t.Context(), &ipvs.Config{NetNSFile: f})
		f.Close()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if after, _ := os.Readlink("/proc/thread-self/ns/net"); after != before {
			t.Errorf("the caller's thread moved from %s to %s", before, after)
		}
		if err := c.AddService(t.Context(), basic(ipvs.MarkService(7))); err != nil {
			t.Error(err)
		}
	})
	if _, err := byPath.Service(t.Context(), ipvs.MarkService(7)); err != nil {
		t.Error(err)
	}
}

// TestKernelCounters sends real connections through a service on loopback.
func TestKernelCounters(t *testing.T) {
	err := lab.New(t).Namespace("counters").Do(func() error {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		c, err := ipvs.Dial(t.Context(), nil)
		if err != nil {
			return err
		}
		defer c.Close()
		vip := netip.MustParseAddrPort("127.0.0.2:80")
		key, dest := ipvs.TCPService(vip), l.Addr().(*net.TCPAddr).AddrPort()
		if err := c.Apply(t.Context(), ipvs.Diff(nil, ipvs.Table{{
			Service:      basic(key),
			Destinations: []ipvs.Destination{{Key: dest, Weight: 1}},
		}}, nil)); err != nil {
			return err
		}
		const n = 3
		for range n {
			conn, err := net.Dial("tcp4", vip.String())
			if err != nil {
				return err
			}
			defer conn.Close()
		}
		// The kernel totals its counters every two seconds.
		var snap ipvs.Snapshot
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			if snap, err = c.Snapshot(t.Context()); err != nil {
				return err
			}
			if snap[0].Service.Stats.InPackets > 0 || time.Now().After(deadline) {
				break
			}
		}
		s, d := snap[0].Service, snap[0].Destinations[0]
		if s.Stats.Connections != n || s.Stats.InBytes < s.Stats.InPackets || s.Stats.OutPackets == 0 || d.Stats.Connections != n || d.Active != n {
			t.Errorf("counters of %d connections: service %+v, destination %+v", n, s.Stats, d)
		}
		if err := c.Zero(t.Context(), key); err != nil {
			return err
		}
		if snap, err = c.Snapshot(t.Context()); err != nil || snap[0].Service.Stats.Connections != 0 || snap[0].Destinations[0].Stats.Connections != 0 || snap[0].Destinations[0].Active != n {
			t.Errorf("after zeroing: %+v, %v", snap, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// BenchmarkKernelApply adds whole tables to fresh namespaces: re-adding what
// was deleted would measure the kernel's list of deleted destinations.
func BenchmarkKernelApply(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.String(), func(b *testing.B) {
			b.ReportAllocs()
			changes := ipvs.Diff(nil, size.table(), nil)
			for b.Loop() {
				b.StopTimer()
				c := dialNew(b)
				b.StartTimer()
				if err := c.Apply(b.Context(), changes); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				c.Close()
				b.StartTimer()
			}
		})
	}
}

func BenchmarkKernelSnapshot(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.String(), func(b *testing.B) {
			b.ReportAllocs()
			c := dialNew(b)
			want := size.table()
			if err := c.Apply(b.Context(), ipvs.Diff(nil, want, nil)); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if snap, err := c.Snapshot(b.Context()); err != nil || len(snap) != len(want) {
					b.Fatal(len(snap), err)
				}
			}
		})
	}
}

// BenchmarkKernelResync is what a director does when nothing changed.
func BenchmarkKernelResync(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.String(), func(b *testing.B) {
			b.ReportAllocs()
			c := dialNew(b)
			want := size.table()
			if err := c.Apply(b.Context(), ipvs.Diff(nil, want, nil)); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				snap, err := c.Snapshot(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if changes := ipvs.Diff(snap.Table(), want, nil); len(changes) != 0 {
					b.Fatal(changes[0])
				}
			}
		})
	}
}

type size struct{ services, destinations int }

var sizes = []size{{100, 100}, {1000, 10}}

func (s size) String() string    { return fmt.Sprintf("%dx%d", s.services, s.destinations) }
func (s size) table() ipvs.Table { return table(s.services, s.destinations) }
