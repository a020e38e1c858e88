//go:build linux && netns

package failover_test

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	raw "github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/internal/lab"
)

// lookout collects sightings.
type lookout struct {
	t    *testing.T
	mu   sync.Mutex
	seen []failover.Sighting
}

func (l *lookout) see(s failover.Sighting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, s)
}

// clear forgets.
func (l *lookout) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = nil
}

// all returns what was seen, as text.
func (l *lookout) all() (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.seen {
		out = append(out, s.String())
	}
	return out
}

// want waits until a sighting is there.
func (l *lookout) want(what string) {
	l.t.Helper()
	deadline := time.Now().Add(patience)
	for !slices.Contains(l.all(), what) {
		if time.Now().After(deadline) {
			l.t.Fatalf("not seen: %q, but %q", what, l.all())
		}
		time.Sleep(time.Millisecond)
	}
}

// none waits a little and fails if anything was seen.
func (l *lookout) none(what string) {
	l.t.Helper()
	time.Sleep(100 * time.Millisecond)
	if got := l.all(); len(got) > 0 {
		l.t.Fatalf("%s: %q", what, got)
	}
}

// look watches the addresses until the test ends.
func look(t *testing.T, a *failover.Addresses) *lookout {
	t.Helper()
	l := &lookout{t: t}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Watch(ctx, l.see) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	time.Sleep(50 * time.Millisecond) // until it looks
	return l
}

func (n netnsHost) owner(t *testing.T, addrs ...string) *failover.Addresses {
	t.Helper()
	o, err := failover.NewAddresses(&failover.AddressesConfig{Addresses: onEth0(addrs...), Namespace: n.Path()})
	must(t, err)
	return o
}

type netnsHost struct{ *lab.Namespace }

func TestNetnsWatchSeesRemovals(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	ns := netnsHost{l.Namespace("router")}
	l.Veth(ns.Namespace, "eth0", l.Namespace("peer"), "eth0")
	o := ns.owner(t, "192.0.2.100/24", "192.0.2.101/24", "2001:db8::100/64")
	w := look(t, o)
	w.none("before anything is held")
	must(t, o.Acquire(t.Context()))
	w.none("our own additions")
	ns.Addr("eth0", netip.MustParsePrefix("192.0.2.7/32"))
	ns.RemoveAddr("eth0", netip.MustParsePrefix("192.0.2.7/32"))
	w.none("another one's address")

	ns.RemoveAddr("eth0", netip.MustParsePrefix("2001:db8::100/64"))
	w.want("removed 2001:db8::100 on eth0")
	w.clear()
	must(t, o.Acquire(t.Context()))
	ns.RemoveAddr("eth0", netip.MustParsePrefix("192.0.2.101/24"))
	w.want("removed 192.0.2.101 on eth0")
	must(t, o.Acquire(t.Context()))
	w.clear()

	must(t, o.Set(t.Context(), onEth0("192.0.2.100/24")))
	w.none("what fell out of the set")
	must(t, o.Release(t.Context()))
	w.none("our own removals")
}

func TestNetnsWatchFollowsTheDevice(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	ns, peer := netnsHost{l.Namespace("router")}, l.Namespace("peer")
	o := ns.owner(t, "192.0.2.100/24")
	w := look(t, o)
	w.none("there is no device yet")
	l.Veth(ns.Namespace, "eth0", peer, "eth0")
	w.want("restored on eth0")
	must(t, o.Acquire(t.Context()))
	w.clear()
	ns.Down("eth0")
	time.Sleep(20 * time.Millisecond)
	if got := w.all(); len(got) > 0 {
		t.Errorf("the device is down: %q", got)
	}
	ns.Up("eth0")
	w.want("restored on eth0")
	w.clear()
	peer.Down("eth0")
	time.Sleep(20 * time.Millisecond)
	peer.Up("eth0")
	w.want("restored on eth0")
	w.clear()
	link, err := ns.Handle().LinkByName("eth0")
	must(t, err)
	must(t, ns.Handle().LinkDel(link))
	l.Veth(ns.Namespace, "eth0", peer, "eth0")
	w.want("restored on eth0")
	must(t, o.Acquire(t.Context()))
	wantListed(t, ns.Namespace, "192.0.2.100/24")
	w.clear()
	within(t, patience, "the new device is watched", func() bool {
		announceFrom(t, peer, "192.0.2.100/32")
		time.Sleep(5 * time.Millisecond)
		return slices.Contains(w.all(), "claimed 192.0.2.100 on eth0 by "+peer.MAC("eth0"))
	})
}

// announceFrom announces addresses from another host, as a rival does.
func announceFrom(t *testing.T, ns *lab.Namespace, addrs ...string) {
	t.Helper()
	must(t, netnsHost{ns}.owner(t, addrs...).Announce(t.Context()))
}

func TestNetnsWatchHearsClaims(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	ns, rival := netnsHost{l.Namespace("router")}, l.Namespace("rival")
	l.Veth(ns.Namespace, "eth0", rival, "eth0")
	o := ns.owner(t, "192.0.2.100/24", "2001:db8::100/64")
	w := look(t, o)
	by := " on eth0 by " + rival.MAC("eth0")
	within(t, patience, "both are heard, also while they are not held", func() bool {
		announceFrom(t, rival, "192.0.2.100/32", "2001:db8::100/128")
		time.Sleep(5 * time.Millisecond)
		got := w.all()
		return slices.Contains(got, "claimed 192.0.2.100"+by) && slices.Contains(got, "claimed 2001:db8::100"+by)
	})
	w.clear()
	announceFrom(t, rival, "192.0.2.101/32", "2001:db8::101/128")
	must(t, o.Acquire(t.Context()))
	must(t, o.Announce(t.Context()))
	time.Sleep(20 * time.Millisecond)
	// What was announced before may still come.
	never := func(what string) {
		t.Helper()
		if got := w.all(); strings.Contains(strings.Join(got, " "), what) {
			t.Fatalf("%s: %q", what, got)
		}
	}
	never("192.0.2.101")
	never("2001:db8::101")
	never(ns.MAC("eth0"))
	// The next set is watched in place of the first.
	must(t, o.Set(t.Context(), onEth0("192.0.2.101/24")))
	within(t, patience, "the other set is watched", func() bool {
		announceFrom(t, rival, "192.0.2.101/32")
		time.Sleep(5 * time.Millisecond)
		return slices.Contains(w.all(), "claimed 192.0.2.101"+by)
	})
	w.clear()
	announceFrom(t, rival, "192.0.2.100/32")
	time.Sleep(20 * time.Millisecond)
	never("192.0.2.100")
	// A device with another hardware address is another one to the neighbours.
	link, err := ns.Handle().LinkByName("eth0")
	must(t, err)
	must(t, ns.Handle().LinkSetHardwareAddr(link, net.HardwareAddr{2, 0, 0, 0, 0, 7}))
	w.want("restored on eth0")
}

// A flood of claims costs a bounded number of sightings.
func TestNetnsWatchBearsAFlood(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	ns, rival := netnsHost{l.Namespace("router")}, l.Namespace("rival")
	l.Veth(ns.Namespace, "eth0", rival, "eth0")
	w := look(t, ns.owner(t, "192.0.2.100/24"))
	begin := time.Now()
	sendFrames(t, rival, func(send func([]byte)) {
		frame := []byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01" +
			"\x02\x00\x00\x00\x00\x01\xc0\x00\x02\x64\x00\x00\x00\x00\x00\x00\xc0\x00\x02\x64")
		for i := range 20_000 {
			frame[26], frame[27] = byte(i>>8), byte(i)
			send(frame)
		}
	})
	time.Sleep(20 * time.Millisecond)
	if n, most := len(w.all()), int(time.Since(begin)/(10*time.Millisecond))+2; n == 0 || n > most {
		t.Errorf("%d sightings in %v, want at most %d", n, time.Since(begin), most)
	}
}

// sendFrames lets f send frames out of eth0 of a host.
func sendFrames(t *testing.T, ns *lab.Namespace, f func(send func([]byte))) {
	t.Helper()
	conn, err := frameConn(ns)
	must(t, err)
	defer conn.Close()
	f(func(frame []byte) {
		_, err := conn.WriteTo(frame, &raw.Addr{HardwareAddr: frame[:6]})
		must(t, err)
	})
}

// sendOn sends one frame.
func sendOn(ns *lab.Namespace, frame []byte) error {
	conn, err := frameConn(ns)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.WriteTo(frame, &raw.Addr{HardwareAddr: frame[:6]})
	return err
}

func frameConn(ns *lab.Namespace) (conn *raw.Conn, err error) {
	err = ns.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		conn, err = raw.Listen(ifi, raw.Raw, 0, nil)
		return err
	})
	return conn, err
}

// An address that was added with a look for duplicates while another host has
// it is of no use; it is seen, and acquiring it makes it usable.
func TestNetnsDuplicateIsMended(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	ns, rival := netnsHost{l.Namespace("router")}, l.Namespace("rival")
	l.Veth(ns.Namespace, "eth0", rival, "eth0")
	o := ns.owner(t, "2001:db8::100/64", "2001:db8::101/64")
	w := look(t, o)
	must(t, o.Acquire(t.Context()))
	rival.Addr("eth0", netip.MustParsePrefix("2001:db8::100/64"))
	ns.Sysctl("net.ipv6.conf.eth0.accept_dad", "1")
	link, err := ns.Handle().LinkByName("eth0")
	must(t, err)
	flags := func() (out int) {
		_, list := addressesOf(t, ns.Namespace)
		for _, a := range list {
			if a.IP.String() == "2001:db8::100" {
				return a.Flags
			}
		}
		return -1
	}
	// Somebody removes both and adds them in his own way.
	for _, s := range []string{"2001:db8::100/64", "2001:db8::101/64"} {
		a, err := netlink.ParseAddr(s)
		must(t, err)
		must(t, ns.Handle().AddrDel(link, a))
		must(t, ns.Handle().AddrAdd(link, a))
	}
	w.want("duplicate 2001:db8::100 on eth0")
	if f := flags(); f&unix.IFA_F_DADFAILED == 0 {
		t.Fatalf("flags %#x", f)
	}
	must(t, o.Acquire(t.Context()))
	if f := flags(); f < 0 || f&(unix.IFA_F_DADFAILED|unix.IFA_F_TENTATIVE) != 0 {
		t.Errorf("flags %#x after it was acquired again", f)
	}
	if strings.Contains(strings.Join(w.all(), " "), "duplicate 2001:db8::101") {
		t.Errorf("seen %q", w.all())
	}
}
