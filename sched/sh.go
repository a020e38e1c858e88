package sched

// sh names a server by the source address, to each as many slots in a row as
// its weight. Source of the rule: net/netfilter/ipvs/ip_vs_sh.c.
type sh struct {
	table
	width int
}

func bindSH(v *view, o Options) (algorithm, error) {
	s := &sh{width: o.SHBits}
	s.fill(v)
	return s, nil
}

func (s *sh) added(v *view)          { s.fill(v) }
func (s *sh) edited(v *view)         { s.fill(v) }
func (s *sh) removed(v *view, _ int) { s.fill(v) }

func (s *sh) fill(v *view) {
	t := &slots{view: v}
	if len(v.servers) > 0 {
		t.index = make([]uint32, 1<<s.width)
		server, given := 0, int32(0)
		for k := range t.index {
			t.index[k] = uint32(server)
			// A server of weight 0 has got one slot when it is noticed.
			if given++; given >= v.cells[server].weight.Load() {
				server, given = (server+1)%len(v.servers), 0
			}
		}
	}
	s.now.Store(t)
}

func (s *sh) pick(f Flow, flags Flags, avoid *cell) *Server {
	t := s.now.Load()
	if len(t.index) == 0 {
		return nil
	}
	h := hash32(clientPort(&f, flags)+fold(f.Client.Addr()), s.width)
	d := t.at(h, avoid)
	if d != nil || flags&FlagFallback == 0 {
		return d
	}
	// The search begins at twice the hash, not at the slot that was tried:
	// the offset, which already begins at the hash, is added to it.
	mask := uint32(len(t.index) - 1)
	for o := range uint32(len(t.index)) {
		if d := t.at((o+h+h)&mask, avoid); d != nil {
			return d
		}
	}
	return nil
}
