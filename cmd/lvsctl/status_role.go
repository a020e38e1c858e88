package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lvskit/lvskit/internal/control"
)

// writeElection says what this router hears and what is wrong with it: the
// channels of a pair, or the routers of VRRP.
func writeElection(w io.Writer, r *control.Role, now time.Time) {
	for _, ch := range r.Channels {
		writeChannel(w, &ch, r.Partner != nil && r.Partner.Alive, now)
	}
	for i := range r.Routers {
		writeRouter(w, &r.Routers[i], now)
	}
	what := "heartbeats refused"
	if len(r.Routers) > 0 {
		what = "adverts refused"
	}
	for _, reason := range slices.Sorted(maps.Keys(r.Refused)) {
		text := reason
		switch reason {
		case "unproven":
			text += " (a few are normal when a router starts)"
		case "bad-vrid":
			text += " (those of other virtual routers on the same link; no trouble)"
		}
		if at, known := r.RefusedAt[reason]; known {
			text += ", last " + agoText(at, now)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\n", what, r.Refused[reason], text)
	}
	if why := r.PartnerRefused; why != "" {
		fmt.Fprintf(w, "\tTROUBLE\tthe partner's heartbeats are refused (%s): both routers may be active\n", why)
	}
	if r.Rival {
		cure := ""
		if len(r.Routers) > 0 {
			// One that heard us would give way, or we would.
			cure = ": the other one does not hear this one: let protocol 112 in at its firewall, and look at the way there"
		}
		fmt.Fprintf(w, "\tTROUBLE\tboth routers are active%s\n", cure)
	}
	if r.Error != "" {
		fmt.Fprintf(w, "\tTROUBLE\t%s\n", r.Error)
	}
	if r.Legacy {
		fmt.Fprintf(w, "\tLEGACY\tthe heartbeats are Piranha's, which are not authenticated: run lvsctl on both routers, and leave --legacy out\n")
	}
	if r.HandOver != "" {
		fmt.Fprintf(w, "hand-over\t\t%s\n", r.HandOver)
	}
	for _, s := range r.Sightings {
		times := "once"
		if s.Count > 1 {
			times = fmt.Sprintf("%d times", s.Count)
		}
		fmt.Fprintf(w, "%s\t%s\t%s, last %s: %s\n", strings.Replace(s.Kind, "-", " ", 1), times, s.Address, agoText(s.At, now), s.Reason)
	}
	for _, t := range r.Tracked {
		writeTracked(w, &t)
	}
	writeBeat(w, &r.Beat, now)
}

// writeTracked says whether something is there that is needed.
func writeTracked(w io.Writer, t *control.Tracked) {
	state := "ok"
	switch {
	case !t.OK:
		state = "FAILS"
	case t.Since == nil:
		state = "not known yet"
	}
	name := t.Name
	if t.Router != "" {
		name += " (vrrp " + t.Router + ")"
	}
	if t.Error != "" {
		name += ": " + t.Error
	}
	fmt.Fprintf(w, "tracked\t%s\t%s\n", state, name)
}

// writeBeat says where the election runs, and what is lost there.
func writeBeat(w io.Writer, b *control.Beat, now time.Time) {
	switch {
	case b.Mode == "":
		return // an older daemon
	case b.Mode == "inline":
		fmt.Fprintf(w, "election\tinline\tin the daemon: %s\n", b.Reason)
	case b.PID == 0:
		fmt.Fprintf(w, "election\tTROUBLE\tthere is no beat process at the moment: %s\n", b.Error)
	default:
		locked := ", memory may be paged out"
		if b.MemoryLocked {
			locked = ", memory locked"
		}
		since := ""
		if b.Since != nil {
			since = ", since " + now.Sub(*b.Since).Round(time.Second).String()
		}
		again := ""
		if b.Starts > 1 {
			again = fmt.Sprintf(", started %d times", b.Starts)
		}
		if b.Error != "" {
			again += " (" + b.Error + ")"
		}
		fmt.Fprintf(w, "election\tprocess\tpid %d%s, %s%s%s\n", b.PID, since, b.Priority, locked, again)
	}
	for _, l := range b.Limits {
		fmt.Fprintf(w, "\tLIMITED\t%s\n", l)
	}
}

// writeChannel says whether the partner is heard there; who is heard elsewhere
// should be.
func writeChannel(w io.Writer, ch *control.Channel, alive bool, now time.Time) {
	state := "silent"
	switch {
	case ch.Up:
		state = "heard"
	case alive:
		state = "SILENT"
	}
	detail := ch.Error
	if detail == "" && ch.LastHeard != nil {
		detail = "last " + agoText(*ch.LastHeard, now)
	}
	fmt.Fprintf(w, "heartbeat %s\t%s\t%s -> %s %s\n", ch.Name, state, ch.Local, ch.Peer, detail)
}

// writeRouter says how one router of VRRP stands, whom it heard, and what is
// wrong.
func writeRouter(w io.Writer, r *control.Router, now time.Time) {
	fmt.Fprintf(w, "vrrp %s\t%s\tsince %v: %s\n", r.Name, r.Role, now.Sub(r.Since).Round(time.Second), r.Reason)
	from, group := "", ""
	if r.Group != "" {
		group = ", with its group " + r.Group
	}
	if r.Source != "" {
		from = " from " + r.Source
	}
	fmt.Fprintf(w, "\tpriority %d\tvrid %d on %s%s, version %d, an advert every %v, gone after %v%s\n", r.Priority, r.VRID, r.Device, from, r.Version,
		msText(r.IntervalMS), msText(r.DownMS), group)
	if r.Active != "" && r.Role != "active" {
		fmt.Fprintf(w, "\tactive\t%s with priority %d\n", r.Active, r.ActivePriority)
	}
	for _, p := range r.Peers {
		stopped := ""
		if p.Priority == 0 {
			stopped = ", and said that it stops"
		}
		fmt.Fprintf(w, "\theard\t%s with priority %d, version %d, every %v, last %s%s\n", p.Address, p.Priority, p.Version, msText(p.IntervalMS),
			agoText(p.LastHeard, now), stopped)
		for _, m := range p.Mismatch {
			fmt.Fprintf(w, "\tDIFFERS\t%s\n", m)
		}
	}
	if len(r.Addresses) > 0 {
		held := "not held here"
		if r.AddressesHeld {
			held = "held here"
		}
		fmt.Fprintf(w, "\t%s\t%s\n", held, strings.Join(r.Addresses, ", "))
	}
	for _, route := range r.Routes {
		fmt.Fprintf(w, "\troute\t%s\n", route)
	}
	if r.Error != "" {
		fmt.Fprintf(w, "\tTROUBLE\t%s\n", r.Error)
	}
}

func msText(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

func agoText(at, now time.Time) string { return fmt.Sprintf("%.1f s ago", now.Sub(at).Seconds()) }
