package ipvs

import (
	"cmp"
	"context"
	"syscall"
)

// AddService adds a service; [ErrServiceExists] if it is there.
func (c *Client) AddService(ctx context.Context, s Service) error {
	return c.change(ctx, Change{Op: OpAddService, Service: s})
}

// SetService makes an existing service equal to s in all but its key;
// [ErrServiceNotFound] if it is not there. Destinations and connections stay.
func (c *Client) SetService(ctx context.Context, s Service) error {
	return c.change(ctx, Change{Op: OpSetService, Service: s})
}

// DelService deletes a service with its destinations; [ErrServiceNotFound] if
// it is not there.
func (c *Client) DelService(ctx context.Context, key ServiceKey) error {
	return c.change(ctx, Change{Op: OpDelService, Service: Service{Key: key}})
}

// AddDestination adds a destination to a service; [ErrDestinationExists] if it
// is there, [ErrServiceNotFound] if the service is not.
func (c *Client) AddDestination(ctx context.Context, of ServiceKey, d Destination) error {
	return c.change(ctx, Change{Op: OpAddDestination, Service: Service{Key: of}, Destination: d})
}

// SetDestination makes an existing destination equal to d in all but its key;
// [ErrDestinationNotFound] if it is not there, [ErrServiceNotFound] if the
// service is not. Its connections stay.
func (c *Client) SetDestination(ctx context.Context, of ServiceKey, d Destination) error {
	return c.change(ctx, Change{Op: OpSetDestination, Service: Service{Key: of}, Destination: d})
}

// DelDestination deletes a destination; [ErrDestinationNotFound] if it is not
// there, [ErrServiceNotFound] if the service is not.
func (c *Client) DelDestination(ctx context.Context, of ServiceKey, d DestinationKey) error {
	return c.change(ctx, Change{Op: OpDelDestination, Service: Service{Key: of}, Destination: Destination{Key: d}})
}

func (c *Client) change(ctx context.Context, ch Change) error {
	if err := c.doChange(ctx, &ch); err != nil {
		return changeError(&ch, err)
	}
	return nil
}

func changeError(ch *Change, err error) *OpError {
	e := &OpError{Op: ch.Op, Service: ch.Service.Key, Err: err}
	if ch.Op.onDestination() {
		e.Destination = ch.Destination.Key
	}
	return e
}

func (c *Client) doChange(ctx context.Context, ch *Change) error {
	if err := ch.Validate(); err != nil {
		return err
	}
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	return c.sendChange(ctx, ch)
}

// sendChange is doChange for the holder of the turn.
func (c *Client) sendChange(ctx context.Context, ch *Change) error {
	seq := c.nextSeq()
	var err error
	if c.wbuf, err = appendChange(c.wbuf[:0], c.family, seq, ch); err != nil {
		return err
	}
	setAck(c.wbuf, 0)
	return outcome(c.exchange(ctx, seq, seq, untilAck, nil))
}

// command sends one message with a body and waits for its acknowledgement.
func (c *Client) command(ctx context.Context, cmd uint8, body func(b []byte) []byte) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	seq := c.request(cmd, nlAck, body)
	return outcome(c.exchange(ctx, seq, seq, untilAck, nil))
}

// request puts one message into c.wbuf.
func (c *Client) request(cmd uint8, flags uint16, body func(b []byte) []byte) (seq uint32) {
	seq = c.nextSeq()
	c.wbuf = appendMessage(c.wbuf[:0], c.family, cmd, familyVersion, flags, seq)
	if body != nil {
		c.wbuf = body(c.wbuf)
	}
	c.wbuf = endMessage(c.wbuf, 0)
	return seq
}

// query sends one message and reads the one answer.
func (c *Client) query(ctx context.Context, cmd uint8, body func(b []byte) []byte, data func(message) error) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	return c.doQuery(ctx, cmd, body, data)
}

// doQuery is query for the holder of the turn.
func (c *Client) doQuery(ctx context.Context, cmd uint8, body func(b []byte) []byte, data func(message) error) error {
	seq := c.request(cmd, 0, body)
	return reading(c.exchange(ctx, seq, seq, untilData, data))
}

// Timeouts reads the connection timeouts. One whose protocol the kernel lacks
// is zero.
func (c *Client) Timeouts(ctx context.Context) (Timeouts, error) {
	var t Timeouts
	err := c.query(ctx, cmdGetConfig, nil, func(m message) (err error) {
		t, err = decodeTimeouts(&m)
		return err
	})
	if err != nil {
		return Timeouts{}, &OpError{Op: OpGetTimeouts, Err: err}
	}
	return t, nil
}

// SetTimeouts sets those timeouts that are not zero. The kernel refuses, as
// [ErrInvalid], what overflows 31 bits of its timer ticks: from 24 days on at
// 1000 ticks a second.
func (c *Client) SetTimeouts(ctx context.Context, t Timeouts) error {
	err := t.Validate()
	if err == nil {
		err = c.command(ctx, cmdSetConfig, func(b []byte) []byte { return appendTimeouts(b, t) })
	}
	if err != nil {
		return &OpError{Op: OpSetTimeouts, Err: err}
	}
	return nil
}

// Info reads the kernel's version of IPVS and the size of its connection table.
func (c *Client) Info(ctx context.Context) (Info, error) {
	var i Info
	err := c.query(ctx, cmdGetInfo, nil, func(m message) (err error) {
		i, err = decodeInfo(&m)
		return err
	})
	if err != nil {
		return Info{}, &OpError{Op: OpInfo, Err: err}
	}
	return i, nil
}

// Zero sets the counters of a service and of its destinations to zero;
// [ErrServiceNotFound] if it is not there. Connection counts stay.
func (c *Client) Zero(ctx context.Context, key ServiceKey) error {
	err := validateServiceKey(key)
	if err == nil {
		err = c.command(ctx, cmdZero, func(b []byte) []byte { return appendKeyNest(b, key) })
	}
	if err != nil {
		return &OpError{Op: OpZero, Service: key, Err: err}
	}
	return nil
}

// ZeroAll sets all counters of the namespace to zero, the totals too.
func (c *Client) ZeroAll(ctx context.Context) error {
	if err := c.command(ctx, cmdZero, nil); err != nil {
		return &OpError{Op: OpZeroAll, Err: err}
	}
	return nil
}

// DeleteEverything deletes all services of the namespace, other programs'
// too, which cuts what they balance. Nothing in this module calls it on its
// own account; to go from one table to another use [Diff] and [Client.Apply].
func (c *Client) DeleteEverything(ctx context.Context) error {
	if err := c.command(ctx, cmdFlush, nil); err != nil {
		return &OpError{Op: OpDeleteEverything, Err: err}
	}
	return nil
}

// StartSync starts a sync daemon; [ErrSyncRunning] if one with its role runs
// already, [ErrNoInterface] if the network device is not there. While a daemon
// runs the kernel takes no destination of another family than its service's,
// and starts none while it has such a destination ([ErrInvalid]).
func (c *Client) StartSync(ctx context.Context, d SyncDaemon) error {
	err := d.Validate()
	if err == nil {
		err = c.command(ctx, cmdNewDaemon, func(b []byte) []byte { return appendSyncDaemon(b, &d) })
	}
	if err != nil {
		return &OpError{Op: OpStartSync, Err: err}
	}
	return nil
}

// StopSync stops the sync daemon of a role; [ErrSyncNotRunning] if none runs.
func (c *Client) StopSync(ctx context.Context, r SyncRole) error {
	err := r.validate()
	if err == nil {
		err = c.begin(ctx)
	}
	if err == nil {
		err = c.doStopSync(ctx, r)
		c.end()
	}
	if err != nil {
		return &OpError{Op: OpStopSync, Err: err}
	}
	return nil
}

// doStopSync does not wait for an acknowledgement. A thread that is stopped
// before it first ran ends with EINTR, seen on Linux 6.1 and 6.12, for which
// netlink sends no answer at all (netlink_rcv_skb in af_netlink.c), although
// the daemon is gone. So a harmless question travels behind the command: once
// it is answered, an error of the command has come before.
func (c *Client) doStopSync(ctx context.Context, r SyncRole) error {
	stop := c.nextSeq()
	c.wbuf = appendMessage(c.wbuf[:0], c.family, cmdDelDaemon, familyVersion, 0, stop)
	c.wbuf = endMessage(appendSyncRole(c.wbuf, r), 0)
	start, question := len(c.wbuf), c.nextSeq()
	c.wbuf = appendMessage(c.wbuf, c.family, cmdGetInfo, familyVersion, 0, question)
	c.wbuf = endMessage(c.wbuf, start)
	var refused error
	err := c.exchangeBatch(ctx, stop, question, untilData,
		func(message) error { return nil },
		func(_ uint32, errno syscall.Errno) { refused = errno })
	return cmp.Or(refused, outcome(err))
}

// SyncDaemons reads which sync daemons run: none, one, or one of each role.
// Kernels before 4.3 tell only role, interface and id.
func (c *Client) SyncDaemons(ctx context.Context) ([]SyncDaemon, error) {
	if err := c.begin(ctx); err != nil {
		return nil, &OpError{Op: OpListSync, Err: err}
	}
	defer c.end()
	var list []SyncDaemon
	_, err := c.doDump(ctx, cmdGetDaemon, nil, func(m message) error {
		v, err := m.find(attrDaemon)
		if err != nil {
			return err
		}
		list = append(list, SyncDaemon{})
		return decodeSyncDaemon(v, &list[len(list)-1])
	})
	if err != nil {
		return nil, &OpError{Op: OpListSync, Err: err}
	}
	return list, nil
}
