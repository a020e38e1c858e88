package convert

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lvskit/lvskit/lvscf"
)

// trackable is a vrrp_script or a track_file that instances may watch.
type trackable struct {
	at    *statement
	check lvscf.Check // one without a kind cannot be carried, which was told
	used  bool
}

// Bounds of what a router depends on: those of the director.
const (
	longestTrack   = time.Hour
	mostTrackTurns = 100
	mostWeight     = 253
)

// vrrpScript reads a program that instances may watch.
func (im *importer) vrrpScript(top place, s *statement) {
	p := top.in(s)
	t := &trackable{at: s, check: lvscf.NewCheck(im.blockName(p, s, s.word(0)))}
	k := &t.check
	k.Kind, k.Interval = "", time.Second
	duration := func(to *time.Duration) func(*statement) {
		return func(s *statement) {
			if n, ok := p.number(s, 0, 1, int64(maxTimer/time.Second)); ok {
				d := time.Duration(n) * time.Second
				if d > longestTrack {
					p.lose(s, "a router asks at least once an hour", "an hour was taken")
				}
				*to = min(d, longestTrack)
			}
		}
	}
	turns := func(to *int) func(*statement) {
		return func(s *statement) {
			if n, ok := p.number(s, 0, 1, 1<<31-1); ok {
				if n > mostTrackTurns {
					p.lose(s, fmt.Sprintf("a router counts up to %d turns", mostTrackTurns), strconv.Itoa(mostTrackTurns)+" was taken")
				}
				*to = int(min(n, mostTrackTurns))
			}
		}
	}
	p.each(s.body, inScript, handlers{
		"script": func(s *statement) {
			if cmd, ok := p.command(s); ok {
				k.Kind, k.Command = lvscf.CheckScript, cmd
			}
		},
		"interval": duration(&k.Interval), "timeout": duration(&k.Timeout),
		"rise": turns(&k.Rise), "fall": turns(&k.Fall),
		"weight": func(s *statement) { k.Weight, _ = p.trackWeight(s, s.words, 0) },
	})
	im.scripts[s.word(0)] = t
}

// trackFile reads a file with a number that instances and servers may watch.
func (im *importer) trackFile(top place, s *statement) {
	p := top.in(s)
	t := &trackable{at: s, check: lvscf.NewCheck(im.blockName(p, s, s.word(0)))}
	k := &t.check
	k.Kind, k.Weight, k.Interval = "", 1, time.Second
	p.each(s.body, inTrackFile, handlers{
		"file": func(s *statement) {
			if path, ok := p.text(s); ok && strings.HasPrefix(path, "/") {
				k.Kind, k.Path = lvscf.CheckFile, path
			} else if ok {
				p.lose(s, "a file is named by its whole path", "write it from / on")
			}
		},
		"weight": func(s *statement) { k.Weight, _ = p.trackWeight(s, s.words, 1) },
	})
	im.trackFiles[s.word(0)] = t
}

// trackWeight reads a weight and perhaps the word reverse. Without a weight it
// is the default.
func (p place) trackWeight(s *statement, words []string, or int) (weight int, ok bool) {
	if len(words) == 0 {
		return or, true
	}
	n, err := strconv.Atoi(words[0])
	switch {
	case err != nil || n < -mostWeight || n > mostWeight:
		p.lose(s, fmt.Sprintf("a weight is a whole number of -%d to %d", mostWeight, mostWeight), fmt.Sprintf("the weight %d was taken", or))
		return or, false
	case len(words) > 1 && words[1] == "reverse":
		p.lose(s, "a check counts as it is, and not the other way round", "a program of your own that exits with 0 when the other one does not; the weight was taken without it")
	}
	return n, true
}

// watched is a line of a track list: what it names, with its own weight.
type watched struct {
	line   *statement
	weight *int // nil is the default of what it names
}

func (p place) watchedLines(s *statement) (lines []watched) {
	for _, line := range s.body {
		w := watched{line: line}
		words := line.words
		if len(words) > 0 && words[0] == "weight" {
			if n, ok := p.trackWeight(line, words[1:], 0); ok {
				w.weight = &n
			}
		} else if len(words) > 0 {
			p.loseAs(line, line.text(), "keepalived knows no such word here", "weight, and a number of -253 to 253")
		}
		lines = append(lines, w)
	}
	return lines
}

// tracks are the handlers of what a router depends on. Those of a group are the
// first member's: in a group all fail together, and have the sum of all
// weights.
func (im *importer) tracks(p place, r func() *lvscf.VRRP) handlers {
	each := func(do func(inside place, w watched, r *lvscf.VRRP)) func(*statement) {
		return func(s *statement) {
			inside := p.in(s)
			for _, w := range inside.watchedLines(s) {
				if to := r(); to != nil {
					do(inside, w, to)
				} else {
					inside.lose(w.line, "the group has no vrrp_instance", "nothing was carried")
				}
			}
		}
	}
	named := func(all map[string]*trackable, block string) func(inside place, w watched, r *lvscf.VRRP) {
		return func(inside place, w watched, r *lvscf.VRRP) {
			t := all[w.line.name]
			if t == nil {
				inside.lose(w.line, "there is no "+block+" of that name", "nothing was carried")
				return
			}
			t.used = true
			k := t.check
			if w.weight != nil {
				k.Weight = *w.weight
			}
			switch {
			case k.Kind == "":
				inside.lose(w.line, "its "+block+" could not be carried", "nothing was carried")
			case k.Kind == lvscf.CheckFile && k.Weight == 0:
				inside.lose(w.line, "with the weight 0 any number but 0 is a fault, and a check of kind file takes 0 for bad", "a check of kind script with the command /usr/bin/grep -qx 0 "+k.Path)
			default:
				r.Checks = append(r.Checks, k)
			}
		}
	}
	return handlers{
		"track_script": each(named(im.scripts, "vrrp_script")),
		"track_file":   each(named(im.trackFiles, "track_file")),
		"track_interface": each(func(inside place, w watched, r *lvscf.VRRP) {
			one := *w.line
			one.words = []string{w.line.name}
			switch d, ok := inside.device(&one, 0); {
			case !ok:
			case w.weight != nil && *w.weight != 0:
				r.TrackWeights = append(r.TrackWeights, lvscf.DeviceWeight{Device: d, Weight: *w.weight})
			default:
				r.TrackInterfaces = append(r.TrackInterfaces, d)
			}
		}),
	}
}

// weightless does what keepalived does to the members of a sync group: what
// they watch themselves is a fault there and changes no priority.
func (im *importer) weightless(p place, s *statement, r *lvscf.VRRP) {
	for _, d := range r.TrackWeights {
		p.loseAs(s, "weight of track_interface "+d.String()+" of "+r.Name, "in a sync group keepalived takes it for 0, so that a failure is a fault", "track_interface was taken; with track_weight all routers of the group change their priority")
		r.TrackInterfaces = append(r.TrackInterfaces, d.Device)
	}
	r.TrackWeights = nil
	kept := r.Checks[:0]
	for _, k := range r.Checks {
		switch {
		case k.Weight == 0:
		case k.Kind == lvscf.CheckFile:
			p.loseAs(s, "track_file "+k.Name+" of "+r.Name, "in a sync group keepalived takes its weight for 0, and then any number but 0 is a fault", "a check of kind script with the command /usr/bin/grep -qx 0 "+k.Path)
			continue
		default:
			p.loseAs(s, fmt.Sprintf("weight %d of track_script %s of %s", k.Weight, k.Name, r.Name), "in a sync group keepalived takes it for 0, so that a failure is a fault", "weight = 0 was taken; with another one all routers of the group change their priority")
			k.Weight = 0
		}
		kept = append(kept, k)
	}
	r.Checks = kept
}

// unusedTracks tells of what nobody watches.
func (im *importer) unusedTracks(top place) {
	for _, all := range []map[string]*trackable{im.scripts, im.trackFiles} {
		for _, t := range all {
			if !t.used {
				top.lose(t.at, "no vrrp_instance watches it", "leave it out, or name it in a vrrp_instance")
			}
		}
	}
}

// tracked writes the programs and files that instances watch. Their names are of
// the whole file, those of checks of one block.
func (e *exporter) tracked(carriers []*carrier) {
	taken := map[string]bool{}
	size := map[string]int{}
	for _, c := range carriers {
		size[c.vrrp.SyncGroup]++
	}
	for _, c := range carriers {
		c.tracks, c.weighs = map[string][]string{}, map[string][]string{}
		grouped := c.vrrp.SyncGroup != "" && size[c.vrrp.SyncGroup] > 1
		c.tracks["track_interface"] = append(c.tracks["track_interface"], c.vrrp.TrackInterfaces...)
		for _, d := range c.vrrp.TrackWeights {
			into := c.tracks
			if grouped {
				into = c.weighs
			}
			into["track_interface"] = append(into["track_interface"], fmt.Sprintf("%s weight %d", d.Device, d.Weight))
		}
		for _, k := range c.vrrp.Checks {
			n := name(k.Name)
			for i := 2; taken[n]; i++ {
				n = name(fmt.Sprintf("%s-%d", k.Name, i))
			}
			into := c.tracks
			if k.Weight != 0 && grouped {
				into = c.weighs
			}
			switch {
			case k.Kind == lvscf.CheckScript && k.Command != "" && plainCommand(k.Command) && k.Expect == "":
				e.section("vrrp_script "+n, func() {
					e.text("script", trackCommand(&k))
					// keepalived has whole seconds here.
					whole := func(d time.Duration) time.Duration { return (d + time.Second - 1) / time.Second }
					e.line("interval %d", whole(cmp.Or(k.Interval, time.Second)))
					if k.Timeout > 0 {
						e.line("timeout %d", whole(k.Timeout))
					}
					if k.Rise > 1 {
						e.line("rise %d", k.Rise)
					}
					if k.Fall > 1 {
						e.line("fall %d", k.Fall)
					}
					if k.Weight != 0 {
						e.line("weight %d", k.Weight)
					}
				})
				into["track_script"] = append(into["track_script"], n)
			case k.Kind == lvscf.CheckFile && k.Weight != 0:
				e.section("track_file "+n, func() {
					e.text("file", k.Path)
					e.line("weight %d", k.Weight)
				})
				into["track_file"] = append(into["track_file"], n)
			default:
				continue
			}
			taken[n] = true
		}
	}
}

// trackLists are the lists of what is watched.
var trackLists = []string{"track_interface", "track_script", "track_file"}

// trackList writes the lines of some of them.
func (e *exporter) trackList(names map[string][]string) {
	for _, list := range trackLists {
		e.block(list, func() {
			for _, n := range names[list] {
				e.line("%s", n)
			}
		})
	}
}

// trackCommand is the program of a check with whom it asks.
func trackCommand(k *lvscf.Check) string {
	return withTarget(k.Command, &lvscf.Server{Address: k.Address, Port: k.Port})
}

// canonicalTracks brings the checks of vrrp blocks into one form for all that
// means the same. In a sync group it does not matter which of its routers has a check with a
// weight.
func canonicalTracks(blocks []lvscf.VRRP) []lvscf.VRRP {
	blocks = slices.Clone(blocks)
	first := map[string]*lvscf.VRRP{}
	moved := map[string][]lvscf.Check{}
	devices := map[string][]lvscf.DeviceWeight{}
	for i := range blocks {
		r := &blocks[i]
		group := r.SyncGroup
		if group != "" && first[group] == nil {
			first[group] = r
		}
		var own []lvscf.Check
		for _, k := range r.Checks {
			canonicalTrack(&k)
			if group != "" && k.Weight != 0 {
				moved[group] = append(moved[group], k)
			} else {
				own = append(own, k)
			}
		}
		r.Checks = own
		if group != "" {
			devices[group] = append(devices[group], r.TrackWeights...)
			r.TrackWeights = nil
		}
	}
	for group, r := range first {
		r.TrackWeights = devices[group]
		r.Checks = append(r.Checks, moved[group]...)
	}
	return blocks
}

// canonicalTrack is one check.
func canonicalTrack(k *lvscf.Check) {
	k.Name, k.Origins, k.Pos = "", nil, lvscf.Pos{}
	k.Interval = cmp.Or(k.Interval, time.Second)
	if k.Timeout == max(k.Interval, time.Second) {
		k.Timeout = 0 // what it is anyway
	}
	if k.Kind == lvscf.CheckScript {
		k.Command = trackCommand(k)
		k.Address, k.Port = lvscf.Host{}, 0
	}
	k.Rise, k.Fall = max(k.Rise, 1), max(k.Fall, 1)
	// What has no effect there.
	k.FastInterval, k.DownInterval, k.StartState, k.UseWeight, k.Through = 0, 0, 0, false, 0
}
