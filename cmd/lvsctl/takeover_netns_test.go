//go:build linux && netns

package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/control"
)

// The user-space balancer takes clients as soon as the addresses are here: its
// sockets are there before them.
func TestNetnsTakeOverOfTheUserSpaceBalancer(t *testing.T) {
	for _, how := range []string{"yield", "kill"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			at := oneLink(t)
			greeter, err := at["web"].Listen("tcp", "192.0.2.50:8")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { greeter.Close() })
			go func() {
				for {
					conn, err := greeter.Accept()
					if err != nil {
						return
					}
					_, _ = io.WriteString(conn, "hello") // who does not read finds it missing
					conn.Close()
				}
			}()
			conf := "primary = 192.0.2.1\nbackup = 192.0.2.2\nbackup_active = 1\nservice = lvs\nnetwork = direct\nfailover_mode = vrrp\n" + block("udp", 51, "192.0.2.100") +
				"virtual tcp {\nactive = 1\nvrrp = udp\naddress = 192.0.2.100 eth0\nport = 8\ncheck = none\nserver a {\nactive = 1\naddress = 192.0.2.50\n}\n}\n"
			var daemons []*daemon
			for _, name := range []string{"one", "two"} {
				daemons = append(daemons, daemonIn(t, at[name], conf, "--dataplane", "userspace", "--addresses", "manage"))
			}
			one, two := daemons[0], daemons[1]
			one.start()
			one.await("the primary serves", func(st *control.Status) bool { return st.Role.AddressesHeld })
			two.start()
			two.await("the backup stands by", func(st *control.Status) bool { return st.Role.Role == "backup" })
			reach(t, at["client"], "192.0.2.100:7")
			asks := startStream(t, at["client"], "192.0.2.100:7")
			if how == "kill" {
				one.kill()
			} else if _, err := one.client.Yield(t.Context()); err != nil {
				t.Fatal(err)
			}
			two.await("the backup serves", func(st *control.Status) bool { return st.Role.AddressesHeld })
			reach(t, at["client"], "192.0.2.100:7")
			sent, lost := asks.stop(time.Second)
			t.Logf("of %d packets, one each 5 ms, %d were lost", sent, len(lost))
			conn, err := at["client"].DialContext(t.Context(), "tcp", "192.0.2.100:8")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
				t.Errorf("the answer of a TCP service is %q, %v", got, err)
			}
			for _, d := range daemons {
				if strings.Contains(d.log.String(), "cannot make the table") {
					t.Error("the sockets were not there before the addresses")
				}
			}
		})
	}
}
