package sched

import (
	"net/netip"
	"slices"
	"time"
)

// modelCache is the memory of lblc and lblcr as one list, and the timer that
// looks at it as one call a minute.
type modelCache struct {
	entries []*modelCached // the newest first
	count   int            // as the kernel counts
	max     int
	now     time.Duration
	next    time.Duration // of the timer
	started bool
	rover   int
	counter int
}

type modelCached struct {
	addr          netip.Addr
	servers       []byte // names, the newest first
	used, changed time.Duration
}

func (m *model) expiration() time.Duration {
	if m.kind == "lblc" {
		return m.opts.LBLCExpiration
	}
	return m.opts.LBLCRExpiration
}

func (m *model) tick(now time.Duration) {
	c := &m.cache
	if !c.started {
		c.started, c.next, c.now, c.counter = true, now+cacheInterval, now, 1
	}
	for c.now = max(c.now, now); c.next <= c.now; c.next += cacheInterval {
		switch {
		case c.counter == 30:
			c.drop(m.expiration(), 1<<30)
			c.counter = 1
		case c.count <= c.max:
			c.counter++
		default:
			c.drop(6*time.Minute, min((c.count-c.max)*4/3, c.max/2))
		}
	}
}

// drop goes round the buckets once, or until enough is dropped.
func (c *modelCache) drop(idle time.Duration, goal int) {
	idler := func(e *modelCached) bool { return c.next-e.used >= idle }
	if !slices.ContainsFunc(c.entries, idler) {
		return // A whole round for nothing ends where it began.
	}
	for range 1024 {
		c.rover = (c.rover + 1) % 1024
		before := len(c.entries)
		c.entries = slices.DeleteFunc(c.entries, func(e *modelCached) bool {
			return number(e.addr)*0x61C88647>>22 == uint32(c.rover) && idler(e)
		})
		gone := before - len(c.entries)
		c.count -= gone
		if goal -= gone; goal <= 0 {
			return
		}
	}
}

func (m *model) cached(addr netip.Addr) *modelCached {
	for _, e := range m.cache.entries {
		if e.addr == addr {
			return e
		}
	}
	return nil
}

func (m *model) remember(addr netip.Addr, e *entry) {
	c := &m.cache
	if m.rules == NewerRules && c.count >= c.max*3/2 {
		return
	}
	c.count++
	c.entries = append([]*modelCached{{addr: addr, servers: []byte{e.name}, used: c.now, changed: c.now}}, c.entries...)
}

// named returns the server of that name, the removed one if there is no other.
func (m *model) named(name byte) *entry {
	for _, e := range m.list {
		if e.name == name {
			return e
		}
	}
	return m.removed[name]
}

func (m *model) crowded(e *entry) bool {
	return e.active > e.weight && slices.ContainsFunc(m.list, func(o *entry) bool { return 2*o.active < o.weight })
}

func (m *model) pickLBLC(f Flow, able []*entry, avoid *entry) *entry {
	m.tick(f.Now)
	c := m.cached(f.Service.Addr())
	if c != nil {
		c.used = m.cache.now
		e := m.named(c.servers[0])
		if slices.Contains(m.list, e) && e.weight > 0 && e != avoid && !m.crowded(e) {
			return e
		}
	}
	e := m.best(able)
	if e == nil {
		return nil
	}
	if c != nil {
		if c.servers[0] == e.name {
			return e
		}
		m.cache.entries = slices.DeleteFunc(m.cache.entries, func(o *modelCached) bool { return o == c })
		if m.rules == NewerRules {
			m.cache.count--
		}
	}
	m.remember(f.Service.Addr(), e)
	return e
}

func (m *model) pickLBLCR(f Flow, able []*entry, _ *entry) *entry {
	m.tick(f.Now)
	c := m.cached(f.Service.Addr())
	if c == nil {
		e := m.best(able)
		if e != nil {
			m.remember(f.Service.Addr(), e)
		}
		return e
	}
	c.used = m.cache.now
	var set []*entry
	for _, name := range c.servers {
		if e := m.named(name); slices.Contains(able, e) {
			set = append(set, e)
		}
	}
	e := m.best(set)
	if len(c.servers) > 1 && m.cache.now > c.changed+m.expiration() {
		m.shrink(c)
	}
	if e != nil && !m.crowded(e) {
		return e
	}
	if e = m.best(able); e != nil && !slices.Contains(c.servers, e.name) {
		c.servers = append([]byte{e.name}, c.servers...)
		c.changed = m.cache.now
	}
	return e
}

// shrink drops the first of the most loaded servers of weight above 0.
func (m *model) shrink(c *modelCached) {
	var most *entry
	for _, name := range c.servers {
		e := m.named(name)
		if e.weight > 0 && (most == nil || m.overhead(e)*most.weight > m.overhead(most)*e.weight) {
			most = e
		}
	}
	if most != nil {
		c.servers = slices.DeleteFunc(c.servers, func(n byte) bool { return n == most.name })
		c.changed = m.cache.now
	}
}
