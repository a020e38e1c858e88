//go:build linux && kernel

package ipvsadm

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
)

// list returns our listing of the kernel's table.
func (b *bench) list(o ListOptions) string {
	b.t.Helper()
	snap, err := b.client.Snapshot(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	info, err := b.client.Info(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteList(&out, o, snap, info); err != nil {
		b.t.Fatal(err)
	}
	return out.String()
}

// sameList compares our listing with that of the real program. Counters may
// change between the two, so ours is taken before and after.
func (b *bench) sameList(args ...string) string {
	b.t.Helper()
	args = append([]string{"-L", "-n"}, args...)
	c, err := ParseArgs(b.t.Context(), args, Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	for range 20 {
		ours := b.list(*c.List)
		theirs := b.must("", args...)
		if b.list(*c.List) != ours {
			continue
		}
		theirs = named(theirs)
		if diff := cmp.Diff(strings.Split(theirs, "\n"), strings.Split(ours, "\n")); diff != "" {
			b.t.Errorf("ipvsadm %v (-real +ours):\n%s", args, diff)
		}
		return ours
	}
	b.t.Fatalf("ipvsadm %v: the table does not hold still", args)
	return ""
}

// named puts our words where the real program has none: for the methods of
// two destinations of TestKernelListOfOddities.
func named(list string) string {
	lines := strings.Split(list, "\n")
	for i, l := range lines {
		switch {
		case strings.HasPrefix(l, "  -> 10.0.1.2:80 "):
			lines[i] = strings.Replace(l, "(null)", "Bypass", 1)
		case strings.HasPrefix(l, "  -> 10.0.1.4:81 "):
			lines[i] = strings.Replace(l, "(null)", "5     ", 1)
		}
	}
	return strings.Join(lines, "\n")
}

// forms are the listings of a table.
var forms = [][]string{
	{},
	{"--exact"},
	{"--stats"},
	{"--stats", "--exact"},
	{"--rate"},
	{"--rate", "--exact"},
	{"--thresholds"},
	{"--persistent-conn"},
	{"--tun-info"},
	{"--stats", "--rate"},
	{"--rate", "--thresholds"},
	{"--thresholds", "--persistent-conn"},
	{"--persistent-conn", "--tun-info"},
}

func TestKernelListOfEverything(t *testing.T) {
	b := newBench(t)
	b.apply(everything())
	for _, form := range forms {
		b.sameList(form...)
	}
	b.sameList("-t", "10.0.0.1:443", "--tun-info")
	b.sameList("-t", "10.0.0.1:80", "--nosort")
	b.sameList("-f", "7", "-6", "--stats")
	b.sameList("-f", "4294967295")
}

// TestKernelListOfOddities lists what command lines cannot make.
func TestKernelListOfOddities(t *testing.T) {
	b := newBench(t)
	web := ipvs.TCPService(ap("10.0.0.1:80"))
	b.apply(ipvs.Table{{
		Service: ipvs.Service{Key: web, Scheduler: "rr", Flags: ipvs.OnePacket},
		Destinations: []ipvs.Destination{
			{Key: ap("10.0.1.1:80"), Forward: ipvs.Local, Weight: 1},
			{Key: ap("10.0.1.2:80"), Forward: ipvs.Bypass, Weight: 1},
			{Key: ap("10.0.1.3:81"), Forward: ipvs.DirectRoute, Weight: 1},
			{Key: ap("10.0.1.4:81"), Forward: 5, Weight: 1},
			{Key: ap("10.0.1.5:81"), Forward: ipvs.Tunnel, Weight: 1, Tunnel: ipvs.TunnelOptions{Type: ipvs.IPIP, Port: 9, Flags: checksum}},
			{Key: ap("10.0.1.6:81"), Forward: ipvs.Tunnel, Weight: 1, Tunnel: ipvs.TunnelOptions{Type: ipvs.GRE, Port: 9, Flags: remoteChecksum}},
		},
	}, {
		Service: ipvs.Service{Key: ipvs.TCPService(ap("10.0.0.2:0")), Scheduler: "rr", Flags: 0x80},
	}})
	for _, form := range forms {
		b.sameList(form...)
	}
}

// TestKernelSortOfCircles has destinations whose order is a circle, so that
// the outcome depends on how they are sorted.
func TestKernelSortOfCircles(t *testing.T) {
	b := newBench(t)
	var ds []ipvs.Destination
	for _, s := range []string{"200", "90", "1", "150", "60", "220", "30", "10", "100", "180", "120"} {
		ds = append(ds,
			ipvs.Destination{Key: ap(s + ".0.0.1:80"), Weight: 1, Forward: ipvs.Tunnel},
			ipvs.Destination{Key: ap(s + ".0.0.1:8080"), Weight: 1, Forward: ipvs.Tunnel})
	}
	for _, s := range []string{"fd00::1", "2001:db8::1", "::1:0:0:1", "9000::", "2001:db8::ff", "2001:db8::100", "7fff::", "dfff::1"} {
		ds = append(ds, ipvs.Destination{Key: ap("[" + s + "]:80"), Weight: 1, Forward: ipvs.Tunnel})
	}
	b.apply(ipvs.Table{{Service: ipvs.Service{Key: ipvs.MarkService(1), Scheduler: "rr"}, Destinations: ds}})
	b.sameList()
	b.sameList("-f", "1", "--nosort")
	slices.Reverse(ds)
	b.apply(ipvs.Table{{Service: ipvs.Service{Key: ipvs.MarkService(1), Scheduler: "rr"}, Destinations: ds}})
	b.sameList()
}

// TestKernelListOfTraffic lists counters that are not zero, one large enough
// to be cut.
func TestKernelListOfTraffic(t *testing.T) {
	b := newBench(t)
	const payload = 110 << 20
	err := b.ns.Do(func() error {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		server := l.Addr().(*net.TCPAddr).AddrPort()
		b.apply(ipvs.Table{{
			Service:      ipvs.Service{Key: ipvs.TCPService(ap("127.0.0.2:80")), Scheduler: "rr", Persistence: time.Minute},
			Destinations: []ipvs.Destination{{Key: server, Weight: 1, UpperThreshold: 100}},
		}})
		conn, err := net.Dial("tcp4", "127.0.0.2:80")
		if err != nil {
			return err
		}
		defer conn.Close()
		peer, err := l.Accept()
		if err != nil {
			return err
		}
		defer peer.Close()
		drained := make(chan error, 1)
		go func() {
			buf := make([]byte, 1<<20)
			for left := payload; left > 0; {
				n, err := peer.Read(buf)
				if err != nil {
					drained <- err
					return
				}
				left -= n
			}
			drained <- nil
		}()
		if _, err := conn.Write(make([]byte, payload)); err != nil {
			return err
		}
		if err := <-drained; err != nil {
			return err
		}
		// The kernel totals its counters every two seconds.
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			snap, err := b.client.Snapshot(t.Context())
			if err != nil {
				return err
			}
			if snap[0].Service.Stats.InBytes >= payload {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("the counters stay at %+v", snap[0].Service.Stats)
			}
		}
		for _, form := range forms {
			text := b.sameList(form...)
			if len(form) == 1 && form[0] == "--stats" && !strings.Contains(text, "K") {
				t.Errorf("no number is cut: the test shows nothing\n%s", text)
			}
			if len(form) == 1 && form[0] == "--persistent-conn" && !strings.Contains(text, " 1           1 ") {
				t.Errorf("no persistent connection: the test shows nothing\n%s", text)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestKernelDaemonsAndTimeouts(t *testing.T) {
	b := newBench(t)
	b.ns.Dummy("d0")
	b.ns.Up("d0")
	same := func(option string, write func(*bytes.Buffer) error) {
		t.Helper()
		var ours bytes.Buffer
		if err := write(&ours); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b.must("", "-L", option), ours.String()); diff != "" {
			t.Errorf("ipvsadm -L %s (-real +ours):\n%s", option, diff)
		}
	}
	daemons := func(out *bytes.Buffer) error {
		list, err := b.client.SyncDaemons(t.Context())
		if err != nil {
			return err
		}
		return WriteDaemons(out, list)
	}
	timeouts := func(out *bytes.Buffer) error {
		list, err := b.client.Timeouts(t.Context())
		if err != nil {
			return err
		}
		return WriteTimeouts(out, list)
	}
	same("--daemon", daemons)
	same("--timeout", timeouts)

	// Our lines, carried out by the real program.
	backup := ipvs.SyncDaemon{Role: ipvs.SyncBackup, Interface: "lo", SyncID: 7, MaxLength: 2000, Group: ap("[ff02::7]:0").Addr(), Port: 9000, TTL: 9}
	master := ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "d0"}
	b.ns.Addr("d0", netip.MustParsePrefix("192.0.2.9/24"))
	var text []byte
	var err error
	for _, d := range []ipvs.SyncDaemon{backup, master} {
		if text, err = AppendDaemon(text, d); err != nil {
			t.Fatal(err)
		}
	}
	if text, err = AppendTimeouts(text, ipvs.Timeouts{TCP: 1234 * time.Second, UDP: time.Minute}); err != nil {
		t.Fatal(err)
	}
	b.must(string(text), "-R")
	same("--daemon", daemons)
	same("--timeout", timeouts)
	running, err := b.client.SyncDaemons(t.Context())
	if err != nil || !slices.Contains(running, backup) {
		t.Errorf("running %+v, %v; want %+v among them", running, err, backup)
	}
}
