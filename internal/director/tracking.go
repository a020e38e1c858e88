package director

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
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
	wants   string // the dependence that the tracker is of
	tracker *track.Tracker

	weighing
}

// faultOnly is a target whose priority is its own.
type faultOnly struct{ track.Target }

// newTracking readies the tracker of an elector.
func newTracking(log *slog.Logger, target track.Target, all *weights, on dependence) (*tracking, error) {
	t := &tracking{log: log, target: target, changed: make(chan struct{}, 1), weighing: weighing{all: all}}
	return t, t.set(on)
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
func (t *tracking) set(on dependence) error {
	wants := on.String()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tracker != nil && wants == t.wants {
		return nil
	}
	tracker, err := track.New(&track.Config{Priority: on.priority, Tracks: on.tracks, Targets: []track.Target{t.feeds(on)}, Logger: t.log})
	if err != nil {
		return onOneLine{err}
	}
	t.wants, t.tracker = wants, tracker
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
	t.all.join(t)
	defer t.all.leave(t)
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

// dependence is what the elector of the given name depends on.
func (s *Setup) dependence(router, identity string) dependence {
	on := dependence{tracks: s.linkTracks(identity)}
	if r := s.router(router); r != nil {
		on.tracks = append(on.tracks, r.Tracks...)
		on.priority, on.group = r.priority(identity), r.SyncGroup
	}
	return on
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
