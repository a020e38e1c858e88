//go:build linux && kernel

package userspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/sched"
)

// TestKernelSchedulers plays random lives of a service to the kernel and to
// package sched, with real flows on loopback, and wants the same picks.
func TestKernelSchedulers(t *testing.T) {
	inNamespace(t, func() {
		g, err := newGround(t)
		if err != nil {
			t.Error(err)
			return
		}
		defer g.end()
		for _, kind := range []string{"rr", "wrr", "lc", "wlc"} {
			for _, proto := range []ipvs.Protocol{ipvs.UDP, ipvs.TCP} {
				for seed := range uint64(3) {
					p, err := g.play(kind, proto)
					if err == nil {
						err = p.random(rand.New(rand.NewPCG(seed, 11)))
					}
					if err != nil {
						t.Errorf("%s %v, seed %d: %v; steps %q", kind, proto, seed, err, p.steps)
					}
				}
			}
		}
	})
}

// TestKernelWRRAfterNobody settles what wrr remembers of a pick that finds
// all servers overloaded: from many places and levels, the picks after the
// first connections ended are those of package sched.
func TestKernelWRRAfterNobody(t *testing.T) {
	inNamespace(t, func() {
		g, err := newGround(t)
		if err != nil {
			t.Error(err)
			return
		}
		defer g.end()
		type scene struct {
			*play
			weights []int
			limits  []int // of their connections
			lasting int
		}
		var scenes []scene
		for _, weights := range [][]int{{1}, {2, 2}, {1, 2, 3}, {3, 1, 1}, {4, 2, 6}, {5, 3, 1}} {
			for lasting := range 6 {
				p, err := g.play("wrr", ipvs.UDP)
				if err != nil {
					t.Error(err)
					return
				}
				s := scene{play: p, weights: weights, lasting: lasting}
				room := 0
				for i := range weights {
					s.limits = append(s.limits, 1+(i+lasting)%4)
					room += s.limits[i]
				}
				s.lasting = min(lasting, room-1)
				if err := s.fill(s.weights, s.limits, s.lasting); err != nil {
					t.Errorf("weights %v, %d lasting flows: %v; steps %q", s.weights, s.lasting, err, s.steps)
					return
				}
				scenes = append(scenes, s)
			}
		}
		for _, s := range scenes {
			if err := s.refill(s.lasting); err != nil {
				t.Errorf("weights %v, %d lasting flows: %v; steps %q", s.weights, s.lasting, err, s.steps)
			}
		}
	})
}

// inNamespace runs f on a thread in a network namespace of its own.
func inNamespace(t *testing.T, f func()) {
	t.Helper()
	err := lab.New(t).Namespace("ground").Do(func() error { f(); return nil })
	if err != nil {
		t.Error(err)
	}
}

// ground is a network namespace in which plays run one after another. It
// belongs to the thread that entered it.
type ground struct {
	t       *testing.T
	c       *ipvs.Client
	rules   sched.Rules
	plays   []*play
	toClose []io.Closer
	ctx     context.Context // of the servers
	stop    context.CancelFunc
	served  sync.WaitGroup
}

func newGround(t *testing.T) (*ground, error) {
	g := &ground{t: t, rules: sched.NewerRules}
	if os.Getenv("LVSKIT_GUEST") == "debian" {
		g.rules = sched.OlderRules
	}
	g.ctx, g.stop = context.WithCancel(t.Context())
	sink, err := net.ListenPacket("udp4", "0.0.0.0:9000")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp4", "0.0.0.0:9000")
	if err != nil {
		return nil, err
	}
	g.toClose = append(g.toClose, sink, l)
	g.served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			// The end of a flow to a server that was removed never comes.
			stop := context.AfterFunc(g.ctx, func() { _ = c.Close() })
			g.served.Go(func() {
				_, _ = io.Copy(io.Discard, c)
				stop()
				_ = c.Close()
			})
		}
	})
	if g.c, err = ipvs.Dial(t.Context(), nil); err != nil {
		return nil, err
	}
	g.toClose = append(g.toClose, g.c)
	return g, nil
}

func (g *ground) end() {
	for _, p := range g.plays {
		for _, f := range p.flows {
			_ = f.conn.Close()
		}
	}
	for _, c := range g.toClose {
		_ = c.Close()
	}
	g.stop()
	g.served.Wait()
}

// play is one service in the kernel beside its model. Its servers have
// addresses of their own, so that a client's port that two plays use is not
// one connection to a server.
type play struct {
	n       byte
	t       *testing.T
	c       *ipvs.Client
	key     ipvs.ServiceKey
	model   *sched.Scheduler
	servers map[ipvs.DestinationKey]*sched.Server
	flows   []flow
	steps   []string
}

type flow struct {
	conn   net.Conn
	server *sched.Server
}

// play opens a service at an address of its own.
func (g *ground) play(kind string, proto ipvs.Protocol) (*play, error) {
	p := &play{n: byte(len(g.plays) + 1), t: g.t, c: g.c, servers: map[ipvs.DestinationKey]*sched.Server{}}
	g.plays = append(g.plays, p)
	p.key = ipvs.ServiceKey{Protocol: proto, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, p.n, 1}), 9)}
	var err error
	if p.model, err = sched.New(kind, &sched.Options{Rules: g.rules}); err != nil {
		return p, err
	}
	return p, g.c.AddService(g.t.Context(), ipvs.Service{Key: p.key, Scheduler: kind})
}

func (p *play) note(format string, a ...any) { p.steps = append(p.steps, fmt.Sprintf(format, a...)) }

func (p *play) destination(n, weight int, upper, lower uint32) ipvs.Destination {
	return ipvs.Destination{
		Key:    netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 2, p.n, byte(n)}), 9000),
		Weight: weight, UpperThreshold: upper, LowerThreshold: lower,
	}
}

func serverConfig(d ipvs.Destination) sched.ServerConfig {
	return sched.ServerConfig{Weight: d.Weight, Upper: d.UpperThreshold, Lower: d.LowerThreshold}
}

func (p *play) add(d ipvs.Destination) error {
	p.note("add %v %d %d/%d", d.Key, d.Weight, d.UpperThreshold, d.LowerThreshold)
	s, err := p.model.Add(d.Key, serverConfig(d), nil)
	if err != nil {
		return err
	}
	p.servers[d.Key] = s
	return p.c.AddDestination(p.t.Context(), p.key, d)
}

func (p *play) edit(d ipvs.Destination) error {
	p.note("edit %v %d %d/%d", d.Key, d.Weight, d.UpperThreshold, d.LowerThreshold)
	return errors.Join(p.model.Edit(p.servers[d.Key], serverConfig(d)), p.c.SetDestination(p.t.Context(), p.key, d))
}

func (p *play) remove(k ipvs.DestinationKey) error {
	p.note("remove %v", k)
	err := p.model.Remove(p.servers[k])
	delete(p.servers, k)
	return errors.Join(err, p.c.DelDestination(p.t.Context(), p.key, k))
}

type counts struct{ active, inactive int }

func (p *play) counts() (map[ipvs.DestinationKey]counts, error) {
	m := map[ipvs.DestinationKey]counts{}
	for d, err := range p.c.Destinations(p.t.Context(), p.key) {
		if err != nil {
			return nil, err
		}
		m[d.Key] = counts{int(d.Active), int(d.Inactive)}
	}
	return m, nil
}

// agree waits until the kernel counts what the model counts.
func (p *play) agree() error {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		got, err := p.counts()
		if err != nil {
			return err
		}
		same := true
		for k, s := range p.servers {
			same = same && got[k] == counts{s.Active(), s.Inactive()}
		}
		if same {
			return nil
		}
		if time.Now().After(deadline) {
			for k, s := range p.servers {
				p.note("%v: kernel %v, model %d %d", k, got[k], s.Active(), s.Inactive())
			}
			return errors.New("the kernel counts other connections than the model")
		}
	}
}

// pick opens a flow and compares who took it.
func (p *play) pick() error {
	before, err := p.counts()
	if err != nil {
		return err
	}
	want := p.model.Pick(sched.Flow{})
	network := p.key.Protocol.String() + "4"
	conn, err := net.DialTimeout(network, p.key.Addr.String(), 5*time.Second)
	if err != nil {
		if want != nil {
			return fmt.Errorf("step %d: the kernel picked nobody, the model %v: %w", len(p.steps), want.Addr(), err)
		}
		p.note("pick nobody")
		return nil
	}
	if p.key.Protocol == ipvs.UDP {
		_, _ = conn.Write([]byte("x")) // refused if nobody takes it
	}
	after, err := p.counts()
	if err != nil {
		return err
	}
	var got ipvs.DestinationKey
	for k, c := range after {
		if c.active+c.inactive > before[k].active+before[k].inactive {
			got = k
		}
	}
	if want == nil {
		_ = conn.Close()
		if got.IsValid() {
			return fmt.Errorf("step %d: the kernel picked %v, the model nobody", len(p.steps), got)
		}
		p.note("pick nobody")
		return nil
	}
	if got != want.Addr() {
		_ = conn.Close()
		return fmt.Errorf("step %d: the kernel picked %v, the model %v", len(p.steps), got, want.Addr())
	}
	p.note("pick %v", got)
	want.Opened()
	if p.key.Protocol == ipvs.TCP {
		want.Activated()
	}
	p.flows = append(p.flows, flow{conn, want})
	return p.agree()
}

// random is one random life.
func (p *play) random(rnd *rand.Rand) error {
	if err := p.c.SetTimeouts(p.t.Context(), ipvs.Timeouts{UDP: time.Hour, TCPFin: time.Hour}); err != nil {
		return err
	}
	factor := []int{1, 2, 3, 10}[rnd.IntN(4)]
	some := func() ipvs.DestinationKey {
		keys := make([]ipvs.DestinationKey, 0, len(p.servers))
		for _, s := range p.model.Servers() {
			keys = append(keys, s.Addr())
		}
		return keys[rnd.IntN(len(keys))]
	}
	conf := func(n int) ipvs.Destination {
		var upper, lower uint32
		if rnd.IntN(3) == 0 {
			upper = 1 + rnd.Uint32N(12)
			lower = rnd.Uint32N(upper + 1)
		}
		return p.destination(n, factor*rnd.IntN(5), upper, lower)
	}
	added := 0
	for range 120 {
		var err error
		switch what := rnd.IntN(20); {
		case len(p.servers) == 0 || what == 0 && len(p.servers) < 8:
			added++ // never twice the same: the kernel would take the old one's connections back
			err = p.add(conf(added))
		case what == 1 && len(p.servers) > 2:
			err = p.remove(some())
		case what < 4:
			k := some()
			d := conf(1)
			d.Key = k
			err = p.edit(d)
		case what < 8 && p.key.Protocol == ipvs.TCP && len(p.flows) > 0:
			i := rnd.IntN(len(p.flows))
			f := p.flows[i]
			p.flows = append(p.flows[:i], p.flows[i+1:]...)
			p.note("close %v", f.server.Addr())
			// Both sides close; it waits for its end for an hour, inactive.
			_ = f.conn.Close()
			f.server.Deactivated()
			err = p.agree()
		default:
			err = p.pick()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fill lets as many flows come as the servers take, the first of them
// lasting, and then one or two more.
func (p *play) fill(weights, limits []int, lasting int) error {
	ctx, room := p.t.Context(), 0
	for i, w := range weights {
		limit := uint32(limits[i])
		if err := p.add(p.destination(i+1, w, limit, limit)); err != nil {
			return err
		}
		room += limits[i]
	}
	if err := p.c.SetTimeouts(ctx, ipvs.Timeouts{UDP: time.Hour}); err != nil {
		return err
	}
	for i := range room + 1 + lasting%2 {
		if i == lasting {
			if err := p.c.SetTimeouts(ctx, ipvs.Timeouts{UDP: 5 * time.Second}); err != nil {
				return err
			}
		}
		if err := p.pick(); err != nil {
			return err
		}
	}
	if n := len(p.flows); n != room {
		return fmt.Errorf("%d flows were taken", n)
	}
	return nil
}

// refill waits for the end of all but the lasting flows and lets as many new
// ones come.
func (p *play) refill(lasting int) error {
	for _, f := range p.flows[lasting:] {
		f.server.Closed(false)
	}
	p.note("the short ones end")
	if err := p.agree(); err != nil {
		return err
	}
	if err := p.c.SetTimeouts(p.t.Context(), ipvs.Timeouts{UDP: time.Hour}); err != nil {
		return err
	}
	for range len(p.flows) - lasting + 1 {
		if err := p.pick(); err != nil {
			return err
		}
	}
	return nil
}
