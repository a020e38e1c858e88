package ipvs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// ProbeFeatures finds out what the running kernel's IPVS can do, by trying it
// in a network namespace of its own that is gone afterwards: nobody's table is
// touched. It makes services and destinations there, starts and stops a sync
// daemon, and sends a few connections over that namespace's loopback.
//
// It needs CAP_SYS_ADMIN and CAP_NET_ADMIN ([ErrNotPermitted]). Asking for a
// scheduler makes the kernel load its module, which stays loaded.
func ProbeFeatures(ctx context.Context) (Features, error) {
	var f Features
	var err error
	onSpareThread(func() { err = probe(ctx, &f) })
	if err != nil {
		if _, ok := errors.AsType[*OpError](err); !ok {
			err = &OpError{Op: OpProbe, Err: err}
		}
		return Features{}, err
	}
	return f, nil
}

// onSpareThread runs f on a thread that ends with it, whatever f did to it.
func onSpareThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		// The first thread of a process never ends, and what /proc/self
		// shows is its. Hold it, and f runs on another.
		defer runtime.UnlockOSThread()
		onSpareThread(f)
	}()
	<-done
}

// What the probe uses in its namespace.
var (
	probeVIP  = netip.MustParseAddrPort("127.0.0.2:80")
	probeVIP6 = netip.MustParseAddrPort("[fd00::2]:80")
	probeReal = netip.MustParseAddrPort("127.0.0.3:80")
)

// probe runs on a thread that it may move.
func probe(ctx context.Context, f *Features) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("bring up the loopback of a new network namespace: %w", err)
	}
	c, err := Dial(ctx, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, part := range []func(context.Context, *Client, *Features) error{probeNames, probeAttributes, probeSync, probeOverhead} {
		if err := part(ctx, c, f); err != nil {
			return err
		}
		if err := c.DeleteEverything(ctx); err != nil {
			return err
		}
	}
	return nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// can tells whether err is nil, or an error that means the kernel has no such
// thing.
func can(err error, without ...error) (bool, error) {
	for _, w := range without {
		if errors.Is(err, w) {
			return false, nil
		}
	}
	return err == nil, err
}

func probeNames(ctx context.Context, c *Client, f *Features) error {
	key := TCPService(probeVIP)
	try := func(s Service) (bool, error) {
		s.Key = key
		has, err := can(c.AddService(ctx, s), ErrSchedulerNotFound)
		if has {
			err = c.DelService(ctx, key)
		}
		return has, err
	}
	for _, name := range schedulerNames {
		has, err := try(Service{Scheduler: name})
		if err != nil {
			return err
		}
		if has {
			f.Schedulers = append(f.Schedulers, name)
		}
	}
	if len(f.Schedulers) == 0 {
		return errors.New("no scheduler could be loaded")
	}
	first := f.Schedulers[0]
	for _, name := range engineNames {
		has, err := try(Service{Scheduler: first, Persistence: time.Minute, Engine: name})
		if err != nil {
			return err
		}
		if has {
			f.Engines = append(f.Engines, name)
		}
	}
	has, err := can(c.AddService(ctx, Service{Key: TCPService(probeVIP6), Scheduler: first}), ErrNotSupported)
	f.IPv6 = has
	return err
}

// probeAttributes looks which attributes the kernel reports.
func probeAttributes(ctx context.Context, c *Client, f *Features) error {
	key := TCPService(probeVIP)
	if err := c.AddService(ctx, Service{Key: key, Scheduler: f.Schedulers[0]}); err != nil {
		return err
	}
	if err := c.AddDestination(ctx, key, Destination{Key: probeReal, Forward: Tunnel, Weight: 1}); err != nil {
		return err
	}
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	named := func(b []byte) []byte { return appendKeyNest(b, key) }
	err := c.doQuery(ctx, cmdGetService, named, func(m message) (err error) {
		return m.present(attrService, map[uint16]*bool{svcStats64: &f.Stats64})
	})
	if err != nil {
		return err
	}
	_, err = c.doDump(ctx, cmdGetDest, named, func(m message) error {
		return m.present(attrDest, map[uint16]*bool{dstFamily: &f.MixedFamilies, dstTunType: &f.TunnelTypes, dstTunFlags: &f.TunnelFlags})
	})
	return err
}

// present notes which attributes of a nest the message has.
func (m *message) present(nest uint16, which map[uint16]*bool) error {
	v, err := m.find(nest)
	if err != nil {
		return err
	}
	a := attributes{b: v}
	for {
		typ, _, ok := a.next()
		if !ok {
			return a.err
		}
		if has := which[typ]; has != nil {
			*has = true
		}
	}
}

func probeSync(ctx context.Context, c *Client, f *Features) error {
	const port = 8849 // not the default
	if err := c.StartSync(ctx, SyncDaemon{Role: SyncBackup, Interface: "lo", Port: port}); err != nil {
		return err
	}
	list, err := c.SyncDaemons(ctx)
	f.SyncOptions = len(list) == 1 && list[0].Port == port
	return errors.Join(err, c.StopSync(ctx, SyncBackup))
}

// probeWait bounds the wait for a connection to be counted.
const probeWait = 5 * time.Second

// probeOverhead lets wlc choose between a destination of weight 256 with one
// active connection, first in the list, and one of weight 1 with one inactive
// connection. By the older formula both have the load 1, and the first wins;
// by the newer one the first has 257/256 and the second wins.
func probeOverhead(ctx context.Context, c *Client, f *Features) error {
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	key := TCPService(probeVIP)
	if has, err := can(c.AddService(ctx, Service{Key: key, Scheduler: "wlc"}), ErrSchedulerNotFound); !has {
		return err
	}
	var at [2]netip.AddrPort
	for i := range at {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		at[i] = l.Addr().(*net.TCPAddr).AddrPort()
	}
	busy, idle := at[0], at[1]
	weigh := func(op Op, busyWeight, idleWeight int) error {
		return c.Apply(ctx, []Change{ // the last to come is the first in the list
			{Op: op, Service: Service{Key: key}, Destination: Destination{Key: idle, Weight: idleWeight}},
			{Op: op, Service: Service{Key: key}, Destination: Destination{Key: busy, Weight: busyWeight}},
		})
	}
	// until waits for a destination to have so many connections.
	until := func(reached func(busy, idle DestinationState) bool) error {
		for {
			var got [2]DestinationState
			for d, err := range c.Destinations(ctx, key) {
				if err != nil {
					return err
				}
				if d.Key == idle {
					got[1] = d
				} else {
					got[0] = d
				}
			}
			if reached(got[0], got[1]) {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("connections over the loopback of a new network namespace are not counted as expected: %w", ctx.Err())
			case <-time.After(time.Millisecond):
			}
		}
	}
	dial := func() (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp4", probeVIP.String())
	}

	if err := weigh(OpAddDestination, 256, 0); err != nil {
		return err
	}
	first, err := dial()
	if err != nil {
		return err
	}
	defer first.Close()
	if err := until(func(busy, _ DestinationState) bool { return busy.Active == 1 }); err != nil {
		return err
	}
	if err := weigh(OpSetDestination, 0, 1); err != nil {
		return err
	}
	second, err := dial()
	if err != nil {
		return err
	}
	second.Close()
	if err := until(func(_, idle DestinationState) bool { return idle.Active == 0 && idle.Inactive == 1 }); err != nil {
		return err
	}
	if err := weigh(OpSetDestination, 256, 1); err != nil {
		return err
	}
	third, err := dial()
	if err != nil {
		return err
	}
	defer third.Close()
	return until(func(busy, idle DestinationState) bool {
		switch {
		case busy.Active == 2:
			f.Overhead = OlderOverhead
		case idle.Active == 1:
			f.Overhead = NewerOverhead
		}
		return f.Overhead != UnknownOverhead
	})
}
