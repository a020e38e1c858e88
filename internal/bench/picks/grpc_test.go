package picks

import (
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/balancer"
	_ "google.golang.org/grpc/balancer/leastrequest" // registers itself
	_ "google.golang.org/grpc/balancer/roundrobin"   // registers itself
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"
)

// channel is a client of grpc-go whose connections are all ready.
type channel struct {
	balancer.ClientConn
	events chan func()

	mu    sync.Mutex
	state balancer.State
	ready int
}

type subChannel struct {
	balancer.SubConn
	c      *channel
	listen func(balancer.SubConnState)
}

func (c *channel) NewSubConn(_ []resolver.Address, o balancer.NewSubConnOptions) (balancer.SubConn, error) {
	return &subChannel{c: c, listen: o.StateListener}, nil
}

func (c *channel) UpdateState(s balancer.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
}

func (c *channel) Target() string { return "test" }

func (c *channel) MetricsRecorder() stats.MetricsRecorder { return deaf{} }

// deaf records nothing.
type deaf struct{ stats.MetricsRecorder }

func (deaf) RecordInt64Count(*stats.Int64CountHandle, int64, ...string)       {}
func (deaf) RecordFloat64Count(*stats.Float64CountHandle, float64, ...string) {}
func (deaf) RecordInt64Histo(*stats.Int64HistoHandle, int64, ...string)       {}
func (deaf) RecordFloat64Histo(*stats.Float64HistoHandle, float64, ...string) {}
func (deaf) RecordInt64Gauge(*stats.Int64GaugeHandle, int64, ...string)       {}

func (s *subChannel) tell(f func(balancer.SubConnState), state connectivity.State) {
	s.c.events <- func() { f(balancer.SubConnState{ConnectivityState: state}) }
}

func (s *subChannel) Connect() {
	s.tell(s.listen, connectivity.Connecting)
	s.tell(s.listen, connectivity.Ready)
}

func (s *subChannel) RegisterHealthListener(f func(balancer.SubConnState)) {
	s.tell(f, connectivity.Ready)
	s.c.mu.Lock()
	s.c.ready++
	s.c.mu.Unlock()
}

func (s *subChannel) Shutdown() {}

func grpcPicker(policy string) func(testing.TB) func() func(uint32) bool {
	return func(tb testing.TB) func() func(uint32) bool {
		c := &channel{events: make(chan func(), 16*servers)}
		builder := balancer.Get(policy)
		b := builder.Build(c, balancer.BuildOptions{})
		ccs := balancer.ClientConnState{}
		if p, ok := builder.(balancer.ConfigParser); ok {
			var err error
			var lb serviceconfig.LoadBalancingConfig
			if lb, err = p.ParseConfig([]byte("{}")); err != nil {
				tb.Fatal(err)
			}
			ccs.BalancerConfig = lb
		}
		for i := range servers {
			ccs.ResolverState.Endpoints = append(ccs.ResolverState.Endpoints,
				resolver.Endpoint{Addresses: []resolver.Address{{Addr: addr(i).String()}}})
		}
		if err := b.UpdateClientConnState(ccs); err != nil {
			tb.Fatal(err)
		}
		b.ExitIdle()
		for quiet := false; !quiet; {
			select {
			case f := <-c.events:
				f()
			case <-time.After(100 * time.Millisecond):
				quiet = true
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ready != servers || c.state.ConnectivityState != connectivity.Ready {
			tb.Fatalf("%s: %d of %d connections are ready, the whole is %v", policy, c.ready, servers, c.state.ConnectivityState)
		}
		p := c.state.Picker
		return func() func(uint32) bool {
			return func(uint32) bool {
				r, err := p.Pick(balancer.PickInfo{})
				if err != nil {
					return false
				}
				if r.Done != nil {
					r.Done(balancer.DoneInfo{})
				}
				return true
			}
		}
	}
}
