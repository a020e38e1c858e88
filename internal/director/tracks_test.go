package director

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/failover/track"
	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
	"github.com/lvskit/lvskit/lvscf"
)

// What a vrrp block depends on becomes tracks, each with its times.
func TestTracksOfABlock(t *testing.T) {
	block := func(lines string) string {
		return "failover_mode = vrrp\nnetwork = direct\n" + vrrpBlock("r", "interface = eth0\nvrid = 51\n"+lines) + virtual("web", realServer("a", "address = 10.0.0.3"))
	}
	s := setupOf(t, block(`track_interface = eth1
track_weight = eth2 -20
check gateway {
kind = ping
address = 192.0.2.254
}
check page {
kind = tcp
address = 192.0.2.9
port = 81
weight = 5
interval = 2
timeout = 1500ms
rise = 2
fall = 3
}
check load {
kind = file
path = /run/load
weight = -1
}
check off {
kind = file
path = /run/off
}
`))
	var got []string
	for _, tr := range s.Routers[0].Tracks {
		got = append(got, fmt.Sprintf("%s: %T weight %d every %v within %v rise %d fall %d", tr.Name, tr.Source, tr.Weight, tr.Interval, tr.Timeout, tr.Rise, tr.Fall))
	}
	want := []string{
		"track_interface eth1: track.Device weight 0 every 0s within 0s rise 0 fall 0",
		"track_weight eth2: track.Device weight -20 every 0s within 0s rise 0 fall 0",
		"check gateway: director.checkTrack weight 0 every 0s within 0s rise 0 fall 0",
		"check page: director.checkTrack weight 5 every 2s within 1.5s rise 2 fall 3",
		"check load: track.File weight -1 every 0s within 0s rise 0 fall 0",
		"check off: director.checkTrack weight 0 every 0s within 0s rise 0 fall 0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tracks (-want +got):\n%s", diff)
	}
	if page := s.Routers[0].Tracks[3].Source.(checkTrack); page.target.Addr != netip.MustParseAddrPort("192.0.2.9:81") {
		t.Errorf("it asks at %v", page.target.Addr)
	}
	if notes := strings.Join(s.Notes, "\n"); strings.Contains(notes, "no effect") {
		t.Errorf("notes:\n%s", notes)
	}
	idle := setupOf(t, block("check g {\nkind = ping\naddress = 192.0.2.254\nstart_state = up\n}\n"))
	if notes := strings.Join(idle.Notes, "\n"); !strings.Contains(notes, "start_state = up has no effect") {
		t.Errorf("notes:\n%s", notes)
	}
	for name, tt := range map[string]struct{ lines, want string }{
		"a port":          {"check page {\nkind = tcp\naddress = 192.0.2.9\n}\n", ":6:1: vrrp r: check page: it has no port to ask"},
		"a program":       {"check nginx {\nkind = script\n}\n", ":6:1: vrrp r: check nginx: kind = script without a command"},
		"a whole path":    {"check load {\nkind = file\npath = load\nweight = 1\n}\n", "give its whole path"},
		"another counter": {"check nginx {\nkind = script\ncommand = /bin/true\nrise = 101\n}\n", "use 1 to 100"},
		"one device once": {"track_interface = eth1\ntrack_interface = eth1\n", "given twice"},
	} {
		conf, _ := lvscf.Load("lvs.cf", []byte(block(tt.lines)))
		if _, err := FromLVSCF(conf); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("it needs %s: error %v, want %q", name, err, tt.want)
		}
	}
}

// A check of the health of something is a track: what it finds, and what it
// cannot find out, is no good.
func TestCheckTrack(t *testing.T) {
	c := healthtest.NewFake("fake")
	track := checkTrack{c, health.Target{Name: "gateway", Addr: netip.MustParseAddrPort("192.0.2.254:0")}}
	for _, verdict := range []health.Verdict{health.OK, health.Fail, health.NoResult} {
		c.Set(healthtest.Verdicts(verdict))
		if err := track.Look(t.Context()); (err == nil) != (verdict == health.OK) || err != nil && err.Error() != "fake: "+verdict.String() {
			t.Errorf("%v: %v", verdict, err)
		}
	}
	if got := track.String(); !strings.Contains(got, "192.0.2.254") {
		t.Errorf("it is called %q", got)
	}
}

// prioritized notes what it is fed.
type prioritized struct{ priority uint8 }

func (*prioritized) SetFault(string)          {}
func (p *prioritized) SetPriority(have uint8) { p.priority = have }

// The members of a sync group have the sum of what their tracks add; others
// have their own.
func TestWeightsOfAGroup(t *testing.T) {
	var a, b, c, d prioritized
	w := &weights{}
	var members []*tracking
	for _, m := range []weighing{{group: "g", base: 100}, {group: "g", base: 120}, {base: 100}, {base: 100}} {
		target := []*prioritized{&a, &b, &c, &d}[len(members)]
		m.all = w
		members = append(members, &tracking{target: target, weighing: m})
		w.join(members[len(members)-1])
	}
	for _, tt := range []struct {
		name     string
		member   int
		priority uint8
		want     [4]uint8
	}{
		{"one of the group", 0, 70, [4]uint8{70, 90, 0, 0}},
		{"the other one, too", 1, 115, [4]uint8{65, 85, 0, 0}},
		{"the first recovers", 0, 100, [4]uint8{95, 115, 0, 0}},
		{"one without a group", 2, 1, [4]uint8{95, 115, 1, 0}},
		{"beyond what there is", 0, 254, [4]uint8{249, 254, 1, 0}},
	} {
		w.set(members[tt.member], tt.priority)
		if got := [4]uint8{a.priority, b.priority, c.priority, d.priority}; got != tt.want {
			t.Errorf("%s: priorities %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A number in a file that falls takes the service to the other router, and to
// all of a sync group; a reload keeps what tracks have added.
func TestWeightsMoveRouters(t *testing.T) {
	for _, tt := range []struct {
		name, group     string
		low, high, back []string // what the first director serves
	}{
		{"routers apart", "", []string{mail}, []string{web, mail}, []string{web, mail}},
		{"a sync group", "sync_group = both\n", nil, []string{web, mail}, []string{web, mail}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			load := [2]string{filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")}
			write := func(node int, text string) {
				t.Helper()
				// Renamed into place, so that no look finds half a file.
				next := load[node] + ".next"
				if err := errors.Join(os.WriteFile(next, []byte(text), 0o600), os.Rename(next, load[node])); err != nil {
					t.Fatal(err)
				}
			}
			write(0, "0\n")
			write(1, "0\n")
			text := func(node int) string {
				s := strings.Replace(sides, "priority = 100\n\tbackup_priority = 150", "priority = 150\n\tbackup_priority = 100", 1)
				s = strings.ReplaceAll(s, "advert_interval = 100ms\n", "advert_interval = 100ms\n"+tt.group)
				return strings.Replace(s, "vrid = 51\n", "vrid = 51\ncheck load {\nkind = file\npath = "+filepath.ToSlash(load[node])+"\nweight = 2\n}\n", 1)
			}
			synctest.Test(t, func(t *testing.T) {
				p := newVRRPPair(t, text(0), func(node int, c *Config) {
					c.Identity = []string{IdentityPrimary, IdentityBackup}[node]
					c.Setup = setupOf(t, text(node))
				})
				all := []string{web, mail}
				rest := func(mine []string) (theirs []string) {
					for _, s := range all {
						if len(mine) == 0 || mine[0] != s && mine[len(mine)-1] != s {
							theirs = append(theirs, s)
						}
					}
					return theirs
				}
				time.Sleep(10 * time.Second)
				p.want("at the start", all, nil)
				write(0, "-30\n") // 150 - 60
				time.Sleep(10 * time.Second)
				p.want("with a low number", tt.low, rest(tt.low))
				p.one.next = func() (*Setup, error) { return setupOf(t, text(0)), nil }
				p.one.reload <- syscall.SIGHUP
				time.Sleep(10 * time.Second)
				p.want("after a reload", tt.low, rest(tt.low))
				write(1, "-40\n") // 100 - 80
				time.Sleep(10 * time.Second)
				p.want("when the other one is lower", tt.high, rest(tt.high))
				write(0, "7\n")
				write(1, "7\n")
				time.Sleep(10 * time.Second)
				p.want("with high numbers", tt.back, rest(tt.back))
				if tracked := p.one.status().Role.Tracked; len(tracked) == 0 || !strings.Contains(fmt.Sprint(tracked), "check load") {
					t.Errorf("the status tells of %v", tracked)
				}
			})
		})
	}
}

var _ track.PriorityTarget = (*prioritized)(nil)
