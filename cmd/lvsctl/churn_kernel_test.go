//go:build linux && kernel

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

const churnPort = 7000

// churnServers is how many servers the director checks and fills in.
var churnServers = func() int {
	if lab.Emulated() {
		return 200
	}
	return 1000
}()

// churnLab is a director between a client and a thousand servers that are
// one namespace with a network of addresses of its own.
type churnLab struct {
	*lab.Lab
	client, director, servers *lab.Namespace
	vip                       string
}

func newChurnLab(t *testing.T) *churnLab {
	t.Helper()
	c := &churnLab{Lab: lab.New(t), vip: "10.4.0.100"}
	c.client, c.director, c.servers = c.Namespace("client"), c.Namespace("director"), c.Namespace("servers")
	c.director.Forward()
	c.Veth(c.client, "up", c.director, "pub")
	c.Veth(c.director, "priv", c.servers, "up")
	c.client.Addr("up", netip.MustParsePrefix("10.4.0.2/24"))
	c.director.Addr("pub", netip.MustParsePrefix("10.4.0.1/24"))
	c.director.Addr("priv", netip.MustParsePrefix("10.3.0.1/24"))
	c.servers.Addr("up", netip.MustParsePrefix("10.3.0.2/24"))
	c.director.Route(netip.MustParsePrefix("10.50.0.0/16"), netip.MustParseAddr("10.3.0.2"))
	c.servers.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.3.0.1"))
	lo, err := c.servers.Handle().LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	err = c.servers.Handle().RouteAdd(&netlink.Route{
		LinkIndex: lo.Attrs().Index, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST,
		Dst: &net.IPNet{IP: net.IPv4(10, 50, 0, 0), Mask: net.CIDRMask(16, 32)},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.servers.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", churnPort))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(conn, conn); conn.Close() }()
		}
	}()
	return c
}

func (c *churnLab) conf() string {
	var b strings.Builder
	fmt.Fprintf(&b, `serial_no = 1
primary = 10.4.0.1
service = lvs
network = nat
nat_router = 10.3.0.1 priv:1
tcp_timeout = 800
virtual echo {
     active = 1
     address = %s pub:1
     port = %d
     scheduler = rr
     timeout = 20
     reentry = 20
`, c.vip, churnPort)
	for i := range churnServers {
		fmt.Fprintf(&b, "     server s%d {\n         address = 10.50.%d.%d\n         active = 1\n     }\n", i, i/250, i%250+1)
	}
	b.WriteString("}\n")
	return b.String()
}

// held is a client's connection that stays open.
type held struct {
	net.Conn
	r *bufio.Reader
}

func (h *held) echo(text string) error {
	h.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintln(h, text); err != nil {
		return err
	}
	got, err := h.r.ReadString('\n')
	if err == nil && got != text+"\n" {
		err = fmt.Errorf("sent %q, got %q", text, got)
	}
	return err
}

// TestKernelRestartWithoutChurn kills the daemon under open connections and
// starts it again. Where the kernel lets us watch netlink itself, every
// message to IPVS is read; everywhere the table, its order, its counters and
// the connections must be as they were.
func TestKernelRestartWithoutChurn(t *testing.T) {
	c := newChurnLab(t)
	k, err := ipvs.Dial(t.Context(), &ipvs.Config{NetNS: c.director.Path()})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	foreign := ipvs.Service{Key: ipvs.TCPService(netip.MustParseAddrPort("10.4.0.99:99")), Scheduler: "wlc"}
	foreignDest := ipvs.Destination{Key: netip.MustParseAddrPort("10.3.0.2:99"), Weight: 42}
	if err := errors.Join(k.AddService(t.Context(), foreign), k.AddDestination(t.Context(), foreign.Key, foreignDest)); err != nil {
		t.Fatal(err)
	}

	d := daemonIn(t, c.director, c.conf(), "--dataplane", "kernel")
	d.start()
	d.await("all servers are in", serving(churnServers))

	var open []*held
	for i := range 20 {
		conn, err := c.client.DialContext(t.Context(), "tcp", fmt.Sprintf("%s:%d", c.vip, churnPort))
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer conn.Close()
		h := &held{conn, bufio.NewReader(conn)}
		if err := h.echo("before"); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		open = append(open, h)
	}
	// The kernel totals its counters every two seconds.
	time.Sleep(5 * time.Second)
	before, err := k.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	tap, tapped := watchIPVS(t, c.director)
	d.kill()
	for i, h := range open {
		if err := h.echo("with the daemon dead"); err != nil {
			t.Errorf("connection %d after kill -9: %v", i, err)
		}
	}
	conn, err := c.client.DialContext(t.Context(), "tcp", fmt.Sprintf("%s:%d", c.vip, churnPort))
	if err != nil {
		t.Errorf("no new connection while the daemon is dead: %v", err)
	} else {
		conn.Close()
	}

	d.start()
	st := d.await("every server was asked again", func(st *control.Status) bool {
		up := 0
		for _, s := range st.Services[0].Servers {
			if s.State == "up" {
				up++
			}
		}
		return st.Role.Role == "active" && up == churnServers
	})
	if st.Dataplane.Changes != 0 {
		t.Errorf("the restart made %d changes", st.Dataplane.Changes)
	}
	for i, h := range open {
		if err := h.echo("after the restart"); err != nil {
			t.Errorf("connection %d after the restart: %v", i, err)
		}
	}
	time.Sleep(5 * time.Second)
	if tapped {
		reads, writes := tap()
		if reads == 0 {
			t.Error("the tap saw no read either: it proves nothing")
		}
		if len(writes) > 0 {
			t.Errorf("%d write commands reached the kernel, the first: %s", len(writes), writes[0])
		}
		t.Logf("netlink tap: %d reads of the table, %d writes", reads, len(writes))
	} else {
		t.Logf("this kernel has no netlink monitor: judged by table, order and counters alone")
	}

	after, err := k.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Destinations come newest first, so one that was taken out and put back
	// would stand elsewhere.
	if diff := cmp.Diff(before.Table(), after.Table(), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("the table changed (-before +after):\n%.2000s", diff)
	}
	var active uint32
	for i, e := range before {
		if i >= len(after) || len(after[i].Destinations) != len(e.Destinations) {
			break
		}
		if after[i].Service.Stats.Connections < e.Service.Stats.Connections || after[i].Service.Stats.InBytes < e.Service.Stats.InBytes {
			t.Errorf("counters of %v went back: %+v, then %+v", e.Service.Key, e.Service.Stats, after[i].Service.Stats)
		}
		for j, x := range e.Destinations {
			y := after[i].Destinations[j]
			active += y.Active
			if y.Stats.Connections < x.Stats.Connections || y.Stats.InBytes < x.Stats.InBytes {
				t.Errorf("counters of %v went back: %+v, then %+v", x.Key, x.Stats, y.Stats)
			}
		}
	}
	if active < uint32(len(open)) {
		t.Errorf("%d active connections in the table, want at least %d", active, len(open))
	}

	// A clean end takes ours and leaves theirs.
	if err := d.stop(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	left, err := k.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := ipvs.Table{{Service: foreign, Destinations: []ipvs.Destination{foreignDest}}}
	if changes := ipvs.Diff(left.Table(), want, func(ipvs.ServiceKey) bool { return true }); len(changes) != 0 {
		t.Errorf("after the clean end, to what another program had put there are missing: %v", changes)
	}
}

// watchIPVS counts the requests to IPVS in a namespace from now on. It
// reports false where the kernel has no netlink monitor.
func watchIPVS(t *testing.T, at *lab.Namespace) (stop func() (reads int, writes []string), ok bool) {
	t.Helper()
	mon := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Name: "nlmon0"}, LinkType: "nlmon"}
	if err := at.Handle().LinkAdd(mon); err != nil {
		if os.Getenv("LVSKIT_GUEST") != "own" {
			t.Fatalf("Debian's kernels have a netlink monitor, but: %v", err)
		}
		return nil, false
	}
	at.Up("nlmon0")
	var conn *packet.Conn
	var family uint16
	err := at.Do(func() error {
		g, err := genetlink.Dial(nil)
		if err != nil {
			return err
		}
		defer g.Close()
		f, err := g.GetFamily("IPVS")
		if err != nil {
			return err
		}
		family = f.ID
		ifi, err := net.InterfaceByName("nlmon0")
		if err != nil {
			return err
		}
		conn, err = packet.Listen(ifi, packet.Datagram, unix.ETH_P_ALL, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var reads int
	var writes []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 256<<10)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			mu.Lock()
			for b := buf[:n]; len(b) >= 20; {
				size := int(binary.NativeEndian.Uint32(b))
				if size < 20 || size > len(b) {
					break
				}
				kind, flags, cmd := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:]), b[16]
				if kind == family && flags&unix.NLM_F_REQUEST != 0 {
					switch cmd {
					case 4, 8, 11, 13, 15: // the GET commands
						reads++
					default:
						writes = append(writes, fmt.Sprintf("command %d", cmd))
					}
				}
				b = b[min((size+3)&^3, len(b)):]
			}
			mu.Unlock()
		}
	}()
	return func() (int, []string) {
		conn.Close()
		<-done
		mu.Lock()
		defer mu.Unlock()
		return reads, writes
	}, true
}
