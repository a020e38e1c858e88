package health_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

func fake(identity string, v health.Verdict, weight int) *healthtest.Fake {
	f := healthtest.NewFake(identity)
	f.Set(func(context.Context, int) health.Result {
		r := health.Result{Verdict: v, Reason: identity + " said so"}
		if weight >= 0 {
			r.Weight = &weight
		}
		return r
	})
	return f
}

func TestComposite(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.1:80")
	ok, fail, none := fake("a", health.OK, -1), fake("b", health.Fail, -1), fake("c", health.NoResult, -1)
	light, heavy := fake("d", health.OK, 10), fake("e", health.OK, 90)
	counted := healthtest.NewFake("counted")
	counted.Set(func(context.Context, int) health.Result {
		return health.Result{Verdict: health.OK, Reason: "counted", Perf: slices.Repeat([]health.Perfdatum{{Label: "n", Value: 1}}, 40)}
	})
	slow := healthtest.NewFake("slow")
	slow.Set(healthtest.After(time.Hour, health.OK))
	all := func(parts ...health.Checker) health.Checker { return must(health.NewAll(parts...)) }
	anyOf := func(parts ...health.Checker) health.Checker { return must(health.NewAny(parts...)) }
	for name, tt := range map[string]struct {
		check  health.Checker
		want   health.Verdict
		reason string
		weight int
	}{
		"all ok":                {all(ok, ok), health.OK, "run: all of 2 are ok", -1},
		"all, one fails":        {all(ok, fail, none), health.Fail, "all: part 2 of 3: b said so", -1},
		"all, one without":      {all(ok, none), health.NoResult, "all: part 2 of 2: c said so", -1},
		"all, the least weight": {all(heavy, ok, light), health.OK, "", 10},
		"all, a failure ends":   {all(slow, fail), health.Fail, "part 2 of 2", -1},
		"all of one":            {all(light), health.OK, "part 1 of 1: d said so", 10},
		"any, one ok":           {anyOf(fail, none, heavy), health.OK, "any: part 3 of 3: e said so", 90},
		"any, none ok":          {anyOf(fail, fail), health.Fail, "b said so", -1},
		"any, one without":      {anyOf(fail, none), health.NoResult, "c said so", -1},
		"any, the first ends":   {anyOf(slow, ok), health.OK, "part 2 of 2", -1},
		"not ok":                {must(health.NewNot(heavy)), health.Fail, "not: e said so", -1},
		"not failed":            {must(health.NewNot(fail)), health.OK, "not: b said so", -1},
		"not without":           {must(health.NewNot(none)), health.NoResult, "not: c said so", -1},
		"numbers of all parts":  {all(counted, ok, counted), health.OK, "", -1},
		"one without the other": {all(ok, must(health.NewNot(fail))), health.OK, "", -1},
		"any of all, nested":    {anyOf(all(ok, fail), all(ok, light)), health.OK, "part 2 of 2: run: all of 2", 10},
		"all, agent elsewhere":  {all(ok, must(health.NewOnPort(light, 9999))), health.OK, "", 10},
	} {
		t.Run(name, func(t *testing.T) {
			r := tt.check.Check(t.Context(), health.Target{Addr: addr})
			want(t, r, tt.want, tt.reason)
			if numbers := strings.HasPrefix(name, "numbers"); numbers != (len(r.Perf) == health.MaxPerf) {
				t.Errorf("%d numbers", len(r.Perf))
			}
			if (r.Weight == nil) != (tt.weight < 0) || r.Weight != nil && *r.Weight != tt.weight {
				t.Errorf("weight %v, want %d", r.Weight, tt.weight)
			}
		})
	}
	if n := light.Count(netip.MustParseAddrPort("192.0.2.1:9999")); n != 1 {
		t.Errorf("the other port was asked %d times", n)
	}
	if got := all(ok, must(health.NewNot(must(health.NewOnPort(fail, 7))))).Identity(); got != "all (a) (not (port 7 (b)))" {
		t.Errorf("identity %q", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	want(t, anyOf(slow, fail).Check(ctx, health.Target{Addr: addr}), health.Fail, "any: part ")
	for name, err := range map[string]error{
		"all of none": second(health.NewAll()), "any of nil": second(health.NewAny(nil)), "too many": second(health.NewAny(make([]health.Checker, 33)...)),
		"not nil": second(health.NewNot(nil)), "port 0": second(health.NewOnPort(ok, 0)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestFile(t *testing.T) {
	dir := t.TempDir()
	target := health.Target{Addr: netip.MustParseAddrPort("192.0.2.1:80")}
	for name, tt := range map[string]struct {
		content string
		weight  bool
		want    health.Verdict
		reason  string
		value   int
	}{
		"one":               {"1\n", false, health.OK, "192.0.2.1-80 says 1", -1},
		"zero":              {" 0 ", false, health.Fail, "says 0", -1},
		"negative":          {"-1", true, health.Fail, "says -1", -1},
		"weight":            {"30\r\n", true, health.OK, "says 30", 30},
		"weight of zero":    {"0", true, health.OK, "says 0", 0},
		"too much weight":   {"65536", true, health.NoResult, "no weight", -1},
		"text":              {"up", false, health.NoResult, `holds "up": want one number`, -1},
		"empty":             {"", false, health.NoResult, "holds nothing", -1},
		"more than a file":  {strings.Repeat(" ", 65), false, health.NoResult, "more than 64 bytes", -1},
		"more than a digit": {"99999999999", false, health.NoResult, "want one number", -1},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, "192.0.2.1-80"), []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			r := must(health.NewFile(health.FileConfig{Path: dir + "/%h-%p", Weight: tt.weight})).Check(t.Context(), target)
			want(t, r, tt.want, tt.reason)
			if (r.Weight == nil) != (tt.value < 0) || r.Weight != nil && *r.Weight != tt.value {
				t.Errorf("weight %v, want %d", r.Weight, tt.value)
			}
		})
	}
	want(t, must(health.NewFile(health.FileConfig{Path: dir + "/none"})).Check(t.Context(), target), health.NoResult, "none")
	want(t, must(health.NewFile(health.FileConfig{Path: dir})).Check(t.Context(), target), health.NoResult, "no regular file")
	if _, err := health.NewFile(health.FileConfig{}); err == nil {
		t.Error("an empty path is taken")
	}
}

func TestParsePerfdata(t *testing.T) {
	type p = health.Perfdatum
	for name, tt := range map[string]struct {
		output string
		want   []p
	}{
		"none":              {"PING OK", nil},
		"ping":              {"PING OK - Packet loss = 0%, RTA = 0.80 ms|rta=0.800000ms;3000.000000;5000.000000;0.000000 pl=0%;80;100;0", []p{{"rta", 0.8, "ms", "3000.000000", "5000.000000", "0.000000", ""}, {"pl", 0, "%", "80", "100", "0", ""}}},
		"quoted label":      {"DISK OK | 'C:\\ it''s used'=3GB;@10:20;~:5;0;9", []p{{"C:\\ it's used", 3, "GB", "@10:20", "~:5", "0", "9"}}},
		"counter":           {"x|c=12c", []p{{Label: "c", Value: 12, Unit: "c"}}},
		"negative":          {"x|t=-1.5", []p{{Label: "t", Value: -1.5}}},
		"unknown value":     {"x|a=U b=1", []p{{Label: "b", Value: 1}}},
		"on further lines":  {"x|a=1\nlong text\nmore|b=2\nc=3\n'd e'=4|f=5", []p{{Label: "a", Value: 1}, {Label: "b", Value: 2}, {Label: "c", Value: 3}, {Label: "d e", Value: 4, Unit: "|f=5"}}},
		"no | in the first": {"x\ny|a=1", []p{{Label: "a", Value: 1}}},
		"a word between":    {"x|a=1 and b=2", []p{{Label: "a", Value: 1}, {Label: "b", Value: 2}}},
		"exponent":          {"x|a=1.5e3B b=2e", []p{{Label: "a", Value: 1500, Unit: "B"}, {Label: "b", Value: 2, Unit: "e"}}},
		"beyond a number":   {"x|a=1e999 b=inf c=NaN d=1", []p{{Label: "d", Value: 1}}},
		"long texts":        {"x|" + strings.Repeat("n", 500) + "=1", []p{{Label: strings.Repeat("n", 125) + "...", Value: 1}}},
		"no end of label":   {"x|'a=1", nil},
		"no label":          {"x|=1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, health.ParsePerfdata(tt.output)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if n := len(health.ParsePerfdata("x|" + strings.Repeat("a=1 ", 1000))); n != 64 {
		t.Errorf("%d numbers, want 64", n)
	}
}

func TestICMP(t *testing.T) {
	r := check(t, must(health.NewICMP(nil)), netip.MustParseAddrPort("127.0.0.1:0"), short)
	if r.Verdict == health.NoResult && os.Geteuid() != 0 {
		if !strings.Contains(r.Reason, "CAP_NET_RAW") {
			t.Errorf("the reason %q names no cure", r.Reason)
		}
	} else {
		want(t, r, health.OK, "read: echo reply", "connect", "send", "read")
	}
	for _, size := range []int{-1, 15, 1473} {
		if _, err := health.NewICMP(&health.ICMPConfig{Size: size}); err == nil || !strings.Contains(err.Error(), fmt.Sprint("size ", size)) {
			t.Errorf("size %d: error %v", size, err)
		}
	}
}
