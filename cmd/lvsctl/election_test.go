package main

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/internal/director"
)

// ofAPair is the part in a pair, ofRouters that in VRRP, and alone nobody's.
func elections() (ofAPair, ofRouters, alone election) {
	a := netip.MustParseAddrPort("192.0.2.1:539")
	ofAPair.node.Channels = []failover.Channel{{Name: "public", Local: a, Peer: a}}
	ofRouters.routers = func(*director.Setup) ([]failover.RouterConfig, error) { return nil, nil }
	return ofAPair, ofRouters, alone
}

func TestBeatOfAnElection(t *testing.T) {
	pair, routers, alone := elections()
	for _, tt := range []struct {
		mode    string
		of      election
		process bool
		why     string
	}{
		{"auto", pair, true, ""},
		{"auto", routers, true, ""},
		{"auto", alone, false, "there is no other router"},
		{"process", alone, true, ""},
		{"inline", pair, false, "asked for"},
	} {
		beat, why, err := newBeat(tt.mode, tt.of, slog.New(slog.DiscardHandler))
		if err != nil || (beat != nil) != tt.process || why != tt.why {
			t.Errorf("%s: process %v, why %q, %v", tt.mode, beat != nil, why, err)
		}
	}
}

// The witness and the fence are for a router that may take over from a silent
// partner.
func TestWitnessAndFence(t *testing.T) {
	pair, routers, alone := elections()
	for _, tt := range []struct {
		name           string
		of             election
		witness, fence string
		legacy         bool
		want           string
	}{
		{"nothing is asked for", alone, "", "", false, ""},
		{"both", pair, "192.0.2.254", "/bin/true", false, ""},
		{"a name", pair, "gateway", "", false, `witness "gateway": want an address`},
		{"an empty command", pair, "", " ", false, "the command is empty"},
		{"with VRRP", routers, "192.0.2.254", "", false, "failover_mode = pulse"},
		{"without a partner", alone, "", "", true, "backup_active = 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.of.beforeTakingOver(tt.witness, tt.fence, tt.legacy)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if tt.want == "" && (tt.of.node.Witness != nil) != (tt.witness != "") {
				t.Error("the witness is not that of the command line")
			}
		})
	}
	if runtime.GOOS == "windows" {
		return // other programs there
	}
	for command, good := range map[string]bool{"true": true, "false": false} {
		e, _, _ := elections()
		if err := e.beforeTakingOver("", command, false); err != nil {
			t.Fatal(err)
		}
		if err := e.node.Fence(context.Background(), "a test"); (err == nil) != good {
			t.Errorf("fence %s: %v", command, err)
		}
	}
}
