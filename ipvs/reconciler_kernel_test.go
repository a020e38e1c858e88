//go:build linux && kernel

package ipvs_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

func dialIn(t testing.TB, ns *lab.Namespace) *ipvs.Client {
	t.Helper()
	c, err := ipvs.Dial(t.Context(), &ipvs.Config{NetNS: ns.Path()})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// Two programs and ipvsadm change one kernel's table at once, each its own
// services.
func TestKernelReconcilersAndIpvsadm(t *testing.T) {
	ns := lab.New(t).Namespace("shared")
	ctx := t.Context()
	over := make(chan struct{})
	var work sync.WaitGroup
	var programs [2]*ipvs.Reconciler
	for p := range programs {
		r := ipvs.NewReconciler(dialIn(t, ns), &ipvs.ReconcilerConfig{Resync: 20 * time.Millisecond})
		programs[p] = r
		defer start(r)()
		for g := range 2 {
			work.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(p), uint64(g)))
				for {
					select {
					case <-over:
						return
					default:
					}
					key := web(p*1000 + g*10 + rng.IntN(10))
					var err error
					if rng.IntN(4) == 0 {
						err = r.Remove(ctx, key)
					} else {
						err = r.Put(ctx, entry(key, rng.IntN(3), rng.IntN(3)))
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	settled := sync.OnceFunc(func() {
		close(over)
		work.Wait()
	})
	defer settled()
	// Its failures end the test, which is for the test's own goroutine.
	for i := range 12 {
		vip := fmt.Sprintf("192.168.7.%d:80", i%4+1)
		ns.Run("/sbin/ipvsadm", "-A", "-t", vip, "-s", "rr")
		ns.Run("/sbin/ipvsadm", "-a", "-t", vip, "-r", "10.0.0.1:80", "-m", "-w", "1")
		ns.Run("/sbin/ipvsadm", "-e", "-t", vip, "-r", "10.0.0.1:80", "-m", "-w", "7")
		if i < 8 {
			ns.Run("/sbin/ipvsadm", "-D", "-t", vip)
		}
	}
	settled()
	var all []ipvs.Entry
	for p, r := range programs {
		final := ipvs.Table{entry(web(p*1000), 1, 2, 3), entry(web(p*1000+1), 1)}
		must(t, r.Set(ctx, final))
		all = append(all, final...)
	}
	for i := range 4 {
		e := entry(ipvs.TCPService(netip.MustParseAddrPort(fmt.Sprintf("192.168.7.%d:80", i+1))), 7)
		e.Service.Scheduler = "rr"
		all = append(all, e)
	}
	wantTable(t, dialIn(t, ns), all...)
	for p, r := range programs {
		if st := r.Status(); st.Repairs != 0 || st.Failures != 0 || st.LastResync.IsZero() {
			t.Errorf("program %d saw repairs or failures where nobody touched its services: %+v", p, st)
		}
	}
	// And what ipvsadm does to ours is put right.
	ns.Run("/sbin/ipvsadm", "-d", "-t", web(0).Addr.String(), "-r", server(2).String())
	ns.Run("/sbin/ipvsadm", "-D", "-t", web(1000).Addr.String())
	await(t, "both repaired", func() bool { return programs[0].Status().Repairs == 1 && programs[1].Status().Repairs == 4 })
	wantTable(t, dialIn(t, ns), all...)
}

func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// drainBench is a service on loopback with one real server that echoes.
type drainBench struct {
	ns     *lab.Namespace
	client *ipvs.Client
	r      *ipvs.Reconciler
	full   ipvs.Entry
}

func newDrainBench(t *testing.T, key ipvs.ServiceKey, real netip.AddrPort, change func(*ipvs.Service)) *drainBench {
	t.Helper()
	b := &drainBench{ns: lab.New(t).Namespace("drain")}
	b.client = dialIn(t, b.ns)
	b.full = ipvs.Entry{Service: ipvs.Service{Key: key, Scheduler: "rr"}, Destinations: []ipvs.Destination{{Key: real, Weight: 1}}}
	if change != nil {
		change(&b.full.Service)
	}
	b.r = ipvs.NewReconciler(b.client, &ipvs.ReconcilerConfig{Drain: 5 * time.Minute})
	must(t, b.r.Set(t.Context(), ipvs.Table{b.full}))
	return b
}

// leave takes the server out of what is wanted, with the service or without,
// and waits until the drain has seen its connections.
func (b *drainBench) leave(t *testing.T, whole bool, seen func(ipvs.Drain) bool) {
	t.Helper()
	if whole {
		must(t, b.r.Remove(t.Context(), b.full.Service.Key))
	} else {
		must(t, b.r.Put(t.Context(), ipvs.Entry{Service: b.full.Service}))
	}
	await(t, "the drain sees the connection", func() bool {
		st := b.r.Status()
		return len(st.Drains) == 1 && seen(st.Drains[0])
	})
	drained := ipvs.Entry{Service: b.full.Service, Destinations: []ipvs.Destination{{Key: b.full.Destinations[0].Key}}}
	wantTable(t, b.client, drained)
}

func TestKernelDrainOfATCPConnection(t *testing.T) {
	vip, real := netip.MustParseAddrPort("127.0.0.2:80"), netip.MustParseAddrPort("127.0.0.1:8080")
	b := newDrainBench(t, ipvs.TCPService(vip), real, nil)
	l, err := b.ns.Listen("tcp4", real.String())
	must(t, err)
	defer l.Close()
	served := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			served <- c
		}
	}()
	conn, err := b.ns.DialContext(t.Context(), "tcp4", vip.String())
	must(t, err)
	defer conn.Close()
	peer := <-served
	defer peer.Close()
	defer start(b.r)()

	b.leave(t, false, func(d ipvs.Drain) bool { return d.Active == 1 })
	time.Sleep(3 * time.Second)
	// The connection works, and a new one finds no server.
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	must(t, peer.SetDeadline(time.Now().Add(20*time.Second)))
	buf := make([]byte, 4)
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Error(err)
	}
	if n, err := peer.Read(buf); err != nil || string(buf[:n]) != "ping" {
		t.Errorf("through a draining server came %q, %v", buf[:n], err)
	}
	if c, err := b.ns.DialContext(t.Context(), "tcp4", vip.String()); err == nil {
		c.Close()
		t.Error("a draining server took a new connection")
	}
	if st := b.r.Status(); len(st.Drains) != 1 {
		t.Fatalf("with an open connection the drains are %+v", st.Drains)
	}
	conn.Close()
	peer.Close()
	await(t, "the server is removed", func() bool { return len(b.r.Status().Drains) == 0 })
	wantTable(t, b.client, ipvs.Entry{Service: b.full.Service})
}

// A UDP "connection" is never active: what holds the drain is the entry, for
// the UDP time-out.
func TestKernelDrainOfUDP(t *testing.T) {
	vip, real := netip.MustParseAddrPort("127.0.0.2:53"), netip.MustParseAddrPort("127.0.0.1:5353")
	b := newDrainBench(t, ipvs.UDPService(vip), real, nil)
	must(t, b.client.SetTimeouts(t.Context(), ipvs.Timeouts{UDP: 6 * time.Second}))
	pc, err := b.ns.ListenPacket("udp4", real.String())
	must(t, err)
	defer pc.Close()
	conn, err := b.ns.DialContext(t.Context(), "udp4", vip.String())
	must(t, err)
	defer conn.Close()
	defer start(b.r)()
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	must(t, pc.SetDeadline(time.Now().Add(20*time.Second)))
	buf := make([]byte, 4)
	if _, _, err := pc.ReadFrom(buf); err != nil {
		t.Fatal(err)
	}
	sent := time.Now()
	b.leave(t, true, func(d ipvs.Drain) bool { return d.Active == 0 && d.Inactive == 1 })
	await(t, "the service is removed", func() bool { return len(b.r.Status().Drains) == 0 })
	wantTable(t, b.client)
	if took := time.Since(sent); took < 4*time.Second {
		t.Errorf("the server was removed after %v, with a UDP time-out of 6 s", took)
	}
}

// A persistent client comes back to a server of weight 0 as long as its
// template lives: the template holds the drain after the connection is gone.
func TestKernelDrainOfAPersistentService(t *testing.T) {
	vip, real := netip.MustParseAddrPort("127.0.0.2:80"), netip.MustParseAddrPort("127.0.0.1:8080")
	b := newDrainBench(t, ipvs.TCPService(vip), real, func(s *ipvs.Service) { s.Persistence = 5 * time.Second })
	l, err := b.ns.Listen("tcp4", real.String())
	must(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	conn, err := b.ns.DialContext(t.Context(), "tcp4", vip.String())
	must(t, err)
	conn.Close()
	defer start(b.r)()
	b.leave(t, false, func(d ipvs.Drain) bool { return d.Persistent == 1 })
	again, err := b.ns.DialContext(t.Context(), "tcp4", vip.String())
	if err != nil {
		t.Errorf("a persistent client does not come back to its server: %v", err)
	} else {
		again.Close()
	}
	time.Sleep(3 * time.Second)
	if st := b.r.Status(); len(st.Drains) != 1 || st.Drains[0].Active != 0 {
		t.Errorf("drains %+v, want one without an active connection", st.Drains)
	}
}
