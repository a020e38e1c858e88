//go:build linux && kernel

package ipvs

import (
	"bytes"
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestKernelServicesThatNoKeyCanName makes what another program can make.
func TestKernelServicesThatNoKeyCanName(t *testing.T) {
	ctx := t.Context()
	c, err := Dial(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ours := UDPService(ap("192.0.2.71:53"))
	if err := c.AddService(ctx, Service{Key: ours}); err != nil {
		t.Fatal(err)
	}
	const protocol = 1536 + uint16(TCP)
	// odd sends a command about a service of ours with another protocol.
	odd := func(cmd uint8) error {
		if err := c.begin(ctx); err != nil {
			return err
		}
		defer c.end()
		seq := c.request(cmd, nlAck, func(b []byte) []byte {
			start := len(b)
			b = appendNest(b, attrService)
			b = appendUint16(b, svcFamily, afInet)
			b = appendUint16(b, svcProtocol, protocol)
			b = appendAddr(b, svcAddr, ours.Addr.Addr())
			b = appendPort(b, svcPort, 53)
			b = appendString(b, svcScheduler, "wlc")
			// The flags and the mask that IPVS_CMD_NEW_SERVICE asks for.
			b = append(appendHeader(b, svcFlags, 8), 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff)
			b = appendUint32(b, svcTimeout, 0)
			b = append(appendHeader(b, svcNetmask, 4), 0xff, 0xff, 0xff, 0xff)
			return endNest(b, start)
		})
		return c.exchange(ctx, seq, seq, untilAck, nil)
	}
	if err := odd(cmdNewService); err != nil {
		t.Fatalf("the kernel refuses protocol %d: %v", protocol, err)
	}
	defer func() {
		if err := odd(cmdDelService); err != nil {
			t.Errorf("remove the odd service: %v", err)
		}
		if err := c.DelService(ctx, ours); err != nil {
			t.Error(err)
		}
	}()
	// It is there: made twice, the kernel complains.
	if err := odd(cmdNewService); err != syscall.EEXIST {
		t.Errorf("made twice: %v, want %v", err, syscall.EEXIST)
	}
	var keys []ServiceKey
	for s, err := range c.Services(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, s.Key)
	}
	if !slices.Contains(keys, ours) || slices.ContainsFunc(keys, func(k ServiceKey) bool { return k != ours && k.Addr == ours.Addr }) {
		t.Errorf("services %v, want %v and not the odd one", keys, ours)
	}
	snap, err := c.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(snap, func(e EntryState) bool { return e.Service.Key == ours }) {
		t.Errorf("snapshot %v lacks %v", snap, ours)
	}
}

// What another program made has to go where the caller says so, and to change
// in parts.
func TestKernelServicesThatWeDoNotMake(t *testing.T) {
	ctx := t.Context()
	c, err := Dial(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw := func(s Service, edit func([]byte)) {
		t.Helper()
		err := c.command(ctx, cmdNewService, func(b []byte) []byte {
			start := len(b)
			b = appendService(b, &s)
			edit(b[start:])
			return b
		})
		if err != nil {
			t.Fatalf("the kernel refuses %+v: %v", s, err)
		}
	}
	mapped := ServiceKey{Protocol: TCP, Addr: ap("[::ffff:192.0.2.72]:80")}
	raw(Service{Key: mapped, Scheduler: "rr"}, func([]byte) {})
	withGaps := func(b []byte) {
		full := append(appendHeader(nil, svcNetmask, 4), 0xff, 0xff, 0xff, 0xff)
		copy(b[bytes.Index(b, full)+4:], []byte{0xff, 0, 0xff, 0})
	}
	odd, oddPersistent := TCPService(ap("192.0.2.73:80")), TCPService(ap("192.0.2.74:80"))
	raw(Service{Key: odd, Scheduler: "rr"}, withGaps)
	raw(Service{Key: oddPersistent, Scheduler: "rr", Persistence: time.Minute}, withGaps)

	if err := c.UpdateService(ctx, odd, ServiceUpdate{Scheduler: new("wrr")}); err != nil {
		t.Error(err)
	}
	if err := c.UpdateService(ctx, oddPersistent, ServiceUpdate{Scheduler: new("wrr")}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a netmask was lost without a word: %v", err)
	}
	if err := c.UpdateService(ctx, oddPersistent, ServiceUpdate{Scheduler: new("wrr"), PersistencePrefix: new(24)}); err != nil {
		t.Error(err)
	}
	ours := func(k ServiceKey) bool { return k == mapped || k == odd || k == oddPersistent }
	rep, err := Converge(ctx, c, nil, ours)
	if err != nil || len(rep.Changes) != 3 {
		t.Errorf("%v, changes %v, want three deletions", err, rep.Changes)
	}
}
