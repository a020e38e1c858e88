package health

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rwhoCaptured is what rwhod of Debian 12 (0.17-15, host vm, nobody logged in)
// sent under a load of 4.70 2.54 1.23.
const rwhoCaptured = `01010000 6b0223b0 78afeaca 766d0000090000000000000000000000000000000100000000000000d07aee00
	000001d5 000000fe 0000007b 6b021e2c`

// rwhoDatagram is a packet of a host with some users.
func rwhoDatagram(order binary.AppendByteOrder, name string, received uint32, users int, loads ...uint32) []byte {
	b := order.AppendUint32([]byte{1, 1, 0, 0}, 0)
	b = order.AppendUint32(b, received)
	b = append(b, name...)
	b = append(b, make([]byte, rwhoNameSize-len(name))...)
	for _, l := range loads {
		b = order.AppendUint32(b, l)
	}
	b = order.AppendUint32(b, 0)
	return append(b, bytes.Repeat([]byte{'u'}, users*rwhoUser)...)
}

func TestRWhoPackets(t *testing.T) {
	vm := words(t, rwhoCaptured)
	good := rwhoDatagram(binary.BigEndian, "a", 7, 42, 1, 2, 3)
	for name, tt := range map[string]struct {
		b    []byte
		want rwhoPacket
		err  string
	}{
		"Debian's":            {vm, rwhoPacket{"vm", 0x78afeaca, Load{One: 4.69, Five: 2.54, Fifteen: 1.23}}, ""},
		"as many users as go": {good, rwhoPacket{"a", 7, Load{One: 0.01, Five: 0.02, Fifteen: 0.03}}, ""},
		"a name without end":  {rwhoDatagram(binary.BigEndian, strings.Repeat("n", 32), 0, 1, 0, 0, 0), rwhoPacket{strings.Repeat("n", 32), 0, Load{}}, ""},
		"one user too many":   {rwhoDatagram(binary.BigEndian, "a", 7, 43, 1, 2, 3), rwhoPacket{}, "1092 bytes are no packet"},
		"half a user":         {append(vm[:60:60], 1, 2, 3), rwhoPacket{}, "63 bytes are no packet"},
		"short":               {vm[:59], rwhoPacket{}, "59 bytes are no packet"},
		"nothing":             {nil, rwhoPacket{}, "0 bytes"},
		"of another version":  {append([]byte{2}, vm[1:]...), rwhoPacket{}, "version 2 and type 1"},
		"a negative load":     {rwhoDatagram(binary.BigEndian, "a", 7, 0, ^uint32(0), 2, 3), rwhoPacket{}, "-0.01 is no load average"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseRWho(tt.b, binary.BigEndian)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(rwhoPacket{})); err == nil && diff != "" {
				t.Errorf("packet (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzRWhoPacket(f *testing.F) {
	f.Add(words(f, rwhoCaptured))
	f.Add(rwhoDatagram(binary.BigEndian, "host", 1, 2, 100, 200, 300))
	f.Add(rwhoDatagram(binary.LittleEndian, "host", 1, 0, 100, 200, 300))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, order := range []binary.ByteOrder{binary.BigEndian, binary.LittleEndian} {
			p, err := parseRWho(b, order)
			if err == nil && (p.load.check() != nil || len(p.name) > rwhoNameSize || strings.ContainsAny(p.name, "\n\x1b") || len(b) > rwhoMax) {
				t.Errorf("%x: %+v", b, p)
			}
		}
	})
}

// port513 listens where ordinary users may; packets must come from its port.
func port513(t *testing.T, spool string) *RWho {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w, err := NewRWho(&RWhoConfig{Listen: c.LocalAddr().(*net.UDPAddr).AddrPort(), Spool: spool})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// sendFrom sends a datagram to the listener until it is heard.
func sendFrom(t *testing.T, w *RWho, from netip.AddrPort, b []byte, heard func(RWhoStats) bool) {
	t.Helper()
	c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(w.cfg.Listen))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 1000 {
		_, _ = c.Write(b) // refused while nobody listens
		if heard(w.Stats()) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("not heard: %+v", w.Stats())
}

// running has Run run until the returned function is called.
func running(t *testing.T, w *RWho) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	for w.about(netip.Addr{}, time.Now()).running == false {
		time.Sleep(time.Millisecond)
	}
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestRuptimeHears(t *testing.T) {
	w := port513(t, t.TempDir())
	defer running(t, w)()
	c, err := NewRuptime(&RuptimeConfig{RWho: w})
	if err != nil {
		t.Fatal(err)
	}
	port := w.cfg.Listen.Port()
	server, stranger := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")
	target := Target{Addr: netip.AddrPortFrom(server, 80)}
	if r := c.Check(t.Context(), target); r.Verdict != NoResult || !strings.Contains(r.Reason, "none yet, listening for") {
		t.Errorf("before the first packet: %v, %s", r.Verdict, r.Reason)
	}
	// The name in a packet counts for nothing.
	packet := rwhoDatagram(binary.BigEndian, "web2", 0, 1, 250, 100, 50)
	sendFrom(t, w, netip.AddrPortFrom(stranger, port), packet, func(s RWhoStats) bool { return s.Strangers > 0 })
	sendFrom(t, w, netip.AddrPortFrom(server, 0), packet, func(s RWhoStats) bool { return s.WrongPort > 0 })
	sendFrom(t, w, netip.AddrPortFrom(server, port), packet[:61], func(s RWhoStats) bool { return s.Malformed > 0 })
	sendFrom(t, w, netip.AddrPortFrom(server, port), make([]byte, 2000), func(s RWhoStats) bool { return s.Malformed > 1 })
	if r := c.Check(t.Context(), target); r.Verdict != NoResult {
		t.Errorf("after packets that do not count: %v, %s", r.Verdict, r.Reason)
	}
	sendFrom(t, w, netip.AddrPortFrom(server, port), packet, func(s RWhoStats) bool { return s.Accepted > 0 })
	r := c.Check(t.Context(), target)
	if r.Verdict != OK || r.Load == nil || *r.Load != (Load{One: 2.5, Five: 1, Fifteen: 0.5}) || !strings.Contains(r.Reason, `packet: load 2.50 1.00 0.50 (of "web2", 0s ago)`) {
		t.Errorf("%v, %v, %s", r.Verdict, r.Load, r.Reason)
	}
	if s := w.Stats(); s.Hosts != 1 || !s.Listening || s.Err != "" {
		t.Errorf("stats %+v", s)
	}
}

// A check that nobody listens for listens by itself, and leaves nothing open.
func TestRuptimeAlone(t *testing.T) {
	w := port513(t, t.TempDir())
	c, err := NewRuptime(&RuptimeConfig{RWho: w})
	if err != nil {
		t.Fatal(err)
	}
	server := netip.MustParseAddr("127.0.0.2")
	target := Target{Addr: netip.AddrPortFrom(server, 80)}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if r := c.Check(ctx, target); r.Verdict != NoResult || !strings.Contains(r.Reason, "give the check more time") {
		t.Errorf("%v, %s", r.Verdict, r.Reason)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if r := c.Check(stopped, target); r.Verdict != NoResult || !strings.Contains(r.Reason, "cancelled by us") {
		t.Errorf("%v, %s", r.Verdict, r.Reason)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	results := make(chan Result)
	for range 3 {
		go func() { results <- c.Check(ctx, target) }()
	}
	packet := rwhoDatagram(binary.BigEndian, "web", 0, 0, 250, 100, 50)
	sendFrom(t, w, netip.AddrPortFrom(server, w.cfg.Listen.Port()), packet, func(s RWhoStats) bool { return s.Accepted > 0 })
	for range 3 {
		if r := <-results; r.Verdict != OK || r.Load == nil || r.Load.One != 2.5 {
			t.Errorf("%v, %s", r.Verdict, r.Reason)
		}
	}
	if s := w.Stats(); s.Listening {
		t.Errorf("the port stays open: %+v", s)
	}
	probe, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(w.cfg.Listen))
	if err != nil {
		t.Fatal(err)
	}
	probe.Close()
}

func TestRuptimeFromTheSpool(t *testing.T) {
	spool := t.TempDir()
	w := port513(t, spool)
	taken, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(w.cfg.Listen))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	now := uint32(time.Now().Unix())
	for name, b := range map[string][]byte{
		"web1":  rwhoDatagram(binary.NativeEndian, "web1", now-60, 3, 175, 100, 50),
		"web2":  rwhoDatagram(binary.NativeEndian, "web2", now-3600, 0, 175, 100, 50),
		"ahead": rwhoDatagram(binary.NativeEndian, "ahead", now+30, 0, 175, 100, 50),
		"cut":   rwhoDatagram(binary.NativeEndian, "cut", now, 0, 175, 100, 50)[:50],
	} {
		if err := os.WriteFile(filepath.Join(spool, "whod."+name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(spool, "whod.folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	defer running(t, w)()
	for name, tt := range map[string]struct {
		want   Verdict
		reason string
	}{
		"web1":   {OK, `spool: load 1.75 1.00 0.50 (of "web1", 1m`},
		"ahead":  {OK, `(of "ahead", 0s ago)`},
		"web2":   {Fail, "spool: no packet for 1h0m"},
		"web3":   {NoResult, "spool: the port belongs to the rwhod of this machine, and " + filepath.Join(spool, "whod.web3") + " of 127.0.0.2: "},
		"cut":    {NoResult, "50 bytes are no packet of rwhod"},
		"folder": {NoResult, "no regular file"},
	} {
		c, err := NewRuptime(&RuptimeConfig{RWho: w, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		r := c.Check(t.Context(), Target{Addr: netip.MustParseAddrPort("127.0.0.2:80")})
		if r.Verdict != tt.want || !strings.Contains(r.Reason, tt.reason) || (r.Load != nil) != (tt.want == OK) {
			t.Errorf("%s: %v, %v, %s; want %v and %q", name, r.Verdict, r.Load, r.Reason, tt.want, tt.reason)
		}
	}
	if s := w.Stats(); s.Listening || s.Err == "" {
		t.Errorf("stats %+v", s)
	}
	// The name of an address that everybody knows.
	if names, err := spoolNames(t.Context(), netip.MustParseAddr("127.0.0.1")); err != nil || len(names) == 0 || names[0] != "localhost" {
		t.Errorf("127.0.0.1 is %q, %v", names, err)
	}
}

// Eleven minutes without a packet are the end, but only of those in which one
// would have been heard.
func TestRuptimeDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := NewRWho(nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := NewRuptime(&RuptimeConfig{RWho: w})
		if err != nil {
			t.Fatal(err)
		}
		w.runs, w.since = 1, time.Now()
		a := netip.MustParseAddrPort("192.0.2.1:513")
		packet := rwhoDatagram(binary.BigEndian, "web", 0, 0, 100, 100, 100)
		step := func(wait time.Duration, want Verdict, reason string) {
			t.Helper()
			time.Sleep(wait)
			if r := c.Check(t.Context(), Target{Addr: a}); r.Verdict != want || !strings.Contains(r.Reason, reason) {
				t.Errorf("%v, %s; want %v and %q", r.Verdict, r.Reason, want, reason)
			}
		}
		time.Sleep(time.Hour) // nobody asks about it, so nobody has missed it
		step(0, NoResult, "none yet, listening for 0s")
		step(RWhoDown, NoResult, "listening for 11m0s")
		step(time.Second, Fail, "none for 11m1s, since we listen: is rwhod running there")
		w.learn(a, packet, time.Now())
		step(RWhoDown, OK, `(of "web", 11m0s ago)`)
		step(time.Second, Fail, "none for 11m1s: down")
		// Deaf for a while: silence is no sign then.
		w.since = time.Now()
		step(5*time.Minute, NoResult, "listening for 5m0s")
		step(RWhoDown-5*time.Minute, NoResult, "listening for 11m0s")
		step(time.Second, Fail, "none for 22m2s: down")
		w.learn(a, packet, time.Now())
		step(time.Minute, OK, "1m0s ago")
	})
}

func TestRWhoIsBounded(t *testing.T) {
	w, err := NewRWho(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	addr := netip.MustParseAddr("10.0.0.0")
	for range MaxRWhoHosts {
		if err := w.tell(addr, now); err != nil {
			t.Fatal(err)
		}
		addr = addr.Next()
	}
	if err := w.tell(addr, now.Add(rwhoForget)); err == nil {
		t.Error("there is room for one more")
	}
	kept := netip.MustParseAddr("10.0.0.9")
	if err := w.tell(kept, now.Add(rwhoForget)); err != nil {
		t.Error(err)
	}
	if err := w.tell(addr, now.Add(rwhoForget+1)); err != nil {
		t.Error(err)
	}
	if n := w.Stats().Hosts; n != 2 || w.hosts[kept] == nil {
		t.Errorf("%d hosts, want the two that somebody asks about", n)
	}
}

func TestRWhoConfig(t *testing.T) {
	for name, cfg := range map[string]RWhoConfig{
		"IPv6":    {Listen: netip.MustParseAddrPort("[::1]:513")},
		"no port": {Listen: netip.MustParseAddrPort("127.0.0.1:0")},
		"spool":   {Spool: "a\x00b"},
	} {
		if _, err := NewRWho(&cfg); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for _, name := range []string{"a/b", "../x", "a b", strings.Repeat("n", 33)} {
		if _, err := NewRuptime(&RuptimeConfig{Name: name}); err == nil {
			t.Errorf("the name %q is taken", name)
		}
	}
	c, err := NewRuptime(nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Check(t.Context(), Target{Addr: netip.MustParseAddrPort("[2001:db8::1]:80")}); r.Verdict != NoResult || !strings.Contains(r.Reason, "IPv4 only") {
		t.Errorf("%v, %s", r.Verdict, r.Reason)
	}
}
