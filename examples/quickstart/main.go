// Quickstart balances two local web servers over ordinary sockets: any
// system, no root.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/userspace"
)

func main() {
	vip := netip.MustParseAddrPort("127.0.0.1:8088")
	want := ipvs.Entry{Service: ipvs.Service{Key: ipvs.TCPService(vip), Scheduler: "wrr"}}
	for i, name := range []string{"first", "second"} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "hello from the %s server\n", name)
		}))
		addr := netip.MustParseAddrPort(strings.TrimPrefix(srv.URL, "http://"))
		want.Destinations = append(want.Destinations, ipvs.Destination{Key: addr, Weight: i + 1})
	}

	balancer, err := userspace.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := balancer.Apply(context.Background(), ipvs.Diff(nil, ipvs.Table{want}, nil)); err != nil {
		log.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 6 {
		resp, err := client.Get("http://" + vip.String())
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%s", body)
	}
	balancer.Close()
}
