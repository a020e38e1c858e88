//go:build linux && kernel

package ipvsadm

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

const program = "/sbin/ipvsadm"

// taken tells whether the real program takes it.
func (v verdict) taken() bool { return v.mark == '+' || v.mark == '~' || v.mark == '<' }

// bench is a namespace in which the real program runs, and a client on it.
type bench struct {
	t      *testing.T
	ns     *lab.Namespace
	client *ipvs.Client
}

func newBench(t *testing.T) *bench {
	t.Helper()
	ns := lab.New(t).Namespace("ipvsadm")
	client, err := ipvs.Dial(t.Context(), &ipvs.Config{NetNS: ns.Path()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return &bench{t, ns, client}
}

// run runs the real program with an input and returns what it wrote and
// whether it was content.
func (b *bench) run(input string, args ...string) (out string, content bool) {
	b.t.Helper()
	cmd := exec.Command(program, args...)
	var all strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &all, &all
	err := b.ns.Do(cmd.Run)
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		b.t.Fatalf("%v: %v", cmd.Args, err)
	}
	return all.String(), err == nil
}

// must runs the real program, which has to be content.
func (b *bench) must(input string, args ...string) string {
	b.t.Helper()
	out, content := b.run(input, args...)
	if !content {
		b.t.Fatalf("ipvsadm %q: %s", args, out)
	}
	return out
}

// table returns what is in the kernel.
func (b *bench) table() ipvs.Table {
	b.t.Helper()
	snap, err := b.client.Snapshot(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return normalized(snap.Table())
}

// apply makes the kernel's table that of t.
func (b *bench) apply(t ipvs.Table) {
	b.t.Helper()
	// Not by difference: the real program makes services that no key names.
	err := b.client.DeleteEverything(b.t.Context())
	if err == nil {
		err = b.client.Apply(b.t.Context(), ipvs.Diff(nil, t, nil))
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// normalized returns the table with its services in order and everything in
// the form that compares.
func normalized(t ipvs.Table) ipvs.Table {
	out := make(ipvs.Table, len(t))
	for i, e := range t {
		out[i].Service = e.Service.Normalized()
		out[i].Destinations = make([]ipvs.Destination, len(e.Destinations))
		for j, d := range e.Destinations {
			out[i].Destinations[j] = d.Normalized()
		}
	}
	slices.SortFunc(out, func(a, b ipvs.Entry) int { return a.Service.Key.Compare(b.Service.Key) })
	return out
}

// daemons starts or stops both sync daemons.
func (b *bench) daemons(running bool) {
	b.t.Helper()
	for _, role := range []string{"master", "backup"} {
		b.run("", "--stop-daemon", role)
		if running {
			b.must("", "--start-daemon", role, "--mcast-interface", "lo")
		}
	}
}

// TestKernelVerdicts asks the real program about each line of
// testdata/verdicts.txt, and compares what it leaves in the kernel.
func TestKernelVerdicts(t *testing.T) {
	b := newBench(t)
	start, err := Parse(t.Context(), baseline, Options{})
	if err != nil {
		t.Fatal(err)
	}
	before, err := Table(start)
	if err != nil {
		t.Fatal(err)
	}
	changed := true
	for _, v := range sample(verdicts(t)) {
		line := strings.Join(v.args, " ")
		if changed {
			b.apply(before)
		}
		if strings.Contains(line, "-daemon") {
			b.daemons(strings.Contains(line, "--stop-daemon"))
		}
		out, content := b.run("", v.args...)
		changed = content
		if content != v.taken() {
			t.Errorf("%v: the real program answers %v %q, want %q", v, content, out, v.mark)
		}
		if v.mark != '+' && v.mark != '~' {
			continue
		}
		_, want, err := outcome(t, v.args)
		if err != nil {
			continue // TestVerdicts reports it
		}
		diff := cmp.Diff(normalized(want), b.table(), equate)
		if (diff == "") != (v.mark == '+') {
			t.Errorf("%v: marked %q, and the outcome differs so (-ours +real):\n%s", v, v.mark, diff)
		}
		b.checkSettings(v)
		b.daemons(false)
	}
}

// checkSettings compares the timeouts and daemons that a command line has
// set with those that it says.
func (b *bench) checkSettings(v verdict) {
	b.t.Helper()
	c, _, err := outcome(b.t, v.args)
	if err != nil {
		return
	}
	if want := c.Timeouts; want != nil {
		got, err := b.client.Timeouts(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		for _, p := range [][2]time.Duration{{want.TCP, got.TCP}, {want.TCPFin, got.TCPFin}, {want.UDP, got.UDP}} {
			if p[0] != 0 && p[0] != p[1] {
				b.t.Errorf("%v: timeouts %v, we read %v", v, got, *want)
			}
		}
	}
	if c.Daemon == nil {
		return
	}
	running, err := b.client.SyncDaemons(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	i := slices.IndexFunc(running, func(d ipvs.SyncDaemon) bool { return d.Role == c.Daemon.Role })
	if c.Verb == StopDaemon {
		if i >= 0 {
			b.t.Errorf("%v: still running: %+v", v, running[i])
		}
		return
	}
	if i < 0 {
		b.t.Errorf("%v: not running", v)
		return
	}
	// What was not said is the kernel's choice.
	got, want := running[i], *c.Daemon
	if want.MaxLength == 0 || want.MaxLength == 1 || want.MaxLength == 9 {
		want.MaxLength = got.MaxLength // the kernel raises it
	}
	if !want.Group.IsValid() {
		want.Group = netip.AddrFrom4([4]byte{224, 0, 0, 81})
	}
	if want.Port == 0 {
		want.Port = 8848
	}
	if want.TTL == 0 {
		want.TTL = 1
	}
	if got != want {
		b.t.Errorf("%v: running %+v, we read %+v", v, got, want)
	}
}

// TestKernelMatrix asks the real program which option goes with which
// command, and which listings exclude each other.
// sample is all of a list on the kernel that starts programs fastest, and a
// part of it on the others: it is the program that is examined here.
func sample[T any](all []T) []T {
	if os.Getenv("LVSKIT_GUEST") == "own" {
		return all
	}
	var some []T
	for i := 0; i < len(all); i += 25 {
		some = append(some, all[i])
	}
	return some
}

func TestKernelMatrix(t *testing.T) {
	b := newBench(t)
	values := map[optionID]string{
		optService: "10.0.0.3:80", optScheduler: "rr", optSchedFlags: "flag-1", optPersistent: "9", optNetmask: "255.255.255.0",
		optEngine: "sip", optServer: "10.0.1.9", optWeight: "1", optUpper: "1", optLower: "0", optTunType: "ipip", optTunPort: "7",
		optSyncID: "1", optSyncMaxLen: "9", optMcastInterface: "lo", optMcastGroup: "224.0.0.81", optMcastPort: "7", optMcastTTL: "2",
	}
	commands := []string{
		"-A -t 10.0.0.2:80", "-E -t 10.0.0.1:80", "-D -t 10.0.0.1:80", "-C", "-a -t 10.0.0.1:80 -r 10.0.1.2",
		"-e -t 10.0.0.1:80 -r 10.0.1.1", "-d -t 10.0.0.1:80 -r 10.0.1.1", "-L", "-Z", "-S", "-R", "--set 1 2 3",
		"--start-daemon master --mcast-interface lo", "--stop-daemon master",
	}
	var lines [][]string
	for _, c := range commands {
		for i := range options {
			o := &options[i]
			if o.verb != 0 {
				continue
			}
			line := append(strings.Fields(c), "--"+o.long)
			switch v := values[o.id]; {
			case o.long == "fwmark-service":
				line = append(line, "7")
			case o.arg != none:
				line = append(line, v)
			}
			lines = append(lines, line)
		}
	}
	for i := range options {
		for j := range options {
			if a, b := &options[i], &options[j]; a.verb == 0 && b.verb == 0 && a.arg == none && b.arg == none && a.with.has(List) && b.with.has(List) {
				lines = append(lines, []string{"-L", "--" + a.long, "--" + b.long})
			}
		}
	}
	start, err := Parse(t.Context(), baseline, Options{})
	if err != nil {
		t.Fatal(err)
	}
	before, err := Table(start)
	if err != nil {
		t.Fatal(err)
	}
	lines = sample(lines)
	both, changed := 0, true
	for _, line := range lines {
		if changed {
			b.apply(before)
		}
		if all := fmt.Sprint(line); strings.Contains(all, "-daemon ") {
			b.daemons(strings.Contains(all, "--stop-daemon"))
		}
		out, content := b.run("", line...)
		changed = content
		_, _, err := outcome(t, line)
		if content != (err == nil) {
			t.Errorf("ipvsadm %q: the real program answers %v %q, we %v", line, content, out, err)
		} else if content {
			both++
		}
	}
	b.daemons(false)
	t.Logf("%d command lines, %d of them taken", len(lines), both)
	if both*8 < len(lines) || (len(lines)-both)*8 < 3*len(lines) {
		t.Errorf("%d of %d command lines were taken: these do not test much", both, len(lines))
	}
}
