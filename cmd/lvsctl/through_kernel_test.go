//go:build linux && kernel

package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/internal/lab"
)

// The daemon asks servers of direct routing at the virtual address: one that
// lacks it on its loopback is down, though it serves on its own address. Its
// private services are named in the listing, survive its death no longer than
// until it is started again, and go when it ends.
func TestKernelThroughVirtual(t *testing.T) {
	c := lab.NewCluster(t)
	director := c.Directors[0].Namespace
	director.Sysctl("net.ipv4.conf.all.accept_local", "1")
	conf := fmt.Sprintf("primary = %s\nservice = lvs\nnetwork = direct\nvirtual web {\nactive = 1\naddress = %s %s:1\nport = 80\nscheduler = rr\ntimeout = 1\nreentry = 1\n",
		c.Directors[0].Public, c.VIPs.Public, lab.PublicLink)
	conf += "check page {\nkind = http\nthrough = virtual\n}\n"
	for i, s := range c.Servers[:2] {
		s.Sysctl("net.ipv4.conf.all.arp_ignore", "1")
		s.Sysctl("net.ipv4.conf.all.arp_announce", "2")
		s.Route(netip.MustParsePrefix("10.9.0.0/16"), netip.MustParseAddr("10.1.0.1")) // past the director
		startWeb(t, s.Namespace, s.Name(), ":80")
		conf += fmt.Sprintf("server web%d {\naddress = %s\nactive = 1\nport = 80\n}\n", i+1, s.Public)
	}
	conf += "}\n"
	c.Servers[0].Addr("lo", netip.PrefixFrom(c.VIPs.Public, 32))
	d := daemonIn(t, director, conf, "--dataplane", "kernel")
	d.start()
	right := func(st *control.Status) bool {
		return serving(1)(st) && server(st, "web", "web1").State == "up" && server(st, "web", "web2").State == "down"
	}
	st := d.await("one server is in and the other out", right)
	if r := server(st, "web", "web1").Reason; !strings.Contains(r, "at 10.1.0.100:80 by direct routing to 10.1.0.21") {
		t.Errorf("why web1 is up: %q", r)
	}
	if r := server(st, "web", "web2").Reason; !strings.Contains(r, "10.1.0.100 on its loopback") {
		t.Errorf("why web2 is down: %q", r)
	}
	if got := fetch(t, clientIn(c.Client), c.VIPs.Public.String(), 4); got["server1"] != 4 {
		t.Errorf("clients got %v, want 4 from server1", got)
	}
	list, err := d.client.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	private := 0
	for _, s := range list.Services {
		if s.Key.IsMark() {
			private++
			if !strings.HasPrefix(s.Name, "health check by direct routing to 10.1.0.2") {
				t.Errorf("private service %v is listed as %q", s.Key, s.Name)
			}
		}
	}
	if private != 2 {
		t.Errorf("%d private services are listed, want 2", private)
	}

	c.Servers[1].Addr("lo", netip.PrefixFrom(c.VIPs.Public, 32))
	d.await("the server that was mended is in", serving(2))

	d.kill()
	if out := director.Run("ipvsadm", "-Ln"); strings.Count(out, "FWM") != 2 {
		t.Errorf("after the kill:\n%s", out)
	}
	d.start()
	d.await("both servers are in", serving(2))
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if out := director.Run("ipvsadm", "-Ln"); !strings.Contains(out, "FWM") && !strings.Contains(out, "TCP ") {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("after the end:\n%s", director.Run("ipvsadm", "-Ln"))
}
