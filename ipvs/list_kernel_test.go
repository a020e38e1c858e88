//go:build linux && kernel

package ipvs

import (
	"slices"
	"syscall"
	"testing"
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
