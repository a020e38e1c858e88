package userspace_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/userspace"
)

// Two web servers behind one address, by turns.
func Example() {
	ctx := context.Background()
	b, err := userspace.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()

	// A service has a port of its own; one that is free serves as well here.
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()

	web := ipvs.Service{
		Key:       ipvs.TCPService(netip.MustParseAddrPort(address)),
		Scheduler: "rr",
	}
	changes := []ipvs.Change{{Op: ipvs.OpAddService, Service: web}}
	for _, name := range []string{"one", "two"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, name)
		}))
		defer server.Close()
		addr := netip.MustParseAddrPort(strings.TrimPrefix(server.URL, "http://"))
		changes = append(changes, ipvs.Change{
			Op:          ipvs.OpAddDestination,
			Service:     web,
			Destination: ipvs.Destination{Key: addr, Weight: 1},
		})
	}
	if err := b.Apply(ctx, changes); err != nil {
		log.Fatal(err)
	}

	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 4 {
		res, err := client.Get("http://" + address + "/")
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		fmt.Println(string(body))
	}
	snap, err := b.Snapshot(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(snap[0].Service.Stats.Connections, "connections")
	// Output:
	// two
	// one
	// two
	// one
	// 4 connections
}
