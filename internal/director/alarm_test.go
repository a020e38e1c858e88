package director

import (
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/pool"
)

func TestAlarmOfTheConfiguration(t *testing.T) {
	web := virtual("web", "timeout = 6\ninterval = 2\n"+realServer("a", "address = 10.0.0.1"))
	slow := virtual("web", "timeout = 600\n"+realServer("a", "address = 10.0.0.1"))
	for _, tt := range []struct {
		name, text string
		want       pool.Alarm
		control    string
		note       string
	}{
		{"none", web, pool.Alarm{}, "", ""},
		{"the default share", "control_target = 192.0.2.254\n" + web, pool.Alarm{Share: 0.5, Window: 8 * time.Second}, "192.0.2.254:0", ""},
		{"a share", "control_target = 2001:db8::1\nmass_failure = 30\n" + web, pool.Alarm{Share: 0.3, Window: 8 * time.Second}, "[2001:db8::1]:0", ""},
		{"rare checks", "control_target = 192.0.2.254\n" + slow, pool.Alarm{Share: 0.5, Window: longestWindow}, "192.0.2.254:0", ""},
		{"nobody to ask", "mass_failure = 30\n" + web, pool.Alarm{}, "", "mass_failure = 30 has no effect without control_target"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := setupOf(t, "network = direct\n"+tt.text)
			if s.Alarm != tt.want || s.Alarm.Validate() != nil {
				t.Errorf("alarm %+v, want %+v", s.Alarm, tt.want)
			}
			if (s.Control.Checker != nil) != (tt.control != "") || tt.control != "" && s.Control.Target.Addr.String() != tt.control {
				t.Errorf("control target %v, want %q", s.Control.Target, tt.control)
			}
			if notes := strings.Join(s.Notes, "\n"); !strings.Contains(notes, tt.note) || tt.note == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
		})
	}
}

// The unit of weights goes by the scheduler, and what cannot move does not.
func TestWeightsThatMoveGoByTheScheduler(t *testing.T) {
	for _, tt := range []struct {
		scheduler string
		unit      int
		moves     bool
	}{
		{"wlc", fineUnit, true},
		{"wrr", fineUnit, true},
		{"sed", fineUnit, true},
		{"nq", fineUnit, true},
		{"twos", fineUnit, true},
		{"ovf", 0, true},
		{"lblc", 0, true},
		{"lblcr", 0, true},
		{"sh", 0, false},
		{"mh", 0, false},
		{"dh", 0, false},
		{"rr", 0, false},
		{"lc", 0, false},
		{"fo", 0, false},
	} {
		t.Run(tt.scheduler, func(t *testing.T) {
			s := setupOf(t, "network = direct\n"+virtual("web", "slow_start = 60\nscheduler = "+tt.scheduler+"\n"+realServer("a", "address = 10.0.0.1\nslow_start = 5")+realServer("b", "address = 10.0.0.2")))
			v := s.Services[0]
			if v.Unit != tt.unit || (v.Servers[0].SlowStart == 5*time.Second) != tt.moves || (v.Servers[1].SlowStart == time.Minute) != tt.moves {
				t.Errorf("unit %d, slow starts %v and %v", v.Unit, v.Servers[0].SlowStart, v.Servers[1].SlowStart)
			}
			if noted := strings.Contains(strings.Join(s.Notes, "\n"), "no effect with scheduler = "+tt.scheduler); noted == tt.moves {
				t.Errorf("notes %q", s.Notes)
			}
		})
	}
}

// Without a word of it a server enters with its whole weight, as it always did.
func TestWeightsStandStillUnlessAsked(t *testing.T) {
	v := setupOf(t, "network = direct\n"+virtual("web", realServer("a", "address = 10.0.0.1\nweight = 100"))).Services[0]
	if v.Unit != 0 || gearOf(&v, &v.Servers[0]) != nil {
		t.Errorf("unit %d, gear %+v", v.Unit, gearOf(&v, &v.Servers[0]))
	}
	s := setupOf(t, "network = direct\n"+virtual("web", realServer("a", "address = 10.0.0.1\ncheck w {\nkind = script\ncommand = /bin/true\nuse_weight = 1\n}")))
	if r := s.Services[0].Servers[0]; !r.TellsWeight || r.Checker == nil {
		t.Errorf("%+v", r)
	}
}

func TestSorryServersOfTheConfiguration(t *testing.T) {
	s := setupOf(t, "network = direct\n"+virtual("web", "sorry_server = 10.0.0.7\n"+
		realServer("a", "address = 10.0.0.1")+
		realServer("s1", "address = 10.0.0.8\nsorry = 1\ncheck = tcp")+
		realServer("s2", "address = 10.0.0.9\nsorry = 1\nup_cmd = /bin/true")))
	sorry := s.Services[0].Sorry
	if len(sorry) != 3 || sorry[0].Name != "sorry server" || sorry[0].Checker != nil || sorry[1].Checker == nil || sorry[2].Checker != nil || sorry[2].Up != "" {
		t.Errorf("sorry servers %+v", sorry)
	}
	if notes := strings.Join(s.Notes, "\n"); !strings.Contains(notes, "server s2: up_cmd and down_cmd have no effect") {
		t.Errorf("notes %q", notes)
	}
	var ids []string
	for _, w := range s.Watches() {
		ids = append(ids, w.ID)
	}
	if strings.Join(ids, " ") != "web/a web/s1" {
		t.Errorf("watches %v", ids)
	}
	if err := health.NewMonitor(nil).Set(s.Watches()); err != nil {
		t.Error(err)
	}
}
