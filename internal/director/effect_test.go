package director

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/lvscf"
)

// effectText is a setup in words, without what a file says for people.
func effectText(s *Setup) string {
	var out strings.Builder
	fmt.Fprintln(&out, s.Addresses, s.Routes, s.Announcing, s.Statics, s.Heartbeat, s.Timeouts, s.Drain, s.Alarm, s.Control.Target, s.Notify, s.FIFO)
	if s.Sync != nil {
		fmt.Fprintf(&out, "%+v\n", *s.Sync)
	}
	for _, r := range s.Routers {
		r.Place = ""
		fmt.Fprintf(&out, "%+v\n", r)
	}
	for _, v := range s.Services {
		fmt.Fprintf(&out, "%s with %q %+v quorum %d +- %d unit %d quiesce %v up %q down %q on stop %v\n", v.Name, v.Router, v.Service, v.Quorum, v.Hysteresis, v.Unit, v.Quiesce, v.QuorumUp, v.QuorumDown, v.DownOnStop)
		for r := range v.each() {
			quiesce, check := "as the service", "unchecked"
			if r.Quiesce != nil {
				quiesce = fmt.Sprint(*r.Quiesce)
			}
			if r.Checker != nil {
				check = r.Checker.Identity()
			}
			fmt.Fprintf(&out, "  %s %+v %v %s %+v %v quiesce %s maintenance %v slow start %v load %v weight %v up %q down %q\n", r.Name, r.Destination, r.Target, check, r.Policy, r.Initial, quiesce,
				r.Maintenance, r.SlowStart, r.FollowLoad, r.TellsWeight, r.Up, r.Down)
		}
		fmt.Fprintf(&out, "  of them %d are sorry servers\n", len(v.Sorry))
	}
	return out.String()
}

// TestEveryExtensionHasEffectOrIsNoted writes each extension of the language
// into a file: either the setup becomes another one, or it says that nothing
// happened. One that does neither was forgotten.
func TestEveryExtensionHasEffectOrIsNoted(t *testing.T) {
	roots, own, key, secret := "", "", "", ""
	certificate, private := testCertificate(t)
	for path, text := range map[*string][]byte{&roots: certificate, &own: certificate, &key: private, &secret: []byte("open sesame\n")} {
		*path = filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(*path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	noted, changed := 0, 0
	for _, d := range lvscf.Directives() {
		if d.Since == "" || d.Name == "include" { // resolved when a file is loaded
			continue
		}
		t.Run(d.Block+"/"+d.Name, func(t *testing.T) {
			with := func(line string) *Setup {
				place := map[string]string{d.Block: line}
				kind := "kind = http"
				switch {
				case d.Name == "kind":
					kind = ""
				case d.Kinds != nil && d.Name != "tls":
					kind = "kind = " + d.Kinds[0].String()
					if slices.Contains(d.Kinds, lvscf.CheckHTTPS) {
						kind = "kind = https"
					}
				}
				if kind == "kind = script" {
					kind += "\ncommand = /bin/false"
				}
				// Options that need another one.
				switch {
				case d.Name == "use_regex":
					kind += "\nexpect = ."
				case d.Name == "password_file", d.Name == "database":
					kind += "\nuser = probe"
				}
				check := "check k {\n" + kind + "\n" + place["check"] + "\n}\n"
				if d.Block != "check" {
					check = ""
				}
				vrrp := ""
				switch {
				case d.Block == "vrrp":
					needs := map[string]string{"interface": "interface = eth7\n", "vrid": "vrid = 7\n"}
					if line != "" {
						delete(needs, d.Name)
					}
					vrrp = "failover_mode = vrrp\nvrrp r {\n" + needs["interface"] + needs["vrid"] + line + "\n}\n"
				case d.Name == "failover_mode":
					vrrp = "vrrp r {\ninterface = eth7\nvrid = 7\n}\n"
				case d.Name == "vrrp":
					vrrp = "failover_mode = vrrp\nvrrp inside {\ninterface = eth7\nvrid = 7\naddress = 10.9.9.9/24 eth7\n}\n" +
						"vrrp outside {\ninterface = eth0\nvrid = 8\naddress = 10.9.9.8/24 eth0\n}\n"
				}
				mode := "gre"
				if d.Name == "tunnel_port" {
					mode = "gue"
				}
				tunnel := "tunnel_type = " + mode + "\n"
				if d.Name == "tunnel_type" || d.Block == "server" && strings.HasPrefix(d.Name, "tunnel") {
					tunnel = ""
				}
				if strings.HasPrefix(d.Name, "syncd_") {
					place["global"] += "\nsyncdaemon = 1\nsyncd_iface = eth1"
				}
				if d.Name == "mass_failure" {
					place["global"] += "\ncontrol_target = 10.0.0.254"
				}
				return setupOf(t, "primary = 10.0.0.250\nbackup = 10.0.0.251\nbackup_active = 1\nnetwork = tunnel\nkeepalive = 2\ndeadtime = 9\n"+place["global"]+"\n"+vrrp+
					virtual("v", tunnel+"persistent = 60\n"+strings.Replace(place["virtual"], "forward = tunnel", "forward = nat", 1)+"\n"+check+
						realServer("s", "address = 10.0.0.1\n"+strings.Replace(place["server"], "forward = tunnel", "forward = nat", 1))+
						realServer("t", "address = 10.0.0.2\n")))
			}
			line := d.Name + " = " + d.Example
			switch d.Name {
			case "ca_file":
				line = d.Name + " = " + roots
			case "cert_file":
				line = d.Name + " = " + own + "\nkey_file = " + key
			case "key_file":
				if line = d.Name + " = " + key; d.Block == "check" {
					line += "\ncert_file = " + own
				}
			case "password_file":
				line = d.Name + " = " + secret
			case "quorum":
				line = "quorum = 2"
			}
			without, s := with(""), with(line)
			has := slices.Contains(effective[d.Block], d.Name)
			note := slices.ContainsFunc(s.Notes, func(n string) bool { return strings.Contains(n, d.Name+" = ") && strings.Contains(n, "no effect") })
			diff := cmp.Diff(effectText(without), effectText(s))
			switch {
			case has && note:
				t.Error("it is said to have no effect")
			case has && diff == "":
				t.Errorf("it has no effect:\n%s", effectText(s))
			case !has && !note:
				t.Errorf("nothing is said of it:\n%s", strings.Join(s.Notes, "\n"))
			case !has && diff != "":
				t.Errorf("it is said to have no effect, and has one:\n%s", diff)
			}
			if has {
				changed++
			} else {
				noted++
			}
		})
	}
	t.Logf("%d extensions have effect, %d are noted", changed, noted)
}

func TestExtensionsOfServices(t *testing.T) {
	s := setupOf(t, "network = direct\ndrain_time = 1.5\nfloating_address = 2001:db8::5/64 eth0\n"+
		"virtual six {\nactive = 1\naddress = 2001:db8::10 eth0\nport = 5060\nprotocol = udp\nscheduler = mh\nscheduler_flags = port\npersistent = 60\npersistence_engine = sip\none_packet = 1\npmask = 64\n"+
		realServer("a", "address = 2001:db8::21\nforward = tunnel\ntunnel_type = gue\ntunnel_port = 6080\ntunnel_checksum = remote\nupper_threshold = 10\nlower_threshold = 5\n")+
		realServer("b", "address = 2001:db8::22\nmaintenance = 1\nweight = 7")+
		realServer("c", "address = 2001:db8::23\nsorry = 1\nforward = nat\nport = 5061")+
		"}\n"+virtual("sctp", "port = 9\nprotocol = sctp\nsorry_server = 192.0.2.99\n"+realServer("a", "address = 10.0.0.1"))+
		"virtual mark {\nactive = 1\nfwmark = 7\n"+realServer("a", "address = 2001:db8::31\nport = 80")+"}\n")
	want := []ipvs.Entry{
		{
			Service: ipvs.Service{
				Key: ipvs.UDPService(addr("[2001:db8::10]:5060")), Scheduler: "mh", Flags: ipvs.OnePacket | ipvs.Sched2,
				Persistence: time.Minute, PersistencePrefix: 64, Engine: "sip",
			},
			Destinations: []ipvs.Destination{
				{
					Key: addr("[2001:db8::21]:5060"), Forward: ipvs.Tunnel, Weight: 1, UpperThreshold: 10, LowerThreshold: 5,
					Tunnel: ipvs.TunnelOptions{Type: ipvs.GUE, Port: 6080, Flags: 2},
				},
				{Key: addr("[2001:db8::22]:5060"), Forward: ipvs.DirectRoute},
				{Key: addr("[2001:db8::23]:5061"), Forward: ipvs.Masquerade, Weight: 1},
			},
		},
		{
			Service: ipvs.Service{Key: ipvs.SCTPService(addr("192.0.2.10:9")), Scheduler: "wlc"},
			Destinations: []ipvs.Destination{
				{Key: addr("10.0.0.1:9"), Forward: ipvs.DirectRoute, Weight: 1},
				{Key: addr("192.0.2.99:9"), Forward: ipvs.DirectRoute, Weight: 1},
			},
		},
		{
			Service:      ipvs.Service{Key: ipvs.MarkService6(7), Scheduler: "wlc"},
			Destinations: []ipvs.Destination{{Key: addr("[2001:db8::31]:0"), Forward: ipvs.DirectRoute, Weight: 1}},
		},
	}
	var got []ipvs.Entry
	for _, v := range s.Services {
		e := ipvs.Entry{Service: v.Service}
		for _, r := range v.Servers {
			e.Destinations = append(e.Destinations, r.Destination)
			if err := r.Destination.Validate(); err != nil {
				t.Error(err)
			}
		}
		if err := v.Service.Validate(); err != nil {
			t.Error(err)
		}
		for _, r := range v.Sorry {
			e.Destinations = append(e.Destinations, r.Destination)
		}
		got = append(got, e)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{}, ipvs.ServiceKey{})); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if s.Drain != 1500*time.Millisecond || len(s.Addresses) != 3 || s.Addresses[2].Prefix.String() != "2001:db8::5/64" || s.Addresses[0].Prefix.Bits() != 128 {
		t.Errorf("drain %v, addresses %v", s.Drain, s.Addresses)
	}
}

// scripted answers as told, after a while.
type scripted struct {
	verdict health.Verdict
	after   time.Duration
}

func (s scripted) Check(ctx context.Context, t health.Target) health.Result {
	select {
	case <-time.After(s.after):
		return health.Result{Verdict: s.verdict, Reason: "of " + t.Addr.String(), Duration: s.after}
	case <-ctx.Done():
		return health.Result{Verdict: health.Fail, Reason: "too late"}
	}
}

func (s scripted) Identity() string { return s.verdict.String() }

func TestAllChecksMustBeGood(t *testing.T) {
	good, bad := scripted{verdict: health.OK}, scripted{verdict: health.Fail}
	none, slow := scripted{verdict: health.NoResult}, scripted{health.OK, time.Hour}
	at := askElsewhere(good, addr("10.0.0.9:81"))
	for _, tt := range []struct {
		name   string
		checks []health.Checker
		want   health.Verdict
		reason string
	}{
		{"all good, one elsewhere", []health.Checker{good, at}, health.OK, "run: all of 2 are ok"},
		{"elsewhere it is bad", []health.Checker{good, askElsewhere(bad, addr("10.0.0.9:81"))}, health.Fail, "all: part 2 of 2: check k: of 10.0.0.9:81"},
		{"the last is bad", []health.Checker{good, bad}, health.Fail, "all: part 2 of 2: check k: of 10.0.0.1:80"},
		{"one could not be asked", []health.Checker{none, good}, health.NoResult, "all: part 1 of 2: check k: of 10.0.0.1:80"},
		{"one runs out of its own time", []health.Checker{good, slow}, health.Fail, "all: part 2 of 2: check k: too late"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var all []health.Checker
			for _, c := range tt.checks {
				all = append(all, limited{c, "k", 20 * time.Millisecond})
			}
			together, err := health.NewAll(all...)
			if err != nil {
				t.Fatal(err)
			}
			r := together.Check(t.Context(), health.Target{Addr: addr("10.0.0.1:80")})
			if r.Verdict != tt.want || r.Reason != tt.reason {
				t.Errorf("%v %q, want %v %q", r.Verdict, r.Reason, tt.want, tt.reason)
			}
		})
	}
}

func TestChecksOfServers(t *testing.T) {
	s := setupOf(t, "network = nat\nnat_router = 10.0.0.254 eth1:1\n"+virtual("web", "timeout = 6\nreentry = 30\ninterval = 2\nfall = 3\n"+
		realServer("plain", "address = 10.0.0.1")+
		realServer("never", "address = 10.0.0.2\ncheck = none")+
		realServer("two", "address = 10.0.0.3\ncheck page {\nkind = http\npath = /up\nport = 8081\ntimeout = 1\nfast_interval = 0.5\n}\ncheck open {\nrise = 2\nstart_state = down\n}")+
		realServer("later", "address = 10.0.0.4\ncheck = redis")))
	p := func(fast time.Duration, rise int) health.Policy {
		return health.Policy{Interval: 2 * time.Second, FastInterval: fast, DownInterval: 0, Timeout: 6 * time.Second, Rise: rise, Fall: 3}
	}
	two := p(500*time.Millisecond, 15)
	two.DownInterval = 2 * time.Second
	for i, want := range []struct {
		identity string
		policy   health.Policy
		initial  health.State
	}{
		{"", p(0, 15), health.Unknown},
		{"none", p(0, 15), health.Up},
		{" at 10.0.0.3:8081 within 1s) (open: tcp within 6s)", two, health.Down},
		{"redis ", p(0, 15), health.Unknown},
	} {
		r := s.Services[0].Servers[i]
		if !strings.Contains(r.Checker.Identity(), want.identity) || r.Policy != want.policy || r.Initial != want.initial {
			t.Errorf("%s: %s, %+v, %v; want %s, %+v, %v", r.Name, r.Checker.Identity(), r.Policy, r.Initial, want.identity, want.policy, want.initial)
		}
	}
	notes := strings.Join(s.Notes, "\n")
	for _, want := range []string{"server two: its checks are asked together"} {
		if !strings.Contains(notes, want) {
			t.Errorf("nothing is said of %q in:\n%s", want, notes)
		}
	}
	conf, diags := lvscf.Load("lvs.cf", []byte("network = direct\n"+virtual("all", "port = 0\npersistent = 60\n"+realServer("s", "address = 10.0.0.1"))))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := FromLVSCF(conf); err == nil || !strings.Contains(err.Error(), "no port to check") {
		t.Errorf("a server without a port: %v", err)
	}
}

func TestQuorum(t *testing.T) {
	sorry := []ipvs.Destination{dest("10.0.0.8:80", 1), dest("10.0.0.9:80", 1)}
	setup := webSetup(func(v *VirtualService) { v.Quorum, v.Sorry = 3, unchecked(sorry...) })
	quiesce := true
	setup.Services[0].Servers[1].Quiesce = &quiesce
	state := func(a, b health.State) func(service, server string) health.State {
		return func(_, server string) health.State {
			if server == "a" {
				return a
			}
			return b
		}
	}
	for _, tt := range []struct {
		name string
		a, b health.State
		want []ipvs.Destination
	}{
		{"all there", health.Up, health.Up, []ipvs.Destination{dest("10.0.0.1:80", 2), dest("10.0.0.2:80", 1)}},
		{"too little weight", health.Up, health.Down, append([]ipvs.Destination{dest("10.0.0.1:80", 0), dest("10.0.0.2:80", 0)}, sorry[0])},
		{"one is quiesced and one removed", health.Down, health.Down, append([]ipvs.Destination{dest("10.0.0.2:80", 0)}, sorry[0])},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := planOf(setup, state(tt.a, tt.b), in(nil))[0].Destinations
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
				t.Errorf("destinations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKeyFileOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	file := func(name, key string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	named, given, def := file("named", "named-0123456789abcdef"), file("given", "given-0123456789abcdef"), file("default", "default-0123456789abcdef")
	for _, tt := range []struct{ name, line, flag, want string }{
		{"the file's", "heartbeat_key_file = " + named + "\n", "", "named-0123456789abcdef"},
		{"the command line's before the file's", "heartbeat_key_file = " + named + "\n", given, "given-0123456789abcdef"},
		{"the default", "", "", "default-0123456789abcdef"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := setupOf(t, tt.line+pairText("heartbeat_path = 10.9.0.1 10.9.0.2\n"))
			c, _, err := s.Pair(PairOptions{Role: "primary", KeyFile: tt.flag, DefaultKeyFile: def})
			if err != nil {
				t.Fatal(err)
			}
			if string(c.Keys[0].Secret) != tt.want || len(c.Channels) != 2 || c.Channels[1].Peer.Addr().String() != "10.9.0.2" {
				t.Errorf("key %q, channels %v; want %q and a second path", c.Keys[0].Secret, c.Channels, tt.want)
			}
		})
	}
}

// testCertificate is a certificate and its key.
func testCertificate(t *testing.T) (certificate, key []byte) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	private, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

func TestReloadSaysWhatChanges(t *testing.T) {
	var log bytes.Buffer
	text := func(weight int, more string) string {
		return "network = direct\n" + virtual("web", realServer("a", fmt.Sprintf("address = 10.0.0.1\nweight = %d", weight))) + more
	}
	many := ""
	for i := range 60 {
		many += fmt.Sprintf("virtual m%d {\n}\n", i)
	}
	d := &Director{log: slog.New(slog.NewTextHandler(&log, nil)), setup: setupOf(t, text(1, ""))}
	d.logChanges(setupOf(t, text(5, many)))
	for _, want := range []string{`virtual \"web\": server \"a\": weight 1 -> 5`, `virtual \"m0\" added`, "and 11 more"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s is not in the log:\n%s", want, log.String())
		}
	}
}

func TestLoadFileReadsIncludedFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return filepath.ToSlash(path)
	}
	write("mail.cf", strings.Replace(virtual("mail", realServer("a", "address = 10.0.0.1")), "192.0.2.10 eth0:1", "192.0.2.11 eth0:2", 1))
	path := write("lvs.cf", "network = direct\ninclude = mail.cf\n"+virtual("web", realServer("a", "address = 10.0.0.1")))
	s, err := LoadFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Services) != 2 || s.Services[0].Name != "mail" || strings.Contains(strings.Join(s.Notes, "\n"), "include") {
		t.Errorf("services %v, notes %v", s.Services, s.Notes)
	}
	if err := os.Remove(filepath.Join(dir, "mail.cf")); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadFile(t.Context(), path); err == nil || !strings.Contains(err.Error(), "mail.cf") || !strings.Contains(err.Error(), ":2:11:") {
		t.Errorf("an included file that is missing: %v", err)
	}
	if s := setupOf(t, "include = /x.cf\nnetwork = direct\n"+virtual("web", "")); !strings.Contains(strings.Join(s.Notes, "\n"), "/x.cf was not read") {
		t.Errorf("nothing is said of a file that was not read: %v", s.Notes)
	}
}
