package ipvs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
)

// chaos is a reconciler on a kernel where commands fail and others meddle.
type chaos struct {
	t      *testing.T
	rng    *rand.Rand
	k      *ipvstest.Kernel
	r      *ipvs.Reconciler
	want   map[ipvs.ServiceKey]ipvs.Entry
	theirs map[ipvs.ServiceKey]ipvs.Entry
}

// Ours are services 0 to 7, theirs 100 to 103.
func (c *chaos) ourKey() ipvs.ServiceKey { return web(c.rng.IntN(8)) }

func (c *chaos) entry(k ipvs.ServiceKey) ipvs.Entry {
	weights := make([]int, c.rng.IntN(6))
	for i := range weights {
		weights[i] = c.rng.IntN(5) - 1
	}
	e := entry(k, weights...)
	e.Service.Scheduler = []string{"wlc", "rr", "wrr"}[c.rng.IntN(3)]
	return e
}

func (c *chaos) step() {
	ctx := context.Background()
	for range c.rng.IntN(3) {
		c.k.FailNext([]error{
			ipvs.ErrStateUnknown, syscall.ENOBUFS, syscall.EEXIST, syscall.ENOENT, syscall.ESRCH, syscall.EPERM, syscall.ENOMEM, nil, nil,
		}[c.rng.IntN(9)])
	}
	switch c.rng.IntN(10) {
	case 0:
		clear(c.want)
		var table ipvs.Table
		for range c.rng.IntN(8) {
			e := c.entry(c.ourKey())
			c.want[e.Service.Key] = e
			table = append(table, e)
		}
		_ = c.r.Set(ctx, table)
	case 1, 2, 3:
		a, b := c.entry(c.ourKey()), c.entry(c.ourKey())
		c.want[a.Service.Key], c.want[b.Service.Key] = a, b
		_ = c.r.Put(ctx, a, b)
	case 4:
		k := c.ourKey()
		delete(c.want, k)
		_ = c.r.Remove(ctx, k)
	case 5:
		_ = c.r.Resync(ctx)
	case 6, 7: // somebody meddles with what is ours
		var k ipvs.ServiceKey
		for k = range c.want {
			break
		}
		if k == (ipvs.ServiceKey{}) {
			return
		}
		d := ipvs.Destination{Key: server(1 + c.rng.IntN(9)), Weight: c.rng.IntN(9)}
		switch c.rng.IntN(5) {
		case 0:
			_ = c.k.DelService(ctx, k)
		case 1:
			// Only in place of ours: what others add before we ever could
			// is theirs.
			if c.k.DelService(ctx, k) == nil {
				_ = c.k.AddService(ctx, ipvs.Service{Key: k, Scheduler: "sh"})
			}
		case 2:
			_ = c.k.AddDestination(ctx, k, d)
		case 3:
			_ = c.k.SetDestination(ctx, k, d)
		case 4:
			_ = c.k.DelDestination(ctx, k, d.Key)
		}
	case 8: // and changes theirs
		e := c.entry(web(100 + c.rng.IntN(4)))
		snap, err := c.k.Snapshot(ctx)
		if err != nil {
			return // one of the faults
		}
		if c.k.Apply(ctx, ipvs.Diff(snap.Table(), ipvs.Table{e}, nil)) == nil {
			c.theirs[e.Service.Key] = e
		} else {
			c.readTheirs(e.Service.Key) // some of it was done
		}
	case 9:
		time.Sleep(time.Duration(c.rng.IntN(20)) * time.Second)
	}
}

func (c *chaos) readTheirs(k ipvs.ServiceKey) {
	for range 10 { // until the faults are used up
		snap, err := c.k.Snapshot(context.Background())
		if err != nil {
			continue
		}
		delete(c.theirs, k)
		for _, e := range snap.Table() {
			if e.Service.Key == k {
				c.theirs[k] = e
			}
		}
		return
	}
	c.t.Fatal("the faults do not end")
}

// Whatever is wanted, whoever meddles and whatever fails: in the end our
// services are as wanted, with nothing of ours beside them, and those of
// others are as they left them.
func TestPropertyReconcilerAlwaysArrives(t *testing.T) {
	for _, drain := range []time.Duration{0, 15 * time.Second} {
		for seed := range uint64(60) {
			t.Run(fmt.Sprintf("drain %v seed %d", drain, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := ipvstest.New()
					c := &chaos{
						t: t, rng: rand.New(rand.NewPCG(seed, 1)), k: k,
						r:    ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{Drain: drain}),
						want: make(map[ipvs.ServiceKey]ipvs.Entry), theirs: make(map[ipvs.ServiceKey]ipvs.Entry),
					}
					defer start(c.r)()
					for range 60 {
						c.step()
					}
					time.Sleep(3 * time.Minute)
					synctest.Wait()
					var all []ipvs.Entry
					for _, m := range []map[ipvs.ServiceKey]ipvs.Entry{c.want, c.theirs} {
						for _, e := range m {
							all = append(all, e)
						}
					}
					wantTable(t, k, all...)
					if st := c.r.Status(); st.Err != nil || len(st.Drains) != 0 {
						t.Errorf("status at the end: %+v", st)
					}
					// It stays so without a command.
					k.ResetLog()
					time.Sleep(2 * time.Minute)
					wantLines(t, "at rest", writes(k))
				})
			})
		}
	}
}

// Two programs on one table, each with services of its own, and a third that
// adds and deletes others: nobody loses anything.
func TestReconcilersDoNotHarmEachOther(t *testing.T) {
	k := ipvstest.New()
	ctx := t.Context()
	var work sync.WaitGroup
	programs := make([]*ipvs.Reconciler, 2)
	final := make([][]ipvs.Entry, len(programs))
	for p := range programs {
		r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{Resync: 5 * time.Millisecond, Drain: time.Duration(p) * time.Millisecond})
		programs[p] = r
		defer start(r)()
		for g := range 3 { // each program changes from several goroutines
			work.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(p), uint64(g)))
				for range 200 {
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
	work.Go(func() {
		for i := range 300 {
			e := entry(web(5000+i%3), 1, 2)
			err := k.Apply(ctx, ipvs.Diff(nil, ipvs.Table{e}, nil))
			if i < 297 {
				err = errors.Join(err, k.DelService(ctx, e.Service.Key))
			}
			if err != nil {
				t.Errorf("somebody touched another program's service: %v", err)
			}
		}
	})
	work.Wait()
	var all []ipvs.Entry
	for p, r := range programs {
		for i := range 4 {
			final[p] = append(final[p], entry(web(p*1000+i), 1, 2, 3))
		}
		must(t, r.Set(ctx, final[p]))
		all = append(all, final[p]...)
	}
	for i := range 3 {
		all = append(all, entry(web(5000+i), 1, 2))
	}
	deadline := time.Now().Add(20 * time.Second)
	for len(programs[1].Status().Drains) > 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	wantTable(t, k, all...)
	for p, r := range programs {
		if st := r.Status(); st.Repairs != 0 || st.Failures != 0 {
			t.Errorf("program %d saw repairs or failures where nobody touched its services: %+v", p, st)
		}
	}
}

// Many callers at once on a kernel where every tenth command fails: each
// order is carried out in the end, and none is lost to another's.
func TestReconcilerUnderLoad(t *testing.T) {
	k := ipvstest.New()
	foreign := entry(web(9999), 3)
	fill(t, k, foreign)
	var rec recorder
	r := ipvs.NewReconciler(k, &ipvs.ReconcilerConfig{Resync: 3 * time.Millisecond, Drain: 5 * time.Millisecond, OnEvent: rec.event})
	defer start(r)()
	rng := rand.New(rand.NewPCG(7, 7)) // the hook holds the kernel's lock
	k.SetHook(func(ipvstest.Command) error {
		if rng.IntN(10) == 0 {
			return []error{ipvs.ErrStateUnknown, syscall.ENOBUFS, syscall.EEXIST, syscall.ESRCH, syscall.ENOMEM}[rng.IntN(5)]
		}
		return nil
	})
	const callers, keys = 8, 5
	want := make([]map[int]ipvs.Entry, callers)
	var work sync.WaitGroup
	for g := range callers {
		want[g] = make(map[int]ipvs.Entry)
		work.Go(func() {
			rng := rand.New(rand.NewPCG(8, uint64(g)))
			for range 150 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.IntN(2000))*time.Microsecond)
				n := g*keys + rng.IntN(keys)
				switch rng.IntN(6) {
				case 0:
					_ = r.Remove(ctx, web(n))
					delete(want[g], n)
				case 1:
					_ = r.Resync(ctx)
					_ = r.Status()
					_, _ = r.Entry(web(n))
				default:
					e := entry(web(n), rng.IntN(3)-1, rng.IntN(3)-1, rng.IntN(3)-1)
					_ = r.Put(ctx, e)
					want[g][n] = e
				}
				cancel()
			}
		})
	}
	work.Wait()
	k.SetHook(nil)
	must(t, r.Resync(t.Context()))
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		if st := r.Status(); st.Err == nil && len(st.Drains) == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	all := []ipvs.Entry{foreign}
	for _, m := range want {
		for _, e := range m {
			all = append(all, e)
		}
	}
	must(t, r.Resync(t.Context()))
	wantTable(t, k, all...)
	if st := r.Status(); st.Err != nil || len(st.Drains) != 0 {
		t.Errorf("status %+v", st)
	}
}
