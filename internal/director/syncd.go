package director

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/ipvs"
)

// The pause after which sync daemons are tried again, and how often it is
// looked after them.
const (
	syncRetry = 2 * time.Second
	syncCheck = 30 * time.Second
)

// syncer is a data plane that can copy connections to another director.
type syncer interface {
	SyncDaemons(context.Context) ([]ipvs.SyncDaemon, error)
	StartSync(context.Context, ipvs.SyncDaemon) error
	StopSync(context.Context, ipvs.SyncRole) error
}

// syncing runs the kernel's sync daemons as the roles of this director want
// it: the master while it is active, the backup while it is not, and both while
// it is so with some routers of VRRP only. At the end the backup is left
// running, as Piranha did: connections are still copied here while the daemon
// is exchanged. Nothing is touched before a role is decided, nor at all
// without a configuration.
type syncing struct {
	log   *slog.Logger
	plane syncer // nil if it has none
	wake  chan struct{}

	turn    sync.Mutex       // held while daemons are changed
	applied *ipvs.SyncDaemon // what they were started with by this process

	mu    sync.Mutex
	conf  *ipvs.SyncDaemon
	roles map[string]bool // active, by router; those that have decided
	err   error
	runs  []ipvs.SyncDaemon
}

func newSyncing(log *slog.Logger, plane Dataplane) *syncing {
	s := &syncing{log: log, wake: make(chan struct{}, 1), roles: make(map[string]bool)}
	s.plane, _ = plane.(syncer)
	return s
}

func (s *syncing) adopt(conf *ipvs.SyncDaemon) {
	s.mu.Lock()
	s.conf = conf
	s.mu.Unlock()
	s.poke()
}

func (s *syncing) becomes(router string, r failover.Role) {
	s.mu.Lock()
	if r != failover.RoleInit {
		s.roles[router] = r == failover.RoleActive
	}
	s.mu.Unlock()
	s.poke()
}

func (s *syncing) rename(names map[string]string) {
	s.mu.Lock()
	s.roles = renamed(s.roles, names)
	s.mu.Unlock()
	s.poke()
}

func (s *syncing) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run keeps the daemons as they should be until ctx ends; what is wanted then
// was done.
func (s *syncing) run(ctx context.Context) {
	if s.plane == nil {
		return
	}
	for {
		pause := syncCheck
		if err := s.settle(ctx); err != nil {
			pause = syncRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		case <-s.wake:
		}
	}
}

// wanted are the daemons that should run, and false when they are none of our
// business.
func (s *syncing) wanted() ([]ipvs.SyncDaemon, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conf == nil || len(s.roles) == 0 {
		return nil, false
	}
	var out []ipvs.SyncDaemon
	for _, role := range []ipvs.SyncRole{ipvs.SyncMaster, ipvs.SyncBackup} {
		for _, active := range s.roles {
			if active == (role == ipvs.SyncMaster) {
				d := *s.conf
				d.Role = role
				out = append(out, d)
				break
			}
		}
	}
	return out, true
}

func (s *syncing) settle(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	want, ours := s.wanted()
	if !ours || s.plane == nil {
		s.report(nil, nil)
		return nil
	}
	err := s.make(ctx, want)
	if err == nil {
		s.report(want, nil)
	} else if ctx.Err() == nil {
		s.report(nil, err)
	}
	return err
}

// make stops what should not run, and starts what should.
func (s *syncing) make(ctx context.Context, want []ipvs.SyncDaemon) error {
	have, err := s.plane.SyncDaemons(ctx)
	if err != nil {
		return err
	}
	conf := want[0]
	conf.Role = 0
	exact := s.applied == nil || *s.applied != conf
	for _, h := range have {
		if !slices.ContainsFunc(want, func(w ipvs.SyncDaemon) bool { return sameSync(w, h, exact) }) {
			if err := s.plane.StopSync(ctx, h.Role); err != nil {
				return err
			}
			s.log.Info("sync daemon stopped", "role", h.Role, "iface", h.Interface)
		}
	}
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h ipvs.SyncDaemon) bool { return sameSync(w, h, exact) }) {
			if err := s.plane.StartSync(ctx, w); err != nil {
				return err
			}
			s.log.Info("sync daemon started", "role", w.Role, "iface", w.Interface, "id", w.SyncID)
		}
	}
	s.applied = &conf
	return nil
}

// sameSync tells whether a daemon that runs is the wanted one. What is not
// wanted in particular the kernel has chosen. It also cuts a length that the
// device does not carry, so an exact comparison is for daemons of others.
func sameSync(want, have ipvs.SyncDaemon, exact bool) bool {
	return want.Role == have.Role && want.Interface == have.Interface && want.SyncID == have.SyncID &&
		(!want.Group.IsValid() || want.Group == have.Group) && (want.Port == 0 || want.Port == have.Port) &&
		(!exact || want.MaxLength == 0 || want.MaxLength == have.MaxLength) &&
		(!exact || want.TTL == 0 || want.TTL == have.TTL || want.Role == ipvs.SyncBackup)
}

// report keeps what became of it, and tells a trouble once.
func (s *syncing) report(runs []ipvs.SyncDaemon, err error) {
	s.mu.Lock()
	was := s.err
	s.err, s.runs = err, runs
	s.mu.Unlock()
	if err != nil && (was == nil || was.Error() != err.Error()) {
		s.log.Error("connections are not copied to the partner: the sync daemon cannot be changed", "err", err)
	}
}

// status tells the daemons that run for us, and the trouble with them.
func (s *syncing) status() (runs []ipvs.SyncDaemon, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs, s.err
}
