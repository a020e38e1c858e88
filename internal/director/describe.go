package director

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/pool"
	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/ipvs"
)

// describe writes the status document. It belongs to the loop's goroutine.
func (d *Director) describe(p *polled) *control.Status {
	table := d.loop.rec.Status()
	st := &control.Status{
		Schema: control.StatusSchema, Version: d.cfg.Version, PID: os.Getpid(), Started: d.started,
		Config: control.Config{
			Source: d.setup.Source, Serial: d.setup.Serial, Digest: hex.EncodeToString(d.setup.Digest[:]),
			Loaded: d.loaded, ReloadError: d.reloadError,
		},
		Dataplane: control.Dataplane{Kind: d.cfg.DataplaneKind, Reason: d.cfg.DataplaneReason, Changes: table.Changes},
		Role:      d.describeRole(p),
		Services:  make([]control.Service, 0, len(d.setup.Services)),
		Notes:     append([]string{}, d.setup.Notes...),
	}
	st.Notes = append(st.Notes, d.pending()...)
	if table.Err != nil {
		st.Dataplane.Error = table.Err.Error()
	}
	if d.timeoutErr != "" {
		st.Notes = append(st.Notes, "the connection time-outs are not those of the configuration: "+d.timeoutErr)
	}
	if d.closedPaths() {
		st.Notes = append(st.Notes, pathsNote)
	}
	switch lacking := p.lacking(); {
	case lacking:
		d.lacked = true
	case d.lacked: // what was missing is there now
		d.addressErr, d.lacked = "", false
	}
	if d.addressErr != "" {
		st.Notes = append(st.Notes, "floating addresses: "+d.addressErr)
	}
	if text := d.staticErr.Load(); text != nil && *text != "" {
		st.Notes = append(st.Notes, *text)
	}
	if table.OwnershipErr != nil {
		st.Notes = append(st.Notes, table.OwnershipErr.Error()+": a service that leaves the configuration while the daemon is down would stay in the table")
	}
	if why := d.loop.wave.Why(); why != "" {
		st.Notes = append(st.Notes, why)
	}
	for i := range d.setup.Services {
		v := &d.setup.Services[i]
		here, in := d.loop.rec.Entry(v.Service.Key)
		st.Services = append(st.Services, d.loop.describeService(v, here, in, d.monitor))
		s := &st.Services[len(st.Services)-1]
		d.loads.describe(v, s.Servers)
		if !s.InTable {
			s.Reason += ", not in the table: " + d.loop.whyAbsent(v, table.Err)
		}
	}
	return st
}

func (l *loop) describeService(v *VirtualService, entry ipvs.Entry, in bool, monitor *health.Monitor) control.Service {
	here := destinations(entry, in)
	s := control.Service{Name: v.Name, Key: v.Service.Key, InTable: in, Servers: make([]control.Server, 0, len(v.Servers))}
	g, decided := l.groups[v.Name]
	if !decided {
		// A router that does not serve tells what it would do.
		g = v.group(l.facts, pool.Group{}, here, time.Now())
	}
	s.Quorum = control.Quorum{State: g.Quorum.String(), Live: g.Live, Need: g.Need, Why: g.Why()}
	if decided {
		s.Quorum.Since = &g.Since
	}
	i, up := 0, 0
	for r := range v.each() {
		dst, in := here[r.Destination.Key]
		srv := control.Server{
			Name: r.Name, Address: r.Target.Addr.String(), State: health.Up.String(), Reason: "not checked",
			InTable: in, Weight: dst.Weight, Results: []control.Result{},
		}
		if r.Checker != nil {
			h, _ := monitor.State(WatchID(v.Name, r.Name))
			describeState(&srv, h)
			srv.Check = r.Checker.Identity()
		}
		d := g.Members[i]
		d.Reason = srv.Reason
		srv.Why = d.Why()
		if decided {
			srv.WhySince = &d.Since
		}
		if k := l.servers[WatchID(v.Name, r.Name)]; k != nil && k.lent != health.Unknown {
			srv.Why += fmt.Sprintf("; until it answers here it counts as %v, as the partner found it", k.lent)
		}
		if held, ok := l.wave.Held(WatchID(v.Name, r.Name)); ok {
			srv.Why = fmt.Sprintf("still counts as %v: %s", held, l.wave.Why())
		}
		if i < len(v.Servers) {
			s.Servers = append(s.Servers, srv)
			if srv.State == health.Up.String() {
				up++
			}
		} else {
			s.SorryServers = append(s.SorryServers, srv)
			s.SorryUsed = s.SorryUsed || in
		}
		i++
	}
	s.Reason = fmt.Sprintf("%d of %d servers up", up, len(v.Servers))
	var sorry []string
	for _, r := range v.Sorry {
		sorry = append(sorry, r.Destination.Key.String())
	}
	s.Sorry = strings.Join(sorry, ", ")
	return s
}

// describeState tells the state of a server by its checks.
func describeState(srv *control.Server, h health.WatchState) {
	srv.State, srv.Reason = h.State.String(), whyState(h)
	if !h.Since.IsZero() {
		since := h.Since
		srv.Since = &since
	}
	srv.Good, srv.Bad, srv.NoticedMS = h.OKs, h.Fails, millis(h.WorstDetection)
	for _, res := range h.History {
		srv.Results = append(srv.Results, describeResult(res))
	}
}

// names finds the configuration's names of services and destinations.
func (s *Setup) names() func(ipvs.ServiceKey, ipvs.DestinationKey) string {
	type pair struct {
		s ipvs.ServiceKey
		d ipvs.DestinationKey
	}
	m := make(map[pair]string)
	for _, v := range s.Services {
		m[pair{s: v.Service.Key}] = v.Name
		for r := range v.each() {
			m[pair{v.Service.Key, r.Destination.Key}] = r.Name
		}
	}
	return func(s ipvs.ServiceKey, d ipvs.DestinationKey) string { return m[pair{s, d}] }
}

// whyState says why a server is what it is: by the newest answer that agrees
// with its state, since a server may be down for another reason than it went
// down for, and with what came after.
func whyState(h health.WatchState) string {
	reason := h.Reason
	if h.Last == nil {
		if reason == "" {
			return "not asked yet"
		}
		return reason
	}
	switch {
	case h.Last.Verdict == health.OK && h.State == health.Up, h.Last.Verdict == health.Fail && h.State == health.Down:
		return h.Last.Reason
	case reason == "":
		return h.Last.Reason
	}
	return reason + "; last answer: " + h.Last.Reason
}
