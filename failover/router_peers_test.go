//go:build linux && peers

package failover_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/failovertest"
	"github.com/lvskit/lvskit/failover/vrrp"
	"github.com/lvskit/lvskit/internal/lab"
)

// dialect is one way in which keepalived and a router of ours speak with each
// other.
type dialect struct {
	name     string
	interval time.Duration
	vips     []netip.Prefix
	// keepalived has these lines in its vrrp_instance, ours is the same.
	keepalived string
	ours       func(*failover.RouterConfig)
}

var dialects = []dialect{
	{
		name: "version 3 over IPv4", interval: 100 * time.Millisecond, vips: prefixes("192.0.2.100/24", "192.0.2.101/24"),
		keepalived: "version 3\n advert_int 0.1",
	},
	{
		// Ours begins with the form of checksum that this version of
		// keepalived refuses, and has to take its form.
		name: "version 3 over IPv4 by the other checksum", interval: 100 * time.Millisecond, vips: prefixes("192.0.2.100/32"),
		keepalived: "version 3\n advert_int 0.1",
		ours:       func(c *failover.RouterConfig) { c.Checksum = vrrp.MessageOnly },
	},
	{
		name: "version 3 over IPv6", interval: 100 * time.Millisecond, vips: prefixes("fe80::100/64", "2001:db8::100/64"),
		keepalived: "version 3\n advert_int 0.1",
	},
	{
		name: "version 3 by unicast", interval: 100 * time.Millisecond, vips: prefixes("192.0.2.100/24"),
		keepalived: "version 3\n advert_int 0.1\n unicast_src_ip 192.0.2.1\n unicast_peer {\n 192.0.2.2\n }",
		ours:       func(c *failover.RouterConfig) { c.Peers = []netip.Addr{netip.MustParseAddr("192.0.2.1")} },
	},
	{
		name: "version 3 over IPv6 by unicast", interval: 100 * time.Millisecond, vips: prefixes("fe80::100/64"),
		keepalived: "version 3\n advert_int 0.1\n unicast_src_ip 2001:db8::1\n unicast_peer {\n 2001:db8::2\n }",
		ours:       func(c *failover.RouterConfig) { c.Peers = []netip.Addr{netip.MustParseAddr("2001:db8::1")} },
	},
	{
		name: "version 2", interval: time.Second, vips: prefixes("192.0.2.100/24"),
		keepalived: "version 2\n advert_int 1",
		ours:       func(c *failover.RouterConfig) { c.Version = 2 },
	},
	{
		name: "version 2 with a password", interval: time.Second, vips: prefixes("192.0.2.100/24"),
		keepalived: "version 2\n advert_int 1\n authentication {\n auth_type PASS\n auth_pass s3cret\n }",
		ours:       func(c *failover.RouterConfig) { c.Version, c.Password = 2, "s3cret" },
	},
	{
		name: "version 3 over IPv4 from one MAC", interval: 100 * time.Millisecond, vips: prefixes("192.0.2.100/32", "192.0.2.101/32"),
		keepalived: "version 3\n advert_int 0.1\n use_vmac",
		ours:       func(c *failover.RouterConfig) { c.VirtualMAC = true },
	},
	{
		name: "version 3 over IPv6 from one MAC", interval: 100 * time.Millisecond, vips: prefixes("fe80::100/64", "2001:db8::100/128"),
		keepalived: "version 3\n advert_int 0.1\n use_vmac",
		ours:       func(c *failover.RouterConfig) { c.VirtualMAC = true },
	},
	{
		name: "version 2 from one MAC", interval: time.Second, vips: prefixes("192.0.2.100/32"),
		keepalived: "version 2\n advert_int 1\n use_vmac",
		ours:       func(c *failover.RouterConfig) { c.Version, c.VirtualMAC = 2, true },
	},
	{
		// Where the kernel of one of them can have no virtual MAC.
		name: "version 3 from the MAC of keepalived", interval: 100 * time.Millisecond, vips: prefixes("192.0.2.100/32"),
		keepalived: "version 3\n advert_int 0.1\n use_vmac",
	},
	{
		name: "version 3 from the MAC of ours", interval: 100 * time.Millisecond, vips: prefixes("192.0.2.100/32"),
		keepalived: "version 3\n advert_int 0.1",
		ours:       func(c *failover.RouterConfig) { c.VirtualMAC = true },
	},
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// keepalived is Debian's program on a host, with the priority 100.
type keepalived struct {
	t    *testing.T
	host *peer
	args []string
	cmd  *exec.Cmd
	log  lockedBuffer
}

func newKeepalived(t *testing.T, host *peer, d *dialect) *keepalived {
	t.Helper()
	return keepalivedOf(t, host, keepalivedInstance("test", eth0, 51, d.keepalived, d.vips))
}

// keepalivedInstance is an instance with the priority 100, unless the lines say
// another one.
func keepalivedInstance(name, device string, vrid int, lines string, vips []netip.Prefix) string {
	var list strings.Builder
	for _, p := range vips {
		fmt.Fprintf(&list, " %v\n", p)
	}
	return fmt.Sprintf("vrrp_instance %s {\n state BACKUP\n interface %s\n virtual_router_id %d\n priority 100\n %s\n virtual_ipaddress {\n%s }\n}\n",
		name, device, vrid, lines, list.String())
}

func keepalivedOf(t *testing.T, host *peer, text string) *keepalived {
	t.Helper()
	if _, err := exec.LookPath("keepalived"); err != nil {
		if os.Getenv(lab.NoSkipVariable) == "1" {
			t.Fatalf("%v: run internal/tools/deps.sh peers", err)
		}
		t.Skipf("%v: run internal/tools/deps.sh peers", err)
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "keepalived.conf")
	must(t, os.WriteFile(conf, []byte(text), 0o600))
	k := &keepalived{t: t, host: host, args: []string{
		"--dont-fork", "--log-console", "--log-detail", "--vrrp", "--no-syslog", "--use-file", conf,
		"--pid", filepath.Join(dir, "pid"), "--vrrp_pid", filepath.Join(dir, "vrrp.pid"), "--checkers_pid", filepath.Join(dir, "checkers.pid"),
	}}
	t.Cleanup(k.stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("keepalived of\n%s\nsays\n%s", text, k.log.String())
		}
	})
	return k
}

func (k *keepalived) start() {
	k.t.Helper()
	k.cmd = exec.Command("keepalived", k.args...)
	k.cmd.Stdout, k.cmd.Stderr = &k.log, &k.log
	must(k.t, k.host.Do(k.cmd.Start))
}

// terminate begins what stop waits for.
func (k *keepalived) terminate() { _ = k.cmd.Process.Signal(syscall.SIGTERM) } // it may be gone

func (k *keepalived) stop() {
	if k.cmd == nil {
		return
	}
	k.terminate()
	timer := time.AfterFunc(patience, func() { _ = k.cmd.Process.Kill() })
	_ = k.cmd.Wait()
	timer.Stop()
	k.cmd = nil
}

// watchOverlap returns a function that ends the watch and tells for how long
// at most both hosts had the addresses.
func watchOverlap(a, b *peer, vips []netip.Prefix) (longest func() time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan time.Duration)
	go func() {
		var since time.Time
		var most time.Duration
		for ctx.Err() == nil {
			switch now := time.Now(); {
			case !a.holds(vips) || !b.holds(vips):
				since = time.Time{}
			case since.IsZero():
				since = now
			default:
				most = max(most, now.Sub(since))
			}
			time.Sleep(2 * time.Millisecond)
		}
		done <- most
	}()
	return func() time.Duration { cancel(); return <-done }
}

// ourRouter is a router of ours on a host.
type ourRouter struct {
	*failovertest.Recorder
	router *failover.Router
	cancel func() // begins what stop waits for
	stop   func()
}

func (d *dialect) start(t *testing.T, host *peer, priority uint8) *ourRouter {
	t.Helper()
	c := failover.RouterConfig{
		VRID: 51, Device: eth0, Interval: d.interval, Priority: priority, Transport: failover.RawIP{Namespace: host.Path()},
	}
	var own []failover.VirtualAddress
	for _, p := range d.vips {
		c.Addresses = append(c.Addresses, p.Addr())
		own = append(own, failover.VirtualAddress{Prefix: p, Device: eth0})
	}
	if d.ours != nil {
		d.ours(&c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := &ourRouter{Recorder: new(failovertest.Recorder), cancel: cancel}
	c.OnEvent = o.OnEvent
	var err error
	c.Owner, err = failover.NewAddresses(&failover.AddressesConfig{Addresses: own, Namespace: host.Path()})
	must(t, err)
	o.router, err = failover.NewRouter(&c)
	must(t, err)
	ended := make(chan error, 1)
	go func() { ended <- o.router.Run(ctx) }()
	o.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(o.stop)
	return o
}

// complaints returns what keepalived logs of packets that it does not like.
// That it discards a lower priority is as it should be.
func (k *keepalived) complaints() (lines []string) {
	for line := range strings.Lines(k.log.String()) {
		if unhappy.MatchString(line) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

var unhappy = regexp.MustCompile(`(?i)\(test\).*\b(invalid|incorrect|bad|bogus|wrong|mismatch|checksum|failed|error)\b`)

// slack is what the machine, a poll and the way may add to a moment, on a
// machine that does other things.
const slack = time.Second

// contest is a host with keepalived and one for ours, on a wire.
type contest struct {
	*dialect
	t            *testing.T
	w            *wire
	theirs, mine *peer
	k            *keepalived
}

func newContest(t *testing.T, d *dialect) *contest {
	t.Helper()
	c := &contest{dialect: d, t: t, w: newWire(t)}
	c.theirs = c.w.host("theirs", "192.0.2.1/24", "2001:db8::1/64")
	c.mine = c.w.host("mine", "192.0.2.2/24", "2001:db8::2/64")
	c.k = newKeepalived(t, c.theirs, d)
	return c
}

func (c *contest) skew(priority int) time.Duration {
	return time.Duration(256-priority) * c.interval / 256
}

func (c *contest) down(priority int) time.Duration { return 3*c.interval + c.skew(priority) }

// only waits until the holder has the addresses, and it alone.
func (c *contest) only(what string, holder, other *peer, least, most time.Duration) {
	c.t.Helper()
	took := within(c.t, patience, what, func() bool { return holder.holds(c.vips) && !other.holds(c.vips) })
	c.t.Logf("%s: %v", what, took.Round(time.Millisecond))
	if took < least || took > most {
		c.t.Errorf("%s: after %v, want %v to %v", what, took, least, most)
	}
}

func (c *contest) role(o *ourRouter, want failover.Role) failover.RouterStatus {
	c.t.Helper()
	within(c.t, patience, "our role is "+want.String(), func() bool { return o.router.Status().Role == want })
	return o.router.Status()
}

// sideBySide runs subtests that mostly wait.
func sideBySide(t *testing.T, names []string, run func(*testing.T, int)) {
	t.Helper()
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { t.Run(name, func(t *testing.T) { run(t, i) }) })
	}
	all.Wait()
}

// TestPeersKeepalived lets each of the two be active and backup, take over
// from the other and be relieved by it.
func TestPeersKeepalived(t *testing.T) {
	t.Parallel()
	var names []string
	for _, d := range dialects {
		names = append(names, d.name)
	}
	sideBySide(t, names, func(t *testing.T, i int) {
		d := &dialects[i]
		c := newContest(t, d)
		end := sync.OnceValue(watchOverlap(c.theirs, c.mine, d.vips))
		t.Cleanup(func() { end() })
		stay := min(3*d.interval, time.Second)

		c.k.start()
		c.only("keepalived alone", c.theirs, c.mine, d.interval, patience)

		o := d.start(t, c.mine, 150)
		c.only("ours preempts", c.mine, c.theirs, c.down(150)-d.interval, c.down(150)+d.interval+slack)
		if st := c.role(o, failover.RoleActive); !strings.Contains(st.Reason, "the active router has a lower priority") {
			t.Errorf("reason %q", st.Reason)
		}
		time.Sleep(stay)
		c.only("ours stays active", c.mine, c.theirs, 0, slack)

		o.cancel()
		c.only("ours stops", c.theirs, c.mine, 0, c.skew(100)+slack)
		o.stop()
		if n := o.Count(failover.EventRefused) + o.Count(failover.EventMismatch); n != 0 {
			t.Errorf("refusals and mismatches: %v", o.Events())
		}

		o = d.start(t, c.mine, 50)
		st := c.role(o, failover.RoleBackup)
		if st.ActivePriority != 100 || st.Drops != nil || len(st.Peers) != 1 || len(st.Peers[0].Mismatch) != 0 || st.Peers[0].Checksum != vrrp.WithPseudoHeader {
			t.Errorf("status %+v", st)
		}
		time.Sleep(stay)
		c.only("ours stays backup", c.theirs, c.mine, 0, slack)

		c.k.terminate()
		c.only("keepalived stops", c.mine, c.theirs, 0, c.skew(50)+slack)
		if st := o.router.Status(); !strings.Contains(st.Reason, "the active router stops") {
			t.Errorf("reason %q", st.Reason)
		}
		c.k.stop()

		c.k.start()
		c.only("keepalived preempts", c.theirs, c.mine, d.interval, c.down(100)+d.interval+slack+time.Second) // and its own start
		c.role(o, failover.RoleBackup)

		if most := end(); most > d.interval+slack {
			t.Errorf("both had the addresses for %v", most)
		} else {
			t.Logf("both had the addresses for %v at most", most.Round(time.Millisecond))
		}
		if st := o.router.Status(); st.Drops != nil {
			t.Errorf("refused: %v", st.Drops)
		}
		for _, line := range c.k.complaints() {
			t.Errorf("keepalived complains: %s", line)
		}
	})
}

// TestPeersKeepalivedInTrouble has what goes wrong between the two.
func TestPeersKeepalivedInTrouble(t *testing.T) {
	t.Parallel()
	troubles := []struct {
		name string
		run  func(t *testing.T)
	}{
		{"a cut wire makes two, and its mending one", func(t *testing.T) {
			d := &dialects[0]
			c := newContest(t, d)
			c.k.start()
			c.only("keepalived alone", c.theirs, c.mine, d.interval, patience)
			o := d.start(t, c.mine, 50)
			c.role(o, failover.RoleBackup)
			time.Sleep(d.interval)
			begin := time.Now()
			c.theirs.detach()
			c.role(o, failover.RoleActive)
			if took := time.Since(begin); took < c.down(50)-d.interval || took > c.down(50)+slack {
				t.Errorf("silence found after %v, want %v less an interval at most", took, c.down(50))
			} else {
				t.Logf("silence found after %v, down interval %v", took.Round(time.Millisecond), c.down(50))
			}
			within(t, patience, "ours serves", func() bool { return c.mine.holds(d.vips) })
			end := watchOverlap(c.theirs, c.mine, d.vips)
			time.Sleep(2 * d.interval)
			c.w.sw.Attach(c.theirs.port, bridge)
			c.only("mended", c.theirs, c.mine, 0, 2*d.interval+slack)
			if both := end(); both < 2*d.interval {
				t.Errorf("the watch saw both active for %v only: it sees nothing", both)
			}
			c.role(o, failover.RoleBackup)
		}},
		{"the form of checksum is learnt from a router that refused ours", func(t *testing.T) {
			d := &dialects[1]
			c := newContest(t, d)
			o := d.start(t, c.mine, 150)
			c.only("ours alone", c.mine, c.theirs, 0, patience)
			c.k.start()
			within(t, patience, "keepalived is active as well", func() bool { return strings.Contains(c.k.log.String(), "Entering MASTER STATE") })
			c.only("ours is understood", c.mine, c.theirs, 0, d.interval+slack)
			if len(c.k.complaints()) == 0 {
				t.Error("keepalived did not refuse the form that it does not know")
			}
			time.Sleep(5 * d.interval)
			c.only("ours stays active", c.mine, c.theirs, 0, slack)
			if st := o.router.Status(); len(st.Peers) != 1 || st.Peers[0].Checksum != vrrp.WithPseudoHeader || st.Drops != nil {
				t.Errorf("status %+v", st)
			}
		}},
		{"another password makes two, and ours names the cause", func(t *testing.T) {
			c := newContest(t, &dialects[6])
			d := dialects[6]
			d.ours = func(c *failover.RouterConfig) { c.Version, c.Password = 2, "other" }
			c.k.start()
			c.only("keepalived alone", c.theirs, c.mine, 0, patience)
			o := d.start(t, c.mine, 50)
			st := c.role(o, failover.RoleActive)
			if want := "packets from 192.0.2.1 are refused (bad-password): give all routers the same password"; !strings.Contains(st.Reason, want) {
				t.Errorf("reason %q does not say %q", st.Reason, want)
			}
			within(t, patience, "keepalived refuses as well", func() bool { return len(c.k.complaints()) > 0 })
		}},
		{"other addresses are an alarm", func(t *testing.T) {
			c := newContest(t, &dialects[0])
			d := dialects[0]
			d.vips = prefixes("192.0.2.100/24", "192.0.2.102/24")
			c.k.start()
			c.only("keepalived alone", c.theirs, c.mine, 0, patience)
			o := d.start(t, c.mine, 50)
			st := c.role(o, failover.RoleBackup)
			if len(st.Peers) != 1 || len(st.Peers[0].Mismatch) != 1 || !strings.Contains(st.Peers[0].Mismatch[0], "only it [192.0.2.101], only we [192.0.2.102]") {
				t.Errorf("status %+v", st)
			}
			within(t, patience, "the alarm is told", func() bool { return o.Count(failover.EventMismatch) == 1 })
		}},
	}
	var names []string
	for _, tr := range troubles {
		names = append(names, tr.name)
	}
	sideBySide(t, names, func(t *testing.T, i int) { troubles[i].run(t) })
}
