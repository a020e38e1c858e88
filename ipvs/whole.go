package ipvs

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// A listing that fits one datagram is made under the kernel's lock and so is
// whole. A longer one is resumed by index, with the lock free in between:
// when an entry before the index goes away, the next one is skipped; when one
// comes, another shows twice. The kernel tells of neither. So a longer listing
// counts as whole when it names the same entries in the same order as the one
// before it, which in the quiet case is the one of the caller's last call: a
// table that stays as it is costs one reading, a changed one two.

const (
	// maxReads bounds how often one listing is read.
	maxReads = 10
	// maxSeen bounds the services whose last listing is remembered; only
	// those with some eighty destinations and more are.
	maxSeen = 1 << 16
)

// wholeness remembers what the last long listings named. The client's turn
// guards it.
type wholeness struct {
	seed uint64
	seen map[ServiceKey]uint64 // the listing of services has the zero key
}

func newWholeness() wholeness {
	return wholeness{seed: rand.Uint64(), seen: make(map[ServiceKey]uint64)}
}

// readWhole calls dump, which appends to list and tells in how many parts it
// came, until the listing is whole. Of names the listing, key and hash are of
// its entries.
func readWhole[T any, K comparable](ctx context.Context, c *Client, list []T, of ServiceKey, key func(*T) K, hash func(uint64, K) uint64, dump func(context.Context, []T) ([]T, int, error)) ([]T, error) {
	for range maxReads {
		var parts int
		var err error
		list, parts, err = dump(ctx, list[:0])
		if err != nil || parts <= 1 {
			return list, err
		}
		sum := sumKeys(c.whole.seed, list, key, hash)
		if c.whole.knows(of, sum) {
			return list, nil
		}
		if hasDuplicate(list, key) {
			delete(c.whole.seen, of)
		} else {
			c.whole.remember(of, sum)
		}
		c.log.Debug("ipvs: reading a long listing again, to see whether it is whole", "of", of, "entries", len(list))
	}
	return list, fmt.Errorf("%w (read %d times)", ErrTableChanging, maxReads)
}

func (w *wholeness) knows(of ServiceKey, sum uint64) bool {
	old, ok := w.seen[of]
	return ok && old == sum
}

func (w *wholeness) remember(of ServiceKey, sum uint64) {
	if len(w.seen) >= maxSeen {
		clear(w.seen)
	}
	w.seen[of] = sum
}

// sumKeys hashes the keys in their order.
func sumKeys[T any, K comparable](seed uint64, list []T, key func(*T) K, hash func(uint64, K) uint64) uint64 {
	sum := seed
	for i := range list {
		sum = mix(sum, hash(seed, key(&list[i])))
	}
	return sum
}

func hasDuplicate[T any, K comparable](list []T, key func(*T) K) bool {
	seen := make(map[K]struct{}, len(list))
	for i := range list {
		k := key(&list[i])
		if _, ok := seen[k]; ok {
			return true
		}
		seen[k] = struct{}{}
	}
	return false
}
