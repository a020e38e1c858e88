//go:build linux && kernel

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

// vrrpConf is natConf with a router of VRRP on both sides, which move together,
// and connections that are copied. Both directors have it.
func vrrpConf(c *lab.Cluster) string {
	block := func(name, device string, vrid int) string {
		return fmt.Sprintf("vrrp %s {\n     interface = %s\n     vrid = %d\n     priority = 150\n     backup_priority = 100\n     advert_interval = 100ms\n     sync_group = both\n}\n",
			name, device, vrid)
	}
	return strings.Replace(natConf(c), "service = lvs\n", fmt.Sprintf(`backup = %s
backup_active = 1
failover_mode = vrrp
syncdaemon = 1
syncd_iface = %s
syncd_id = 7
service = lvs
`, c.Directors[1].Public, lab.PrivateLink), 1) + block("outside", lab.PublicLink, 51) + block("inside", lab.PrivateLink, 52)
}

// line is a connection through the VIP that says what server answers on it.
type line struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// startLine serves such connections.
func startLine(t *testing.T, at *lab.Namespace, name, addr string) {
	t.Helper()
	l, err := at.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewScanner(c); in.Scan(); {
					fmt.Fprintf(c, "HTTP %s %s\n", name, in.Text())
				}
			}()
		}
	}()
}

// ask has the server answer once more.
func (l *line) ask(what string) string {
	l.t.Helper()
	l.conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintln(l.conn, what)
	answer, err := l.in.ReadString('\n')
	if err != nil {
		l.t.Fatalf("%s: the connection is lost: %v", what, err)
	}
	return strings.TrimSuffix(strings.TrimSpace(answer), " "+what)
}

// syncRoles are the sync daemons of a director.
func syncRoles(t *testing.T, at *lab.Namespace) string {
	t.Helper()
	k, err := ipvs.Dial(t.Context(), &ipvs.Config{NetNS: at.Path()})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	list, err := k.SyncDaemons(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range list {
		out = append(out, fmt.Sprintf("%v %s %d", d.Role, d.Interface, d.SyncID))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// Two directors elect by VRRP on both sides of NAT. By order, by priority and by
// kill -9 the service moves, with connections that go on, and a reload moves
// nothing.
func TestKernelVRRPPair(t *testing.T) {
	c := lab.NewCluster(t)
	for i, s := range c.Servers {
		startLine(t, s.Namespace, fmt.Sprintf("web%d", i+1), fmt.Sprintf("%s:8080", s.Private))
	}
	first, second := c.Directors[0], c.Directors[1]
	conf := vrrpConf(c)
	if lab.Emulated() {
		// A machine that stands still for seconds now and then.
		conf = strings.ReplaceAll(conf, "advert_interval = 100ms", "advert_interval = 1\n     down_adverts = 5")
	}
	one := daemonIn(t, first.Namespace, conf, "--dataplane", "kernel")
	two := daemonIn(t, second.Namespace, conf, "--dataplane", "kernel")
	one.start()
	one.await("the primary serves", func(st *control.Status) bool { return serving(3)(st) && st.Role.AddressesHeld })
	two.start()
	st := two.await("the backup stands by", func(st *control.Status) bool { return st.Role.Role == "backup" && len(st.Role.Routers) == 2 })
	if r := st.Role.Routers[0]; st.Role.Identity != "backup" || r.Priority != 100 || r.Active != first.Public.String() || r.ActivePriority != 150 || len(r.Peers) != 1 || len(r.Peers[0].Mismatch) != 0 {
		t.Errorf("the backup's status: %+v", st.Role)
	}

	vip, gateway := c.VIPs.Public.String(), c.VIPs.Private.String()
	conn, err := c.Client.DialContext(t.Context(), "tcp", vip+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	l := &line{t: t, conn: conn, in: bufio.NewReader(conn)}
	server := l.ask("at first")
	for i := range 5 {
		l.ask(fmt.Sprint("once more ", i))
	}
	// The copy is there before anything moves.
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		copied := false
		for row, err := range connectionRows(second.Path()) {
			copied = copied || err == nil && row.Client.Addr().String() == conn.LocalAddr().(*net.TCPAddr).IP.String() && row.Virtual.Addr() == c.VIPs.Public
		}
		if copied {
			break
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("the connection is not copied: sync daemons %s and %s\n%s", syncRoles(t, first.Namespace), syncRoles(t, second.Namespace), second.Run("cat", "/proc/net/ip_vs_conn"))
		}
	}
	// moved holds that all is with one director, and the connection too.
	moved := func(what string, to, from *daemon, at, not *lab.Namespace) {
		t.Helper()
		to.await(what+": all is here", func(st *control.Status) bool {
			return serving(3)(st) && st.Role.AddressesHeld && len(st.Role.SyncDaemons) == 1
		})
		for began := time.Now(); holds(t, not, vip) || holds(t, not, gateway); time.Sleep(10 * time.Millisecond) {
			if time.Since(began) > 20*time.Second {
				t.Fatalf("%s: the addresses are on both", what)
			}
		}
		if !holds(t, at, vip) || !holds(t, at, gateway) {
			t.Errorf("%s: the addresses are not here", what)
		}
		if got := l.ask(what); got != server {
			t.Errorf("%s: the connection goes on with %q instead of %q", what, got, server)
		}
		if from == nil {
			return
		}
		from.await(what+": the sync daemon is exchanged", func(st *control.Status) bool {
			return slices.Equal(st.Role.SyncDaemons, []string{"backup on priv, id 7"})
		})
		if a, b := syncRoles(t, at), syncRoles(t, not); a != "master priv 7" || b != "backup priv 7" {
			t.Errorf("%s: sync daemons %q here and %q there", what, a, b)
		}
	}

	code, out := yield(t, one)
	if code != exitDone || !strings.Contains(out, second.Public.String()+" is active; this router is backup") {
		t.Fatalf("yield: code %d, %s", code, out)
	}
	moved("by order", two, one, second.Namespace, first.Namespace)
	if code, out := yield(t, one); code != exitFailed || !strings.Contains(out, "not active") {
		t.Errorf("yield on the backup: code %d, %s", code, out)
	}
	if lab.Emulated() {
		return // the rest takes minutes there
	}
	var reclaimed bytes.Buffer
	if code := run(t.Context(), []string{"lvsctl", "yield", "--reclaim", "--socket", filepath.Join(one.dir, "sock")}, &reclaimed, &reclaimed); code != exitDone {
		t.Fatalf("reclaim: code %d, %s", code, &reclaimed)
	}
	moved("taken again", one, two, first.Namespace, second.Namespace)

	// A reload: a new address and other priorities, and no role changes.
	since := one.status().Role.Routers[0].Since
	changed := strings.ReplaceAll(strings.ReplaceAll(conf, "backup_priority = 100", "backup_priority = 120"), " = 150", " = 180")
	changed = strings.Replace(changed, "vrid = 51\n", "vrid = 51\n     address = 10.1.0.77/24 pub\n", 1)
	for _, d := range []*daemon{one, two} {
		d.write(changed)
		d.signal(syscall.SIGHUP)
	}
	for _, d := range []*daemon{one, two} {
		st := d.await("it has the new file", func(st *control.Status) bool {
			r := st.Role.Routers[0]
			return len(r.Addresses) == 2 && len(r.Peers) == 1 && (d == one || r.ActivePriority == 180)
		})
		if st.Config.ReloadError != "" {
			t.Errorf("the reload was refused: %s", st.Config.ReloadError)
		}
	}
	if r := one.status().Role.Routers[0]; r.Role != "active" || !r.Since.Equal(since) || r.Priority != 180 || !holds(t, first.Namespace, "10.1.0.77") {
		t.Errorf("after the reload: %+v", r)
	}
	l.ask("after the reload")

	// The daemon that serves is killed, and later comes back.
	one.kill()
	began := time.Now()
	l.ask("while it is dead")
	t.Logf("kill -9: the connection went on after %v", time.Since(began).Round(time.Millisecond))
	two.await("the backup serves", func(st *control.Status) bool { return serving(3)(st) && st.Role.AddressesHeld })
	for began := time.Now(); holds(t, first.Namespace, vip) || holds(t, first.Namespace, gateway); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("what the killed daemon had is there still: nobody gave it back")
		}
	}
	one.start()
	moved("after kill -9 and a start", one, two, first.Namespace, second.Namespace)

	if err := one.stop(); err != nil {
		t.Errorf("the serving daemon ended with %v", err)
	}
	moved("left in order", two, nil, second.Namespace, first.Namespace)
	if got := syncRoles(t, first.Namespace); got != "backup priv 7" {
		t.Errorf("after a clean end there is the sync daemon %q, want it to stand by", got)
	}
	if _, err := os.Stat(filepath.Join(one.dir, "sock")); err == nil {
		t.Error("the socket is left behind")
	}
}
