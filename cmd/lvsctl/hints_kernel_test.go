//go:build linux && kernel

package main

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/internal/control"
	"github.com/lvskit/lvskit/internal/lab"
)

// A server that is cut off goes down long before its interval of an hour is
// over: the daemon listens to the kernel.
func TestKernelAsksAtOnce(t *testing.T) {
	c := lab.NewCluster(t)
	director := c.Directors[0]
	for key, value := range map[string]string{"base_reachable_time_ms": "500", "delay_first_probe_time": "1", "retrans_time_ms": "100"} {
		director.Sysctl("net.ipv4.neigh."+lab.PrivateLink+"."+key, value)
	}
	for i, s := range c.Servers {
		startWeb(t, s.Namespace, []string{"web1", "web2", "web3"}[i], s.Private.String()+":8080")
	}
	conf := strings.Replace(natConf(c), "     timeout = 4\n", "     timeout = 2\n     interval = 3600\n", 1)
	d := daemonIn(t, director.Namespace, conf, "--dataplane", "kernel")
	d.start()
	d.await("all three servers are in", serving(3))
	// The kernel misses a neighbour only when there is something to send.
	hears, err := c.Servers[1].ListenPacket("udp", c.Servers[1].Private.String()+":9")
	if err != nil {
		t.Fatal(err)
	}
	defer hears.Close()
	pc, err := director.ListenPacket("udp", director.Private.String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			_, _ = pc.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.Servers[1].Private, 9)))
			select {
			case <-ended:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	c.Servers[1].Down(lab.PrivateLink)
	d.await("the server that was cut off is out", func(st *control.Status) bool {
		return serving(2)(st) && server(st, "web", "web2").State == "down"
	})
}
