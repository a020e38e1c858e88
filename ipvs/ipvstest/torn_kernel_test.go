//go:build linux && kernel

package ipvstest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// between is a context that does something whenever its error is asked for: a
// client does so between the parts of a listing.
type between struct {
	context.Context
	do func()
}

func (b *between) Err() error {
	b.do()
	return b.Context.Err()
}

// TestKernelListingsOfAChangingService lists a service of several hundred
// destinations while others are added to it and deleted. The kernel resumes a
// listing by index, so a change between two parts makes it skip or repeat. A
// listing may be refused, but one that is returned has to hold all
// destinations that nobody touched, each once.
func TestKernelListingsOfAChangingService(t *testing.T) {
	seed := testSeed(t)
	const fixed, touched = 500, 60
	key := ipvs.TCPService(vip4)
	at := func(i int) ipvs.Destination {
		ip := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		return ipvs.Destination{Key: netip.AddrPortFrom(ip, 80), Weight: 1}
	}
	// prepare returns two clients of one table and a change of it.
	prepare := func(t *testing.T) (lister *ipvs.Client, change func()) {
		t.Helper()
		ns := newNamespace(t)
		lister, changer := dialIn(t, ns), dialIn(t, ns)
		// The destinations to touch are spread over the list.
		all := ipvs.Table{{Service: basic(key)}}
		for i := range fixed + touched {
			all[0].Destinations = append(all[0].Destinations, at(i))
		}
		ok(t, changer.Apply(t.Context(), ipvs.Diff(nil, all, nil)))
		g := newGenerator(seed, 0, nil)
		there := map[int]bool{}
		for n := range touched {
			there[n] = true
		}
		return lister, func() {
			n := g.IntN(touched)
			d := at(n * (fixed + touched) / touched)
			var err error
			if there[n] {
				err = changer.DelDestination(t.Context(), key, d.Key)
			} else {
				err = changer.AddDestination(t.Context(), key, d)
			}
			if err != nil {
				t.Error(err)
			}
			there[n] = !there[n]
		}
	}
	untouched := map[ipvs.DestinationKey]bool{}
	for i := range fixed + touched {
		untouched[at(i).Key] = true
	}
	for n := range touched {
		delete(untouched, at(n*(fixed+touched)/touched).Key)
	}
	type count struct{ whole, torn, refused int }
	list := func(ctx context.Context, c *ipvs.Client, n *count) {
		states, err := collect(c.Destinations(ctx, key))
		if err != nil {
			n.refused++
			return
		}
		seen := map[ipvs.DestinationKey]int{}
		for _, d := range states {
			seen[d.Key]++
		}
		for k := range untouched {
			if seen[k] != 1 {
				n.torn++
				return
			}
		}
		n.whole++
	}
	check := func(t *testing.T, n count, changes int, some bool) {
		t.Helper()
		t.Logf("%d changes; listings: %d whole, %d torn, %d refused", changes, n.whole, n.torn, n.refused)
		if n.torn > 0 {
			t.Errorf("%d of %d listings that were returned lack destinations that nobody touched, or repeat them", n.torn, n.whole+n.torn)
		}
		if some && n.whole == 0 {
			t.Error("no listing was returned whole")
		}
	}

	for _, percent := range []int{1, 5, 25} {
		t.Run(fmt.Sprintf("a change between parts in %d of a hundred", percent), func(t *testing.T) {
			lister, change := prepare(t)
			g := rand.New(rand.NewPCG(seed, uint64(percent)))
			changes := 0
			ctx := &between{t.Context(), func() {
				if g.IntN(100) < percent {
					changes++
					change()
				}
			}}
			var n count
			begin := time.Now() // a slow guest does fewer
			for i := 0; i < 300-8*percent && (i < 20 || time.Since(begin) < 4*time.Second); i++ {
				list(ctx, lister, &n)
			}
			check(t, n, changes, percent <= 5) // at more it may never come to rest
		})
	}
	t.Run("changes at the same time", func(t *testing.T) {
		lister, change := prepare(t)
		var n count
		begin := time.Now()
		list(t.Context(), lister, &n) // reads twice
		pause := 4 * time.Since(begin)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		changes := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				changes++
				change()
				time.Sleep(rand.N(pause))
			}
		}()
		for ctx.Err() == nil {
			list(t.Context(), lister, &n)
		}
		<-done
		check(t, n, changes, true)
	})
}
