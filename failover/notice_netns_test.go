//go:build linux && netns

package failover

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/lab"
)

// The kernel tells of each change that a router or node may wait for.
func TestNetnsNoticeOfDevicesAndAddresses(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	host, peer := l.Namespace("host"), l.Namespace("peer")
	l.Veth(host, "eth0", peer, "eth0")
	for _, transport := range []any{RawIP{Namespace: host.Path()}, UDP{Namespace: host.Path()}} {
		ctx, cancel := context.WithCancel(t.Context())
		changed, ended := make(chan struct{}, 1), make(chan struct{})
		go func() {
			defer close(ended)
			noticeChanges(ctx, transport, func() { nudge(changed) })
		}()
		told := func(what string) {
			t.Helper()
			select {
			case <-changed:
			case <-time.After(10 * time.Second):
				t.Errorf("%T: nothing is told of %s", transport, what)
			}
		}
		quiet := func() { // what one change makes may be told of in several parts
			for {
				select {
				case <-changed:
				case <-time.After(20 * time.Millisecond):
					return
				}
			}
		}
		told("the beginning")
		for _, tt := range []struct {
			what string
			do   func()
		}{
			{"a carrier that is lost", func() { peer.Down("eth0") }},
			{"a carrier that is back", func() { peer.Up("eth0") }},
			{"an address", func() { host.Addr("eth0", netip.MustParsePrefix("192.0.2.1/24")) }},
			{"an address that goes", func() { host.RemoveAddr("eth0", netip.MustParsePrefix("192.0.2.1/24")) }},
			{"an address of IPv6", func() { host.Addr("eth0", netip.MustParsePrefix("2001:db8::1/64")) }},
			{"an address of IPv6 that goes", func() { host.RemoveAddr("eth0", netip.MustParsePrefix("2001:db8::1/64")) }},
			{"a device", func() { l.Veth(host, "other", peer, "other") }},
			{"a device that goes", func() {
				link, err := host.Handle().LinkByName("other")
				if err == nil {
					err = host.Handle().LinkDel(link)
				}
				if err != nil {
					t.Fatal(err)
				}
			}},
		} {
			quiet()
			tt.do()
			told(tt.what)
		}
		cancel()
		<-ended
	}
}
