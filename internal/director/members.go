package director

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/pulse"
)

// elector decides whether this director serves: the node of a pair that
// exchanges heartbeats, or one virtual router of VRRP.
type elector interface {
	SetFault(reason string)
	Run(context.Context) error
	Yield() error
}

var (
	_ elector = (*failover.Node)(nil)
	_ elector = (*failover.Router)(nil)
)

// member is an elector with the addresses that are its. One of node and router
// is nil.
type member struct {
	elector
	node      *failover.Node
	partner   *partner // of a node
	router    *failover.Router
	addresses AddressSet // nil: nobody carries any
	track     *tracking
	// called is the name of its vrrp block, empty for a node; a reload may
	// change it.
	called atomic.Pointer[string]
	// A node was made for this heartbeat, and a router for this sync group.
	heartbeat Heartbeat
	group     string
	apart     bool // in the beat process
	partnered bool // a node with a partner
	// added by a reload: if it cannot run, the others go on.
	added bool
	begun atomic.Bool
	after []*member // who has to leave before it begins
	leave context.CancelFunc
	left  chan struct{}

	// faultAt is when the fault began that it is in, zero without one. It belongs
	// to the goroutine of its events.
	faultAt time.Time

	// What follows belongs to the loop.
	stance stance
	setup  *RouterSetup // nil for a node
	list   []failover.VirtualAddress
	routes []failover.VirtualRoute
	failed error // why it does not run
}

func newMember(name string, c carriage) *member {
	m := &member{left: make(chan struct{}), list: c.addresses, routes: c.routes}
	m.called.Store(&name)
	return m
}

func (m *member) name() string { return *m.called.Load() }

// title is the member for people.
func (m *member) title() string {
	if m.node != nil {
		return "the heartbeat"
	}
	return "vrrp " + m.name()
}

// conflicts tells that two cannot run at the same time.
func (m *member) conflicts(o *member) bool {
	if m.node != nil || o.node != nil || m.router.String() == o.router.String() {
		return true
	}
	if m.setup.SyncGroup != "" && m.setup.SyncGroup == o.setup.SyncGroup {
		return true
	}
	return slices.ContainsFunc(m.list, func(a failover.VirtualAddress) bool { return carries(o.list, a) }) ||
		slices.ContainsFunc(m.routes, func(r failover.VirtualRoute) bool { return leads(o.routes, r) })
}

// carries tells whether an address is in a list, whatever its length and label.
func carries(list []failover.VirtualAddress, a failover.VirtualAddress) bool {
	return slices.ContainsFunc(list, func(b failover.VirtualAddress) bool {
		return a.Prefix.Addr() == b.Prefix.Addr() && a.Device == b.Device
	})
}

// roster is who takes part in the election by a setup.
type roster struct {
	members  []*member
	configs  []failover.RouterConfig // of the routers
	identity string
	gone     []parting
}

// parting is a member that ends, and why. again: another one takes its place in
// the same virtual router.
type parting struct {
	*member
	why   string
	again bool
}

// assemble finds who of those before goes on with a setup, and readies the
// others; nothing is changed.
func (d *Director) assemble(setup *Setup, before []*member) (*roster, error) {
	r := &roster{identity: d.identity}
	var err error
	if len(setup.Routers) == 0 {
		err = d.assembleNode(r, setup, before)
	} else {
		err = d.assembleRouters(r, setup, before)
	}
	if err != nil {
		return nil, err
	}
	for _, m := range before {
		if slices.Contains(r.members, m) || slices.ContainsFunc(r.gone, func(p parting) bool { return p.member == m }) {
			continue
		}
		why := "it is gone from the configuration"
		if (m.node != nil) != (r.members[0].node != nil) {
			why = "failover_mode changed"
		}
		r.gone = append(r.gone, parting{member: m, why: why})
	}
	return r, nil
}

func (d *Director) assembleNode(r *roster, setup *Setup, before []*member) error {
	f := d.cfg.Failover
	if len(before) > 0 {
		m := before[0]
		same := m.node != nil && m.failed == nil && !setup.Heartbeat.differs(m.heartbeat)
		if same {
			r.members = []*member{m}
			return nil
		}
		if m.node != nil {
			r.gone = []parting{{m, "the heartbeat settings changed", true}}
		}
		var err error
		if f, r.identity, err = d.cfg.Pair(setup); err != nil {
			return err
		}
	}
	m, err := d.newNode(setup, f, r.identity)
	r.members = []*member{m}
	return err
}

func (d *Director) newNode(setup *Setup, f failover.Config, identity string) (*member, error) {
	m := newMember("", carriage{setup.Addresses, setup.Routes})
	m.heartbeat = setup.Heartbeat
	f.Digest = setup.Digest
	f.OnRole = d.onRole(m)
	m.partner = &partner{log: d.log, key: concealKey(&f), own: setup}
	f.OnEvent = func(e failover.Event) {
		m.partner.onEvent(e)
		d.onEvent(m, e)
	}
	f.Logger = d.log
	m.partnered = len(f.Channels) > 0
	if m.apart = d.cfg.Beat != nil && (m.partnered || d.cfg.BeatAlone); m.apart {
		f.Beat = d.cfg.Beat
	}
	var err error
	if m.addresses, err = d.own(carriage{m.list, m.routes}, setup.Announcing); err != nil {
		return nil, err
	}
	if m.addresses != nil {
		f.Owner = m.addresses
	}
	if m.node, err = failover.New(&f); err != nil {
		return nil, err
	}
	m.elector, m.partner.node = m.node, m.node
	return m, d.follow(m, setup, identity)
}

// concealKey hides what may be a secret in what the nodes tell each other of
// their configurations. While keys change it is the oldest one, which both have
// longest in common.
func concealKey(c *failover.Config) []byte {
	if len(c.Keys) == 0 {
		return c.Key
	}
	return slices.MinFunc(c.Keys, func(a, b pulse.Key) int { return cmp.Compare(a.ID, b.ID) }).Secret
}

func (d *Director) assembleRouters(r *roster, setup *Setup, before []*member) error {
	var identity string
	var err error
	if r.configs, identity, err = d.cfg.Elect(setup); err != nil {
		return err
	}
	if len(before) > 0 {
		r.identity = identity
	}
	groups := setup.syncGroups(r.configs)
	r.members = make([]*member, len(setup.Routers))
	again := make(map[string]string) // why the groups are made anew
	for i := range setup.Routers {
		s, c := &setup.Routers[i], &r.configs[i]
		why := "a router of its sync group is new"
		for _, m := range before {
			if m.router == nil || slices.Contains(r.members, m) || m.router.String() != c.String() {
				continue
			}
			switch refused := m.router.CanReconfigure(c); {
			case m.failed != nil:
				why = "it did not run"
			case refused != nil:
				why = onOneLine{refused}.Error()
			case m.group != groups[i]:
				why = "its sync group changed"
			default:
				r.members[i] = m
			}
			if r.members[i] == nil {
				r.gone = append(r.gone, parting{m, why, true})
			}
			break
		}
		if r.members[i] == nil && s.SyncGroup != "" {
			again[s.SyncGroup] = "sync_group " + s.SyncGroup + " is made anew"
		}
	}
	fresh := make(map[string][]*failover.Router)
	var resting []*failover.Router // that take the place of one that has yielded
	var names []string
	for i := range setup.Routers {
		s := &setup.Routers[i]
		if m := r.members[i]; m != nil && again[s.SyncGroup] != "" {
			// A group lives as long as all its routers.
			r.gone = append(r.gone, parting{m, again[s.SyncGroup], true})
			r.members[i] = nil
		}
		if r.members[i] != nil {
			continue
		}
		m, err := d.newRouter(setup, s, r.configs[i], r.identity)
		if err != nil {
			return err
		}
		m.group = groups[i]
		for _, p := range r.gone {
			if p.again && p.router.String() == m.router.String() && p.router.Yielded() {
				resting = append(resting, m.router)
			}
		}
		r.members[i] = m
		if name := s.SyncGroup; name != "" {
			if fresh[name] == nil {
				names = append(names, name)
			}
			fresh[name] = append(fresh[name], m.router)
		}
	}
	for _, name := range names {
		if _, err := failover.NewGroup(name, fresh[name]...); err != nil {
			return err
		}
	}
	for _, router := range resting {
		router.Waive()
	}
	return nil
}

// syncGroups are the sync groups of the routers, with all that are in them.
func (s *Setup) syncGroups(configs []failover.RouterConfig) []string {
	all := make(map[string][]string)
	for i := range s.Routers {
		name := s.Routers[i].SyncGroup
		all[name] = append(all[name], configs[i].String())
	}
	out := make([]string, len(s.Routers))
	for i := range s.Routers {
		if name := s.Routers[i].SyncGroup; name != "" {
			slices.Sort(all[name])
			out[i] = fmt.Sprint(name, all[name])
		}
	}
	return out
}

func (d *Director) newRouter(setup *Setup, s *RouterSetup, c failover.RouterConfig, identity string) (*member, error) {
	m := newMember(s.Name, carriage{s.Addresses, s.Routes})
	m.setup = s
	c.OnRole = d.onRole(m)
	c.OnEvent = func(e failover.Event) { d.onEvent(m, e) }
	c.Logger, c.Beat, m.apart = d.log, d.cfg.Beat, d.cfg.Beat != nil
	var err error
	if m.addresses, err = d.own(carriage{m.list, m.routes}, s.Announcing); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Place, onOneLine{err})
	}
	if m.addresses != nil {
		c.Owner = m.addresses
	}
	if m.router, err = failover.NewRouter(&c); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Place, onOneLine{err})
	}
	m.elector = m.router
	return m, d.follow(m, setup, identity)
}

// follow readies the tracks of a member.
func (d *Director) follow(m *member, setup *Setup, identity string) error {
	log := d.log
	if name := m.name(); name != "" {
		log = log.With("router", name)
	}
	var err error
	if m.track, err = newTracking(log, m.elector, &d.weights, setup.dependence(m.name(), identity)); err != nil {
		return fmt.Errorf("%s: %w", setup.Source, err)
	}
	return nil
}

// own makes an owner of addresses and routes, nil if nobody carries any.
func (d *Director) own(c carriage, plan failover.Announcing) (AddressSet, error) {
	if d.cfg.NewAddresses == nil {
		return nil, nil
	}
	return d.cfg.NewAddresses(&failover.AddressesConfig{Addresses: c.addresses, Routes: c.routes, Announcing: plan, Logger: d.log})
}

// yield has every elector hand over that is active.
func (d *Director) yield() error {
	var refused []error
	given := false
	for _, m := range d.electing.all() { // who is to leave may serve yet
		switch err := m.Yield(); {
		case err == nil:
			given = true
		case !errors.Is(err, failover.ErrNotActive):
			refused = append(refused, named(m.name(), err))
		}
	}
	if !given && len(refused) == 0 {
		return fmt.Errorf("%w: %s", failover.ErrNotActive, d.poll().whoServes())
	}
	return errors.Join(refused...)
}

// whoServes says who is active in place of this director, as far as is known
// here.
func (p *polled) whoServes() string {
	var all []string
	for i := range p.routers {
		if s := &p.routers[i]; s.Active.IsValid() {
			all = append(all, fmt.Sprintf("%v is, of vrrp %s", s.Active, p.members[i].name()))
		}
	}
	switch partner := &p.node.Partner; {
	case len(all) > 0:
		return strings.Join(all, ", ") + ": order it there"
	case len(p.routers) > 0:
		return "no active router is heard"
	case !partner.Known:
		return "nor was a partner ever heard"
	case !partner.Alive:
		return "the partner is silent, and was " + partner.Role.String()
	case partner.Role == failover.RoleActive:
		return "the partner is: order it there"
	default:
		return "the partner is " + partner.Role.String() + ", too"
	}
}

// reclaim ends what yield began.
func (d *Director) reclaim() error {
	present := d.electing.present()
	if !slices.ContainsFunc(present, func(m *member) bool { return m.router == nil || m.router.Yielded() }) {
		return errors.New("there is nothing to reclaim: no router of this daemon has yielded and waits since")
	}
	for _, m := range present {
		if m.router == nil {
			return errors.New("with heartbeats nothing fails back by itself, so there is nothing to reclaim: order the partner to yield")
		}
		m.router.Reclaim()
	}
	return nil
}

// named tells which router an error is of.
func named(router string, err error) error {
	if router == "" || err == nil {
		return err
	}
	return fmt.Errorf("vrrp %s: %w", router, err)
}
