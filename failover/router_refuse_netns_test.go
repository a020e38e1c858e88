//go:build linux && netns

package failover_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	raw "github.com/mdlayher/packet"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/vrrp"
)

// forger sends frames that it has built by hand from a host.
type forger struct {
	*peer
	conn *raw.Conn
	mac  net.HardwareAddr
}

func newForger(p *peer) *forger {
	t := p.w.t
	t.Helper()
	f := &forger{peer: p}
	must(t, p.Do(func() error {
		ifi, err := net.InterfaceByName(eth0)
		if err != nil {
			return err
		}
		f.mac = ifi.HardwareAddr
		f.conn, err = raw.Listen(ifi, raw.Raw, 0, nil)
		return err
	}))
	t.Cleanup(func() { _ = f.conn.Close() })
	return f
}

// forged is a packet of protocol 112 in the making.
type forged struct {
	from, to netip.Addr
	mac      string // of to, if it is no group
	ttl      byte
	payload  []byte
}

func (f *forger) send(p forged) {
	f.w.t.Helper()
	frame := []byte{0x33, 0x33, 0, 0, 0, 0x12}
	if p.to.Is4() {
		frame = []byte{1, 0, 0x5e, 0, 0, 0x12}
	}
	if !p.to.IsMulticast() {
		hw, err := net.ParseMAC(p.mac)
		must(f.w.t, err)
		frame = hw
	}
	frame = append(append([]byte(nil), frame...), f.mac...)
	if p.to.Is4() {
		head := []byte{0x45, 0xc0, 0, byte(20 + len(p.payload)), 0, 0, 0, 0, p.ttl, 112, 0, 0}
		head = append(append(head, p.from.AsSlice()...), p.to.AsSlice()...)
		binary.BigEndian.PutUint16(head[10:], sumOf(head))
		frame = append(append(frame, 8, 0), head...)
	} else {
		frame = append(frame, 0x86, 0xdd, 0x6c, 0, 0, 0, 0, byte(len(p.payload)), 112, p.ttl)
		frame = append(append(frame, p.from.AsSlice()...), p.to.AsSlice()...)
	}
	_, err := f.conn.WriteTo(append(frame, p.payload...), &raw.Addr{HardwareAddr: frame[:6]})
	must(f.w.t, err)
}

// sumOf is the checksum of RFC 1071.
func sumOf(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// summed puts the checksum over the message right, with the pseudo-header over
// IPv6.
func summed(p forged) forged {
	p.payload[6], p.payload[7] = 0, 0
	all := p.payload
	if size := 8 + 4*int(p.payload[3]); p.payload[0]>>4 == 3 && p.to.Is4() && size < len(all) {
		all = all[:size] // what follows is a signature
	}
	if p.to.Is6() {
		all = append(append(append([]byte(nil), p.from.AsSlice()...), p.to.AsSlice()...), 0, 0, 0, byte(len(p.payload)), 0, 0, 0, 112)
		all = append(all, p.payload...)
	}
	binary.BigEndian.PutUint16(p.payload[6:], sumOf(all))
	return p
}

// What nobody with the right to speak has sent is refused and counted under its
// reason, and changes nothing: an advert of the priority 200 beside the 100 of
// ours. In the end it comes unforged, and has the effect that the others would
// have had.
func TestNetnsRouterRefusesForgeries(t *testing.T) {
	t.Parallel()
	secrets := []vrrp.Key{{ID: 1, Secret: bytes.Repeat([]byte{1}, 32)}, {ID: 2, Secret: bytes.Repeat([]byte{2}, 32)}, {ID: 1, Secret: bytes.Repeat([]byte{3}, 32)}}
	sign := func(key vrrp.Key, at time.Time) func(forged) forged {
		return func(p forged) forged {
			keys, err := vrrp.NewKeys(0, key)
			must(t, err)
			p.payload = keys.Sign(p.payload, p.from, at)
			return p
		}
	}
	once := sync.OnceValue(time.Now) // the same for a replay
	signed := func(p forged) forged { return sign(secrets[0], once())(p) }
	at := func(i int, v byte) func(forged) forged { // a byte that the checksum is right for
		return func(p forged) forged { p.payload[i] = v; return summed(p) }
	}
	raw := func(b ...byte) func(forged) forged { // another payload
		return func(p forged) forged {
			if p.payload = b; len(b) > 7 {
				return summed(p)
			}
			return p
		}
	}
	type attempt struct {
		name  string
		forge func(forged) forged
		want  string
	}
	tests := []struct {
		name string
		six  bool
		set  func(*failover.RouterConfig)
		base func(*vrrp.Advert)  // what the right advert says besides
		ok   func(forged) forged // what makes it right
		all  []attempt
		then func(forged) forged // once the right one was sent
		want string
	}{
		{
			name: "version 3 over IPv4",
			all: []attempt{
				{"from beyond a router", func(p forged) forged { p.ttl = 254; return p }, "bad-ttl"},
				{"of CARP", raw(append([]byte{0x21, 7, 0, 7}, make([]byte, 32)...)...), "carp"},
				{"cut short", func(p forged) forged { p.payload = p.payload[:10]; return p }, "wrong-size"},
				{"shorter than a header", raw(0x31, 7, 200), "wrong-size"},
				{"of version 4", at(0, 0x41), "bad-version"},
				{"of another type", at(0, 0x32), "bad-type"},
				{"damaged", func(p forged) forged { p.payload[6] ^= 1; return p }, "bad-checksum"},
				{"of another virtual router", at(1, 8), "bad-vrid"},
				{"of the virtual router 0", at(1, 0), "bad-vrid"},
				{"without an interval", at(5, 0), "bad-interval"},
				{"without an address", func(p forged) forged { p.payload[3] = 0; p.payload = p.payload[:8]; return summed(p) }, "bad-addresses"},
				{"by unicast", func(p forged) forged { p.to = netip.MustParseAddr("192.0.2.1"); return summed(p) }, "unwanted-unicast"},
				{"with a signature", signed, "unwanted-signature"},
				{"with a password of version 2", raw(0x21, 7, 200, 0, 1, 1, 0, 0, 'x', 0, 0, 0, 0, 0, 0, 0), "bad-password"},
				{"with a header of IPsec's kind", raw(0x21, 7, 200, 0, 2, 1, 0, 0, 'x', 0, 0, 0, 0, 0, 0, 0), "bad-auth"},
			},
		},
		{
			name: "version 3 over IPv6", six: true,
			all: []attempt{
				{"from beyond a router", func(p forged) forged { p.ttl = 254; return p }, "bad-ttl"},
				{"of version 2", at(0, 0x21), "bad-version"},
				{"of another virtual router", at(1, 8), "bad-vrid"},
				{"with a first address that is not of the link", at(8, 0x20), "bad-addresses"},
				{"by unicast", func(p forged) forged { p.to = netip.MustParseAddr("2001:db8::1"); return summed(p) }, "unwanted-unicast"},
			},
		},
		{
			name: "version 2 with a password",
			set: func(c *failover.RouterConfig) {
				c.Version, c.Interval, c.Password, c.DownAdverts = 2, time.Second, "s3cret", 1
			},
			base: func(a *vrrp.Advert) { a.Version, a.Interval, a.Password = 2, time.Second, "s3cret" },
			all: []attempt{
				{"with another password", at(12, 'S'), "bad-password"},
				{"with a longer password", at(18, '!'), "bad-password"},
				{"with a part of it", func(p forged) forged { p.payload[17] = 0; return summed(p) }, "bad-password"},
				{"without a password", func(p forged) forged {
					p.payload[4] = 0
					copy(p.payload[12:], make([]byte, 8))
					return summed(p)
				}, "bad-password"},
			},
		},
		{
			name: "by unicast",
			set:  func(c *failover.RouterConfig) { c.Peers = []netip.Addr{netip.MustParseAddr("192.0.2.2")} },
			ok:   func(p forged) forged { p.to = netip.MustParseAddr("192.0.2.1"); return summed(p) },
			all: []attempt{
				{"by multicast", func(p forged) forged { p.to = vrrp.Group(false); return summed(p) }, "unwanted-multicast"},
				{"from a stranger", func(p forged) forged { p.from = netip.MustParseAddr("192.0.2.3"); return summed(p) }, "unknown-peer"},
			},
		},
		{
			name: "signed",
			set:  func(c *failover.RouterConfig) { c.Keys, c.KeyWindow = secrets[:1], time.Hour/2 },
			ok:   signed,
			all: []attempt{
				{"without a signature", func(p forged) forged { p.payload = p.payload[:len(p.payload)-vrrp.TrailerSize]; return p }, "unsigned"},
				{"with half of it", func(p forged) forged { p.payload = p.payload[:len(p.payload)-vrrp.TrailerSize/2]; return p }, "bad-trailer"},
				{"with a key of another number", func(p forged) forged {
					p.payload = p.payload[:len(p.payload)-vrrp.TrailerSize]
					return sign(secrets[1], time.Now())(p)
				}, "unknown-key"},
				{"with another key of the number", func(p forged) forged {
					p.payload = p.payload[:len(p.payload)-vrrp.TrailerSize]
					return sign(secrets[2], time.Now())(p)
				}, "bad-signature"},
				{"with the signature of another priority", at(2, 201), "bad-signature"},
				{"of an hour ago", func(p forged) forged {
					p.payload = p.payload[:len(p.payload)-vrrp.TrailerSize]
					return sign(secrets[0], time.Now().Add(-time.Hour))(p)
				}, "bad-clock"},
			},
			then: func(p forged) forged { return p }, want: "replay",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			host := w.host("d1", "192.0.2.1/24", "2001:db8::1/64")
			evil := newForger(w.host("evil"))
			vip := "192.0.2.100/32"
			right := func() forged {
				a := vrrp.Advert{Version: 3, VRID: 7, Priority: 200, Interval: time.Second, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.100")}}
				p := forged{from: netip.MustParseAddr("192.0.2.2"), to: vrrp.Group(tt.six), mac: host.mac(), ttl: 255}
				if tt.six {
					a.Addrs[0], p.from = netip.MustParseAddr("fe80::100"), netip.MustParseAddr("fe80::2")
				}
				if tt.base != nil {
					tt.base(&a)
				}
				var err error
				p.payload, err = vrrp.Append(nil, &a, vrrp.Path{Source: p.from, Destination: p.to}, vrrp.MessageOnly)
				must(t, err)
				if tt.ok != nil {
					p = tt.ok(p)
				}
				return p
			}
			if tt.six {
				vip = "fe80::100/64"
			}
			r, rec, _ := runRouter(t, host, func(c *failover.RouterConfig) {
				c.Priority = 100
				if tt.set != nil {
					tt.set(c)
				}
			}, vip)
			within(t, patience, "start", func() bool { return r.Status().Serving })
			since := r.Status().Since
			want := make(map[string]uint64)
			for _, a := range tt.all {
				want[a.want]++
				evil.send(a.forge(right()))
				within(t, patience, a.name+" is counted", func() bool { return r.Status().Drops[a.want] == want[a.want] })
			}
			st := r.Status()
			if diff := cmp.Diff(want, st.Drops); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
			if st.Role != failover.RoleActive || st.Since != since || len(st.Peers) != 0 || st.Rival || rec.Count(failover.EventMismatch) != 0 {
				t.Errorf("a forgery had an effect: %+v, %v", st, rec.Events())
			}
			evil.send(right())
			within(t, patience, "the right one is believed", func() bool {
				st := r.Status()
				return st.Role == failover.RoleBackup && st.ActivePriority == 200
			})
			if tt.then != nil {
				evil.send(tt.then(right()))
				within(t, patience, "the same again is counted", func() bool { return r.Status().Drops[tt.want] == 1 })
			}
		})
	}
}
