package main

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/internal/director"
)

func TestBeatOfAnElection(t *testing.T) {
	for _, tt := range []struct {
		mode    string
		process bool
		why     string
	}{
		{"auto", true, ""},
		{"process", true, ""},
		{"inline", false, "asked for"},
	} {
		beat, why, err := newBeat(tt.mode, slog.New(slog.DiscardHandler))
		if err != nil || (beat != nil) != tt.process || why != tt.why {
			t.Errorf("%s: process %v, why %q, %v", tt.mode, beat != nil, why, err)
		}
	}
}

// The flags for a pair are for a router that may take over from a silent
// partner, and stand in place of what the file says.
func TestPairFlags(t *testing.T) {
	pair := &director.Setup{Source: "lvs.cf", Heartbeat: director.Heartbeat{Enabled: true}}
	routers := &director.Setup{Source: "lvs.cf", Routers: []director.RouterSetup{{Name: "one"}}}
	alone := &director.Setup{Source: "lvs.cf"}
	for _, tt := range []struct {
		name           string
		of             *director.Setup
		witness, fence string
		legacy         bool
		want           string
	}{
		{"nothing is asked for", alone, "", "", false, ""},
		{"both", pair, "192.0.2.254", "true", false, ""},
		{"a name", pair, "gateway", "", false, `witness "gateway": want an address`},
		{"no such program", pair, "", "/no/such/program %h", false, "there is no such program that can be run"},
		{"a line for a shell", pair, "", "/bin/sh -c 'exit 0'", false, "put it into a script"},
		{"an empty command", pair, "", " ", false, "there is no program"},
		{"with VRRP", routers, "192.0.2.254", "", false, "lvs.cf has failover_mode = vrrp"},
		{"without a partner", alone, "", "", true, "backup_active = 1 into lvs.cf"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := director.PairOptions{Legacy: tt.legacy}
			err := pairFlags(tt.of, &o, tt.witness, tt.fence)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want %q", err, tt.want)
			case tt.want == "" && (o.Witness.IsValid() != (tt.witness != "") || o.Fence != tt.fence):
				t.Errorf("options %+v are not those of the command line", o)
			}
		})
	}
}
