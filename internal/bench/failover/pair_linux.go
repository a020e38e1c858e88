package failover

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/lab"
)

// The names and addresses in every pair.
const (
	public, private = "eth0", "eth1"
	vrid            = 51
)

var (
	vip   = netip.MustParsePrefix("192.0.2.100/32")
	hosts = [2]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
	// privates are those of the second wire.
	privates = [2]netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")}
	asks     = netip.MustParseAddr("192.0.2.9")
)

// pair is two machines, a client, and what connects them.
type pair struct {
	tb     testing.TB
	t      tempo
	nodes  [2]node
	hosts  [2]*lab.Namespace
	sw     *lab.Namespace
	asker  *lab.Namespace
	client *client
	beats  [2]*beats
	// lastWord is when the host that died was heard last.
	lastWord time.Time
	closed   chan struct{}

	mu      sync.Mutex
	holds   [2]bool
	changes []change
}

// change is one of who has the address.
type change struct {
	at    time.Time
	holds [2]bool
}

// tempo is how fast a pair beats.
type tempo struct {
	interval time.Duration
	count    int // beats that may be missed
}

func (t tempo) String() string { return fmt.Sprintf("%v adverts, count %d", t.interval, t.count) }

// dead is longer than a pair needs to find a death.
func (t tempo) dead() time.Duration {
	return time.Duration(t.count+1)*t.interval + t.interval/2 + 60*time.Millisecond
}

// newPair builds the network of a pair and starts its nodes.
func newPair(tb testing.TB, c contestant, t tempo) (*pair, error) {
	l := lab.New(tb)
	p := &pair{tb: tb, t: t, sw: l.Namespace("switch"), asker: l.Namespace("client"), closed: make(chan struct{})}
	for _, wire := range []string{public, private} {
		p.sw.Bridge("br-" + wire)
	}
	connect := func(ns *lab.Namespace, port, wire string, addr netip.Addr) {
		l.Veth(ns, wire, p.sw, port)
		p.sw.Attach(port, "br-"+wire)
		ns.Addr(wire, netip.PrefixFrom(addr, 24))
	}
	connect(p.asker, "client", public, asks)
	p.asker.Sysctl("net.ipv4.ping_group_range", "0 0")
	for i := range p.hosts {
		p.hosts[i] = l.Namespace(fmt.Sprintf("host%d", i+1))
		// Nothing but beats is to be on the wire.
		p.hosts[i].Sysctl("net.ipv6.conf.default.disable_ipv6", "1")
		connect(p.hosts[i], port(i, public), public, hosts[i])
		connect(p.hosts[i], port(i, private), private, privates[i])
		if err := p.watch(i); err != nil {
			return nil, err
		}
		var err error
		if p.beats[i], err = hear(p.sw, port(i, public)); err != nil {
			return nil, err
		}
		p.nodes[i] = c.node(tb, p.hosts[i], t, i)
	}
	var err error
	if p.client, err = startClient(p.asker, vip.Addr()); err != nil {
		return nil, err
	}
	for _, n := range p.nodes {
		if err := n.start(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func port(host int, wire string) string { return fmt.Sprintf("h%d-%s", host+1, wire) }

// watch notes when a host gets and loses the address.
func (p *pair) watch(host int) error {
	updates := make(chan netlink.AddrUpdate)
	return p.hosts[host].Do(func() error {
		err := netlink.AddrSubscribeWithOptions(updates, p.closed, netlink.AddrSubscribeOptions{})
		if err != nil {
			return fmt.Errorf("watch addresses: %w", err)
		}
		go func() {
			for u := range updates {
				if a, _ := netip.AddrFromSlice(u.LinkAddress.IP); a.Unmap() != vip.Addr() {
					continue
				}
				p.mu.Lock()
				p.holds[host] = u.NewAddr
				p.changes = append(p.changes, change{time.Now(), p.holds})
				p.mu.Unlock()
			}
		}()
		return nil
	})
}

// holder returns who has the address: 0 or 1, or -1 for none or both.
func (p *pair) holder() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.holds {
	case [2]bool{true, false}:
		return 0
	case [2]bool{false, true}:
		return 1
	}
	return -1
}

// settle waits until one has the address for a while, and returns which.
func (p *pair) settle() (int, error) {
	// Longer than a router listens before it takes the address back.
	quiet := time.Duration(p.t.count+2)*p.t.interval + 300*time.Millisecond
	for begin := time.Now(); time.Since(begin) < 15*time.Second+20*p.t.interval; {
		p.mu.Lock()
		last := begin
		if n := len(p.changes); n > 0 && p.changes[n-1].at.After(last) {
			last = p.changes[n-1].at
		}
		p.mu.Unlock()
		if who := p.holder(); who >= 0 && time.Since(last) > quiet {
			return who, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return -1, errors.New("not one of the two has the address")
}

// handedOver returns how long after a moment a host was rid of the address and
// the other one had it, and for how long both had it until now, all together.
// ok is false if the host has it alone, or both have it, since then. A host that
// takes it back afterwards, as who is preferred does, moves it once more.
func (p *pair) handedOver(host int, at time.Time) (took, both time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range p.changes {
		if c.at.Before(at) {
			continue
		}
		if !ok && !c.holds[host] && c.holds[1-host] {
			took, ok = c.at.Sub(at), true
		}
		if c.holds == [2]bool{true, true} {
			until := time.Now()
			if i+1 < len(p.changes) {
				until = p.changes[i+1].at
			}
			both += until.Sub(c.at)
		}
	}
	return took, both, ok
}

// cut takes a host off all wires; its links stay up.
func (p *pair) cut(host int) error {
	var errs []error
	for _, wire := range []string{public, private} {
		link, err := p.sw.Handle().LinkByName(port(host, wire))
		if err == nil {
			err = p.sw.Handle().LinkSetNoMaster(link)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// join puts it back, as after a new start of the machine.
func (p *pair) join(host int) error {
	errs := []error{p.forget(host)}
	for _, wire := range []string{private, public} {
		link, err := p.sw.Handle().LinkByName(port(host, wire))
		if err == nil {
			var master netlink.Link
			if master, err = p.sw.Handle().LinkByName("br-" + wire); err == nil {
				err = p.sw.Handle().LinkSetMaster(link, master)
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// forget removes the address from a host.
func (p *pair) forget(host int) error {
	h := p.hosts[host].Handle()
	link, err := h.LinkByName(public)
	if err != nil {
		return err
	}
	err = h.AddrDel(link, &netlink.Addr{IPNet: netlink.NewIPNet(vip.Addr().AsSlice())})
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	return err
}

// stop ends all that newPair started but the namespaces.
func (p *pair) stop() error {
	errs := []error{p.client.stop()}
	for _, n := range p.nodes {
		errs = append(errs, n.stop())
	}
	for _, b := range p.beats {
		errs = append(errs, b.file.Close())
	}
	close(p.closed)
	return errors.Join(errs...)
}
