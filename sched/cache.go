package sched

import (
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// caching is a scheduler that looks at all servers and remembers addresses.
type caching struct {
	scan
	cache cache
}

func (c *caching) bind(v *view, o Options, expiration time.Duration) {
	c.scan.bind(v, o)
	c.cache.start(expiration, o.Rules)
}

func (c *caching) added(v *view) {
	c.cache.readdressed(v.servers[0])
	c.scan.added(v)
}

// cache is what lblc and lblcr share: for each destination address the
// servers that connections to it went to. Source of its rules: ip_vs_lblc.c
// and ip_vs_lblcr.c in net/netfilter/ipvs.
type cache struct {
	rules      Rules
	expiration time.Duration
	// max is how many entries there may be before a look at the idle ones.
	max int

	mu sync.Mutex
	// buckets are chains with the newest entry first. The order in which
	// idle entries go follows from them.
	buckets [cacheBuckets]*cacheEntry
	free    *cacheEntry
	// entries is the number that the kernel believes in: under the older
	// rules lblc counts a replaced entry a second time.
	entries int
	chained int // the true number

	// The state of the periodic look: the time of the next one (once
	// started), the bucket where the last ended, and how many there were
	// without too many entries.
	started bool
	now     time.Duration
	next    time.Duration
	rover   int
	counter int
}

// cacheEntry is one address. The set is in the order of the kernel's list,
// the newest first; lblc has one server in it.
type cacheEntry struct {
	addr    netip.Addr
	set     []*Server
	used    time.Duration
	changed time.Duration
	next    *cacheEntry
}

const (
	cacheBits      = 10
	cacheBuckets   = 1 << cacheBits
	cacheMax       = 16 * cacheBuckets
	cacheIdle      = 6 * time.Minute
	cacheFullEvery = 30 // looks

	// cacheInterval is the time from look to look. The kernel asks for 60
	// seconds, and its timer wheel rounds that up to whole buckets: of 512
	// ticks with 100, 250 or 300 a second, of 4096 with 1000 a second, which
	// comes to the same. Its first look is 60 to 65.12 seconds after the
	// scheduler was bound; here it is one interval after the first pick.
	cacheInterval = 61440 * time.Millisecond

	// cacheCeiling times max bounds the entries under the older rules, where
	// a kernel would go on until its memory ends.
	cacheCeiling = 16
	// cacheSpare bounds the removed servers in a set, which a kernel keeps
	// as long as the entry.
	cacheSpare = 64
)

func (c *cache) start(expiration time.Duration, rules Rules) {
	c.rules, c.expiration = rules, expiration
	c.max = cacheMax
	c.counter = 1
}

// slot returns the place in the chain where the entry of an address is, or
// where nil is at its end.
func (c *cache) slot(addr netip.Addr) **cacheEntry {
	at := &c.buckets[hash32(fold(addr), cacheBits)]
	for *at != nil && (*at).addr != addr {
		at = &(*at).next
	}
	return at
}

// full reports whether there is no room for one more entry.
func (c *cache) full() bool {
	return c.rules == NewerRules && c.entries >= c.max*3/2 || c.chained >= c.max*cacheCeiling
}

// insert puts an entry with one server at the head of its chain, if there is
// room.
func (c *cache) insert(addr netip.Addr, s *Server) {
	if c.full() {
		return
	}
	e := c.free
	if e == nil {
		e = &cacheEntry{}
	} else {
		c.free = e.next
	}
	head := &c.buckets[hash32(fold(addr), cacheBits)]
	*e = cacheEntry{addr: addr, set: append(e.set[:0], s), used: c.now, changed: c.now, next: *head}
	*head = e
	c.entries++
	c.chained++
}

// unchain takes the entry out of its chain and keeps it for the next one.
func (c *cache) unchain(at **cacheEntry) {
	e := *at
	*at = e.next
	clear(e.set)
	e.next, c.free = c.free, e
	c.chained--
}

// advance does what the kernel's timer did until now.
func (c *cache) advance(now time.Duration) {
	// Far from the ends of the type no sum below overflows.
	now = min(max(now, 0), math.MaxInt64/2)
	if !c.started {
		c.started, c.now, c.next = true, now, now+cacheInterval
	}
	c.now = max(c.now, now)
	for c.next <= c.now {
		looks := (c.now-c.next)/cacheInterval + 1
		switch {
		case c.entries <= c.max:
			c.wait(looks)
		case c.chained > 0:
			c.look()
			looks = 1
		case c.counter == cacheFullEvery:
			// A count without entries, which the older rules leave behind:
			// looks find nothing, and only the first can be a whole one.
			c.counter = 1
		}
		c.next += looks * cacheInterval
	}
}

// wait does so many looks without too many entries. None of them can change
// that, so only whole ones matter, and the last of these finds all that the
// others would.
func (c *cache) wait(looks time.Duration) {
	first := time.Duration(cacheFullEvery - c.counter) // looks before a whole one
	if first >= looks {
		c.counter += int(looks)
		return
	}
	last := first + (looks-1-first)/cacheFullEvery*cacheFullEvery
	c.sweep(c.next+last*cacheInterval, c.expiration, math.MaxInt)
	c.counter = int(looks - last)
}

// look is one turn of the timer when there are too many entries.
func (c *cache) look() {
	if c.counter == cacheFullEvery {
		c.sweep(c.next, c.expiration, math.MaxInt)
		c.counter = 1
		return
	}
	c.sweep(c.next, cacheIdle, min((c.entries-c.max)*4/3, c.max/2))
}

// sweep drops the entries that were idle for a time, bucket by bucket from
// behind the rover, until there were as many as wanted.
func (c *cache) sweep(now, idle time.Duration, wanted int) {
	for range cacheBuckets {
		c.rover = (c.rover + 1) % cacheBuckets
		for at := &c.buckets[c.rover]; *at != nil; {
			if now-(*at).used < idle {
				at = &(*at).next
				continue
			}
			c.unchain(at)
			c.entries--
			wanted--
		}
		if wanted <= 0 {
			return
		}
	}
}

// readdressed lets the entries that name a removed server name the one that
// was added at its address: to the kernel they are the same.
func (c *cache) readdressed(s *Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.buckets {
		for ; e != nil; e = e.next {
			for i, old := range e.set {
				if old.addr == s.addr {
					e.set[i] = s
				}
			}
		}
	}
}

// join puts a server into the set, and out of it what was removed long ago
// when there is much of that.
func (e *cacheEntry) join(s *Server, v *view, now time.Duration) {
	if len(e.set) >= len(v.servers)+cacheSpare {
		e.set = slices.DeleteFunc(e.set, func(s *Server) bool { return !s.listed() })
	}
	e.set = slices.Insert(e.set, 0, s)
	e.changed = now
}

// listed reports whether the server is still in the list.
func (s *Server) listed() bool { return s.owner.Load() != nil }

// crowded reports whether a server has more active connections than its
// weight while another one has less than half of its own.
func (v *view) crowded(s *Server) bool {
	if s.cell.active() <= s.cell.weight.Load() {
		return false
	}
	for _, c := range v.cells {
		if c.active()*2 < c.weight.Load() {
			return true
		}
	}
	return false
}
