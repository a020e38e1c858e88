package director

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/dsr"
	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/lvscf"
)

const heartbeatNote = "the heartbeat settings changed: they take effect when the daemon is started again"

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
	// fills in itself: digest, hooks and logger.
	Failover failover.Config
	// Identity is "primary", "backup" or "alone", for people.
	Identity string
	// Addresses carries the floating addresses; nil when nobody does.
	Addresses AddressSet

	// Hints asks servers at once when the kernel tells of a change on the way
	// to them, beside the intervals of their checks.
	Hints bool

	// StateFile remembers which services are ours; empty keeps nothing.
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

// AddressSet is an owner of addresses whose list can change at a reload.
type AddressSet interface {
	failover.AddressOwner
	// Set replaces the list; held addresses change by the difference.
	Set(context.Context, []failover.VirtualAddress) error
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
	node    *failover.Node
	partner *partner
	paths   *dsr.Manager // nil without the kernel's table
	watched *watched     // nil without hints
	started time.Time
	// heartbeat is what the node was started with, whatever was loaded since.
	heartbeat Heartbeat
	// drain is what the reconciler was started with.
	drain time.Duration

	// reload is written by the loop's goroutine alone.
	loaded      time.Time
	reloadError string
	addressErr  string
	timeoutErr  string
}

// New readies the parts. It changes nothing in the system.
func New(ctx context.Context, cfg Config) (*Director, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	setup := cfg.Setup
	owned, err := ipvs.OpenOwnership(cfg.StateFile)
	if err != nil {
		cfg.Logger.Warn("starting without the list of own services", "err", err)
	}
	d := &Director{cfg: cfg, log: cfg.Logger, setup: setup, started: time.Now(), loaded: time.Now(), heartbeat: setup.Heartbeat, drain: setup.Drain}
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
	f := cfg.Failover
	f.Digest = setup.Digest
	f.OnRole = d.onRole
	d.partner = &partner{log: d.log, key: f.Key, own: setup}
	f.OnEvent = d.partner.onEvent
	f.Logger = d.log
	if cfg.Addresses != nil {
		f.Owner = cfg.Addresses
		if err := cfg.Addresses.Set(ctx, setup.Addresses); err != nil {
			return nil, err
		}
	}
	d.node, err = failover.New(&f)
	if err != nil {
		return nil, err
	}
	d.partner.node = d.node
	d.loop.giveUp = func() {
		if err := d.node.Yield(); err != nil {
			d.log.Warn("this router carries nothing, and nobody is there to take its place", "err", err)
		}
	}
	return d, nil
}

// Run balances until ctx ends, then leaves cleanly: the addresses go down,
// the partner is told, and our services leave the table. It returns nil
// after a clean end.
func (d *Director) Run(ctx context.Context) error {
	d.log.Info("director starts", "config", d.setup.Source, "serial", d.setup.Serial,
		"dataplane", d.cfg.DataplaneKind, "why", d.cfg.DataplaneReason, "identity", d.cfg.Identity)
	for _, n := range d.setup.Notes {
		d.log.Warn(n)
	}
	d.declare(ctx)
	d.setTimeouts(ctx)

	// Everything but the node goes on until the node has left: its leaving
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
	if d.cfg.Control != nil {
		g.Go(func() error { return control.Serve(work, d.cfg.Control, d) })
	}
	g.Go(func() error { d.reloads(work); return nil })

	// A part that fails ends the node, and so all of it.
	active, quit := context.WithCancel(ctx)
	defer quit()
	stop := context.AfterFunc(work, quit)
	defer stop()
	err := d.node.Run(active)

	// A node that could not even begin must not take back what an earlier
	// life of the daemon left serving.
	if err == nil {
		leave, cancel := context.WithTimeout(work, leaveWithin)
		d.loop.ask(leave, d.loop.withdraw)
		cancel()
		leave, cancel = context.WithTimeout(work, leaveCommandsWithin)
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

// onRole is the node's order to stand by, to serve or to withdraw. It
// returns when the table is so; a table that cannot be changed now is tried
// again by the loop, and does not keep the role from changing.
func (d *Director) onRole(ctx context.Context, r failover.Role) error {
	d.loop.ask(ctx, func(ctx context.Context) {
		switch r {
		case failover.RoleActive:
			d.loop.stance = stanceServe
		case failover.RoleInit:
			d.loop.stance = stanceHold
		default:
			d.loop.stance = stanceWithdraw
		}
		d.loop.settle(ctx)
	})
	return nil
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
		d.loop.ask(ctx, func(ctx context.Context) {
			if err == nil {
				err = d.adopt(ctx, setup)
			}
			if err != nil {
				d.reloadError = err.Error()
				d.log.Error("reload refused, the running configuration stays", "err", err)
			}
		})
	}
}

// adopt makes setup the running configuration. It belongs to the loop's
// goroutine.
func (d *Director) adopt(ctx context.Context, setup *Setup) error {
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
	d.partner.setOwn(setup)
	d.node.SetDigest(setup.Digest)
	if setup.Drain != d.drain {
		d.log.Warn("drain_time changed: it counts from the next start of the director", "now", d.drain, "then", setup.Drain)
	}
	d.logChanges(setup)
	d.setup = setup
	d.declare(ctx)
	d.setTimeouts(ctx)
	d.loaded, d.reloadError = time.Now(), ""
	d.loop.adopt(setup, d.states())
	d.loop.settle(ctx)
	// Table first, then addresses, as on taking over.
	if d.cfg.Addresses != nil {
		d.addressErr = ""
		if err := d.cfg.Addresses.Set(ctx, setup.Addresses); err != nil {
			d.addressErr = err.Error()
			d.log.Error("cannot change the floating addresses", "err", err)
		}
	}
	for _, n := range setup.Notes {
		d.log.Warn(n)
	}
	if setup.Heartbeat.differs(d.heartbeat) {
		d.log.Warn(heartbeatNote)
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
	var st *control.Status
	if !d.loop.ask(ctx, func(context.Context) { st = d.describe() }) {
		return nil, fmt.Errorf("the director did not answer: %w", ctx.Err())
	}
	return st, nil
}

// Yield hands the service over to the partner; it implements [control.Source].
// The errors are those of [failover.Node.Yield].
func (d *Director) Yield(ctx context.Context) (*control.Status, error) {
	if err := d.node.Yield(); err != nil {
		return nil, err
	}
	d.log.Info("handing over to the partner by order")
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
