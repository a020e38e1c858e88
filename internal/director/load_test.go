package director

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvstest"
	"github.com/lvskit/lvskit/lvscf"
)

func TestLoadSources(t *testing.T) {
	for word, want := range map[string]string{
		"":                                "",
		"none":                            "",
		"rup":                             "rup port=0 portmapper=111 version=0",
		"ruptime":                         "ruptime",
		"uptime":                          `load-command ["ssh" "-l" "ops" "%h" "uptime"]`,
		"/usr/local/bin/load":             `load-command ["/usr/local/bin/load" "%h"]`,
		"snmpload -c %h public":           `load-command ["snmpload" "-c" "%h" "public"]`,
		"http://%h:9100":                  `port 9100 (load-http GET "/metrics?collect[]=cpu&collect[]=loadavg" `,
		"http://%h:9100/metrics":          `port 9100 (load-http GET "/metrics" `,
		"http://%h/status?x=1#cpu[0].one": `port 80 (load-http GET "/status?x=1" `,
		"https://%h/#load":                `port 443 (load-http GET "/" `,
		"http://192.0.2.1:9100/":          "error: write %h for the server's address",
		"http://%h.example.com/":          "error: write %h for the server's address",
		"http://me:secret@%h/":            "error: write %h for the server's address",
		"http://%h:0/":                    "error: port check",
		"http://%h:70000/":                "error: port 70000: want 1..65535",
		"http://%h/#a..b":                 "error: json path",
		"http://%h/%zz":                   "error: invalid URL escape",
	} {
		t.Run(word, func(t *testing.T) {
			conf, diags := lvscf.Load("lvs.cf", []byte("network = direct\nrsh_command = \"ssh -l ops\"\n"+
				virtual("web", "load_monitor = \""+word+"\"\n"+realServer("a", "address = 10.0.0.1"))))
			if err := diags.Err(); err != nil {
				t.Fatal(err)
			}
			s, err := FromLVSCF(conf)
			if wrong, bad := strings.CutPrefix(want, "error: "); bad {
				if err == nil || !strings.HasPrefix(err.Error(), "lvs.cf:6:") || !strings.Contains(err.Error(), "virtual web: load_monitor: ") || !strings.Contains(err.Error(), wrong) {
					t.Errorf("error %v, want it to say %s", err, wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, r := "", s.Services[0].Servers[0]
			if r.Load.Checker != nil {
				got = r.Load.Checker.Identity()
			} else if r.Load.RWho {
				got = "ruptime"
			}
			if !strings.HasPrefix(got, want) || (got == "") != (want == "") || r.FollowLoad != (want != "") {
				t.Errorf("%q, follows %t; want %q", got, r.FollowLoad, want)
			}
			for _, n := range s.Notes {
				if strings.Contains(n, "load_monitor") {
					t.Errorf("note %q", n)
				}
			}
		})
	}
}

// A scheduler that does not look at weights needs no loads.
func TestNoLoadsAreAskedInVain(t *testing.T) {
	s := setupOf(t, "network = direct\n"+virtual("web", "load_monitor = rup\nscheduler = rr\n"+realServer("a", "address = 10.0.0.1")))
	if !slices.ContainsFunc(s.Notes, func(n string) bool { return strings.Contains(n, "load_monitor have no effect with scheduler = rr") }) {
		t.Errorf("notes %q", s.Notes)
	}
	l, err := newLoads(slog.New(slog.DiscardHandler), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.set(s); err != nil || len(l.followers) != 0 {
		t.Errorf("%v is asked, %v", l.followers, err)
	}
}

// loaded is a setup whose servers' loads a fake finds out; two services have
// the same servers.
func loaded(c, load health.Checker) *Setup {
	s := webSetup(func(v *VirtualService) { v.Unit = fineUnit })
	again := webSetup(func(v *VirtualService) {
		v.Name, v.Unit = "again", fineUnit
		v.Service.Key = ipvs.TCPService(addr("192.0.2.1:81"))
	})
	s.Services = append(s.Services, again.Services...)
	for i := range s.Services {
		for j := range s.Services[i].Servers {
			r := &s.Services[i].Servers[j]
			r.FollowLoad, r.Load.Checker = true, load
		}
	}
	return checked(s, c)
}

// loadOf answers with a load.
func loadOf(one float64, cores int) healthtest.Script {
	return func(context.Context, int) health.Result {
		return health.Result{Verdict: health.OK, Reason: "fake: load", Load: &health.Load{One: one, Cores: cores}}
	}
}

func TestDirectorHasWeightsFollowLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		load := healthtest.NewFake("load")
		a, b := netip.MustParseAddrPort("10.0.0.1:0"), netip.MustParseAddrPort("10.0.0.2:0")
		load.SetFor(a, loadOf(16, 4))
		load.SetFor(b, loadOf(0.1, 4))
		r := newRig(t, ipvstest.New(), func(c *Config) { c.Setup = loaded(healthtest.NewFake("fake"), load) })
		defer r.stop()
		weights := func() (of [2][2]int) {
			for i, s := range r.status().Services {
				for j, server := range s.Servers {
					of[i][j] = server.Weight
				}
			}
			return of
		}
		time.Sleep(5 * time.Minute)
		for _, w := range weights() {
			if w[0] < 64 || w[0] > 70 || w[1] < 90 || w[1] > 96 {
				t.Errorf("weights %v, want about half of 128 and one and a half times 64", w)
			}
		}
		if n := load.Count(a); n < 14 || n > 17 {
			t.Errorf("asked %d times in five minutes, want one question every 20 s for both services", n)
		}
		if s := r.status().Services[1].Servers[0]; s.Load == nil || s.Load.One != 16 || s.LoadReason != "fake: load" {
			t.Errorf("status %+v", s)
		}

		// Whatever goes wrong with the load of a server, it stays up.
		load.SetFor(a, healthtest.Verdicts(health.Fail))
		time.Sleep(time.Minute)
		for range 30 {
			time.Sleep(10 * time.Second)
			for _, s := range r.status().Services {
				if server := s.Servers[0]; server.State != "up" || !server.InTable || server.Load != nil || server.LoadReason != "unknown: fake: fail" {
					t.Fatalf("status %+v", server)
				}
			}
		}
		for _, w := range weights() {
			if w[0] < 122 || w[0] > 134 || w[1] < 90 {
				t.Errorf("weights %v, want the configured 128 back, and the other as it was", w)
			}
		}
		// A load that nobody could ask for counts as long as it may, and not
		// for ever.
		load.SetFor(b, healthtest.Verdicts(health.NoResult))
		time.Sleep(time.Minute)
		if w := weights()[0][1]; w < 90 {
			t.Errorf("weight %d soon after the last load", w)
		}
		time.Sleep(loadLife + 5*time.Minute)
		if w := weights()[0][1]; w < 61 || w > 67 {
			t.Errorf("weight %d long after the last load, want the configured 64 back", w)
		}
		// And it comes back.
		load.SetFor(a, loadOf(16, 4))
		time.Sleep(5 * time.Minute)
		if w := weights()[1][0]; w > 70 {
			t.Errorf("weight %d under a load, want about 64", w)
		}

		// A reload without load monitors ends the questions.
		r.next = func() (*Setup, error) {
			s := loaded(healthtest.NewFake("fake"), nil)
			for i := range s.Services {
				for j := range s.Services[i].Servers {
					s.Services[i].Servers[j].FollowLoad = false
				}
			}
			return s, nil
		}
		r.reload <- os.Interrupt
		time.Sleep(time.Second)
		asked := load.Count(a)
		time.Sleep(time.Minute)
		if w := weights(); w != [2][2]int{{128, 64}, {128, 64}} || load.Count(a) != asked || r.status().Services[0].Servers[0].LoadReason != "" {
			t.Errorf("weights %v and %d questions after a reload without load monitors", w, load.Count(a)-asked)
		}
	})
}

// rwhod is listened for only where the configuration says so, and from then on.
func TestDirectorListensForRwhod(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	listen := c.LocalAddr().(*net.UDPAddr).AddrPort()
	c.Close()
	who, err := health.NewRWho(&health.RWhoConfig{Listen: listen, Spool: filepath.Join(t.TempDir(), "none")})
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan health.Load, 1)
	l, err := newLoads(slog.New(slog.DiscardHandler), who, func(id string, load *health.Load) {
		if id == "web/a" && load != nil {
			select {
			case told <- *load:
			default: // the monitor's own turn was told before
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.run(ctx) }()
	quiet := webSetup(func(v *VirtualService) { v.Servers = v.Servers[:1] })
	if err := l.set(checked(quiet, healthtest.NewFake("fake"))); err != nil {
		t.Fatal(err)
	}
	if who.Stats().Listening {
		t.Error("it listens though nobody wants loads")
	}
	setup := webSetup(func(v *VirtualService) {
		v.Servers = v.Servers[:1]
		v.Servers[0].FollowLoad, v.Servers[0].Load.RWho = true, true
	})
	checked(setup, healthtest.NewFake("fake")).Services[0].Servers[0].Target.Addr = netip.MustParseAddrPort("127.0.0.2:80")
	if err := l.set(setup); err != nil {
		t.Fatal(err)
	}
	sender, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), listen.Port())), net.UDPAddrFromAddrPort(listen))
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	packet := make([]byte, 60)
	packet[0], packet[1], packet[47] = 1, 1, 150
	for deadline := time.Now().Add(20 * time.Second); who.Stats().Accepted == 0; time.Sleep(5 * time.Millisecond) {
		_, _ = sender.Write(packet)
		if time.Now().After(deadline) {
			t.Fatalf("nothing is heard: %+v", who.Stats())
		}
	}
	// The next turn is twenty seconds away; a reload does not ask sooner.
	r := l.ruptime.Check(t.Context(), health.Target{Addr: netip.MustParseAddrPort("127.0.0.2:0")})
	if r.Load == nil || r.Load.One != 1.5 {
		t.Errorf("%v: %s", r.Verdict, r.Reason)
	}
	if r := (teller{l.ruptime, l}).Check(t.Context(), health.Target{Addr: netip.MustParseAddrPort("127.0.0.2:0")}); r.Load == nil {
		t.Error(r.Reason)
	}
	select {
	case load := <-told:
		if load.One != 1.5 {
			t.Errorf("load %v", load)
		}
	default:
		t.Error("the load is not told")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
