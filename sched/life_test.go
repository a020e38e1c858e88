package sched

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// A life is a random history of a service, told by bytes, that the scheduler
// and the model live through together. When the bytes are at an end they are
// zeros.
type life struct {
	t       testing.TB
	told    []byte
	s       *Scheduler
	m       *model
	servers map[byte]*Server
	conns   []lifeConn
	clients []netip.AddrPort
	homes   []netip.AddrPort // of the service
	now     time.Duration
	random  uint64 // what twos is told next
	picks   int
}

type lifeConn struct {
	s      *Server
	e      *entry
	active bool
}

// next returns a number below n, which is at most 256.
func (l *life) next(n int) int {
	if len(l.told) == 0 {
		return 0
	}
	b := l.told[0]
	l.told = l.told[1:]
	return int(b) % n
}

func (l *life) number() uint64 {
	var b [8]byte
	for i := range b {
		b[i] = byte(l.next(256))
	}
	return binary.LittleEndian.Uint64(b[:])
}

// live plays the life told by the bytes with the scheduler of that name.
func live(t testing.TB, name string, rules Rules, told []byte) *life {
	t.Helper()
	l := &life{t: t, told: told, servers: map[byte]*Server{}}
	opts := Options{
		Rules:           rules,
		Flags:           Flags(l.next(4)),
		DHBits:          4 + l.next(6),
		SHBits:          4 + l.next(6),
		MHIndex:         8 + l.next(3),
		LBLCExpiration:  time.Duration(1+l.next(90)) * time.Minute,
		LBLCRExpiration: time.Duration(1+l.next(90)) * time.Minute,
		Random:          func() uint64 { return l.random },
	}
	var err error
	if opts, err = opts.withDefaults(); err != nil {
		t.Fatal(err)
	}
	l.s = mustNew(t, name, &opts)
	l.m = &model{kind: name, rules: rules, opts: opts, flags: opts.Flags, removed: map[byte]*entry{}}
	// A small cache, so that a short life can fill it.
	l.m.cache.max = 2 + l.next(8)
	switch a := l.s.bound.Load().algorithm.(type) {
	case *lblc:
		a.cache.max = l.m.cache.max
	case *lblcr:
		a.cache.max = l.m.cache.max
	}
	for i := range 12 {
		var a netip.Addr
		if i%3 == 0 {
			var b [16]byte
			binary.LittleEndian.PutUint64(b[:], l.number())
			binary.LittleEndian.PutUint64(b[8:], l.number())
			a = netip.AddrFrom16(b)
		} else {
			var b [4]byte
			binary.LittleEndian.PutUint32(b[:], uint32(l.number()))
			a = netip.AddrFrom4(b)
		}
		l.clients = append(l.clients, netip.AddrPortFrom(a, uint16(l.number())))
		l.homes = append(l.homes, netip.AddrPortFrom(a, 80))
	}
	factor := []int{1, 1, 2, 3, 10}[l.next(5)]
	for len(l.told) > 0 {
		l.step(factor)
		if t.Failed() {
			break
		}
	}
	return l
}

func (l *life) step(factor int) {
	m := l.m
	config := func() (ServerConfig, int, int, int) {
		weight, upper, lower := l.next(5)*factor, 0, 0
		if l.next(3) == 0 {
			upper = 1 + l.next(6)
			lower = l.next(upper + 1)
		}
		return ServerConfig{Weight: weight, Upper: uint32(upper), Lower: uint32(lower)}, weight, upper, lower
	}
	switch what := l.next(24); {
	case what == 0 && len(m.list) < 8:
		name := byte('a' + l.next(10))
		if slices.ContainsFunc(m.list, func(e *entry) bool { return e.name == name }) {
			return
		}
		c, w, u, lo := config()
		l.servers[name] = mustAdd(l.t, l.s, name, c)
		m.add(name, addrOf(name), w, u, lo)
	case what == 1 && len(m.list) > 0 && l.next(2) == 0:
		e := m.list[l.next(len(m.list))]
		if m.at != nil && l.next(2) == 0 {
			e = m.at
		}
		if err := l.s.Remove(l.servers[e.name]); err != nil {
			l.t.Fatal(err)
		}
		m.remove(e)
	case what == 2 && len(m.list) > 0:
		e := m.list[l.next(len(m.list))]
		c, w, u, lo := config()
		if l.next(2) == 0 {
			c.Upper, c.Lower, u, lo = uint32(e.upper), uint32(e.lower), e.upper, e.lower
		}
		if err := l.s.Edit(l.servers[e.name], c); err != nil {
			l.t.Fatal(err)
		}
		m.edit(e, w, u, lo)
	case what == 3 && l.next(4) == 0:
		m.flags = Flags(l.next(4))
		l.s.SetFlags(m.flags)
	case what == 4:
		l.now += []time.Duration{time.Second, 20 * time.Second, time.Minute, 7 * time.Minute, time.Hour, 5 * time.Hour}[l.next(6)]
	case what < 10 && len(l.conns) > 0:
		k := l.next(len(l.conns))
		o := l.conns[k]
		if l.next(4) == 0 {
			l.flip(k)
			return
		}
		l.conns = slices.Delete(l.conns, k, k+1)
		o.s.Closed(o.active)
		m.closed(o.e, o.active)
	default:
		l.pick()
	}
}

// flip moves a connection between active and inactive.
func (l *life) flip(k int) {
	o := &l.conns[k]
	if o.active {
		o.s.Deactivated()
		o.e.active, o.e.inactive = o.e.active-1, o.e.inactive+1
	} else {
		o.s.Activated()
		o.e.active, o.e.inactive = o.e.active+1, o.e.inactive-1
	}
	o.active = !o.active
}

func (l *life) pick() {
	m := l.m
	var avoid *entry
	var avoided *Server
	if len(m.list) > 0 && l.next(4) == 0 {
		avoid = m.list[l.next(len(m.list))]
		avoided = l.servers[avoid.name]
	}
	if l.m.kind == "twos" {
		l.random = l.number()
	}
	f := Flow{Client: l.clients[l.next(len(l.clients))], Service: l.homes[l.next(len(l.homes))], Now: l.now}
	want, got := m.pick(f, avoid, l.random), l.s.PickOther(f, avoided)
	l.picks++
	wantName := "-"
	if want != nil {
		wantName = string(rune(want.name))
	}
	if nameOf(got) != wantName {
		l.t.Errorf("pick %d: %s, the model %s", l.picks, nameOf(got), wantName)
		return
	}
	l.check()
	if got == nil {
		return
	}
	// Whatever the model says: no quiesced server, no removed one, and none
	// that is overloaded, but for the memory of lblc.
	if got.cell.weight.Load() == 0 || !got.listed() || got == avoided || got.Overloaded() && m.kind != "lblc" {
		l.t.Errorf("pick %d: %s may not be picked", l.picks, wantName)
	}
	if l.next(3) == 0 {
		return
	}
	got.Opened()
	m.opened(want)
	l.conns = append(l.conns, lifeConn{s: got, e: want})
	if l.next(2) == 0 {
		l.flip(len(l.conns) - 1)
	}
	if got.Overloaded() != want.over || got.Active() != want.active || got.Inactive() != want.inactive {
		l.t.Errorf("pick %d: %s is %d/%d overloaded %t, the model %d/%d %t", l.picks, wantName,
			got.Active(), got.Inactive(), got.Overloaded(), want.active, want.inactive, want.over)
	}
}

// check compares what the scheduler remembers with what the model does.
func (l *life) check() {
	var c *cache
	switch a := l.s.bound.Load().algorithm.(type) {
	case *wrr:
		if _, level := splitMark(a.now.Load().mark.Load()); int(level) != l.m.level {
			l.t.Errorf("pick %d: level %d, the model %d", l.picks, level, l.m.level)
		}
		return
	case *lblc:
		c = &a.cache
	case *lblcr:
		c = &a.cache
	default:
		return
	}
	if c.entries != l.m.cache.count || c.chained != len(l.m.cache.entries) || c.rover != l.m.cache.rover || c.counter != l.m.cache.counter {
		l.t.Errorf("pick %d: counted %d entries, has %d, rover %d, counter %d, the model %d, %d, %d, %d", l.picks,
			c.entries, c.chained, c.rover, c.counter, l.m.cache.count, len(l.m.cache.entries), l.m.cache.rover, l.m.cache.counter)
	}
	for _, e := range l.m.cache.entries {
		mine := *c.slot(e.addr)
		names := ""
		if mine != nil {
			for _, s := range mine.set {
				names += nameOf(s)
			}
		}
		if names != string(e.servers) {
			l.t.Errorf("pick %d: %v is at %q, the model %q", l.picks, e.addr, names, e.servers)
		}
	}
}

// TestAgainstModel plays random lives of a service to a scheduler and to the
// model, and wants the same pick every time.
func TestAgainstModel(t *testing.T) {
	for _, kind := range Names() {
		for _, rules := range []Rules{OlderRules, NewerRules} {
			t.Run(kind+" "+rules.String(), func(t *testing.T) {
				picks, seeds := 0, uint64(40)
				switch kind {
				case "dh", "sh", "mh", "lblc", "lblcr":
					seeds = 12 // The models of these are slow.
				}
				for seed := range seeds {
					if !t.Run(fmt.Sprint(seed), func(t *testing.T) {
						rnd := rand.New(rand.NewPCG(seed, 7))
						told := make([]byte, 2500)
						for i := range told {
							told[i] = byte(rnd.Uint32())
						}
						picks += live(t, kind, rules, told).picks
					}) {
						return
					}
				}
				if picks < int(seeds)*100 {
					t.Errorf("only %d picks", picks)
				}
			})
		}
	}
}

// FuzzLives looks for a life in which scheduler and model part ways.
func FuzzLives(f *testing.F) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range len(Names()) {
		told := make([]byte, 600)
		for k := range told {
			told[k] = byte(rnd.Uint32())
		}
		f.Add(byte(i), told)
	}
	f.Fuzz(func(t *testing.T, kind byte, told []byte) {
		names := Names()
		live(t, names[int(kind)/2%len(names)], Rules(kind%2), told[:min(len(told), 4000)])
	})
}
