package ipvsadm

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/ipvs"
)

// rules returns n lines, a hundred servers to a service.
func rules(n int) string {
	var b strings.Builder
	for i := range n {
		service := fmt.Sprintf("-t 192.0.2.1:%d", 1+i/101)
		if i%101 == 0 {
			fmt.Fprintf(&b, "-A %s -s wlc -p 300\n", service)
		} else {
			fmt.Fprintf(&b, "-a %s -r 10.0.0.%d:8080 -m -w %d\n", service, i%101, i)
		}
	}
	return b.String()
}

// size is the number of rules.
const size = 10000

func BenchmarkParse(b *testing.B) {
	text := rules(size)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if c, err := Parse(b.Context(), text, Options{}); err != nil || len(c) != size {
			b.Fatal(len(c), err)
		}
	}
}

func BenchmarkTable(b *testing.B) {
	commands, err := Parse(b.Context(), rules(size), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Table(commands); err != nil {
			b.Fatal(err)
		}
	}
}

func benchTable(b *testing.B) ipvs.Table {
	b.Helper()
	table, err := tableOf(b, rules(size))
	if err != nil {
		b.Fatal(err)
	}
	return table
}

func BenchmarkAppendTable(b *testing.B) {
	table := benchTable(b)
	var text []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if text, err = AppendTable(text[:0], table); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteList(b *testing.B) {
	table := benchTable(b)
	snap := make(ipvs.Snapshot, len(table))
	for i, e := range table {
		snap[i].Service.Service = e.Service
		for _, d := range e.Destinations {
			snap[i].Destinations = append(snap[i].Destinations, ipvs.DestinationState{Destination: d})
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := WriteList(io.Discard, ListOptions{}, snap, ipvs.Info{}); err != nil {
			b.Fatal(err)
		}
	}
}
