package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// Verbs of questions and orders to a router or node.
const (
	verbFault     = "fault"
	verbPriority  = "priority"
	verbYield     = "yield"
	verbTake      = "take"
	verbVerdicts  = "verdicts"
	verbKeys      = "keys"
	verbReclaim   = "reclaim"
	verbWaive     = "waive" // only to a new process: a Router has yielded
	verbAnnounce  = "announce"
	verbStatus    = "status"
	verbDigest    = "digest"
	verbDocument  = "document"
	verbPartner   = "partner-document"
	verbAddresses = "addresses"
	verbConfigure = "configure"

	// To the daemon: its callbacks.
	verbRole    = "role"
	verbWitness = "witness"
	verbFence   = "fence"

	verbPartnerVerdicts = "partner-verdicts"
	verbAddressStatus   = "address-status"
)

// remote is a router or node in the beat process, as the daemon has it.
type remote struct {
	beat   *Beat
	id     uint64
	spec   memberSpec
	events *eventQueue
	calls  callbacks
	hooks  hooks
	owner  *Addresses     // nil: none
	mac    *virtualDevice // nil: none
	ended  chan error
	// lastWord says for a process that is gone what it cannot say any more; nil
	// is nothing.
	lastWord func(ctx context.Context, wait bool)
	group    *distantGroup // nil: none
	// hold is told how long the addresses of a Node stay when its process is gone.
	hold chan time.Duration

	mu       sync.Mutex
	started  bool
	kept     []*note // what a new process is told, the latest of each verb
	role     Role
	relieved bool // of a Node: its partner would serve without it
	touched  bool // the addresses may be here
	waiting  bool // they stay until another process decides, or hold is over
	last     json.RawMessage
	final    bool // last is: it has ended
}

func (b *Beat) member(spec memberSpec, owner *Addresses, calls callbacks, events *eventQueue) *remote {
	b.mu.Lock()
	b.serial++
	m := &remote{beat: b, id: b.serial, spec: spec, owner: owner, calls: calls, hooks: newHooks(), events: events, ended: make(chan error, 1), hold: make(chan time.Duration, 1)}
	b.mu.Unlock()
	if owner != nil {
		owner.live(m)
	}
	return m
}

// run is Run of the router or node.
func (m *remote) run(ctx context.Context) error {
	if _, over, _ := m.beat.present(); over && ctx.Err() == nil {
		return errors.New("failover: the run of its Beat is over, so it would wait for a process for ever: make a new Beat with NewBeat")
	}
	m.mu.Lock()
	if m.started {
		m.mu.Unlock()
		return fmt.Errorf("failover: the %s has run already; make a new one", m.spec.kind())
	}
	m.started = true
	m.mu.Unlock()
	var work, telling sync.WaitGroup
	tell, quiet := context.WithCancel(context.WithoutCancel(ctx))
	telling.Go(func() { m.events.run(tell) })
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	work.Go(func() { m.hooks.run(inner) })
	m.beat.enter(m)
	err := m.stay(ctx)
	m.beat.leave(m)
	stop()
	work.Wait()
	quiet()
	telling.Wait()
	return err
}

// stay returns when it has ended.
func (m *remote) stay(ctx context.Context) error {
	var over <-chan time.Time
	for {
		select {
		case err := <-m.ended: // it could not begin
			return err
		case <-ctx.Done():
			return m.end()
		case hold := <-m.hold:
			over = time.After(hold)
		case <-over:
			m.mu.Lock()
			release := m.waiting
			m.waiting = false
			m.mu.Unlock()
			if release {
				m.clear()
			}
		}
	}
}

// end has it end in order; without a process it does what is left to do.
func (m *remote) end() error {
	told := (*link)(nil)
	for {
		l, over, changed := m.beat.present()
		if l != nil && l != told {
			told = l
			_ = l.put(&note{Kind: noteStop, Member: m.id}) // the end of the link tells
		}
		if l == nil || over {
			break
		}
		select {
		case err := <-m.ended:
			return err
		case <-changed:
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseLimit)
	defer cancel()
	m.mu.Lock()
	from, touched := m.role, m.touched
	m.role = RoleLeaving
	m.mu.Unlock()
	m.beat.leave(m) // before one comes and begins again
	m.hooks.drop()
	m.events.emit(Event{Kind: EventRole, From: from, Role: RoleLeaving, Reason: "stopping, without a beat process"})
	if touched {
		err := m.release(ctx)
		if m.mac != nil {
			err = errors.Join(err, m.mac.remove())
		}
		if err != nil {
			m.events.emit(Event{Kind: EventAddressTrouble, Err: fmt.Errorf("release addresses: %w", err)})
		}
	}
	if m.calls.role != nil && touched {
		answer := make(chan error, 1)
		m.hooks[verbRole].put(&hookCall{
			ctx: ctx, do: func(ctx context.Context) (any, error) { return nil, m.calls.role(ctx, RoleLeaving) },
			answer: func(_ any, err error) { answer <- err },
		})
		if err := <-answer; err != nil {
			m.events.emit(Event{Kind: EventAddressTrouble, Err: fmt.Errorf("role hook after serving: %w", err)})
		}
	}
	return nil
}

// begin tells a process to run it, with all that was set so far.
func (m *remote) begin(l *link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.group != nil {
		m.group.begin(l, m)
	}
	body, err := json.Marshal(m.describe())
	if err == nil {
		err = l.put(&note{Kind: noteRun, Member: m.id, Body: body})
	}
	if err != nil && !gone(err) {
		m.finish(fmt.Errorf("failover: hand the %s to the beat process: %w", m.spec.kind(), err))
	}
}

// gone reports whether there is nothing wrong with a message, and only its
// process is ending. The next one is told all anew.
func gone(err error) bool { return errors.Is(err, io.ErrClosedPipe) || errors.Is(err, errOutbox) }

// describe returns what it is now. The caller holds mu.
func (m *remote) describe() *memberSpec {
	spec := m.spec
	spec.Kept = slices.Clone(m.kept)
	if m.owner != nil {
		spec.Addresses = m.owner.config()
	}
	return &spec
}

// has reports whether there is one that runs.
func (m *remote) has() bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.started
}

// finish has Run return.
func (m *remote) finish(err error) {
	select {
	case m.ended <- err:
	default:
	}
}

// keeps reports whether the addresses are to stay although who holds them is
// gone: nobody else would serve. The caller holds mu.
func (m *remote) keeps() bool { return m.spec.Node != nil && !m.relieved }

// silence is how long others wait for a beat of it, if they are configured
// alike.
func (m *remote) silence() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.spec.Router; c != nil {
		return time.Duration(c.DownAdverts)*c.Interval + vrrp.SkewLimit(c.Version, c.Interval)
	}
	return m.spec.Node.DeadAfter
}

// orphaned removes the addresses, as the process that held them is gone. A
// router first tells the others. A node cannot, and keeps them while its partner
// waits for the next beat: by then another process has decided with it who goes
// on, unless the beats are fast. If it was silent before, others serve already.
func (m *remote) orphaned(silent bool) {
	m.mu.Lock()
	release, active := m.touched && !m.keeps(), m.role == RoleActive
	if release && active && !silent && m.spec.Node != nil {
		release, m.waiting = false, true
		select {
		case m.hold <- m.spec.Node.DeadAfter:
		default: // it ends
		}
	}
	m.mu.Unlock()
	if !release {
		return
	}
	if active && m.lastWord != nil {
		ctx, cancel := context.WithTimeout(context.Background(), releaseLimit)
		defer cancel()
		m.lastWord(ctx, !silent)
	}
	m.clear()
}

// bury does that again when the process is surely gone.
func (m *remote) bury() {
	m.mu.Lock()
	release := m.touched && !m.keeps() && !m.waiting
	m.mu.Unlock()
	if release {
		m.clear()
	}
}

// clear releases and tells a trouble.
func (m *remote) clear() {
	ctx, cancel := context.WithTimeout(context.Background(), releaseLimit)
	defer cancel()
	if err := m.release(ctx); err != nil {
		m.events.emit(Event{Kind: EventAddressTrouble, Err: fmt.Errorf("release addresses: %w", err)})
	}
}

// release takes away what the process may have left.
func (m *remote) release(ctx context.Context) error {
	var errs []error
	if m.mac != nil {
		errs = append(errs, m.mac.setUp(false))
	}
	if m.owner != nil {
		errs = append(errs, m.owner.Release(ctx))
	}
	return errors.Join(errs...)
}

// lost notes that the process is gone.
func (m *remote) lost(why error) {
	m.hooks.drop()
	m.mu.Lock()
	from := m.role
	m.role, m.relieved = RoleInit, false
	m.mu.Unlock()
	if from != RoleInit {
		m.events.emit(Event{Kind: EventRole, From: from, Role: RoleInit, Reason: why.Error()})
	}
}

// take handles a message about it.
func (m *remote) take(l *link, n *note) {
	switch n.Kind {
	case noteEvent:
		var w wireEvent
		if err := unpack(n, &w); err == nil {
			m.note(w.event())
		}
	case noteRelieved:
		var on bool
		if err := unpack(n, &on); err == nil {
			m.mu.Lock()
			m.relieved = on
			m.mu.Unlock()
		}
	case noteLog:
		var line wireLog
		if err := unpack(n, &line); err == nil {
			m.events.put(happening{line: &line})
		}
	case noteAsk:
		do, err := m.calls.bind(n)
		if err != nil {
			answering(l, n.Serial)(nil, err)
			return
		}
		m.hooks[n.Verb].put(&hookCall{ctx: context.Background(), serial: n.Serial, do: do, answer: answering(l, n.Serial)})
	case noteNever:
		m.hooks.cancel(n.Serial)
	case noteEnded:
		m.mu.Lock()
		m.touched = false
		if m.final = n.Body != nil; m.final {
			m.last = n.Body
		}
		m.mu.Unlock()
		m.finish(n.Err.err())
	}
}

// note takes an event in, and learns from it what it would have to clear up.
func (m *remote) note(e Event) {
	m.mu.Lock()
	if e.Kind == EventRole {
		m.role = e.Role
		if e.Role != RoleInit {
			m.touched, m.waiting = true, false // it may release or acquire from now on
		}
		if e.Role == RoleActive {
			m.forget(verbWaive)
		}
	}
	m.mu.Unlock()
	m.events.emit(e)
}

// tell has verb done without an answer. The latest of each verb is told to a
// new process, too, if keep is set.
func (m *remote) tell(verb string, value any, keep bool) {
	body, err := json.Marshal(value)
	if err != nil {
		return // what is told are strings and numbers
	}
	n := &note{Kind: noteAsk, Member: m.id, Verb: verb, Body: body}
	if keep {
		m.mu.Lock()
		m.keep(n)
		m.mu.Unlock()
	}
	// After that, so that a process that comes meanwhile knows it.
	if l, _, _ := m.beat.present(); l != nil {
		_ = l.put(n) // if it does not read, it is replaced
	}
}

// keep notes what a new process has to know. The caller holds mu.
func (m *remote) keep(n *note) {
	for i, k := range m.kept {
		if k.Verb == n.Verb {
			m.kept[i] = n
			return
		}
	}
	m.kept = append(m.kept, n)
}

// forget ends what keep began. The caller holds mu.
func (m *remote) forget(verb string) {
	m.kept = slices.DeleteFunc(m.kept, func(n *note) bool { return n.Verb == verb })
}

// waive notes whether a Router has yielded: a new process is not to preempt
// either.
func (m *remote) waive(on bool) {
	members := []*remote{m}
	if m.group != nil {
		members = m.group.members
	}
	for _, m := range members {
		m.mu.Lock()
		if m.forget(verbWaive); on {
			m.keep(&note{Kind: noteAsk, Member: m.id, Verb: verbWaive})
		}
		m.mu.Unlock()
	}
}

// waived reports what waive noted.
func (m *remote) waived() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.kept, func(n *note) bool { return n.Verb == verbWaive })
}

// errNoBeat: there is nobody to ask.
var errNoBeat = errors.New("failover: there is no beat process at the moment")

// ask has verb done and returns the answer.
func (m *remote) ask(ctx context.Context, verb string, value any) (json.RawMessage, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	l, _, _ := m.beat.present()
	m.mu.Lock()
	started := m.started
	m.mu.Unlock()
	if l == nil || !started {
		return nil, errNoBeat
	}
	answer, forget, err := l.question(note{Kind: noteAsk, Member: m.id, Verb: verb, Body: body})
	if err != nil {
		return nil, err
	}
	defer forget()
	select {
	case n := <-answer:
		return n.Body, n.Err.err()
	case <-ctx.Done():
		return nil, fmt.Errorf("failover: the beat process does not answer: %w", ctx.Err())
	}
}

// own tells the other process, which has the addresses, what the owner is now.
// there is false if there is none.
func (m *remote) own(ctx context.Context) (there bool, err error) {
	m.mu.Lock()
	started := m.started
	m.mu.Unlock()
	if l, _, _ := m.beat.present(); l == nil || !started {
		return false, nil // a new process is told the present set
	}
	_, err = m.ask(ctx, verbAddresses, m.owner.config())
	return true, err
}

// status asks for the status and fills it in; what was known last, if nobody
// answers, with the reason for that.
func (m *remote) status(to any) error {
	ctx, cancel := context.WithTimeout(context.Background(), statusLimit)
	defer cancel()
	m.mu.Lock()
	final, last := m.final, m.last
	m.mu.Unlock()
	if final {
		return json.Unmarshal(last, to)
	}
	body, err := m.ask(ctx, verbStatus, nil)
	m.mu.Lock()
	if err == nil {
		m.last = body
	} else {
		body = m.last
	}
	m.mu.Unlock()
	if body != nil {
		err = errors.Join(err, json.Unmarshal(body, to))
	}
	return err
}

// present is the role that the events told last.
func (m *remote) present() Role {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.role
}
