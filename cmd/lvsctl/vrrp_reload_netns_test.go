//go:build linux && netns

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/internal/lab"
)

// block is a vrrp block with a service of UDP at an address of its own.
func block(name string, vrid int, vip string) string {
	return fmt.Sprintf(`vrrp %s {
	interface = eth0
	vrid = %d
	priority = 150
	backup_priority = 100
	advert_interval = 250ms
}
virtual %s {
	active = 1
	vrrp = %s
	address = %s eth0
	protocol = udp
	port = 7
	check = none
	server a {
		active = 1
		address = 192.0.2.50
	}
}
`, name, vrid, name, name, vip)
}

// echo answers datagrams until the test ends.
func echo(t *testing.T, at *lab.Namespace, addr string) {
	t.Helper()
	conn, err := at.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		for b := make([]byte, 64); ; {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(b[:n], from)
		}
	}()
}

// stream asks an echo every few milliseconds.
type stream struct {
	conn net.Conn
	end  chan struct{}
	work sync.WaitGroup
	mu   sync.Mutex
	sent []bool // answered
}

func startStream(t *testing.T, at *lab.Namespace, addr string) *stream {
	t.Helper()
	conn, err := at.DialContext(t.Context(), "udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{conn: conn, end: make(chan struct{})}
	s.work.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-s.end:
				return
			case <-tick.C:
			}
			s.mu.Lock()
			n := len(s.sent)
			s.sent = append(s.sent, false)
			s.mu.Unlock()
			_, _ = conn.Write(binary.BigEndian.AppendUint32(nil, uint32(n))) // what is lost is not answered
		}
	})
	s.work.Go(func() {
		for b := make([]byte, 64); ; {
			n, err := conn.Read(b)
			if err != nil && !errors.Is(err, syscall.ECONNREFUSED) { // the socket goes on after an answer of ICMP
				return
			}
			if n == 4 {
				s.mu.Lock()
				s.sent[binary.BigEndian.Uint32(b)] = true
				s.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() { s.stop(0) })
	return s
}

// reach waits until somebody answers.
func reach(t *testing.T, at *lab.Namespace, addr string) {
	t.Helper()
	s := startStream(t, at, addr)
	defer s.stop(0)
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		answered := slices.Contains(s.sent, true)
		s.mu.Unlock()
		if answered {
			return
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("nobody answers at %s", addr)
		}
	}
}

// stop ends it, and returns how many were sent and which were not answered.
func (s *stream) stop(patience time.Duration) (sent int, lost []int) {
	select {
	case <-s.end:
	default:
		close(s.end)
	}
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		lost = nil
		s.mu.Lock()
		for i, answered := range s.sent {
			if !answered {
				lost = append(lost, i)
			}
		}
		sent = len(s.sent)
		s.mu.Unlock()
		if len(lost) == 0 || time.Since(began) > patience {
			break
		}
	}
	s.conn.Close()
	s.work.Wait()
	return sent, lost
}

// oneLink is one link with the routers one and two, a client, and a web server
// at 192.0.2.50 that answers what comes to its port 7.
func oneLink(t *testing.T) map[string]*lab.Namespace {
	l := lab.New(t)
	hub := l.Namespace("hub")
	hub.Bridge("br0")
	at := make(map[string]*lab.Namespace)
	for i, name := range []string{"one", "two", "web", "client"} {
		n := l.Namespace(name)
		l.Veth(n, "eth0", hub, name)
		hub.Attach(name, "br0")
		n.Addr("eth0", netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/24", []int{1, 2, 50, 60}[i])))
		at[name] = n
	}
	echo(t, at["web"], "192.0.2.50:7")
	return at
}

// Two directors are told of another vrrp block, and of its end: it begins and
// ends, while what the client sends to the other block is answered, every
// packet of it, and the role there stays.
func TestNetnsBlocksBeginAndEndAtAReload(t *testing.T) {
	for _, beat := range []string{"process", "inline"} {
		t.Run(beat, func(t *testing.T) {
			t.Parallel()
			at := oneLink(t)
			head := "primary = 192.0.2.1\nbackup = 192.0.2.2\nbackup_active = 1\nservice = lvs\nnetwork = direct\nfailover_mode = vrrp\n"
			old, more := head+block("old", 51, "192.0.2.100"), block("more", 52, "192.0.2.110")
			var daemons []*daemon
			for _, name := range []string{"one", "two"} {
				daemons = append(daemons, daemonIn(t, at[name], old, "--dataplane", "userspace", "--addresses", "manage", "--beat", beat))
			}
			one, two := daemons[0], daemons[1]
			router := func(st *control.Status, name string) control.Router {
				if i := slices.IndexFunc(st.Role.Routers, func(r control.Router) bool { return r.Name == name }); i >= 0 {
					return st.Role.Routers[i]
				}
				return control.Router{}
			}
			has := func(name, role string) func(*control.Status) bool {
				return func(st *control.Status) bool {
					r := router(st, name)
					return r.Role == role && r.AddressesHeld == (role == "active")
				}
			}
			one.start()
			one.await("the primary serves", has("old", "active"))
			two.start()
			st := two.await("the backup stands by", has("old", "backup"))
			stands := router(st, "old").Since
			serves := router(one.status(), "old").Since
			reach(t, at["client"], "192.0.2.100:7")
			asks := startStream(t, at["client"], "192.0.2.100:7")

			for round := range 2 {
				for _, d := range daemons {
					d.write(old + more)
					d.signal(syscall.SIGHUP)
				}
				one.await("the new one serves", has("more", "active"))
				two.await("the new one stands by", has("more", "backup"))
				reach(t, at["client"], "192.0.2.110:7")
				for _, d := range daemons {
					d.write(old)
					d.signal(syscall.SIGHUP)
				}
				for _, d := range daemons {
					d.await("it has left", func(st *control.Status) bool { return len(st.Role.Routers) == 1 && len(st.Services) == 1 })
				}
				for _, name := range []string{"one", "two"} {
					if text := at[name].Run("ip", "-o", "addr"); strings.Contains(text, "192.0.2.110") {
						t.Errorf("round %d: the address of the block that is gone is on %s still:\n%s", round, name, text)
					}
				}
			}
			if sent, lost := asks.stop(10 * time.Second); len(lost) > 0 || sent < 100 {
				t.Errorf("of %d packets %d were not answered: %v", sent, len(lost), lost)
			}
			for d, want := range map[*daemon]time.Time{one: serves, two: stands} {
				if r := router(d.status(), "old"); !r.Since.Equal(want) {
					t.Errorf("the role of the other block changed: %+v", r)
				}
			}
		})
	}
}

// An address of a reload whose device is not there is not said to be held, and
// the trouble is over when the device comes.
func TestNetnsAddressThatAReloadCannotAdd(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	one, two := l.Namespace("one"), l.Namespace("two")
	l.Veth(one, "eth0", two, "eth0")
	one.Addr("eth0", netip.MustParsePrefix("192.0.2.1/24"))
	conf := "primary = 192.0.2.1\nbackup = 192.0.2.2\nbackup_active = 1\nservice = lvs\nnetwork = direct\nfailover_mode = vrrp\n" + block("old", 51, "192.0.2.100")
	d := daemonIn(t, one, conf, "--dataplane", "userspace", "--addresses", "manage")
	d.start()
	since := d.await("it serves", func(st *control.Status) bool { return st.Role.AddressesHeld }).Role.Since
	d.write(strings.Replace(conf, "vrid = 51\n", "vrid = 51\naddress = 192.0.2.77/24 eth9\naddress = 192.0.2.78/24 eth0\n", 1))
	d.signal(syscall.SIGHUP)
	noted := func(st *control.Status) bool {
		return slices.ContainsFunc(st.Notes, func(n string) bool { return strings.Contains(n, `"eth9" for 192.0.2.77/24`) })
	}
	d.await("one address is missing", func(st *control.Status) bool { return noted(st) && !st.Role.AddressesHeld })
	if text := one.Run("ip", "-o", "addr"); !strings.Contains(text, "192.0.2.78/24") || !strings.Contains(text, "192.0.2.100/32") {
		t.Errorf("the others are not there:\n%s", text)
	}
	l.Veth(one, "eth9", two, "eth9")
	st := d.await("it is there", func(st *control.Status) bool { return !noted(st) && st.Role.AddressesHeld })
	if !st.Role.Since.Equal(since) || !strings.Contains(one.Run("ip", "-o", "addr"), "192.0.2.77/24") {
		t.Errorf("the role changed, or the address is not there: %+v", st.Role)
	}
}

// Blocks that become a sync group begin anew, in the beat process, while one of
// the two directors serves all the time.
func TestNetnsSyncGroupAtAReload(t *testing.T) {
	t.Parallel()
	at := oneLink(t)
	conf := "primary = 192.0.2.1\nbackup = 192.0.2.2\nbackup_active = 1\nservice = lvs\nnetwork = direct\nfailover_mode = vrrp\n" +
		block("first", 51, "192.0.2.100") + block("second", 52, "192.0.2.110")
	var daemons []*daemon
	for _, name := range []string{"one", "two"} {
		daemons = append(daemons, daemonIn(t, at[name], conf, "--dataplane", "userspace", "--addresses", "manage", "--beat", "process"))
	}
	one, two := daemons[0], daemons[1]
	all := func(role, group string) func(*control.Status) bool {
		return func(st *control.Status) bool {
			return len(st.Role.Routers) == 2 && !slices.ContainsFunc(st.Role.Routers, func(r control.Router) bool {
				return r.Role != role || r.Group != group || r.AddressesHeld != (role == "active")
			})
		}
	}
	one.start()
	one.await("the primary serves", all("active", ""))
	two.start()
	two.await("the backup stands by", all("backup", ""))
	pid := one.status().Role.Beat.PID
	reach(t, at["client"], "192.0.2.100:7")
	asks := startStream(t, at["client"], "192.0.2.100:7")
	for _, group := range []string{"both", ""} {
		next := conf
		if group != "" {
			next = strings.ReplaceAll(conf, "interface = eth0\n", "interface = eth0\nsync_group = "+group+"\n")
		}
		for _, d := range daemons {
			d.write(next)
			d.signal(syscall.SIGHUP)
		}
		one.await("the primary serves again", all("active", group))
		two.await("the backup stands by, after it served for a while", all("backup", group))
	}
	sent, lost := asks.stop(time.Second)
	t.Logf("of %d packets, one each 5 ms, %d were lost", sent, len(lost))
	if st := one.status().Role.Beat; st.PID != pid || st.Starts != 1 {
		t.Errorf("the beat process was exchanged: %+v", st)
	}
	for i, d := range daemons {
		if text := d.log.String(); strings.Contains(text, "beat-lost") || strings.Contains(text, "ERROR") {
			t.Errorf("the log of %d:\n%s", i, text)
		}
	}
}
