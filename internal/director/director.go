package director

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/pulse"
	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/dsr"
	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/lvscf"
)

// leaveWithin bounds how long a clean end may take the table back.
const leaveWithin = 5 * time.Second

// Config tells a director what to run on.
type Config struct {
	// Setup is what to begin with, and Load reads what comes after it, on
	// each reload.
	Setup *Setup
	Load  func(context.Context) (*Setup, error)
	// Reload is told when the configuration may have changed (HUP).
	Reload <-chan os.Signal

	Dataplane Dataplane
	// DataplaneKind and DataplaneReason say which it is and why.
	DataplaneKind, DataplaneReason string

	// Failover is the node's part in the pair, without what the director
	// fills in itself: digest, owner, hooks and logger. With VRRP it is not
	// used.
	Failover failover.Config
	// Pair works out that part, and the identity, for another setup, as
	// [Setup.Pair] does. It is asked on a reload that changes failover_mode or
	// the heartbeat.
	Pair func(*Setup) (failover.Config, string, error)
	// Keys reads the keys of the heartbeat anew on a reload, as [Setup.Keys]
	// does; nil leaves them as they are.
	Keys func(*Setup) ([]pulse.Key, error)
	// Elect works out the part in each virtual router of a setup with VRRP, and
	// the identity, as [Setup.Elect] does; it is asked at the start and on each
	// reload.
	Elect func(*Setup) ([]failover.RouterConfig, string, error)
	// Beat is the process that the election runs in; nil is this one, and
	// BeatReason says why. Run runs it, too, as soon as there may be another
	// router, and with BeatAlone in any case.
	Beat       *failover.Beat
	BeatAlone  bool
	BeatReason string
	// Identity is "primary", "backup" or "alone", for people, at the start.
	Identity string
	// NewAddresses makes an owner of floating addresses for the node, or for
	// each router; nil when nobody carries any.
	NewAddresses func(*failover.AddressesConfig) (AddressSet, error)

	// Hints asks servers at once when the kernel tells of a change on the way
	// to them, beside the intervals of their checks.
	Hints bool

	// StateFile remembers which services are ours; empty keeps nothing. Run
	// refuses one that another daemon runs with.
	StateFile string
	// Control is the socket to answer on; nil for none. Run closes it.
	Control net.Listener
	Version string
	// RWho hears the loads that servers' rwhods send, if the configuration
	// asks for those; nil is one with the defaults.
	RWho *health.RWho
	// Logger takes events and changes; nil discards them.
	Logger *slog.Logger
}

// AddressSet is an owner of addresses whose list, routes and plan of
// announcements can change at a reload.
type AddressSet interface {
	failover.AddressSetter
	SetRoutes(context.Context, []failover.VirtualRoute) error
	SetAnnouncing(failover.Announcing) error
}

// Director is a running load balancer. Make one with [New]; nothing happens
// before [Director.Run].
type Director struct {
	cfg     Config
	log     *slog.Logger
	setup   *Setup
	loop    *loop
	monitor *health.Monitor
	loads   *loads
	// electing has the electors; the identity belongs to the loop.
	electing *electing
	identity string
	paths    *dsr.Manager  // nil without the kernel's table
	weights  weights       // what tracks add to priorities
	watched  *watched      // nil without hints
	news     chan struct{} // the partner told of servers
	// statics carries the addresses that are always here, nil if nobody does;
	// staticErr is the trouble with it.
	statics    AddressSet
	hasStatics atomic.Bool
	staticErr  atomic.Pointer[string]
	started    time.Time
	// drain is what the reconciler was started with.
	drain time.Duration

	// reload is written by the loop's goroutine alone.
	loaded      time.Time
	reloadError string
	addressErr  string
	lacked      bool // addresses were missing since then
	timeoutErr  string
}

// New readies the parts. It changes nothing in the system.
func New(_ context.Context, cfg Config) (*Director, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	setup := cfg.Setup
	owned, err := ipvs.OpenOwnership(cfg.StateFile)
	if err != nil {
		cfg.Logger.Warn("starting without the list of own services", "err", err)
	}
	d := &Director{cfg: cfg, log: cfg.Logger, setup: setup, started: time.Now(), loaded: time.Now(), drain: setup.Drain, identity: cfg.Identity, news: make(chan struct{}, 1)}
	d.loop = newLoop(d.log, cfg.Dataplane, owned, setup)
	if d.paths, err = managePaths(&cfg); err != nil {
		return nil, err
	}
	d.openPaths(setup)
	d.monitor = health.NewMonitor(&health.Config{
		Logger:  d.log,
		OnEvent: func(e health.Event) { d.loop.inbox.verdict(e.ID, e.New) },
	})
	if err := d.monitor.Set(d.watches(setup)); err != nil {
		return nil, err
	}
	// What a server counts as before its first answer is told by no event.
	for id, s := range d.states() {
		d.loop.begin(id, s, d.started)
	}
	if cfg.Hints {
		if err := d.watchHints(); err != nil {
			return nil, err
		}
		d.watched.set(setup)
	}
	if d.loads, err = newLoads(d.log, cfg.RWho, d.tellLoad); err != nil {
		return nil, err
	}
	if err := d.loads.set(setup); err != nil {
		return nil, err
	}
	r, err := d.assemble(setup, nil)
	if err != nil {
		return nil, err
	}
	d.electing = &electing{d: d, members: r.members}
	if d.statics, err = d.own(carriage{addresses: setup.Statics}, failover.Announcing{}); err != nil {
		return nil, err
	}
	d.hasStatics.Store(len(setup.Statics) > 0)
	d.loop.giveUp = func() {
		if err := d.yield(); err != nil {
			d.log.Warn("this router carries nothing, and nobody is there to take its place", "err", err)
		}
	}
	return d, nil
}

// Run balances until ctx ends, then leaves cleanly: the addresses go down,
// the partner is told, and our services leave the table. It returns nil
// after a clean end.
func (d *Director) Run(ctx context.Context) error {
	if d.cfg.StateFile != "" {
		unlock, err := lockState(ctx, d.cfg.StateFile)
		switch {
		case err == nil:
			defer unlock()
		case errors.Is(err, errTaken):
			if d.cfg.Control != nil {
				_ = d.cfg.Control.Close() // as at every end
			}
			return err
		default: // a file that cannot be written is told of, and no reason not to serve
			d.log.Warn("a second daemon would not be noticed", "err", err)
		}
	}
	d.log.Info("director starts", "config", d.setup.Source, "serial", d.setup.Serial,
		"dataplane", d.cfg.DataplaneKind, "why", d.cfg.DataplaneReason, "identity", d.cfg.Identity)
	for _, n := range d.setup.Notes {
		d.log.Warn(n)
	}
	d.declare(ctx)
	d.setTimeouts(ctx)

	// Everything but the electors goes on until they have left: their leaving
	// needs the loop to take the table back.
	work, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	g, work := errgroup.WithContext(work)
	g.Go(func() error { return d.loop.run(work) })
	g.Go(func() error { return d.monitor.Run(work) })
	if d.paths != nil {
		g.Go(func() error { return d.paths.Run(work) })
	}
	if d.watched != nil {
		g.Go(func() error { return d.runHints(work) })
	}
	g.Go(func() error { return d.loads.run(work) })
	if d.statics != nil {
		g.Go(func() error { return d.keepStatics(work) })
	}
	if d.cfg.Control != nil {
		g.Go(func() error { return control.Serve(work, d.cfg.Control, d) })
	}
	g.Go(func() error { d.reloads(work); return nil })

	// A part that fails ends the electors, and so all of it.
	active, quit := context.WithCancel(ctx)
	defer quit()
	stop := context.AfterFunc(work, quit)
	defer stop()
	err := d.electing.run(active)

	// A director that could not even begin must not take back what an earlier
	// life of the daemon left serving.
	if err == nil {
		leave, cancel := context.WithTimeout(work, leaveWithin)
		d.loop.ask(leave, d.loop.withdraw)
		cancel()
		leave, cancel = context.WithTimeout(work, leaveCommandsWithin)
		_ = d.loop.syncing.settle(leave) // it has been told if it failed
		d.loop.commands.finish(leave)
		cancel()
	}
	end()
	err = errors.Join(err, g.Wait())
	if err == nil {
		d.log.Info("director has left")
	}
	return err
}

// onRole makes the order of an elector to stand by, to serve or to withdraw.
// It returns when the table is so; a table that cannot be changed now is tried
// again by the loop, and does not keep the role from changing.
func (d *Director) onRole(m *member) func(context.Context, failover.Role) error {
	return func(ctx context.Context, r failover.Role) error {
		d.loop.ask(ctx, func(ctx context.Context) {
			m.stance = stanceOf(r)
			d.stand()
			d.loop.settle(ctx)
		})
		return nil
	}
}

func stanceOf(r failover.Role) stance {
	switch r {
	case failover.RoleActive:
		return stanceServe
	case failover.RoleInit:
		return stanceHold
	}
	return stanceWithdraw
}

// onEvent follows the roles for those who are told of them, and what is seen of
// the addresses. An elector does not wait for it.
func (d *Director) onEvent(m *member, e failover.Event) {
	switch e.Kind {
	case failover.EventRole:
	case failover.EventVerdicts:
		select {
		case d.news <- struct{}{}:
		default:
		}
		return
	default:
		d.loop.inbox.order(func(context.Context) { d.loop.sightings.take(e) })
		return
	}
	d.faulty(m, e)
	var priority uint8
	if m.router != nil {
		priority = m.router.Status().Priority
	}
	d.loop.inbox.order(func(context.Context) { d.loop.becomes(m.name(), e.Role, priority) })
}

// setTimeouts hands the configuration's connection time-outs to a data plane
// that has them.
func (d *Director) setTimeouts(ctx context.Context) {
	d.timeoutErr = ""
	if d.setup.Timeouts == (ipvs.Timeouts{}) {
		return
	}
	ts, ok := d.cfg.Dataplane.(timeoutSetter)
	if !ok {
		return
	}
	if err := settleTimeouts(ctx, ts, d.setup.Timeouts); err != nil {
		d.timeoutErr = err.Error()
		d.log.Error("cannot set the connection time-outs", "err", err)
	}
}

// reloads waits for the signal to read the configuration again.
func (d *Director) reloads(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.cfg.Reload:
		}
		setup, err := d.cfg.Load(ctx)
		trouble := false
		d.loop.ask(ctx, func(ctx context.Context) {
			if err == nil {
				err = d.adopt(ctx, setup)
			}
			if err != nil {
				d.reloadError = err.Error()
				d.log.Error("reload refused, the running configuration stays", "err", err)
			}
			trouble = d.addressErr != ""
		})
		if trouble {
			_, _ = d.Status(ctx) // what is missing is seen, also if nobody else asks
		}
	}
}

// adopt makes setup the running configuration. It belongs to the loop's
// goroutine.
func (d *Director) adopt(ctx context.Context, setup *Setup) error {
	r, err := d.assemble(setup, d.electing.present())
	if err != nil {
		return err
	}
	if err := d.changeKeys(setup, r.members[0]); err != nil {
		return err
	}
	d.openPaths(setup)
	if err := d.monitor.Set(d.watches(setup)); err != nil {
		return err
	}
	if d.watched != nil {
		d.watched.set(setup)
	}
	if err := d.loads.set(setup); err != nil {
		return err
	}
	if m := r.members[0]; m.node != nil {
		m.partner.setOwn(setup)
		m.node.SetDigest(setup.Digest)
	}
	d.logChanges(setup)
	staticErr := d.setStatics(ctx, setup)
	d.take(setup, r)
	d.setup = setup
	d.declare(ctx)
	d.setTimeouts(ctx)
	d.loaded, d.reloadError = time.Now(), ""
	d.loop.adopt(setup, d.states())
	d.loop.settle(ctx)
	// Table first, then addresses, as on taking over.
	d.moveAddresses(ctx, setup, r, staticErr)
	d.exchangeMembers(r)
	for _, n := range append(d.pending(), setup.Notes...) {
		d.log.Warn(n)
	}
	d.log.Info("configuration loaded", "config", setup.Source, "serial", setup.Serial)
	return nil
}

// states are those of the monitor.
func (d *Director) states() map[string]health.State {
	states := make(map[string]health.State)
	for _, s := range d.monitor.States() {
		states[s.ID] = s.State
	}
	return states
}

// logChanges says in the operator's words what a reload changes, up to a bound:
// who exchanges the whole file has read it.
func (d *Director) logChanges(next *Setup) {
	const most = 50
	if d.setup.Config == nil || next.Config == nil {
		return
	}
	changes := lvscf.Diff(d.setup.Config, next.Config)
	for _, c := range changes[:min(len(changes), most)] {
		d.log.Info("configuration changes", "what", c.String())
	}
	if more := len(changes) - most; more > 0 {
		d.log.Info("configuration changes", "what", fmt.Sprintf("and %d more", more))
	}
}

// Status describes the director; it implements [control.Source].
func (d *Director) Status(ctx context.Context) (*control.Status, error) {
	p := d.poll()
	var st *control.Status
	if !d.loop.ask(ctx, func(context.Context) { st = d.describe(p) }) {
		return nil, fmt.Errorf("the director did not answer: %w", ctx.Err())
	}
	return st, nil
}

// Yield hands the service over to the partner; it implements [control.Source].
// The errors are those of [failover.Node.Yield] and [failover.Router.Yield].
func (d *Director) Yield(ctx context.Context) (*control.Status, error) {
	if err := d.yield(); err != nil {
		return nil, err
	}
	d.log.Info("handing over by order")
	return d.Status(ctx)
}

// Reclaim ends what Yield began with VRRP: routers take over again from others
// of lower priority. It implements [control.Source].
func (d *Director) Reclaim(ctx context.Context) (*control.Status, error) {
	if err := d.reclaim(); err != nil {
		return nil, err
	}
	d.log.Info("taking over again by order, where the priority is higher")
	return d.Status(ctx)
}

// List reads the table with counters; it implements [control.Source].
func (d *Director) List(ctx context.Context) (*control.List, error) {
	snap, err := d.cfg.Dataplane.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	var setup *Setup
	if !d.loop.ask(ctx, func(context.Context) { setup = d.setup }) {
		return nil, fmt.Errorf("the director did not answer: %w", ctx.Err())
	}
	return control.NewList(d.cfg.DataplaneKind, snap, d.names(setup)), nil
}

var _ control.Source = (*Director)(nil)
