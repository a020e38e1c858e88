package convert_test

import (
	"fmt"
	"os"

	"github.com/lvskit/lvskit/lvscf/convert"
)

func ExampleFromLdirectord() {
	text := []byte(`checkinterval = 5
emailalert = ops@example.net
virtual = 192.0.2.80:80
	real = 10.1.0.1:80 gate
	real = 10.1.0.2:80 gate 3
	scheduler = wlc
	checktype = connect
`)
	config, losses, err := convert.FromLdirectord("ldirectord.cf", text, convert.ImportOptions{Device: "eth0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := config.File()
	if err != nil {
		fmt.Println(err)
		return
	}
	os.Stdout.Write(file.Bytes())
	fmt.Println()
	fmt.Print(losses)
	// Output:
	// serial_no = 0
	// network = direct
	//
	// virtual tcp_192.0.2.80_80 {
	//     active = 1
	//     address = 192.0.2.80 eth0:1
	//     check = tcp
	//     timeout = 5
	//     rise = 1
	//
	//     server 10.1.0.1_80 {
	//         address = 10.1.0.1
	//         active = 1
	//     }
	//
	//     server 10.1.0.2_80 {
	//         address = 10.1.0.2
	//         active = 1
	//         weight = 3
	//     }
	// }
	//
	// 1. ldirectord.cf:2:1: emailalert = ops@example.net: lvs.cf sends no mail; nearest: name a program that does in notify_cmd
}

func ExampleToIPVSAdm() {
	text := []byte(`{"network": "direct", "virtuals": [{
		"name": "web", "active": true, "address": {"addr": "192.0.2.80"}, "check": "none",
		"servers": [{"name": "a", "active": true, "address": {"addr": "10.1.0.1"}}]}]}`)
	config, err := convert.FromJSON("web.json", text)
	if err != nil {
		fmt.Println(err)
		return
	}
	rules, losses, err := convert.ToIPVSAdm(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	os.Stdout.Write(rules)
	fmt.Print(losses)
	// Output:
	// -A -t 192.0.2.80:80 -s wlc
	// -a -t 192.0.2.80:80 -r 10.1.0.1:80 -g -w 1
	// 1. web.json: the names of blocks: web, web/a: rules have addresses only; nearest: an import names blocks after their addresses, such as tcp_192.0.2.1_80
}
