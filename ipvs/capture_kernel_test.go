//go:build linux && kernel

package ipvs

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/lab"
)

// captureVariable set to 1 makes TestKernelCaptures print what it captured, as
// the files in testdata/captures have it.
const captureVariable = "LVSKIT_CAPTURE"

// tap is a transport that keeps the datagrams that came.
type tap struct {
	transport
	got []byte
}

func (t *tap) tryReceive(b []byte) (int, bool, error) {
	n, ok, err := t.transport.tryReceive(b)
	if ok && err == nil {
		t.got = append(t.got, b[:n]...)
	}
	return n, ok, err
}

// TestKernelCaptures makes this kernel send an answer of each kind, and holds
// what the decoders make of it against what the files in testdata stand for.
func TestKernelCaptures(t *testing.T) {
	ctx := t.Context()
	ns := lab.New(t).Namespace("capture")
	ns.Dummy("sync0")
	ns.Addr("sync0", netip.MustParsePrefix("10.99.0.1/24"))
	c, err := Dial(ctx, &Config{NetNS: ns.Path()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	socket := c.t.(*netlinkSocket)
	wire := &tap{transport: socket}
	c.t = wire
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var captures []capture
	// take captures what the kernel answers in f.
	take := func(name string, f func() error) {
		t.Helper()
		wire.got = nil
		if err := f(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		captures = append(captures, capture{name, bytes.Clone(wire.got)})
	}
	services := func() error {
		for _, err := range c.Services(ctx) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	service := func(k ServiceKey) func() error {
		return func() error { _, err := c.Service(ctx, k); return err }
	}
	destinations := func(k ServiceKey) func() error {
		return func() error {
			for _, err := range c.Destinations(ctx, k) {
				if err != nil {
					return err
				}
			}
			return nil
		}
	}
	daemons := func() error { _, err := c.SyncDaemons(ctx); return err }
	refused := func() error {
		if err := c.DelService(ctx, captureServices[0].Key); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("%v, want %v", err, syscall.ESRCH)
		}
		return nil
	}

	for _, s := range captureServices {
		must(c.AddService(ctx, s))
		take("service "+s.Key.String(), service(s.Key))
		if !slices.Contains(captureFull, s.Key) {
			continue
		}
		for _, d := range slices.Backward(captureDestinations(s.Key)) {
			must(c.AddDestination(ctx, s.Key, d))
		}
		take("destinations "+s.Key.String(), destinations(s.Key))
	}
	take("services", services)
	must(c.DeleteEverything(ctx))
	take("no daemons", daemons)
	for _, d := range captureDaemons {
		must(c.StartSync(ctx, d))
	}
	take("daemons", daemons)
	for _, d := range captureDaemons {
		must(c.StopSync(ctx, d.Role))
	}
	take("ack", func() error { return c.SetTimeouts(ctx, captureTimeouts) })
	take("config", func() error { _, err := c.Timeouts(ctx); return err })
	take("info", func() error { _, err := c.Info(ctx); return err })
	take("error", refused)
	must(socket.conn.SetsockoptInt(unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 0))
	take("error with the request", refused)
	take("family", func() error {
		if err := c.begin(ctx); err != nil {
			return err
		}
		defer c.end()
		own := c.family
		defer func() { c.family = own }()
		c.family = ctrlFamily // the controller answers, as at the look-up
		c.wbuf = appendFamilyRequest(c.wbuf[:0], c.nextSeq())
		return c.exchange(ctx, c.seq, c.seq, untilData, func(message) error { return nil })
	})

	// Counters that are not zero need connections.
	must(ns.Do(func() error {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		key := TCPService(ap("127.0.0.2:80"))
		must := errors.Join(
			c.AddService(ctx, Service{Key: key}),
			c.AddDestination(ctx, key, Destination{Key: l.Addr().(*net.TCPAddr).AddrPort(), Weight: 1}),
		)
		if must != nil {
			return must
		}
		for range captureConnections {
			conn, err := net.Dial("tcp4", key.Addr.String())
			if err != nil {
				return err
			}
			defer conn.Close()
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			s, err := c.Service(ctx, key)
			if err != nil {
				return err
			}
			if s.Stats.Connections == captureConnections && s.Stats.OutPackets > 0 || time.Now().After(deadline) {
				break
			}
		}
		take("counters service", service(key))
		take("counters destination", destinations(key))
		return nil
	}))

	for _, c := range captures {
		checkCapture(t, c)
	}
	if os.Getenv(captureVariable) == "1" {
		var name unix.Utsname
		must(unix.Uname(&name))
		fmt.Printf("# Linux %s on x86-64, by %s=1 and TestKernelCaptures.\n", unix.ByteSliceToString(name.Release[:]), captureVariable)
		for _, c := range captures {
			fmt.Printf("%s = %s\n", c.name, hex.EncodeToString(c.data))
		}
	}
}
