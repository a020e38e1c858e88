package director

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lvskit/lvskit/failover/track"
)

// firstLook bounds how long the start waits for the first look at what is
// tracked.
const firstLook = 2 * time.Second

// tracking watches what an elector needs, and keeps it in fault while it lacks
// it; in a sync group one member's fault holds all.
type tracking struct {
	log     *slog.Logger
	target  track.Target
	changed chan struct{}

	mu      sync.Mutex
	names   []string // of the tracks
	tracker *track.Tracker
}

// faultOnly is a target whose priority is its own.
type faultOnly struct{ track.Target }

// newTracking readies the tracker of an elector.
func newTracking(log *slog.Logger, target track.Target, tracks []track.Track) (*tracking, error) {
	t := &tracking{log: log, target: target, changed: make(chan struct{}, 1)}
	return t, t.set(tracks)
}

// ready waits until everything was looked at once, or for a while, so that who
// must not serve does not begin to.
func (t *tracking) ready(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstLook)
	defer cancel()
	for !t.present().Status().Known {
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// set replaces the tracks, if they are others.
func (t *tracking) set(tracks []track.Track) error {
	names := make([]string, 0, len(tracks))
	for _, watched := range tracks {
		names = append(names, watched.Name)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tracker != nil && slices.Equal(names, t.names) {
		return nil
	}
	tracker, err := track.New(&track.Config{Tracks: tracks, Targets: []track.Target{faultOnly{t.target}}, Logger: t.log})
	if err != nil {
		return onOneLine{err}
	}
	t.names, t.tracker = names, tracker
	select {
	case t.changed <- struct{}{}:
	default:
	}
	return nil
}

func (t *tracking) present() *track.Tracker {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tracker
}

// run looks until ctx ends.
func (t *tracking) run(ctx context.Context) error {
	for ctx.Err() == nil {
		t.mu.Lock()
		select {
		case <-t.changed: // what it tells of is here
		default:
		}
		tracker := t.tracker
		t.mu.Unlock()
		one, end := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- tracker.Run(one) }()
		select {
		case <-ctx.Done():
		case <-t.changed:
		}
		end()
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}

// tracks are those of the elector of the given name.
func (s *Setup) tracks(router, identity string) []track.Track {
	tracks := s.linkTracks(identity)
	if r := s.router(router); r != nil {
		for _, device := range r.Track {
			tracks = append(tracks, track.Track{Name: "track_interface " + device, Source: track.Device{Device: device}})
		}
	}
	return tracks
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
