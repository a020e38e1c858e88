//go:build linux && simtime

package failover_test

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// These tests move an address between two routers of VRRP, ours and Debian's
// keepalived, each a process of its own, and look with the eyes of a client and
// of the wire. Figures repeat to a tenth of a millisecond; what is demanded
// follows from the protocol, to a fifth of a millisecond.

const (
	simOurs   = "ours"
	simApart  = "ours with a beat process"
	simTheirs = "keepalived"
	simFirst  = 150 // priorities
	simSecond = 100
	// simLate is how late a router may speak: the kernel lets a thread oversleep
	// by 50 µs, and there may be two of these.
	simLate = 200 * time.Microsecond
	// simLead is from the client's first packet to the event. It keeps its
	// packets off the moments at which something happens: what arrives in the
	// very microsecond in which an address comes may be lost.
	simLead = 3*time.Millisecond - 7*simFine/10
	// simHold is longer than a router that gives way serves on.
	simHold = 300 * time.Millisecond
)

// simPair is two routers with different priorities, and a client.
type simPair struct {
	*simDialect
	t        *testing.T
	w        *wire
	hosts    [2]*peer
	programs [2]string
	speakers [2]simSpeaker
	sources  [2]netip.Addr
	client   *simClient
	bed      *simAlarm
	step     time.Duration // between packets of the client
	adverts  int           // that may be missed
}

// skew is what a router of one priority waits longer.
func (p *simPair) skew(priority int) time.Duration {
	unit := p.interval
	if p.version == 2 {
		unit = time.Second
	}
	return time.Duration(256-priority) * unit / 256
}

// down is when a router of one priority finds a silence.
func (p *simPair) down(priority int) time.Duration {
	return time.Duration(p.adverts)*p.interval + p.skew(priority)
}

// soon is when a move is over that is late.
func (p *simPair) soon() time.Duration { return min(2*p.interval, 200*time.Millisecond) }

func newSimSpeakers(t *testing.T, d simDialect, programs [2]string, downAdverts int) *simPair {
	t.Helper()
	p := &simPair{
		simDialect: &d, t: t, w: newWire(t), programs: programs, bed: newSimAlarm(t), adverts: downAdverts,
		step: min(max(d.interval/20, time.Millisecond), 20*time.Millisecond),
	}
	p.hosts = [2]*peer{p.w.host("one", "192.0.2.1/24", "2001:db8::1/64"), p.w.host("two", "192.0.2.2/24", "2001:db8::2/64")}
	p.client = newSimClient(t, p.w.host("client", "192.0.2.9/24", "2001:db8::9/64"), d.vip())
	for i, program := range programs {
		host, priority := p.hosts[i], uint8([]int{simFirst, simSecond}[i])
		if program != simTheirs {
			p.speakers[i] = newSimRouter(t, &d, host, priority, downAdverts, program == simApart)
		} else {
			p.speakers[i] = newSimKeepalived(t, &d, host, priority)
		}
		p.sources[i] = netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i+1))
		if p.vip().Is6() {
			for _, a := range host.kernelAddresses() {
				if ip, _ := netip.AddrFromSlice(a.IP); ip.IsLinkLocalUnicast() {
					p.sources[i] = ip
				}
			}
		}
		p.speakers[i].start()
	}
	p.peace(0)
	return p
}

// peace waits until one router alone speaks, and whoever gave way has let go.
func (p *simPair) peace(who int) {
	p.t.Helper()
	for begin := time.Now(); time.Since(begin) < 10*time.Second+20*p.interval; {
		from := time.Now()
		time.Sleep(4 * p.interval)
		if len(p.client.adverts(p.sources[who], from)) >= 3 && len(p.client.adverts(p.sources[1-who], from)) == 0 {
			time.Sleep(simHold)
			return
		}
	}
	p.t.Fatalf("router %d does not serve alone", who+1)
}

// simMove is what one move cost.
type simMove struct {
	// took is from the last word of the one that served to the first advert of
	// the other one, blind is from the event to that.
	took, blind time.Duration
	// gap is the longest time between two answers to the client.
	gap time.Duration
	// lost is when its packets were sent that found nobody, after the event.
	lost []time.Duration
}

// move lets something happen at a moment after an advert of the router that
// serves, and returns what it cost until the other one serves, which is
// expected so long after the event, and waited for with patience. The client
// asks finely at both moments.
func (p *simPair) move(who int, phase, expected, patience time.Duration, event func()) (m simMove) {
	p.t.Helper()
	last := p.client.last(p.sources[who], time.Now())
	if last.IsZero() {
		p.t.Fatalf("router %d is not active", who+1)
	}
	at := last.Add((2*p.interval + phase + simLead).Truncate(p.interval) + phase)
	began := at.Add(-simLead)
	must(p.t, p.bed.until(began))
	type result struct {
		simAnswers
		err error
	}
	done := make(chan result, 1)
	go func() {
		a, err := p.client.ask(began, at.Add(expected+patience), p.step, at, at.Add(expected))
		done <- result{a, err}
	}()
	must(p.t, p.bed.until(at))
	at = time.Now()
	event()
	if took := time.Since(at); took > 200*time.Microsecond {
		p.t.Errorf("the event took %v", took)
	}
	got := <-done
	must(p.t, got.err)
	first := p.client.adverts(p.sources[1-who], at)
	if len(first) == 0 {
		p.t.Fatalf("router %d does not serve %v after the event", 2-who, expected+patience)
	}
	m = simMove{first[0].Sub(p.client.last(p.sources[who], at.Add(simFine/2))), first[0].Sub(at), got.gap(), nil}
	for _, sent := range got.lost() {
		m.lost = append(m.lost, sent.Sub(at))
	}
	if len(got.at) < 20 || got.at[len(got.at)-1].Before(first[0]) {
		p.t.Fatalf("%d answers in all and none of the router that serves at last: %+v", len(got.at), m)
	}
	return m
}

// within demands that a duration is what is wanted, or later by little.
func (p *simPair) within(what string, got, want, late time.Duration) {
	p.t.Helper()
	if got < want || got > want+late {
		p.t.Errorf("%s: %v, want %v to %v", what, got, want, want+late)
	}
}

// The moves, by name. Each begins and ends with the first router serving.
var simMoves = map[string]func(p *simPair){
	// The host is off the network, and its router dies without a word.
	"power loss": func(p *simPair) {
		for _, phase := range []time.Duration{time.Millisecond, p.interval / 2, p.interval - time.Millisecond} {
			p.silence(phase, func() { p.hosts[0].detach(); p.speakers[0].perish() })
			p.hosts[0].forget(p.vips)
			p.w.sw.Attach(p.hosts[0].port, bridge)
			p.speakers[0].start()
			p.peace(0)
		}
	},
	// The cable is pulled, which the router notices, and plugged.
	"link": func(p *simPair) {
		p.silence(p.interval/2, func() { p.hosts[0].plug(false) })
		p.peace(1)
		m := p.move(1, p.interval/2, p.down(simFirst), p.soon(), func() { p.hosts[0].plug(true) })
		p.within("link up", m.blind, p.down(simFirst), simLate)
		p.back("link up", m)
	},
	// The second router hears nothing, and is heard: both serve, until it hears
	// again.
	"one way": func(p *simPair) {
		m := p.move(0, p.interval/2, p.down(simSecond)-p.interval/2, p.soon(), func() { p.deafen(1, true) })
		p.t.Logf("one way: two after %v, gap of %v, %d lost", m.took, m.gap, len(m.lost))
		p.within("silence", m.took, p.down(simSecond), simLate)
		p.spared(m)
		at := time.Now()
		p.deafen(1, false)
		p.peace(0)
		last := p.client.last(p.sources[1], time.Now())
		p.t.Logf("one way: one after %v", last.Sub(at))
		p.within("the last advert of the one that gives way", last.Sub(at), -p.interval, 2*p.interval)
	},
	"stop": func(p *simPair) {
		m := p.move(0, p.interval/2, p.skew(simSecond), p.soon(), p.speakers[0].begin)
		p.t.Logf("stop: taken over after %v, gap of %v, %d lost", m.blind, m.gap, len(m.lost))
		p.within("taken over", m.blind, p.skew(simSecond), simLate)
		if p.programs[0] != simTheirs {
			p.spared(m)
		} else {
			p.within("gap", m.gap, m.blind-simFine, 4*simFine)
		}
		p.speakers[0].stop()
		p.hosts[0].lacks(p.vips)
		m = p.move(1, p.interval/2, p.down(simFirst), p.soon(), p.speakers[0].start)
		p.back("preemption", m)
	},
	// The daemon is killed, and its beat process hands over.
	"kill": func(p *simPair) {
		r := p.speakers[0].(*simRouter)
		m := p.move(0, p.interval/2, p.skew(simSecond), p.soon(), r.kill)
		p.t.Logf("kill: taken over after %v, gap of %v, %d lost", m.blind, m.gap, len(m.lost))
		p.within("taken over", m.blind, p.skew(simSecond), simLate)
		p.spared(m)
		r.perish()
		p.hosts[0].lacks(p.vips)
		m = p.move(1, p.interval/2, p.down(simFirst), p.soon(), r.start)
		p.back("preemption", m)
	},
	"yield": func(p *simPair) {
		r, ok := p.speakers[0].(*simRouter)
		if !ok {
			p.t.Fatal("keepalived knows no yield")
		}
		m := p.move(0, p.interval/2, p.skew(simSecond), p.soon(), func() { r.order("yield") })
		p.t.Logf("yield: taken over after %v, gap of %v, %d lost", m.blind, m.gap, len(m.lost))
		p.within("taken over", m.blind, p.skew(simSecond), simLate)
		p.spared(m)
		p.peace(1)
		p.hosts[0].lacks(p.vips)
		m = p.move(1, p.interval/2, p.down(simFirst)-p.interval/2, p.soon(), func() { r.order("reclaim") })
		p.within("reclaimed", m.took, p.down(simFirst), simLate)
		p.back("reclaim", m)
	},
}

// silence lets the first router fall silent.
func (p *simPair) silence(phase time.Duration, event func()) {
	p.t.Helper()
	m := p.move(0, phase, p.down(simSecond)-phase, p.soon(), event)
	p.t.Logf("%v after an advert: silence of %v, gap of %v", phase, m.took, m.gap)
	p.within("silence", m.took, p.down(simSecond), simLate)
	p.within("gap", m.gap, m.blind-simFine, 4*simFine)
}

// back tells that the first router took the service back: from simOurs, which
// serves on until it is there, nothing is lost.
func (p *simPair) back(what string, m simMove) {
	p.t.Helper()
	p.t.Logf("%s: back after %v, gap of %v, %d lost", what, m.blind, m.gap, len(m.lost))
	if p.programs[1] != simTheirs {
		p.spared(m)
	}
	p.peace(0)
	p.hosts[1].lacks(p.vips)
}

// spared demands that the client noticed nothing.
func (p *simPair) spared(m simMove) {
	p.t.Helper()
	if len(m.lost) != 0 || m.gap > p.step+simFine/2 {
		p.t.Errorf("packets were lost %v after the event, gap of %v; want none, and %v", m.lost, m.gap, p.step)
	}
}

// Who takes over, when, and what a client notices of it. With LVSKIT_SIM_ALL=1
// keepalived also plays with itself, for comparison.
func TestSimRouters(t *testing.T) {
	three := func(interval time.Duration, vips ...string) simDialect {
		return simDialect{3, interval, simPrefixes(vips...)}
	}
	fast := three(10*time.Millisecond, "192.0.2.100/32")
	type row struct {
		name     string
		all      bool // play only if all are played
		dialect  simDialect
		programs [2]string
		adverts  int
		moves    []string
	}
	tenth := three(100*time.Millisecond, "192.0.2.100/32")
	six := three(10*time.Millisecond, "fe80::100/64", "2001:db8::100/128")
	two := simDialect{2, time.Second, simPrefixes("192.0.2.100/24")}
	apart := [2]string{simApart, simApart}
	alike, active, backup, others := [2]string{simOurs, simOurs}, [2]string{simOurs, simTheirs}, [2]string{simTheirs, simOurs}, [2]string{simTheirs, simTheirs}
	every := []string{"power loss", "link", "one way", "stop", "yield"}
	known := []string{"power loss", "link", "one way", "stop"}
	some := []string{"power loss", "stop"}
	rows := []row{
		{"10 ms", false, fast, alike, 3, every},
		{"10 ms", false, fast, alike, 2, []string{"power loss"}},
		{"10 ms", false, fast, apart, 3, append(every[:len(every):len(every)], "kill")},
		{"10 ms", false, fast, active, 3, every},
		{"10 ms", false, fast, backup, 3, known},
		{"10 ms", true, fast, others, 3, known},
		{"10 ms, IPv6", false, six, alike, 3, every},
		{"10 ms, IPv6", false, six, active, 3, some},
		{"10 ms, IPv6", false, six, backup, 3, some},
		{"10 ms, IPv6", true, six, others, 3, some},
		{"100 ms", false, tenth, alike, 3, every},
		{"100 ms", false, tenth, active, 3, every},
		{"100 ms", false, tenth, backup, 3, some},
		{"100 ms", true, tenth, others, 3, known},
		{"1 s, version 2", false, two, alike, 3, every},
		{"1 s, version 2", false, two, active, 3, some},
		{"1 s, version 2", false, two, backup, 3, some},
		{"1 s, version 2", true, two, others, 3, known},
	}
	for _, r := range rows {
		if r.all && os.Getenv("LVSKIT_SIM_ALL") != "1" {
			continue
		}
		t.Run(fmt.Sprintf("%s, %s then %s, down after %d", r.name, r.programs[0], r.programs[1], r.adverts), func(t *testing.T) {
			p := newSimSpeakers(t, r.dialect, r.programs, r.adverts)
			for _, m := range r.moves {
				t.Run(m, func(t *testing.T) {
					outer := p.t
					p.t = t
					defer func() { p.t = outer }()
					simMoves[m](p)
				})
			}
		})
	}
}

// deafen lets no multicast through to a host, or lets it again: it hears no
// adverts, and everything else.
func (p *simPair) deafen(who int, deaf bool) {
	p.t.Helper()
	link, err := p.w.sw.Handle().LinkByName(p.hosts[who].port)
	must(p.t, err)
	const brportMulticastFlood = 27 // IFLA_BRPORT_MCAST_FLOOD of linux/if_link.h, since Linux 4.9
	flood := byte(1)
	if deaf {
		flood = 0
	}
	must(p.t, p.w.sw.Do(func() error {
		req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
		msg := nl.NewIfInfomsg(unix.AF_BRIDGE)
		msg.Index = int32(link.Attrs().Index)
		req.AddData(msg)
		attr := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
		attr.AddRtAttr(brportMulticastFlood, []byte{flood})
		req.AddData(attr)
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	}))
}

func simPrefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}
