package userspace

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// askFrom asks from a given source address.
func askFrom(t *testing.T, s ipvs.Service, from string) string {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := d.Dial("tcp4", s.Key.Addr.String())
	if err != nil {
		t.Skipf("only one loopback address on this system: %v", err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	var name [1]byte
	if _, err := io.ReadFull(c, name[:]); err != nil {
		t.Fatal(err)
	}
	hangUp(t, c.(*net.TCPConn))
	return string(name[:])
}

func persistent(t *testing.T, b *Balancer, timeout time.Duration, prefix int, dests ...ipvs.Destination) ipvs.Service {
	t.Helper()
	return onFreePort(t, b, func() ipvs.Service {
		return ipvs.Service{
			Key: ipvs.TCPService(freePort(t, "tcp")), Scheduler: "rr", Persistence: timeout, PersistencePrefix: prefix,
		}
	}, dests)
}

func TestPersistentClientsStay(t *testing.T) {
	a, bb := named(t, "a"), named(t, "b")
	b := newBalancer(t, nil)
	s := persistent(t, b, time.Minute, 0, dest(a.addr, 1), dest(bb.addr, 1))
	if got := asks(t, s, 4); got != "bbbb" {
		t.Errorf("asked %s, want bbbb", got)
	}
	if got := askFrom(t, s, "127.0.0.5") + askFrom(t, s, "127.0.0.5"); got != "aa" {
		t.Errorf("the second client asked %s, want aa", got)
	}
	if x := state(t, b, s, bb.addr); x.Persistent != 1 {
		t.Errorf("%d templates, want 1", x.Persistent)
	}
	// Quiesced servers keep their clients, deleted ones do not.
	apply(t, b, change(ipvs.OpSetDestination, s, dest(bb.addr, 0)))
	if got := asks(t, s, 2); got != "bb" {
		t.Errorf("quiesced: asked %s, want bb", got)
	}
	apply(t, b, change(ipvs.OpDelDestination, s, dest(bb.addr, 0)))
	if got := asks(t, s, 2); got != "aa" {
		t.Errorf("deleted: asked %s, want aa", got)
	}
	apply(t, b, change(ipvs.OpAddDestination, s, dest(bb.addr, 1)))
	if got := asks(t, s, 2); got != "aa" {
		t.Errorf("returned: asked %s, want aa", got)
	}
	// Turned off, the scheduler is asked each time.
	s.Persistence = 0
	apply(t, b, change(ipvs.OpSetService, s, ipvs.Destination{}))
	if got := asks(t, s, 4); got != "baba" && got != "abab" {
		t.Errorf("turned off: asked %s", got)
	}
	if x := state(t, b, s, a.addr); x.Persistent != 0 {
		t.Errorf("turned off: %d templates", x.Persistent)
	}
}

func TestPersistenceByPrefix(t *testing.T) {
	a, bb := named(t, "a"), named(t, "b")
	b := newBalancer(t, nil)
	s := persistent(t, b, time.Minute, 24, dest(a.addr, 1), dest(bb.addr, 1))
	got := askFrom(t, s, "127.0.3.1") + askFrom(t, s, "127.0.3.200") + askFrom(t, s, "127.0.4.1") + askFrom(t, s, "127.0.4.9")
	if got != "bbaa" {
		t.Errorf("asked %s, want bbaa", got)
	}
}

func TestPersistenceEnds(t *testing.T) {
	a, bb := named(t, "a"), named(t, "b")
	b := newBalancer(t, nil)
	s := persistent(t, b, time.Second, 0, dest(a.addr, 1), dest(bb.addr, 1))
	name, c := ask(t, s)
	// An open connection holds the template however long it lasts.
	time.Sleep(1500 * time.Millisecond)
	if got := asks(t, s, 1); got != name {
		t.Errorf("asked %s with a connection on %s open", got, name)
	}
	hangUp(t, c)
	eventually(t, "the template expires", func() bool { return state(t, b, s, bb.addr).Persistent == 0 })
	if got := asks(t, s, 1); got != "a" {
		t.Errorf("afterwards asked %s, want a", got)
	}
}

func TestPersistentClientLeavesADeadServer(t *testing.T) {
	a := named(t, "a")
	b := newBalancer(t, nil)
	s := persistent(t, b, time.Minute, 0, dest(a.addr, 1), dest(deadAddr(t), 1))
	if got := asks(t, s, 5); got != "aaaaa" {
		t.Errorf("asked %s", got)
	}
	// The first attempt alone met the dead one: the template moved.
	if k := b.Counters(); k.ConnectErrors != 1 || k.Retries != 1 {
		t.Errorf("counters %+v, want one retry", k)
	}
}

func TestTemplatesAreBounded(t *testing.T) {
	a, bb := named(t, "a"), named(t, "b")
	b := newBalancer(t, &Config{MaxTemplates: 2})
	s := persistent(t, b, time.Minute, 0, dest(a.addr, 1), dest(bb.addr, 1))
	var got strings.Builder
	for i := range 5 {
		got.WriteString(askFrom(t, s, fmt.Sprintf("127.0.0.%d", 10+i)))
	}
	if got.String() != "babab" {
		t.Errorf("asked %s, want babab", got.String())
	}
	// A template is idle a moment after its client has hung up.
	eventually(t, "two are left", func() bool {
		return state(t, b, s, a.addr).Persistent+state(t, b, s, bb.addr).Persistent == 2
	})
	if k := b.Counters(); k.TemplatesEvicted > 3 {
		t.Errorf("%d templates evicted, want at most 3", k.TemplatesEvicted)
	}
}

// The ring of idle templates and the map must always agree.
func TestTemplatesAgree(t *testing.T) {
	b := newBalancer(t, &Config{MaxTemplates: 3})
	s := persistent(t, b, time.Minute, 0)
	svc := b.services[s.Key]
	for i := range 3 {
		if err := svc.addDestination(dest(netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(80+i)), 1)); err != nil {
			t.Fatal(err)
		}
	}
	p := svc.persist.Load()
	client := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), 9)
	}
	var open []link
	for i := range 200 {
		l, err := p.pick(client(i*7%11), s.Key.Addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, l)
		if len(open) > i%6 {
			open[0].drop()
			open = open[1:]
		}
		idle, used := 0, 0
		for x := p.idle.next; x != &p.idle; x = x.next {
			if x.refs != 0 || x.dead || p.clients[x.client] != x {
				t.Fatalf("step %d: the ring holds %+v", i, x)
			}
			idle++
		}
		for _, x := range p.clients {
			if x.refs > 0 {
				used++
			}
		}
		if len(p.clients) > 3 || idle+used != len(p.clients) {
			t.Fatalf("step %d: %d templates, %d idle, %d in use", i, len(p.clients), idle, used)
		}
	}
}
