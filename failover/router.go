package failover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/lvskit/lvskit/failover/internal/nft"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// Router is one router of a virtual router of VRRP: one number and family on
// one device, as keepalived has it in a vrrp_instance. It understands any
// other implementation of version 2 and 3. Its methods are safe for concurrent
// use, also from within the callbacks of [RouterConfig].
type Router struct {
	name    string
	virtual *virtualDevice // nil without a virtual MAC
	filter  *nft.Table     // nil: what comes for the addresses is accepted
	start   time.Time
	events  *eventQueue
	effects *effects
	poke    chan struct{}
	// changed is for who waits to open the socket again.
	changed chan struct{}
	// listening is for who has begun to listen.
	listening chan struct{}
	remote    *remote // where all of it is with a Beat; nil: here
	// opening is held while a socket is opened, with the device that it takes.
	opening sync.Mutex

	mu      *sync.Mutex // that of the group, if there is one
	group   *Group      // nil: none
	heldBy  *Router     // the member whose fault holds this one
	cfg     *RouterConfig
	own     vrrp.Advert // what adverts say, but for the priority
	started bool
	leaving bool
	machine vrrp.Machine
	actions []vrrp.Action // of the last step
	keys    *vrrp.Keys    // nil: nothing is signed
	role    Role
	since   time.Duration
	fault   string // the operator's

	conn     AdvertConn // nil while it is closed
	connErr  error      // why it is closed, or what keeps the device from carrying packets
	sendErr  error      // why sending fails
	again    bool       // sending found that the socket is of no more use
	arrivals arrivals
	// anticipated is the moment of the take-over that was prepared last.
	anticipated time.Duration
	in, out     []byte       // buffers
	addrs       []netip.Addr // of the packet that is looked at

	peers    []*routerPeer
	sent     uint64
	received uint64
	stalls   uint64
	stallAt  time.Duration // when a stall was last told; 0 is never
	drops    [vrrp.DropCount]uint64
	dropped  [vrrp.DropCount]time.Duration // when the last one came
	told     [vrrp.DropCount]time.Duration // when a refusal was last told; 0 is never
	refused  refusal
	// Another router is configured in another way: when we complained last (0
	// is never), whether it was so then, and whether we are at it.
	complained  time.Duration
	differed    bool
	complaining bool
	// How many mismatches were to be told since then.
	tellFrom time.Duration
	tells    int
}

// NewRouter returns a router, which does nothing before Run. The error lists
// all that is wrong with cfg.
func NewRouter(cfg *RouterConfig) (*Router, error) {
	c, err := cfg.fill()
	if err != nil {
		return nil, err
	}
	virtual, err := newVirtualDevice(c)
	if err != nil {
		return nil, err
	}
	filter, err := newFilter(c)
	if err != nil {
		return nil, err
	}
	if c.Beat.apart() {
		return c.distantRouter(virtual)
	}
	r := &Router{
		name: c.String(), virtual: virtual, filter: filter, cfg: c, own: *c.advert(), start: time.Now(), mu: new(sync.Mutex),
		poke: make(chan struct{}, 1), changed: make(chan struct{}, 1), listening: make(chan struct{}, 1), in: make([]byte, advertBuffer), addrs: make([]netip.Addr, 0, vrrp.MaxAddrs),
	}
	if len(c.Keys) > 0 {
		if r.keys, err = c.ring(); err != nil {
			return nil, fmt.Errorf("failover: %w", err)
		}
	}
	r.events = newEventQueue(c.Logger.With(slog.Int("vrid", int(c.VRID)), slog.String("iface", c.Device)), c.OnEvent)
	r.effects = newEffects(c.Owner, r.virtual.hook(c.OnRole), r.events.emit)
	r.machine = vrrp.NewMachine(c.params(), 0)
	return r, nil
}

// String names the virtual router by device, number and family, as "eth0 51" or
// "eth0 51 IPv6".
func (r *Router) String() string { return r.name }

// Run takes part in the virtual router until ctx ends; then it tells the
// others, releases the addresses when one of them serves or none has come within
// an interval and a quarter of a second, calls the role hook and returns nil. It
// returns an error at once if the socket may not be opened for want of
// permission, if the system has none, or if NoAccept cannot be had; any other trouble is reported and
// tried again. A router runs once.
func (r *Router) Run(ctx context.Context) error {
	if r.remote != nil {
		return r.remote.run(ctx)
	}
	r.mu.Lock()
	if r.started {
		r.mu.Unlock()
		return errors.New("failover: the router has run already; make a new one with NewRouter")
	}
	r.started = true
	r.mu.Unlock()

	if r.filter != nil {
		if err := r.filter.Set(r.cfg.Addresses); err != nil {
			return err
		}
		defer r.filter.Close() // after the addresses are released
	}
	if err := r.open(ctx); errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	// What runs inside outlives ctx until the others know and the addresses
	// are released.
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	tell, quiet := context.WithCancel(context.WithoutCancel(ctx))
	defer quiet()
	var work, telling sync.WaitGroup
	telling.Go(func() { r.events.run(tell) })
	work.Go(r.effects.run)
	work.Go(func() { r.receive(inner) })
	work.Go(func() { r.notice(inner) })
	work.Go(func() { r.introduce(inner) })
	r.loop(ctx)
	stop()
	work.Wait()
	if r.virtual != nil {
		if err := r.virtual.remove(); err != nil {
			r.events.emit(Event{Kind: EventAddressTrouble, Err: err})
		}
	}
	quiet()
	telling.Wait()
	return nil
}

// SetFault keeps the router from being active and hands over if it is, for the
// reason given; the empty reason ends the fault. A router whose fault ends
// listens before it takes anything over.
func (r *Router) SetFault(reason string) {
	if r.remote != nil {
		r.remote.tell(verbFault, reason, true)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = reason
	r.judgeFault(r.clock())
}

// SetPriority sets the priority from now on, as trackers make it. It is kept
// within 1 to 254; that of an owner does not change. Backups that know of no
// better router take over when they hear the lower one.
func (r *Router) SetPriority(priority uint8) {
	if r.remote != nil {
		r.remote.tell(verbPriority, priority, true)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setPriority(priority)
}

func (r *Router) setPriority(priority uint8) {
	r.step(vrrp.Event{Kind: vrrp.EventPriority, Priority: priority}, r.clock())
}

// Yield hands over to any other router, whatever its priority. It returns when
// the order is given: the events and the status tell what came of it. The
// addresses stay until the other router serves. If none takes over within the
// down interval, this one is active again, and no packet was lost. Otherwise it
// does not preempt until Reclaim. All members of a group yield together. The
// error is ErrNotActive.
func (r *Router) Yield() error {
	if r.remote != nil {
		err := r.remote.yield()
		if err == nil {
			r.remote.waive(true)
		}
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, _, _ := r.machine.State(); s != vrrp.StateActive {
		return ErrNotActive
	}
	r.all(func(r *Router) { r.step(vrrp.Event{Kind: vrrp.EventYield}, r.clock()) })
	return nil
}

// Reclaim ends what Yield began: the router preempts again if it is configured
// to, with all members of its group.
func (r *Router) Reclaim() {
	if r.remote != nil {
		r.remote.waive(false)
		r.remote.tell(verbReclaim, nil, false)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all(func(r *Router) { r.step(vrrp.Event{Kind: vrrp.EventReclaim}, r.clock()) })
}

// Yielded reports whether the router leaves the service to others since Yield,
// until Reclaim or until it is active again.
func (r *Router) Yielded() bool {
	if r.remote != nil {
		return r.remote.waived()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.machine.Yielded()
}

// Waive is Yield for a router that has not run yet: it does not preempt until
// Reclaim. It is for one that takes the place of another that has yielded.
// Groups are made before.
func (r *Router) Waive() {
	if r.remote != nil {
		r.remote.waive(true)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step(vrrp.Event{Kind: vrrp.EventYield, On: true}, r.clock())
}

// Announce begins the schedule of announcements anew if the router is active,
// as after addresses were added.
func (r *Router) Announce() {
	if r.remote != nil {
		r.remote.tell(verbAnnounce, nil, false)
		return
	}
	r.effects.announce()
}

// clock is the monotonic time of the machine.
func (r *Router) clock() time.Duration { return time.Since(r.start) }

// step feeds the machine and does what it says, in order: adverts go out here,
// before the effects learn of the role. The caller holds mu; nothing in here
// waits for anything.
func (r *Router) step(e vrrp.Event, now time.Duration) {
	planned := r.machine.Next()
	next, actions := r.machine.StepInto(r.actions[:0], e, now)
	r.machine, r.actions = next, actions
	for _, a := range actions {
		switch a.Kind {
		case vrrp.ActionState:
			r.judgeRole(now)
			r.listens()
		case vrrp.ActionSend:
			r.send(a.Priority)
		case vrrp.ActionAnnounce:
			r.effects.announce()
		case vrrp.ActionRivalSeen:
			r.events.emit(Event{Kind: EventRivalSeen, Peer: e.Source, Reason: fmt.Sprintf(
				"%v is active too, with priority %d under our %d: it does not hear us", e.Source, e.Priority, r.machine.Priority())})
		case vrrp.ActionRivalGone:
			r.events.emit(Event{Kind: EventRivalGone})
		}
	}
	if r.machine.Next() < planned {
		r.wakeLoop() // later is soon enough if the loop finds out itself
	}
	if r.group != nil {
		r.group.settle()
	}
}

// judgeRole tells the effects and the owner if the role is another one.
func (r *Router) judgeRole(now time.Duration) {
	was := r.role
	if r.role = r.roleNow(); r.role == was {
		return
	}
	r.since = now
	r.effects.request(r.role, r.holdFor(was))
	active, _ := r.machine.Active()
	r.events.emit(Event{Kind: EventRole, Role: r.role, From: was, Peer: active, Reason: r.reason(now)})
}

// takeOverTime is what another router may need from its advert to its addresses:
// until then who gives way to it still serves. Its announcement ends that sooner.
const takeOverTime = 250 * time.Millisecond

// virtualTakeOverTime is that with a virtual MAC: once the other one has spoken
// from it nothing comes here, and an answer of ours would teach the switch
// wrongly. It is not 0 for routers that are containers of one machine: there
// the one that sets its device down keeps the kernel's lock for ten
// milliseconds, which the other one needs to set its device up.
const virtualTakeOverTime = 20 * time.Millisecond

func (r *Router) takeOverTime() time.Duration {
	if r.virtual != nil {
		return virtualTakeOverTime
	}
	return takeOverTime
}

// holdFor is how long the addresses stay here at most when the router leaves a
// role, see [vrrp.Machine.Hold].
func (r *Router) holdFor(was Role) time.Duration {
	// One that stops may have given way a moment ago, by order or with a member
	// of its group that stopped first.
	if was == RoleActive || r.leaving && was == RoleBackup {
		return r.machine.Hold(r.takeOverTime())
	}
	return 0
}

// roleNow translates the state. Who listens has decided nothing yet, and
// leaves alone what an earlier run may have left.
func (r *Router) roleNow() Role {
	if r.leaving {
		return RoleLeaving
	}
	switch s, why, _ := r.machine.State(); {
	case s == vrrp.StateBackup && why != vrrp.ReasonStart && why != vrrp.ReasonFaultCleared:
		return RoleBackup
	case s == vrrp.StateActive:
		return RoleActive
	case s == vrrp.StateFault:
		return RoleFault
	}
	return RoleInit
}

// judgeFault tells the machine whether anything keeps the router from serving.
func (r *Router) judgeFault(now time.Duration) {
	on, _ := r.ownFault()
	r.step(vrrp.Event{Kind: vrrp.EventFault, On: on || r.heldBy != nil}, now)
}

// ownFault reports whether anything but the group keeps the router from serving,
// and what.
func (r *Router) ownFault() (on bool, reason string) {
	switch {
	case r.fault != "":
		return true, r.fault
	case r.connErr != nil:
		return true, r.connErr.Error()
	}
	return false, ""
}

// reason says why the router is in its role.
func (r *Router) reason(now time.Duration) string {
	s, why, _ := r.machine.State()
	text := why.String()
	active, priority := r.machine.Active()
	refused := r.refused.why(now, r.machine.DownInterval())
	switch {
	case r.leaving:
		return vrrp.ReasonStopped.String()
	case s == vrrp.StateInit && r.connErr != nil:
		return text + ": " + r.connErr.Error()
	case why == vrrp.ReasonFault:
		if on, own := r.ownFault(); on {
			return text + ": " + own
		}
		if r.heldBy != nil {
			_, its := r.heldBy.ownFault()
			return fmt.Sprintf("%s: group %q is held by %s: %s", text, r.group.name, r.heldBy, its)
		}
	case s == vrrp.StateActive && r.machine.Rival():
		text += fmt.Sprintf("; %v is active too, with priority %d", active, priority)
	case s == vrrp.StateActive:
		switch mac := r.effects.rival(); {
		case mac == nil:
		case refused != "":
			text += fmt.Sprintf("; %v has the addresses, too", mac) // and no firewall is the cause
		default:
			text += fmt.Sprintf("; %v has the addresses, too, and no advert of it comes here: let protocol %d to %v in, at the firewall of this machine first, or end what else holds them",
				mac, vrrp.Protocol, vrrp.Group(r.cfg.six()))
		}
	case s == vrrp.StateBackup && active.IsValid():
		text += fmt.Sprintf(": %v with priority %d", active, priority)
		if r.machine.Yielded() && priority < r.machine.Priority() {
			text += "; this one handed over by order, and does not take over from it before it is told to reclaim"
		}
	}
	if r.group != nil {
		if why := r.group.reason(r); why != "" {
			text += "; " + why
		}
	}
	if refused != "" {
		text += "; " + refused
	}
	return text
}

func (r *Router) wakeLoop() { nudge(r.poke) }
