package ipvsadm

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
)

const everythingText = `-A -t 9.0.0.1:80 -s wlc
-A -t 10.0.0.1:0 -s rr -p 20
-a -t 10.0.0.1:0 -r 10.0.1.2:81 -m -w 1
-a -t 10.0.0.1:0 -r 10.0.1.2:0 -m -w 1
-A -t 10.0.0.1:80 -s wlc
-a -t 10.0.0.1:80 -r 10.0.1.3:80 -i -w 1 --tun-type ipip
-a -t 10.0.0.1:80 -r 10.0.1.2:8081 -m -w 65536 -x 9
-a -t 10.0.0.1:80 -r 10.0.1.1:80 -g -w 0
-a -t 10.0.0.1:80 -r 10.0.1.2:8080 -m -w 2147483647 -x 2147483647 -y 1000000
-a -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 100
-A -t 10.0.0.1:443 -s sh -p 360 -b sh-port
-a -t 10.0.0.1:443 -r [2001:db8::5]:443 -i -w 1 --tun-type ipip
-a -t 10.0.0.1:443 -r 10.0.1.5:443 -i -w 1 --tun-type gre --tun-csum
-a -t 10.0.0.1:443 -r 10.0.1.6:443 -i -w 1 --tun-type gre --tun-nocsum
-a -t 10.0.0.1:443 -r 10.0.1.3:443 -i -w 1 --tun-type gue --tun-port 1 --tun-remcsum
-a -t 10.0.0.1:443 -r 10.0.1.4:443 -i -w 1 --tun-type gue --tun-port 65535 --tun-csum
-a -t 10.0.0.1:443 -r 10.0.1.2:443 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-A -t 10.0.0.1:444 -s sh -p 50 -M 255.255.255.0 -b sh-fallback,sh-port,flag-3
-A -t 10.0.0.1:445 -s mh -b mh-fallback,mh-port
-A -t 10.0.0.1:446 -s wrr -b flag-1,flag-2,flag-3
-A -t 10.0.0.1:447 -s none
-A -t 192.168.255.255:65535 -s lblcr
-a -t 192.168.255.255:65535 -r 192.168.100.100:65535 -m -w 1
-a -t 192.168.255.255:65535 -r 10.0.0.9:65535 -m -w 1
-A -t [2001:db8::1]:80 -s wlc -p 60 -M 64
-a -t [2001:db8::1]:80 -r [::0.7.0.8]:80 -m -w 1
-a -t [2001:db8::1]:80 -r [2001:db8:1111:2222:3333:4444:5555:6666]:8080 -m -w 5 -x 20 -y 5
-a -t [2001:db8::1]:80 -r 10.0.1.9:80 -i -w 1 --tun-type gre --tun-csum
-a -t [2001:db8::1]:80 -r [2001:db8::a:b]:80 -g -w 5
-A -t [2001:db8:1111:2222:3333:4444:5555:6666]:65535 -s nq -p 2678400
-A -u 9.0.0.1:80 -s sed
-A -u 10.0.0.1:53 -s rr -o
-a -u 10.0.0.1:53 -r 10.0.1.2:53 -g -w 1
-a -u 10.0.0.1:53 -r 10.0.1.3:53 -g -w 1
-A -u 10.0.0.1:5060 -s sh -p 60 -M 255.0.0.0 --pe sip -o -b sh-port
-A -u 10.0.0.1:5061 -s rr --pe sip
-A --sctp-service 10.0.0.1:99 -s ovf
-a --sctp-service 10.0.0.1:99 -r 10.0.1.2:99 -m -w 1
-A -f 7 -s fo
-a -f 7 -r 10.0.1.2:80 -m -w 1
-a -f 7 -r 10.0.1.2:0 -g -w 1
-A -f 10 -s rr -p 1 -M 128.0.0.0 -o
-A -f 4294967295 -s dh
-A -f 7 -6 -s lc -p 60 -M 1
-a -f 7 -6 -r 10.0.1.2:90 -i -w 1 --tun-type ipip
-a -f 7 -6 -r [2001:db8::5]:0 -g -w 1
`

func TestAppendTable(t *testing.T) {
	text, err := AppendTable([]byte("# kept\n"), everything())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("# kept\n"+everythingText, string(text)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	got, err := tableOf(t, string(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(everything(), got, equate); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

// TestAppendTableOfUnspeakable has an error for all that the language
// has no words for, and loses nothing else.
func TestAppendTableOfUnspeakable(t *testing.T) {
	web := ipvs.TCPService(ap("192.0.2.1:80"))
	good := ipvs.Destination{Key: ap("10.0.0.9:80"), Weight: 1}
	with := func(d ipvs.Destination) ipvs.Destination {
		d.Key = ap("10.0.0.1:80")
		return d
	}
	destinations := map[string]ipvs.Destination{
		"forwarding method local":  with(ipvs.Destination{Forward: ipvs.Local}),
		"forwarding method bypass": with(ipvs.Destination{Forward: ipvs.Bypass}),
		"forwarding method 7":      with(ipvs.Destination{Forward: 7}),
		"tunnel type 9":            with(ipvs.Destination{Forward: ipvs.Tunnel, Tunnel: ipvs.TunnelOptions{Type: 9}}),
		"tunnel flags 5":           with(ipvs.Destination{Forward: ipvs.Tunnel, Tunnel: ipvs.TunnelOptions{Type: ipvs.GRE, Flags: 5}}),
		"has no checksum":          with(ipvs.Destination{Forward: ipvs.Tunnel, Tunnel: ipvs.TunnelOptions{Flags: 1}}),
		"only a gue tunnel":        with(ipvs.Destination{Forward: ipvs.Tunnel, Tunnel: ipvs.TunnelOptions{Type: ipvs.GRE, Port: 5}}),
		"remote checksum":          with(ipvs.Destination{Forward: ipvs.Tunnel, Tunnel: ipvs.TunnelOptions{Type: ipvs.GRE, Flags: 2}}),
		"weight -1":                with(ipvs.Destination{Weight: -1}),
		"another address family":   {Key: ap("[2001:db8::9]:80")},
		"address of one host":      {Key: ap("224.0.0.1:80")},
	}
	for want, d := range destinations {
		text, err := AppendTable(nil, ipvs.Table{{Service: ipvs.Service{Key: web}, Destinations: []ipvs.Destination{good, d}}})
		lines := strings.SplitAfter(string(text), "\n")
		if err == nil || !strings.Contains(err.Error(), want) || len(lines) != 3 || !strings.HasPrefix(err.Error(), "rule text cannot say ") || !strings.HasPrefix(lines[1], "-a ") {
			t.Errorf("%s: %v in:\n%s", want, err, text)
		}
		if got, err := tableOf(t, string(text)); err != nil || len(got) != 1 || len(got[0].Destinations) != 1 {
			t.Errorf("%s: the rest cannot be read: %v", want, err)
		}
	}
	services := map[string]ipvs.Service{
		"netmask with gaps":    {Key: web, Persistence: time.Second, PersistencePrefix: -1},
		"flags":                {Key: web, Flags: 0x80},
		"one-packet":           {Key: web, Flags: ipvs.OnePacket},
		"31 days":              {Key: web, Persistence: 32 * 24 * time.Hour},
		"needs persistence":    {Key: ipvs.TCPService(ap("192.0.2.1:0"))},
		"protocol 1":           {Key: ipvs.ServiceKey{Protocol: 1, Addr: ap("192.0.2.1:0")}},
		"scheduler \"a b\"":    {Key: web, Scheduler: "a b"},
		"engine \"\\n-C\"":     {Key: web, Engine: "\n-C"},
		"neither an address":   {},
		"at most 15 character": {Key: web, Scheduler: strings.Repeat("x", 16)},
	}
	for want, s := range services {
		text, err := AppendTable(nil, ipvs.Table{
			{Service: s, Destinations: []ipvs.Destination{good}},
			{Service: ipvs.Service{Key: ipvs.MarkService(1)}, Destinations: []ipvs.Destination{good}},
		})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "its service is left out") || strings.Contains(string(text), "#") {
			t.Errorf("%s: %v in:\n%s", want, err, text)
		}
		if got, err := tableOf(t, string(text)); err != nil || len(got) != 1 || len(got[0].Destinations) != 1 {
			t.Errorf("%s: the rest cannot be read: %v\n%s", want, err, text)
		}
	}
}

func TestLine(t *testing.T) {
	s := ipvs.Service{Key: ipvs.MarkService6(7)}
	d := ipvs.Destination{Key: ap("[2001:db8::5]:80"), Weight: 3}
	for want, c := range map[string]ipvs.Change{
		"-A -f 7 -6 -s wlc":                       {Op: ipvs.OpAddService, Service: s},
		"-E -f 7 -6 -s wlc":                       {Op: ipvs.OpSetService, Service: s},
		"-D -f 7 -6":                              {Op: ipvs.OpDelService, Service: s},
		"-a -f 7 -6 -r [2001:db8::5]:80 -m -w 3":  {Op: ipvs.OpAddDestination, Service: s, Destination: d},
		"-e -f 7 -6 -r [2001:db8::5]:80 -m -w 3":  {Op: ipvs.OpSetDestination, Service: s, Destination: d},
		"-d -f 7 -6 -r [2001:db8::5]:80":          {Op: ipvs.OpDelDestination, Service: s, Destination: d},
		"# rule text cannot say \"get info ":      {Op: ipvs.OpInfo},
		"# rule text cannot say \"delete service": {Op: ipvs.OpDelService},
		"# rule text cannot say \"delete destin":  {Op: ipvs.OpDelDestination, Service: s},
	} {
		if got := Line(c); got != want && (want[0] != '#' || !strings.HasPrefix(got, want)) || strings.Contains(got, "\n") {
			t.Errorf("%v: %q, want %q", c.Op, got, want)
		}
	}
}

func TestAppendTimeoutsAndDaemon(t *testing.T) {
	want := ipvs.Timeouts{TCP: 900 * time.Second, UDP: 31 * 24 * time.Hour}
	text, err := AppendTimeouts(nil, want)
	if err != nil || string(text) != "--set 900 0 2678400\n" {
		t.Errorf("%q, %v", text, err)
	}
	for _, bad := range []ipvs.Timeouts{{TCP: -1}, {UDP: 32 * 24 * time.Hour}} {
		if text, err := AppendTimeouts(nil, bad); err == nil || len(text) != 0 {
			t.Errorf("%v: %q", bad, text)
		}
	}
	daemons := []ipvs.SyncDaemon{
		{Role: ipvs.SyncMaster, Interface: "eth0"},
		{Role: ipvs.SyncBackup, Interface: "bond0.7", SyncID: 255, MaxLength: maxSyncLen, Group: netip.MustParseAddr("ff02::81"), Port: 65535, TTL: 255},
	}
	for _, d := range daemons {
		if text, err = AppendDaemon(text, d); err != nil {
			t.Error(err)
		}
	}
	commands, err := Parse(t.Context(), string(text), Options{})
	if err != nil || len(commands) != 3 {
		t.Fatalf("%v\n%s", err, text)
	}
	if *commands[0].Timeouts != want || *commands[1].Daemon != daemons[0] || *commands[2].Daemon != daemons[1] {
		t.Errorf("%+v of:\n%s", commands, text)
	}
	for _, bad := range []ipvs.SyncDaemon{{}, {Role: 1, Interface: "a b"}, {Role: 1, Interface: "-x"}, {Role: 1, Interface: "e;"}, {Role: 1, Interface: "e", MaxLength: 1<<16 - 1}} {
		if text, err := AppendDaemon(nil, bad); err == nil || len(text) != 0 {
			t.Errorf("%+v: %q", bad, text)
		}
	}
}

// TestRoundTrip prints and reads generated tables.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		want := randomTable(r, 1+i%8, 6)
		text, err := AppendTable(nil, want)
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		got, err := tableOf(t, string(text))
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		if diff := cmp.Diff(want, got, equate); diff != "" {
			t.Fatalf("-want +got:\n%s\n%s", diff, text)
		}
	}
}

// randomTable returns a table that a kernel may hold, in normal form.
func randomTable(r *rand.Rand, services, destinations int) ipvs.Table {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	port := func() uint16 { return uint16(1 + r.IntN(1<<16-1)) }
	addr := func(is6 bool) netip.Addr {
		if is6 {
			b := [16]byte{0: 0x20, 1: 1}
			for range 4 {
				b[r.IntN(14)+2] = byte(r.IntN(256))
			}
			return netip.AddrFrom16(b)
		}
		return netip.AddrFrom4([4]byte{byte(1 + r.IntN(220)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))})
	}
	t := make(ipvs.Table, 0, services)
	seen := map[ipvs.ServiceKey]bool{}
	for len(t) < services {
		is6 := r.IntN(2) == 0
		s := ipvs.Service{Scheduler: pick("rr", "wrr", "lc", "wlc", "sh", "mh", "none", "my_own-1.2")}
		a := netip.AddrPortFrom(addr(is6), port())
		switch r.IntN(5) {
		case 0:
			s.Key = ipvs.TCPService(a)
		case 1:
			s.Key = ipvs.UDPService(a)
		case 2:
			s.Key = ipvs.SCTPService(a)
		case 3:
			s.Key = ipvs.MarkService(1 + r.Uint32N(1<<32-1))
			is6 = false
		case 4:
			s.Key = ipvs.MarkService6(1 + r.Uint32N(1<<32-1))
			is6 = true
		}
		if seen[s.Key] {
			continue
		}
		seen[s.Key] = true
		for _, f := range []ipvs.ServiceFlags{ipvs.Sched1, ipvs.Sched2, ipvs.Sched3} {
			if r.IntN(3) == 0 {
				s.Flags |= f
			}
		}
		if (s.Key.IsMark() || s.Key.Protocol == ipvs.UDP) && r.IntN(3) == 0 {
			s.Flags |= ipvs.OnePacket
		}
		if r.IntN(2) == 0 {
			s.Persistence = time.Duration(1+r.IntN(maxSeconds)) * time.Second
			s.PersistencePrefix = r.IntN(32)
			if is6 {
				s.PersistencePrefix = r.IntN(128)
			}
			if !s.Key.IsMark() && r.IntN(4) == 0 {
				s.Key.Addr = netip.AddrPortFrom(s.Key.Addr.Addr(), 0)
			}
		}
		if r.IntN(4) == 0 {
			s.Engine = "sip"
		}
		e := ipvs.Entry{Service: s.Normalized(), Destinations: []ipvs.Destination{}}
		for range r.IntN(destinations) {
			d := ipvs.Destination{Weight: r.IntN(ipvs.MaxWeight), Forward: []ipvs.ForwardMethod{ipvs.Masquerade, ipvs.DirectRoute, ipvs.Tunnel}[r.IntN(3)]}
			other := false
			if d.Forward == ipvs.Tunnel {
				other = r.IntN(2) == 0
				switch d.Tunnel.Type = ipvs.TunnelType(r.IntN(3)); d.Tunnel.Type {
				case ipvs.GUE:
					d.Tunnel.Port, d.Tunnel.Flags = port(), uint16(r.IntN(3))
				case ipvs.GRE:
					d.Tunnel.Flags = uint16(r.IntN(2))
				}
			}
			d.Key = netip.AddrPortFrom(addr(is6 != other), uint16(r.IntN(1<<16)))
			if r.IntN(3) == 0 {
				d.UpperThreshold = r.Uint32N(ipvs.MaxThreshold)
				d.LowerThreshold = r.Uint32N(d.UpperThreshold + 1)
			}
			if !slices.ContainsFunc(e.Destinations, func(o ipvs.Destination) bool { return o.Key == d.Key }) {
				e.Destinations = append(e.Destinations, d)
			}
		}
		t = append(t, e)
	}
	return t
}
