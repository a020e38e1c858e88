package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// lifeEvery and lifeLimit watch over the beat process: one that gives no
	// sign of life for so long is killed and replaced. It is long against what
	// a busy machine does to a process, and short against the moment at which
	// somebody asks why two machines have the address.
	lifeEvery = 250 * time.Millisecond
	lifeLimit = 2 * time.Second
	// stopLimit is how long a process may be stopped at least.
	stopLimit = 20 * time.Millisecond
	// steadyAfter is how long a process has to live for its end not to count
	// as one in a row: the next one is started at once, those that follow soon
	// after each other with growing pauses.
	steadyAfter = 10 * time.Second
	// statusLimit bounds how long a status of the beat process is waited for.
	statusLimit = time.Second
)

// BeatConfig configures a [Beat]. The zero value is right for most.
type BeatConfig struct {
	// NormalPriority leaves the process its ordinary priority and its memory
	// pageable.
	NormalPriority bool
	// OnEvent is told EventBeatLost and EventBeatLimited, as that of [Config].
	OnEvent func(Event)
	// Logger gets the same; nil discards.
	Logger *slog.Logger
}

// Beat is a process of its own for routers and nodes: a second run of the same
// program, small and with real-time priority where that is allowed, with its
// memory locked and without garbage collection. Who has it in RouterConfig.Beat
// or Config.Beat lives there, with its sockets, timers and addresses, and what
// keeps the daemon busy costs no heartbeat. Callbacks are made in the daemon.
//
// The two watch over each other. If the daemon ends without a word, as by
// kill -9, the process tells the others that it leaves, removes the addresses,
// says so on the standard error that it has from the daemon, and ends. If the
// process ends, the daemon does that for it and starts another one; the addresses
// of a [Node] stay meanwhile, for DeadAfter at most. One that is stopped, as by
// SIGSTOP, for longer than the others wait for its beats, or gives no sign of life
// for two seconds, is killed. So the address is with one machine, whichever of the
// two was killed. There is one exception: a [Node] without a partner that would
// serve keeps its addresses in both cases, since the kernel goes on serving: it
// has none, or that is silent, stopping or in fault. If both are killed at once
// nobody is left to remove anything.
//
// Under systemd nothing has to be set for it. KillMode may stay control-group:
// the process takes no notice of SIGTERM, SIGINT and SIGHUP and ends with the
// daemon, once that has handed over, which TimeoutStopSec has to leave time for.
// A unit that is not of root wants LimitRTPRIO=10, LimitMEMLOCK=infinity and the
// capabilities of the routers, and none should have RestrictRealtime=yes.
// [BeatStatus] has in Limits what is not granted.
//
// A program that uses it calls [BeatMain] first in its main. On other systems
// than Linux there is no such process: everything runs in the daemon, and
// [Beat.Status] says so.
//
// Its methods are safe for concurrent use.
type Beat struct {
	cfg    BeatConfig
	events *eventQueue
	spawn  func(*BeatConfig) (*process, error) // nil: all in this process
	limit  time.Duration                       // lifeLimit

	mu      sync.Mutex
	started bool
	over    bool
	serial  uint64
	members map[uint64]*remote // that run
	changed chan struct{}      // closed, and made anew, when members or link change
	link    *link              // nil: there is no process
	status  BeatStatus
}

// process is a beat process as the daemon has it.
type process struct {
	link *link
	pid  int
	kill func()
	// wait returns why it ended, once it has.
	wait func() error
	// stopped reports whether it is stopped, as by SIGSTOP; with until it waits
	// until it is, or has ended. nil: that cannot be known.
	stopped func(until bool) bool
}

// BeatStatus is what a [Beat] knows of its process.
type BeatStatus struct {
	// Pid is the number of the process, 0 if there is none at the moment.
	Pid int `json:"pid"`
	// Since is when it was started.
	Since time.Time `json:"since"`
	// Starts counts the processes so far.
	Starts uint64 `json:"starts"`
	// Priority is what it runs with, as "real-time 10", "nice -20" or
	// "normal"; empty while there is none.
	Priority string `json:"priority,omitempty"`
	// MemoryLocked: its memory is never paged out.
	MemoryLocked bool `json:"memory_locked"`
	// Limits says, in a sentence each, what is not allowed here, what is lost
	// by it, and what mends it.
	Limits []string `json:"limits,omitempty"`
	// Error is why there is no process, or why the last one ended.
	Error string `json:"error,omitempty"`
}

// processReport is what a process tells of itself.
type processReport struct {
	Priority     string   `json:"priority"`
	MemoryLocked bool     `json:"memory_locked"`
	Limits       []string `json:"limits"`
}

// NewBeat returns a beat process, which is not started before Run. The error
// says that [BeatMain] was not called, or that the program has its rights by
// setuid or capabilities of its file. nil is the zero configuration.
func NewBeat(cfg *BeatConfig) (*Beat, error) {
	if cfg == nil {
		cfg = &BeatConfig{}
	}
	spawn, lost, err := beatPlatform()
	if err != nil {
		return nil, err
	}
	b := newBeat(cfg, spawn)
	if spawn == nil {
		b.status.Limits = []string{lost}
	}
	return b, nil
}

func newBeat(cfg *BeatConfig, spawn func(*BeatConfig) (*process, error)) *Beat {
	b := &Beat{cfg: *cfg, spawn: spawn, limit: lifeLimit, members: make(map[uint64]*remote), changed: make(chan struct{})}
	if b.cfg.Logger == nil {
		b.cfg.Logger = slog.New(slog.DiscardHandler)
	}
	b.events = newEventQueue(b.cfg.Logger, b.cfg.OnEvent)
	return b
}

// apart reports whether there is a process, or everything runs in this one.
func (b *Beat) apart() bool { return b != nil && b.spawn != nil }

// Run starts the process and keeps one running until ctx ends and all routers
// and nodes in it have left; then it returns nil. Their own Run waits for it,
// so start it beside them. It runs once.
func (b *Beat) Run(ctx context.Context) error {
	b.mu.Lock()
	if b.started {
		b.mu.Unlock()
		return errors.New("failover: the beat process has run already; make a new one with NewBeat")
	}
	b.started = true
	b.mu.Unlock()

	tell, quiet := context.WithCancel(context.WithoutCancel(ctx))
	var telling sync.WaitGroup
	telling.Go(func() { b.events.run(tell) })
	defer func() { quiet(); telling.Wait() }()
	if b.spawn == nil {
		b.events.emit(Event{Kind: EventBeatLimited, Reason: strings.Join(b.Status().Limits, "; ")})
		<-ctx.Done()
		return nil
	}
	defer b.finish()
	told := ""
	for pause := time.Duration(0); ; {
		begun := time.Now()
		err := b.once(ctx)
		if err == nil {
			return nil
		}
		if time.Since(begun) > steadyAfter {
			pause = 0
		}
		b.mu.Lock()
		worked := b.status.Error == ""
		b.status.Error = err.Error()
		b.mu.Unlock()
		// One that never gets ready is told once, whatever its number is.
		why := errors.Unwrap(err).Error()
		if worked || told != why {
			b.events.emit(Event{Kind: EventBeatLost, Err: err, Reason: "another one is started " + when(pause)})
		}
		told = why
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil // members that still run leave without a process
		}
		pause = min(max(2*pause, firstRetry), lastRetry)
	}
}

// when says how soon something comes.
func when(pause time.Duration) string {
	if pause == 0 {
		return "at once"
	}
	return fmt.Sprintf("in %v", pause)
}

// finish lets the members that still run end without a process.
func (b *Beat) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	b.change()
}

// change wakes who waits for members or link. The caller holds mu.
func (b *Beat) change() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// Status returns the present state.
func (b *Beat) Status() BeatStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.status
	s.Limits = append([]string(nil), s.Limits...)
	return s
}

// once is the life of one process. It returns nil when it ended as it was told.
func (b *Beat) once(ctx context.Context) error {
	p, err := b.spawn(&b.cfg)
	if err != nil {
		return fmt.Errorf("failover: start the beat process: %w", err)
	}
	b.mu.Lock()
	b.status = BeatStatus{Pid: p.pid, Since: time.Now(), Starts: b.status.Starts + 1, Error: b.status.Error}
	b.mu.Unlock()
	var work sync.WaitGroup
	work.Go(p.link.pump)
	life := &lifeWatch{link: p.link, limit: b.limit}
	watch, stop := context.WithCancel(context.Background())
	work.Go(func() { life.run(watch, p.kill) })
	if p.stopped != nil {
		work.Go(func() { life.stops(p, b.patience) })
	}
	work.Go(func() { b.dismiss(ctx, watch, p.link) })

	err = b.listen(p, life)
	b.mu.Lock()
	orderly := b.over
	b.link = nil
	b.status.Pid, b.status.Priority = 0, ""
	members := make([]*remote, 0, len(b.members))
	for _, m := range b.members {
		members = append(members, m)
	}
	b.change()
	b.mu.Unlock()
	p.link.close()
	if orderly {
		// It ends by itself when it finds the link closed.
		time.AfterFunc(releaseLimit, p.kill)
	} else {
		p.kill()
	}
	// What it held is removed at once, and again when it is surely gone: it
	// may have been in the middle of something.
	late := life.failure()
	var clearing sync.WaitGroup
	for _, m := range members {
		clearing.Go(func() { m.orphaned(late != "") })
	}
	why := p.wait()
	clearing.Wait()
	for _, m := range members {
		m.bury()
	}
	stop()
	work.Wait()
	switch {
	case orderly:
		return nil
	case late != "":
		why = errors.New(late)
	case errors.Is(err, errBroken):
		why = err
	case why == nil:
		why = fmt.Errorf("it ended by itself: %w", err)
	}
	err = fmt.Errorf("failover: the beat process %d is gone: %w", p.pid, why)
	for _, m := range members {
		m.lost(err)
	}
	return err
}

// dismiss ends the link when ctx is over and nobody runs any more.
func (b *Beat) dismiss(ctx, watch context.Context, l *link) {
	select {
	case <-ctx.Done():
	case <-watch.Done():
		return
	}
	for {
		b.mu.Lock()
		idle, changed := len(b.members) == 0, b.changed
		if idle {
			b.over = true
		}
		b.mu.Unlock()
		if idle {
			l.close()
			return
		}
		select {
		case <-changed:
		case <-watch.Done():
			return
		}
	}
}

// listen reads what the process says until it is gone.
func (b *Beat) listen(p *process, life *lifeWatch) error {
	for {
		n, err := p.link.read()
		if errors.Is(err, errBroken) {
			b.events.emit(Event{Kind: EventBeatLost, Err: err, Reason: "passed over"})
			continue
		}
		if err != nil {
			return err
		}
		life.seen()
		if n == nil {
			continue
		}
		b.take(p, n)
	}
}

// patience is how long the first of the others waits for a process that is
// silent, as far as is known here.
func (b *Beat) patience() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	least := b.limit
	for _, m := range b.members {
		least = min(least, m.silence())
	}
	return max(least, stopLimit)
}

// take handles one message of the process.
func (b *Beat) take(p *process, n *note) {
	switch n.Kind {
	case noteHello, noteReport:
		var r processReport
		if err := unpack(n, &r); err != nil {
			b.events.emit(Event{Kind: EventBeatLost, Err: err, Reason: "passed over"})
			return
		}
		b.mu.Lock()
		told := strings.Join(b.status.Limits, "; ")
		b.status.Priority, b.status.MemoryLocked, b.status.Limits = r.Priority, r.MemoryLocked, r.Limits
		if n.Kind == noteHello {
			b.link, b.status.Error = p.link, ""
			for _, m := range b.members {
				m.begin(p.link)
			}
			b.change()
		}
		b.mu.Unlock()
		if now := strings.Join(r.Limits, "; "); now != "" && now != told {
			b.events.emit(Event{Kind: EventBeatLimited, Reason: now})
		}
		return
	case noteAnswer:
		p.link.answered(n)
		return
	}
	b.mu.Lock()
	m := b.members[n.Member]
	b.mu.Unlock()
	var line wireLog
	switch {
	case m != nil:
		m.take(p.link, n)
	case n.Kind == noteLog && n.Member == 0 && unpack(n, &line) == nil:
		b.events.put(happening{line: &line}) // of the process itself
	}
}

// enter makes m a member, and leave ends that.
func (b *Beat) enter(m *remote) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.members[m.id] = m
	if b.link != nil {
		m.begin(b.link)
	}
	b.change()
}

func (b *Beat) leave(m *remote) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.members[m.id] == nil {
		return
	}
	delete(b.members, m.id)
	if b.link != nil {
		_ = b.link.put(&note{Kind: noteStop, Member: m.id}) // mostly it has ended
	}
	b.change()
}

// present returns the link, if there is a process that works, whether there
// will be none any more, and what is closed when that changes.
func (b *Beat) present() (l *link, over bool, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.link, b.over, b.changed
}
