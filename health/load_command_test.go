package health

import (
	"strings"
	"testing"
)

func TestLoadsThatProgramsPrint(t *testing.T) {
	three := Load{One: 0.52, Five: 0.41, Fifteen: 0.3}
	for name, tt := range map[string]struct {
		out  string
		want Load
		err  string
	}{
		"uptime of procps":          {" 10:55:41 up  9:57,  1 user,  load average: 0.52, 0.41, 0.30\n", three, ""},
		"uptime of BusyBox":         {" 10:55:41 up 9 days, 57 min,  load average: 0.52, 0.41, 0.30\n", three, ""},
		"uptime of BSD":             {"10:55AM  up 9 days, 57 mins, 2 users, load averages: 0.52, 0.41, 0.30\n", three, ""},
		"uptime of macOS":           {"10:55  up 9 days, 57 mins, 2 users, load averages: 0.52 0.41 0.30\n", three, ""},
		"commas for decimal signs":  {" 10:55:41 up  9:57,  1 user,  load average: 0,52, 0,41, 0,30\n", three, ""},
		"the same without commas":   {"10:55  up 9 days, load averages: 0,52 0,41 0,30\n", three, ""},
		"rup":                       {"localhost             10:55 up              9:57,    0 user, load 1.43 1.12 1.35\n", Load{1.43, 1.12, 1.35, 0}, ""},
		"ruptime":                   {"web7          up       9:57,     0 users,  load 0.52, 0.41, 0.30\n", three, ""},
		"a host of that name":       {"load 1         up       9:57,     0 users,  load 0.52, 0.41, 0.30\n", three, ""},
		"a host called loadaverage": {"load-average: up 9:57, load 0.52, 0.41, 0.30", three, ""},
		"a banner before":           {"Welcome. Heavy load: 99 tasks\n 10:55 up 1 day, load average: 0.52, 0.41, 0.30\nbye\n", three, ""},
		"/proc/loadavg":             {"0.52 0.41 0.30 1/234 5678\n", three, ""},
		"no blanks between":         {"load average: 0.52,0.41,0.30", three, ""},
		"whole numbers":             {"load average: 3, 2, 1", Load{One: 3, Five: 2, Fifteen: 1}, ""},
		"a great load":              {"load average: 1052.03, 800.00, 10.10", Load{One: 1052.03, Five: 800, Fifteen: 10.1}, ""},
		"one alone":                 {"load: 0.52", Load{One: 0.52}, ""},
		"a number":                  {"0.52\n", Load{One: 0.52}, ""},
		"a whole number":            {"7", Load{One: 7}, ""},
		"a number with a comma":     {"0,52\n", Load{One: 0.52}, ""},
		"two of them":               {"load 0.52 0.41", Load{One: 0.52}, ""},
		"a word after them":         {"load average: 0.52 at noon", Load{One: 0.52}, ""},
		"no blanks but commas":      {"load average: 0,52,0,41,0,30", Load{}, "no load that can be read for certain"},
		"whole numbers or not":      {"1,5", Load{}, "for certain"},
		"three in one":              {"load average: 1,2,3", Load{}, "for certain"},
		"nothing":                   {"", Load{}, "there is no load in nothing"},
		"another text":              {"no route to host", Load{}, "there is no load in"},
		"numbers without a word":    {"0.52 0.41 0.30", Load{}, "there is no load in"},
		"the word alone":            {"load average: unknown", Load{}, "there is no load in"},
		"a sign":                    {"-1", Load{}, "for certain"},
		"an exponent":               {"1e3", Load{}, "for certain"},
		"two points":                {"1.2.3", Load{}, "for certain"},
		"more than there can be":    {"99999999999", Load{}, "is no load average"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseUptime(tt.out)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("%v, %v, want %q", got, err, tt.err)
			}
			if err == nil && got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func FuzzLoadText(f *testing.F) {
	for _, s := range []string{
		" 10:55:41 up  9:57,  1 user,  load average: 0.52, 0.41, 0.30\n", "load averages: 0,52 0,41 0,30", "web7 up 9:57, load 1.43 1.12 1.35",
		"0.52 0.41 0.30 1/234 5678\n", "7", "1,5", "load average: 1,2,3",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if l, err := parseUptime(s); err == nil && l.check() != nil {
			t.Errorf("%q: %+v", s, l)
		}
	})
}
