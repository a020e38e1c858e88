package dsr

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// Plane is the kernel's table of the network namespace that the checks are
// asked from; [*ipvs.Client] is one. A table that ordinary sockets carry is
// none: it knows no marks.
type Plane interface {
	ipvs.Plane
	// Destinations yields the destinations of one service with their counts.
	Destinations(ctx context.Context, of ipvs.ServiceKey) iter.Seq2[ipvs.DestinationState, error]
}

var _ Plane = (*ipvs.Client)(nil)

const (
	// cleanRetry is the pause before a table that could not be cleaned is
	// tried again.
	cleanRetry = 5 * time.Second
	// leaveWithin bounds the end: how long checks in flight are waited for,
	// and again how long the cleaning takes.
	leaveWithin = 5 * time.Second
	// scheduler of the private services; with one destination any would do.
	scheduler = "rr"
)

// Errors of a Manager, for [errors.Is].
var (
	// ErrNotRunning: [Manager.Run] has ended, or has not begun.
	ErrNotRunning = errors.New("the manager of the private services does not run")
	// ErrNoMark: every mark of the range is in use or rests.
	ErrNoMark = errors.New("no firewall mark is left for a private service")
)

// Manager owns the private services that checks are asked through. It makes
// one when it is first needed and removes it when no check has asked for it
// for a while, so a changed set of checks needs no word to it and what stays
// is not touched. All methods are safe for concurrent use; a Manager is run
// once.
type Manager struct {
	cfg   Config
	plane Plane
	look  func(ns string, p *Path) (way, error) // lookUp; tests choose
	ready chan struct{}                         // closed when the range is clean

	mu     sync.Mutex
	err    error // why it is not ready
	marks  marks
	leases map[key]*lease
	// leaving are services that could not be removed yet.
	leaving []*lease
	busy    sync.WaitGroup // checks in flight; added to under mu while err is nil
}

// lease is one private service.
type lease struct {
	key  key
	mark uint32
	// users and last belong to the manager's lock.
	users int
	last  time.Time

	// making is held while the service is made. made tells that it was, and
	// generation how often: a check that saw two of them went nobody knows where.
	making     sync.Mutex
	made       bool
	generation int
}

func (l *lease) service() ipvs.ServiceKey { return l.key.service(l.mark) }

// New returns a Manager that does nothing before [Manager.Run], or an error
// that names every field of cfg that cannot be used. A nil cfg means the
// defaults.
func New(plane Plane, cfg *Config) (*Manager, error) {
	c, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("checks through the virtual address: %w", err)
	}
	return &Manager{
		cfg: c, plane: plane, look: lookUp, ready: make(chan struct{}),
		err:    ErrNotRunning,
		marks:  marks{first: c.FirstMark, n: uint32(c.Marks), rest: c.Rest},
		leases: make(map[key]*lease),
	}, nil
}

// Owns reports whether a service is of the range that belongs to the Manager.
func (m *Manager) Owns(k ipvs.ServiceKey) bool { return k.IsMark() && m.marks.has(k.Mark) }

// Run removes what an earlier life left in the range, keeps the private
// services while ctx lasts, and then removes them all. It returns nil when
// that was done, or else what hindered it. A table that cannot be cleaned at
// the start is tried again every 5 s; meanwhile every check is no result and
// says why.
func (m *Manager) Run(ctx context.Context) error {
	for {
		err := m.clean(ctx)
		if err == nil {
			break
		}
		m.mu.Lock()
		known := m.err.Error() == err.Error()
		m.err = err
		m.mu.Unlock()
		if !known {
			m.cfg.Logger.Warn("cannot prepare checks through the virtual address, will try again", "err", err, "after", cleanRetry)
		}
		if !pause(ctx, cleanRetry) {
			m.close()
			return nil
		}
	}
	m.mu.Lock()
	m.err = nil
	m.mu.Unlock()
	close(m.ready)
	for pause(ctx, max(m.cfg.Idle/4, time.Millisecond)) {
		m.sweep(ctx)
	}
	m.close()
	// The checks end with whoever runs them; their services outlive them.
	idle := make(chan struct{})
	go func() { m.busy.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-time.After(leaveWithin):
		m.cfg.Logger.Warn("checks through the virtual address are still under way: their private services are removed all the same")
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	if err := m.clean(end); err != nil {
		return fmt.Errorf("remove the private services of the checks (firewall marks %#x and up): %w", m.cfg.FirstMark, err)
	}
	return nil
}

// pause waits and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}

func (m *Manager) close() {
	m.mu.Lock()
	m.err = ErrNotRunning
	m.mu.Unlock()
}

// clean removes every service of the range. It is called while no check is in
// flight.
func (m *Manager) clean(ctx context.Context) error {
	report, err := ipvs.Converge(ctx, m.plane, nil, m.Owns)
	if n := len(report.Changes); n > 0 {
		m.cfg.Logger.Log(ctx, slog.LevelDebug, "private services of checks removed", "count", n)
	}
	return err
}

// acquire returns the private service of a path, in the table, for one check.
// The check must release it.
func (m *Manager) acquire(ctx context.Context, k key) (*lease, error) {
	m.mu.Lock()
	err := m.err
	m.mu.Unlock()
	if errors.Is(err, ErrNotRunning) && ctx.Err() == nil {
		// It may have been started at the same moment as the check.
		select {
		case <-m.ready:
		case <-time.After(startWithin):
		case <-ctx.Done():
		}
	}
	m.mu.Lock()
	if m.err != nil {
		defer m.mu.Unlock()
		return nil, m.err
	}
	l := m.leases[k]
	if l == nil {
		mark, ok := m.marks.take(time.Now())
		if !ok {
			defer m.mu.Unlock()
			return nil, fmt.Errorf("%w: all %d from %#x on are in use or rest; give it more (Marks)", ErrNoMark, m.cfg.Marks, m.cfg.FirstMark)
		}
		l = &lease{key: k, mark: mark}
		m.leases[k] = l
	}
	l.users++
	m.busy.Add(1)
	m.mu.Unlock()
	if err := m.make(ctx, l); err != nil {
		m.release(l)
		return nil, fmt.Errorf("make the private service %v: %w", l.service(), err)
	}
	return l, nil
}

// startWithin is how long a check waits for a Manager that has not begun.
const startWithin = time.Second

func (m *Manager) release(l *lease) {
	m.mu.Lock()
	l.users--
	l.last = time.Now()
	m.mu.Unlock()
	m.busy.Done()
}

// make puts the private service into the table unless it is there.
func (m *Manager) make(ctx context.Context, l *lease) error {
	l.making.Lock()
	defer l.making.Unlock()
	if l.made {
		return nil
	}
	s := ipvs.Service{Key: l.service(), Scheduler: scheduler}
	changes := []ipvs.Change{
		{Op: ipvs.OpAddService, Service: s},
		{Op: ipvs.OpAddDestination, Service: s, Destination: l.key.destination()},
	}
	err := m.plane.Apply(ctx, changes)
	if err != nil && ctx.Err() == nil {
		// Somebody may have taken a part of it away, or put one of ours there.
		_ = m.plane.Apply(ctx, []ipvs.Change{{Op: ipvs.OpDelService, Service: s}})
		err = m.plane.Apply(ctx, changes)
	}
	if err != nil {
		return err
	}
	l.made = true
	l.generation++
	return nil
}

// through tells what became of a check: whether its private service was in
// the table all the time, and whether anything went through it.
func (m *Manager) through(ctx context.Context, l *lease, generation int) (there, carried bool, err error) {
	l.making.Lock()
	defer l.making.Unlock()
	if !l.made || l.generation != generation {
		return false, false, nil
	}
	want := l.key.destination()
	for d, err := range m.plane.Destinations(ctx, l.service()) {
		switch {
		case errors.Is(err, ipvs.ErrServiceNotFound):
		case err != nil:
			return false, false, err
		case d.Destination.Key == want.Key && d.Destination.Forward == want.Forward && d.Destination.Weight > 0:
			return true, d.Active+d.Inactive > 0, nil
		}
	}
	l.made = false // the next check puts it right
	return false, false, nil
}

// sweep removes what no check has asked for in a while.
func (m *Manager) sweep(ctx context.Context) {
	now := time.Now()
	m.mu.Lock()
	for k, l := range m.leases {
		if l.users == 0 && now.Sub(l.last) >= m.cfg.Idle {
			delete(m.leases, k)
			m.leaving = append(m.leaving, l)
		}
	}
	leaving := m.leaving
	m.mu.Unlock()
	var stay []*lease
	for _, l := range leaving {
		err := m.plane.Apply(ctx, []ipvs.Change{{Op: ipvs.OpDelService, Service: ipvs.Service{Key: l.service()}}})
		if err != nil && !errors.Is(err, ipvs.ErrServiceNotFound) {
			m.cfg.Logger.Warn("cannot remove a private service, will try again", "service", l.service().String(), "err", err)
			stay = append(stay, l)
			continue
		}
		m.mu.Lock()
		m.marks.give(l.mark, time.Now())
		m.mu.Unlock()
	}
	m.mu.Lock()
	m.leaving = stay
	m.mu.Unlock()
}

// Private is a private service of a Manager.
type Private struct {
	// Service is its key in the table.
	Service ipvs.ServiceKey
	// Server names the real server and the way to it, such as "direct routing
	// to 192.0.2.21".
	Server string
	// Checks is how many checks use it now.
	Checks int
}

// Services lists the private services that there are, in no order.
func (m *Manager) Services() []Private {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Private, 0, len(m.leases))
	for k, l := range m.leases {
		list = append(list, Private{Service: l.service(), Server: k.String(), Checks: l.users})
	}
	return list
}
