package main

import (
	"testing"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/ipvs"
)

func TestAmount(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0", 9_999: "9999", 10_000: "10k", 12_345: "12.3k", 999_499: "999k", 999_500: "1M", 999_999: "1M",
		123_456_789: "123M", 1<<64 - 1: "18.4E",
	} {
		if got := amount(n); got != want {
			t.Errorf("amount(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestViewsOfOddThings(t *testing.T) {
	if got, want := scheduling(ipvs.Service{Scheduler: "sh", Flags: ipvs.SHFallback | ipvs.Sched3 | 0x40, Engine: "sip"}), "sh sh-fallback,flag-3,0x40 engine sip"; got != want {
		t.Errorf("scheduling: %q, want %q", got, want)
	}
	for want, d := range map[string]ipvs.Destination{
		"bypass":                     {Forward: ipvs.Bypass, Tunnel: ipvs.TunnelOptions{Port: 9}},
		"tunnel":                     {Forward: ipvs.Tunnel},
		"tunnel gre remote-checksum": {Forward: ipvs.Tunnel, Tunnel: ipvs.TunnelOptions{Type: ipvs.GRE, Flags: 2}},
		"tunnel gue:6080 flags 7":    {Forward: ipvs.Tunnel, Tunnel: ipvs.TunnelOptions{Type: ipvs.GUE, Port: 6080, Flags: 7}},
	} {
		if got := forwarding(d); got != want {
			t.Errorf("forwarding: %q, want %q", got, want)
		}
	}
}

// countWrites counts system calls, were it a file.
type countWrites int

func (n *countWrites) Write(p []byte) (int, error) { *n++; return len(p), nil }

// A table of 10,000 servers is not written cell by cell.
func TestListWritesInLargePieces(t *testing.T) {
	e := control.ListEntry{Destinations: make([]control.ListDestination, 10_000)}
	var n countWrites
	if err := writeList(&n, &control.List{Services: []control.ListEntry{e}}, usualColumns(), false); err != nil {
		t.Fatal(err)
	}
	if n > 100 {
		t.Errorf("%d writes", n)
	}
}
