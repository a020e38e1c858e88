package convert

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lvskit/lvskit/lvscf"
)

// routeOptions are words of a route of keepalived's that lvs.cf leaves to the
// kernel, each with one value behind it.
var routeOptions = []string{
	"scope", "proto", "protocol", "mtu", "hoplimit", "advmss", "rtt", "rttvar", "reordering", "window", "cwnd", "ssthresh", "rto_min", "initcwnd", "initrwnd",
	"quickack", "congctl", "pref", "features", "fastopen_no_cookie", "track_group",
}

// routes reads the lines of a list of routes.
func (im *importer) routes(p place, s *statement) (out []lvscf.Route) {
	inside := p.in(s)
	for _, line := range s.body {
		r, ok := inside.route(line)
		switch {
		case !ok:
		case im.seenRoutes[r.Place()]:
			inside.lose(line, "another route leads there with the same metric and table", "the first one counts; give this one another metric")
		default:
			im.seenRoutes[r.Place()] = true
			out = append(out, r)
		}
	}
	return out
}

// route reads one line. What only shapes the packets is lost by itself, and
// what leads them elsewhere with the whole route.
func (p place) route(s *statement) (r lvscf.Route, ok bool) {
	whole := func(what string) (lvscf.Route, bool) {
		p.lose(s, fmt.Sprintf("a route of lvs.cf has one gateway or device, and no %q", what), "master_cmd and backup_cmd with programs that set it; the route was left out")
		return lvscf.Route{}, false
	}
	var to string
	var said, options []string
	device, untracked := false, false
	words := append([]string{s.name}, s.words...)
	next := func() (w string) {
		if len(words) > 0 {
			w, words = words[0], words[1:]
		}
		return w
	}
	for len(words) > 0 {
		word := next()
		switch {
		case word == "unicast" || word == "to":
		case word == "no_track":
			untracked = true
		case word == "via" || word == "gw":
			gateway := next()
			if gateway == "inet" || gateway == "inet6" {
				gateway = next()
			}
			said = append(said, "via", gateway)
		case word == "dev" || word == "oif":
			device = true
			said = append(said, "dev", next())
		case word == "src" || word == "table":
			said = append(said, word, next())
		case word == "metric" || word == "priority" || word == "preference":
			said = append(said, "metric", next())
		case slices.Contains(routeOptions, word):
			options = append(options, word+" "+next())
		case to != "" || strings.Trim(word, "0123456789abcdefABCDEF.:/") != "" && word != "default" && word != "default6":
			return whole(word)
		default:
			to = word
		}
	}
	if to == "default6" {
		to = "::/0"
	}
	if err := r.UnmarshalText([]byte(strings.Join(append([]string{to}, said...), " "))); err != nil {
		p.lose(s, "no route that lvs.cf can hold: "+errors.Unwrap(err).Error(), braced(s.text(), "mend it; the route was left out"))
		return r, false
	}
	for _, o := range options {
		p.loseAs(s, s.name+" ... "+o, "the kernel chooses that by itself", "the rest of the route was taken")
	}
	if untracked && device { // keepalived tracks none without a device
		p.loseAs(s, s.name+" ... no_track", "a route that somebody removes is put back", "leave it out")
	}
	return r, true
}

// staticRoutes are for a lone router; beside a vrrp_instance they stay where they
// are while the routes of lvs.cf move.
func (im *importer) staticRoutes(top place, s *statement) {
	if len(im.cfg.VRRPs) > 0 {
		top.lose(s, "the routes of lvs.cf move with the addresses", "the network configuration of the system")
		return
	}
	im.cfg.Routes = append(im.cfg.Routes, im.routes(top, s)...)
}

// routes writes a list of routes. Of one without a device keepalived complains
// unless it is told not to track it.
func (e *exporter) routes(list []lvscf.Route) {
	for _, r := range list {
		line := r.String()
		if r.Device == "" {
			line += " no_track"
		}
		e.line("%s", line)
	}
}

// giveRoutes gives the routes of the global section to the instances: each to the
// one on its device, or else to the first.
func giveRoutes(carriers []*carrier, list []lvscf.Route) {
	for _, route := range list {
		to := carriers[0]
		var on []*carrier
		for _, c := range carriers {
			if route.Device != "" && c.vrrp.Interface == route.Device {
				on = append(on, c)
			}
		}
		if len(on) == 1 {
			to = on[0]
		}
		to.vrrp.Routes = append(slices.Clip(to.vrrp.Routes), route)
	}
}
