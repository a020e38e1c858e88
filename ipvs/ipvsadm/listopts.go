package ipvsadm

import "github.com/lvskit/lvskit/ipvs"

// ListOptions say what a listing shows, as the options of `ipvsadm -L`.
type ListOptions struct {
	// Service restricts the listing to one service; the zero value lists all.
	Service ipvs.ServiceKey
	// Numeric leaves out names. [WriteList] writes numbers in any case.
	Numeric bool
	// Exact writes counters and rates in full, where otherwise 123456789 is
	// 123456K.
	Exact bool
	// Of Stats, Rate, Thresholds, PersistentConn and TunInfo the first that
	// is set, in this order, counts.
	Stats, Rate, Thresholds, PersistentConn, TunInfo bool
	// NoSort keeps the order of the table.
	NoSort bool
	// Connections, Timeouts or Daemons asks for another listing than that of
	// the table; at most one of them is set.
	Connections, Timeouts, Daemons bool
}

// list reads the options of -L. What excludes what is as the real program
// has it; options that only lose against others do no harm.
func (p *parser) list(c *Command) *SyntaxError {
	o := &ListOptions{
		Numeric:        p.seen(optNumeric),
		Exact:          p.seen(optExact),
		Stats:          p.seen(optStats),
		Rate:           p.seen(optRate),
		Thresholds:     p.seen(optThresholds),
		PersistentConn: p.seen(optPersistentConn),
		TunInfo:        p.seen(optTunInfo),
		NoSort:         p.seen(optNoSort),
		Connections:    p.seen(optConnection),
		Timeouts:       p.seen(optTimeout),
		Daemons:        p.seen(optDaemon),
	}
	c.List = o
	for _, other := range []optionID{optConnection, optTimeout, optDaemon} {
		if !p.seen(other) {
			continue
		}
		for _, id := range []optionID{optService, optConnection, optTimeout, optDaemon, optStats, optRate, optThresholds, optPersistentConn} {
			if id == other || !p.seen(id) || id == optPersistentConn && other == optConnection {
				continue
			}
			return p.errorf(p.given[id].at, "option %s does not go with %s", p.given[id].flag(), p.given[other].flag())
		}
	}
	if p.seen(optService) {
		var err *SyntaxError
		if c.Service, err = p.serviceKey(); err != nil {
			return err
		}
		o.Service = c.Service
	}
	return nil
}
