package vrrp_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/lvskit/lvskit/failover/vrrp"
)

// A loop of one's own around the machine: it ticks when the machine wants it and
// hands over what was heard. Here packets come from a list and time is counted;
// over sockets, read all that has arrived before each tick.
func ExampleMachine() {
	own, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	advert := vrrp.Advert{Version: 3, VRID: 51, Interval: time.Second, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.100")}}
	var now time.Duration
	m := vrrp.NewMachine(vrrp.Params{Version: 3, Priority: 100, Interval: time.Second, Address: own}, now)
	step := func(e vrrp.Event) {
		var actions []vrrp.Action
		m, actions = m.Step(e, now)
		for _, a := range actions {
			switch a.Kind {
			case vrrp.ActionSend:
				out := advert
				out.Priority = a.Priority
				p, err := vrrp.Append(nil, &out, vrrp.Path{Source: own, Destination: vrrp.Group(false)}, vrrp.WithPseudoHeader)
				fmt.Println(now, "send", len(p), "bytes, priority", a.Priority, err)
			case vrrp.ActionState:
				state, why, _ := m.State()
				fmt.Println(now, state, "-", why)
			}
		}
	}
	// What the other router sends: it serves, and stops after three seconds.
	heard := []struct {
		at       time.Duration
		priority uint8
	}{{500 * time.Millisecond, 200}, {1500 * time.Millisecond, 200}, {2500 * time.Millisecond, 200}, {3500 * time.Millisecond, vrrp.PriorityStop}}

	step(vrrp.Event{Kind: vrrp.EventStart})
	for now < 6*time.Second {
		if len(heard) > 0 && heard[0].at <= m.Next() {
			now = heard[0].at
			step(vrrp.Event{Kind: vrrp.EventHeard, Source: other, Priority: heard[0].priority, Interval: time.Second, At: now})
			heard = heard[1:]
			continue
		}
		now = m.Next()
		step(vrrp.Event{Kind: vrrp.EventTick})
	}
	step(vrrp.Event{Kind: vrrp.EventStop})
	// Output:
	// 0s backup - just started, listening for the active router
	// 500ms backup - another router is active
	// 3.5s backup - the active router stops
	// 4.109375s send 12 bytes, priority 100 <nil>
	// 4.109375s active - the active router stops
	// 5.109375s send 12 bytes, priority 100 <nil>
	// 6.109375s send 12 bytes, priority 100 <nil>
	// 6.109375s send 12 bytes, priority 0 <nil>
	// 6.109375s init - stopping
}

// The payload of a captured packet: keepalived's, of the virtual router 51.
func ExampleParse() {
	payload := []byte{0x31, 0x33, 0x96, 0x01, 0x00, 0x0a, 0xd3, 0xcb, 0xc0, 0x00, 0x02, 0x64}
	path := vrrp.Path{Source: netip.MustParseAddr("192.0.2.1"), Destination: vrrp.Group(false)}
	a, form, _, err := vrrp.Parse(payload, path)
	fmt.Println(a.VRID, a.Priority, a.Interval, a.Addrs, form, err)
	payload[2]++
	_, _, _, err = vrrp.Parse(payload, path)
	fmt.Println(err)
	// Output:
	// 51 150 100ms [192.0.2.100] pseudo-header <nil>
	// vrrp: packet refused: bad-checksum
}
