package health_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/health"
)

// script writes a shell script and returns the command that runs it. It is
// given to sh rather than run itself: a file that was open for writing while
// another test forked cannot be run for a moment (ETXTBSY, execve(2)).
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "check.sh")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return "sh " + path
}

func external(t *testing.T, command, expect string) *health.External {
	t.Helper()
	c, err := health.NewExternal(health.ExternalConfig{Command: command, Expect: expect})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var realServer = netip.MustParseAddrPort("192.0.2.7:8080")

func TestExternal(t *testing.T) {
	for name, tt := range map[string]struct {
		script, args, expect string
		timeout              time.Duration
		want                 health.Verdict
		reason               string
	}{
		"prints what is expected":      {`echo OK`, "", "OK", short, health.OK, "output as expected"},
		"without a newline":            {`printf OK`, "", "OK", short, health.OK, ""},
		"only one newline is cut":      {`printf 'OK\n\n'`, "", "OK", short, health.Fail, `exactly "OK"`},
		"prints something else":        {`echo DOWN`, "", "OK", short, health.Fail, `printed "DOWN\n" (5 bytes), expected exactly "OK"`},
		"prints more":                  {`echo OK really`, "", "OK", short, health.Fail, ""},
		"prints nothing":               {`:`, "", "OK", short, health.Fail, "printed nothing"},
		"right words, wrong exit code": {`echo OK; exit 3`, "", "OK", short, health.Fail, "exit status 3"},
		"crashes":                      {`echo OK; kill -SEGV $$`, "", "OK", short, health.Fail, "segmentation fault"},
		"hangs":                        {`echo OK; sleep 100`, "", "OK", hang, health.Fail, "run: no answer within"},
		"exit code 0 is enough":        {`echo whatever`, "", "", short, health.OK, "exit code 0"},
		"exit code 1":                  {`exit 1`, "", "", short, health.Fail, "exit status 1"},
		"says why on standard error":   {`echo no disk >&2; exit 1`, "", "", short, health.Fail, `it says "no disk"`},
		"address and port":             {`echo "$@"`, "-h %h %p x%h %%p", "-h 192.0.2.7 8080 x%h %%p", short, health.OK, ""},
		"no shell, no quotes":          {`echo "$#|$1|$2"`, `"a b"`, `2|"a|b"`, short, health.OK, ""},
		"environment":                  {`echo "$LVSKIT_ADDRESS|$LVSKIT_PORT|$LVSKIT_NAME|$HOME"`, "", "192.0.2.7|8080||" + os.Getenv("HOME"), short, health.OK, ""},
		"standard input is empty":      {`cat; echo end`, "", "end", short, health.OK, ""},
		"more output than a pipe has":  {`head -c 1000000 /dev/zero; echo`, "", "OK", short, health.Fail, "1000001 bytes"},
		"endless output":               {`yes`, "", "y", hang, health.Fail, "no answer within"},
		"a child keeps the output":     {`sleep 100 & echo OK`, "", "OK", short, health.OK, ""},
		"a stranger keeps the output":  {`setsid sleep 3 & echo OK`, "", "OK", short, health.OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, check(t, external(t, script(t, tt.script)+" "+tt.args, tt.expect), realServer, tt.timeout), tt.want, tt.reason, "start", "run")
		})
	}
}

// What comes above the bounds waits, and is no result when that lasts.
func TestExternalIsBounded(t *testing.T) {
	one, err := health.NewPrograms(&health.ProgramsConfig{AtOnce: 1})
	if err != nil {
		t.Fatal(err)
	}
	gate := filepath.Join(t.TempDir(), "gate")
	slow := must(health.NewExternal(health.ExternalConfig{Command: script(t, "echo >"+gate+"; while [ -e "+gate+" ]; do sleep 0.01; done"), Programs: one}))
	other := must(health.NewNagios(health.NagiosConfig{Command: "true", Programs: one}))
	first := make(chan health.Result, 1)
	go func() { first <- slow.Check(t.Context(), health.Target{Addr: realServer}) }()
	for {
		if _, err := os.Stat(gate); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	want(t, check(t, other, realServer, hang), health.NoResult, "start: not started: 1 programs are running", "start")
	second := make(chan health.Result, 1)
	go func() { second <- other.Check(t.Context(), health.Target{Addr: realServer}) }()
	if err := os.Remove(gate); err != nil {
		t.Fatal(err)
	}
	want(t, <-first, health.OK, "exit code 0")
	want(t, <-second, health.OK, "OK")
}

func TestExternalIsFoundThroughPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/bin/echo", filepath.Join(dir, "check-of-this-test")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	want(t, check(t, external(t, "check-of-this-test OK", "OK"), realServer, short), health.OK, "")
}

func TestExternalKeepsNumbers(t *testing.T) {
	for end, v := range map[string]health.Verdict{"exit 0": health.OK, "exit 1": health.Fail} {
		r := check(t, external(t, script(t, "echo 'fine|users=3;10;20 t=0.5s'; "+end), ""), realServer, short)
		want(t, r, v, "run: ")
		if diff := cmp.Diff([]health.Perfdatum{{Label: "users", Value: 3, Warn: "10", Critical: "20"}, {Label: "t", Value: 0.5, Unit: "s"}}, r.Perf); diff != "" {
			t.Errorf("numbers (-want +got):\n%s", diff)
		}
	}
}

func TestExternalThatCannotStartIsNoResult(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("not a program"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"/nowhere/check", "no-such-program-anywhere", plain, dir} {
		want(t, check(t, external(t, command, "OK"), realServer, short), health.NoResult, "start: ", "start")
	}
}

func TestExternalIsRefused(t *testing.T) {
	for _, cfg := range []health.ExternalConfig{{}, {Command: " \t"}, {Command: "a\x00b"}, {Command: "a", Expect: strings.Repeat("x", health.MaxOutput)}} {
		if _, err := health.NewExternal(cfg); err == nil {
			t.Errorf("%.60v accepted", cfg)
		}
	}
}

// A script's children die with it, however the check ends.
func TestExternalLeavesNobodyBehind(t *testing.T) {
	for name, tt := range map[string]struct {
		end    string // what the script does after starting its child
		cancel bool
		want   health.Verdict
	}{
		"time-out":      {"wait", false, health.Fail},
		"cancelled":     {"wait", true, health.NoResult},
		"ends well":     {"exit 0", false, health.OK},
		"fails":         {"exit 1", false, health.Fail},
		"deaf to TERM":  {"trap '' TERM HUP INT; wait", false, health.Fail},
		"leader killed": {"kill -9 $$", false, health.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pids")
			c := external(t, script(t, fmt.Sprintf("(sleep 1000 & echo $! >>%s; wait) &\necho $! >>%s\nwhile [ $(wc -l <%s) -lt 2 ]; do :; done\n%s", file, file, file, tt.end)), "")
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if tt.cancel {
				time.AfterFunc(time.Second, cancel)
			}
			want(t, c.Check(ctx, health.Target{Addr: realServer}), tt.want, "")
			text, err := os.ReadFile(file)
			pids := strings.Fields(string(text))
			if err != nil || len(pids) != 2 {
				t.Fatalf("the script did not start its children: %q, %v", text, err)
			}
			for _, pid := range pids {
				for wait := 0; alive(pid); wait++ {
					if wait > 100 {
						t.Errorf("process %s is still alive", pid)
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
}

// alive tells whether a process runs; a zombie that nobody has reaped does not.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}

func TestExternalGivesAWeight(t *testing.T) {
	for code, tt := range map[int]struct {
		want   health.Verdict
		weight int // -1: none
		reason string
	}{
		0:   {health.OK, -1, "exit code 0"},
		1:   {health.Fail, -1, "exit status 1"},
		2:   {health.OK, 0, "exit code 2 is a weight of 0"},
		255: {health.OK, 253, "weight of 253"},
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			c := must(health.NewExternal(health.ExternalConfig{Command: script(t, fmt.Sprintf("exit %d", code)), Weight: true}))
			r := check(t, c, realServer, short)
			want(t, r, tt.want, tt.reason)
			if tt.weight < 0 != (r.Weight == nil) || r.Weight != nil && *r.Weight != tt.weight {
				t.Errorf("weight %v, want %d", r.Weight, tt.weight)
			}
		})
	}
	killed := must(health.NewExternal(health.ExternalConfig{Command: script(t, "kill -KILL $$"), Weight: true}))
	want(t, check(t, killed, realServer, short), health.Fail, "killed")
}
