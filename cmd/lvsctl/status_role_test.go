package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/internal/control"
)

// statusLines are what the status says of an election, without the rest.
func statusLines(t *testing.T, r control.Role, now time.Time) string {
	t.Helper()
	st := &control.Status{Role: r, Config: control.Config{Source: "lvs.cf", Loaded: now}}
	var out strings.Builder
	if err := writeStatus(&out, st, false, now); err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(out.String(), "data plane")
	return narrow(text)
}

// narrow takes the widths of columns out of a text.
func narrow(text string) string {
	return regexp.MustCompile(`  +`).ReplaceAllString(regexp.MustCompile(` +\n|\n$`).ReplaceAllString(text, "\n"), "  ")
}

// The status of routers of VRRP: each with whom it heard and in what that
// differs, what is tracked, what others did to the addresses, and where the
// election runs with what it lacks there.
func TestStatusOfRouters(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	r := control.Role{
		Mode: "vrrp", Role: "active", Identity: "primary", Since: *before(time.Minute), Reason: "inside is fault; no active router was heard",
		Rival: true, Refused: map[string]uint64{"bad-vrid": 22, "checksum": 3}, RefusedAt: map[string]time.Time{"checksum": *before(90 * time.Second)}, Addresses: []string{"192.0.2.10/32 dev eth0"}, AddressesHeld: true,
		Routers: []control.Router{
			{
				Name: "outside", Group: "both", Role: "active", Since: *before(time.Minute), Reason: "no active router was heard", VRID: 51, Device: "eth0", Version: 3,
				Source: "192.0.2.1", Priority: 150, IntervalMS: 100, DownMS: 341.4, Active: "192.0.2.2", ActivePriority: 100, Rival: true,
				Addresses: []string{"192.0.2.10/32 dev eth0"}, Routes: []string{"198.51.100.0/24 via 192.0.2.254"}, AddressesHeld: true,
				Peers: []control.RouterPeer{{
					Address: "192.0.2.2", LastHeard: *before(300 * time.Millisecond), Priority: 100, Version: 3, IntervalMS: 200,
					Mismatch: []string{"interval 200ms there, 100ms here: give both the same"},
				}},
			},
			{
				Name: "inside", Role: "fault", Since: *before(5 * time.Second), Reason: "fault: track track_interface eth9: eth9 is down", VRID: 52, Device: "eth1", Version: 2,
				Priority: 100, IntervalMS: 1000, DownMS: 3609, Active: "10.0.0.2", ActivePriority: 100, Addresses: []string{"10.0.0.1/24 dev eth1"},
				Error: "eth1: no such device", Peers: []control.RouterPeer{{Address: "10.0.0.3", LastHeard: *before(time.Hour), Version: 2, IntervalMS: 1000}},
			},
		},
		Tracked:   []control.Tracked{{Name: "track_interface eth9", Router: "inside", Since: before(time.Second), Error: "eth9 is down"}, {Name: "monitor_links 192.0.2.1", OK: true, Since: before(time.Hour)}},
		Sightings: []control.Sighting{{At: *before(2 * time.Second), Kind: "address-claimed", Address: "192.0.2.10", Reason: "02:00:00:00:00:09 told the network that it has it", Count: 4}},
		Beat: control.Beat{
			Mode: "process", PID: 77, Since: before(time.Hour), Starts: 2, Priority: "normal", Error: "the beat process 76 is gone: killed",
			Limits: []string{"no real-time priority: give CAP_SYS_NICE"},
		},
		SyncDaemons: []string{"master on eth1, id 7"}, SyncError: "ipvs: no such network device",
	}
	const want = `role             active (primary)       since 1m0s: inside is fault; no active router was heard
vrrp outside     active                 since 1m0s: no active router was heard
                 priority 150           vrid 51 on eth0 from 192.0.2.1, version 3, an advert every 100ms, gone after 341.4ms, with its group both
                 heard                  192.0.2.2 with priority 100, version 3, every 200ms, last 0.3 s ago
                 DIFFERS                interval 200ms there, 100ms here: give both the same
                 held here              192.0.2.10/32 dev eth0
                 route                  198.51.100.0/24 via 192.0.2.254
vrrp inside      fault                  since 5s: fault: track track_interface eth9: eth9 is down
                 priority 100           vrid 52 on eth1, version 2, an advert every 1s, gone after 3.609s
                 active                 10.0.0.2 with priority 100
                 heard                  10.0.0.3 with priority 0, version 2, every 1s, last 3600.0 s ago, and said that it stops
                 not held here          10.0.0.1/24 dev eth1
                 TROUBLE                eth1: no such device
adverts refused  22                     bad-vrid (those of other virtual routers on the same link; no trouble)
adverts refused  3                      checksum, last 90.0 s ago
                 TROUBLE                both routers are active: the other one does not hear this one: let protocol 112 in at its firewall, and look at the way there
address claimed  4 times                192.0.2.10, last 2.0 s ago: 02:00:00:00:00:09 told the network that it has it
tracked          FAILS                  track_interface eth9 (vrrp inside): eth9 is down
tracked          ok                     monitor_links 192.0.2.1
election         process                pid 77, since 1h0m0s, normal, memory may be paged out, started 2 times (the beat process 76 is gone: killed)
                 LIMITED                no real-time priority: give CAP_SYS_NICE
sync daemon      runs                   master on eth1, id 7
sync daemon      TROUBLE                ipvs: no such network device`
	if diff := cmp.Diff(narrow(want)+"\n", statusLines(t, r, now)); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

// What the status says of a pair beside its channels.
func TestStatusOfAPair(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	base := control.Role{Mode: "pulse", Role: "active", Identity: "primary", Since: now, Reason: "the partner stops"}
	for _, tt := range []struct {
		name   string
		change func(*control.Role)
		want   string
	}{
		{"clocks that differ", func(r *control.Role) {
			r.Partner = &control.Partner{Role: "backup", Alive: true, HearsUs: true, ClocksDiffer: true, ClockOffsetMS: -7200_500}
		}, "ITS CLOCK IS -2h0m0.5s FROM OURS"},
		{"a hand-over", func(r *control.Role) { r.HandOver = "the partner is asked to take over" }, "hand-over  "},
		{"Piranha's heartbeat", func(r *control.Role) { r.Legacy = true }, "LEGACY"},
		{"no process at the moment", func(r *control.Role) { r.Beat = control.Beat{Mode: "process", Error: "it was killed"} }, "there is no beat process at the moment: it was killed"},
		{"another process", func(r *control.Role) { r.Beat = control.Beat{Mode: "process", PID: 8, Starts: 2, Priority: "normal"} }, "memory may be paged out, started 2 times\n"},
		{"in the daemon", func(r *control.Role) { r.Beat = control.Beat{Mode: "inline", Reason: "asked for"} }, "in the daemon: asked for"},
		{"something that was not looked at", func(r *control.Role) { r.Tracked = []control.Tracked{{Name: "eth1", OK: true}} }, "not known yet"},
		{"one way that is silent", func(r *control.Role) {
			r.Partner = &control.Partner{Role: "backup", Alive: true, HearsUs: true}
			r.Channels = []control.Channel{{Name: "public"}, {Name: "private", Up: true}}
		}, "SILENT"},
		{"one sighting", func(r *control.Role) { r.Sightings = []control.Sighting{{Kind: "address-claimed", Count: 1, At: now}} }, "once"},
		{"a rival", func(r *control.Role) { r.Rival = true }, "TROUBLE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if without := statusLines(t, base, now); strings.Contains(without, tt.want) {
				t.Fatalf("it is said without a reason:\n%s", without)
			}
			r := base
			tt.change(&r)
			if got := statusLines(t, r, now); !strings.Contains(got, tt.want) {
				t.Errorf("no %q in:\n%s", tt.want, got)
			}
		})
	}
}

func TestHandedOver(t *testing.T) {
	router := func(role, active string, held bool) control.Router {
		return control.Router{Role: role, Active: active, AddressesHeld: held}
	}
	for _, tt := range []struct {
		name string
		role control.Role
		want bool
	}{
		{"the partner serves", control.Role{Role: "backup", Partner: &control.Partner{Alive: true, Role: "active"}}, true},
		{"the partner does not yet", control.Role{Role: "backup", Partner: &control.Partner{Alive: true, Role: "backup"}}, false},
		{"the partner is dead", control.Role{Role: "backup", Partner: &control.Partner{Role: "active"}}, false},
		{"nobody", control.Role{Role: "backup"}, false},
		{"still active", control.Role{Role: "active", Partner: &control.Partner{Alive: true, Role: "active"}}, false},
		{"all routers have moved", control.Role{Role: "backup", Routers: []control.Router{router("backup", "192.0.2.2", false), router("backup", "10.0.0.2", false)}}, true},
		{"one has not", control.Role{Role: "backup", Routers: []control.Router{router("backup", "192.0.2.2", false), router("backup", "", false)}}, false},
		{"one serves on until the other does", control.Role{Role: "backup", Routers: []control.Router{router("backup", "192.0.2.2", true)}}, false},
	} {
		if got := handedOver(&control.Status{Role: tt.role}); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Addresses that nobody reaches are trouble, right below what is held.
func TestStatusOfADeadLink(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := control.Role{
		Role: "active", Identity: "primary", Since: now, Reason: "the partner is silent", Addresses: []string{"192.0.2.100/24 dev eth0"}, AddressesHeld: true,
		Unreachable: []string{"eth0 has no carrier: nobody reaches 192.0.2.100/24; monitor_links = 1 lets the other router take over"},
	}
	const want = `role  active (primary)  since 0s: the partner is silent
addresses  held here  192.0.2.100/24 dev eth0
  TROUBLE  eth0 has no carrier: nobody reaches 192.0.2.100/24; monitor_links = 1 lets the other router take over
`
	if diff := cmp.Diff(want, statusLines(t, r, now)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
