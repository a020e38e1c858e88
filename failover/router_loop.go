package failover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

const (
	// advertBuffer takes the longest advert that there can be, with the
	// longest IP header and a trailer.
	advertBuffer = 60 + 8 + vrrp.MaxAddrs*16 + vrrp.TrailerSize
	// drainLimit bounds how many packets are read before a timer is looked at:
	// a flood must not stop the clock.
	drainLimit = 1024
	// linkPoll is how soon a device that works again is noticed where nobody
	// tells of it.
	linkPoll = 100 * time.Millisecond
	// stallEvery limits EventStalled.
	stallEvery = time.Minute
)

// socket says what socket the router wants. The caller holds mu.
func (r *Router) socket() AdvertSocket {
	return AdvertSocket{
		Device: r.cfg.Device, Source: r.cfg.Source, Virtual: r.notSources(), Group: vrrp.Group(r.cfg.six()), Peers: r.cfg.Peers,
	}
}

// open opens the socket and starts the machine, or ends the fault that the
// want of a socket was.
func (r *Router) open(ctx context.Context) error {
	r.opening.Lock()
	defer r.opening.Unlock()
	r.mu.Lock()
	transport, socket, leaving := r.cfg.Transport, r.socket(), r.leaving
	r.mu.Unlock()
	if leaving {
		return nil // a device without the addresses that are let go is not ours by that
	}
	conn, err := transport.ListenAdverts(ctx, socket)
	if err == nil && r.virtual != nil {
		conn, err = r.virtual.wrap(conn)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock()
	if err != nil {
		r.setConnErr(err, now)
		return err
	}
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), conn.Close())
	}
	r.conn, r.arrivals.emptyAt = conn, now
	r.step(vrrp.Event{Kind: vrrp.EventSource, Source: conn.Source()}, now)
	r.setConnErr(conn.Check(), now)
	if !r.leaving {
		r.step(vrrp.Event{Kind: vrrp.EventStart}, now)
	}
	return nil
}

// notSources are the addresses that are no source of adverts: those of an owner
// are its own.
func (r *Router) notSources() []netip.Addr {
	if r.cfg.Priority == vrrp.PriorityOwner {
		return nil
	}
	return r.cfg.Addresses
}

// setConnErr notes what is the matter with socket and device, nil if nothing
// is. The caller holds mu.
func (r *Router) setConnErr(err error, now time.Duration) {
	was := r.connErr
	r.connErr = err
	switch {
	case err != nil && (was == nil || was.Error() != err.Error()):
		r.events.emit(Event{Kind: EventChannelTrouble, Channel: r.cfg.Device, Err: err})
	case err == nil && was != nil:
		r.events.emit(Event{Kind: EventChannelMended, Channel: r.cfg.Device})
	}
	r.judgeFault(now)
}

// broken closes a socket that is of no more use; receive opens another. The
// caller holds mu.
func (r *Router) broken(conn AdvertConn, err error, now time.Duration) {
	if r.conn != conn {
		return
	}
	r.conn = nil
	r.setConnErr(err, now)
	_ = conn.Close() // nothing is buffered in it
}

// receive reads until ctx ends, opening the socket again when it breaks.
func (r *Router) receive(ctx context.Context) {
	stop := context.AfterFunc(ctx, r.close)
	defer stop()
	defer r.close()
	pause, flood := firstRetry, false
	for ctx.Err() == nil {
		r.mu.Lock()
		conn := r.conn
		r.mu.Unlock()
		if conn != nil {
			err := conn.Wait()
			r.mu.Lock()
			if err != nil {
				if ctx.Err() == nil {
					r.broken(conn, fmt.Errorf("failover: receive: %w", err), r.clock())
				}
			} else if r.conn == conn {
				flood = !r.drain()
			}
			r.mu.Unlock()
			if flood {
				// A process of real-time priority would have the machine.
				flood = false
				time.Sleep(time.Millisecond)
			}
			if err == nil {
				pause = firstRetry
			}
			continue
		}
		if !awaitRetry(ctx, pause, r.changed) {
			return
		}
		pause = min(2*pause, lastRetry)
		_ = r.open(ctx) // told by itself
	}
}

// notice looks at the device, or tries to open the socket, when something has
// changed.
func (r *Router) notice(ctx context.Context) {
	r.mu.Lock()
	transport := r.cfg.Transport
	r.mu.Unlock()
	noticeChanges(ctx, transport, func() { nudge(r.changed); r.wakeLoop() })
}

func (r *Router) close() {
	r.mu.Lock()
	conn := r.conn
	r.conn = nil
	r.mu.Unlock()
	if conn != nil {
		_ = conn.Close() // nothing is buffered in it
	}
}

// drain takes in all packets that have arrived. They are read and judged under
// mu, so whoever holds mu and has drained has seen all that there is. It reports
// false if there are too many for that.
func (r *Router) drain() bool {
	for range drainLimit {
		if r.conn == nil {
			return true
		}
		before := r.clock()
		p, ok, err := r.conn.Receive(r.in)
		if err != nil {
			r.broken(r.conn, fmt.Errorf("failover: receive: %w", err), r.clock())
			return true
		}
		if !ok {
			r.arrivals.emptyAt = before
			return true
		}
		r.take(&p)
	}
	return false
}

// loop passes time to the machine until the router has left.
//
// Silence is never found before the socket is drained, and packets count from
// when the kernel had them. If the loop itself wakes late by more than an
// interval the machine is told of the stall, as then there may be packets that
// nobody has seen yet. It wakes once an interval also as a backup, to notice
// that, and a device that goes down and up.
func (r *Router) loop(ctx context.Context) {
	timer := newAlarm(r.cfg.Transport)
	defer timer.Stop()
	cancelled := ctx.Done()
	planned := r.clock()
	for {
		leave := ctx.Err() != nil && cancelled != nil
		if leave {
			r.opening.Lock()
		}
		r.mu.Lock()
		now := r.clock()
		pace := min(r.cfg.Interval, r.machine.Interval())
		if late := now - planned; late > pace {
			r.stalled(late, now)
		}
		if leave {
			cancelled, r.leaving = nil, true
			r.opening.Unlock()
			r.step(vrrp.Event{Kind: vrrp.EventStop}, now)
			r.judgeRole(now)
		}
		if r.conn != nil {
			err := r.conn.Check()
			if r.again && err == nil {
				err = r.sendErr
			}
			r.again = false
			switch {
			case errors.Is(err, fs.ErrNotExist):
				r.broken(r.conn, err, now)
			case err != nil || r.connErr != nil:
				r.setConnErr(err, now)
			}
		}
		if r.machine.Next() <= now {
			r.drain()
			if now = r.clock(); r.machine.Next() <= now {
				r.step(vrrp.Event{Kind: vrrp.EventTick}, now)
			}
		}
		r.anticipate(now)
		wake := pace
		if r.connErr != nil {
			wake = linkPoll
		}
		planned = min(r.machine.Next(), now+wake)
		r.mu.Unlock()

		timer.Set(r.start.Add(planned))
		select {
		case <-timer.Rings():
		case <-r.poke:
		case <-cancelled:
		case <-r.effects.done:
			return
		}
	}
}

// anticipate lets the effects prepare a take-over, once for each silence, when an
// advert is overdue or the active router stops. The caller holds mu.
func (r *Router) anticipate(now time.Duration) {
	next := r.machine.Next()
	if r.role != RoleBackup || next == r.anticipated || next-now > r.machine.DownInterval()-3*r.cfg.Interval/2 {
		return
	}
	r.anticipated = next
	r.effects.prepare()
}

func (r *Router) stalled(late, now time.Duration) {
	r.stalls++
	if r.stallAt == 0 || now-r.stallAt >= stallEvery {
		r.stallAt = now
		r.events.emit(Event{Kind: EventStalled, Reason: fmt.Sprintf(
			"this router stood still for %v and waits longer before it believes a silence; give it more processor time, or use a longer interval", late.Round(time.Millisecond))})
	}
	r.step(vrrp.Event{Kind: vrrp.EventStall}, now)
}
