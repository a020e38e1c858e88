package ipvsadm

import (
	"fmt"
	"slices"

	"github.com/lvskit/lvskit/ipvs"
)

// Table plays the commands on an empty table and returns what a kernel would
// then hold: services in the order of their adding, the destinations of each
// newest first, which is how a kernel lists them and how schedulers walk
// them. [ipvs.Diff] from nothing to that table adds them in the order of the
// text again.
//
// Commands that change no entry (listings, timeouts, daemons) are passed
// over; they are for the caller to carry out. Commands that a kernel would
// refuse after those before them, such as a server for a service that is not
// there, are an [*Errors] that also is ipvs.ErrServiceNotFound or its like.
func Table(commands []Command) (ipvs.Table, error) {
	b := builder{services: map[ipvs.ServiceKey]*entry{}}
	var errs Errors
	for i := range commands {
		if err := b.play(&commands[i]); err != nil {
			errs.add(err)
		}
	}
	if err := errs.orNil(); err != nil {
		return nil, err
	}
	return b.table(), nil
}

// builder is a table in the making.
type builder struct {
	services map[ipvs.ServiceKey]*entry
	order    []*entry // those deleted included
}

type entry struct {
	service ipvs.Service
	at      *Command
	gone    bool
	// destinations are oldest first; a deleted one is invalid.
	destinations []ipvs.Destination
	index        map[ipvs.DestinationKey]placed
}

type placed struct {
	index int
	at    *Command
}

func (b *builder) play(c *Command) *SyntaxError {
	if c.Verb == Clear {
		clear(b.services)
		b.order = nil
		return nil
	}
	ch := &c.Change
	if ch.Op == 0 {
		return nil
	}
	key := ch.Service.Key
	e := b.services[key]
	switch {
	case ch.Op == ipvs.OpAddService && e != nil:
		return c.about(c.atService(), ipvs.ErrServiceExists, "service %v is there already, added at %v: change it with -E", key, e.at.Pos)
	case ch.Op == ipvs.OpAddService:
		e = &entry{service: ch.Service, at: c, index: map[ipvs.DestinationKey]placed{}}
		b.services[key] = e
		b.order = append(b.order, e)
		return nil
	case e == nil:
		return c.about(c.atService(), ipvs.ErrServiceNotFound, "%s", b.missing(key))
	}
	switch ch.Op {
	case ipvs.OpSetService:
		e.service = ch.Service
	case ipvs.OpDelService:
		e.gone = true
		delete(b.services, key)
	default:
		return e.play(c)
	}
	return nil
}

// play carries out a command on a destination.
func (e *entry) play(c *Command) *SyntaxError {
	d := c.Change.Destination
	old, found := e.index[d.Key]
	if c.Change.Op == ipvs.OpAddDestination {
		if found {
			return c.about(c.atServer(), ipvs.ErrDestinationExists, "server %v of %v is there already, added at %v: change it with -e", d.Key, e.service.Key, old.at.Pos)
		}
		e.index[d.Key] = placed{len(e.destinations), c}
		e.destinations = append(e.destinations, d)
		return nil
	}
	if !found {
		return c.about(c.atServer(), ipvs.ErrDestinationNotFound, "%s", e.missing(d.Key))
	}
	if c.Change.Op == ipvs.OpDelDestination {
		delete(e.index, d.Key)
		d = ipvs.Destination{}
	}
	e.destinations[old.index] = d
	return nil
}

// maxCompared bounds the search for what may have been meant.
const maxCompared = 1000

// missing says that a service is not there, and which one may be meant.
func (b *builder) missing(key ipvs.ServiceKey) string {
	name := key.String()
	var best *entry
	distance := 4 // characters that two different ones may differ by
	for _, e := range b.order[:min(len(b.order), maxCompared)] {
		if e.gone {
			continue
		}
		if d := editDistance(name, e.service.Key.String(), distance); d < distance {
			best, distance = e, d
		}
	}
	if best == nil {
		return fmt.Sprintf("service %v is not there: add it first with -A", key)
	}
	return fmt.Sprintf("service %v is not there: did you mean %v, added at %v?", key, best.service.Key, best.at.Pos)
}

func (e *entry) missing(key ipvs.DestinationKey) string {
	name := key.String()
	var best ipvs.DestinationKey
	distance := 4
	for _, d := range e.destinations[:min(len(e.destinations), maxCompared)] {
		if !d.Key.IsValid() {
			continue
		}
		if n := editDistance(name, d.Key.String(), distance); n < distance {
			best, distance = d.Key, n
		}
	}
	if !best.IsValid() {
		return fmt.Sprintf("server %v is not there in %v: add it first with -a", key, e.service.Key)
	}
	return fmt.Sprintf("server %v is not there in %v: did you mean %v, added at %v?", key, e.service.Key, best, e.index[best].at.Pos)
}

func (b *builder) table() ipvs.Table {
	t := make(ipvs.Table, 0, len(b.services))
	for _, e := range b.order {
		if e.gone {
			continue
		}
		ds := make([]ipvs.Destination, 0, len(e.index))
		for _, d := range slices.Backward(e.destinations) {
			if d.Key.IsValid() {
				ds = append(ds, d)
			}
		}
		t = append(t, ipvs.Entry{Service: e.service, Destinations: ds})
	}
	return t
}

func (c *Command) about(at Pos, err error, format string, args ...any) *SyntaxError {
	return &SyntaxError{Pos: at, Msg: fmt.Sprintf(format, args...), Err: err}
}

// atService and atServer return where the command names them. A command that
// was not parsed has no such place.
func (c *Command) atService() Pos { return c.place(c.serviceLine, c.serviceColumn) }
func (c *Command) atServer() Pos  { return c.place(c.serverLine, c.serverColumn) }

func (c *Command) place(line, column int) Pos {
	if column == 0 {
		return c.Pos
	}
	return Pos{File: c.Pos.File, Line: line, Column: column}
}
