//go:build linux && kernel

package procfs

import (
	"encoding/binary"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

// director is a network namespace with its IPVS, from outside.
type director struct {
	*lab.Namespace
	files  *Namespace
	client *ipvs.Client
}

func newDirector(t testing.TB, l *lab.Lab, name string) *director {
	t.Helper()
	d := &director{Namespace: l.Namespace(name)}
	var err error
	if d.files, err = Open(d.Path()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.files.Close() })
	if d.client, err = ipvs.Dial(t.Context(), &ipvs.Config{NetNS: d.Path()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.client.Close() })
	return d
}

func (d *director) add(t testing.TB, s ipvs.Service, destination string, how ipvs.ForwardMethod) {
	t.Helper()
	s.Scheduler = "rr"
	if err := d.client.Apply(t.Context(), ipvs.Diff(nil, ipvs.Table{{
		Service:      s,
		Destinations: []ipvs.Destination{{Key: ap(destination), Weight: 1, Forward: how}},
	}}, nil)); err != nil {
		t.Fatal(err)
	}
}

// connect opens a TCP connection in the namespace for the test's duration and
// returns its own end.
func (d *director) connect(t testing.TB, to string) netip.AddrPort {
	t.Helper()
	c, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().(*net.TCPAddr).AddrPort()
}

// listen accepts what comes and keeps it for the test's duration.
func (d *director) listen(t testing.TB, at string) {
	t.Helper()
	l, err := d.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

// send sends a UDP datagram from a port to which the server does not answer.
func (d *director) send(t testing.TB, from, to, text string, mark int) {
	t.Helper()
	err := d.Do(func() error {
		family, local := unix.AF_INET, ap(from)
		if local.Addr().Is6() {
			family = unix.AF_INET6
		}
		s, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		if mark != 0 {
			if err := unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_MARK, mark); err != nil {
				return err
			}
		}
		if err := unix.Bind(s, sockaddr(local)); err != nil {
			return err
		}
		return unix.Sendto(s, []byte(text), 0, sockaddr(ap(to)))
	})
	if err != nil {
		t.Fatalf("send from %s to %s: %v", from, to, err)
	}
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is6() {
		return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}

// sctpInit sends the first packet of an SCTP association by hand, as no
// kernel module is needed for that.
func (d *director) sctpInit(t testing.TB, fromPort uint16, to string) {
	t.Helper()
	p := make([]byte, 32)
	binary.BigEndian.PutUint16(p, fromPort)
	binary.BigEndian.PutUint16(p[2:], ap(to).Port())
	p[12] = 1                               // INIT
	binary.BigEndian.PutUint16(p[14:], 20)  // its length
	binary.BigEndian.PutUint32(p[16:], 1)   // tag
	binary.BigEndian.PutUint32(p[20:], 1e5) // window
	binary.BigEndian.PutUint32(p[24:], 1<<16|1)
	err := d.Do(func() error {
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_SCTP)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		return unix.Sendto(s, p, 0, sockaddr(netip.AddrPortFrom(ap(to).Addr(), 0)))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// find returns the only row that what names a property of.
func find(t testing.TB, rows []Connection, what string, is func(*Connection) bool) (c Connection) {
	t.Helper()
	found := 0
	for i := range rows {
		if is(&rows[i]) {
			c = rows[i]
			found++
		}
	}
	if found != 1 {
		t.Errorf("%s: %d rows, want 1", what, found)
	}
	return c
}

func TestKernelConnections(t *testing.T) {
	d := newDirector(t, lab.New(t), "director")
	d.listen(t, "127.0.0.1:8080")
	d.listen(t, "[::1]:8080")
	persistent := func(k ipvs.ServiceKey, prefix int) ipvs.Service {
		return ipvs.Service{Key: k, Persistence: 5 * time.Minute, PersistencePrefix: prefix}
	}
	d.add(t, ipvs.Service{Key: ipvs.TCPService(ap("127.0.0.2:80"))}, "127.0.0.1:8080", ipvs.Masquerade)
	d.add(t, ipvs.Service{Key: ipvs.TCPService(ap("[::1]:81"))}, "[::1]:8080", ipvs.Masquerade)
	d.add(t, persistent(ipvs.TCPService(ap("127.0.0.3:80")), 8), "127.0.0.1:8080", ipvs.Masquerade)
	d.add(t, ipvs.Service{Key: ipvs.UDPService(ap("127.0.0.2:53"))}, "127.0.0.1:53", ipvs.Masquerade)
	d.add(t, ipvs.Service{Key: ipvs.UDPService(ap("127.0.0.2:54"))}, "[::1]:54", ipvs.Tunnel)
	d.add(t, ipvs.Service{Key: ipvs.SCTPService(ap("127.0.0.2:99"))}, "127.0.0.1:99", ipvs.Masquerade)
	d.add(t, persistent(ipvs.MarkService(263), 0), "127.0.0.1:0", ipvs.Masquerade)
	d.add(t, persistent(ipvs.MarkService6(7), 0), "[::1]:0", ipvs.Masquerade)
	sip := persistent(ipvs.UDPService(ap("127.0.0.2:5060")), 0)
	sip.Engine = "sip"
	d.add(t, sip, "127.0.0.1:5061", ipvs.Masquerade)

	seconds := func(c *Connection) { // what a test cannot foretell
		if c.Expires <= 0 || c.Expires > 15*time.Minute {
			t.Errorf("%v", c)
		}
		c.Expires = 0
	}
	tcp4, tcp6, tcpp := d.connect(t, "127.0.0.2:80"), d.connect(t, "[::1]:81"), d.connect(t, "127.0.0.3:80")
	d.send(t, "127.0.0.1:4053", "127.0.0.2:53", "x", 0)
	d.send(t, "127.0.0.1:4054", "127.0.0.2:54", "x", 0)
	d.send(t, "127.0.0.1:4007", "127.0.0.9:777", "x", 263)
	d.send(t, "[::1]:4008", "[::1]:778", "x", 7)
	d.send(t, "127.0.0.1:5060", "127.0.0.2:5060", "OPTIONS sip:a@b SIP/2.0\r\nCall-ID: b84b4c76e66710@pc33\r\nContent-Length: 0\r\n\r\n", 0)
	d.sctpInit(t, 4099, "127.0.0.2:99") // the last, its row is short-lived

	rows, errs := connections(d.files.Connections())
	if errs != nil {
		t.Fatal(errs)
	}
	for _, c := range rows {
		t.Log(c)
	}
	sctp := find(t, rows, "SCTP", func(c *Connection) bool { return c.Protocol == ipvs.SCTP })
	if sctp.Client != ap("127.0.0.1:4099") || sctp.Virtual != ap("127.0.0.2:99") || sctp.Destination != ap("127.0.0.1:99") ||
		!slices.Contains([]State{StateInit1, StateInit, StateRejected, StateClosed}, sctp.State) {
		t.Errorf("SCTP: %v", sctp)
	}
	conn := func(p ipvs.Protocol, client netip.AddrPort, virtual, dest string, s State) Connection {
		return Connection{Protocol: p, Client: client, Virtual: ap(virtual), Destination: ap(dest), State: s}
	}
	want := map[string]Connection{
		"TCP":                        conn(ipvs.TCP, tcp4, "127.0.0.2:80", "127.0.0.1:8080", StateEstablished),
		"TCP over IPv6":              conn(ipvs.TCP, tcp6, "[::1]:81", "[::1]:8080", StateEstablished),
		"TCP, persistent":            conn(ipvs.TCP, tcpp, "127.0.0.3:80", "127.0.0.1:8080", StateEstablished),
		"its template":               conn(ipvs.TCP, ap("127.0.0.0:0"), "127.0.0.3:80", "127.0.0.1:8080", StateAssured),
		"UDP":                        conn(ipvs.UDP, ap("127.0.0.1:4053"), "127.0.0.2:53", "127.0.0.1:53", StateUDP),
		"UDP through an IPv6 tunnel": conn(ipvs.UDP, ap("127.0.0.1:4054"), "127.0.0.2:54", "[::1]:54", StateUDP),
		"mark":                       conn(ipvs.UDP, ap("127.0.0.1:4007"), "127.0.0.9:777", "127.0.0.1:777", StateUDP),
		"mark in IPv6":               conn(ipvs.UDP, ap("[::1]:4008"), "[::1]:778", "[::1]:778", StateUDP),
		"template of a mark":         conn(0, ap("127.0.0.1:0"), "0.0.1.7:0", "127.0.0.1:0", StateNone),
		"template of an IPv6 mark":   conn(0, ap("[::1]:0"), "[0:7::]:0", "[::1]:0", StateNone),
		"SIP":                        conn(ipvs.UDP, ap("127.0.0.1:5060"), "127.0.0.2:5060", "127.0.0.1:5061", StateUDP),
		"template of SIP":            conn(ipvs.UDP, ap("127.0.0.1:0"), "127.0.0.2:5060", "127.0.0.1:5061", StateNone),
	}
	// The engine's data is in the template only.
	w := want["template of SIP"]
	w.PEName, w.PEData = "sip", "b84b4c76e66710@pc33"
	want["template of SIP"] = w
	templates := 0
	for name, w := range want {
		got := find(t, rows, name, func(c *Connection) bool {
			return c.Protocol == w.Protocol && c.Client == w.Client && c.Virtual == w.Virtual
		})
		seconds(&got)
		if diff := cmp.Diff(w, got, equate); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if strings.Contains(name, "template") != got.IsTemplate() {
			t.Errorf("%s: IsTemplate is %v", name, got.IsTemplate())
		}
		if got.IsTemplate() {
			templates++
		}
		if mark, ok := got.Mark(); ok != (got.Protocol == 0) || ok && mark != 263 && mark != 7 {
			t.Errorf("%s: mark %d, %v", name, mark, ok)
		}
	}
	if len(rows) != len(want)+1 || templates != 4 {
		t.Errorf("%d rows with %d templates, want %d with 4", len(rows), templates, len(want)+1)
	}

	t.Run("ipvsadm lists the same", func(t *testing.T) {
		out := d.Run("ipvsadm", "-Lnc", "--persistent-conn")
		var theirs []string
		for line := range strings.Lines(out) {
			f := strings.Fields(line)
			if len(f) < 6 || f[0] == "pro" || f[0] == "IPVS" || f[0] == "SCTP" {
				continue
			}
			theirs = append(theirs, strings.Join(slices.Delete(f, 1, 2), " ")) // all but the time
		}
		var ours []string
		for _, c := range rows {
			if c.Protocol == ipvs.SCTP {
				continue
			}
			proto := strings.ToUpper(c.Protocol.String())
			if c.Protocol == 0 {
				proto = "IP"
			}
			line := fmt.Sprintf("%s %s %v %v %v", proto, c.State, c.Client, c.Virtual, c.Destination)
			if c.PEName != "" {
				line += " " + c.PEName + " " + c.PEData
			}
			ours = append(ours, line)
		}
		slices.Sort(theirs)
		slices.Sort(ours)
		if diff := cmp.Diff(theirs, ours); diff != "" {
			t.Errorf("(-ipvsadm +ours):\n%s", diff)
		}
	})

	t.Run("the sync variant tells the same", func(t *testing.T) {
		key := func(c Connection) string {
			return fmt.Sprint(c.Protocol, c.Client, c.Virtual, c.Destination, c.State)
		}
		listed := func(seq iter.Seq2[Connection, error], origin Origin) (keys []string) {
			for c, err := range seq {
				if err != nil || c.Origin != origin {
					t.Errorf("%v, %v", c, err)
				}
				if c.Protocol != ipvs.SCTP {
					keys = append(keys, key(c))
				}
			}
			slices.Sort(keys)
			return keys
		}
		if diff := cmp.Diff(listed(d.files.Connections(), ""), listed(d.files.SyncConnections(), OriginLocal)); diff != "" {
			t.Errorf("(-table +sync):\n%s", diff)
		}
	})
}

// TestKernelSyncOrigin lets a director take over the connections of another.
func TestKernelSyncOrigin(t *testing.T) {
	l := lab.New(t)
	a, b := newDirector(t, l, "master"), newDirector(t, l, "backup")
	l.Veth(a.Namespace, "sync", b.Namespace, "sync")
	a.Addr("sync", netip.MustParsePrefix("10.5.0.1/24"))
	b.Addr("sync", netip.MustParsePrefix("10.5.0.2/24"))
	if err := a.files.SetSysctl(SyncThreshold, ThresholdValue(0, 1)); err != nil {
		t.Fatal(err)
	}
	b.Run("ipvsadm", "--start-daemon", "backup", "--mcast-interface", "sync")
	defer b.Run("ipvsadm", "--stop-daemon", "backup")
	a.Run("ipvsadm", "--start-daemon", "master", "--mcast-interface", "sync")
	defer a.Run("ipvsadm", "--stop-daemon", "master")
	a.listen(t, "127.0.0.1:8080")
	a.add(t, ipvs.Service{Key: ipvs.TCPService(ap("127.0.0.2:80"))}, "127.0.0.1:8080", ipvs.Masquerade)
	var synced []Connection
	for deadline := time.Now().Add(30 * time.Second); len(synced) == 0 && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		a.connect(t, "127.0.0.2:80")
		var errs []error
		if synced, errs = connections(b.files.SyncConnections()); errs != nil {
			t.Fatal(errs)
		}
	}
	if len(synced) == 0 {
		t.Fatal("no connection came over")
	}
	if c := synced[0]; c.Origin != OriginSync || c.Virtual != ap("127.0.0.2:80") || c.Destination != ap("127.0.0.1:8080") {
		t.Errorf("%v", c)
	}
}

// fill makes n UDP connections of as many clients.
func (d *director) fill(t testing.TB, n int) {
	t.Helper()
	d.add(t, ipvs.Service{Key: ipvs.UDPService(ap("127.0.0.2:53"))}, "127.0.0.1:53", ipvs.Masquerade)
	sink, err := d.ListenPacket("udp", "127.0.0.1:53") // else each would be answered by ICMP
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	err = d.Do(func() error {
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW) // with headers of our own
		if err != nil {
			return err
		}
		defer unix.Close(s)
		p := make([]byte, 28)
		p[0], p[3], p[8], p[9] = 0x45, 28, 64, unix.IPPROTO_UDP
		copy(p[16:], []byte{127, 0, 0, 2})
		binary.BigEndian.PutUint16(p[22:], 53)
		binary.BigEndian.PutUint16(p[24:], 8)
		for i := range n {
			copy(p[12:], []byte{127, 1, byte(i >> 8), byte(i)})
			binary.BigEndian.PutUint16(p[20:], uint16(1024+i>>16))
			if err := unix.Sendto(s, p, 0, sockaddr(ap("127.0.0.2:0"))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestKernelManyConnections(t *testing.T) {
	const n = 20_000
	d := newDirector(t, lab.New(t), "director")
	d.fill(t, n)
	seen := make(map[netip.AddrPort]bool, n)
	for c, err := range d.files.Connections() {
		if err != nil {
			t.Fatal(err)
		}
		if seen[c.Client] {
			t.Fatalf("%v comes twice in a table that rests", c)
		}
		seen[c.Client] = true
	}
	if len(seen) != n {
		t.Errorf("%d connections, want %d", len(seen), n)
	}
}

func BenchmarkKernelConnections(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 40_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := newDirector(b, lab.New(b), "director")
			d.fill(b, n)
			b.ReportAllocs()
			for b.Loop() {
				rows := 0
				for _, err := range d.files.Connections() {
					if err != nil {
						b.Fatal(err)
					}
					rows++
				}
				if rows != n {
					b.Fatal(rows)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
