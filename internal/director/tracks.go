package director

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/lvskit/lvskit/failover/track"
	"github.com/lvskit/lvskit/failover/vrrp"
	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/lvscf"
)

// tracksOf are what a vrrp block says that its router depends on.
func (s *Setup) tracksOf(b *lvscf.VRRP) ([]track.Track, error) {
	var tracks []track.Track
	for _, device := range b.TrackInterfaces {
		tracks = append(tracks, track.Track{Name: "track_interface " + device, Source: track.Device{Device: device}})
	}
	for _, d := range b.TrackWeights {
		tracks = append(tracks, track.Track{Name: "track_weight " + d.Device, Source: track.Device{Device: d.Device}, Weight: d.Weight})
	}
	used := make(map[string]bool)
	nobody := &lvscf.Virtual{}
	for i := range b.Checks {
		k := &b.Checks[i]
		t := track.Track{
			Name:   unique("check "+k.Name, used, func(n string) string { return n }),
			Weight: k.Weight, Interval: k.Interval, Timeout: k.Timeout, Rise: k.Rise, Fall: k.Fall,
		}
		if k.Kind == lvscf.CheckFile && k.Weight != 0 {
			// The number counts, not whether it is good.
			t.Source = track.File{Path: k.Path}
		} else {
			checker, err := s.question(nobody, k)
			if err == nil && k.Port == 0 && needsPort(k) {
				err = errors.New("it has no port to ask: write port = NUMBER")
			}
			if err != nil {
				return nil, fmt.Errorf("%s:%v: vrrp %s: check %s: %w", s.Source, cmp.Or(k.Pos, b.Pos), b.Name, k.Name, onOneLine{err})
			}
			t.Source = checkTrack{checker, health.Target{Addr: netip.AddrPortFrom(k.Address.Addr, k.Port), Name: k.Name}}
		}
		tracks = append(tracks, t)
	}
	if _, err := track.New(&track.Config{Tracks: tracks}); err != nil {
		return nil, fmt.Errorf("%s:%v: vrrp %s: %w", s.Source, b.Pos, b.Name, onOneLine{err})
	}
	return tracks, nil
}

// checkTrack is a check of the health of something that a router depends on.
type checkTrack struct {
	checker health.Checker
	target  health.Target
}

// Look asks once. What could not be asked is no good either.
func (c checkTrack) Look(ctx context.Context) error {
	if r := c.checker.Check(ctx, c.target); r.Verdict != health.OK {
		return errors.New(r.Reason)
	}
	return nil
}

// String says what is asked, for people.
func (c checkTrack) String() string {
	return c.checker.Identity() + " at " + c.target.Addr.Addr().String() + " " + strconv.Itoa(int(c.target.Addr.Port()))
}

// dependence is what an elector depends on: its tracks, the priority that their
// weights add to, and its sync group.
type dependence struct {
	tracks   []track.Track
	priority uint8
	group    string
}

// String tells dependences apart.
func (d dependence) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d %q", d.priority, d.group)
	for _, t := range d.tracks {
		fmt.Fprintf(&out, "; %q %d %v %v %d %d", t.Name, t.Weight, t.Interval, t.Timeout, t.Rise, t.Fall)
		if _, named := t.Source.(*linkOf); !named { // the name says it all
			fmt.Fprintf(&out, " %T %v", t.Source, t.Source)
		}
	}
	return out.String()
}

// weights are what tracks add to the priorities of all routers. Those of a sync
// group have the sum of all, as members that contradict each other would make a
// group of no opinion. The zero value is ready.
type weights struct {
	mu      sync.Mutex
	running map[*tracking]bool
}

// weighing is the part of one router in the weights, all of them under their
// lock.
type weighing struct {
	all   *weights
	base  uint8
	group string
	adds  int
}

func (w *weights) join(t *tracking) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running == nil {
		w.running = make(map[*tracking]bool)
	}
	w.running[t] = true
}

func (w *weights) leave(t *tracking) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running, t)
}

// feeds is the target of a tracker. The priority is left alone where nothing
// adds to it, nor did so before.
func (t *tracking) feeds(on dependence) track.Target {
	t.all.mu.Lock()
	defer t.all.mu.Unlock()
	t.base, t.group = on.priority, on.group
	weighs := slices.ContainsFunc(on.tracks, func(one track.Track) bool { return one.Weight != 0 })
	if to, ok := t.target.(track.PriorityTarget); ok && (weighs || t.adds != 0) {
		return weighed{to, t}
	}
	return faultOnly{t.target}
}

// weighed is a target whose priority is that of its group.
type weighed struct {
	track.PriorityTarget
	of *tracking
}

// SetPriority takes what the tracks of one router make of its priority.
func (w weighed) SetPriority(priority uint8) { w.of.all.set(w.of, priority) }

func (w *weights) set(of *tracking, priority uint8) {
	w.mu.Lock()
	defer w.mu.Unlock()
	of.adds = int(priority) - int(of.base)
	together := []*tracking{of}
	sum := of.adds
	for t := range w.running {
		if t != of && of.group != "" && t.group == of.group {
			together = append(together, t)
			sum += t.adds
		}
	}
	for _, t := range together {
		if to, ok := t.target.(track.PriorityTarget); ok {
			to.SetPriority(uint8(min(max(int(t.base)+sum, 1), vrrp.PriorityOwner-1)))
		}
	}
}
