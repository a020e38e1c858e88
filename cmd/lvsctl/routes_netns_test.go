//go:build linux && netns

package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/internal/lab"
)

// Routes are where the addresses are: on the active router alone. They change at
// a reload, which leaves the roles as they are, and go when the order to yield
// has moved the addresses.
func TestNetnsRoutesOfTheFileMove(t *testing.T) {
	const service = "virtual web {\nactive = 1\naddress = 192.0.2.100 eth0\nvip_nmask = 255.255.255.0\nprotocol = udp\nport = 7\ncheck = none\nserver a {\nactive = 1\naddress = 192.0.2.50\n}\n}\n"
	const pair = "primary = 192.0.2.1\nbackup = 192.0.2.2\nbackup_active = 1\nservice = lvs\nnetwork = direct\n"
	for name, conf := range map[string]string{
		"vrrp":      pair + "failover_mode = vrrp\nvrrp one {\ninterface = eth0\nvrid = 51\npriority = 150\nbackup_priority = 100\nadvert_interval = 250ms\n%s}\n" + service,
		"heartbeat": pair + "keepalive = 1\ndeadtime = 3\n%s" + service,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const first, second = "198.51.100.0/24 via 192.0.2.254", "203.0.113.0/24 via 192.0.2.254 dev eth0 metric 5"
			with := func(routes ...string) string {
				lines := ""
				for _, r := range routes {
					lines += "route = \"" + r + "\"\n"
				}
				return fmt.Sprintf(conf, lines)
			}
			l := lab.New(t)
			one, two := l.Namespace("one"), l.Namespace("two")
			l.Veth(one, "eth0", two, "eth0")
			one.Addr("eth0", netip.MustParsePrefix("192.0.2.1/24"))
			two.Addr("eth0", netip.MustParsePrefix("192.0.2.2/24"))
			key := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(key, []byte("a key that both routers share\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			var daemons []*daemon
			for _, at := range []*lab.Namespace{one, two} {
				daemons = append(daemons, daemonIn(t, at, with(first), "--dataplane", "userspace", "--addresses", "manage", "--key-file", key))
			}
			// want waits until the routes of ours are these: who gives way lets go a
			// moment after the other one serves.
			want := func(what string, at *lab.Namespace, prefixes ...string) {
				t.Helper()
				for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
					text := at.Run("ip", "-4", "route", "show", "proto", "112")
					ok := strings.Count(text, "\n") == len(prefixes)
					for _, p := range prefixes {
						ok = ok && strings.Contains(text, p+" via 192.0.2.254")
					}
					if ok {
						return
					}
					if time.Since(began) > 30*time.Second {
						t.Fatalf("%s: want the routes to %v, and there are\n%s", what, prefixes, text)
					}
				}
			}
			const near, far = "198.51.100.0/24", "203.0.113.0/24"
			active := func(st *control.Status) bool { return st.Role.Role == "active" && st.Role.AddressesHeld }
			backup := func(st *control.Status) bool { return st.Role.Role == "backup" && !st.Role.AddressesHeld }
			daemons[0].start()
			serves := daemons[0].await("the primary serves", active)
			want("the active one", one, near)
			daemons[1].start()
			stands := daemons[1].await("the backup stands by", backup)
			want("the backup", two)
			daemons[0].says("the route", first)

			for _, d := range daemons {
				d.write(with(second, first))
				d.signal(syscall.SIGHUP)
			}
			want("one more at a reload", one, near, far)
			for _, d := range daemons {
				d.write(with(second))
				d.signal(syscall.SIGHUP)
			}
			want("one less at a reload", one, far)
			daemons[1].await("it knows the new one", func(st *control.Status) bool {
				routes := st.Role.Routes
				if len(st.Role.Routers) > 0 {
					routes = st.Role.Routers[0].Routes
				}
				return len(routes) == 1 && routes[0] == second
			})
			want("the backup after reloads", two)
			for i, before := range []*control.Status{serves, stands} {
				if now := daemons[i].status().Role; !now.Since.Equal(before.Role.Since) {
					t.Errorf("the role changed at a reload of routes: %+v", now)
				}
			}

			if _, err := daemons[0].client.Yield(t.Context()); err != nil {
				t.Fatal(err)
			}
			daemons[1].await("the backup serves", active)
			want("the new active one", two, far)
			daemons[0].await("the primary has let go", backup)
			want("who has yielded", one)
		})
	}
}
