package ipvstest

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// seedVariable set to a number replays what a test printed as its seed.
const seedVariable = "LVSKIT_TEST_SEED"

// testSeed returns the seed of a test with generated cases, and makes a
// failure name it.
func testSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv(seedVariable); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 0, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("play it again with %s=%d", seedVariable, seed)
		}
	})
	return seed
}

// generator makes tables and what is in them. Keys come from small sets, so
// that two tables meet.
type generator struct {
	*rand.Rand
	schedulers []string
	keys       []ipvs.ServiceKey // to choose from; none for all kinds
}

// newGenerator makes the generator of one case: the same seed and number give
// the same case.
func newGenerator(seed, number uint64, schedulers []string) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, number)), schedulers: schedulers}
}

// allSchedulers are those of the fake.
var allSchedulers = []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos", "none"}

// one returns one of the values.
func one[T any](g *generator, values ...T) T { return values[g.IntN(len(values))] }

// in is true in n of a hundred cases.
func (g *generator) in(n int) bool { return g.IntN(100) < n }

var (
	vips4 = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("203.0.113.255"), netip.MustParseAddr("10.0.0.1")}
	vips6 = []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fe80::1")}
)

func (g *generator) key() ipvs.ServiceKey {
	if g.keys != nil {
		return one(g, g.keys...)
	}
	if g.in(30) {
		mark := one(g, 1, 2, 0x10000, 1<<31, 1<<32-1)
		if g.in(50) {
			return ipvs.MarkService6(uint32(mark))
		}
		return ipvs.MarkService(uint32(mark))
	}
	addr := one(g, vips4...)
	if g.in(40) {
		addr = one(g, vips6...)
	}
	return one(g, ipvs.TCPService, ipvs.UDPService, ipvs.SCTPService)(netip.AddrPortFrom(addr, one[uint16](g, 0, 1, 80, 443, 65535)))
}

// service makes a valid service, half of them with more than a scheduler.
func (g *generator) service(key ipvs.ServiceKey) ipvs.Service {
	s := ipvs.Service{Key: key, Scheduler: one(g, g.schedulers...)}
	if g.in(10) {
		s.Scheduler = "" // the default
	}
	if g.in(50) {
		return s
	}
	if g.in(50) {
		s.Flags = one(g, ipvs.OnePacket, ipvs.SHPort, ipvs.SHFallback, ipvs.SHPort|ipvs.SHFallback, ipvs.OnePacket|ipvs.Sched3, ipvs.ServiceFlags(g.Uint32())&^3)
	}
	if g.in(70) {
		s.Persistence = one(g, time.Second, 1500*time.Millisecond, 50*time.Second, 300*time.Second, 24*time.Hour, ipvs.MaxPersistence)
	}
	if g.in(50) {
		s.PersistencePrefix = 1 + g.IntN(32)
		if key.Is6() {
			s.PersistencePrefix = 1 + g.IntN(128)
		}
	}
	if g.in(30) {
		s.Engine = "sip"
	}
	return s
}

func (g *generator) destinationKey(is6 bool) ipvs.DestinationKey {
	port := one[uint16](g, 0, 80, 8080, 65535)
	n := byte(1 + g.IntN(6))
	if is6 {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfd, 15: n}), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), port)
}

// destination makes a valid destination of a service, also one of the other
// family.
func (g *generator) destination(of ipvs.ServiceKey, mixed bool) ipvs.Destination {
	d := ipvs.Destination{
		Forward: one(g, ipvs.Masquerade, ipvs.Masquerade, ipvs.DirectRoute, ipvs.DirectRoute, ipvs.Tunnel, ipvs.Tunnel, ipvs.Local, ipvs.Bypass, 5, 7),
		Weight:  one(g, 0, 1, 1, 1, 2, 100, 65535, 65536, ipvs.MaxWeight-1, ipvs.MaxWeight, int(g.Int32())),
	}
	is6 := of.Is6()
	if mixed && g.in(10) {
		is6, d.Forward = !is6, ipvs.Tunnel
	}
	d.Key = g.destinationKey(is6)
	if g.in(30) {
		d.UpperThreshold = one(g, 1, 100, ipvs.MaxThreshold, g.Uint32N(ipvs.MaxThreshold))
		d.LowerThreshold = one(g, 0, d.UpperThreshold, g.Uint32N(d.UpperThreshold))
	}
	if d.Forward == ipvs.Tunnel && g.in(60) || g.in(5) {
		d.Tunnel = one(g,
			ipvs.TunnelOptions{},
			ipvs.TunnelOptions{Type: ipvs.GUE, Port: 6080},
			ipvs.TunnelOptions{Type: ipvs.GUE, Port: 65535, Flags: 1},
			ipvs.TunnelOptions{Type: ipvs.GUE, Port: 1, Flags: 2},
			ipvs.TunnelOptions{Type: ipvs.GRE},
			ipvs.TunnelOptions{Type: ipvs.GRE, Flags: 1},
			ipvs.TunnelOptions{Type: 200, Port: 7, Flags: 0x8001},
		)
	}
	return d
}

// entry makes a service with 0 to 8 destinations.
func (g *generator) entry(key ipvs.ServiceKey) ipvs.Entry {
	e := ipvs.Entry{Service: g.service(key), Destinations: []ipvs.Destination{}}
	for range g.IntN(9) {
		d := g.destination(key, true)
		if !slices.ContainsFunc(e.Destinations, func(o ipvs.Destination) bool { return o.Key == d.Key }) {
			e.Destinations = append(e.Destinations, d)
		}
	}
	return e
}

// table makes a table of up to n services.
func (g *generator) table(n int) ipvs.Table {
	t := ipvs.Table{}
	for range g.IntN(n + 1) {
		key := g.key()
		if !slices.ContainsFunc(t, func(o ipvs.Entry) bool { return o.Service.Key == key }) {
			t = append(t, g.entry(key))
		}
	}
	return t
}

// change makes another table from t, with much in common: services come, go,
// move and change, and so do their destinations.
func (g *generator) change(t ipvs.Table) ipvs.Table {
	var out ipvs.Table
	for _, e := range t {
		if g.in(20) {
			continue
		}
		e.Destinations = slices.Clone(e.Destinations)
		if g.in(30) {
			e.Service = g.service(e.Service.Key)
		}
		if g.in(10) {
			e.Destinations = g.entry(e.Service.Key).Destinations
		}
		e.Destinations = slices.DeleteFunc(e.Destinations, func(ipvs.Destination) bool { return g.in(20) })
		for i, d := range e.Destinations {
			if g.in(30) {
				now := g.destination(e.Service.Key, false)
				now.Key = d.Key
				if d.Key.Addr().Is6() != e.Service.Key.Is6() {
					now.Forward, now.Tunnel = ipvs.Tunnel, ipvs.TunnelOptions{Type: ipvs.GRE, Flags: uint16(g.IntN(2))}
				}
				if now.Forward == ipvs.Tunnel && now.Tunnel.Type == ipvs.GUE && now.Tunnel.Port == 0 {
					now.Tunnel.Port = 1
				}
				e.Destinations[i] = now
			}
		}
		for range g.IntN(3) {
			d := g.destination(e.Service.Key, true)
			if !slices.ContainsFunc(e.Destinations, func(o ipvs.Destination) bool { return o.Key == d.Key }) {
				e.Destinations = append(e.Destinations, d)
			}
		}
		if g.in(30) {
			g.Shuffle(len(e.Destinations), func(i, j int) {
				e.Destinations[i], e.Destinations[j] = e.Destinations[j], e.Destinations[i]
			})
		}
		out = append(out, e)
	}
	for _, e := range g.table(3) {
		if !slices.ContainsFunc(out, func(o ipvs.Entry) bool { return o.Service.Key == e.Service.Key }) {
			out = append(out, e)
		}
	}
	if g.in(30) {
		g.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return out
}

// loosen writes the same table in another form, as a caller may: with mapped
// addresses and with entries that later ones replace.
func (g *generator) loosen(t ipvs.Table) ipvs.Table {
	var out ipvs.Table
	for _, e := range t {
		if g.in(20) {
			before := g.entry(e.Service.Key)
			out = append(out, before)
		}
		var ds []ipvs.Destination
		for _, d := range e.Destinations {
			if g.in(10) {
				before := d
				before.Weight = g.IntN(1000)
				ds = append(ds, before)
			}
			if d.Key.Addr().Is4() && g.in(20) {
				d.Key = netip.AddrPortFrom(netip.AddrFrom16(d.Key.Addr().As16()), d.Key.Port())
			}
			ds = append(ds, d)
		}
		e.Destinations = ds
		if k := &e.Service.Key; k.Addr.IsValid() && k.Addr.Addr().Is4() && g.in(20) {
			k.Addr = netip.AddrPortFrom(netip.AddrFrom16(k.Addr.Addr().As16()), k.Addr.Port())
		}
		out = append(out, e)
	}
	return out
}
