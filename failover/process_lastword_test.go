package failover_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// For a router whose process is gone the daemon tells the others that it stops,
// and keeps the addresses until another one speaks.
func TestLastWordLastsUntilAnotherOneSpeaks(t *testing.T) {
	t.Parallel()
	key := func(b byte) []vrrp.Key { return []vrrp.Key{{ID: 1, Secret: append(make([]byte, 31), b)}} }
	const answered = 6*time.Millisecond + 5*time.Millisecond // and what the other one needs to take the addresses
	for _, tt := range []struct {
		name   string
		config failover.RouterConfig
		answer func(*vrrp.Advert) // nil: none
		keys   []vrrp.Key         // of the answer
		want   time.Duration
	}{
		{"one takes over", failover.RouterConfig{Interval: 10 * time.Millisecond}, func(*vrrp.Advert) {}, nil, answered},
		{"one takes over, and signs", failover.RouterConfig{Interval: 10 * time.Millisecond, Keys: key(1)}, func(*vrrp.Advert) {}, key(1), answered},
		{"nobody is there", failover.RouterConfig{Interval: 10 * time.Millisecond}, nil, nil, 25 * time.Millisecond},
		{"slow adverts", failover.RouterConfig{Interval: time.Second}, nil, nil, 1015 * time.Millisecond},
		{"another VRID", failover.RouterConfig{Interval: 10 * time.Millisecond}, func(a *vrrp.Advert) { a.VRID++ }, nil, 25 * time.Millisecond},
		{"another one stops, too", failover.RouterConfig{Interval: 10 * time.Millisecond}, func(a *vrrp.Advert) { a.Priority = vrrp.PriorityStop }, nil, 25 * time.Millisecond},
		{"a forgery", failover.RouterConfig{Interval: 10 * time.Millisecond, Keys: key(1)}, func(*vrrp.Advert) {}, key(2), 25 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var link failovertest.Segment
				var said []uint8
				other := link.Station(source(2))
				conn, err := other.ListenAdverts(t.Context(), failover.AdvertSocket{})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				c := tt.config
				c.VRID, c.Device, c.Addresses, c.Priority, c.Transport = 51, "eth0", vips, 200, link.Station(source(1))
				r, err := failover.NewRouter(&c)
				if err != nil {
					t.Fatal(err)
				}
				path := vrrp.Path{Source: source(2), Destination: vrrp.Group(false)}
				link.Tap(func(p failover.AdvertPacket) {
					if a, _, _, err := vrrp.Parse(p.Payload, vrrp.Path{Source: p.Source, Destination: p.Destination}); err == nil && p.Source == source(1) {
						said = append(said, a.Priority)
					}
				})
				if tt.answer != nil {
					a := vrrp.Advert{Version: 3, VRID: 51, Priority: 100, Interval: 10 * time.Millisecond, Addrs: vips}
					tt.answer(&a)
					b, err := vrrp.Append(nil, &a, path, vrrp.WithPseudoHeader)
					if err != nil {
						t.Fatal(err)
					}
					if tt.keys != nil {
						k, err := vrrp.NewKeys(time.Second, tt.keys...)
						if err != nil {
							t.Fatal(err)
						}
						b = k.Sign(b, path.Source, time.Now())
					}
					time.AfterFunc(6*time.Millisecond, func() { _ = conn.Send(b, path.Destination) })
				}
				began := time.Now()
				r.LastWord(t.Context())
				if got := time.Since(began); got != tt.want {
					t.Errorf("the addresses stay for %v, want %v", got, tt.want)
				}
				if len(said) != 2 || said[0] != vrrp.PriorityStop || said[1] != vrrp.PriorityStop {
					t.Errorf("it said %v, want %d in both forms", said, vrrp.PriorityStop)
				}
			})
		})
	}
}
