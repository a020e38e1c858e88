package ipvs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// ReconcilerConfig configures [NewReconciler]. A nil one is the same as a
// zero one.
type ReconcilerConfig struct {
	// Resync is how often Run reads the table again; zero is 30 s.
	Resync time.Duration
	// Drain is how long a destination that leaves the wanted table, alone or
	// with its service, may keep its connections at most: it gets weight 0,
	// and is removed when it carries none any more or when the time is over.
	// Zero removes at once.
	//
	// What holds a drain: with TCP and SCTP the active connections, with UDP
	// the inactive ones too, since the kernel has no others there (they live
	// for the UDP time-out, 300 s, after the last packet), and so with
	// firewall marks. Persistence templates hold it always: they bring
	// clients back to a server of weight 0 unless the sysctl
	// net.ipv4.vs.expire_quiescent_template is 1.
	//
	// The schedulers dh, and sh without the flag SHFallback, choose a server
	// of weight 0 all the same and then refuse the connection: while it
	// drains, its share of the clients gets none. With them a removal at once
	// is the lesser evil.
	Drain time.Duration
	// Ownership remembers which services are ours over restarts; nil
	// remembers only for the life of the reconciler.
	Ownership *Ownership
	// Owned names further services as ours, although they are neither wanted
	// nor remembered, such as those of a configuration that is not in force
	// now; nil for none. It is called from several goroutines, and must not
	// call the reconciler.
	Owned func(ServiceKey) bool
	// OnEvent takes what happens, in order and one at a time, without a lock
	// held: it may call the reconciler. Nil for none.
	OnEvent func(Event)
	// Logger takes changes, repairs, drains and troubles; nil discards them.
	Logger *slog.Logger
}

const (
	defaultResync = 30 * time.Second
	// What failed is tried again after retryMin, and after twice as long each
	// further time up to retryMax.
	retryMin = 500 * time.Millisecond
	retryMax = 10 * time.Second
	// drainPoll is how often the connections of draining destinations are
	// counted. The kernel counts them as they come and go.
	drainPoll = time.Second
)

// Reconciler keeps a wanted table in force on a plane.
//
// Set, Put, Remove and Resync work at once and return when the table is so;
// they need no Run. [Reconciler.Run] does what takes time: it tries again
// what failed, reads the table from time to time and puts right what others
// changed in our services, and ends drains. All methods are safe for
// concurrent use; changes take turns.
//
// A service is ours when it is wanted, when [Ownership] remembers it, or when
// ReconcilerConfig.Owned names it. Others are never touched. Until the first
// Set, ours are left alone too unless Put or Remove named them: a program
// that was started again may put its services one by one. To put a service
// that somebody else made is to take it over.
//
// The reconciler remembers what it wrote, so that a change costs what the
// change costs: one comparison of the services that are named, and one send.
// The table is read at the start, after a failure, and at each resync. While
// it cannot be read, because others keep changing it, changes go on from what
// is remembered.
//
// A destination of one of our services that is not wanted there, whoever put
// it there, leaves as the policy says. So a drain needs no memory: a program
// that was killed finds the destination with weight 0 when it starts again,
// and the drain goes on with a new deadline.
type Reconciler struct {
	plane  Plane
	resync time.Duration
	drain  time.Duration
	owned  *Ownership
	extra  func(ServiceKey) bool

	// turn holds one token: its holder may write to the plane.
	turn chan struct{}
	// wake tells Run that there may be something for it to do.
	wake chan struct{}

	mu   sync.Mutex // guards what follows; never held while the plane works
	want map[ServiceKey]Entry
	// gone are services to take out that Remove named.
	gone map[ServiceKey]struct{}
	// whole: want is all there should be of ours.
	whole bool
	// have is the table as last read or written, others' services included.
	have  map[ServiceKey]Entry
	known bool // have was read once
	// unread: the table was to be read and could not be. have is as good as it
	// was before.
	unread bool
	// open are the services that may not be as wanted; a Set opens them all
	// by its version, zero when none is open. version counts the changes of
	// what is wanted.
	open    map[ServiceKey]doubt
	allOpen uint64
	version uint64
	drains  map[ServiceKey]map[DestinationKey]*drain
	st      ReconcilerStatus
	retry   time.Duration
	retryAt time.Time

	events eventQueue
}

// doubt is why a service may not be as wanted.
type doubt struct {
	// since is the version that opened it: what was compared before settles
	// nothing.
	since uint64
	// unread: have may be wrong about it.
	unread bool
}

// NewReconciler returns a reconciler for a plane, which wants nothing yet and
// touches nothing.
func NewReconciler(plane Plane, cfg *ReconcilerConfig) *Reconciler {
	var c ReconcilerConfig
	if cfg != nil {
		c = *cfg
	}
	r := &Reconciler{
		plane:  plane,
		resync: c.Resync,
		drain:  c.Drain,
		owned:  c.Ownership,
		extra:  c.Owned,
		turn:   make(chan struct{}, 1),
		wake:   make(chan struct{}, 1),
		want:   make(map[ServiceKey]Entry),
		gone:   make(map[ServiceKey]struct{}),
		have:   make(map[ServiceKey]Entry),
		open:   make(map[ServiceKey]doubt),
		drains: make(map[ServiceKey]map[DestinationKey]*drain),
		events: eventQueue{hook: c.OnEvent, log: c.Logger},
	}
	if r.resync <= 0 {
		r.resync = defaultResync
	}
	if r.owned == nil {
		r.owned, _ = OpenOwnership("")
	}
	if r.events.log == nil {
		r.events.log = slog.New(slog.DiscardHandler)
	}
	r.turn <- struct{}{}
	return r
}

// Set makes t the whole wanted table and returns when it is in force: all of
// ours that it does not name leaves. Of several entries with one key the last
// counts. On an error, also one of ctx, t is wanted all the same, and Run
// tries again.
func (r *Reconciler) Set(ctx context.Context, t Table) error {
	want := make(map[ServiceKey]Entry, len(t))
	for _, e := range t {
		e = e.normalized()
		want[e.Service.Key] = e
	}
	r.mu.Lock()
	r.version++
	r.want, r.whole, r.allOpen = want, true, r.version
	clear(r.gone)
	r.mu.Unlock()
	return r.settle(ctx, nil)
}

// Put wants these services as given, beside the others, and returns when they
// are so. What it costs depends on these services, not on the table. A
// failure of other services is not reported here. On an error, also one of
// ctx, they are wanted all the same, and Run tries again.
func (r *Reconciler) Put(ctx context.Context, entries ...Entry) error {
	keys := make([]ServiceKey, len(entries))
	for i, e := range entries {
		e = e.normalized()
		keys[i] = e.Service.Key
		r.mu.Lock()
		r.want[keys[i]] = e
		delete(r.gone, keys[i])
		r.touch(keys[i])
		r.mu.Unlock()
	}
	return r.settle(ctx, keys)
}

// Remove wants these services no longer and returns when they are gone, or
// when their destinations have begun to drain. One that is not ours is left
// alone. On an error, also one of ctx, Run tries again.
func (r *Reconciler) Remove(ctx context.Context, keys ...ServiceKey) error {
	mine := make([]ServiceKey, 0, len(keys))
	for _, k := range keys {
		k = k.canonical()
		r.mu.Lock()
		_, wanted := r.want[k]
		if wanted || r.ours(k) {
			delete(r.want, k)
			r.gone[k] = struct{}{}
			r.touch(k)
			mine = append(mine, k)
		}
		r.mu.Unlock()
	}
	return r.settle(ctx, mine)
}

// touch opens a service that may not be as wanted.
func (r *Reconciler) touch(k ServiceKey) {
	r.version++
	r.open[k] = doubt{since: r.version, unread: r.open[k].unread}
}

// Resync reads the table, puts right what others changed in our services, and
// returns when all is as wanted. Before anything was set, put or removed it
// only reads.
func (r *Reconciler) Resync(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	defer r.end()
	err := r.converge(ctx, &convergence{plane: r.plane}, goal{})
	if err == nil {
		r.mu.Lock()
		r.st.LastResync = time.Now()
		r.mu.Unlock()
	}
	return err
}

// Entry returns a service as it is in the table, as last read or written;
// false when it is not there, or when nothing was read yet. Others' services
// are found too, as they were at the last reading.
func (r *Reconciler) Entry(k ServiceKey) (Entry, bool) {
	r.mu.Lock()
	e, ok := r.have[k.canonical()]
	r.mu.Unlock()
	// The list is replaced and never written to, so it is safe to copy now.
	e.Destinations = slices.Clone(e.Destinations)
	return e, ok
}

// begin waits for the caller's turn to write.
func (r *Reconciler) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		r.poke()
		return err
	}
	select {
	case <-ctx.Done():
		r.poke()
		return ctx.Err()
	case <-r.turn:
		return nil
	}
}

// end gives the turn on, and tells what happened.
func (r *Reconciler) end() {
	r.turn <- struct{}{}
	r.poke()
	r.events.deliver()
}

// poke has Run look what there is to do.
func (r *Reconciler) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// ours tells whether a service that is not wanted may be taken out.
func (r *Reconciler) ours(k ServiceKey) bool {
	return r.owned.Has(k) || r.extra != nil && r.extra(k)
}

// leaves tells whether a service is to be taken out of the table.
func (r *Reconciler) leaves(k ServiceKey) bool {
	if _, wanted := r.want[k]; wanted {
		return false
	}
	if _, named := r.gone[k]; named {
		return true
	}
	return r.whole && r.ours(k)
}

// normalized returns a copy in the form that compares equal.
func (e Entry) normalized() Entry {
	ds := make([]Destination, len(e.Destinations))
	for i, d := range e.Destinations {
		ds[i] = d.Normalized()
	}
	return Entry{Service: e.Service.Normalized(), Destinations: ds}
}

// concerning returns an error of an application as far as it is about these
// services, nil for all: another's trouble is not the caller's.
func concerning(err error, keys []ServiceKey) error {
	result, ok := errors.AsType[*ApplyError](err)
	if keys == nil || !ok || result.Cause != nil {
		return err
	}
	named := make(map[ServiceKey]struct{}, len(keys))
	for _, k := range keys {
		named[k] = struct{}{}
	}
	var failed []*OpError
	for _, f := range result.Failed {
		if _, ok := named[f.Service]; ok {
			failed = append(failed, f)
		}
	}
	switch len(failed) {
	case 0:
		return nil
	case len(result.Failed):
		return err
	}
	return &ApplyError{Applied: result.Applied, Failed: failed}
}
