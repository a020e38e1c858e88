package failover

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// silent is a socket that carries nothing.
type silent struct{ source netip.Addr }

func (c silent) Source() netip.Addr                              { return c.source }
func (silent) Wait() error                                       { select {} }
func (silent) Receive([]byte) (p AdvertPacket, ok bool, _ error) { return p, false, nil }
func (silent) Send([]byte, netip.Addr) error                     { return nil }
func (silent) Check() error                                      { return nil }
func (silent) Close() error                                      { return nil }

// In the steady state adverts come and go without anything for the garbage
// collector.
func TestAdvertsAllocateNothing(t *testing.T) {
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	six1, six2 := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")
	four, six := []netip.Addr{netip.MustParseAddr("192.0.2.100")}, []netip.Addr{netip.MustParseAddr("fe80::100")}
	keys := []vrrp.Key{{ID: 1, Secret: []byte("0123456789abcdef0123456789abcdef")}}
	for _, tt := range []struct {
		name         string
		cfg          RouterConfig
		source, peer netip.Addr
		other        func(a *vrrp.Advert) // how the other one differs
	}{
		{"multicast", RouterConfig{Addresses: four}, one, two, nil},
		{"another interval and addresses", RouterConfig{Addresses: four}, one, two, func(a *vrrp.Advert) {
			a.Interval, a.Addrs = 2*a.Interval, []netip.Addr{two}
		}},
		{"version 2", RouterConfig{Addresses: four, Version: 2, Password: "s3cret"}, one, two, nil},
		{"unicast", RouterConfig{Addresses: four, Peers: []netip.Addr{two}}, one, two, nil},
		{"IPv6", RouterConfig{Addresses: six}, six1, six2, nil},
		{"signed", RouterConfig{Addresses: four, Keys: keys}, one, two, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.cfg
			c.VRID, c.Device = 51, "eth0"
			r, err := NewRouter(&c)
			if err != nil {
				t.Fatal(err)
			}
			r.conn = silent{tt.source}
			r.step(vrrp.Event{Kind: vrrp.EventSource, Source: tt.source}, r.clock())
			r.step(vrrp.Event{Kind: vrrp.EventStart}, r.clock())
			a := r.own
			if a.Priority = 200; tt.other != nil {
				tt.other(&a)
			}
			to := vrrp.Group(tt.peer.Is6())
			if len(c.Peers) > 0 {
				to = tt.source
			}
			b, err := vrrp.Append(nil, &a, vrrp.Path{Source: tt.peer, Destination: to}, 0)
			if err != nil {
				t.Fatal(err)
			}
			ring, _ := r.cfg.ring() // nil without keys
			buffer := make([]byte, 0, 200)
			take := func() {
				p := AdvertPacket{Source: tt.peer, Destination: to, TTL: vrrp.TTL, At: time.Now(), Payload: append(buffer, b...)}
				if len(c.Keys) > 0 {
					p.Payload = ring.Sign(p.Payload, tt.peer, time.Now())
				}
				r.take(&p)
			}
			take()
			want := 0.0
			if c.Password != "" {
				want = 1 // itself
			}
			if n := testing.AllocsPerRun(100, take); n > want {
				t.Errorf("a packet that comes in: %v", n)
			}
			if n := testing.AllocsPerRun(100, func() { r.send(100) }); n > 0 {
				t.Errorf("a packet that goes out: %v", n)
			}
			now := r.clock() + time.Hour
			tick := func() { now = max(now, r.machine.Next()); r.step(vrrp.Event{Kind: vrrp.EventTick}, now) }
			tick()
			if s, _, _ := r.machine.State(); s != vrrp.StateActive {
				t.Fatalf("it is %v", s)
			}
			sent := r.sent
			if n := testing.AllocsPerRun(100, tick); n > 0 || r.sent < sent+100 {
				t.Errorf("a tick of an active router: %v, %d adverts", n, r.sent-sent)
			}
			if st := r.Status(); st.Received < 100 || st.Drops != nil {
				t.Errorf("status %+v", st)
			}
		})
	}
}
