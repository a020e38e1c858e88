//go:build linux && kernel

package ipvs

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

func TestKernelProbeFeatures(t *testing.T) {
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ProbeFeatures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", f)
	if after, _ := os.Readlink("/proc/self/ns/net"); after != before {
		t.Errorf("the process moved from %s to %s", before, after)
	}
	guest := os.Getenv("LVSKIT_GUEST")
	want := Features{
		Schedulers: schedulerNames, Engines: engineNames,
		IPv6: true, MixedFamilies: true, Stats64: true, TunnelTypes: true, TunnelFlags: true, SyncOptions: true,
		Overhead: NewerOverhead,
	}
	if guest == "debian" { // built without twos
		want.Schedulers = schedulerNames[:len(schedulerNames)-1]
		want.Overhead = OlderOverhead
	}
	if !slices.Equal(f.Schedulers, want.Schedulers) || !slices.Equal(f.Engines, want.Engines) {
		t.Errorf("on %s schedulers %v, engines %v; want %v, %v", guest, f.Schedulers, f.Engines, want.Schedulers, want.Engines)
	}
	f.Schedulers, f.Engines, want.Schedulers, want.Engines = nil, nil, nil, nil
	if got, want := fmt.Sprintf("%+v", f), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("on %s\n got %s\nwant %s", guest, got, want)
	}
	// Nothing of it is left in the caller's table.
	c, err := Dial(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if snap, err := c.Snapshot(t.Context()); err != nil || len(snap) != 0 {
		t.Errorf("the caller's table has %v, %v", snap, err)
	}
}
