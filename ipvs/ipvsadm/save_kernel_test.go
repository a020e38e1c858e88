//go:build linux && kernel

package ipvsadm

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/ipvs"
)

// TestKernelSavedByTheRealProgram reads what `ipvsadm -S -n` writes.
func TestKernelSavedByTheRealProgram(t *testing.T) {
	b := newBench(t)
	b.apply(everything())
	b.must("", "-D", "-f", "4294967295") // it writes -f -1
	text := b.must("", "-S", "-n")
	commands, err := Parse(t.Context(), text, Options{})
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	got, err := Table(commands)
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	// It also loses these, and the order of the destinations.
	want := b.table()
	for i := range want {
		if s := &want[i].Service; s.Scheduler == "sh" {
			s.Flags &^= ipvs.Sched3
		}
		for j := range want[i].Destinations {
			d := &want[i].Destinations[j]
			d.UpperThreshold, d.LowerThreshold = 0, 0
		}
	}
	byKey := func(t ipvs.Table) ipvs.Table {
		for i := range t {
			slices.SortFunc(t[i].Destinations, func(a, b ipvs.Destination) int {
				return a.Key.Compare(b.Key)
			})
		}
		return t
	}
	if diff := cmp.Diff(byKey(want), byKey(normalized(got)), equate); diff != "" {
		t.Errorf("-kernel +read back:\n%s", diff)
	}
	// Line for line it is what we write.
	ours, err := AppendTable(nil, want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lines(text), lines(string(ours))); diff != "" {
		t.Errorf("-real +ours:\n%s", diff)
	}
}

// lines returns the lines of a text, sorted.
func lines(text string) []string {
	list := strings.Split(text, "\n")
	slices.Sort(list)
	return list
}

// TestKernelRestoredByTheRealProgram gives our text to `ipvsadm -R`: the
// table has to be the same, the order of the destinations included.
func TestKernelRestoredByTheRealProgram(t *testing.T) {
	first, second := newBench(t), newBench(t)
	first.apply(everything())
	want := first.table()
	if diff := cmp.Diff(normalized(everything()), want, equate); diff != "" {
		t.Fatalf("the kernel holds something else (-goal +kernel):\n%s", diff)
	}
	text, err := AppendTable(nil, want)
	if err != nil {
		t.Fatal(err)
	}
	if out := second.must(string(text), "-R"); out != "" {
		t.Errorf("ipvsadm -R says %q", out)
	}
	if diff := cmp.Diff(want, second.table(), equate); diff != "" {
		t.Errorf("-saved +restored:\n%s\n%s", diff, text)
	}
}

// TestKernelDryRun gives each change as a line to the real program.
func TestKernelDryRun(t *testing.T) {
	b := newBench(t)
	want := everything()
	changes := ipvs.Diff(nil, want, nil)
	// Then change and delete something, too.
	less := want[2:]
	less[0].Service.Scheduler = "lc"
	less[0].Destinations = less[0].Destinations[1:]
	less[0].Destinations[0].Weight = 7
	changes = append(changes, ipvs.Diff(everything(), less, func(ipvs.ServiceKey) bool { return true })...)
	for _, c := range changes {
		line := Line(c)
		if out := b.must(line+"\n", "-R"); out != "" {
			t.Errorf("%s: %s", line, out)
		}
	}
	if diff := cmp.Diff(normalized(less), b.table(), equate); diff != "" {
		t.Errorf("-goal +kernel:\n%s", diff)
	}
}
