package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/internal/control"
)

func TestStatusShowsHowThePartnerDiffers(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name    string
		partner control.Partner
		want    []string
	}{
		{"it does not", control.Partner{Role: "active", Alive: true, HearsUs: true}, []string{
			"partner        active",
		}},
		{"not known in what", control.Partner{Role: "active", Alive: true, HearsUs: true, ConfigDiffers: true, DifferencesUnknown: "it has not told"}, []string{
			"partner        active           ITS CONFIGURATION DIFFERS FROM OURS",
			"                                it has not told",
		}},
		{"known in what", control.Partner{
			Role: "active", Alive: true, HearsUs: true, ConfigDiffers: true, MoreDifferences: 7,
			Differences: []string{`virtual "web": server "a": weight 1 -> 5`, `virtual "mail" added`},
		}, []string{
			"partner        active           ITS CONFIGURATION DIFFERS FROM OURS",
			"               ours -> its      virtual \"web\": server \"a\": weight 1 -> 5",
			"                                virtual \"mail\" added",
			"                                and 7 more",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := &control.Status{
				Role:   control.Role{Role: "backup", Identity: "backup", Since: now.Add(-time.Minute), Reason: "the partner is active", Partner: &tt.partner},
				Config: control.Config{Source: "lvs.cf", Loaded: now},
			}
			var out strings.Builder
			if err := writeStatus(&out, st, false, now); err != nil {
				t.Fatal(err)
			}
			var got []string
			for line := range strings.Lines(out.String()) {
				if strings.HasPrefix(line, "partner") || strings.HasPrefix(line, " ") {
					got = append(got, strings.TrimRight(line, " \n"))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("status (-want +got):\n%s\n%s", diff, out.String())
			}
		})
	}
}

func TestStatusSaysWhyAServerIsDown(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	since := now.Add(-90 * time.Second)
	answer := func(seconds int, verdict, reason string) control.Result {
		return control.Result{
			At: now.Add(time.Duration(seconds) * time.Second), Verdict: verdict, Reason: reason, TookMS: 3.5, Seen: `HTTP/1.1 500\r\n`,
			Phases: []control.Phase{{Name: "connect", TookMS: 1}, {Name: "read", TookMS: 2.5}},
		}
	}
	server := func(name, state, reason string, good, bad int, results ...control.Result) control.Server {
		return control.Server{
			Name: name, Address: "10.0.0.1:80", State: state, Since: &since, Reason: reason, Check: `http GET "/up"`,
			NoticedMS: 7500, Good: good, Bad: bad, Results: results,
		}
	}
	st := &control.Status{
		Role: control.Role{Role: "active", Identity: "alone", Since: now}, Config: control.Config{Source: "lvs.cf", Loaded: now},
		Services: []control.Service{{Name: "web", Reason: "1 of 3 servers up", Servers: []control.Server{
			server("web1", "up", "read: status 200 OK", 9, 0, answer(-2, "ok", "read: status 200 OK")),
			server("web2", "down", "read: status 500", 0, 4, answer(-4, "fail", "read: status 500"), answer(-2, "fail", "read: status 500")),
			server("web3", "down", "connect: refused", 2, 0, answer(-2, "ok", "read: status 200 OK")),
		}}},
	}
	const down = `  web2  10.0.0.1:80  down, out   since 1m30s: read: status 500
    check                        http GET "/up"; a death is noticed within 7.5s
    answers                      4 bad ones in a row
    11:59:58.000  fail  3.5 ms  read: status 500 (ms: connect 1.0, read 2.5)
    seen                         HTTP/1.1 500\r\n
  web3  10.0.0.1:80  down, out   since 1m30s: connect: refused
    check                        http GET "/up"; a death is noticed within 7.5s
    answers                      2 good ones in a row, not yet enough
    11:59:58.000  ok  3.5 ms  read: status 200 OK (ms: connect 1.0, read 2.5)
    seen                         HTTP/1.1 500\r\n
`
	for _, history := range []bool{false, true} {
		var out strings.Builder
		if err := writeStatus(&out, st, history, now); err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(out.String(), "\nweb")
		_, got, _ = strings.Cut(got, "\n")
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
		want := "  web1 10.0.0.1:80 up, out since 1m30s: read: status 200 OK\n" + down
		if history {
			want = strings.Replace(want, "  web2", `    check http GET "/up"; a death is noticed within 7.5s
    11:59:58.000 ok 3.5 ms read: status 200 OK (ms: connect 1.0, read 2.5)
    seen HTTP/1.1 500\r\n
  web2`, 1)
			want = strings.Replace(want, "in a row\n", "in a row\n    11:59:56.000 fail 3.5 ms read: status 500 (ms: connect 1.0, read 2.5)\n", 1)
		}
		if diff := cmp.Diff(squeeze(want), squeeze(got)); diff != "" {
			t.Errorf("history %t (-want +got):\n%s\n%s", history, diff, out.String())
		}
	}
}

func TestStatusSaysWhyAServerHasItsWeight(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	since := now.Add(-time.Minute)
	st := &control.Status{Services: []control.Service{{
		Name: "web", Reason: "2 of 4 servers up", Quorum: control.Quorum{State: "lost", Since: &since, Why: "quorum lost: live weight 1, gained at 2"},
		Servers: []control.Server{
			{Name: "a", Address: "10.0.0.1:80", State: "up", InTable: true, Weight: 2, Since: &since, Reason: "connect: open", Why: "up: configured weight 2", WhySince: &since},
			{Name: "b", Address: "10.0.0.2:80", State: "up", InTable: true, Weight: 16, Since: &since, Reason: "connect: open", Why: "up: configured weight 1 x 64, slow start at 25 %", WhySince: &since},
			{Name: "c", Address: "10.0.0.3:80", State: "down", Reason: "connect: refused", Why: "down: connect: refused", WhySince: &since},
			{Name: "d", Address: "10.0.0.4:80", State: "down", InTable: true, Reason: "connect: refused", Why: "down, kept with weight 0: connect: refused"},
		},
		SorryServers: []control.Server{{Name: "s", Address: "10.0.0.9:80", State: "up", InTable: true, Weight: 1, Reason: "not checked", Why: "sorry server, serves: configured weight 1", WhySince: &since}},
	}}}
	var out strings.Builder
	if err := writeStatus(&out, st, false, now); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "  ") {
			got = append(got, strings.Join(strings.Fields(line), " "))
		}
	}
	want := []string{
		"quorum lost since 1m0s: live weight 1, gained at 2",
		"a 10.0.0.1:80 up, weight 2 since 1m0s: connect: open",
		"b 10.0.0.2:80 up, weight 16 since 1m0s: connect: open",
		"why since 1m0s: up: configured weight 1 x 64, slow start at 25 %",
		"c 10.0.0.3:80 down, out connect: refused",
		"d 10.0.0.4:80 down, weight 0 connect: refused",
		"why down, kept with weight 0: connect: refused",
		"sorry: s 10.0.0.9:80 up, weight 1 not checked",
		"why since 1m0s: sorry server, serves: configured weight 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s\n%s", diff, out.String())
	}
}

// What a load monitor says stands below the server, and nothing where there is
// none.
func TestStatusShowsLoads(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	st := &control.Status{Config: control.Config{Loaded: now}, Services: []control.Service{{Name: "web", Servers: []control.Server{
		{Name: "a", State: "up", LoadReason: "stats: load 0.50 0.40 0.30 (version 3, port 32768)"},
		{Name: "b", State: "up", LoadReason: "unknown: portmapper: refused; nothing listens there"},
		{Name: "c", State: "up"},
	}}}}
	var out strings.Builder
	if err := writeStatus(&out, st, false, now); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		if words := strings.Fields(line); len(words) > 0 && words[0] == "load" {
			got = append(got, strings.Join(words[1:], " "))
		}
	}
	want := []string{"stats: load 0.50 0.40 0.30 (version 3, port 32768)", "unknown: portmapper: refused; nothing listens there"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("loads (-want +got):\n%s\n%s", diff, out.String())
	}
}

// A file has as many faults as it has, each on a line of its own, and they stay
// in their column.
func TestStatusShowsAllFaultsOfARefusedFile(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	st := &control.Status{
		Role:   control.Role{Role: "backup", Identity: "backup", Since: now, Reason: "the partner is active"},
		Config: control.Config{Source: "lvs.cf", Loaded: now, ReloadError: "lvs.cf:1:1: one\nlvs.cf:2:1: two"},
		Notes:  []string{"a note"},
	}
	var out strings.Builder
	if err := writeStatus(&out, st, false, now); err != nil {
		t.Fatal(err)
	}
	const want = `
               RELOAD REFUSED   lvs.cf:1:1: one
                                lvs.cf:2:1: two
note                            a note
`
	if !strings.Contains(out.String(), want) {
		t.Errorf("got\n%s", out.String())
	}
}
