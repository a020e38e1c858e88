package sched

import "sync/atomic"

// scan is the part of the schedulers that remember nothing and look at every
// server for each pick. They hold no lock meanwhile: a count that changes
// during a pick counts as it was or as it is.
type scan struct {
	list  atomic.Pointer[view]
	rules Rules
}

func (s *scan) bind(v *view, o Options) {
	s.rules = o.Rules
	s.list.Store(v)
}

func (s *scan) added(v *view)          { s.list.Store(v) }
func (s *scan) edited(*view)           {}
func (s *scan) removed(v *view, _ int) { s.list.Store(v) }

// at returns the server at a place, nil for -1.
func (v *view) at(i int) *Server {
	if i < 0 {
		return nil
	}
	return v.servers[i]
}
