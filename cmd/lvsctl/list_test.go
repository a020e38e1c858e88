//go:build unix

package main

import (
	"regexp"
	"strings"
	"testing"
)

// The table of a daemon is shown with the names of its configuration, by
// service and in every view.
func TestListOfADaemon(t *testing.T) {
	one := namedServer(t, "one")
	vip := freeLoopback(t)
	d := newDaemon(t, webConf(vip, one), "--dataplane", "userspace")
	d.start()
	d.await("the server is in", serving(1))
	fetch(t, oneShotClient(), vip, 3)

	list := func(args string) string {
		t.Helper()
		return playCommand(t, fakeHost(), "lvsctl list --socket "+d.dir+"/sock "+args)
	}
	for args, want := range map[string]string{
		"":                        `(?m)^tcp/` + vip + ` +rr +web +3 +\S+ +\S+\n  -> ` + one + ` +masquerade +s1 +weight 1 +3 +\d+ +\d+ +\S+ +\S+$`,
		"tcp/" + vip + " --stats": `(?m)^SERVICE +NAME +CONNS +IN PACKETS .*\n.*\n  -> ` + one + ` +s1 +3 +`,
		"--rates --thresholds":    `(?m)^SERVICE +NAME +CONNS/S .* UPPER +LOWER +ACTIVE +INACTIVE$`,
	} {
		if got := list(args); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("list %s shows\n%swant %s", args, got, want)
		}
	}
	if got := list("tcp/192.0.2.9:80"); !strings.Contains(got, "no such service") || !strings.HasSuffix(got, "exit 1\n") {
		t.Errorf("list of an unknown service shows\n%s", got)
	}
	// --kernel asks the kernel all the same.
	if got := list("--kernel"); !strings.Contains(got, "(the kernel table is empty)") {
		t.Errorf("list --kernel shows\n%s", got)
	}
}
