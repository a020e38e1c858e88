package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// VirtualAddress is an address that moves between the nodes.
type VirtualAddress struct {
	// Prefix is the address with the length of its network, as
	// 192.0.2.100/24; /32 and /128 are right for most.
	Prefix netip.Prefix `json:"prefix"`
	// Device carries it, as eth0: a real device, no alias.
	Device string `json:"device"`
	// Label names an IPv4 address as ifconfig aliases do, as eth0:1; empty is
	// the device itself. At most 15 bytes, beginning with Device and a colon.
	// The kernel knows no labels for IPv6, there it is ignored.
	Label string `json:"label,omitempty"`
}

// String returns the address as ip(8) would be told it.
func (v VirtualAddress) String() string {
	s := v.Prefix.String() + " dev " + v.Device
	if v.Label != "" {
		s += " label " + v.Label
	}
	return s
}

// SplitAlias splits the name of an ifconfig alias, as eth0:1, into the device
// and the label. Without a colon the label is empty.
func SplitAlias(name string) (device, label string) {
	if device, _, ok := strings.Cut(name, ":"); ok {
		return device, name
	}
	return name, ""
}

func (v VirtualAddress) check() error {
	a := v.Prefix.Addr()
	switch {
	case !v.Prefix.IsValid():
		return fmt.Errorf("failover: virtual address on %q: not an address with a prefix length, as 192.0.2.100/32", v.Device)
	case a.IsUnspecified() || a.IsMulticast() || a.Is4In6():
		return fmt.Errorf("failover: virtual address %v: must be a unicast address in its plain form", v.Prefix)
	case v.Prefix.Bits() == 0:
		return fmt.Errorf("failover: virtual address %v: its network would be all there is; /%d is right for most", v.Prefix, a.BitLen())
	case v.Device == "" || len(v.Device) > 15 || strings.ContainsAny(v.Device, ":/ "):
		return fmt.Errorf("failover: virtual address %v: %q is not a device; give the device, as eth0, and the alias as label", v.Prefix, v.Device)
	case v.Label != "" && (!strings.HasPrefix(v.Label, v.Device+":") || len(v.Label) > 15):
		return fmt.Errorf("failover: virtual address %v: label %q must begin with %q and have at most 15 bytes", v.Prefix, v.Label, v.Device+":")
	}
	return nil
}

// AddressesConfig configures [Addresses].
type AddressesConfig struct {
	// Addresses to own. Whatever is in here is ours, under any label and with
	// any prefix length: it is removed on release even if someone else had set
	// it before, and gets the prefix length given here when it is acquired.
	Addresses []VirtualAddress
	// Routes come after the addresses and go before them. What is there already
	// and leads the same way is left alone, then and on release.
	Routes []VirtualRoute
	// Namespace is the path of a network namespace, as /run/netns/blue; empty
	// means the one of the process.
	Namespace string
	// Gateways are neighbours of the addresses that are asked after a take-over
	// whether they believe it, by ICMP echo from the address; nil means the
	// gateway of the default route by the address's device. Who answers none is
	// not suspected.
	Gateways []netip.Addr
	// Announcing is when the neighbours are told after a take-over.
	Announcing Announcing
	// Announcer teaches the neighbours; nil means gratuitous ARP and
	// unsolicited neighbour advertisements of this system.
	Announcer Announcer `json:"-"`
	// Logger is told when addresses that others removed are put back; nil
	// discards.
	Logger *slog.Logger `json:"-"`
}

// Announcer tells neighbours once where addresses are. It spreads many of them
// over time and stops early when ctx ends.
type Announcer interface {
	Announce(ctx context.Context, addrs []VirtualAddress) error
}

// addressKeeper is the system's side of Addresses.
type addressKeeper interface {
	// ensure adds those that are missing, of no use since the kernel looks for
	// duplicates or found one, or there with another prefix length, and returns
	// them, and those that could not be.
	ensure(ctx context.Context, addrs []VirtualAddress) (added, failed []VirtualAddress, err error)
	// remove removes those that are there, with any prefix length.
	remove(ctx context.Context, addrs []VirtualAddress) error
	routeKeeper
}

// reserver is an addressKeeper that can keep open what a release needs: a process
// without descriptors, or whose namespace has lost its name, has to let go all
// the same. The reserve is nil if there can be none.
type reserver interface{ reserve() reserve }

type reserve interface {
	remove(ctx context.Context, addrs []VirtualAddress, routes []VirtualRoute) error
	close()
}

// Addresses is the [AddressOwner] of addresses on this machine's devices, and of
// routes that need them. It works on Linux only. It never touches an address that
// is not in its set, nor the state of a device; where the kernel removes the other IPv4 addresses of a
// network along with its first one, they are put back at once, but routes that
// went with them are not: set the sysctl promote_secondaries where that matters.
// It is safe for concurrent use.
type Addresses struct {
	keeper    addressKeeper
	announcer Announcer
	log       *slog.Logger
	cfg       AddressesConfig
	distant   *remote // where the addresses are with a Beat; nil: here

	watching atomic.Bool
	changed  chan struct{} // the set is another one
	verify   chan struct{} // neighbours are to be asked

	mu    sync.Mutex
	plan  Announcing
	addrs []VirtualAddress
	fresh bool             // the watch has not seen addrs yet
	moved [2]string        // the addresses of this device are on that one; none if empty
	given []VirtualAddress // addrs before they were moved
	held  bool
	// holding ends, by over, when the addresses that are held are released.
	holding context.Context
	over    context.CancelFunc
	times   uint64           // that they were acquired
	stale   []VirtualAddress // dropped from the set, not removed yet
	lacks   []VirtualAddress // those that could not be added the last time
	ready   preparation      // nil: none
	kept    reserve          // for what is held; nil: none

	routes      []VirtualRoute
	givenRoutes []VirtualRoute
	staleRoutes []VirtualRoute
	standings   map[place]*standing
}

// NewAddresses returns the owner of the addresses of cfg and changes nothing
// yet. Its error lists what is wrong with them, or is errors.ErrUnsupported on
// a system without addresses of ours.
func NewAddresses(cfg *AddressesConfig) (*Addresses, error) {
	if cfg == nil {
		cfg = &AddressesConfig{}
	}
	keeper, announcer, err := platform(cfg.Namespace)
	if err != nil {
		return nil, err
	}
	if cfg.Announcer != nil {
		announcer = cfg.Announcer
	}
	return newAddresses(cfg, keeper, announcer)
}

func newAddresses(cfg *AddressesConfig, keeper addressKeeper, announcer Announcer) (*Addresses, error) {
	addrs, err := checkAddresses(cfg.Addresses)
	routes, wrong := checkRoutes(cfg.Routes)
	for _, g := range cfg.Gateways {
		if !g.IsValid() || g.IsUnspecified() || g.IsMulticast() || g.Is4In6() || g.Zone() != "" {
			wrong = errors.Join(wrong, fmt.Errorf("failover: gateway %v: give the unicast address of a neighbour, without a zone", g))
		}
	}
	if err = errors.Join(err, wrong, cfg.Announcing.check()); err != nil {
		return nil, err
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Addresses{
		keeper: keeper, announcer: announcer, log: log, cfg: *cfg, addrs: addrs, given: addrs, routes: routes, givenRoutes: routes,
		plan: cfg.Announcing, changed: make(chan struct{}, 1), verify: make(chan struct{}, 1),
	}, nil
}

func checkAddresses(in []VirtualAddress) ([]VirtualAddress, error) {
	var errs []error
	seen := make(map[place]VirtualAddress)
	var out []VirtualAddress
	for _, v := range in {
		if err := v.check(); err != nil {
			errs = append(errs, err)
			continue
		}
		p := place{v.Prefix.Addr(), v.Device}
		if other, ok := seen[p]; !ok {
			seen[p] = v
			out = append(out, v)
		} else if other != v {
			errs = append(errs, fmt.Errorf("failover: virtual address %v is given twice, also as %v", v, other))
		}
	}
	return out, errors.Join(errs...)
}

// moveTo has the addresses of one device on another from now on, and no others:
// an earlier router of the same owner may have had them on another one. No names
// have all where they were given. It is called before anything is acquired.
func (a *Addresses) moveTo(from, to string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.moved = [2]string{from, to}
	a.addrs, a.routes = movedTo(a.given, from, to), routesMovedTo(a.givenRoutes, from, to)
	a.standings = nil
}

// Acquire adds the addresses that are missing; those that are there stay
// untouched. It tries all and returns the errors of those that failed, which
// Announce passes over.
func (a *Addresses) Acquire(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	again := a.held
	if a.held = true; !again {
		a.holding, a.over = context.WithCancel(context.Background())
	}
	a.times++
	added, err := a.ensure(ctx)
	if again && len(added) > 0 {
		a.log.Warn("failover: addresses had been removed or changed by someone else and are back", slog.Any("addresses", added))
	}
	routes, wrong := a.ensureRoutes(ctx)
	if a.ready == nil {
		a.reserve()
	}
	if again && len(routes) > 0 {
		a.log.Warn("failover: routes had been removed or changed by someone else and are back", slog.Any("routes", routes))
	}
	if !again || len(added)+len(routes) > 0 {
		for _, k := range a.standings {
			k.belief, k.reason = BeliefUnknown, "nobody was asked yet"
		}
		a.askNeighbours()
	}
	return errors.Join(err, wrong)
}

// Release removes the addresses; those that are not there are fine.
func (a *Addresses) Release(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.held {
		a.over()
	}
	a.held = false
	addrs, routes := append(slices.Clone(a.stale), a.addrs...), append(slices.Clone(a.staleRoutes), a.routes...)
	var err error
	if len(routes) > 0 {
		err = a.keeper.removeRoutes(ctx, routes)
	}
	err = errors.Join(err, a.keeper.remove(ctx, addrs))
	if a.kept != nil {
		if err != nil && a.kept.remove(ctx, addrs, routes) == nil {
			err = nil
		}
		if err == nil {
			a.kept.close()
			a.kept = nil
		}
	}
	if err == nil {
		a.stale, a.staleRoutes = nil, nil
	}
	return err
}

// reserve keeps what a release needs while the addresses are held. The caller
// holds mu.
func (a *Addresses) reserve() {
	if k, ok := a.keeper.(reserver); ok && a.held && a.kept == nil {
		a.kept = k.reserve()
	}
}

// Announce tells the neighbours once.
func (a *Addresses) Announce(ctx context.Context) error {
	a.mu.Lock()
	addrs := a.there()
	ready := a.ready
	a.ready = nil
	a.mu.Unlock()
	if ready != nil {
		defer func() {
			ready.close()
			a.mu.Lock()
			defer a.mu.Unlock()
			a.reserve() // now, as who was prepared is in a hurry
		}()
		if a.cfg.Announcer == nil {
			if ok, err := ready.announce(ctx, addrs); ok {
				return err
			}
		}
	}
	return a.announcer.Announce(ctx, addrs)
}

// there returns the addresses but for those that could not be added. The caller
// holds mu.
func (a *Addresses) there() []VirtualAddress {
	return slices.DeleteFunc(slices.Clone(a.addrs), func(v VirtualAddress) bool { return slices.Contains(a.lacks, v) })
}

// Set replaces the set of addresses. While they are held, those that fell out
// are removed, new ones are added and announced once, and the others are not
// touched; [Node.Announce] repeats the announcements. A set with an error is
// refused whole.
func (a *Addresses) Set(ctx context.Context, addrs []VirtualAddress) error {
	addrs, err := checkAddresses(addrs)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.given = addrs
	if from, to := a.moved[0], a.moved[1]; to != "" {
		addrs = movedTo(addrs, from, to)
	}
	var gone []VirtualAddress
	for _, v := range append(slices.Clone(a.stale), a.addrs...) {
		if !slices.Contains(addrs, v) {
			gone = append(gone, v)
		}
	}
	a.addrs, a.stale, a.fresh = addrs, gone, true
	for _, v := range gone {
		delete(a.standings, place{v.Prefix.Addr(), v.Device})
	}
	a.poke()
	if distant := a.distant; distant != nil {
		a.mu.Unlock()
		if there, err := distant.own(ctx); there {
			return err
		}
		a.mu.Lock()
	}
	var added []VirtualAddress
	var errs []error
	if len(gone) > 0 {
		// Also while not held: one may be there from before.
		if err := a.keeper.remove(ctx, gone); err != nil {
			errs = append(errs, err)
		} else {
			a.stale = nil
		}
	}
	if a.held {
		// After the removals, as one may come back with another prefix length.
		if added, a.lacks, err = a.keeper.ensure(ctx, addrs); err != nil {
			errs = append(errs, err)
		}
		// Routes of an address that went are gone, and others may have been
		// impossible before.
		_, err = a.ensureRoutes(ctx)
		errs = append(errs, err)
	}
	holding := a.holding
	a.mu.Unlock()
	if len(added) > 0 {
		a.askNeighbours()
		// Once they are released, another one may tell that it has them.
		tell, quiet := context.WithCancel(ctx)
		defer quiet()
		defer context.AfterFunc(holding, quiet)()
		if err := a.announcer.Announce(tell, added); holding.Err() == nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Announcing returns the plan of announcements. A [Node] or [Router] follows
// that of any owner that has this method.
func (a *Addresses) Announcing() Announcing {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.plan
}

// SetAnnouncing replaces the plan of announcements, as after a reload. One that
// is under way goes on by the new one.
func (a *Addresses) SetAnnouncing(p Announcing) error {
	if err := p.check(); err != nil {
		return err
	}
	a.mu.Lock()
	a.plan = p
	distant := a.distant
	a.mu.Unlock()
	if distant == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), statusLimit)
	defer cancel()
	_, err := distant.own(ctx)
	return err
}

// Watch tells what others do to the addresses until ctx ends: it hears notices
// of the kernel, and ARP and neighbour advertisements of other machines on the
// devices, also of devices that come later. It puts nothing back by itself; a
// [Node] or [Router] does, which calls it. Only one Watch runs at a time.
func (a *Addresses) Watch(ctx context.Context, see func(Sighting)) error {
	k, ok := a.keeper.(interface {
		watch(context.Context, *Addresses, func(Sighting)) error
	})
	if !ok {
		return fmt.Errorf("failover: watch addresses: %w", errors.ErrUnsupported)
	}
	if !a.watching.CompareAndSwap(false, true) {
		return errors.New("failover: the addresses are watched already: give each Node or Router addresses of its own")
	}
	defer a.watching.Store(false)
	return k.watch(ctx, a, see)
}

// poke wakes the watch.
func (a *Addresses) poke() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// watched returns the addresses, the devices that only routes are on, and
// whether the addresses are other ones than the last time.
func (a *Addresses) watched() (addrs []VirtualAddress, also []string, fresh bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh, a.fresh = a.fresh, false
	for _, r := range a.routes {
		if r.Device != "" && !slices.Contains(also, r.Device) && !slices.ContainsFunc(a.addrs, func(v VirtualAddress) bool { return v.Device == r.Device }) {
			also = append(also, r.Device)
		}
	}
	return slices.Clone(a.addrs), also, fresh
}

// set returns the addresses.
func (a *Addresses) set() []VirtualAddress {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.addrs)
}

// holds reports whether the addresses are held.
func (a *Addresses) holds() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held
}

// acquisitions returns how often the addresses were acquired.
func (a *Addresses) acquisitions() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.times
}

// whileHeld calls f if the addresses are held, so that they stay so meanwhile,
// with those that an acquisition brought, and its number.
func (a *Addresses) whileHeld(f func(addrs []VirtualAddress, routes []VirtualRoute, acquisition uint64) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.held {
		return nil
	}
	return f(a.there(), a.routes, a.times)
}

// config describes the owner as it is now.
func (a *Addresses) config() *AddressesConfig {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.cfg
	c.Addresses, c.Routes, c.Announcing = slices.Clone(a.addrs), slices.Clone(a.routes), a.plan
	return &c
}

// live says that who holds the addresses is a beat process from now on, and is
// to be told of changes; nil is this process.
func (a *Addresses) live(m *remote) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.distant = m
}

var (
	_ AddressOwner   = (*Addresses)(nil)
	_ AddressWatcher = (*Addresses)(nil)
)
