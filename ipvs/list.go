package ipvs

import (
	"context"
	"errors"
	"iter"
	"slices"
	"syscall"
)

// Service reads one service; [ErrServiceNotFound] if it is not there.
func (c *Client) Service(ctx context.Context, key ServiceKey) (ServiceState, error) {
	var s ServiceState
	err := validateServiceKey(key)
	if err == nil {
		err = c.begin(ctx)
	}
	if err == nil {
		s, err = c.doService(ctx, key)
		c.end()
	}
	if err != nil {
		return ServiceState{}, &OpError{Op: OpGetService, Service: key, Err: err}
	}
	return s, nil
}

func (c *Client) doService(ctx context.Context, key ServiceKey) (s ServiceState, err error) {
	err = c.doQuery(ctx, cmdGetService, func(b []byte) []byte { return appendKeyNest(b, key) }, func(m message) error {
		v, err := m.find(attrService)
		if err != nil {
			return err
		}
		return decodeService(v, &s)
	})
	return s, err
}

// Services yields all services, in no order that means anything. An error
// ends it.
//
// The table is read as a whole before the first service is yielded: other
// calls of the client are free in the loop, and the reading is short. The
// kernel hands out a long listing in parts, and loses or repeats entries when
// the table changes in between. So one of more than some eighty entries is
// read until two readings agree, of which the first may be that of an earlier
// call: in a table that rests that costs nothing. If ten do not agree the
// error is [ErrTableChanging]. Services that no [ServiceKey] can name, such as
// one with a protocol above 255 that another program made, are passed over.
func (c *Client) Services(ctx context.Context) iter.Seq2[ServiceState, error] {
	return func(yield func(ServiceState, error) bool) {
		var list []ServiceState
		err := c.begin(ctx)
		if err == nil {
			list, err = c.doServices(ctx)
			c.end()
		}
		if err != nil {
			yield(ServiceState{}, &OpError{Op: OpListServices, Err: err})
			return
		}
		for _, s := range list {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// Destinations yields the destinations of a service in the kernel's order,
// newest first; [ErrServiceNotFound] if the service is not there. What
// [Client.Services] says about reading holds here too.
func (c *Client) Destinations(ctx context.Context, of ServiceKey) iter.Seq2[DestinationState, error] {
	return func(yield func(DestinationState, error) bool) {
		var list []DestinationState
		err := validateServiceKey(of)
		if err == nil {
			err = c.begin(ctx)
		}
		if err == nil {
			list, err = c.doDestinations(ctx, of, nil)
			c.end()
		}
		if err != nil {
			yield(DestinationState{}, &OpError{Op: OpListDestinations, Service: of, Err: err})
			return
		}
		for _, d := range list {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// Snapshot reads the whole table, ordered by service. It takes one listing
// for the services and one for the destinations of each, each of which is
// whole (see [Client.Services]); but other programs may come between two. A
// service that goes away during the reading is left out, as is one that Services
// passes over.
func (c *Client) Snapshot(ctx context.Context) (Snapshot, error) {
	if err := c.begin(ctx); err != nil {
		return nil, &OpError{Op: OpListServices, Err: err}
	}
	defer c.end()
	services, err := c.doServices(ctx)
	if err != nil {
		return nil, &OpError{Op: OpListServices, Err: err}
	}
	slices.SortFunc(services, func(a, b ServiceState) int { return a.Key.Compare(b.Key) })
	snap := make(Snapshot, 0, len(services))
	// Short lists share their memory in blocks, which grow with the table.
	// Each is read into what is left of a block; if that is too little,
	// append moves it to a larger one of its own.
	var room []DestinationState
	total, last := 0, 0
	for _, s := range services {
		if cap(room) < last {
			room = make([]DestinationState, 0, max(min(total/4, maxBlock), last))
		}
		list, err := c.doDestinations(ctx, s.Key, room[:0])
		if errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return nil, &OpError{Op: OpListDestinations, Service: s.Key, Err: err}
		}
		last = len(list)
		total += last
		room = list[last:]
		if list = list[:last:last]; last == 0 {
			list = []DestinationState{}
		}
		snap = append(snap, EntryState{Service: s, Destinations: list})
	}
	return snap, nil
}

// maxBlock bounds how many destinations share a block of memory, and so what
// is left over of the last.
const maxBlock = 1024

// doServices lists the services for the holder of the turn.
func (c *Client) doServices(ctx context.Context) ([]ServiceState, error) {
	return readWhole(ctx, c, nil, ServiceKey{}, func(s *ServiceState) ServiceKey { return s.Key }, hashServiceKey, c.dumpServices)
}

func (c *Client) dumpServices(ctx context.Context, list []ServiceState) ([]ServiceState, int, error) {
	var foreign int
	var odd error
	parts, err := c.doDump(ctx, cmdGetService, nil, func(m message) error {
		v, err := m.find(attrService)
		if err != nil {
			return err
		}
		list = append(list, ServiceState{})
		err = decodeService(v, &list[len(list)-1])
		if errors.Is(err, errNoKey) {
			list = list[:len(list)-1]
			foreign, odd = foreign+1, err
			return nil
		}
		return err
	})
	if foreign > 0 {
		c.log.Debug("ipvs: passed over services that no key can name", "services", foreign, "last", odd)
	}
	return list, parts, err
}

// doDestinations lists the destinations of a service for the holder of the
// turn, into the space of list.
func (c *Client) doDestinations(ctx context.Context, of ServiceKey, list []DestinationState) ([]DestinationState, error) {
	list, err := readWhole(ctx, c, list, of, func(d *DestinationState) DestinationKey { return d.Key }, hashAddrPort,
		func(ctx context.Context, list []DestinationState) ([]DestinationState, int, error) {
			parts, err := c.doDump(ctx, cmdGetDest, func(b []byte) []byte { return appendKeyNest(b, of) }, func(m message) error {
				v, err := m.find(attrDest)
				if err != nil {
					return err
				}
				list = append(list, DestinationState{})
				return decodeDestination(v, of.Is6(), &list[len(list)-1])
			})
			return list, parts, err
		})
	if err == nil && len(list) == 0 {
		// The kernel answers for a service that it does not have just like
		// for one without destinations.
		_, err = c.doService(ctx, of)
	}
	return list, err
}

// doDump sends a listing request and passes on what comes. It tells in how
// many parts that came: the kernel resumes by index, so only a listing in more
// than one can be torn.
func (c *Client) doDump(ctx context.Context, cmd uint8, body func(b []byte) []byte, data func(message) error) (parts int, err error) {
	seq := c.request(cmd, nlDump, body)
	err = reading(c.exchange(ctx, seq, seq, untilDone, data))
	return c.parts, err
}
