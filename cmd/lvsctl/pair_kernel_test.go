//go:build linux && kernel

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/internal/lab"
)

// holds tells whether a namespace has an address.
func holds(t *testing.T, at *lab.Namespace, addr string) bool {
	t.Helper()
	addrs, err := at.Handle().AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if a.IP.String() == addr {
			return true
		}
	}
	return false
}

// keepAsking asks through the VIP until answers come again, and returns how
// long that took.
func keepAsking(t *testing.T, client *http.Client, vip string) time.Duration {
	t.Helper()
	began := time.Now()
	for time.Since(began) < 60*time.Second {
		resp, err := client.Get("http://" + vip + "/")
		if err == nil {
			resp.Body.Close()
			return time.Since(began)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("no answer through the VIP within a minute")
	return 0
}

// yield orders a daemon to hand over, as an operator does.
func yield(t *testing.T, d *daemon) (code int, output string) {
	t.Helper()
	var out bytes.Buffer
	code = run(t.Context(), []string{"lvsctl", "yield", "--socket", filepath.Join(d.dir, "sock")}, &out, &out)
	return code, out.String()
}

// Two routers of an lvs.cf with both heartbeat paths: the second takes the
// addresses, the table and the neighbours over when the first is cut off, and
// keeps them when it returns.
func TestKernelPairTakesOver(t *testing.T) {
	c := lab.NewCluster(t)
	for i, s := range c.Servers {
		startWeb(t, s.Namespace, fmt.Sprintf("web%d", i+1), fmt.Sprintf("%s:8080", s.Private))
	}
	first, second := c.Directors[0], c.Directors[1]
	conf := strings.Replace(natConf(c), "service = lvs\n", fmt.Sprintf(`primary_private = %s
backup = %s
backup_private = %s
backup_active = 1
heartbeat = 1
heartbeat_port = 539
keepalive = 1
deadtime = 3
service = lvs
`, first.Private, second.Public, second.Private), 1)

	key := filepath.Join(t.TempDir(), "heartbeat.key")
	if err := os.WriteFile(key, []byte("a key that both routers share\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	one := daemonIn(t, first.Namespace, conf, "--dataplane", "kernel", "--key-file", key)
	two := daemonIn(t, second.Namespace, conf, "--dataplane", "kernel", "--key-file", key)
	one.start()
	two.start()
	one.await("the primary serves", serving(3))
	one.await("the addresses are up", func(st *control.Status) bool { return st.Role.AddressesHeld })
	st := two.await("the backup stands by and hears both paths", func(st *control.Status) bool {
		return st.Role.Role == "backup" && len(st.Role.Channels) == 2 && st.Role.Channels[0].Up && st.Role.Channels[1].Up
	})
	if st.Role.Identity != "backup" {
		t.Errorf("the second router takes itself for %s", st.Role.Identity)
	}

	vip, gateway := c.VIPs.Public.String(), c.VIPs.Private.String()
	client := clientIn(c.Client)
	client.Timeout = time.Second
	if got := fetch(t, client, vip, 6); got["web1"] != 2 {
		t.Errorf("through the primary: %v", got)
	}
	if holds(t, second.Namespace, vip) {
		t.Error("the backup has the VIP too")
	}

	// Both cables of the primary: for the others it is dead, for itself the
	// partner is.
	first.Down(lab.PublicLink)
	first.Down(lab.PrivateLink)
	took := keepAsking(t, client, vip)
	two.await("the backup serves", serving(3))
	if !holds(t, second.Namespace, vip) || !holds(t, second.Namespace, gateway) {
		t.Error("the backup serves without the VIP or the gateway of the servers")
	}
	// Not exactly 2 each: a connection that a client gave up on during the
	// change took its turn too.
	if got := fetch(t, client, vip, 9); len(got) != 3 {
		t.Errorf("through the backup: %v", got)
	}
	t.Logf("cut off: answers came again after %v (deadtime 3 s)", took.Round(time.Millisecond))

	// When the cables are back both were active. Only one may stay so, with
	// the addresses and the neighbours on its side.
	first.Up(lab.PublicLink)
	first.Up(lab.PrivateLink)
	// The kernel dropped the routes over a link that went down.
	first.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.1.0.1"))
	deadline := time.Now().Add(30 * time.Second)
	for {
		a, b := one.status(), two.status()
		if (a.Role.Role == "active") != (b.Role.Role == "active") && !a.Role.Rival && !b.Role.Rival &&
			holds(t, first.Namespace, vip) != holds(t, second.Namespace, vip) {
			t.Logf("after the cables are back: primary %s (%s), backup %s (%s)", a.Role.Role, a.Role.Reason, b.Role.Role, b.Role.Reason)
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("30 s after the cables are back: primary %+v, backup %+v", a.Role, b.Role)
		}
		time.Sleep(100 * time.Millisecond)
	}
	serves, waits := one, two
	if two.status().Role.Role == "active" {
		serves, waits = two, one
	}
	keepAsking(t, client, vip)
	// A check may have met the cut.
	serves.await("all servers are back", serving(3))
	if got := fetch(t, client, vip, 9); len(got) != 3 {
		t.Errorf("after the cables are back: %v", got)
	}

	// Whoever serves leaves in good order, and the other takes over at once.
	// By order, and back again; the one that does not serve refuses.
	for range 2 {
		if code, out := yield(t, waits); code != exitFailed || !strings.Contains(out, "not active") {
			t.Errorf("yield on the backup: code %d, %s", code, out)
		}
		// Until its next heartbeat the one that has just yielded does so still.
		code, out := yield(t, serves)
		for began := time.Now(); strings.Contains(out, "no partner that is able") && time.Since(began) < 10*time.Second; {
			time.Sleep(50 * time.Millisecond)
			code, out = yield(t, serves)
		}
		if code != exitDone || !strings.Contains(out, "the partner is active") {
			t.Fatalf("yield: code %d, %s", code, out)
		}
		took = keepAsking(t, client, vip)
		t.Logf("handed over by order: answers came again after %v", took.Round(time.Millisecond))
		serves, waits = waits, serves
		serves.await("the partner serves after the order", serving(3))
	}

	if err := serves.stop(); err != nil {
		t.Errorf("the serving daemon ended with %v", err)
	}
	took = keepAsking(t, client, vip)
	waits.await("the other serves", serving(3))
	t.Logf("left in order: answers came again after %v", took.Round(time.Millisecond))
}
