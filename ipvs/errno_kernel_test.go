//go:build linux && kernel

package ipvs

import (
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/lab"
)

// attrs are attributes by number, to be written in the order of their numbers.
type attrs map[uint16][]byte

func (a attrs) with(typ uint16, v []byte) attrs {
	a = maps.Clone(a)
	a[typ] = v
	return a
}

func (a attrs) without(typ uint16) attrs {
	a = maps.Clone(a)
	delete(a, typ)
	return a
}

// appendTo writes one level of attributes.
func (a attrs) appendTo(b []byte) []byte {
	for _, typ := range slices.Sorted(maps.Keys(a)) {
		b = append(appendHeader(b, typ, len(a[typ])), a[typ]...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	return b
}

// nest returns the attributes as the value of one that holds them.
func (a attrs) nest() []byte { return a.appendTo(nil) }

// attrsOf splits what our encoder wrote: tests change single attributes of
// messages that are right otherwise.
func attrsOf(t *testing.T, nest []byte) attrs {
	t.Helper()
	list := attrs{}
	a := attributes{b: nest[4:]}
	for {
		typ, v, ok := a.next()
		if !ok {
			break
		}
		list[typ] = v
	}
	if a.err != nil {
		t.Fatal(a.err)
	}
	return list
}

func u8(v uint8) []byte      { return []byte{v} }
func u16(v uint16) []byte    { return binary.NativeEndian.AppendUint16(nil, v) }
func u32(v uint32) []byte    { return binary.NativeEndian.AppendUint32(nil, v) }
func text(s string) []byte   { return append([]byte(s), 0) }
func addr16(s string) []byte { return appendAddr(nil, 0, netip.MustParseAddr(s))[4:] }

// raw sends one message as it is and returns the kernel's errno, or nil.
func raw(t *testing.T, c *Client, cmd uint8, flags uint16, body attrs) error {
	t.Helper()
	if err := c.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.end()
	seq := c.request(cmd, flags|nlAck, body.appendTo)
	err := c.exchange(t.Context(), seq, seq, untilAck, nil)
	if _, ok := err.(syscall.Errno); err != nil && !ok {
		t.Fatalf("command %d: %v", cmd, err)
	}
	return err
}

func dialLab(t *testing.T) *Client {
	t.Helper()
	ns := lab.New(t).Namespace("errno")
	ns.Dummy("sync0")
	ns.Addr("sync0", netip.MustParsePrefix("10.99.0.1/24"))
	c, err := Dial(t.Context(), &Config{NetNS: ns.Path()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestKernelErrnos sends what our own checks refuse, or what no call sends,
// and holds the kernel to the errors that the package and the fake stand on.
// ENOPROTOOPT needs a module that goes away in the middle of a call, ENOMEM a
// host without memory, and EAFNOSUPPORT for IPv6 a kernel without it: they are
// not provoked.
func TestKernelErrnos(t *testing.T) {
	c := dialLab(t)
	ctx := t.Context()
	key, key6, absent := TCPService(ap("192.0.2.1:80")), TCPService(ap("[2001:db8::1]:80")), UDPService(ap("192.0.2.1:80"))
	there := Destination{Key: ap("10.0.0.1:80"), Weight: 1}
	for _, err := range []error{
		c.AddService(ctx, Service{Key: key}),
		c.AddService(ctx, Service{Key: key6}),
		c.AddDestination(ctx, key, there),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	service := func(s Service) attrs {
		s = s.Normalized()
		return attrsOf(t, appendService(nil, &s))
	}
	destination := func(of ServiceKey, d Destination) attrs { return attrsOf(t, appendDestination(nil, of, &d)) }
	daemon := func(d SyncDaemon) attrs { return attrsOf(t, appendSyncDaemon(nil, &d)) }
	inService := func(a attrs) attrs { return attrs{attrService: a.nest()} }
	keyOf := func(k ServiceKey) []byte { return appendServiceKey(nil, k) }
	inDest := func(of ServiceKey, a attrs) attrs { return attrs{attrService: keyOf(of), attrDest: a.nest()} }
	inDaemon := func(a attrs) attrs { return attrs{attrDaemon: a.nest()} }

	type row struct {
		name  string
		cmd   uint8
		flags uint16
		body  attrs
		want  error
	}
	free := service(Service{Key: TCPService(ap("192.0.2.9:9"))})
	free6 := service(Service{Key: TCPService(ap("[2001:db8::9]:9"))})
	other := destination(key, Destination{Key: ap("10.0.0.9:9"), Weight: 1})
	other6 := destination(key6, Destination{Key: ap("[fd00::9]:9"), Weight: 1})
	mixed := destination(key, Destination{Key: ap("[fd00::9]:9"), Weight: 1, Forward: Tunnel})
	master := daemon(SyncDaemon{Role: SyncMaster, Interface: "sync0"})
	ours := service(Service{Key: key})
	rows := []row{
		{"a service that is there", cmdNewService, 0, inService(ours), syscall.EEXIST},
		{"a destination that is there", cmdNewDest, 0, inDest(key, destination(key, there)), syscall.EEXIST},

		{"set an absent service", cmdSetService, 0, inService(free), syscall.ESRCH},
		{"delete an absent service", cmdDelService, 0, attrs{attrService: keyOf(absent)}, syscall.ESRCH},
		{"get an absent service", cmdGetService, 0, attrs{attrService: keyOf(absent)}, syscall.ESRCH},
		{"zero an absent service", cmdZero, 0, attrs{attrService: keyOf(absent)}, syscall.ESRCH},
		{"add to an absent service", cmdNewDest, 0, inDest(absent, other), syscall.ESRCH},
		{"set in an absent service", cmdSetDest, 0, inDest(absent, other), syscall.ESRCH},
		{"delete from an absent service", cmdDelDest, 0, inDest(absent, other), syscall.ESRCH},
		{"stop a daemon that does not run", cmdDelDaemon, 0, inDaemon(attrs{dmnState: u32(1)}), syscall.ESRCH},

		{"set an absent destination", cmdSetDest, 0, inDest(key, other), syscall.ENOENT},
		{"delete an absent destination", cmdDelDest, 0, inDest(key, other), syscall.ENOENT},
		{"an unknown scheduler", cmdNewService, 0, inService(free.with(svcScheduler, text("nosuch"))), syscall.ENOENT},
		{"an unknown scheduler for one that is there", cmdSetService, 0, inService(ours.with(svcScheduler, text("nosuch"))), syscall.ENOENT},
		{"an unknown engine", cmdNewService, 0, inService(free.with(svcEngine, text("nosuch"))), syscall.ENOENT},

		{"no service", cmdNewService, 0, attrs{}, syscall.EINVAL},
		{"no service to delete", cmdDelService, 0, attrs{}, syscall.EINVAL},
		{"an empty service", cmdNewService, 0, attrs{attrService: nil}, syscall.EINVAL},
		{"no destination", cmdNewDest, 0, attrs{attrService: keyOf(key)}, syscall.EINVAL},
		{"an empty destination", cmdDelDest, 0, attrs{attrService: keyOf(key), attrDest: nil}, syscall.EINVAL},
		{"no daemon", cmdNewDaemon, 0, attrs{}, syscall.EINVAL},
		{"an address of 17 bytes", cmdNewService, 0, inService(free.with(svcAddr, make([]byte, 17))), syscall.EINVAL},
		{"a port of one byte", cmdNewService, 0, inService(free.with(svcPort, u8(1))), syscall.EINVAL},
		{"a timeout of two bytes", cmdNewService, 0, inService(free.with(svcTimeout, u16(1))), syscall.EINVAL},
		{"a scheduler without its end", cmdNewService, 0, inService(free.with(svcScheduler, []byte("rr"))), syscall.EINVAL},
		{"a scheduler of 16 letters", cmdNewService, 0, inService(free.with(svcScheduler, text("sixteen-letters-"))), syscall.EINVAL},
		{"an engine without its end", cmdNewService, 0, inService(free.with(svcEngine, []byte("sip"))), syscall.EINVAL},
		{"an IPv6 prefix of 0", cmdNewService, 0, inService(free6.with(svcNetmask, u32(0))), syscall.EINVAL},
		{"an IPv6 prefix of 129", cmdNewService, 0, inService(free6.with(svcNetmask, u32(129))), syscall.EINVAL},
		{"an IPv6 prefix of 0 for one that is there", cmdSetService, 0, inService(service(Service{Key: key6}).with(svcNetmask, u32(0))), syscall.EINVAL},
		{"destination 0.0.0.0", cmdNewDest, 0, inDest(key, other.with(dstAddr, addr16("0.0.0.0"))), syscall.EINVAL},
		{"a multicast destination", cmdNewDest, 0, inDest(key, other.with(dstAddr, addr16("224.0.0.1"))), syscall.EINVAL},
		{"a broadcast destination", cmdNewDest, 0, inDest(key, other.with(dstAddr, addr16("255.255.255.255"))), syscall.EINVAL},
		{"the loopback's broadcast", cmdNewDest, 0, inDest(key, other.with(dstAddr, addr16("127.255.255.255"))), syscall.EINVAL},
		{"the broadcast of a network of the host's", cmdNewDest, 0, inDest(key, other.with(dstAddr, addr16("10.99.0.255"))), syscall.EINVAL},
		{"an IPv6 multicast destination", cmdNewDest, 0, inDest(key6, other6.with(dstAddr, addr16("ff02::1"))), syscall.EINVAL},
		{"an IPv6 link-local destination", cmdNewDest, 0, inDest(key6, other6.with(dstAddr, addr16("fe80::9"))), syscall.EINVAL},
		{"the unspecified IPv6 address", cmdNewDest, 0, inDest(key6, other6.with(dstAddr, addr16("::"))), syscall.EINVAL},
		{"gue without a port", cmdNewDest, 0, inDest(key, other.with(dstForward, u32(2)).with(dstTunType, u8(1))), syscall.EINVAL},
		{"gue without a port for one that is there", cmdSetDest, 0, inDest(key, destination(key, there).with(dstForward, u32(2)).with(dstTunType, u8(1))), syscall.EINVAL},
		{"the other family without a tunnel", cmdNewDest, 0, inDest(key, mixed.with(dstForward, u32(0))), syscall.EINVAL},
		{"a daemon of role 0", cmdNewDaemon, 0, inDaemon(master.with(dmnState, u32(0))), syscall.EINVAL},
		{"a daemon of role 3", cmdNewDaemon, 0, inDaemon(master.with(dmnState, u32(3))), syscall.EINVAL},
		{"stop a daemon of role 3", cmdDelDaemon, 0, inDaemon(attrs{dmnState: u32(3)}), syscall.EINVAL},
		{"a group that is not multicast", cmdNewDaemon, 0, inDaemon(master.with(dmnGroup, []byte{10, 0, 0, 1})), syscall.EINVAL},
		{"an IPv6 group that is not multicast", cmdNewDaemon, 0, inDaemon(master.with(dmnGroup6, addr16("fd00::1"))), syscall.EINVAL},
		{"a negative timeout", cmdSetConfig, 0, attrs{attrTimeoutTCP: u32(1 << 31)}, syscall.EINVAL},
		{"a negative timeout after FIN", cmdSetConfig, 0, attrs{attrTimeoutTCPFin: u32(1<<32 - 1)}, syscall.EINVAL},
		{"a timeout that overflows ticks", cmdSetConfig, 0, attrs{attrTimeoutUDP: u32(1<<31 - 1)}, syscall.EINVAL},

		{"a negative weight", cmdNewDest, 0, inDest(key, other.with(dstWeight, u32(1<<31))), syscall.ERANGE},
		{"a negative weight for one that is there", cmdSetDest, 0, inDest(key, destination(key, there).with(dstWeight, u32(1<<32-1))), syscall.ERANGE},
		{"a lower threshold above the upper", cmdNewDest, 0, inDest(key, other.with(dstUpper, u32(1)).with(dstLower, u32(2))), syscall.ERANGE},
		{"a lower threshold alone", cmdSetDest, 0, inDest(key, destination(key, there).with(dstLower, u32(1))), syscall.ERANGE},
		{"a top-level timeout of two bytes", cmdSetConfig, 0, attrs{attrTimeoutTCP: u16(1)}, syscall.ERANGE},

		{"a service of family 99", cmdNewService, 0, inService(free.with(svcFamily, u16(99))), syscall.EAFNOSUPPORT},
		{"a service of family 0", cmdNewService, 0, inService(free.with(svcFamily, u16(0))), syscall.EAFNOSUPPORT},
		{"get a service of family 99", cmdGetService, 0, attrs{attrService: service(Service{Key: key}).with(svcFamily, u16(99)).nest()}, syscall.EAFNOSUPPORT},
		{"a destination of family 99", cmdNewDest, 0, inDest(key, other.with(dstFamily, u16(99))), syscall.EAFNOSUPPORT},
		{"delete a destination of family 99", cmdDelDest, 0, inDest(key, other.with(dstFamily, u16(99))), syscall.EAFNOSUPPORT},

		{"a single destination", cmdGetDest, 0, attrs{attrService: keyOf(key)}, syscall.EOPNOTSUPP},
		{"a single daemon", cmdGetDaemon, 0, attrs{}, syscall.EOPNOTSUPP},
		{"the answer to info as a request", cmdSetInfo, 0, attrs{}, syscall.EOPNOTSUPP},
		{"command 0", 0, 0, attrs{}, syscall.EOPNOTSUPP},
		{"the command after the last", cmdFlush + 1, 0, attrs{}, syscall.EOPNOTSUPP},
		{"command 255", 255, 0, attrs{}, syscall.EOPNOTSUPP},

		{"a daemon on no device", cmdNewDaemon, 0, inDaemon(master.with(dmnInterface, text("nosuch0"))), syscall.ENODEV},
	}
	for _, cmd := range []uint8{cmdNewService, cmdSetService, cmdDelService, cmdNewDest, cmdSetDest, cmdDelDest, cmdNewDaemon, cmdDelDaemon, cmdSetConfig, cmdGetConfig, cmdGetInfo, cmdZero, cmdFlush} {
		rows = append(rows, row{"a listing by a command that lists nothing", cmd, nlDump, attrs{}, syscall.EOPNOTSUPP})
	}
	for typ := range free {
		rows = append(rows, row{"a service without one of its attributes", cmdNewService, 0, inService(free.without(typ)), syscall.EINVAL})
	}
	for _, typ := range []uint16{svcFamily, svcProtocol, svcAddr, svcPort} {
		rows = append(rows, row{"a key without one of its attributes", cmdGetService, 0, inService(ours.without(typ)), syscall.EINVAL})
	}
	for typ := range other {
		rows = append(rows, row{"a destination without one of its attributes", cmdNewDest, 0, inDest(key, other.without(typ)), syscall.EINVAL})
	}
	for typ := range master {
		rows = append(rows, row{"a daemon without one of its attributes", cmdNewDaemon, 0, inDaemon(master.without(typ)), syscall.EINVAL})
	}
	before, err := c.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := raw(t, c, r.cmd, r.flags, r.body); err != r.want {
			t.Errorf("%s (command %d, % x): %v, want %v", r.name, r.cmd, r.body.appendTo(nil), err, r.want)
		}
	}
	after, err := c.Snapshot(ctx)
	if err != nil || !slices.EqualFunc(before, after, func(a, b EntryState) bool {
		return a.Service == b.Service && slices.Equal(a.Destinations, b.Destinations)
	}) {
		t.Errorf("what was refused changed the table: %+v, then %+v, %v", before, after, err)
	}

	// What depends on what was done before.
	for _, r := range []row{
		{"a daemon", cmdNewDaemon, 0, inDaemon(master), nil},
		{"a daemon that runs", cmdNewDaemon, 0, inDaemon(master), syscall.EEXIST},
		{"the other family beside a daemon", cmdNewDest, 0, inDest(key, mixed), syscall.EINVAL},
	} {
		if err := raw(t, c, r.cmd, r.flags, r.body); err != r.want {
			t.Errorf("%s: %v, want %v", r.name, err, r.want)
		}
	}
	if err := c.StopSync(ctx, SyncMaster); err != nil {
		t.Error(err)
	}
	for _, r := range []row{
		{"the other family", cmdNewDest, 0, inDest(key, mixed), nil},
		{"a daemon beside the other family", cmdNewDaemon, 0, inDaemon(master), syscall.EINVAL},
		{"delete the other family without saying so", cmdDelDest, 0, inDest(key, mixed.without(dstFamily)), syscall.ENOENT},
		{"delete the other family", cmdDelDest, 0, inDest(key, mixed), nil},
	} {
		if err := raw(t, c, r.cmd, r.flags, r.body); err != r.want {
			t.Errorf("%s: %v, want %v", r.name, err, r.want)
		}
	}
	// Kernels disagree on this one, so Validate refuses it.
	huge := inDest(key, other.with(dstUpper, u32(1<<31)))
	switch err := raw(t, c, cmdNewDest, 0, huge); err {
	case nil:
		t.Logf("this kernel takes an upper threshold above 2^31-1")
		if err := c.DelDestination(ctx, key, ap("10.0.0.9:9")); err != nil {
			t.Error(err)
		}
	case syscall.EINVAL:
	default:
		t.Errorf("an upper threshold above 2^31-1: %v, want %v or none", err, syscall.EINVAL)
	}
}

// TestKernelErrnosOfTheSocket are those that no single command causes.
func TestKernelErrnosOfTheSocket(t *testing.T) {
	ctx := t.Context()
	usable := func(t *testing.T, c *Client) {
		t.Helper()
		if snap, err := c.Snapshot(ctx); err != nil || len(snap) != 1 {
			t.Errorf("afterwards: %d services, %v", len(snap), err)
		}
	}
	with := func(t *testing.T) (*Client, *netlinkSocket) {
		c := dialLab(t)
		if err := c.AddService(ctx, Service{Key: MarkService(1)}); err != nil {
			t.Fatal(err)
		}
		return c, c.t.(*netlinkSocket)
	}
	t.Run("a send larger than the buffer", func(t *testing.T) {
		c, s := with(t)
		if err := s.send(make([]byte, 1<<24)); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("error %v, want %v", err, syscall.EMSGSIZE)
		}
		usable(t, c)
	})
	t.Run("a listing while one runs", func(t *testing.T) {
		c, _ := with(t)
		if err := c.begin(ctx); err != nil {
			t.Fatal(err)
		}
		first, second := c.nextSeq(), c.nextSeq()
		c.wbuf = endMessage(appendMessage(c.wbuf[:0], c.family, cmdGetService, familyVersion, nlDump, first), 0)
		start := len(c.wbuf)
		c.wbuf = endMessage(appendMessage(c.wbuf, c.family, cmdGetService, familyVersion, nlDump, second), start)
		// The error is queued behind the first part of the first listing.
		err := c.exchange(ctx, second, second, untilDone, nil)
		c.dirty = true
		c.end()
		if err != syscall.EBUSY {
			t.Errorf("error %v, want %v", err, syscall.EBUSY)
		}
		usable(t, c)
	})
	t.Run("answers that the receive buffer does not hold", func(t *testing.T) {
		c, s := with(t)
		if err := s.conn.SetsockoptInt(unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
			t.Fatal(err)
		}
		changes := make([]Change, maxBatch)
		for i := range changes {
			changes[i] = Change{Op: OpDelService, Service: Service{Key: MarkService(uint32(i + 2))}}
		}
		changes[7] = Change{Op: OpAddDestination, Service: Service{Key: MarkService(1)}, Destination: Destination{Key: ap("10.0.0.1:80")}}
		err := c.Apply(ctx, changes)
		e, ok := errors.AsType[*ApplyError](err)
		if !ok || !errors.Is(err, syscall.ENOBUFS) || !errors.Is(err, ErrStateUnknown) {
			t.Fatalf("error %v, want an unknown outcome by %v", err, syscall.ENOBUFS)
		}
		if e.Unknown+len(e.Failed) != len(changes) || e.Unknown == 0 {
			t.Errorf("%d unknown, %d failed, want %d in all", e.Unknown, len(e.Failed), len(changes))
		}
		usable(t, c)
		if snap, err := c.Snapshot(ctx); err != nil || len(snap[0].Destinations) != 1 {
			t.Errorf("the change among those of unknown outcome is not there: %+v, %v", snap, err)
		}
	})
	t.Run("no rights", func(t *testing.T) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // it ends with the goroutine
			hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var caps [2]unix.CapUserData
			if err := unix.Capget(&hdr, &caps[0]); err != nil {
				t.Error(err)
				return
			}
			caps[0].Effective &^= 1 << unix.CAP_NET_ADMIN
			if err := unix.Capset(&hdr, &caps[0]); err != nil {
				t.Error(err)
				return
			}
			c, err := Dial(ctx, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for cmd := uint8(cmdNewService); cmd <= cmdFlush; cmd++ {
				flags := uint16(0)
				switch cmd {
				case cmdSetInfo:
					continue // no request
				case cmdGetDest, cmdGetDaemon:
					flags = nlDump
				}
				if err := raw(t, c, cmd, flags, attrs{}); err != syscall.EPERM {
					t.Errorf("command %d: %v, want %v", cmd, err, syscall.EPERM)
				}
			}
		}()
		<-done
	})
}
