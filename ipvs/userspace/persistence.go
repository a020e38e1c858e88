package userspace

import (
	"net/netip"
	"sync"
	"time"

	"github.com/lvskit/lvskit/sched"
)

// persistence remembers the servers of the clients of one service: what the
// kernel calls templates. A template lives as long as a connection uses it,
// and for the timeout after the last one. As in the kernel it holds on to a
// quiesced or overloaded server, not to a deleted one.
type persistence struct {
	svc    *service
	prefix int

	mu      sync.Mutex
	timeout time.Duration
	dropped bool
	clients map[netip.Addr]*template
	// idle is a ring of the templates without connections, the one that
	// expires first behind the root.
	idle template
}

type template struct {
	client     netip.Addr // under the prefix
	dest       *destination
	server     *sched.Server
	refs       int
	expires    int64 // while refs is 0
	dead       bool  // no longer in the map
	next, prev *template
}

func newPersistence(s *service, prefix int, timeout time.Duration) *persistence {
	p := &persistence{svc: s, prefix: prefix, timeout: timeout, clients: map[netip.Addr]*template{}}
	p.idle.next, p.idle.prev = &p.idle, &p.idle
	return p
}

// setTimeout changes the timeout; templates that already wait keep theirs.
func (p *persistence) setTimeout(d time.Duration) {
	p.mu.Lock()
	p.timeout = d
	p.mu.Unlock()
}

func (p *persistence) pick(client, at netip.AddrPort, avoid *sched.Server) (link, error) {
	group, err := client.Addr().Prefix(p.prefix)
	if err != nil {
		return link{}, err
	}
	key := group.Addr()
	now := p.svc.b.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.clients[key]
	if t != nil && (t.dest.gone.Load() || t.server == avoid || t.refs == 0 && t.expires <= now) {
		p.remove(t)
		t = nil
	}
	if t == nil {
		l, err := p.svc.schedule(client, at, avoid)
		if err != nil || p.dropped {
			return l, err
		}
		if len(p.clients) >= p.svc.b.cfg.MaxTemplates {
			if p.idle.next == &p.idle {
				return l, nil // All in use: this client goes without.
			}
			p.remove(p.idle.next)
			p.svc.b.count.templates.Add(1)
		}
		t = &template{client: key, dest: l.dest, server: l.server}
		p.clients[key] = t
		t.dest.templates.Add(1)
	} else if t.refs == 0 {
		t.unlink()
	}
	t.refs++
	return link{dest: t.dest, server: t.server, owner: p, tmpl: t}, nil
}

// release tells that a connection of the template ended.
func (p *persistence) release(t *template) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.refs--; t.refs > 0 || t.dead {
		return
	}
	t.expires = p.svc.b.now() + int64(p.timeout)
	t.prev, t.next = p.idle.prev, &p.idle
	t.prev.next, t.next.prev = t, t
}

// remove forgets a template; its connections go on.
func (p *persistence) remove(t *template) {
	if t.refs == 0 {
		t.unlink()
	}
	t.dead = true
	delete(p.clients, t.client)
	t.dest.templates.Add(-1)
}

func (t *template) unlink() { t.prev.next, t.next.prev = t.next, t.prev }

// sweep forgets the expired ones. A shortened timeout puts early ones behind
// late ones; those wait for their turn, or for their client.
func (p *persistence) sweep(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.idle.next != &p.idle && p.idle.next.expires <= now {
		p.remove(p.idle.next)
	}
}

// drop forgets all of them, for good.
func (p *persistence) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropped = true
	for _, t := range p.clients {
		p.remove(t)
	}
}

// connections lists the templates.
func (p *persistence) connections(yield func(Connection) bool) bool {
	now, key := p.svc.b.now(), p.svc.key
	p.mu.Lock()
	all := make([]Connection, 0, len(p.clients))
	for _, t := range p.clients {
		c := Connection{
			Service: key, Protocol: key.Protocol, Client: netip.AddrPortFrom(t.client, 0), Virtual: key.Addr,
			Destination: t.dest.addr, State: StateAssured, Expires: p.timeout,
		}
		if t.refs == 0 {
			c.Expires = until(now, t.expires)
		}
		all = append(all, c)
	}
	p.mu.Unlock()
	for _, c := range all {
		if !yield(c) {
			return false
		}
	}
	return true
}
