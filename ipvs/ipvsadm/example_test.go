package ipvsadm_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os"

	"github.com/lvskit/lvskit/ipvs"
	"github.com/lvskit/lvskit/ipvs/ipvsadm"
)

// A restore reads and plays the whole text before it changes anything. What
// is applied is the difference to what is there.
func Example() {
	const text = `
# web
ipvsadm -A -t 192.0.2.1:80 -s rr -p
ipvsadm -a -t 192.0.2.1:80 -r 10.0.0.1 -m
ipvsadm -a -t 192.0.2.1:80 -r 10.0.0.2:8080 -m -w 3
`
	commands, err := ipvsadm.Parse(context.Background(), text, ipvsadm.Options{File: "web.rules"})
	if err != nil {
		log.Fatal(err)
	}
	table, err := ipvsadm.Table(commands)
	if err != nil {
		log.Fatal(err)
	}
	for _, change := range ipvs.Diff(nil, table, nil) {
		fmt.Println(ipvsadm.Line(change))
	}
	// Output:
	// -A -t 192.0.2.1:80 -s rr -p 360
	// -a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1
	// -a -t 192.0.2.1:80 -r 10.0.0.2:8080 -m -w 3
}

// All errors of a text are reported, with their places.
func ExampleTable() {
	const text = `-A -t 192.0.2.110:80 -s rr
-a -t 192.0.2.11:80 -r 10.0.0.1:80 -m
`
	commands, err := ipvsadm.Parse(context.Background(), text, ipvsadm.Options{File: "web.rules"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = ipvsadm.Table(commands)
	fmt.Println(err)
	// Output:
	// ipvsadm: web.rules:2:7: service tcp/192.0.2.11:80 is not there: did you mean tcp/192.0.2.110:80, added at web.rules:1:1?
}

func ExampleAppendTable() {
	table := ipvs.Table{{
		Service: ipvs.Service{Key: ipvs.MarkService(7), Scheduler: "wrr"},
		Destinations: []ipvs.Destination{
			{Key: netip.MustParseAddrPort("10.0.0.1:0"), Forward: ipvs.DirectRoute, Weight: 1},
			{Key: netip.MustParseAddrPort("10.0.0.2:0"), Forward: ipvs.Local, Weight: 2},
		},
	}}
	text, err := ipvsadm.AppendTable(nil, table)
	os.Stdout.Write(text)
	fmt.Println("lost:", err != nil)
	// Output:
	// -A -f 7 -s wrr
	// -a -f 7 -r 10.0.0.1:0 -g -w 1
	// lost: true
}

func ExampleWriteList() {
	command, err := ipvsadm.ParseArgs(context.Background(), []string{"-Ln"}, ipvsadm.Options{})
	if err != nil {
		log.Fatal(err)
	}
	snapshot := ipvs.Snapshot{{
		Service: ipvs.ServiceState{Service: ipvs.Service{Key: ipvs.MarkService(7), Scheduler: "wrr"}},
		Destinations: []ipvs.DestinationState{{
			Destination: ipvs.Destination{Key: netip.MustParseAddrPort("10.0.0.1:0"), Weight: 1},
			Active:      12,
		}},
	}}
	info := ipvs.Info{Version: 0x010201, ConnTableSize: 4096}
	if err := ipvsadm.WriteList(os.Stdout, *command.List, snapshot, info); err != nil {
		log.Fatal(err)
	}
	// Output:
	// IP Virtual Server version 1.2.1 (size=4096)
	// Prot LocalAddress:Port Scheduler Flags
	//   -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
	// FWM  7 wrr
	//   -> 10.0.0.1:0                   Masq    1      12         0
}
