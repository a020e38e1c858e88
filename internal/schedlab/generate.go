package schedlab

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/sched"
)

// Generator makes cases by chance: the same generator makes the same case of
// the same number again.
type Generator struct {
	Seed uint64
	// Schedulers take turns, by the number of the case.
	Schedulers []string
	// Steps is about how many steps a case has.
	Steps int
	// Ends lets flows end, at so many places of a case.
	Ends int
	// Expiration is that of lblc and lblcr, zero the kernel's default.
	Expiration time.Duration
	// Waits lets time pass now and then, in relation to Expiration.
	Waits bool
}

// dice is the chance of one case.
type dice struct {
	*rand.Rand
	c Case
	// of clients, services and servers
	clients, services []netip.Addr
	ports             []uint16
	prefix            netip.Addr // of the servers; invalid means anywhere
	// Weights are drawn up to heaviest and multiplied by factor.
	heaviest, factor int
	limits           bool // of connections
	quiesced         int  // servers in a hundred, when they come or are edited
	added, flows     int
	removed          int // the server removed last, 0 once it came back
	seen             map[[2]netip.AddrPort]bool
}

// Case returns the case of a number.
func (g *Generator) Case(number int) Case {
	d := &dice{Rand: rand.New(rand.NewPCG(g.Seed, uint64(number))), seen: map[[2]netip.AddrPort]bool{}}
	kind := g.Schedulers[number%len(g.Schedulers)]
	d.c = Case{Name: fmt.Sprintf("%s-%d", kind, number), Scheduler: kind, Is6: d.in(40), Expiration: g.Expiration}
	d.setting(kind)
	d.history(g)
	return d.c
}

// in is true in n of a hundred cases.
func (d *dice) in(n int) bool { return d.IntN(100) < n }

func one[T any](d *dice, values ...T) T { return values[d.IntN(len(values))] }

// setting draws what holds for the whole case.
func (d *dice) setting(kind string) {
	locality := kind == "lblc" || kind == "lblcr"
	d.c.Protocol = one(d, TCP, TCP, UDP, OnePacket)
	if locality && d.in(60) {
		d.c.Protocol = TCP // only active connections overload a server
	}
	if d.in(15) || (locality || kind == "dh") && d.in(85) {
		d.c.Mark = 1 + d.Uint32N(1<<32-2)
	}
	hashes := hashing(kind)
	if hashes || d.in(20) {
		d.c.Flags = d.flags()
	}
	n := one(d, 1, 3, 12)
	if kind == "dh" {
		n *= 4
	}
	if d.c.Mark == 0 {
		n = 1
	}
	for range n {
		d.services = append(d.services, d.addr(netip.Addr{}))
	}
	if d.in(70) {
		near := d.addr(netip.Addr{})
		for range one(d, 2, 10, 50) {
			d.clients = append(d.clients, d.addr(near))
		}
	}
	if d.in(30) {
		for range one(d, 1, 4) {
			d.ports = append(d.ports, d.port())
		}
	}
	if d.in(70) {
		d.prefix = d.addr(netip.Addr{})
	}
	d.factor = one(d, 1, 1, 2, 3, 10)
	d.heaviest = one(d, 1, 4, 4, 4, 10)
	if kind != "wrr" && d.in(8) {
		// wrr would walk a million levels with interrupts off. The sum of
		// the weights has to stay below 2^31 for twos.
		d.factor, d.heaviest = 1, one(d, 255, 65535, 1<<24)
	}
	d.limits = d.in(50)
	d.quiesced = one(d, 5, 5, 40)
	if hashes {
		// What matters is where many clients go, and where else.
		d.heaviest = one(d, 4, 10, 100, 1000)
		d.quiesced = one(d, 5, 40, 40)
		if d.in(60) {
			d.clients = nil
		}
	}
}

// hashing reports whether a scheduler goes by the client's address.
func hashing(kind string) bool { return kind == "sh" || kind == "mh" }

// flags draws them; fallback is what has more to it.
func (d *dice) flags() sched.Flags {
	var f sched.Flags
	if d.in(70) {
		f |= sched.FlagFallback
	}
	if d.in(50) {
		f |= sched.FlagPort
	}
	return f
}

func (d *dice) port() uint16 { return uint16(1 + d.IntN(65535)) }

// addr returns an address of a host, any or one near another.
func (d *dice) addr(near netip.Addr) netip.Addr {
	switch {
	case near.Is4():
		a := near.As4()
		a[3] = byte(1 + d.IntN(254))
		return netip.AddrFrom4(a)
	case near.Is6():
		a := near.As16()
		binary.BigEndian.PutUint16(a[14:], uint16(1+d.IntN(4096)))
		return netip.AddrFrom16(a)
	case d.c.Is6:
		var a [16]byte
		binary.BigEndian.PutUint64(a[:], d.Uint64())
		binary.BigEndian.PutUint64(a[8:], d.Uint64())
		a[0] = a[0]&0x1f | 0x20 // global unicast
		if d.in(50) {
			clear(a[6:15])
		}
		return netip.AddrFrom16(a)
	}
	for {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], d.Uint32())
		if a[0] != 0 && a[0] != 127 && a[0] < 224 && a[3] != 0 && a[3] != 255 {
			return netip.AddrFrom4(a)
		}
	}
}

func (d *dice) config() sched.ServerConfig {
	var c sched.ServerConfig
	if !d.in(d.quiesced) {
		c.Weight = d.factor * (1 + d.IntN(d.heaviest))
	}
	if d.limits && d.in(60) {
		c.Upper = 1 + d.Uint32N(8)
		if d.in(50) {
			c.Lower = d.Uint32N(c.Upper + 1)
		}
	}
	return c
}

func (d *dice) do(s Step) { d.c.Steps = append(d.c.Steps, s) }

// add brings a new server, often at the address of the one that was removed
// last.
func (d *dice) add() {
	d.added++
	s := Step{Op: Add, Server: d.added, Config: d.config()}
	s.Addr = netip.AddrPortFrom(d.addr(d.prefix), one(d, 80, d.port()))
	if d.removed > 0 && d.in(60) {
		for _, old := range d.c.Steps {
			if old.Op == Add && old.Server == d.removed {
				s.Addr = old.Addr
			}
		}
		d.removed = 0
	}
	d.do(s)
}

func (d *dice) pick(services []netip.Addr, servicePort uint16) {
	for range 10 {
		client := d.addr(netip.Addr{})
		if d.clients != nil {
			client = one(d, d.clients...)
		}
		port := d.port()
		if d.ports != nil {
			port = one(d, d.ports...)
		}
		s := Step{Op: Pick, Client: netip.AddrPortFrom(client, port)}
		s.Service = netip.AddrPortFrom(one(d, services...), servicePort)
		key := [2]netip.AddrPort{s.Client, s.Service}
		if d.c.Protocol != OnePacket && d.seen[key] && !d.in(5) {
			continue // it would be in the way of an open flow
		}
		d.seen[key] = true
		d.flows++
		s.Flow = d.flows
		d.do(s)
		return
	}
	d.ports = nil // all taken
}

// someFlows returns about n in a hundred of the flows there were.
func (d *dice) someFlows(n int) []int {
	var flows []int
	for f := range d.flows {
		if d.in(n) {
			flows = append(flows, f+1)
		}
	}
	return flows
}

// history draws the steps. Numbers of servers and flows may name what is no
// longer there or never came to be: such steps are left out when played.
func (d *dice) history(g *Generator) {
	hashes := hashing(d.c.Scheduler)
	port := one(d, 80, d.port())
	first := 1 + d.IntN(one(d, 3, 6, 6, 12))
	if hashes {
		first += 3
	}
	if (d.c.Scheduler == "dh" || d.c.Scheduler == "sh") && d.in(6) {
		first = 250 + d.IntN(20) // more than the table has places
	}
	for range first {
		d.add()
	}
	if g.Waits {
		d.pick(d.services, port)
	}
	changing := one(d, 20, 20, 5) // in a hundred steps
	server := func() int { return 1 + d.IntN(d.added) }
	for i := range g.Steps {
		if g.Ends > 0 && d.c.Protocol != OnePacket && i > 0 && i%(g.Steps/(g.Ends+1)+1) == 0 {
			d.do(Step{Op: End, Flows: d.someFlows(one(d, 30, 70, 100))})
		}
		if g.Waits && d.in(10) {
			d.do(Step{Op: Wait, Wait: time.Duration(d.Int64N(int64(g.Expiration) * 5 / 4)).Round(time.Millisecond)})
		}
		if !d.in(changing) {
			if d.c.Protocol == TCP && d.flows > 0 && d.in(20) {
				d.do(Step{Op: Half, Flow: 1 + d.IntN(d.flows)})
			}
			if d.c.Mark != 0 && d.in(20) {
				port = d.port()
			}
			d.pick(d.services, port)
			if hashes {
				d.pick(d.services, port) // there are many slots to see
			}
			continue
		}
		switch what := d.IntN(20); {
		case what < 5:
			d.add()
		case what < 9:
			d.removed = server()
			d.do(Step{Op: Remove, Server: d.removed})
		case what < 10 && d.in(40):
			d.do(Step{Op: Use, Name: one(d, g.Schedulers...)})
			if g.Waits {
				d.pick(d.services, port)
			}
		case what < 10:
			d.do(Step{Op: Use, Name: d.c.Scheduler}) // and back
			if g.Waits {
				d.pick(d.services, port) // starts the clock of the model's cache
			}
		case what < 12:
			d.do(Step{Op: SetFlags, Flags: d.flags()})
		case what < 14:
			s := Step{Op: Edit, Server: server(), Config: d.config()}
			s.Config.Weight = 0
			d.do(s)
		default:
			d.do(Step{Op: Edit, Server: server(), Config: d.config()})
		}
	}
}
