//go:build linux && kernel

package ipvstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/lab"
	"github.com/lvskit/lvskit/ipvs"
)

// TestKernelStress lets eight goroutines change and read one table at once,
// four on a client that they share and four with one each, while ipvsadm
// changes services of its own in the same namespace. What each worker wrote last has to be there in
// the end, and what ipvsadm wrote too.
//
// Of errors only one is allowed, since it follows from the race itself: a long
// listing of a table that never rests is given up, as ErrTableChanging. A
// worker's own services are its own, so nothing it does there may fail.
func TestKernelStress(t *testing.T) {
	seed := testSeed(t)
	const workers, duration = 8, 10 * time.Second
	ns := newNamespace(t)
	shared := dialIn(t, ns)
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()

	var wg sync.WaitGroup
	ours := make([]*stressWorker, workers)
	for i := range ours {
		c := shared
		if i >= workers/2 {
			c = dialIn(t, ns)
		}
		ours[i] = newStressWorker(t, c, newGenerator(seed, uint64(i), []string{"rr", "wrr", "wlc", "sh"}), i)
		wg.Go(func() { ours[i].run(ctx) })
	}
	theirs := newForeignWorker(t, ns, newGenerator(seed, workers, []string{"rr", "wrr", "wlc", "sh"}))
	wg.Go(func() { theirs.run(ctx) })
	wg.Wait()

	end := t.Context()
	snap, err := shared.Snapshot(end)
	ok(t, err)
	have := snap.Table()
	total := map[string]int{}
	known := 0
	for _, w := range ours {
		want := normal(w.table)
		known += len(want)
		if d := diffTables(want, onlyKeys(have, w.g.keys), false); d != "" {
			t.Errorf("worker %d: what it wrote last (-want +got)\n%s", w.id, d)
		}
		for name, n := range w.stats {
			total[name] += n
		}
		if _, err := w.c.Info(end); err != nil {
			t.Errorf("worker %d: its client afterwards: %v", w.id, err)
		}
	}
	want := normal(theirs.table)
	got := onlyKeys(have, theirs.g.keys)
	if d := diffTables(want, got, true); d != "" {
		t.Errorf("what ipvsadm wrote last (-want +got)\n%s", d)
	}
	if len(have) != known+len(want) {
		t.Errorf("%d services, want %d", len(have), known+len(want))
	}
	// The same words from ipvsadm, as a reader of its own.
	if out := ns.Run("ipvsadm", "-Sn"); strings.Count(out, "-A ") != len(have) {
		t.Errorf("ipvsadm sees %d services, want %d", strings.Count(out, "-A "), len(have))
	}
	t.Logf("of us: %v; ipvsadm: %d commands, %d restores", total, theirs.commands, theirs.restores)
	for _, name := range []string{"goals", "single changes", "snapshots", "cut off"} {
		if total[name] < workers {
			t.Errorf("only %d times %q", total[name], name)
		}
	}
	if theirs.commands == 0 || theirs.restores == 0 {
		t.Error("ipvsadm did nothing")
	}
}

func onlyKeys(t ipvs.Table, keys []ipvs.ServiceKey) ipvs.Table {
	return slices.DeleteFunc(slices.Clone(t), func(e ipvs.Entry) bool { return !slices.Contains(keys, e.Service.Key) })
}

// stressWorker is the only one that changes the services of its keys.
type stressWorker struct {
	t     *testing.T
	c     *ipvs.Client
	g     *generator
	id    int
	table ipvs.Table // what has to be there
	stats map[string]int
}

func newStressWorker(t *testing.T, c *ipvs.Client, g *generator, id int) *stressWorker {
	vip := netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + id)})
	vip6 := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(1 + id)})
	g.keys = []ipvs.ServiceKey{
		ipvs.TCPService(netip.AddrPortFrom(vip, 80)), ipvs.UDPService(netip.AddrPortFrom(vip, 53)), ipvs.SCTPService(netip.AddrPortFrom(vip, 80)),
		ipvs.TCPService(netip.AddrPortFrom(vip6, 80)), ipvs.MarkService(uint32(1 + id)), ipvs.MarkService6(uint32(1 + id)),
	}
	return &stressWorker{t: t, c: c, g: g, id: id, stats: map[string]int{}}
}

func (w *stressWorker) run(ctx context.Context) {
	if w.id == 0 { // one service is listed in several parts
		e := ipvs.Entry{Service: basic(w.g.keys[0])}
		e.Destinations = table(1, 250)[0].Destinations
		w.reach(ipvs.Table{e})
	}
	for ctx.Err() == nil && !w.t.Failed() {
		time.Sleep(time.Duration(w.g.IntN(10)) * time.Millisecond) // a guest has one processor, and ipvsadm wants it too
		switch w.g.IntN(5) {
		case 0, 1:
			goal := w.g.change(w.table)
			if w.g.in(10) {
				goal = nil
			}
			w.reach(goal)
		case 2, 3:
			w.single()
		case 4:
			w.cutOff()
		}
	}
}

// read returns the part of the table that is ours, nil if it was too restless
// to read.
func (w *stressWorker) read() (ipvs.Table, bool) {
	snap, err := w.c.Snapshot(w.t.Context())
	if errors.Is(err, ipvs.ErrTableChanging) {
		w.stats["restless"]++
		return nil, false
	}
	if err != nil {
		w.t.Errorf("worker %d: snapshot: %v", w.id, err)
		return nil, false
	}
	w.stats["snapshots"]++
	have := onlyKeys(snap.Table(), w.g.keys)
	if d := diffTables(normal(w.table), have, false); d != "" {
		w.t.Errorf("worker %d: what it wrote before (-want +got)\n%s", w.id, d)
	}
	return have, true
}

func (w *stressWorker) reach(goal ipvs.Table) {
	have, ok := w.read()
	if !ok {
		return
	}
	owned := func(k ipvs.ServiceKey) bool { return slices.Contains(w.g.keys, k) }
	if err := w.c.Apply(w.t.Context(), ipvs.Diff(have, goal, owned)); err != nil {
		w.t.Errorf("worker %d: apply: %v", w.id, err)
		return
	}
	w.stats["goals"]++
	w.table = normal(goal)
}

// single makes one change by a call of its own.
func (w *stressWorker) single() {
	if len(w.table) == 0 {
		return
	}
	ctx := w.t.Context()
	e := &w.table[w.g.IntN(len(w.table))]
	key := e.Service.Key
	var err error
	if len(e.Destinations) == 0 || w.g.in(30) {
		d := w.g.destination(key, true).Normalized()
		exists := slices.ContainsFunc(e.Destinations, func(o ipvs.Destination) bool { return o.Key == d.Key })
		switch err = w.c.AddDestination(ctx, key, d); {
		case exists && errors.Is(err, ipvs.ErrDestinationExists):
			err = nil
		case exists:
			err = fmt.Errorf("added twice: %w", err)
		case err == nil:
			e.Destinations = append(e.Destinations, d)
		}
	} else {
		i := w.g.IntN(len(e.Destinations))
		d := &e.Destinations[i]
		switch w.g.IntN(3) {
		case 0:
			weight := w.g.IntN(1000)
			if err = w.c.UpdateDestination(ctx, key, d.Key, ipvs.DestinationUpdate{Weight: &weight}); err == nil {
				d.Weight = weight
			}
		case 1:
			now := *d
			now.Weight = w.g.IntN(1000)
			if err = w.c.SetDestination(ctx, key, now); err == nil {
				*d = now
			}
		case 2:
			if err = w.c.DelDestination(ctx, key, d.Key); err == nil {
				e.Destinations = slices.Delete(e.Destinations, i, i+1)
			}
		}
	}
	if err != nil {
		w.t.Errorf("worker %d: single change of %v: %v", w.id, key, err)
	}
	w.stats["single changes"]++
}

// cutOff reads with little time.
func (w *stressWorker) cutOff() {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Duration(w.g.IntN(3000))*time.Microsecond)
	defer cancel()
	_, err := w.c.Snapshot(ctx)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ipvs.ErrTableChanging) {
		w.t.Errorf("worker %d: snapshot with little time: %v", w.id, err)
	}
	w.stats["cut off"]++
}

// foreignWorker changes services of its own with ipvsadm.
type foreignWorker struct {
	t                  *testing.T
	ns                 *lab.Namespace
	g                  *generator
	table              ipvs.Table
	commands, restores int
}

func newForeignWorker(t *testing.T, ns *lab.Namespace, g *generator) *foreignWorker {
	for port := range uint16(4) {
		g.keys = append(g.keys, ipvs.TCPService(netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), 1+port)))
	}
	return &foreignWorker{t: t, ns: ns, g: g}
}

// ipvsadm runs one command in the namespace.
func (f *foreignWorker) ipvsadm(input string, args ...string) bool {
	cmd := exec.Command("/sbin/ipvsadm", args...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &said, &said
	err := f.ns.Do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil || said.Len() > 0 {
		f.t.Errorf("ipvsadm %v: %v\n%s%s", args, err, input, said.String())
		return false
	}
	f.commands++
	return true
}

func (f *foreignWorker) run(ctx context.Context) {
	at := func(n int) ipvs.Destination {
		return ipvs.Destination{Key: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 200, 0, byte(n)}), 80), Forward: ipvs.Masquerade, Weight: 1}
	}
	for ctx.Err() == nil && !f.t.Failed() {
		key := one(f.g, f.g.keys...)
		i := slices.IndexFunc(f.table, func(e ipvs.Entry) bool { return e.Service.Key == key })
		if i < 0 { // a new one, with its destinations, by one restore
			e := ipvs.Entry{Service: ipvs.Service{Key: key, Scheduler: one(f.g, f.g.schedulers...)}}
			text := fmt.Sprintf("-A -t %v -s %s\n", key.Addr, e.Service.Scheduler)
			for n := range 1 + f.g.IntN(5) {
				e.Destinations = append(e.Destinations, at(n+1))
				text += fmt.Sprintf("-a -t %v -r %v -m -w 1\n", key.Addr, at(n+1).Key)
			}
			slices.Reverse(e.Destinations)
			if f.ipvsadm(text, "-R") {
				f.restores++
				f.table = append(f.table, e)
			}
			continue
		}
		e := &f.table[i]
		vip := key.Addr.String()
		switch f.g.IntN(4) {
		case 0:
			if f.ipvsadm("", "-D", "-t", vip) {
				f.table = slices.Delete(f.table, i, i+1)
			}
		case 1:
			e.Service.Scheduler = one(f.g, f.g.schedulers...)
			f.ipvsadm("", "-E", "-t", vip, "-s", e.Service.Scheduler)
		case 2:
			d := at(1 + f.g.IntN(9))
			if slices.ContainsFunc(e.Destinations, func(o ipvs.Destination) bool { return o.Key == d.Key }) {
				e.Destinations = slices.DeleteFunc(e.Destinations, func(o ipvs.Destination) bool { return o.Key == d.Key })
				f.ipvsadm("", "-d", "-t", vip, "-r", d.Key.String())
			} else {
				e.Destinations = slices.Insert(e.Destinations, 0, d)
				f.ipvsadm("", "-a", "-t", vip, "-r", d.Key.String(), "-m", "-w", "1")
			}
		case 3:
			if len(e.Destinations) > 0 {
				d := &e.Destinations[f.g.IntN(len(e.Destinations))]
				d.Weight = f.g.IntN(100)
				f.ipvsadm("", "-e", "-t", vip, "-r", d.Key.String(), "-m", "-w", fmt.Sprint(d.Weight))
			}
		}
	}
}
