package picks

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/go-kratos/kratos/v2/registry"
	"github.com/go-kratos/kratos/v2/selector"
	"github.com/go-kratos/kratos/v2/selector/p2c"
	kratoswrr "github.com/go-kratos/kratos/v2/selector/wrr"
	"github.com/serialx/hashring"
	"stathat.com/c/consistent"

	"github.com/lvskit/lvskit/sched"
)

const servers = 100

func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + i)}), 80)
}

// weight is that of a server, where it has one: 1 to 7.
func weight(i int) int { return 1 + i%7 }

// contestant makes servers, and then pickers, one a goroutine: what picks for
// the n-th client, ends at once what it began, and reports whether it got a
// server.
type contestant struct {
	name string
	make func(tb testing.TB) func() (pick func(n uint32) bool)
}

func contestants() []contestant {
	var list []contestant
	for _, name := range sched.Names() {
		if name == "none" {
			continue // picks nothing
		}
		list = append(list, contestant{"lvskit/" + name, ours(name, false)})
	}
	for _, name := range []string{"rr", "wrr", "wlc"} {
		list = append(list, contestant{"lvskit/" + name + " with counts", ours(name, true)})
	}
	return append(list,
		contestant{"go-kratos/wrr", kratos(kratoswrr.New())},
		contestant{"go-kratos/p2c", kratos(p2c.New())},
		contestant{"grpc-go/round_robin", grpcPicker("round_robin")},
		contestant{"grpc-go/least_request", grpcPicker("least_request_experimental")},
		contestant{"stathat/consistent", stathat},
		contestant{"serialx/hashring", ring},
	)
}

// clients is how many there are; so few that the processor's caches hold what
// is made of them beforehand.
const clients = 256

func flows() []sched.Flow {
	list := make([]sched.Flow, clients)
	for i := range list {
		list[i] = sched.Flow{
			Client:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 16, byte(i * 7), byte(i)}), 40000),
			Service: addr(200),
		}
	}
	return list
}

// keys are the clients for libraries that hash text.
func keys() []string {
	list := make([]string, clients)
	for i, f := range flows() {
		list[i] = f.Client.Addr().String()
	}
	return list
}

// ours picks; counted, it tells the server of a connection and of its end too.
func ours(name string, counted bool) func(testing.TB) func() func(uint32) bool {
	return func(tb testing.TB) func() func(uint32) bool {
		s, err := sched.New(name, nil)
		if err != nil {
			tb.Fatal(err)
		}
		for i := range servers {
			if _, err := s.Add(addr(i), sched.ServerConfig{Weight: weight(i)}, nil); err != nil {
				tb.Fatal(err)
			}
		}
		list := flows()
		return func() func(uint32) bool {
			return func(n uint32) bool {
				d := s.Pick(list[n%clients])
				if d == nil {
					return false
				}
				if counted {
					d.Opened()
					d.Closed(true)
				}
				return true
			}
		}
	}
}

func kratos(s selector.Selector) func(testing.TB) func() func(uint32) bool {
	return func(testing.TB) func() func(uint32) bool {
		var nodes []selector.Node
		for i := range servers {
			nodes = append(nodes, selector.NewNode("tcp", addr(i).String(), &registry.ServiceInstance{
				Metadata: map[string]string{"weight": fmt.Sprint(weight(i))},
			}))
		}
		s.Apply(nodes)
		return func() func(uint32) bool {
			ctx := context.Background()
			return func(uint32) bool {
				_, done, err := s.Select(ctx)
				if err != nil {
					return false
				}
				done(ctx, selector.DoneInfo{})
				return true
			}
		}
	}
}

func stathat(testing.TB) func() func(uint32) bool {
	c := consistent.New()
	for i := range servers {
		c.Add(addr(i).String())
	}
	names := keys()
	return func() func(uint32) bool {
		return func(n uint32) bool {
			_, err := c.Get(names[n%clients])
			return err == nil
		}
	}
}

func ring(testing.TB) func() func(uint32) bool {
	weights := map[string]int{}
	for i := range servers {
		weights[addr(i).String()] = weight(i)
	}
	r := hashring.NewWithWeights(weights)
	names := keys()
	return func() func(uint32) bool {
		return func(n uint32) bool {
			_, ok := r.GetNode(names[n%clients])
			return ok
		}
	}
}

// BenchmarkPick picks from as many goroutines as -cpu says.
func BenchmarkPick(b *testing.B) {
	for _, c := range contestants() {
		b.Run(c.name, func(b *testing.B) {
			start := c.make(b)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				pick, n := start(), uint32(0)
				for pb.Next() {
					if n += 7919; !pick(n) {
						b.Error("no server")
						return
					}
				}
			})
		})
	}
}

// All contestants pick servers at all, and none of theirs is always the same.
func TestContestantsPick(t *testing.T) {
	for _, c := range contestants() {
		t.Run(c.name, func(t *testing.T) {
			pick := c.make(t)()
			for n := range uint32(1000) {
				if !pick(n) {
					t.Fatalf("no server for client %d", n)
				}
			}
		})
	}
}
