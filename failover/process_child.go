package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// keeper is the beat process: it runs what the daemon describes.
type keeper struct {
	link   *link
	orphan chan struct{} // closed when the daemon is gone
	// looking holds one for each status that is on its way.
	looking chan struct{}

	mu    sync.Mutex
	wards map[uint64]*ward // that run
	ready map[uint64]*ward // of a group, and not run yet; of the reading goroutine
	work  sync.WaitGroup
	// obituary is called when the daemon is gone and all is done, with those
	// that were active; nil is nobody.
	obituary func(active []*ward)
}

// ward is a router or node of a keeper.
type ward struct {
	id     uint64
	keeper *keeper
	stop   context.CancelFunc
	router *Router // or
	node   *Node
	owner  *Addresses // nil: none
	run    func(context.Context) error
	active atomic.Bool // it was told
}

func newKeeper(conn io.ReadWriteCloser) *keeper {
	return &keeper{
		link: linkOver(conn), orphan: make(chan struct{}), looking: make(chan struct{}, maxQuestions),
		wards: make(map[uint64]*ward), ready: make(map[uint64]*ward),
	}
}

// run serves until the daemon has gone, in order or not. What the process is
// like is told by report.
func (k *keeper) run(report processReport) error {
	var pumping sync.WaitGroup
	pumping.Go(k.link.pump)
	defer pumping.Wait()
	defer k.link.close()
	k.report(noteHello, report)
	for {
		n, err := k.link.read()
		switch {
		case errors.Is(err, errBroken):
			k.complain(err)
		case err != nil:
			k.abandoned()
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
				return nil
			}
			return err
		case n == nil:
			_ = k.link.put(nil) // the end of the link is found by read
		default:
			if err := k.take(n); err != nil {
				k.complain(err)
			}
		}
	}
}

func (k *keeper) report(kind string, r processReport) {
	if body, err := json.Marshal(r); err == nil {
		_ = k.link.put(&note{Kind: kind, Body: body}) // the end of the link is found by read
	}
}

// complain tells the daemon of a message that was passed over.
func (k *keeper) complain(err error) { k.log(0, slog.LevelError, "failover: "+err.Error(), nil) }

func (k *keeper) log(member uint64, level slog.Level, text string, attrs map[string]any) {
	if body, err := json.Marshal(wireLog{Level: level, Text: text, Attrs: attrs, Time: time.Now()}); err == nil {
		_ = k.link.put(&note{Kind: noteLog, Member: member, Body: body}) // a log that nobody reads
	}
}

func (k *keeper) take(n *note) error {
	k.mu.Lock()
	w := k.wards[n.Member]
	k.mu.Unlock()
	switch {
	case n.Kind == noteRun && w == nil:
		return k.start(n)
	case n.Kind == noteGroup:
		return k.unite(n)
	case n.Kind == noteAnswer:
		k.link.answered(n)
	case n.Kind == noteStop && w != nil:
		w.stop()
	case n.Kind == noteStop: // it has ended, or never began
		delete(k.ready, n.Member)
	case n.Kind == noteAsk && w != nil:
		w.ask(n)
	case n.Kind == noteAsk:
		k.answer(n, nil, errors.New("failover: it has ended"))
	case n.Kind == noteNever: // nothing here takes long
	default:
		return fmt.Errorf("%w: %.40q is not known", errBroken, n.Kind)
	}
	return nil
}

func (k *keeper) answer(n *note, value any, err error) {
	if n.Serial == 0 {
		return // an order, no question
	}
	body, bad := json.Marshal(value)
	if err == nil && bad != nil {
		body, err = nil, bad
	}
	_ = k.link.put(&note{Kind: noteAnswer, Serial: n.Serial, Body: body, Err: distant(err)}) // the end of the link is found by read
}

// start makes a router or node and runs it.
func (k *keeper) start(n *note) error {
	w := k.ready[n.Member]
	united := w != nil
	delete(k.ready, n.Member)
	if !united {
		w = &ward{id: n.Member, keeper: k}
	}
	ended := func(err error) {
		n := &note{Kind: noteEnded, Member: w.id, Err: distant(err)}
		if w.router != nil || w.node != nil {
			n.Body, _ = json.Marshal(w.status()) // as every status
		}
		_ = k.link.put(n) // the end of the link is found by read
	}
	var s memberSpec
	if err := unpack(n, &s); err != nil {
		ended(err)
		return err
	}
	prepare := w.make
	if united {
		prepare = w.renew
	}
	if err := prepare(&s); err != nil {
		ended(err)
		return nil
	}
	for _, order := range s.Kept {
		w.ask(order)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	k.mu.Lock()
	k.wards[w.id] = w
	k.mu.Unlock()
	k.work.Go(func() {
		err := w.run(ctx)
		stop()
		k.mu.Lock()
		delete(k.wards, w.id)
		k.mu.Unlock()
		ended(err)
	})
	return nil
}

// make makes what s describes, with callbacks that lead to the daemon.
func (w *ward) make(s *memberSpec) (err error) {
	log := slog.New(&distantLog{keeper: w.keeper, member: w.id})
	var owner AddressOwner
	if s.Addresses != nil {
		s.Addresses.Logger = log
		if w.owner, err = NewAddresses(s.Addresses); err != nil {
			return err
		}
		owner = w.owner
	}
	var hook func(context.Context, Role) error
	if s.Hook {
		hook = w.hook
	}
	switch {
	case s.Router != nil:
		c := s.Router
		c.Owner, c.Transport, c.OnRole, c.OnEvent = owner, s.RawIP, hook, w.event
		w.router, err = NewRouter(c)
		if err == nil {
			w.run = w.router.Run
		}
	case s.Node != nil:
		c := s.Node
		c.Owner, c.Transport, c.OnRole, c.OnEvent = owner, s.UDP, hook, w.event
		if s.Witness {
			c.Witness = w.witness
		}
		if s.Fence {
			c.Fence = w.fence
		}
		w.node, err = New(c)
		if err == nil {
			w.run, w.node.onRelieved = w.node.Run, w.relieved
		}
	default:
		err = fmt.Errorf("%w: neither a router nor a node", errBroken)
	}
	return err
}

// own makes the owner what c says.
func (w *ward) own(ctx context.Context, c *AddressesConfig) error {
	if err := w.owner.SetAnnouncing(c.Announcing); err != nil {
		return err
	}
	// An address may be what a route of the new set needs, and go with one of
	// the old.
	return errors.Join(w.owner.Set(ctx, c.Addresses), w.owner.SetRoutes(ctx, c.Routes))
}

// event tells the daemon what happened.
func (w *ward) event(e Event) {
	if e.Kind == EventRole {
		w.active.Store(e.Role == RoleActive)
	}
	if body, err := json.Marshal(packEvent(e)); err == nil {
		_ = w.keeper.link.put(&note{Kind: noteEvent, Member: w.id, Body: body}) // the end of the link is found by read
	}
}

// relieved tells the daemon whether the partner would serve without this node.
func (w *ward) relieved(on bool) {
	if body, err := json.Marshal(on); err == nil {
		_ = w.keeper.link.put(&note{Kind: noteRelieved, Member: w.id, Body: body}) // the end of the link is found by read
	}
}

// errOrphan: there is no daemon.
var errOrphan = errors.New("failover: the daemon is gone")

// call has the daemon make a callback. If that is abandoned meanwhile it is not
// waited for.
func (w *ward) call(ctx context.Context, verb string, value any) (json.RawMessage, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	answer, forget, err := w.keeper.link.question(note{Kind: noteAsk, Member: w.id, Verb: verb, Body: body})
	if errors.Is(err, io.ErrClosedPipe) {
		return nil, errOrphan
	}
	if err != nil {
		return nil, err
	}
	defer forget()
	select {
	case n := <-answer:
		return n.Body, n.Err.err()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.keeper.orphan:
		return nil, errOrphan
	}
}

// hook is OnRole. One that hangs holds no address; without a daemon there is
// nothing to make ready.
func (w *ward) hook(ctx context.Context, r Role) error {
	_, err := w.call(ctx, verbRole, r)
	if errors.Is(err, errOrphan) {
		return nil
	}
	return err
}

// witness is Witness. Without a daemon nobody knows.
func (w *ward) witness(ctx context.Context) (ok bool, why string) {
	var t testimony
	body, err := w.call(ctx, verbWitness, nil)
	if err == nil {
		err = json.Unmarshal(body, &t)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return false, "no answer in time" // it would have said that itself, a moment later
	case err != nil:
		return false, err.Error()
	}
	return t.OK, t.Why
}

// fence is Fence. Without a daemon nobody is fenced.
func (w *ward) fence(ctx context.Context, reason string) error {
	_, err := w.call(ctx, verbFence, reason)
	return err
}

// needed reports whether nobody else would serve the addresses: they stay
// although the daemon is gone, as the kernel goes on serving.
func (w *ward) needed() bool {
	if w.node == nil {
		return false
	}
	w.node.mu.Lock()
	defer w.node.mu.Unlock()
	return !w.node.relieved
}

// orphanHold is how long addresses stay at most when the daemon is gone, or its
// beat process, beyond what the other one waits by the protocol: it may need
// that long to take them, and no longer are they in two places.
const orphanHold = 15 * time.Millisecond

// orphanHold is that of a router. It ends as soon as another one speaks.
func (r *Router) orphanHold() time.Duration {
	return vrrp.SkewLimit(r.cfg.Version, r.cfg.Interval) + orphanHold
}

// leave has it leave soon.
func (w *ward) leave() {
	if w.router != nil {
		w.router.mu.Lock()
		hold := w.router.orphanHold()
		w.router.mu.Unlock()
		w.router.effects.hurry(hold)
	} else {
		w.node.effects.hurry(orphanHold)
	}
	w.stop()
}

// abandoned clears up when the daemon is gone: who can be relieved tells the
// others that it leaves, and removes its addresses.
func (k *keeper) abandoned() {
	close(k.orphan)
	k.link.close()
	var active []*ward
	k.mu.Lock()
	leaving := true
	for _, w := range k.wards {
		if w.active.Load() {
			active = append(active, w)
		}
		if w.needed() {
			leaving = false
			continue
		}
		w.leave()
	}
	orphans := len(k.wards)
	k.mu.Unlock()
	if k.obituary != nil && orphans > 0 { // in order there are none
		defer func() { k.obituary(active) }() // after the release, which waits for no log
	}
	if leaving {
		k.work.Wait()
		return
	}
	// Those that are needed are left as they are; the others get their time.
	deadline := time.Now().Add(releaseLimit)
	for time.Now().Before(deadline) && !k.onlyNeeded() {
		time.Sleep(time.Millisecond)
	}
}

func (k *keeper) onlyNeeded() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.wards {
		if !w.needed() {
			w.leave() // its partner came meanwhile
			return false
		}
	}
	return true
}
