package userspace

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// closeTimeout bounds the wait of Close for the goroutines. Nothing they
// wait for outlives the closed sockets, so it is never needed in practice.
const closeTimeout = 10 * time.Second

// Balancer carries a table over sockets. It is safe for concurrent use. Make
// one with [New] and end it with [Balancer.Close].
type Balancer struct {
	cfg   Config
	start time.Time
	// processors is how many loops may keep busy.
	processors int
	ctx        context.Context // ends dials; done when closed
	cancel     context.CancelFunc
	wg         sync.WaitGroup
	limits     limits
	count      counters
	pools      pools
	// quiet is the time (of now) before which no other shortage is logged.
	quiet atomic.Int64

	// mu guards the table and is never taken on the way of a packet.
	mu       sync.Mutex
	closed   bool
	running  bool // the housekeeper is
	services map[ipvs.ServiceKey]*service
	declared map[ipvs.ServiceKey]ServiceConfig
	udpLoops udpLoops
	// listenTCP and listenUDP open an address and port of a service, in the
	// way of this system.
	listenTCP, listenUDP func(context.Context, *service, netip.AddrPort) (frontend, error)

	conns connSet
}

// New returns a balancer with an empty table. It opens and starts nothing;
// nil means the defaults.
func New(cfg *Config) (*Balancer, error) {
	c, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("userspace config: %w", err)
	}
	b := &Balancer{
		cfg:        c,
		start:      time.Now(),
		processors: min(runtime.GOMAXPROCS(0), runtime.NumCPU()),
		services:   map[ipvs.ServiceKey]*service{},
		declared:   cloneServices(c.Services), listenTCP: listenTCP, listenUDP: listenUDP,
	}
	b.limits.maxConnections = int64(c.MaxConnections)
	b.limits.watch(openFiles())
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.pools.init()
	b.conns.init()
	return b, nil
}

// now is a monotonic clock in nanoseconds.
func (b *Balancer) now() int64 { return int64(time.Since(b.start)) }

// Close closes all services, resets the open connections and returns when
// everything that the balancer started has ended. Later calls do nothing.
func (b *Balancer) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	for _, s := range b.services {
		s.close()
	}
	clear(b.services)
	b.udpLoops.close()
	b.mu.Unlock()
	b.cancel()
	b.conns.closeAll()

	done := make(chan struct{})
	go func() {
		b.wg.Wait()
		close(done)
	}()
	t := time.NewTimer(closeTimeout)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-t.C:
		return fmt.Errorf("balancer: connections still open %v after close", closeTimeout)
	}
}

// Apply makes changes, in order. As in the kernel a change that fails does
// not hinder the ones behind it, nothing is undone, and to add what exists or
// to set or delete what does not is an error. The error is an
// [*ipvs.ApplyError]; its Cause is an [*ipvs.OpError] of [ErrClosed] or of the
// end of ctx, which leave the rest undone.
func (b *Balancer) Apply(ctx context.Context, changes []ipvs.Change) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var result ipvs.ApplyError
	for i, c := range changes {
		cause := ctx.Err()
		if b.closed {
			cause = ErrClosed
		}
		if cause != nil {
			result.Cause, result.Unsent = &ipvs.OpError{Op: ipvs.OpApply, Err: cause}, len(changes)-i
			break
		}
		if err := b.applyOne(ctx, c); err != nil {
			result.Failed = append(result.Failed, opErr(c, err))
		} else {
			result.Applied++
		}
	}
	if len(result.Failed) == 0 && result.Cause == nil {
		return nil
	}
	return &result
}

func (b *Balancer) applyOne(ctx context.Context, c ipvs.Change) error {
	if err := c.Validate(); err != nil {
		return err
	}
	// The table holds what the kernel would read back.
	c.Service, c.Destination = c.Service.Normalized(), c.Destination.Normalized()
	s, ok := b.services[c.Service.Key]
	if c.Op == ipvs.OpAddService {
		if ok {
			return syscall.EEXIST
		}
		return b.addService(ctx, c.Service)
	}
	if !ok {
		return syscall.ESRCH
	}
	switch c.Op {
	case ipvs.OpSetService:
		return s.set(c.Service)
	case ipvs.OpDelService:
		s.close()
		delete(b.services, s.key)
		return nil
	case ipvs.OpAddDestination:
		return s.addDestination(c.Destination)
	case ipvs.OpSetDestination:
		return s.setDestination(c.Destination)
	default: // the last of the six that Validate lets pass
		return s.delDestination(c.Destination.Key)
	}
}

func (b *Balancer) addService(ctx context.Context, conf ipvs.Service) error {
	s, err := newService(b, conf)
	if err != nil {
		return err
	}
	if err := s.listen(ctx); err != nil {
		return err
	}
	b.services[s.key] = s
	if !b.running {
		b.running = true
		b.wg.Go(b.housekeep)
	}
	return nil
}

// Snapshot returns the table with its counters, destinations newest first as
// the kernel lists them. An error is an [*ipvs.OpError] of [ErrClosed] or of
// the end of ctx.
func (b *Balancer) Snapshot(ctx context.Context) (ipvs.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, &ipvs.OpError{Op: ipvs.OpListServices, Err: err}
	}
	b.conns.flush()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, &ipvs.OpError{Op: ipvs.OpListServices, Err: ErrClosed}
	}
	snap := make(ipvs.Snapshot, 0, len(b.services))
	for _, s := range b.services {
		snap = append(snap, s.snapshot())
	}
	slices.SortFunc(snap, func(x, y ipvs.EntryState) int {
		return x.Service.Key.Compare(y.Service.Key)
	})
	return snap, nil
}

// Counters returns the counts of what the table does not show.
func (b *Balancer) Counters() Counters { return b.count.read() }

// housekeep estimates rates and ends what is idle, until the balancer closes.
func (b *Balancer) housekeep() {
	estimate := time.NewTicker(estimateInterval)
	defer estimate.Stop()
	sweep := time.NewTimer(0)
	defer sweep.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-estimate.C:
			b.limits.watch(openFiles())
			b.mu.Lock()
			for _, s := range b.services {
				s.estimate()
			}
			b.mu.Unlock()
		case <-sweep.C:
			now, next := b.now(), estimateInterval
			b.mu.Lock()
			for _, s := range b.services {
				s.sweep(now)
				next = min(next, s.options().sweepInterval())
			}
			b.mu.Unlock()
			sweep.Reset(next)
			b.conns.resetIdle(b, now)
		}
	}
}
