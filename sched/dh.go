package sched

// dh names a server by the destination address, and picks none when that one
// may take no connection. Weights matter only as 0 or not. Source of the
// rule: net/netfilter/ipvs/ip_vs_dh.c.
type dh struct {
	table
	width int
}

func bindDH(v *view, o Options) (algorithm, error) {
	d := &dh{width: o.DHBits}
	d.fill(v)
	return d, nil
}

func (d *dh) added(v *view)          { d.fill(v) }
func (d *dh) edited(*view)           {}
func (d *dh) removed(v *view, _ int) { d.fill(v) }

func (d *dh) fill(v *view) {
	t := &slots{view: v}
	if n := len(v.servers); n > 0 {
		t.index = make([]uint32, 1<<d.width)
		for k := range t.index {
			t.index[k] = uint32(k % n)
		}
	}
	d.now.Store(t)
}

func (d *dh) pick(f Flow, _ Flags, avoid *cell) *Server {
	t := d.now.Load()
	if len(t.index) == 0 {
		return nil
	}
	return t.at(hash32(fold(f.Service.Addr()), d.width), avoid)
}
