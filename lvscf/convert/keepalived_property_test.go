package convert

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lvskit/lvskit/lvscf"
)

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func maybe[T any](r *rand.Rand, v T) T {
	var zero T
	return pick(r, zero, v)
}

// expressible makes a configuration that keepalived.conf can say in full.
func expressible(r *rand.Rand) *lvscf.Config {
	c := lvscf.NewConfig()
	c.FailoverMode = lvscf.VRRPMode
	c.Network = pick(r, lvscf.NAT, lvscf.Direct, lvscf.Tunnel)
	c.TCPTimeout = maybe(r, 900*time.Second)
	c.UDPTimeout = maybe(r, 20*time.Second)
	if r.IntN(2) == 0 {
		c.SyncDaemon, c.SyncdIface, c.SyncdID = true, "eth1", uint8(r.IntN(256))
		c.SyncdMaxLen, c.SyncdPort, c.SyncdTTL = maybe(r, uint16(1400)), maybe(r, uint16(8849)), maybe(r, uint8(3))
		c.SyncdGroup = maybe(r, netip.MustParseAddr("224.0.0.99"))
	}
	garp := maybe(r, time.Duration(1+r.IntN(5000))*time.Millisecond)
	for i := range 1 + r.IntN(2) {
		v := lvscf.NewVRRP(fmt.Sprintf("vr%d", i))
		v.Interface, v.VRID, v.Priority = pick(r, "eth0", "eth1"), uint8(10+i), uint8(1+r.IntN(255))
		v.Version = pick[uint8](r, 2, 3)
		v.AdvertInterval = time.Duration(1+r.IntN(9)) * time.Second
		if v.Version == 3 {
			v.AdvertInterval = time.Duration(1+r.IntN(900)) * 10 * time.Millisecond
		}
		v.DownAdverts = uint8(1 + r.IntN(6))
		v.Preempt, v.Accept, v.VirtualMAC = r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(2) == 0
		if v.Preempt {
			v.PreemptDelay = maybe(r, 1500*time.Millisecond)
		}
		v.GARPCount, v.GARPRefresh, v.GARPInterval = r.IntN(9), time.Duration(r.IntN(3))*time.Minute, garp
		if r.IntN(2) == 0 {
			v.UnicastSource = lvscf.Host{Addr: netip.MustParseAddr("192.0.2.1")}
			v.UnicastPeers = []lvscf.Host{{Addr: netip.MustParseAddr("192.0.2.2")}}
		}
		v.TrackInterfaces = maybe(r, []string{"eth2", "eth3"})
		v.TrackWeights = maybe(r, []lvscf.DeviceWeight{{Device: "eth4", Weight: -20}, {Device: "eth5", Weight: 9}})
		for j := range r.IntN(3) {
			k := lvscf.NewCheck(fmt.Sprintf("track-%d-of-%d", j, i))
			k.Kind, k.Command, k.Weight = lvscf.CheckScript, "/bin/probe a", maybe(r, -30)
			k.Interval, k.Timeout = time.Duration(1+r.IntN(9))*time.Second, time.Duration(1+r.IntN(9))*time.Second
			k.Rise, k.Fall = 2+r.IntN(3), 2+r.IntN(3)
			if r.IntN(3) == 0 {
				k = lvscf.NewCheck(k.Name)
				k.Kind, k.Path, k.Weight, k.Interval = lvscf.CheckFile, "/run/load", -2, time.Second
			}
			v.Checks = append(v.Checks, k)
		}
		// In the order in which they come back: programs before files.
		slices.SortStableFunc(v.Checks, func(a, b lvscf.Check) int { return strings.Compare(string(b.Kind), string(a.Kind)) })
		v.MasterCmd, v.BackupCmd, v.FaultCmd = maybe(r, "/bin/master a b"), maybe(r, "/bin/backup {x}"), maybe(r, "/bin/fault # x")
		v.NotifyCmd = maybe(r, "/bin/notify %k %n %s %p")
		v.Addresses = []lvscf.DeviceAddress{{Prefix: netip.MustParsePrefix(fmt.Sprintf("198.51.100.%d/24", i)), Device: pick(r, "eth0", "eth0:9")}}
		if v.Priority == 255 { // keepalived says that it ignores them
			v.TrackWeights, v.Checks = nil, nil
		}
		v.Routes = maybe(r, []lvscf.Route{
			{Prefix: netip.MustParsePrefix(fmt.Sprintf("198.51.%d.0/24", i)), Gateway: netip.MustParseAddr("192.0.2.254")},
			{Prefix: netip.MustParsePrefix("::/0"), Device: "eth1", Gateway: netip.MustParseAddr("fe80::1"), Metric: uint32(1 + i), Table: 100},
			{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Device: "eth0", Source: netip.MustParseAddr("192.0.2.100"), Metric: uint32(i)},
		})
		c.VRRPs = append(c.VRRPs, v)
	}
	if group := maybe(r, "together"); len(c.VRRPs) > 1 {
		c.VRRPs[0].SyncGroup, c.VRRPs[1].SyncGroup = group, group
		for i := range c.VRRPs {
			list := c.VRRPs[i].Checks
			if group != "" {
				c.VRRPs[i].TrackWeights = nil
			}
			for j := range list { // keepalived has no weights in a group
				if group != "" && list[j].Kind == lvscf.CheckFile {
					list[j].Kind, list[j].Path, list[j].Command = lvscf.CheckScript, "", "/bin/other"
				}
				if group != "" {
					list[j].Weight = 0
				}
			}
		}
	}
	c.StaticAddresses = maybe(r, []lvscf.DeviceAddress{{Prefix: netip.MustParsePrefix("10.0.0.1/8"), Device: "eth1"}})
	for i := range 1 + r.IntN(3) {
		c.Virtuals = append(c.Virtuals, expressibleVirtual(r, c, i))
	}
	return c
}

func expressibleVirtual(r *rand.Rand, c *lvscf.Config, i int) lvscf.Virtual {
	v := lvscf.NewVirtual(fmt.Sprintf("v%d", i))
	v.Active = true
	v.Address = lvscf.Host{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)})}
	v.Device, v.Netmask = pick(r, "eth0", "eth0:1"), maybe(r, lvscf.Netmask(24))
	if len(c.VRRPs) > 1 {
		v.VRRP = pick(r, c.VRRPs...).Name
	}
	v.Port = uint16(1 + r.IntN(65535))
	v.Protocol = pick(r, lvscf.TCP, lvscf.UDP, lvscf.SCTP)
	v.Scheduler = lvscf.Scheduler(pick(r, keepalivedSchedulers...))
	v.SchedulerFlags = lvscf.SchedulerFlags(r.IntN(8))
	v.OnePacket = v.Protocol == lvscf.UDP && r.IntN(2) == 0
	if v.Persistent = time.Duration(r.IntN(3)) * time.Minute; v.Persistent > 0 {
		v.PMask, v.PersistenceEngine = maybe(r, lvscf.Netmask(20)), maybe(r, "sip")
	}
	forward := pick(r, lvscf.NAT, lvscf.Direct, lvscf.Tunnel)
	v.Forward = maybe(r, &forward)
	v.Tunneling = pick(r, lvscf.Tunneling{}, lvscf.Tunneling{TunnelType: lvscf.GRE, TunnelChecksum: lvscf.TunnelFullChecksum})
	v.QuiesceServer, v.DownOnStop = r.IntN(2) == 0, r.IntN(2) == 0
	v.QuorumUpCmd, v.QuorumDownCmd = maybe(r, "/bin/up %x"), maybe(r, "/bin/down")
	v.Interval, v.Rise, v.Fall = time.Duration(1+r.IntN(9000))*time.Millisecond, 1, 1+r.IntN(4)
	v.FastInterval = time.Duration(1+r.IntN(900)) * time.Millisecond
	v.StartState = pick(r, lvscf.StartUp, lvscf.StartDown)
	sum := 0
	for j := range 1 + r.IntN(3) {
		s := lvscf.NewServer(fmt.Sprintf("s%d", j), v.Port)
		s.Active, s.Address, s.Weight = true, lvscf.Host{Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + j)})}, 1+r.IntN(9)
		sum += s.Weight
		own := pick(r, lvscf.NAT, lvscf.Direct, lvscf.Tunnel)
		s.Forward = maybe(r, &own)
		if c.ForwardOf(&v, &s) == lvscf.NAT {
			s.Port = uint16(1 + r.IntN(65535))
		}
		s.Tunneling = maybe(r, lvscf.Tunneling{TunnelType: lvscf.GUE, TunnelPort: 6080, TunnelChecksum: lvscf.TunnelRemoteChecksum})
		quiesce := r.IntN(2) == 0
		s.QuiesceServer = maybe(r, &quiesce)
		s.UpperThreshold, s.LowerThreshold = maybe(r, uint32(900)), maybe(r, uint32(7))
		s.UpCmd, s.DownCmd = maybe(r, "/bin/up %x"), maybe(r, "/bin/down")
		s.Check = lvscf.CheckNone
		if r.IntN(4) > 0 {
			s.Check = ""
			for range 1 + r.IntN(2) {
				s.Checks = append(s.Checks, expressibleCheck(r))
			}
		}
		v.Servers = append(v.Servers, s)
	}
	if v.Quorum = r.IntN(sum + 1); v.Quorum == 1 {
		v.Quorum = 0
	}
	v.QuorumHysteresis = r.IntN(max(1, v.Quorum))
	if r.IntN(2) == 0 {
		s := lvscf.NewServer("sorry", v.Port)
		s.Active, s.Sorry, s.Address, s.Check = true, true, lvscf.Host{Addr: netip.MustParseAddr("10.0.0.99")}, lvscf.CheckNone
		v.Servers = append(v.Servers, s)
	}
	return v
}

func expressibleCheck(r *rand.Rand) lvscf.Check {
	c := lvscf.NewCheck("")
	c.Kind = pick(r, lvscf.CheckTCP, lvscf.CheckHTTP, lvscf.CheckHTTPS, lvscf.CheckSMTP, lvscf.CheckDNS, lvscf.CheckScript, lvscf.CheckUDP, lvscf.CheckPing)
	limit := time.Duration(1+r.IntN(9000)) * time.Millisecond
	c.Timeout = limit
	if c.Kind != lvscf.CheckScript {
		c.Source = maybe(r, lvscf.Host{Addr: netip.MustParseAddr("10.0.0.200")})
		c.Address = maybe(r, lvscf.Host{Addr: netip.MustParseAddr("10.1.0.200")})
		c.Interface, c.Mark = maybe(r, "eth1"), maybe(r, uint32(77))
		if c.Kind != lvscf.CheckPing {
			c.Port = uint16(1 + r.IntN(65535))
		}
	}
	if r.IntN(2) == 0 { // other than the virtual block has it
		c.Fall, c.FastInterval = 3, 1500*time.Millisecond
	}
	switch c.Kind {
	case lvscf.CheckHTTP, lvscf.CheckHTTPS:
		c.ConnectTimeout, c.ReadTimeout, c.Timeout = limit, limit, 2*limit
		if c.Kind == lvscf.CheckHTTPS {
			c.TLSTimeout, c.Timeout, c.Verify = limit, 3*limit, false
		}
		c.Path, c.Host = maybe(r, `/a?b={c}#d\e'f`), maybe(r, "www.example.net")
		c.HTTPVersion = maybe(r, "1.0")
		c.Status = maybe(r, lvscf.StatusCodes{{Min: 200, Max: 204}, {Min: 301, Max: 301}})
		c.BodyRegex = maybe(r, `(?i)\bok "\d+" \\ x`)
		c.Digest = maybe(r, "0123456789abcdef0123456789abcdef")
	case lvscf.CheckSMTP:
		c.ConnectTimeout, c.ReadTimeout, c.Timeout = limit, limit, 4*limit
	case lvscf.CheckDNS:
		c.Query, c.QueryType = pick(r, ".", "example.net"), pick(r, "SOA", "AAAA")
	case lvscf.CheckScript:
		c.Command, c.Timeout, c.UseWeight = "/bin/probe a b WORD d", time.Duration(1+r.IntN(9))*time.Second, r.IntN(2) == 0
		c.Command = strings.ReplaceAll(c.Command, "WORD", pick(r, "c", "$c", "{c}", "@c", "~SEQ(a,2)", "#c", "!c"))
	case lvscf.CheckUDP:
		c.Send, c.Expect = `PING\r\n\\é`, maybe(r, `\tPONG`)
		c.RequireReply = c.Expect != "" || r.IntN(2) == 0
	}
	return c
}

// facts lists what a configuration means, by means of package lvscf alone.
func facts(c *lvscf.Config) map[string]any {
	out := map[string]any{}
	vr := map[string]lvscf.VRRP{}
	for _, v := range c.VRRPs {
		vr[v.Name] = v
	}
	out["vrrps"] = vr
	out["mode"], out["static"], out["floating"] = c.FailoverMode, c.StaticAddresses, c.FloatingAddresses
	out["timeouts"] = []time.Duration{c.TCPTimeout, c.TCPFinTimeout, c.UDPTimeout}
	if c.SyncDaemon {
		out["sync"] = []any{c.SyncdIface, c.SyncdID, c.SyncdMaxLen, c.SyncdPort, c.SyncdTTL, c.SyncdGroup}
	}
	for i := range c.Virtuals {
		v := &c.Virtuals[i]
		out[v.Name] = []any{
			v.Active, v.Address, v.Device, v.Netmask, v.FWMark, v.Port, v.Protocol, v.Scheduler, v.SchedulerFlags, v.OnePacket, v.PersistenceEngine,
			v.Persistent, v.PMask, v.VRRP, v.Quorum, v.QuorumHysteresis, v.QuorumUpCmd, v.QuorumDownCmd, v.DownOnStop, v.SlowStart,
		}
		for j := range v.Servers {
			s := &v.Servers[j]
			tunnel := v.TunnelOf(s)
			forward := c.ForwardOf(v, s)
			if forward != lvscf.Tunnel {
				tunnel = lvscf.Tunneling{}
			}
			checks := v.ChecksOf(s)
			for k := range checks {
				ck := &checks[k]
				ck.Name = ""
				switch {
				case ck.Kind == lvscf.CheckNone:
					*ck = lvscf.Check{}
				case ck.Fall == 1:
					ck.FastInterval = 0 // never used, as Rise is 1
				}
				switch ck.Kind {
				case lvscf.CheckHTTP, lvscf.CheckHTTPS, lvscf.CheckSMTP:
				default: // one limit is all there is
					ck.ConnectTimeout, ck.ReadTimeout, ck.TLSTimeout = 0, 0, 0
				}
				if ck.Port == 0 && ck.Kind != lvscf.CheckPing && ck.Kind != lvscf.CheckScript {
					ck.Port = s.Port
				}
				if ck.Kind != lvscf.CheckHTTPS {
					ck.TLSTimeout = 0
				}
			}
			out[v.Name+"/"+s.Name] = []any{
				s.Active, s.Address, s.Port, s.Weight, s.Sorry, s.Maintenance, forward, tunnel, v.QuiescesServer(s),
				s.UpperThreshold, s.LowerThreshold, s.UpCmd, s.DownCmd, s.SlowStart, checks,
			}
		}
	}
	return out
}

var (
	addrComparer = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	prefComparer = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
)

// TestWhatKeepalivedCanSayComesBack makes configurations that keepalived.conf
// can say in full: there is no loss, and what is read back means the same.
func TestWhatKeepalivedCanSayComesBack(t *testing.T) {
	for seed := range uint64(200) {
		c := expressible(rand.New(rand.NewPCG(seed, 4)))
		text, losses := ToKeepalived(c)
		if len(losses) > 0 {
			t.Fatalf("seed %d: %s\n%s", seed, losses, text)
		}
		back, _, err := FromKeepalived("", text, KeepalivedOptions{ConfigID: configIDPrimary})
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		if diff := cmp.Diff(facts(c), facts(back), addrComparer, prefComparer, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("seed %d: read back (-want +got):\n%s\n%s", seed, diff, text)
		}
	}
}

// full has something in each list, so that each field can be changed.
func full() *lvscf.Config {
	c := expressible(rand.New(rand.NewPCG(1, 1)))
	c.VRRPs = append(c.VRRPs[:1], lvscf.NewVRRP("second"))
	c.VRRPs[1].VRID = 99
	c.VRRPs[1].Addresses = []lvscf.DeviceAddress{{Prefix: netip.MustParsePrefix("198.51.100.99/24"), Device: "eth0"}}
	v := lvscf.NewVirtual("full")
	v.Active, v.Address, v.Device, v.VRRP = true, lvscf.Host{Addr: netip.MustParseAddr("192.0.2.77")}, "eth0", c.VRRPs[0].Name
	v.Persistent, v.Fall, v.Rise, v.Interval, v.FastInterval = time.Minute, 3, 2, 5*time.Second, time.Second
	no, network := false, lvscf.Tunnel
	s := lvscf.NewServer("s", 80)
	s.Active, s.Address, s.Weight = true, lvscf.Host{Addr: netip.MustParseAddr("10.0.0.7")}, 5
	s.QuiesceServer, s.Forward = &no, &network
	s.TunnelType, s.TunnelPort = lvscf.GUE, 6080
	for _, kind := range []lvscf.CheckKind{lvscf.CheckHTTPS, lvscf.CheckDNS, lvscf.CheckScript, lvscf.CheckUDP} {
		k := lvscf.NewCheck(string(kind))
		k.Kind = kind
		if kind == lvscf.CheckScript {
			k.Command = "/bin/probe"
		}
		s.Checks = append(s.Checks, k)
	}
	plain := lvscf.NewServer("plain", 80)
	plain.Active, plain.Address = true, lvscf.Host{Addr: netip.MustParseAddr("10.0.0.8")}
	v.Servers = []lvscf.Server{s, plain}
	c.Virtuals = []lvscf.Virtual{v}
	return c
}

// change sets a value to another one.
func change(v reflect.Value) bool {
	switch x := v.Addr().Interface().(type) {
	case *lvscf.Host:
		*x = lvscf.Host{Addr: netip.MustParseAddr("203.0.113.200")}
		return true
	case *netip.Addr:
		*x = netip.MustParseAddr("224.0.0.201")
		return true
	case *time.Duration:
		*x += 3 * time.Second
		return true
	case *[]lvscf.Host:
		*x = append(*x, lvscf.Host{Addr: netip.MustParseAddr("203.0.113.201")})
		return true
	case *[]lvscf.DeviceAddress:
		*x = append(*x, lvscf.DeviceAddress{Prefix: netip.MustParsePrefix("203.0.113.202/24"), Device: "eth7"})
		return true
	case *[]lvscf.DeviceWeight:
		*x = append(*x, lvscf.DeviceWeight{Device: "eth8", Weight: -7})
		return true
	case *[]lvscf.Route:
		*x = append(*x, lvscf.Route{Prefix: netip.MustParsePrefix("203.0.113.0/28"), Device: "eth7", Metric: 9})
		return true
	case *lvscf.StatusCodes:
		*x = lvscf.StatusCodes{{Min: 404, Max: 404}}
		return true
	case *[]lvscf.HeartbeatPath:
		*x = append(*x, lvscf.HeartbeatPath{Primary: lvscf.Host{Name: "a"}, Backup: lvscf.Host{Name: "b"}})
		return true
	case *lvscf.CheckKind:
		*x = lvscf.CheckRedis
		return true
	case *lvscf.Scheduler:
		*x = lvscf.NeverQueue
		return true
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(v.Uint() + 1)
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.String {
			return false
		}
		v.Set(reflect.Append(v, reflect.ValueOf("x")))
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if !v.IsNil() {
			p.Elem().Set(v.Elem())
		}
		v.Set(p)
		return change(p.Elem())
	default:
		return false
	}
	return true
}

// leaves calls do for each field of a structure that JSON shows.
func leaves(path string, v reflect.Value, do func(path, key string, v reflect.Value)) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		at := path + "." + f.Name
		switch {
		case key == "-":
		case f.Anonymous || f.Type == reflect.TypeFor[lvscf.Router]():
			leaves(at, v.Field(i), do)
		case f.Type.Kind() == reflect.Slice && blocksOf[key] != "":
			for j := range v.Field(i).Len() {
				leaves(fmt.Sprintf("%s[%d]", at, j), v.Field(i).Index(j), do)
			}
		default:
			do(at, key, v.Field(i))
		}
	}
}

func clone(t *testing.T, c *lvscf.Config) *lvscf.Config {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out := lvscf.NewConfig()
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEveryFieldIsCarriedOrLost changes each field of a configuration, one at a
// time: either the exported text says it, and reading it back shows it, or a
// loss names it.
func TestEveryFieldIsCarriedOrLost(t *testing.T) {
	base := full()
	baseText, baseLosses := ToKeepalived(base)
	// What has no effect where it stands, and so may change without a word.
	quiet := []string{
		".Network", ".Reentry", // all blocks below say their own
		".Virtuals[0].Quorum",                                                      // 1 is what 0 is
		".Checks[0].Name", ".Checks[1].Name", ".Checks[2].Name", ".Checks[3].Name", // labels
		".Checks[1].Timing.ConnectTimeout", ".Checks[1].Timing.TLSTimeout", ".Checks[1].Verify", // dns has neither
		".Checks[2].Timing.ConnectTimeout", ".Checks[2].Timing.TLSTimeout", ".Checks[2].Timing.ReadTimeout", ".Checks[2].Port", ".Checks[2].Verify",
		".Checks[3].Timing.ConnectTimeout", ".Checks[3].Timing.TLSTimeout", ".Checks[3].Verify",
	}
	paths := 0
	var walk []string
	leaves("", reflect.ValueOf(clone(t, base)).Elem(), func(path, _ string, _ reflect.Value) { walk = append(walk, path) })
	for _, want := range walk {
		c := clone(t, base)
		var key string
		leaves("", reflect.ValueOf(c).Elem(), func(path, k string, v reflect.Value) {
			if path == want {
				key = k
				if !change(v) {
					t.Errorf("%s: a type that the test cannot change", path)
				}
			}
		})
		paths++
		text, losses := ToKeepalived(c)
		checkLosses(t, losses)
		said := string(text) != string(baseText)
		fresh := slices.DeleteFunc(slices.Clone(losses), func(l Loss) bool {
			return slices.ContainsFunc(baseLosses, func(b Loss) bool { return b.What == l.What && b.Where == l.Where })
		})
		named := slices.ContainsFunc(fresh, func(l Loss) bool {
			return strings.HasPrefix(l.What, key+" =") || l.What == "no "+key || strings.HasSuffix(l.What, " block")
		})
		gone := len(baseLosses) > len(losses) // it made something carried
		if !said && !named && !gone && len(fresh) == 0 && !slices.ContainsFunc(quiet, func(q string) bool { return strings.HasSuffix(want, q) }) {
			t.Errorf("%s (%s): neither said nor lost", want, key)
		}
		if _, _, err := FromKeepalived("", text, KeepalivedOptions{ConfigID: configIDPrimary}); err != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
	if paths < 150 {
		t.Errorf("only %d fields", paths)
	}
	t.Logf("%d fields changed one by one", paths)
}
