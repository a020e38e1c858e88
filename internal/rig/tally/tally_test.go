package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestCounter(t *testing.T) {
	tests := map[string]struct {
		events string
		want   Tier
		prints []string
		hides  []string
	}{
		"pass, with the leaves counted": {
			events: `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/x"}
{"Action":"run","Package":"p","Test":"TestA/y"}
{"Action":"output","Package":"p","Test":"TestA/y","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA/x"}
{"Action":"pass","Package":"p","Test":"TestA/y"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"ExampleB"}
{"Action":"pass","Package":"p","Test":"ExampleB"}
{"Action":"pass","Package":"p","Elapsed":1.5}`,
			want:   Tier{Passed: 3},
			prints: []string{"ok   p 1.5s: 3 passed, 0 failed, 0 skipped"},
			hides:  []string{"chatter"},
		},
		"a subtest fails": {
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/x"}
{"Action":"run","Package":"p","Test":"TestA/y"}
{"Action":"output","Package":"p","Test":"TestA/x","Output":"    a_test.go:5: wrong\n"}
{"Action":"fail","Package":"p","Test":"TestA/x"}
{"Action":"pass","Package":"p","Test":"TestA/y"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`,
			want:   Tier{Passed: 1, Failed: 1, Failures: []string{"p TestA/x"}},
			prints: []string{"a_test.go:5: wrong", "FAIL p"},
		},
		"a parent fails by itself": {
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/x"}
{"Action":"pass","Package":"p","Test":"TestA/x"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`,
			want: Tier{Passed: 1, Failed: 1, Failures: []string{"p TestA"}},
		},
		"skip with its reason": {
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: needs: a moon\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}`,
			want: Tier{Skipped: 1, Skips: []Skip{{"p", "TestA", "needs: a moon"}}},
		},
		"the build fails": {
			events: `{"ImportPath":"p [p.test]","Action":"build-output","Output":"./a.go:3: undefined: x\n"}
{"ImportPath":"p [p.test]","Action":"build-fail"}
{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","Elapsed":0,"FailedBuild":"p [p.test]"}`,
			want:   Tier{Failed: 1, Failures: []string{"p (the package)"}},
			prints: []string{"./a.go:3: undefined: x", "[build failed]"},
		},
		"the guest dies within a test": {
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestB","Output":"rig: guest debian: guest ended without a result\n"}
{"Action":"fail","Package":"p"}`,
			want:   Tier{Passed: 1, Failed: 1, Failures: []string{"p TestB"}},
			prints: []string{"guest ended without a result"},
		},
		"the program fails outside of tests": {
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"goleak: found unexpected goroutines\n"}
{"Action":"fail","Package":"p"}`,
			want:   Tier{Passed: 1, Failed: 1, Failures: []string{"p (the package)"}},
			prints: []string{"goleak"},
		},
		"the events are cut off": {
			events: `{"Action":"run","Package":"p","Test":"TestA"}`,
			want:   Tier{Failed: 1, Failures: []string{"p TestA"}},
		},
		"a benchmark has no end of its own": {
			events: `{"Action":"run","Package":"p","Test":"BenchmarkA"}
{"Action":"output","Package":"p","Test":"BenchmarkA","Output":"BenchmarkA 1 5 ns/op\n"}
{"Action":"pass","Package":"p"}`,
			want: Tier{Passed: 1},
		},
		"no tests, and lines that are no events": {
			events: "go: downloading x\n{not json\n" + `{"Action":"skip","Package":"p"}`,
			prints: []string{"go: downloading x", "{not json"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			c := newCounter(&out, false)
			if err := c.read(strings.NewReader(tt.events)); err != nil {
				t.Fatal(err)
			}
			tt.want.Name = "tier"
			if diff := cmp.Diff(&tt.want, c.tier("tier")); diff != "" {
				t.Errorf("count (-want +got):\n%s", diff)
			}
			for _, p := range tt.prints {
				if !strings.Contains(out.String(), p) {
					t.Errorf("does not print %q:\n%s", p, out.String())
				}
			}
			for _, h := range tt.hides {
				if strings.Contains(out.String(), h) {
					t.Errorf("prints %q:\n%s", h, out.String())
				}
			}
		})
	}
}

func TestSummary(t *testing.T) {
	pass := &Tier{Name: "host", Passed: 5}
	fail := &Tier{Name: "netns", Passed: 1, Failed: 1, Failures: []string{"p TestX"}}
	skip := &Tier{Name: "netns", Passed: 1, Skipped: 2, Skips: []Skip{{"p", "TestX", "no root"}, {"p", "TestY", "no root"}}}
	out := &Tier{Name: "qemu", Reason: "no qemu"}
	tests := map[string]struct {
		tiers  []*Tier
		noSkip bool
		code   int
		last   string
		says   string
	}{
		"all pass":               {[]*Tier{pass}, true, 0, "5 passed, 0 failed, 0 skipped", ""},
		"one fails":              {[]*Tier{pass, fail}, false, 1, "6 passed, 1 failed, 0 skipped", "FAILED: netns: p TestX"},
		"some skipped":           {[]*Tier{pass, skip}, false, 0, "6 passed, 0 failed, 2 skipped", "p TestY: no root"},
		"skipped, not allowed":   {[]*Tier{pass, skip}, true, 1, "6 passed, 2 failed, 0 skipped", "nothing may be skipped here"},
		"tier left out":          {[]*Tier{pass, out}, false, 0, "5 passed, 0 failed, 0 skipped, 1 tier left out", "skipped: no qemu"},
		"left out, not allowed":  {[]*Tier{pass, out}, true, 1, "5 passed, 1 failed, 0 skipped", "1 tier were"},
		"nothing ran is no pass": {[]*Tier{{Name: "host"}}, false, 1, "0 passed, 0 failed, 0 skipped", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if code := summarize(&out, tt.tiers, tt.noSkip, false); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if got := lines[len(lines)-1]; got != tt.last {
				t.Errorf("last line %q, want %q", got, tt.last)
			}
			if !strings.Contains(out.String(), tt.says) {
				t.Errorf("does not say %q:\n%s", tt.says, out.String())
			}
		})
	}
}

func TestResultsAddUp(t *testing.T) {
	one, two := filepath.Join(t.TempDir(), "new"), t.TempDir()
	for _, r := range []struct {
		dir  string
		tier *Tier
	}{
		{one, &Tier{Name: "a", Passed: 1, Seconds: 1}},
		{one, &Tier{Name: "b", Reason: "why"}},
		{two, &Tier{Name: "a", Passed: 2, Failed: 1, Seconds: 2, Failures: []string{"x"}}},
		{one, &Tier{Name: "a", Skipped: 1, Skips: []Skip{{"p", "T", "r"}}}},
	} {
		if err := record(r.dir, r.tier); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readResults(one, two)
	if err != nil {
		t.Fatal(err)
	}
	want := []*Tier{
		{Name: "a", Passed: 3, Failed: 1, Skipped: 1, Seconds: 3, Failures: []string{"x"}, Skips: []Skip{{"p", "T", "r"}}},
		{Name: "b", Reason: "why"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if _, err := readResults(one, t.TempDir()); err == nil {
		t.Error("a folder without results was passed over")
	}
}

// The real thing: a program that prints events, or fails without any.
func TestCommand(t *testing.T) {
	tests := map[string]struct {
		script string
		want   Tier
	}{
		"events":                 {`echo '{"Action":"run","Package":"p","Test":"T"}'; echo '{"Action":"pass","Package":"p","Test":"T"}'; echo '{"Action":"pass","Package":"p"}'`, Tier{Passed: 1}},
		"fails without a word":   {`exit 3`, Tier{Failed: 1}},
		"one failure is not two": {`echo '{"Action":"fail","Package":"p"}'; exit 1`, Tier{Failed: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat("/bin/sh"); err != nil {
				t.Skip("needs a shell: ", err)
			}
			dir := t.TempDir()
			var out, complaints bytes.Buffer
			code, err := command(t.Context(), []string{"run", "-dir", dir, "-tier", "x", "--", "/bin/sh", "-c", tt.script}, &out, &complaints)
			if code != 0 || err != nil {
				t.Fatalf("exit code %d, %v", code, err)
			}
			got, err := readResults(dir)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Name = "x"
			if diff := cmp.Diff([]*Tier{&tt.want}, got, cmpopts.IgnoreFields(Tier{}, "Seconds", "Failures")); diff != "" {
				t.Errorf("recorded (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTagged(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	root := fstest.MapFS{
		"a/k_test.go":          file("// Words.\n\n//go:build linux && kernel\n\npackage a"),
		"a/k2_test.go":         file("//go:build linux && kernel\n\npackage a"),
		"b/both_test.go":       file("//go:build linux && (netns || kernel)\n\npackage b"),
		"c/linux_test.go":      file("//go:build linux\n\npackage c"),
		"c/plain_test.go":      file("package c\n\n//go:build kernel"),
		"d/not_test.go":        file("//go:build !kernel\n\npackage d"),
		"e/k.go":               file("//go:build kernel\n\npackage e"),
		"f/testdata/k_test.go": file("//go:build kernel\n\npackage f"),
		".g/k_test.go":         file("//go:build kernel\n\npackage g"),
		"i/go.mod":             file("module i"),
		"i/sub/i_test.go":      file("//go:build kernel\n\npackage i"),
		"h/guest_test.go":      file("//go:build rigkernel\n\npackage h"),
		"top_test.go":          file("//go:build kernel\n\npackage top"),
	}
	got, err := tagged(root, "kernel")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"./.", "./a", "./b"}, got); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
}

func FuzzCounter(f *testing.F) {
	f.Add([]byte(`{"Action":"run","Package":"p","Test":"T/a"}` + "\n" + `{"Action":"fail","Package":"p"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		c := newCounter(&out, false)
		if err := c.read(bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		tier := c.tier("x")
		if _, err := json.Marshal(tier); err != nil {
			t.Fatal(err)
		}
		if tier.Failed != len(tier.Failures) || tier.Skipped != len(tier.Skips) {
			t.Errorf("%d failed and %d skipped, named %d and %d", tier.Failed, tier.Skipped, len(tier.Failures), len(tier.Skips))
		}
	})
}

func TestOnlyOutOfTime(t *testing.T) {
	const begin = "=== RUN   FuzzX\nfuzz: elapsed: 3s, execs: 42880 (0/sec), new interesting: 5 (total: 58)\n"
	tests := map[string]struct {
		name, output string
		want         bool
	}{
		"end of the time":       {"FuzzX", begin + "--- FAIL: FuzzX (3.04s)\n    context deadline exceeded\n", true},
		"a line of the test":    {"FuzzX", begin + "--- FAIL: FuzzX (3.04s)\n    x_test.go:3: context deadline exceeded\n", false},
		"an input was written":  {"FuzzX", begin + "    context deadline exceeded\n    Failing input written to testdata/fuzz/FuzzX/1\n", false},
		"a hung worker":         {"FuzzX", begin + "--- FAIL: FuzzX (3.04s)\n    fuzzing process hung or terminated unexpectedly: exit status 2\n", false},
		"no word of the time":   {"FuzzX", begin + "--- FAIL: FuzzX (3.04s)\n", false},
		"an ordinary test":      {"TestX", "--- FAIL: TestX (3.04s)\n    context deadline exceeded\n", false},
		"a seed of a fuzz test": {"FuzzX/seed#1", "--- FAIL: FuzzX/seed#1 (3.04s)\n    context deadline exceeded\n", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := onlyOutOfTime(tt.name, tt.output); got != tt.want {
				t.Errorf("%t", got)
			}
			// Such an end counts as passed, any other as failed.
			var out strings.Builder
			c := newCounter(&out, false)
			c.add(&event{Action: "output", Package: "p", Test: tt.name, Output: tt.output})
			c.add(&event{Action: "fail", Package: "p", Test: tt.name})
			c.add(&event{Action: "fail", Package: "p"})
			if got := c.tier("fuzz"); (got.Failed == 0) != tt.want || got.Passed+got.Failed != 1 {
				t.Errorf("%+v", got)
			}
		})
	}
}
