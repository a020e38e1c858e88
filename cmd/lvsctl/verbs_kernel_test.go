//go:build linux && kernel

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/internal/lab"
)

// verb runs lvsctl in a namespace and returns what it prints; it has to
// succeed and to be silent on standard error.
func verb(t *testing.T, at *lab.Namespace, command string) string {
	t.Helper()
	h := hostIn(at)
	h.stdin = strings.NewReader("")
	h.connections = connectionsIn(at)
	var out, errs strings.Builder
	if code := h.run(t.Context(), strings.Fields("lvsctl "+command), &out, &errs); code != exitDone || errs.Len() > 0 {
		t.Fatalf("lvsctl %s: exit code %d: %s", command, code, errs.String())
	}
	return out.String()
}

// runIn runs a program in a namespace; without a file its standard input is
// /dev/null.
func runIn(at *lab.Namespace, stdin *os.File, name string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if stdin != nil {
		cmd.Stdin = stdin
	}
	if err := at.Do(cmd.Start); err != nil {
		return "", err
	}
	err := cmd.Wait()
	return out.String(), err
}

// everyFeature makes a table that ipvsadm can list.
func everyFeature(t *testing.T, at *lab.Namespace) {
	t.Helper()
	for _, command := range []string{
		"service add tcp/192.0.2.1:80 -s wrr",
		"service add tcp/192.0.2.1:443 -s sh --flags sh-port,sh-fallback",
		"service add tcp/192.0.2.1:21 -s mh --flags mh-port --persistence 10m --prefix 24",
		"service add udp/192.0.2.1:53 -s rr --flags one-packet",
		"service add sctp/192.0.2.1:2905",
		"service add fwmark/7 -s lc --persistence 300",
		"service add tcp/[2001:db8::1]:80 -s lblc -p 5m --prefix 64",
		"service add fwmark6/7",
		"server add tcp/192.0.2.1:80 10.0.0.1:8080 --forward masquerade --weight 3",
		"server add tcp/192.0.2.1:80 10.0.0.2 --weight 0 --upper 100 --lower 50",
		"server add tcp/192.0.2.1:80 10.0.0.3 --forward tunnel",
		"server add tcp/192.0.2.1:443 10.0.0.3 -f tunnel --tunnel-type gue --tunnel-port 6080 --tunnel-flags remote-checksum",
		"server add tcp/192.0.2.1:443 10.0.0.4 -f tunnel --tunnel-type gre --tunnel-flags checksum",
		"server add udp/192.0.2.1:53 10.0.0.1:5353 -f nat",
		"server add fwmark/7 10.0.0.1",
		"server add fwmark/7 10.0.0.2:81 -f nat",
		"server add tcp/[2001:db8::1]:80 2001:db8::2 -f nat -w 2147483647",
		"server add fwmark6/7 2001:db8::2",
	} {
		if out := verb(t, at, command); out != "" {
			t.Errorf("lvsctl %s prints %q", command, out)
		}
	}
}

var (
	admAnyService = regexp.MustCompile(`(?m)^(TCP|UDP|SCTP|FWM) +(\S+)( IPv6)? +(\S+)`)
	admAnyDest    = regexp.MustCompile(`(?m)^ +-> (\S+) +(Masq|Route|Tunnel|Local) +(\d+) +\d+ +\d+`)
)

// What the verbs make, ipvsadm lists as lvsctl does.
func TestKernelVerbsAgainstIPVSAdm(t *testing.T) {
	ns := lab.New(t).Namespace("host")
	everyFeature(t, ns)
	verb(t, ns, "timeouts --tcp 11m --tcp-fin 70 --udp 42s")

	adm := ns.Run("ipvsadm", "-Ln")
	var list control.List
	if err := json.Unmarshal([]byte(verb(t, ns, "list --kernel -o json")), &list); err != nil {
		t.Fatal(err)
	}
	words := map[string]string{"masquerade": "Masq", "direct": "Route", "tunnel": "Tunnel", "local": "Local"}
	var ours, theirs []string
	for _, e := range list.Services {
		name, kind := e.Key.Addr.String(), strings.ToUpper(e.Key.Protocol.String())
		if e.Key.IsMark() {
			name, kind = fmt.Sprint(e.Key.Mark), "FWM"
			if e.Key.Mark6 {
				name += " IPv6"
			}
		}
		ours = append(ours, fmt.Sprintf("%s %s %s", kind, name, e.Service.Scheduler))
		for _, d := range e.Destinations {
			ours = append(ours, fmt.Sprintf("%s %s %d", d.Key, words[d.Forward.String()], d.Weight))
		}
	}
	for _, m := range admAnyService.FindAllStringSubmatch(adm, -1) {
		theirs = append(theirs, m[1]+" "+m[2]+m[3]+" "+m[4])
	}
	for _, m := range admAnyDest.FindAllStringSubmatch(adm, -1) {
		theirs = append(theirs, m[1]+" "+m[2]+" "+m[3])
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	if diff := cmp.Diff(theirs, ours); diff != "" || len(ours) != 18 {
		t.Errorf("%d lines, ipvsadm -Ln against lvsctl list (-ipvsadm +lvsctl):\n%s\n%s", len(ours), diff, adm)
	}
	if got := ns.Run("ipvsadm", "-L", "--timeout"); !strings.Contains(got, "660 70 42") {
		t.Errorf("ipvsadm -L --timeout: %s", got)
	}
	for _, check := range [][2]string{
		{"persistent 600 mask 255.255.255.0", "-Ln"},
		{"ops", "-Ln"},
		{"(sh-fallback,sh-port)", "-Ln"},
		{"10.0.0.2:80                  100        50", "-Ln --thresholds"},
		{"gue", "-Ln --tun-info"},
		{"6080", "-Ln --tun-info"},
	} {
		if got := ns.Run("ipvsadm", strings.Fields(check[1])...); !strings.Contains(got, check[0]) {
			t.Errorf("ipvsadm %s has no %q:\n%s", check[1], check[0], got)
		}
	}

	// To edit one thing leaves the rest, as ipvsadm sees it.
	before := ns.Run("ipvsadm", "-Sn")
	verb(t, ns, "server edit tcp/192.0.2.1:443 10.0.0.3 --weight 4")
	verb(t, ns, "service edit fwmark/7 --scheduler wlc")
	after := ns.Run("ipvsadm", "-Sn")
	want := strings.NewReplacer("-r 10.0.0.3:443 -i -w 1", "-r 10.0.0.3:443 -i -w 4", "-f 7 -s lc", "-f 7 -s wlc").Replace(before)
	if diff := cmp.Diff(want, after); diff != "" || before == after {
		t.Errorf("ipvsadm -Sn after two edits (-want +got):\n%s", diff)
	}
}

// What lvsctl saves ipvsadm restores, and the other way round.
func TestKernelSaveAndRestore(t *testing.T) {
	l := lab.New(t)
	first, theirs, ours := l.Namespace("first"), l.Namespace("theirs"), l.Namespace("ours")
	everyFeature(t, first)
	dir := t.TempDir()
	saved, savedByThem := filepath.Join(dir, "lvsctl.rules"), filepath.Join(dir, "ipvsadm.rules")
	text := verb(t, first, "save")
	if err := os.WriteFile(saved, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(savedByThem, []byte(first.Run("ipvsadm", "-Sn")), 0o644); err != nil {
		t.Fatal(err)
	}

	rules, err := os.Open(saved)
	if err != nil {
		t.Fatal(err)
	}
	defer rules.Close()
	if out, err := runIn(theirs, rules, "ipvsadm", "-R"); err != nil {
		t.Fatalf("ipvsadm -R: %v: %s", err, out)
	}
	if diff := cmp.Diff(text, verb(t, theirs, "save")); diff != "" {
		t.Errorf("saved by lvsctl, restored by ipvsadm, saved again (-first +again):\n%s", diff)
	}
	if out := verb(t, theirs, "restore "+saved); out != "" {
		t.Errorf("restore where everything is right changes\n%s", out)
	}

	changes := verb(t, ours, "restore "+savedByThem)
	if n := strings.Count(changes, "\n"); n != 18 {
		t.Errorf("restore prints %d changes, want 18:\n%s", n, changes)
	}
	if diff := cmp.Diff(first.Run("ipvsadm", "-Sn"), ours.Run("ipvsadm", "-Sn")); diff != "" {
		t.Errorf("saved by ipvsadm, restored by lvsctl (-first +restored):\n%s", diff)
	}

	// A table of others and a wrong text: nothing is touched.
	wrong := filepath.Join(dir, "wrong.rules")
	if err := os.WriteFile(wrong, []byte("-A -t 192.0.2.9:80\n-a -t 192.0.2.9:80 -r 10.0.0.1:80 -z\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := ours.Run("ipvsadm", "-Sn")
	if code := hostIn(ours).run(t.Context(), []string{"lvsctl", "restore", "--delete-others", "--yes", wrong}, io.Discard, io.Discard); code != exitFailed {
		t.Errorf("restore of a wrong text: exit code %d", code)
	}
	if diff := cmp.Diff(before, ours.Run("ipvsadm", "-Sn")); diff != "" {
		t.Errorf("a wrong text changed the table:\n%s", diff)
	}
	verb(t, ours, "flush --yes")
	if out := ours.Run("ipvsadm", "-Sn"); strings.TrimSpace(out) != "" {
		t.Errorf("after flush ipvsadm saves\n%s", out)
	}
}

var admConnection = regexp.MustCompile(`(?m)^(\S+) +\d\d:\d\d +(\S+) +(\S+) +(\S+) +(\S+)$`)

// The rows of the connection table, the counters and zero, with a connection
// that is there.
func TestKernelListConnections(t *testing.T) {
	ns := lab.New(t).Namespace("host")
	ns.Dummy("vip")
	ns.Addr("vip", netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("10.0.0.1/32"))
	l, err := ns.Listen("tcp", "10.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	verb(t, ns, "service add tcp/192.0.2.1:80 --persistence 5m")
	verb(t, ns, "service add tcp/192.0.2.1:81")
	verb(t, ns, "server add tcp/192.0.2.1:80 10.0.0.1:8080 --forward nat")
	conn, err := ns.DialContext(t.Context(), "tcp", "192.0.2.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	adm := ns.Run("ipvsadm", "-Lnc")
	ours := verb(t, ns, "list --connections tcp/192.0.2.1:80")
	t.Logf("\n%s%s", adm, ours)
	var got, want []string
	for _, m := range admConnection.FindAllStringSubmatch(adm, -1) {
		want = append(want, strings.ToLower(m[1])+" "+strings.Join(m[2:], " "))
	}
	for line := range strings.Lines(ours) {
		if f := strings.Fields(line); len(f) == 6 && f[0] != "PROTOCOL" {
			got = append(got, f[0]+" "+strings.Join(f[2:], " "))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || len(got) != 2 {
		t.Errorf("%d rows, ipvsadm -Lnc against lvsctl list --connections (-ipvsadm +lvsctl):\n%s", len(got), diff)
	}
	if out := verb(t, ns, "list -c tcp/192.0.2.1:81"); strings.Count(out, "\n") != 1 {
		t.Errorf("connections of a service without any:\n%s", out)
	}
	if out := verb(t, ns, "list --persistence tcp/192.0.2.1:80"); !regexp.MustCompile(`(?m)^  -> 10\.0\.0\.1:8080 +1 +1 +0$`).MatchString(out) {
		t.Errorf("one client, one active connection:\n%s", out)
	}
	verb(t, ns, "zero tcp/192.0.2.1:80")
	if out := verb(t, ns, "list --stats --exact tcp/192.0.2.1:80"); !regexp.MustCompile(`(?m)^tcp/192\.0\.2\.1:80( +0){5}$`).MatchString(out) {
		t.Errorf("counters after zero:\n%s", out)
	}
}

// The program itself, in the namespace and from outside by name.
func TestKernelProgram(t *testing.T) {
	ns := lab.New(t).Namespace("host")
	ns.Publish("lvsctl-program")
	t.Setenv(asLvsctl, "1")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ns.Run(exe, "service", "add", "fwmark/7", "-s", "rr")
	outside := lab.New(t).Namespace("outside")
	if out := outside.Run(exe, "list", "--kernel"); !strings.Contains(out, "(the kernel table is empty)") {
		t.Errorf("the other namespace lists\n%s", out)
	}
	outside.Run(exe, "server", "add", "fwmark/7", "10.0.0.1", "--netns", "lvsctl-program")
	out := outside.Run(exe, "list", "--netns", "lvsctl-program")
	if !strings.Contains(out, "fwmark/7") || !strings.Contains(out, "10.0.0.1:0") {
		t.Errorf("the namespace by name lists\n%s", out)
	}
	out, err = runIn(outside, nil, exe, "flush", "--netns", "lvsctl-program")
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != exitUsage || !strings.Contains(out, "nobody is there to ask, so add --yes if it is meant") {
		t.Errorf("flush with nobody to ask: %v: %s", err, out)
	}
}
