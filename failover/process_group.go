package failover

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// This file is what a Group does in a beat process.

// distant lets routers in a beat process move together: the group is made there.
func (g *Group) distant() error {
	g.apart = true
	d := &distantGroup{name: g.name}
	for _, r := range g.routers {
		r.group = g
		d.members = append(d.members, r.remote)
		r.remote.group = d
	}
	return nil
}

// distantGroup are members that are a Group in the process.
type distantGroup struct {
	name    string
	members []*remote
	told    *link // that knows of it; under the mutex of the Beat
}

// groupSpec describes a group to another process.
type groupSpec struct {
	Name    string                 `json:"name"`
	Members map[uint64]*memberSpec `json:"members"`
}

// begin tells a process of the group, once. first begins to run, and its mutex
// is held.
func (g *distantGroup) begin(l *link, first *remote) {
	if g.told == l {
		return
	}
	g.told = l
	s := groupSpec{Name: g.name, Members: make(map[uint64]*memberSpec)}
	for _, m := range g.members {
		if m != first {
			m.mu.Lock()
		}
		s.Members[m.id] = m.describe()
		if m != first {
			m.mu.Unlock()
		}
	}
	body, err := json.Marshal(&s)
	if err == nil {
		err = l.put(&note{Kind: noteGroup, Body: body})
	}
	if err != nil && !gone(err) {
		for _, m := range g.members {
			m.finish(fmt.Errorf("failover: hand group %q to the beat process: %w", g.name, err))
		}
	}
}

// unite makes the members of a group, before the first of them runs.
func (k *keeper) unite(n *note) error {
	var s groupSpec
	if err := unpack(n, &s); err != nil {
		return err
	}
	var routers []*Router
	made := make(map[uint64]*ward)
	for _, id := range slices.Sorted(maps.Keys(s.Members)) {
		w := &ward{id: id, keeper: k}
		if s.Members[id] == nil || s.Members[id].Router == nil {
			return fmt.Errorf("%w: group %q has a member that is no router", errBroken, s.Name)
		}
		if err := w.make(s.Members[id]); err != nil {
			return err
		}
		made[id], routers = w, append(routers, w.router)
	}
	if _, err := NewGroup(s.Name, routers...); err != nil {
		return err
	}
	maps.Copy(k.ready, made)
	return nil
}

// renew brings a member of a group that was made before to what it is now.
func (w *ward) renew(s *memberSpec) error {
	if s.Router == nil {
		return fmt.Errorf("%w: it was a router", errBroken)
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseLimit)
	defer cancel()
	if w.owner != nil && s.Addresses != nil {
		if err := w.own(ctx, s.Addresses); err != nil {
			return err
		}
	}
	return w.router.Reconfigure(ctx, s.Router)
}
