//go:build linux && kernel

package schedlab

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"testing"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/sched"
)

// twosShares states the rule of twos as probabilities, by trying every pair
// of draws: each is 0..sum of the weights, and falls on the first server with
// which the weights so far reach it; the second replaces the first when its
// server has less overhead for its weight. Nothing else is left to chance.
func twosShares(weights, overheads []int) []float64 {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	at := func(draw int) int {
		for i, w := range weights {
			if draw -= w; w > 0 && draw <= 0 {
				return i
			}
		}
		return -1
	}
	shares := make([]float64, len(weights))
	for first := range sum + 1 {
		for second := range sum + 1 {
			a, b := at(first), at(second)
			if weights[b]*overheads[a] > weights[a]*overheads[b] {
				a = b
			}
			shares[a] += 1 / float64((sum+1)*(sum+1))
		}
	}
	return shares
}

// TestKernelTwos draws many picks of twos from the kernel and from package
// sched, with connections that make servers unequal, and compares how often
// each server came with the probabilities of the rule. The level of
// significance is 1e-4 for the whole test: each of its chi-square tests
// (Bonferroni) has that divided by their number.
func TestKernelTwos(t *testing.T) {
	const level = 1e-4
	draws := 800
	if lab.Emulated() {
		draws = 250
	}
	scenes := [][]int{
		{1, 1},
		{1, 2, 3},
		{5, 0, 1, 1},
		{3, 3, 3, 3},
		{10, 1, 4, 2, 7},
		{1, 1, 1, 1, 1, 1, 1, 1},
	}
	if os.Getenv("LVSKIT_GUEST") == "debian" {
		// That kernel was built without twos.
		err := inGround(t, 0, func(g *ground) error {
			_, err := g.open(Case{Scheduler: "twos", Mark: 1})
			return err
		})
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v, want none such: compare twos on this kernel", err)
		}
		return
	}
	err := inGround(t, 0, func(g *ground) error {
		for i, weights := range scenes {
			for _, lasting := range []int{0, 3 * len(weights)} {
				kernel, model, shares, err := g.twos(uint32(10*i+lasting+1), weights, lasting, draws)
				if err != nil {
					return fmt.Errorf("weights %v: %w", weights, err)
				}
				limit := level / float64(2*2*len(scenes))
				pk, pm := Unlikely(kernel, shares), Unlikely(model, shares)
				t.Logf("weights %v, %d connections: kernel %v (p=%.2g), model %v (p=%.2g)", weights, lasting, kernel, pk, model, pm)
				if pk < limit || pm < limit {
					t.Errorf("weights %v: by the rule %.4f: p below %.1g", weights, shares, limit)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// twos returns how often each server was picked by the kernel and by the
// model, and the probabilities. Servers and weights are in the order of the
// list, so the first is added last.
func (g *ground) twos(mark uint32, weights []int, lasting, draws int) (kernel, model []int, shares []float64, err error) {
	// TCP makes connections that stay, UDP in single packets none.
	c := Case{Scheduler: "twos", Protocol: OnePacket, Mark: mark, Rules: kernelRules()}
	k, err := g.open(c)
	if err != nil {
		return nil, nil, nil, err
	}
	m, err := sched.New("twos", &sched.Options{Rules: c.Rules})
	if err != nil {
		return nil, nil, nil, err
	}
	index := map[netip.AddrPort]int{}
	servers := make([]*sched.Server, len(weights))
	for i := len(weights) - 1; i >= 0; i-- {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(mark), 0, byte(i + 1)}), 80)
		index[addr] = i
		if servers[i], err = m.Add(addr, sched.ServerConfig{Weight: weights[i]}, nil); err != nil {
			return nil, nil, nil, err
		}
		if err := g.c.AddDestination(g.ctx, k.conf.Key, ipvs.Destination{Key: addr, Weight: weights[i]}); err != nil {
			return nil, nil, nil, err
		}
	}
	pick := func(n int, tcp bool) (int, error) {
		p := packet{
			from: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)}), 4000),
			to:   netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 16, 0, byte(mark)}), 80), tcp: tcp,
		}
		if tcp {
			p.flags = flagSyn
		}
		if err := g.send(mark, p); err != nil {
			return 0, err
		}
		to, err := g.arrived(p)
		i, ok := index[to]
		if err == nil && !ok {
			err = fmt.Errorf("a packet went to %v", to)
		}
		return i, err
	}
	for n := range lasting {
		i, err := pick(n, true)
		if err != nil {
			return nil, nil, nil, err
		}
		servers[i].Opened()
		servers[i].Activated()
	}
	kernel, model = make([]int, len(weights)), make([]int, len(weights))
	for n := range draws {
		i, err := pick(n, false)
		if err != nil {
			return nil, nil, nil, err
		}
		kernel[i]++
		model[index[m.Pick(sched.Flow{}).Addr()]]++
	}
	// Connections that are only begun last a minute: were they all there?
	overheads := make([]int, len(weights))
	for d, err := range g.c.Destinations(g.ctx, k.conf.Key) {
		if err != nil {
			return nil, nil, nil, err
		}
		i := index[d.Key]
		// All are active, so either kind of rules gives the same proportions.
		if overheads[i] = 256 * int(d.Active); int(d.Active) != servers[i].Active() || d.Inactive != 0 {
			return nil, nil, nil, fmt.Errorf("%v has %d active and %d inactive connections, want %d and 0", d.Key, d.Active, d.Inactive, servers[i].Active())
		}
	}
	return kernel, model, twosShares(weights, overheads), nil
}
