//go:build linux && peers

package failover_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/lvskit/lvskit/failover"
	"github.com/lvskit/lvskit/failover/vrrp"
	"github.com/lvskit/lvskit/internal/lab"
)

// frrDaemons is where Debian has the programs of FRR.
const frrDaemons = "/usr/lib/frr/"

// frr is FRR's vrrpd with its zebra on a host, with the priority 100. It makes
// no macvlan itself, and takes the carrier away from the one that it finds
// while it is backup.
type frr struct {
	t    *testing.T
	host *peer
	six  bool
	dir  string
	cmds []*exec.Cmd
	log  lockedBuffer
}

func newFRR(t *testing.T, host *peer, d *dialect) *frr {
	t.Helper()
	if _, err := os.Stat(frrDaemons + "vrrpd"); err != nil {
		if os.Getenv(lab.NoSkipVariable) == "1" {
			t.Fatalf("%v: run internal/tools/deps.sh peers", err)
		}
		t.Skipf("%v: run internal/tools/deps.sh peers", err)
	}
	// The daemons are another user, who has to come through.
	dir, err := os.MkdirTemp("", "lvskit-frr")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // it is of no more use
	f := &frr{t: t, host: host, six: d.vips[0].Addr().Is6(), dir: dir}

	eth, err := host.Handle().LinkByName(eth0)
	must(t, err)
	device, family := failover.VirtualDevice(eth0, 51, f.six), "ip"
	if f.six {
		family = "ipv6"
	}
	must(t, host.Handle().LinkAdd(&netlink.Macvlan{Mode: netlink.MACVLAN_MODE_BRIDGE, LinkAttrs: netlink.LinkAttrs{
		Name: device, ParentIndex: eth.Attrs().Index, HardwareAddr: failover.VirtualMAC(51, f.six),
	}}))
	host.Sysctl("net.ipv6.conf."+device+".addr_gen_mode", "3") // a link-local address of its own
	host.Up(device)
	conf := fmt.Sprintf("debug vrrp\ninterface %s\n vrrp 51 version 3\n vrrp 51 priority 100\n vrrp 51 advertisement-interval %d\n",
		eth0, d.interval.Milliseconds())
	for _, p := range d.vips {
		conf += fmt.Sprintf(" vrrp 51 %s %v\n", family, p.Addr())
		host.Addr(device, p)
	}
	must(t, os.WriteFile(filepath.Join(dir, "vrrpd.conf"), []byte(conf), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "zebra.conf"), nil, 0o644))
	who, err := user.Lookup("frr")
	must(t, err)
	uid, err := strconv.Atoi(who.Uid)
	must(t, err)
	gid, err := strconv.Atoi(who.Gid)
	must(t, err)
	must(t, os.Chown(dir, uid, gid))
	t.Cleanup(f.stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("vrrpd of\n%s\nsays\n%s", conf, f.log.String())
		}
	})
	return f
}

func (f *frr) start() {
	f.t.Helper()
	socket := filepath.Join(f.dir, "zserv.api")
	for _, name := range []string{"zebra", "vrrpd"} {
		cmd := exec.Command(frrDaemons+name, "-f", filepath.Join(f.dir, name+".conf"), "-i", filepath.Join(f.dir, name+".pid"),
			"-z", socket, "--vty_socket", f.dir, "-P", "0", "-u", "frr", "-g", "frr", "--log", "stdout")
		cmd.Stdout, cmd.Stderr = &f.log, &f.log
		must(f.t, f.host.Do(cmd.Start))
		f.cmds = append(f.cmds, cmd)
		if name == "zebra" {
			within(f.t, patience, "zebra listens", func() bool {
				c, err := net.Dial("unix", socket)
				if err == nil {
					_ = c.Close()
				}
				return err == nil
			})
		}
	}
}

// terminate begins what stop waits for.
func (f *frr) terminate() {
	for _, cmd := range slices.Backward(f.cmds) {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	}
}

func (f *frr) stop() {
	f.terminate()
	for _, cmd := range f.cmds {
		timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
	}
	f.cmds = nil
}

// frrState is what vrrpd says of one family.
type frrState struct {
	Status string
	Stats  struct{ AdverTx, AdverRx, Transitions int }
}

func (f *frr) state() frrState {
	f.t.Helper()
	out, err := exec.CommandContext(f.t.Context(), "vtysh", "--vty_socket", f.dir, "-d", "vrrpd", "-c", "show vrrp json").Output()
	if err != nil {
		return frrState{Status: err.Error()}
	}
	var all []struct{ V4, V6 frrState }
	if err := json.Unmarshal(out, &all); err != nil || len(all) != 1 {
		return frrState{Status: fmt.Sprintf("%v: %s", err, out)}
	}
	if f.six {
		return all[0].V6
	}
	return all[0].V4
}

func (f *frr) is(status string) {
	f.t.Helper()
	var s frrState
	took := within(f.t, patience, "FRR becomes "+status, func() bool { s = f.state(); return s.Status == status })
	f.t.Logf("FRR is %s after %v", status, took.Round(time.Millisecond))
}

// refused reports whether vrrpd found a packet that it cannot read. That it
// discards a lower priority is as it should be.
func (f *frr) refused() bool { return strings.Contains(f.log.String(), "Datagram invalid") }

// TestPeersFRR lets ours and vrrpd each be active and backup, take over from
// the other and be relieved by it.
func TestPeersFRR(t *testing.T) {
	t.Parallel()
	const pace = 100 * time.Millisecond
	virtual := func(c *failover.RouterConfig) { c.VirtualMAC = true }
	four, six := prefixes("192.0.2.100/32", "192.0.2.101/32"), prefixes("fe80::100/64", "2001:db8::100/128")
	other := func(c *failover.RouterConfig) { c.Checksum = vrrp.MessageOnly }
	tests := []dialect{
		{name: "IPv4", interval: pace, vips: four},
		{name: "IPv4 by the other checksum", interval: pace, vips: four, ours: other},
		{name: "IPv6", interval: pace, vips: six},
		{name: "IPv4 from one MAC", interval: pace, vips: four, ours: virtual},
		{name: "IPv6 from one MAC", interval: pace, vips: six, ours: virtual},
	}
	var names []string
	for _, tt := range tests {
		names = append(names, tt.name)
	}
	sideBySide(t, names, func(t *testing.T, i int) {
		tt := &tests[i]
		w := newWire(t)
		theirs, mine := w.host("theirs", "192.0.2.1/24", "2001:db8::1/64"), w.host("mine", "192.0.2.2/24", "2001:db8::2/64")
		c := &contest{dialect: tt, t: t, w: w, theirs: theirs, mine: mine}
		f := newFRR(t, theirs, tt)
		f.start()
		f.is("Master")

		o := tt.start(t, mine, 150)
		begin := time.Now()
		if st := c.role(o, failover.RoleActive); !strings.Contains(st.Reason, "the active router has a lower priority") {
			t.Errorf("reason %q", st.Reason)
		}
		if took := time.Since(begin); took < c.down(150)-pace || took > c.down(150)+pace+slack {
			t.Errorf("ours preempts after %v, want %v", took, c.down(150))
		}
		within(t, patience, "ours serves", func() bool { return o.router.Status().Serving && mine.holds(tt.vips) })
		f.is("Backup")
		heard, sent := f.state(), o.router.Status().Sent
		time.Sleep(5 * pace)
		now := f.state()
		if rx, tx := now.Stats.AdverRx-heard.Stats.AdverRx, o.router.Status().Sent-sent; rx < 2 || tx < 2 || now.Status != "Backup" || now.Stats.Transitions != heard.Stats.Transitions {
			t.Errorf("FRR heard %d of %d and is %+v, was %+v", rx, tx, now, heard)
		}

		o.cancel()
		f.is("Master")
		o.stop()
		if n := o.Count(failover.EventRefused) + o.Count(failover.EventMismatch) + o.Count(failover.EventAddressTrouble); n != 0 {
			t.Errorf("events: %v", o.Events())
		}

		o = tt.start(t, mine, 50)
		st := c.role(o, failover.RoleBackup)
		if st.ActivePriority != 100 || st.Drops != nil || len(st.Peers) != 1 || len(st.Peers[0].Mismatch) != 0 || st.Peers[0].Checksum != vrrp.WithPseudoHeader {
			t.Errorf("status %+v", st)
		}
		time.Sleep(5 * pace)
		if got := o.router.Status().Role; got != failover.RoleBackup || mine.holds(tt.vips) {
			t.Errorf("ours is %v beside a better one", got)
		}

		f.terminate()
		begin = time.Now()
		c.role(o, failover.RoleActive)
		t.Logf("FRR stops: %v, %q", time.Since(begin).Round(time.Millisecond), o.router.Status().Reason)
		f.stop()

		f.start()
		f.is("Master")
		c.role(o, failover.RoleBackup)
		within(t, patience, "ours lets go", func() bool { return !mine.holds(tt.vips) })
		if st := o.router.Status(); st.Drops != nil {
			t.Errorf("refused: %v", st.Drops)
		}
		if f.refused() {
			t.Error("FRR refused some")
		}
	})
}

// TestPeersFRRTeachesTheChecksum has FRR refuse the form that it does not know,
// so that two are active until ours has heard it.
func TestPeersFRRTeachesTheChecksum(t *testing.T) {
	t.Parallel()
	d := &dialect{
		interval: 100 * time.Millisecond, vips: prefixes("192.0.2.100/32"),
		ours: func(c *failover.RouterConfig) { c.Checksum = vrrp.MessageOnly },
	}
	w := newWire(t)
	theirs, mine := w.host("theirs", "192.0.2.1/24"), w.host("mine", "192.0.2.2/24")
	c := &contest{dialect: d, t: t, w: w, theirs: theirs, mine: mine}
	f := newFRR(t, theirs, d)
	o := d.start(t, mine, 150)
	c.role(o, failover.RoleActive)
	f.start()
	within(t, patience, "FRR refuses ours", f.refused)
	within(t, patience, "both are active", func() bool { return o.Count(failover.EventRivalSeen) > 0 })
	f.is("Backup")
	if st := c.role(o, failover.RoleActive); len(st.Peers) != 1 || st.Peers[0].Checksum != vrrp.WithPseudoHeader || st.Drops != nil {
		t.Errorf("status %+v", st)
	}
}
