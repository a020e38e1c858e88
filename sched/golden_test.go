package sched_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lvskit/lvskit/internal/schedlab"
	"github.com/lvskit/lvskit/sched"
)

// TestGoldenPicksOfRealKernels plays what real kernels did with random
// services again. testdata/golden has a file for each kernel;
// internal/schedlab records them and explains their form.
func TestGoldenPicksOfRealKernels(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	picks := map[string]int{}
	rules := map[sched.Rules]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cases, err := schedlab.ReadCases(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range cases {
			if err := schedlab.Replay(c); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			rules[c.Rules]++
			name := c.Scheduler
			for _, s := range c.Steps {
				switch s.Op {
				case schedlab.Use:
					name = s.Name
				case schedlab.Pick:
					picks[name]++
				}
			}
		}
	}
	t.Logf("picks: %v", picks)
	want := sched.Names()
	// What twos picks is chance, and compared with the kernel as such.
	want = slices.DeleteFunc(want, func(name string) bool { return name == "twos" })
	if got := slices.Sorted(maps.Keys(picks)); !slices.Equal(got, want) {
		t.Errorf("the files have picks of %v, want %v", got, want)
	}
	for name, n := range picks {
		if n < 100 {
			t.Errorf("the files have only %d picks of %s", n, name)
		}
	}
	for _, r := range []sched.Rules{sched.OlderRules, sched.NewerRules} {
		if rules[r] == 0 {
			t.Errorf("the files have no case with the %v rules", r)
		}
	}
}
