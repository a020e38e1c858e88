//go:build linux && netns

package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/internal/lab"
)

// splitConf is a pair that elects in one of two ways.
func splitConf(mode string) string {
	head := map[string]string{
		"pulse": "keepalive = 1\ndeadtime = 2\nheartbeat_port = 539\n",
		"vrrp":  "failover_mode = vrrp\nvrrp outside {\n\tinterface = eth0\n\tvrid = 51\n\tpriority = 150\n\tbackup_priority = 100\n\tadvert_interval = 100ms\n}\n",
	}[mode]
	return "primary = 192.0.2.1\nbackup = 192.0.2.2\nbackup_active = 1\nservice = lvs\nnetwork = direct\nmonitor_links = 1\n" + head + `virtual web {
	active = 1
	address = 192.0.2.100 eth0
	port = 80
	check = none
	server a {
		active = 1
		address = 192.0.2.50
	}
}
`
}

// statusText is what an operator sees.
func (d *daemon) statusText() string {
	d.t.Helper()
	var out bytes.Buffer
	if code := run(d.t.Context(), []string{"lvsctl", "status", "--socket", filepath.Join(d.dir, "sock")}, &out, &out); code != exitDone {
		d.t.Fatalf("status: %s", &out)
	}
	return out.String()
}

// says waits until the status has all of some words.
func (d *daemon) says(what string, words ...string) {
	d.t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		text, missing := d.statusText(), ""
		for _, w := range words {
			if !strings.Contains(text, w) {
				missing = w
			}
		}
		if missing == "" {
			d.t.Logf("%s:\n%s", what, text)
			return
		}
		if time.Since(began) > 30*time.Second {
			d.t.Fatalf("%s: the status does not say %q:\n%s", what, missing, text)
		}
	}
}

// A rule of a firewall makes two active routers of a pair. The status of both
// names the cause, and when the rule is gone one of them serves.
func TestNetnsSplitByFirewall(t *testing.T) {
	for _, tt := range []struct {
		mode, rule string
		// both: the rule is on both, as one that is not heard gives way otherwise.
		both bool
		// What the one that is not heard says, and the one that does not hear.
		unheard, deaf []string
	}{
		{
			"vrrp", "ip protocol vrrp drop", false,
			[]string{
				"active (primary)", "192.0.2.2 is active too, with priority 100",
				"both routers are active: the other one does not hear this one: let protocol 112 in at its firewall",
			},
			[]string{"active (backup)", "has the addresses, too, and no advert of it comes here: let protocol 112 to 224.0.0.18 in, at the firewall of this machine first"},
		},
		{
			"pulse", "udp dport 539 drop", true,
			[]string{"active (primary)", "SILENT", "has the addresses, too, and no heartbeat of it comes here: let UDP to port 539 in, at the firewall of this router first"},
			[]string{"active (backup)", "SILENT", "has the addresses, too, and no heartbeat of it comes here: let UDP to port 539 in, at the firewall of this router first"},
		},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t)
			one, two := l.Namespace("one"), l.Namespace("two")
			l.Veth(one, "eth0", two, "eth0")
			key := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(key, []byte("a key that both routers share\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			var daemons []*daemon
			for i, n := range []*lab.Namespace{one, two} {
				n.Addr("eth0", netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/24", i+1)))
				d := daemonIn(t, n, splitConf(tt.mode), "--dataplane", "userspace", "--addresses", "manage", "--key-file", key, "--beat", "inline")
				daemons = append(daemons, d)
			}
			a, b := daemons[0], daemons[1]
			a.start()
			a.await("the primary serves", func(st *control.Status) bool { return st.Role.AddressesHeld })
			b.start()
			b.await("the backup stands by", func(st *control.Status) bool { return st.Role.Role == "backup" })
			cut := []*lab.Namespace{two}
			if tt.both {
				cut = append(cut, one)
			}
			for _, n := range cut {
				n.Run("nft", "add table inet cut; add chain inet cut in { type filter hook input priority 0; }; add rule inet cut in "+tt.rule)
			}
			b.await("both serve", func(st *control.Status) bool { return st.Role.AddressesHeld })
			a.says("the one that is not heard", tt.unheard...)
			b.says("the one that does not hear", tt.deaf...)
			if tt.both {
				// Where one is heard and does not hear, it says so, and serves alone.
				one.Run("nft", "delete table inet cut")
				a.await("it has given way", func(st *control.Status) bool { return st.Role.Role == "backup" })
				a.says("the one that hears", "DOES NOT HEAR US", "the partner is heard and does not hear this router: what is sent on public is lost on the way, or a firewall there drops it")
			}
			two.Run("nft", "delete table inet cut")
			serves, waits := a, b
			if tt.both {
				serves, waits = b, a
			}
			for _, d := range []*daemon{waits, serves} {
				d.await("the cause is gone", func(st *control.Status) bool {
					return !strings.Contains(st.Role.Reason, "firewall") && !st.Role.Rival && st.Role.AddressesHeld == (d == serves)
				})
			}
		})
	}
}

// What is tracked and fails keeps a router from serving, and the status says
// what; the other one serves until it is back.
func TestNetnsTrackedLinks(t *testing.T) {
	for _, mode := range []string{"vrrp", "pulse"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t)
			one, two, inside := l.Namespace("one"), l.Namespace("two"), l.Namespace("inside")
			l.Veth(one, "eth0", two, "eth0")
			key := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(key, []byte("a key that both routers share\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			conf := strings.Replace(splitConf(mode), "service = lvs\n", "primary_private = 10.0.0.1\nbackup_private = 10.0.0.2\nservice = lvs\n", 1)
			fails := "monitor_links 10.0.0.1: eth1 is down"
			if mode == "vrrp" {
				conf = strings.Replace(conf, "monitor_links = 1\n", "", 1)
				conf = strings.Replace(conf, "interface = eth0\n", "interface = eth0\n\ttrack_interface = eth1\n", 1)
				fails = "track_interface eth1 (vrrp outside): eth1 is down"
			}
			var daemons []*daemon
			for i, n := range []*lab.Namespace{one, two} {
				n.Addr("eth0", netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/24", i+1)))
				l.Veth(n, "eth1", inside, fmt.Sprintf("eth%d", i+1))
				n.Addr("eth1", netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/24", i+1)))
				daemons = append(daemons, daemonIn(t, n, conf, "--dataplane", "userspace", "--addresses", "manage", "--key-file", key))
			}
			a, b := daemons[0], daemons[1]
			a.start()
			a.await("the primary serves", func(st *control.Status) bool { return st.Role.AddressesHeld })
			b.start()
			b.await("the backup stands by", func(st *control.Status) bool { return st.Role.Role == "backup" })
			one.Down("eth1")
			b.await("it serves while the other cannot", func(st *control.Status) bool { return st.Role.AddressesHeld })
			// The table comes before the addresses, so no client is refused.
			if log := b.log.String(); strings.Contains(log, "cannot make the table") {
				t.Errorf("it listens only after it has the address:\n%s", log)
			}
			a.says("the one that lacks a link", "fault (primary)", "eth1 is down", "FAILS", fails, "election", "pid ")
			one.Up("eth1")
			a.await("the fault is over", func(st *control.Status) bool { return st.Role.Role != "fault" && st.Role.Tracked[0].OK })
			// With heartbeats nothing fails back; with VRRP the higher priority takes
			// over.
			serves := map[string]*daemon{"vrrp": a, "pulse": b}[mode]
			serves.await("one serves", func(st *control.Status) bool { return st.Role.AddressesHeld })
		})
	}
}
