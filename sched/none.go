package sched

// none is a service without a scheduler: nothing is picked. Source of the
// rule: ip_vs_schedule in net/netfilter/ipvs/ip_vs_core.c.
type none struct{}

func bindNone(*view, Options) (algorithm, error) { return none{}, nil }

func (none) added(*view)                     {}
func (none) edited(*view)                    {}
func (none) removed(*view, int)              {}
func (none) pick(Flow, Flags, *cell) *Server { return nil }
