//go:build linux && kernel

package bench

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"testing"

	"github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/internal/lab"
	lvs "github.com/lvskit/lvskit/ipvs"
)

// peer is one way to speak with the kernel. What it does before the clock
// starts is in prepare: the table in its own terms, its socket, its family.
type peer interface {
	prepare(b testing.TB, ns *lab.Namespace, t lvs.Table)
	// add adds the prepared table to the empty one of the namespace.
	add() error
	// list reads the table and returns how many destinations it saw, or -1
	// if it did not look.
	list() (int, error)
	// weigh sets the weight of the first destination of the first service.
	weigh(weight int) error
}

// ours is a Client.
type ours struct {
	ctx     context.Context
	c       *lvs.Client
	t       lvs.Table
	changes []lvs.Change
}

func (o *ours) prepare(b testing.TB, ns *lab.Namespace, t lvs.Table) {
	c, err := lvs.Dial(b.Context(), &lvs.Config{NetNS: ns.Path()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	*o = ours{ctx: b.Context(), c: c, t: t, changes: lvs.Diff(nil, t, nil)}
}

func (o *ours) add() error { return o.c.Apply(o.ctx, o.changes) }

func (o *ours) list() (n int, err error) {
	snap, err := o.c.Snapshot(o.ctx)
	for i := range snap {
		n += len(snap[i].Destinations)
	}
	return n, err
}

func (o *ours) weigh(weight int) error {
	d := o.t[0].Destinations[0]
	d.Weight = weight
	return o.c.SetDestination(o.ctx, o.t[0].Service.Key, d)
}

// planned is ours with the way from a table to its changes, and back to
// finding that nothing is to do.
type planned struct{ ours }

func (p *planned) add() error {
	return p.c.Apply(p.ctx, lvs.Diff(nil, p.t, nil))
}

func (p *planned) list() (n int, err error) {
	snap, err := p.c.Snapshot(p.ctx)
	if err != nil {
		return 0, err
	}
	for i := range snap {
		n += len(snap[i].Destinations)
	}
	if changes := lvs.Diff(snap.Table(), p.t, nil); len(changes) > 1 { // one weight may differ
		return 0, fmt.Errorf("%d changes to do: %v", len(changes), changes[0])
	}
	return n, nil
}

// floor is the least that the kernel allows.
type floor struct {
	s        *floorSocket
	sends    [][]byte
	requests [][]byte
	set      []byte
	at       int // of the weight in set
	read     func([][]byte) (int, error)
}

func (f *floor) prepare(b testing.TB, ns *lab.Namespace, t lvs.Table) {
	s := openFloor(b, ns)
	*f = floor{s: s, sends: s.packed(t), requests: s.listings(t), read: s.read}
	f.set = message(nil, s.family, setDest, ack, func(m []byte) []byte {
		return destNest(serviceNest(m, &t[0].Service, false), &t[0].Destinations[0])
	})
	f.at = len(f.set) - 3*8 + 4 // the weight and two thresholds of 8 bytes end it
}

func (f *floor) add() error { return f.s.write(f.sends) }

func (f *floor) list() (int, error) {
	_, err := f.read(f.requests)
	return -1, err
}

func (f *floor) weigh(weight int) error {
	copy(f.set[f.at:], u32(uint32(weight)))
	return f.s.write([][]byte{f.set})
}

// floorMmsg is floor with recvmmsg.
type floorMmsg struct{ floor }

func (f *floorMmsg) prepare(b testing.TB, ns *lab.Namespace, t lvs.Table) {
	f.floor.prepare(b, ns, t)
	f.read = f.s.readMany
}

// moby is github.com/moby/ipvs.
type moby struct {
	h        *ipvs.Handle
	services []*ipvs.Service
	dests    [][]*ipvs.Destination
}

func (m *moby) prepare(b testing.TB, ns *lab.Namespace, t lvs.Table) {
	h, err := ipvs.New(ns.Path())
	if err != nil {
		b.Fatal("moby: ", err)
	}
	b.Cleanup(h.Close)
	*m = moby{h: h}
	for _, e := range t {
		k := e.Service.Key
		m.services = append(m.services, &ipvs.Service{
			Address: net.IP(k.Addr.Addr().AsSlice()), Protocol: uint16(k.Protocol), Port: k.Addr.Port(),
			SchedName: e.Service.Scheduler, Netmask: fullMask, AddressFamily: unix.AF_INET,
		})
		var ds []*ipvs.Destination
		for _, d := range slices.Backward(e.Destinations) {
			ds = append(ds, &ipvs.Destination{
				Address: net.IP(d.Key.Addr().AsSlice()), Port: d.Key.Port(), Weight: d.Weight,
				ConnectionFlags: uint32(d.Forward), AddressFamily: unix.AF_INET,
			})
		}
		m.dests = append(m.dests, ds)
	}
}

func (m *moby) add() error {
	for i, s := range m.services {
		if err := m.h.NewService(s); err != nil {
			return err
		}
		for _, d := range m.dests[i] {
			if err := m.h.NewDestination(s, d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *moby) list() (n int, err error) {
	services, err := m.h.GetServices()
	if err != nil {
		return 0, err
	}
	for _, s := range services {
		ds, err := m.h.GetDestinations(s)
		if err != nil {
			return 0, err
		}
		n += len(ds)
	}
	return n, nil
}

func (m *moby) weigh(weight int) error {
	ds := m.dests[0]
	d := *ds[len(ds)-1]
	d.Weight = weight
	return m.h.UpdateDestination(m.services[0], &d)
}

// ipvsadm is the program, started anew each time.
type ipvsadm struct {
	ns    *lab.Namespace
	rules []byte
	first []string // the first destination as arguments
}

func (a *ipvsadm) prepare(_ testing.TB, ns *lab.Namespace, t lvs.Table) {
	*a = ipvsadm{ns: ns}
	var rules bytes.Buffer
	for _, e := range t {
		vip := e.Service.Key.Addr
		fmt.Fprintf(&rules, "-A -t %v -s %s\n", vip, e.Service.Scheduler)
		for _, d := range slices.Backward(e.Destinations) {
			fmt.Fprintf(&rules, "-a -t %v -r %v -m -w %d\n", vip, d.Key, d.Weight)
		}
	}
	a.rules = rules.Bytes()
	a.first = []string{"-t", t[0].Service.Key.Addr.String(), "-r", t[0].Destinations[0].Key.String(), "-m", "-w"}
}

func (a *ipvsadm) run(in []byte, args ...string) ([]byte, error) {
	cmd := exec.Command("/sbin/ipvsadm", args...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &said
	err := a.ns.Do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil || said.Len() > 0 {
		return nil, fmt.Errorf("ipvsadm: %v: %s", err, said.Bytes())
	}
	return out.Bytes(), nil
}

func (a *ipvsadm) add() error {
	_, err := a.run(a.rules, "-R")
	return err
}

func (a *ipvsadm) list() (int, error) {
	out, err := a.run(nil, "-S", "-n")
	return bytes.Count(out, []byte("\n-a ")), err
}

func (a *ipvsadm) weigh(weight int) error {
	_, err := a.run(nil, append(append([]string{"-e"}, a.first...), fmt.Sprint(weight))...)
	return err
}
