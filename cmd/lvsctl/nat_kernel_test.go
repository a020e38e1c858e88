//go:build linux && kernel

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/internal/lab"
)

// web is an HTTP server in a namespace of the lab that can die and come back.
type web struct {
	t    *testing.T
	at   *lab.Namespace
	addr string
	name string
	srv  *http.Server
}

func startWeb(t *testing.T, at *lab.Namespace, name, addr string) *web {
	w := &web{t: t, at: at, addr: addr, name: name}
	w.start()
	t.Cleanup(w.kill)
	return w
}

func (w *web) start() {
	w.t.Helper()
	l, err := w.at.Listen("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.srv = &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, w.name) })}
	go w.srv.Serve(l)
}

func (w *web) kill() { w.srv.Close() }

func clientIn(at *lab.Namespace) *http.Client {
	return &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: at.DialContext},
	}
}

// natConf is an lvs.cf of the shape that Piranha's manual shows for NAT.
func natConf(c *lab.Cluster) string {
	var b strings.Builder
	fmt.Fprintf(&b, `serial_no = 1
primary = %s
service = lvs
network = nat
nat_router = %s %s:1
nat_nmask = 255.255.255.0
debug_level = NONE
virtual web {
     active = 1
     address = %s %s:1
     vip_nmask = 255.255.255.0
     port = 80
     send = "GET / HTTP/1.0\r\n\r\n"
     expect = "HTTP"
     scheduler = rr
     protocol = tcp
     timeout = 4
     reentry = 8
     quiesce_server = 0
`, c.Directors[0].Public, c.VIPs.Private, lab.PrivateLink, c.VIPs.Public, lab.PublicLink)
	for i, s := range c.Servers {
		fmt.Fprintf(&b, "     server web%d {\n         address = %s\n         active = 1\n         port = 8080\n         weight = 1\n     }\n", i+1, s.Private)
	}
	b.WriteString("}\n")
	return b.String()
}

func TestKernelNAT(t *testing.T) {
	c := lab.NewCluster(t)
	var webs []*web
	for i, s := range c.Servers {
		webs = append(webs, startWeb(t, s.Namespace, fmt.Sprintf("web%d", i+1), fmt.Sprintf("%s:8080", s.Private)))
	}
	director := c.Directors[0].Namespace
	d := daemonIn(t, director, natConf(c), "--dataplane", "kernel")
	d.start()
	d.await("all three servers are in", serving(3))
	d.await("the addresses are up", func(st *control.Status) bool { return st.Role.AddressesHeld })

	vip := c.VIPs.Public.String()
	client := clientIn(c.Client)
	got := fetch(t, client, vip, 9)
	if diff := cmp.Diff(map[string]int{"web1": 3, "web2": 3, "web3": 3}, got); diff != "" {
		t.Errorf("9 requests through the VIP (-want +got):\n%s", diff)
	}

	// ipvsadm and lvsctl read the same table.
	listing := director.Run("ipvsadm", "-Ln")
	compareListings(t, listing, d)
	t.Logf("ipvsadm -Ln says\n%s", listing)

	webs[1].kill()
	st := d.await("the dead server is out", func(st *control.Status) bool {
		return serving(2)(st) && server(st, "web", "web2").State == "down"
	})
	dead := server(st, "web", "web2")
	if dead.State != "down" || dead.Reason == "" || dead.InTable {
		t.Errorf("the dead server's state: %+v", dead)
	}
	t.Logf("why web2 is down: %s", dead.Reason)
	if out := director.Run("ipvsadm", "-Ln"); strings.Contains(out, c.Servers[1].Private.String()) {
		t.Errorf("ipvsadm still lists the dead server:\n%s", out)
	}
	if got := fetch(t, client, vip, 8); got["web1"] != 4 || got["web3"] != 4 {
		t.Errorf("with web2 dead: %v, want 4 from web1 and 4 from web3", got)
	}

	webs[1].start()
	d.await("the revived server is in", serving(3))
	if got := fetch(t, client, vip, 9); got["web2"] != 3 {
		t.Errorf("after the return: %v, want 3 from web2", got)
	}

	if err := d.stop(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	if out := director.Run("ipvsadm", "-Sn"); strings.TrimSpace(out) != "" {
		t.Errorf("after a clean end the table still holds:\n%s", out)
	}
	addrs, err := director.Handle().AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if a.IP.String() == vip || a.IP.String() == c.VIPs.Private.String() {
			t.Errorf("after a clean end the address %v is still there", a)
		}
	}
}

var (
	admService = regexp.MustCompile(`(?m)^(TCP|UDP|FWM)\s+(\S+)\s+(\S+)`)
	admDest    = regexp.MustCompile(`(?m)^\s+->\s+(\S+)\s+(Masq|Route|Tunnel|Local)\s+(\d+)\s+\d+\s+\d+`)
)

// compareListings holds what lvsctl list says against ipvsadm's listing.
func compareListings(t *testing.T, adm string, d *daemon) {
	t.Helper()
	list, err := d.client.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]string{"masquerade": "Masq", "direct": "Route", "tunnel": "Tunnel", "local": "Local"}
	var ours, theirs []string
	for _, e := range list.Services {
		ours = append(ours, strings.ToUpper(e.Key.Protocol.String())+" "+e.Key.Addr.String()+" "+e.Service.Scheduler)
		for _, x := range e.Destinations {
			ours = append(ours, fmt.Sprintf("%s %s %d", x.Key, words[x.Forward.String()], x.Weight))
		}
	}
	for _, m := range admService.FindAllStringSubmatch(adm, -1) {
		theirs = append(theirs, m[1]+" "+m[2]+" "+m[3])
	}
	for _, m := range admDest.FindAllStringSubmatch(adm, -1) {
		theirs = append(theirs, m[1]+" "+m[2]+" "+m[3])
	}
	sort.Strings(ours)
	sort.Strings(theirs)
	if len(theirs) == 0 {
		t.Fatalf("ipvsadm lists nothing:\n%s", adm)
	}
	if diff := cmp.Diff(theirs, ours); diff != "" {
		t.Errorf("lvsctl list against ipvsadm -Ln (-ipvsadm +lvsctl):\n%s", diff)
	}
}

// Without IPVS permission auto falls back and says why; asked for the kernel,
// it fails and names the cure.
func TestKernelUnprivileged(t *testing.T) {
	l := lab.New(t)
	ns := l.Namespace("host")
	vip := "127.0.0.1:8080"
	d := daemonIn(t, ns, webConf(vip, "127.0.0.1:9"))
	const nobody = 65534
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// What go test builds is for its owner alone.
	data, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(d.dir, "lvsctl")
	if err := errors.Join(os.WriteFile(program, data, 0o755), os.Chmod(d.dir, 0o755), os.Chown(d.dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	d.command = func(_ string, args ...string) *exec.Cmd {
		cmd := exec.Command(program, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		return cmd
	}
	d.start()
	st := d.await("it serves without the kernel", func(st *control.Status) bool { return st.Role.Role == "active" })
	if st.Dataplane.Kind != "userspace" || !strings.Contains(st.Dataplane.Reason, "CAP_NET_ADMIN") {
		t.Errorf("data plane %s because %q, want userspace for the want of CAP_NET_ADMIN", st.Dataplane.Kind, st.Dataplane.Reason)
	}
}
