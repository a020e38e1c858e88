package director

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lvskit/lvskit/failover/track"
)

// firstLook bounds how long the start waits for the first look at what is
// tracked.
const firstLook = 2 * time.Second

// tracking watches what electors need, and keeps those in fault that lack it;
// in a sync group one member's fault holds all.
type tracking struct {
	log      *slog.Logger
	members  []*member
	identity string
	changed  chan struct{}

	mu       sync.Mutex
	trackers []*track.Tracker // one for each member
}

// faultOnly is a target whose priority is its own.
type faultOnly struct{ track.Target }

// newTracking readies the trackers of a setup.
func newTracking(log *slog.Logger, members []*member, identity string, s *Setup) (*tracking, error) {
	t := &tracking{log: log, members: members, identity: identity, changed: make(chan struct{}, 1)}
	return t, t.set(s)
}

// ready waits until everything was looked at once, or for a while, so that who
// must not serve does not begin to.
func (t *tracking) ready(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstLook)
	defer cancel()
	for {
		known := true
		t.mu.Lock()
		for _, tracker := range t.trackers {
			known = known && tracker.Status().Known
		}
		t.mu.Unlock()
		if known {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// set replaces the trackers by those of another setup.
func (t *tracking) set(s *Setup) error {
	var trackers []*track.Tracker
	for _, m := range t.members {
		tracks := s.linkTracks(t.identity)
		if r := s.router(m.name); r != nil {
			for _, device := range r.Track {
				tracks = append(tracks, track.Track{Name: "track_interface " + device, Source: track.Device{Device: device}})
			}
		}
		log := t.log
		if m.name != "" {
			log = log.With("router", m.name)
		}
		tracker, err := track.New(&track.Config{Tracks: tracks, Targets: []track.Target{faultOnly{m.elector}}, Logger: log})
		if err != nil {
			return fmt.Errorf("%s: %w", s.Source, onOneLine{err})
		}
		trackers = append(trackers, tracker)
	}
	t.mu.Lock()
	t.trackers = trackers
	t.mu.Unlock()
	select {
	case t.changed <- struct{}{}:
	default:
	}
	return nil
}

// run looks until ctx ends.
func (t *tracking) run(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case <-t.changed:
		default:
		}
		t.mu.Lock()
		trackers := t.trackers
		t.mu.Unlock()
		some, end := context.WithCancel(ctx)
		g, some := errgroup.WithContext(some)
		for _, tracker := range trackers {
			g.Go(func() error { return tracker.Run(some) })
		}
		select {
		case <-some.Done():
		case <-t.changed:
		}
		end()
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// status is what is known of the tracks of the member with that number.
func (t *tracking) status(member int) []track.State {
	t.mu.Lock()
	tracker := t.trackers[member]
	t.mu.Unlock()
	return tracker.Status().Tracks
}

// linkTracks watch the links that carry this router's own addresses.
func (s *Setup) linkTracks(identity string) (tracks []track.Track) {
	own := s.Links[0]
	if identity == IdentityBackup {
		own = s.Links[1]
	}
	for _, a := range own {
		tracks = append(tracks, track.Track{Name: "monitor_links " + a.String(), Source: &linkOf{addr: a, find: deviceOf}})
	}
	return tracks
}

// linkOf is the link that carries an address. As with Piranha an address that
// nothing carries is no trouble, and a link that has lost it is looked at still.
type linkOf struct {
	addr   netip.Addr
	find   func(netip.Addr) (device string, err error)
	device string // where it was found last
}

// Look finds the device and asks whether it is up.
func (l *linkOf) Look(ctx context.Context) error {
	device, err := l.find(l.addr)
	if err != nil {
		return err
	}
	if device != "" {
		l.device = device
	}
	if l.device == "" {
		return nil
	}
	return track.Device{Device: l.device}.Look(ctx)
}

// Watch tells when any device changes.
func (l *linkOf) Watch(ctx context.Context, changed func()) error {
	return track.Device{}.Watch(ctx, changed)
}

var _ track.Watcher = (*linkOf)(nil)

// deviceOf finds the device that carries an address, "" if none does.
func deviceOf(a netip.Addr) (string, error) {
	list, err := net.Interfaces()
	if err != nil {
		return "", err
	}
	for _, i := range list {
		addrs, err := i.Addrs()
		if err != nil {
			continue // it has gone meanwhile
		}
		for _, have := range addrs {
			if p, err := netip.ParsePrefix(have.String()); err == nil && p.Addr().Unmap() == a {
				return i.Name, nil
			}
		}
	}
	return "", nil
}
