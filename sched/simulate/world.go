package simulate

import (
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
	"net/netip"

	"github.com/lvskit/lvskit/sched"
)

// world is what all runs of a scenario have in common and none changes: the
// clients, and the chance that belongs to the n-th connection. So every run has the same
// connections.
type world struct {
	Scenario
	clients []netip.Addr
	// group is the persistence group of each client, nil without.
	group  []uint32
	groups int
	names  map[string]int
	hold   source
	think  source
	serve  []source
}

// The streams of chance. Each connection has one number of each.
const (
	streamService = 0x9e6c63d0876a9a47
	streamHold    = 0xd1342543de82ef95
	streamThink   = 0x2545f4914f6cdd1d
	streamPort    = 0xda942042e4dd58b5
	streamClient  = 0x5851f42d4c957f2d
)

func newWorld(s Scenario) *world {
	w := &world{Scenario: s, hold: s.Hold.source(), think: s.Arrivals.Think.source(), names: map[string]int{}}
	for i, r := range s.Servers {
		w.serve = append(w.serve, r.Service.source())
		w.names[r.Name] = i
	}
	w.clients = make([]netip.Addr, s.Clients.Count)
	for i := range w.clients {
		w.clients[i] = clientAddr(s.Clients.Prefix, i)
	}
	if s.Persistence > 0 {
		w.groupClients()
	}
	return w
}

// clientAddr scatters the clients over the prefix, each at its own address.
func clientAddr(p netip.Prefix, i int) netip.Addr {
	host := uint(p.Addr().BitLen() - p.Bits())
	// An odd factor takes each number of as many bits to another one.
	n := uint64(i) * 0x9e3779b97f4a7c15
	if host < 64 {
		n &= 1<<host - 1
	}
	if p.Addr().Is4() {
		b := p.Masked().Addr().As4()
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])|uint32(n))
		return netip.AddrFrom4(b)
	}
	b := p.Masked().Addr().As16()
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])|n)
	return netip.AddrFrom16(b)
}

func (w *world) groupClients() {
	w.group = make([]uint32, len(w.clients))
	seen := map[netip.Addr]uint32{}
	for i, a := range w.clients {
		if n := w.PersistencePrefix; n > 0 {
			p, err := a.Prefix(n)
			if err == nil {
				a = p.Addr()
			}
		}
		g, ok := seen[a]
		if !ok {
			g = uint32(len(seen))
			seen[a] = g
		}
		w.group[i] = g
	}
	w.groups = len(seen)
}

// chance returns the bits of one stream for one connection.
func (w *world) chance(stream uint64, conn uint32) uint64 {
	return mix(mix(w.Seed^stream) + uint64(conn))
}

// port is the client's port of a connection.
func (w *world) port(conn uint32) uint16 {
	return 1024 + uint16(w.chance(streamPort, conn)%(65536-1024))
}

// arrivals makes the times of an open process and the clients.
type arrivals struct {
	w    *world
	rand *rand.Rand
	zipf *rand.Zipf
	gap  float64
	// at is the time of the next connection, carry the part of a nanosecond
	// that Constant has left.
	at    int64
	carry float64
	// For Bursty: whether it is on, and until when.
	on    bool
	until int64
}

func newArrivals(w *world) *arrivals {
	a := &arrivals{w: w, rand: rand.New(rand.NewPCG(w.Seed, 0x6c76736b6974))}
	if w.Clients.Skew > 0 {
		a.zipf = rand.NewZipf(a.rand, w.Clients.Skew, 1, uint64(w.Clients.Count-1))
	}
	if w.Arrivals.Process == Closed {
		a.at = math.MaxInt64
		return a
	}
	a.gap = 1e9 / w.Arrivals.Rate
	if w.Arrivals.Process == Bursty {
		on, off := float64(w.Arrivals.Burst), float64(w.Arrivals.Pause)
		a.gap *= on / (on + off)
	}
	a.next()
	return a
}

// next goes on to the next connection.
func (a *arrivals) next() {
	switch a.w.Arrivals.Process {
	case Closed:
	case Constant:
		a.carry += a.gap
		whole := math.Floor(a.carry)
		a.carry -= whole
		a.at += nanoseconds(whole)
	case Bursty:
		a.at += nanoseconds(a.rand.ExpFloat64() * a.gap)
		for !a.on || a.at >= a.until {
			if a.until > int64(a.w.Settle+a.w.Duration) {
				// Nobody comes in what is left, however many bursts are.
				a.at = max(a.at, a.until)
				return
			}
			if !a.on {
				// What was drawn begins at the begin of the burst.
				a.at = a.until + nanoseconds(a.rand.ExpFloat64()*a.gap)
				a.until += int64(float64(a.rand.ExpFloat64() * float64(a.w.Arrivals.Burst)))
				a.on = true
				continue
			}
			a.until += int64(float64(a.rand.ExpFloat64() * float64(a.w.Arrivals.Pause)))
			a.on = false
		}
	default:
		a.at += nanoseconds(a.rand.ExpFloat64() * a.gap)
	}
}

// nanoseconds cuts a time to whole ones, and to more than any scenario lasts:
// at a very low rate the next connection is further away than the type reaches.
func nanoseconds(t float64) int64 { return int64(min(t, float64(4*maxTime))) }

// client draws who sends a connection.
func (a *arrivals) client(conn uint32) uint32 {
	if a.zipf != nil {
		return uint32(a.zipf.Uint64())
	}
	hi, _ := bits.Mul64(a.w.chance(streamClient, conn), uint64(len(a.w.clients)))
	return uint32(hi)
}

func (w *world) options(run uint64) *sched.Options {
	return &sched.Options{Rules: w.Rules, Flags: w.Flags, Random: rand.New(rand.NewPCG(w.Seed, run)).Uint64}
}
